"""Label vectors, the stretch of a space, and the background pictures that are shipped."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pictograph.encode.protocol import FloatArray
from pictograph.errors import ConfigurationError
from pictograph.tagging.background import FOLDER, MANIFEST, background_files
from pictograph.tagging.calibration import (
    LEAST_STRETCH,
    MOST_STRETCH,
    label_vectors_of,
    prompts_of,
    stretch_of,
)
from pictograph.tagging.taxonomy import load_taxonomy
from pictograph.types import DEFAULT_THRESHOLD, DIMENSION
from pictograph.upload.decode import decode_picture
from pictograph.upload.limits import PictureLimits

TAXONOMY = load_taxonomy()


def unit(vectors: FloatArray) -> FloatArray:
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def around(common: float, count: int = 60, seed: int = 0) -> FloatArray:
    """Random pictures whose cosines lie about `common`."""
    own = unit(np.random.default_rng(seed).normal(size=(count, DIMENSION)))
    shared = np.eye(1, DIMENSION, dtype=np.float32)
    return unit(np.sqrt(common) * shared + np.sqrt(1 - common) * own)


def similarity(cosine: float, stretch: float) -> float:
    return 1 - stretch * (1 - cosine)


def test_a_label_lies_between_its_prompts() -> None:
    prompts = prompts_of(TAXONOMY)
    vectors = unit(np.random.default_rng(0).normal(size=(len(prompts), DIMENSION)))
    labels = label_vectors_of(TAXONOMY, vectors)
    start = 0
    for label, vector in zip(TAXONOMY.labels, labels, strict=True):
        assert prompts[start : start + len(label.prompts)] == list(label.prompts)
        mean = vectors[start : start + len(label.prompts)].mean(axis=0)
        np.testing.assert_allclose(vector, mean / np.linalg.norm(mean), atol=1e-6)
        start += len(label.prompts)
    assert labels.dtype == np.float32


def test_a_missing_prompt_is_noticed() -> None:
    with pytest.raises(ValueError, match="prompts, not 3"):
        label_vectors_of(TAXONOMY, np.eye(3, DIMENSION, dtype=np.float32))


@pytest.mark.parametrize(("common", "expected"), [(0.0, 0.4), (0.5, 0.8), (0.7, 4 / 3), (0.9, 4)])
def test_unrelated_pairs_end_where_visually_related_begins(common: float, expected: float) -> None:
    background = around(common)
    stretch = stretch_of(background)
    assert stretch == pytest.approx(expected, rel=0.2)
    cosines = (background @ background.T)[np.triu_indices(60, 1)]
    reached = (1 - stretch * (1 - cosines) >= DEFAULT_THRESHOLD).mean()
    assert reached == pytest.approx(0.023, abs=0.015)


def test_a_few_related_pairs_in_the_background_change_little() -> None:
    background = around(0.5)
    with_twins = np.concatenate([background[:50], background[:10]])
    assert stretch_of(with_twins) == pytest.approx(stretch_of(background), rel=0.02)


def test_pictures_that_nearly_coincide_are_not_torn_apart() -> None:
    assert stretch_of(around(0.9999)) == MOST_STRETCH
    assert stretch_of(np.repeat(around(0.5, 1), 10, axis=0)) == MOST_STRETCH


@settings(max_examples=30, deadline=None)
@given(common=st.floats(0, 1), seed=st.integers(0, 1000))
def test_every_stretch_is_within_bounds_and_keeps_identical_pictures_at_1(common: float, seed: int) -> None:
    stretch = stretch_of(around(common, 20, seed))
    assert LEAST_STRETCH <= stretch <= MOST_STRETCH
    assert similarity(1.0, stretch) == 1.0


def test_a_background_that_cannot_be_one_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 8 pictures, not 7"):
        stretch_of(around(0.5, 7))
    spoiled = around(0.5)
    spoiled[3] = np.nan
    with pytest.raises(ValueError, match="not finite"):
        stretch_of(spoiled)


def test_the_shipped_background_is_what_its_manifest_says() -> None:
    manifest = json.loads((FOLDER / MANIFEST).read_text(encoding="utf-8"))
    on_disk = {path.relative_to(FOLDER).as_posix() for path in FOLDER.rglob("*.jpg")}
    assert on_disk == set(manifest)
    files = background_files()
    assert len(files) == 60
    for path in files:
        content = path.read_bytes()
        assert hashlib.sha256(content).hexdigest() == manifest[path.relative_to(FOLDER).as_posix()]
        picture = decode_picture(content, at_least_px=None, limits=PictureLimits())
        assert 150 <= min(picture.pixels.shape[:2]) <= 384
    assert sum(path.stat().st_size for path in files) < 1_500_000


def test_every_shipped_photograph_is_credited_with_a_licence_that_lets_it_be_passed_on() -> None:
    rows = [row.split(" | ") for row in (FOLDER / "CREDITS.md").read_text(encoding="utf-8").splitlines() if "`" in row]
    credited = {row[0].strip("| `"): row for row in rows if row[0].endswith(".jpg`")}
    assert credited.keys() == {path.relative_to(FOLDER).as_posix() for path in background_files()}
    for row in credited.values():
        assert row[2].strip(), "no author"
        assert row[3].startswith(("Public domain", "[CC0 ", "[CC BY 2", "[CC BY 3", "[CC BY 4"))


def test_an_incomplete_background_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"MANIFEST\.json is missing .* Install pictograph again"):
        background_files(tmp_path)
    (tmp_path / MANIFEST).write_text('{"gone.jpg": "00"}')
    with pytest.raises(ConfigurationError, match=r"gone\.jpg is missing"):
        background_files(tmp_path)
