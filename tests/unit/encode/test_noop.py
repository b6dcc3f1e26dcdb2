from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from pictograph.encode.noop import NoopEncoder
from pictograph.encode.protocol import Encoder
from pictograph.errors import ConfigurationError
from pictograph.types import DIMENSION
from pictograph.upload.picture import Picture, PictureFacts


def picture(pixels: npt.NDArray[np.uint8]) -> Picture:
    return Picture(pixels, PictureFacts("PNG", "image/png", pixels.shape[1], pixels.shape[0]))


def vectors_of(*pictures: Picture) -> npt.NDArray[np.float32]:
    encoder: Encoder = NoopEncoder()
    return encoder.encode_prepared(np.stack([encoder.prepare(one) for one in pictures])).vectors


def test_vectors_are_float32_unit_rows_and_there_is_no_evidence() -> None:
    encoder = NoopEncoder()
    encoded = encoder.encode_prepared(
        np.stack([encoder.prepare(picture(np.full((4, 5, 3), shade, np.uint8))) for shade in range(6)])
    )
    assert encoded.vectors.shape == (6, DIMENSION)
    assert encoded.vectors.dtype == np.float32
    assert np.abs(np.linalg.norm(encoded.vectors, axis=1) - 1).max() < 1e-5
    assert encoded.evidence.shape == (6, 0)


def test_equal_pixels_agree_and_others_are_far_apart() -> None:
    black, again, dark = (picture(np.full((8, 8, 3), shade, np.uint8)) for shade in (0, 0, 1))
    vectors = vectors_of(black, again, dark)
    assert vectors[0] @ vectors[1] == pytest.approx(1, abs=1e-6)
    assert abs(vectors[0] @ vectors[2]) < 0.2


def test_the_shape_counts_as_well_as_the_bytes() -> None:
    vectors = vectors_of(picture(np.zeros((2, 8, 3), np.uint8)), picture(np.zeros((8, 2, 3), np.uint8)))
    assert abs(vectors[0] @ vectors[1]) < 0.2


def test_words_are_refused() -> None:
    assert not NoopEncoder().spec.has_text
    with pytest.raises(ConfigurationError, match="words"):
        NoopEncoder().encode_texts(["car"])
