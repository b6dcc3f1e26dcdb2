"""Pictures with more than 8 bits a value -> 8 bits: 16-bit PNG and TIFF, signed and 32-bit integers, floats.

One rule for grey and for colour (docs/formats.md): the three channels of a colour picture are scaled alike.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt
from PIL import Image

_Values: TypeAlias = npt.NDArray[Any]
_Bytes: TypeAlias = npt.NDArray[np.uint8]

_BIT_DEPTHS: Final = (8, 10, 12, 14, 16)
_BLOCK_VALUES: Final = 1_000_000
_MODES: Final = {1: "L", 3: "RGB", 4: "CMYK"}


@dataclass(frozen=True, slots=True)
class Samples:
    """The values of a deep picture, and what the file says of them."""

    colours: _Values
    """(H, W, C): 1 grey, 3 RGB, 4 CMYK; any number type, in the machine's byte order."""
    alpha: _Values | None = None
    """(H, W), of the same type."""
    premultiplied: bool = False
    white_is_zero: bool = False
    ends: tuple[float, float] | None = None
    """What the file calls black and white; used where the number type has no white of its own."""
    absolute: bool = False
    """True where values mean brightness (PQ, HLG): they keep the file's own depth, however dark they are."""


def is_deep(image: Image.Image) -> bool:
    """True for one-channel pictures whose values do not fit 8 bits."""
    return image.mode in ("I", "F") or image.mode.startswith("I;")


def to_eight_bits(image: Image.Image, *, absolute: bool = False) -> Image.Image:
    """A deep picture of Pillow's as grey (mode L), or as grey with alpha (LA) if one of its values is transparent.

    absolute: see `Samples`.
    """
    values = np.asarray(image)  # (H, W)
    grey = Image.fromarray((values >> 8).astype(np.uint8) if absolute else scaled(values))
    transparent = image.info.get("transparency")
    if isinstance(transparent, int):
        opaque = np.where(values == transparent, np.uint8(0), np.uint8(255))
        return Image.merge("LA", (grey, Image.fromarray(opaque)))
    return grey


def to_picture(samples: Samples, mode: str | None = None) -> Image.Image:
    """8 bits each, as L, RGB or CMYK, or with alpha as LA, La, RGBA or RGBa (small a: premultiplied)."""
    colours = samples.colours >> 8 if samples.absolute else scaled(samples.colours, samples.ends)
    if samples.white_is_zero:
        colours = 255 - colours
    channels = colours.astype(np.uint8, copy=False)
    mode = mode or _MODES[channels.shape[-1]]
    if samples.alpha is None:
        return _image(mode, channels)
    alpha = _scaled_alpha(samples.alpha, samples.colours)
    suffix = "a" if samples.premultiplied else "A"
    return _image(mode + suffix, np.concatenate([channels, alpha[..., None]], axis=-1))


def scaled(values: _Values, ends: tuple[float, float] | None = None) -> _Bytes:
    """Returns the same shape in uint8.

    Whole numbers from 0 to 65535 are scaled by the smallest of 8, 10, 12, 14 and 16 bits that holds the largest of
    them, so 12-bit data in a 16-bit file is not nearly black: 0..4095 -> 0..255. Floats within [0, 1] are scaled from
    there, unsigned numbers above 65535 by the smallest number of bits that holds the largest, signed 8-bit ones from
    -128..127. Anything else (other signed numbers, larger floats) has no white of its own: the file's ends if it names
    any, else darkest -> 0, lightest -> 255. NaN -> 0.
    """
    return _scaled_floats(values, ends) if values.dtype.kind == "f" else _scaled_integers(values, ends)


def _image(mode: str, channels: _Bytes) -> Image.Image:
    height, width = channels.shape[:2]
    return Image.frombytes(mode, (width, height), np.ascontiguousarray(channels).tobytes())


def _scaled_alpha(alpha: _Values, colours: _Values) -> _Bytes:
    """Opaque is the largest value that the alpha's type has, or that the data have where they are shallower."""
    if alpha.dtype.kind == "f":
        return _stretched(alpha.clip(0, 1), 0.0, 1.0)
    lightest = max(int(alpha.max()), int(colours.max()))
    if alpha.dtype.kind == "u" and lightest < 1 << 16:
        return (alpha >> (_depth(lightest) - 8)).astype(np.uint8)
    return _stretched(alpha, 0.0, float(np.iinfo(alpha.dtype).max))


def _depth(lightest: int) -> int:
    return next(bits for bits in _BIT_DEPTHS if lightest < 1 << bits)


def _scaled_integers(values: _Values, ends: tuple[float, float] | None) -> _Bytes:
    if values.dtype.itemsize == 1 and values.dtype.kind == "i":
        shifted: _Bytes = values.view(np.uint8) ^ np.uint8(128)
        return shifted
    darkest, lightest = int(values.min()), int(values.max())
    if values.dtype.kind == "u" and lightest >= 1 << 16:
        upper: _Bytes = (values >> values.dtype.type(lightest.bit_length() - 8)).astype(np.uint8)
        return upper
    if darkest < 0 or lightest >= 1 << 16:
        return _stretched(values, *(_usable(ends) or (darkest, lightest)))
    return (values >> (_depth(lightest) - 8)).astype(np.uint8)


def _scaled_floats(values: _Values, ends: tuple[float, float] | None) -> _Bytes:
    finite = np.isfinite(values)
    darkest = float(np.min(values, where=finite, initial=np.inf))
    lightest = float(np.max(values, where=finite, initial=-np.inf))
    if darkest > lightest:
        return np.zeros(values.shape, np.uint8)
    if darkest >= 0.0 and lightest <= 1.0:
        darkest, lightest = 0.0, 1.0
    return _stretched(values, *(_usable(ends) or (darkest, lightest)))


def _usable(ends: tuple[float, float] | None) -> tuple[float, float] | None:
    return ends if ends and np.isfinite(ends).all() and ends[0] < ends[1] else None


def _stretched(values: _Values, darkest: float, lightest: float) -> _Bytes:
    """darkest -> 0, lightest -> 255; a few rows at a time, since float64 takes eight times the room."""
    grey = np.empty(values.shape, np.uint8)
    factor = 255.0 / ((lightest - darkest) or 1.0)
    rows = max(1, _BLOCK_VALUES // int(np.prod(values.shape[1:])))
    with np.errstate(invalid="ignore"):  # signalling NaNs complain when they are merely widened
        for top in range(0, values.shape[0], rows):
            block = values[top : top + rows].astype(np.float64)
            block = np.nan_to_num(block, copy=False, nan=darkest, posinf=lightest, neginf=darkest)
            grey[top : top + rows] = np.rint((block - darkest) * factor).clip(0, 255)
    return grey
