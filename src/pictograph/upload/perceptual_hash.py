"""A 64-bit hash of what a picture looks like: it hardly changes when the picture is saved again, smaller or larger.

How: C. Zauner, "Implementation and Benchmarking of Perceptual Image Hash Functions" (2010), section 3.2.1, as pHash
does it: the luminance at 32 x 32, its discrete cosine transform, of that the 8 x 8 lowest frequencies without those of
whole rows and columns. Of each the sign, not whether it is above the median, as there: it tells pictures apart as well
(`python -m benchmarks duplicates quality`), and from the signs those of the mirror image follow. Pictures that look
alike differ in few bits.
"""

from __future__ import annotations

from functools import cache
from typing import Final

import numpy as np
import numpy.typing as npt
from PIL import Image

SIDE_PX: Final = 32
KEPT: Final = 8
"""Frequencies along each side, from the second lowest on."""
BITS: Final = KEPT * KEPT
DECIMALS: Final = 3
"""Coefficients closer to each other, in grey levels, are equal: a plain picture has no bit set, on every machine."""

MIRROR: Final = np.uint64(0xAAAA_AAAA_AAAA_AAAA)
"""The bits of waves that are odd across: those turn round in the mirror image."""


def perceptual_hash(pixels: npt.NDArray[np.uint8]) -> int:
    """The hash of uint8 (H, W, 3), RGB: 64 bits as a signed integer, the first coefficient's bit the highest.

    Thread-safe; about 0.3 ms for 500 x 375. Two pictures are compared by `(one ^ other).bit_count()` of the 64 bits.
    """
    grey = Image.fromarray(pixels).convert("L").resize((SIDE_PX, SIDE_PX), Image.Resampling.BOX)
    waves = cosines()[1 : KEPT + 1]
    coefficients = np.round(waves @ np.asarray(grey, np.float64) @ waves.T, DECIMALS)
    bits = np.packbits(coefficients > 0)
    return int.from_bytes(bits.tobytes(), "big", signed=True)


def mirrored(hashes: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """The hashes of the mirror images, left for right, uint64 (N,), of those of pictures: nothing is decoded again."""
    return hashes ^ MIRROR


@cache
def cosines() -> npt.NDArray[np.float64]:
    """float64 (32, 32): row k is the k-th wave of the orthonormal DCT-II."""
    place = np.arange(SIDE_PX)
    waves = np.cos(np.pi / SIDE_PX * (place[None] + 0.5) * place[:, None]) * np.sqrt(2 / SIDE_PX)
    waves[0] /= np.sqrt(2)
    return np.asarray(waves, np.float64)
