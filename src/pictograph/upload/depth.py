"""Pictures with more than 8 bits a value -> 8-bit grey: 16-bit PNG and TIFF, signed and 32-bit integers, floats."""

from __future__ import annotations

from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt
from PIL import Image

_Values: TypeAlias = npt.NDArray[Any]

_BIT_DEPTHS: Final = (8, 10, 12, 14, 16)
_BLOCK_VALUES: Final = 1_000_000


def is_deep(image: Image.Image) -> bool:
    """True for one-channel pictures whose values do not fit 8 bits."""
    return image.mode in ("I", "F") or image.mode.startswith("I;")


def to_eight_bits(image: Image.Image) -> Image.Image:
    """A deep picture as grey (mode L), or as grey with alpha (LA) if one of its values stands for transparent.

    Whole numbers from 0 to 65535 are scaled by the smallest of 8, 10, 12, 14 and 16 bits that holds the largest of
    them, so 12-bit data in a 16-bit file is not nearly black: 0..4095 -> 0..255. Floats within [0, 1] are scaled from
    there. Anything else (negative or larger numbers) has no white of its own: darkest -> 0, lightest -> 255. NaN -> 0.
    """
    values = np.asarray(image)  # (H, W)
    grey = Image.fromarray(_scaled_floats(values) if values.dtype.kind == "f" else _scaled_integers(values))
    transparent = image.info.get("transparency")
    if isinstance(transparent, int):
        opaque = np.where(values == transparent, np.uint8(0), np.uint8(255))
        return Image.merge("LA", (grey, Image.fromarray(opaque)))
    return grey


def _scaled_integers(values: _Values) -> npt.NDArray[np.uint8]:
    darkest, lightest = int(values.min()), int(values.max())
    if darkest < 0 or lightest >= 1 << 16:
        return _stretched(values, darkest, lightest)
    depth = next(bits for bits in _BIT_DEPTHS if lightest < 1 << bits)
    return (values >> (depth - 8)).astype(np.uint8)


def _scaled_floats(values: _Values) -> npt.NDArray[np.uint8]:
    finite = np.isfinite(values)
    darkest = float(np.min(values, where=finite, initial=np.inf))
    lightest = float(np.max(values, where=finite, initial=-np.inf))
    if darkest > lightest:
        return np.zeros(values.shape, np.uint8)
    if darkest >= 0.0 and lightest <= 1.0:
        darkest, lightest = 0.0, 1.0
    return _stretched(values, darkest, lightest)


def _stretched(values: _Values, darkest: float, lightest: float) -> npt.NDArray[np.uint8]:
    """darkest -> 0, lightest -> 255; a few rows at a time, since float64 takes eight times the room."""
    grey = np.empty(values.shape, np.uint8)
    factor = 255.0 / ((lightest - darkest) or 1.0)
    rows = max(1, _BLOCK_VALUES // values.shape[1])
    with np.errstate(invalid="ignore"):  # signalling NaNs complain when they are merely widened
        for top in range(0, values.shape[0], rows):
            block = values[top : top + rows].astype(np.float64)
            block = np.nan_to_num(block, copy=False, nan=darkest, posinf=lightest, neginf=darkest)
            grey[top : top + rows] = np.rint((block - darkest) * factor)
    return grey
