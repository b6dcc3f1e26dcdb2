"""The offline encoder with its real weights; scripts/offline_encoder/reference.py made the golden vectors, in torch."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from pictograph.encode.batching import encode_isolating
from pictograph.encode.offline import OfflineEncoder
from pictograph.encode.offline_assets import ASSETS_FOLDER, MANIFEST, TEXT_MODEL, TOKENIZER, VISION_MODEL, OfflineAssets
from pictograph.encode.protocol import Encoded, Encoder, FloatArray
from pictograph.encode.registry import load_encoder
from pictograph.errors import ConfigurationError
from pictograph.types import DEFAULT_THRESHOLD, DIMENSION
from pictograph.upload.picture import Picture, PictureFacts

REPOSITORY = Path(__file__).parents[2]
CARS = {"n04037443": "racer", "n03670208": "limousine"}
CONTENT = slice(767, 1151)
"""The columns of a vector that hold words."""


@pytest.fixture(scope="module")
def encoder() -> OfflineEncoder:
    return OfflineEncoder.load(threads=2)


@pytest.fixture(scope="module")
def golden() -> dict[str, npt.NDArray[np.generic]]:
    with np.load(Path(__file__).with_name("golden_offline.npz")) as stored:
        return dict(stored)


@pytest.fixture(scope="module")
def photos() -> dict[str, Picture]:
    """A few photographs by the WordNet id that starts their file names."""
    folder = Path(os.environ.get("PICTOGRAPH_TEST_PHOTOS", REPOSITORY.parent / "shared" / "photos"))
    named = {match[0]: path for path in sorted(folder.glob("*")) if (match := re.match(r"n\d{8}", path.name))}
    if not named:
        pytest.skip("no photographs: set PICTOGRAPH_TEST_PHOTOS to a folder of files named n02504458_*.JPEG")
    return {wnid: opened(path) for wnid, path in named.items()}


def opened(path: Path) -> Picture:
    with Image.open(path) as image:
        return picture_of(np.asarray(image.convert("RGB")))


def picture_of(pixels: npt.NDArray[np.uint8]) -> Picture:
    pixels = np.ascontiguousarray(pixels)
    return Picture(pixels, PictureFacts("PNG", "image/png", pixels.shape[1], pixels.shape[0]))


def encoded(encoder: Encoder, pictures: list[Picture]) -> Encoded:
    return encoder.encode_prepared(np.stack([encoder.prepare(picture) for picture in pictures]))


def synthetic(height: int, width: int, seed: int) -> Picture:
    """A soft coloured pattern, another one for each seed."""
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 7, 3), np.uint8)
    return picture_of(np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)))


SIZES = [(300, 400), (64, 900), (1000, 700), (1, 1), (33, 20), (2400, 1800), (292, 292), (500, 3)]


def test_the_registry_gives_it_by_name(encoder: OfflineEncoder) -> None:
    spec = load_encoder("offline", threads=1).spec
    assert spec == encoder.spec
    assert (spec.name, spec.dimension, spec.has_text) == ("offline", DIMENSION, True)
    assert re.fullmatch(r"[0-9a-f]{12}", spec.revision)


def test_vectors_are_unit_rows_and_evidence_is_probabilities(encoder: OfflineEncoder) -> None:
    result = encoded(encoder, [synthetic(*size, seed) for seed, size in enumerate(SIZES)])
    assert result.vectors.shape == (len(SIZES), DIMENSION)
    assert result.vectors.dtype == result.evidence.dtype == np.float32
    assert np.abs(np.linalg.norm(result.vectors, axis=1) - 1).max() < 1e-5
    assert result.evidence.shape == (len(SIZES), 1000)
    assert np.abs(result.evidence.sum(axis=1) - 1).max() < 1e-4


def test_a_batch_gives_what_each_picture_gives_alone_in_the_order_given(encoder: OfflineEncoder) -> None:
    pictures = [synthetic(*size, seed) for seed, size in enumerate(SIZES)]
    together = encoded(encoder, pictures).vectors
    alone = np.concatenate([encoded(encoder, [picture]).vectors for picture in pictures])
    assert np.abs(together - alone).max() < 1e-4
    assert (together @ alone.T).argmax(axis=1).tolist() == list(range(len(pictures)))


def test_one_thread_and_two_give_the_same_vectors(encoder: OfflineEncoder) -> None:
    pictures = [synthetic(300, 400, seed) for seed in range(3)]
    assert np.abs(encoded(OfflineEncoder.load(1), pictures).vectors - encoded(encoder, pictures).vectors).max() < 1e-4


def test_pictures_agree_with_the_original_network_in_float32(
    encoder: OfflineEncoder, golden: dict[str, npt.NDArray[np.generic]]
) -> None:
    result = encoded(encoder, [picture_of(pixels) for pixels in golden["pictures"]])
    # 8 bits against float32: 0.997 on photographs; drawn patterns are further from what the ranges were made for.
    assert (result.vectors * golden["vectors"]).sum(axis=1).min() > 0.985
    assert (result.evidence.argmax(axis=1) == golden["probabilities"].argmax(axis=1)).all()


def test_texts_agree_with_the_original_network_in_float32(
    encoder: OfflineEncoder, golden: dict[str, npt.NDArray[np.generic]]
) -> None:
    vectors = encoder.encode_texts([str(text) for text in golden["texts"]])
    # 8-bit weights; the empty text, two special tokens alone, is the furthest with 0.996.
    assert (vectors[:, CONTENT] * golden["text_vectors"]).sum(axis=1).min() > 0.995


def test_text_vectors_are_unit_rows_in_the_order_given(encoder: OfflineEncoder) -> None:
    texts = ["a dog", "", "Sports Car", "a dog", "word " * 500, "ünïcödé 🚗"]
    vectors = encoder.encode_texts(texts)
    alone = np.concatenate([encoder.encode_texts([text]) for text in texts])
    assert vectors.shape == (len(texts), DIMENSION)
    assert vectors.dtype == np.float32
    assert np.abs(np.linalg.norm(vectors, axis=1) - 1).max() < 1e-5
    assert np.abs(vectors - alone).max() < 1e-4
    assert encoder.encode_texts([]).shape == (0, DIMENSION)


def test_texts_rank_pictures_exactly_by_content(encoder: OfflineEncoder) -> None:
    pictures = encoded(encoder, [synthetic(300, 400, seed) for seed in range(12)]).vectors
    texts = encoder.encode_texts(["a dog", "sports car", "sea"])
    recipe = encoder.assets.recipe
    weight = ((1 - recipe.common_share) * (1 - recipe.picture_share)) ** 0.5
    content = pictures[:, CONTENT] / np.linalg.norm(pictures[:, CONTENT], axis=1, keepdims=True)
    assert np.abs(pictures @ texts.T - weight * (content @ texts[:, CONTENT].T)).max() < 1e-5


def linked_assets(folder: Path) -> Path:
    """A folder of links to the assets, so that a test can spoil one without copying 33 MB."""
    for path in ASSETS_FOLDER.iterdir():
        (folder / path.name).symlink_to(path)
    return folder


def test_the_text_half_is_not_opened_for_pictures(tmp_path: Path) -> None:
    encoder = OfflineEncoder.load(1, folder=linked_assets(tmp_path))
    for name in (TEXT_MODEL, TOKENIZER):
        (tmp_path / name).unlink()
    assert encoded(encoder, [synthetic(300, 300, 1)]).vectors.shape == (1, DIMENSION)


@pytest.mark.parametrize("name", [VISION_MODEL, TEXT_MODEL, "class_vectors.npy"])
def test_a_damaged_asset_is_named(tmp_path: Path, name: str) -> None:
    damaged = bytearray((linked_assets(tmp_path) / name).read_bytes())
    damaged[len(damaged) // 2] ^= 1
    (tmp_path / name).unlink()
    (tmp_path / name).write_bytes(damaged)
    with pytest.raises(ConfigurationError, match=re.escape(name) + " is damaged"):
        OfflineEncoder.load(1, folder=tmp_path)


@pytest.mark.parametrize("name", [VISION_MODEL, TOKENIZER, MANIFEST])
def test_a_missing_asset_is_named(tmp_path: Path, name: str) -> None:
    (linked_assets(tmp_path) / name).unlink()
    with pytest.raises(ConfigurationError, match=re.escape(name)):
        OfflineEncoder.load(1, folder=tmp_path)


@pytest.mark.parametrize("text", ["{", "[]", '{"files": {}}', '{"files": {}, "recipe": {"input_px": 260}}'])
def test_a_manifest_that_says_too_little_is_a_configuration_error(tmp_path: Path, text: str) -> None:
    (tmp_path / MANIFEST).write_text(text)
    with pytest.raises(ConfigurationError, match=MANIFEST):
        OfflineEncoder.load(1, folder=tmp_path)


def test_the_manifest_lists_every_data_file_and_its_sources() -> None:
    manifest = json.loads((ASSETS_FOLDER / MANIFEST).read_text())
    shipped = {path.name for path in ASSETS_FOLDER.iterdir() if path.suffix in {".onnx", ".npy", ".json"}}
    assert set(manifest["files"]) == shipped - {MANIFEST}
    assert all(source["licence"] and source["version"] and source["sha256"] for source in manifest["sources"])


def test_there_are_1000_classes_in_the_order_of_the_evidence() -> None:
    classes = OfflineAssets.check().classes()
    assert [entry.index for entry in classes] == list(range(1000))
    assert [entry.wnid for entry in classes] == sorted(entry.wnid for entry in classes)


def test_the_words_of_a_class_find_that_class(encoder: OfflineEncoder) -> None:
    assets = OfflineAssets.check()
    rows = assets.array("class_vectors.npy")
    names = ["goldfinch", "sports car", "tow truck", "pizza", "acoustic guitar", "volcano"]
    found = (encoder.encode_texts(names)[:, CONTENT] @ rows.T).argmax(axis=1)
    assert [assets.classes()[index].name for index in found] == names


def test_a_bad_picture_in_a_batch_fails_alone(encoder: OfflineEncoder) -> None:
    prepared: list[FloatArray] = [encoder.prepare(synthetic(300, 400, seed)) for seed in range(8)]
    prepared[3] = prepared[3][:100]
    outcomes = encode_isolating(encoder, prepared, max_batch=8)
    assert [isinstance(outcome, Encoded) for outcome in outcomes] == [index != 3 for index in range(8)]


def test_a_changed_copy_of_a_photo_stays_above_the_threshold(
    encoder: OfflineEncoder, photos: dict[str, Picture]
) -> None:
    originals = list(photos.values())[:40]
    mirrored = [picture_of(photo.pixels[:, ::-1]) for photo in originals]
    dimmed = [picture_of((photo.pixels * 0.6).astype(np.uint8)) for photo in originals]
    vectors = encoded(encoder, originals).vectors
    for changed in (mirrored, dimmed):
        assert (vectors * encoded(encoder, changed).vectors).sum(axis=1).min() > 0.9


def test_most_photos_of_different_things_stay_below_the_threshold(
    encoder: OfflineEncoder, photos: dict[str, Picture]
) -> None:
    vectors = encoded(encoder, list(photos.values())).vectors
    above = (vectors @ vectors.T)[np.triu_indices(len(vectors), 1)] >= DEFAULT_THRESHOLD
    assert above.mean() < 0.1


def test_sports_car_finds_the_cars_first(encoder: OfflineEncoder, photos: dict[str, Picture]) -> None:
    if not CARS.keys() <= photos.keys():
        pytest.skip(f"the photographs lack {', '.join(CARS)}")
    scores = encoded(encoder, list(photos.values())).vectors @ encoder.encode_texts(["sports car"])[0]
    best = [list(photos)[index] for index in scores.argsort()[::-1]]
    assert set(best[:2]) == set(CARS)
