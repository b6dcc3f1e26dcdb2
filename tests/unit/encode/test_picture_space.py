from __future__ import annotations

import numpy as np
import pytest

from pictograph.encode.offline import PictureSpace, likeliest
from pictograph.encode.offline_assets import Recipe

RECIPE = Recipe(input_px=260, picture_share=0.7, common_share=9 / 19, classes_mixed=2)
FEATURES, LOOKS, CLASSES, WORDS = 12, 8, 5, 6


@pytest.fixture
def space() -> PictureSpace:
    random = np.random.default_rng(3)
    rows = random.standard_normal((CLASSES, WORDS)).astype(np.float32)
    return PictureSpace(
        RECIPE,
        feature_mean=np.full(FEATURES, 0.5, np.float32),
        projection=np.linalg.qr(random.standard_normal((FEATURES, LOOKS)))[0].T.astype(np.float32),
        class_vectors=rows / np.linalg.norm(rows, axis=1, keepdims=True),
    )


def seen(count: int) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(4)
    features = random.random((count, FEATURES)).astype(np.float32)
    return features, random.dirichlet(np.ones(CLASSES), count).astype(np.float32)


def test_rows_have_unit_length(space: PictureSpace) -> None:
    vectors = space.vectors(*seen(20))
    assert vectors.shape == (20, LOOKS + WORDS + 1)
    assert vectors.dtype == np.float32
    assert np.abs(np.linalg.norm(vectors, axis=1) - 1).max() < 1e-6


def test_the_common_part_moves_every_cosine_along_one_rising_line(space: PictureSpace) -> None:
    vectors = space.vectors(*seen(20))
    own = vectors[:, :-1] / np.linalg.norm(vectors[:, :-1], axis=1, keepdims=True)
    expected = RECIPE.common_share + (1 - RECIPE.common_share) * (own @ own.T)
    assert np.abs(vectors @ vectors.T - expected).max() < 1e-6


def test_a_picture_at_the_mean_still_gets_a_unit_vector(space: PictureSpace) -> None:
    features = np.full((1, FEATURES), 0.5, np.float32)
    probabilities = np.eye(CLASSES, dtype=np.float32)[:1]
    assert np.linalg.norm(space.vectors(features, probabilities)) == pytest.approx(1, abs=1e-6)


def test_only_the_likeliest_classes_are_mixed() -> None:
    probabilities = np.array([[0.1, 0.5, 0.15, 0.25], [0.4, 0.3, 0.2, 0.1]], np.float32)
    expected = np.array([[0, 0.5, 0, 0.25], [0.4, 0.3, 0, 0]], np.float32)
    assert (likeliest(probabilities, 2) == expected).all()


def test_mixing_more_classes_than_there_are_keeps_them_all() -> None:
    probabilities = np.array([[0.25, 0.75]], np.float32)
    assert likeliest(probabilities, 10) is probabilities
