"""What pixels tell: sharpness, light, contrast, colour; and what a picture too small to judge does not tell."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter

from pictograph.ingest.facts import facts_of
from pictograph.store.facts import Facts
from pictograph.tagging.measures import measure_picture
from pictograph.types import Sha256
from pictograph.upload.picture import Picture, PictureFacts

SHA256 = Sha256(bytes(32))


def told(pixels: npt.NDArray[np.uint8]) -> Facts:
    picture = Picture(pixels, PictureFacts("PNG", "image/png", pixels.shape[1], pixels.shape[0], None, "Canon"))
    return facts_of(SHA256, picture, measure_picture(picture))


def plain(*colour: int) -> Facts:
    return told(np.full((96, 128, 3), colour, np.uint8))


def test_light_contrast_and_colour() -> None:
    white, grey, red = plain(255, 255, 255), plain(100, 100, 100), plain(200, 16, 1)
    assert (white.brightness, white.contrast, white.average_color) == (1.0, 0.0, 0xFFFFFF)
    assert (round(grey.brightness or 0, 3), grey.average_color) == (round(100 / 255, 3), 0x646464)
    assert (red.average_color, red.camera, red.taken_at) == (0xC81001, "Canon", None)
    halves = np.zeros((96, 128, 3), np.uint8)
    halves[:, 64:] = 255
    assert (told(halves).contrast, told(halves).average_color) == (0.5, 0x808080)


def test_sharpness_falls_with_blur_and_is_not_told_of_a_tiny_picture() -> None:
    random = np.random.default_rng(1)
    edges = random.integers(0, 256, (24, 32, 3), dtype=np.uint8).repeat(16, 0).repeat(16, 1)
    blurred = [
        told(np.asarray(Image.fromarray(edges).filter(ImageFilter.GaussianBlur(radius)))).sharpness or 0.0
        for radius in (0, 1, 2, 4)
    ]
    assert blurred == sorted(blurred, reverse=True)
    assert blurred[0] > 0.7 > 0.3 > blurred[3]
    assert told(edges[:40, :40].copy()).sharpness is None
