"""Calibration through both towers of a real checkpoint, against the published formulas in numpy."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from pictograph.db.pool import Database
from pictograph.encode.protocol import FloatArray, PairEncoder
from pictograph.encode.siglip import SiglipEncoder
from pictograph.encode.tokens import SiglipTokenizer
from pictograph.spaces.registry import Spaces
from pictograph.tagging.background import background_files
from pictograph.tagging.calibration import Calibration
from pictograph.tagging.library.taggers import make_calibration, stored_tagger, tagger_of
from pictograph.tagging.taxonomy import load_taxonomy
from pictograph.upload.decode import decode_picture
from pictograph.upload.limits import PictureLimits
from support.checkpoints import TEXT_LENGTH, make_checkpoint

pytest.importorskip("torch", reason="needs torch, of the extra siglip")
pytest.importorskip("transformers", reason="needs transformers, of the extra siglip")

from support.siglip_reference import Reference

PARITY = 1e-4
"""float32 against numpy in float64."""
TAXONOMY = load_taxonomy()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_checkpoint(tmp_path_factory.mktemp("models") / "siglip2-tiny-patch16-50")


@pytest.fixture(scope="module")
def encoder(folder: Path) -> SiglipEncoder:
    return SiglipEncoder.load(folder, device="cpu", threads=2, dtype="float32")


@pytest.fixture(scope="module")
async def calibration(encoder: SiglipEncoder) -> Calibration:
    return await make_calibration(encoder, TAXONOMY)


async def test_the_background_is_what_the_formulas_make_of_the_shipped_pictures(
    folder: Path, calibration: Calibration
) -> None:
    reference = Reference.open(folder)
    pictures = [
        decode_picture(path.read_bytes(), at_least_px=None, limits=PictureLimits()) for path in background_files()
    ]
    expected = np.stack([reference.picture_vector(reference.pixels(picture.pixels)) for picture in pictures])
    width = expected.shape[1]
    np.testing.assert_allclose(calibration.background[:, :width], expected, atol=PARITY)
    assert not calibration.background[:, width:].any()


async def test_a_labels_vector_is_the_mean_of_what_the_formulas_make_of_its_prompts(
    folder: Path, calibration: Calibration
) -> None:
    reference, tokenizer = Reference.open(folder), SiglipTokenizer(folder, TEXT_LENGTH)
    for index in range(0, len(TAXONOMY.labels), 25):
        tokens = tokenizer.tokens([prompt.lower() for prompt in TAXONOMY.labels[index].prompts])
        mean = np.mean([reference.word_vector(row) for row in tokens], axis=0)
        found = calibration.label_vectors[index, : len(mean)]
        np.testing.assert_allclose(found, mean / np.linalg.norm(mean), atol=PARITY)


async def test_the_words_network_is_closed_again(encoder: SiglipEncoder, calibration: Calibration) -> None:
    assert isinstance(encoder, PairEncoder)
    assert calibration.logit_scale == encoder.logit_scale
    assert "_words" not in vars(encoder)
    assert "_pictures" in vars(encoder)


async def test_the_second_start_of_a_worker_makes_no_pass_at_all(database: Database, folder: Path) -> None:
    class Still(SiglipEncoder):
        def encode_prepared(self, prepared: FloatArray) -> object:  # type: ignore[override]
            raise AssertionError("a picture was encoded")

        def encode_texts(self, texts: Sequence[str]) -> FloatArray:
            raise AssertionError("a text was encoded")

    first = SiglipEncoder.load(folder, device="cpu", threads=2, dtype="float32")
    space = await Spaces(database).open(first.spec, str(folder))
    made = await tagger_of(database, space.id, first, TAXONOMY)
    found = await tagger_of(database, space.id, Still.load(folder, device="cpu", threads=2), TAXONOMY)
    stored = await stored_tagger(database, space, TAXONOMY)
    assert made is not None
    assert found is not None
    assert stored is not None
    assert found.version == made.version == stored.version
