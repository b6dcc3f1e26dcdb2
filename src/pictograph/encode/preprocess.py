"""From a picture to what an ImageNet network of the EfficientNet-Lite kind sees."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from PIL import Image

from pictograph.encode.protocol import FloatArray

CROP_MARGIN_PX = 32
"""The network sees the middle S / (S + 32) of the short side, as it was trained to."""
REDUCING_GAP = 3.0
"""Pillow first halves a large picture cheaply, down to 3 times the target; the rest is bicubic."""


def network_input(pixels: npt.NDArray[np.uint8], side_px: int) -> FloatArray:
    """Returns the middle square of a picture, scaled: float32 (side, side, 3), whole numbers from 0 to 255.

    The rest of the normalisation is the network file's first step, where it costs nothing.

    pixels: uint8 (H, W, 3), RGB, any size from 1 x 1.
    Source: EfficientNet's `preprocessing.py` in tensorflow/tpu (`_decode_and_center_crop`, bicubic).
    """
    square = Image.fromarray(middle_square(pixels, side_px))
    scaled = square.resize((side_px, side_px), Image.Resampling.BICUBIC, reducing_gap=REDUCING_GAP)
    return np.asarray(scaled).astype(np.float32)


def middle_square(pixels: npt.NDArray[np.uint8], side_px: int) -> npt.NDArray[np.uint8]:
    """Returns the middle of `pixels`, S / (S + 32) of the short side across: uint8 (C, C, 3), C >= 1, contiguous."""
    height, width = pixels.shape[:2]
    crop = max(1, int(side_px / (side_px + CROP_MARGIN_PX) * min(height, width)))
    top, left = (height - crop + 1) // 2, (width - crop + 1) // 2
    return np.ascontiguousarray(pixels[top : top + crop, left : left + crop])
