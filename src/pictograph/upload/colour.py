"""Any mode a decoder gives -> opaque 8-bit RGB in sRGB."""

from __future__ import annotations

from functools import lru_cache
from io import BytesIO
from typing import Final

import numpy as np
from PIL import Image, ImageCms

from pictograph.upload.colour_space import ColourSpace, profile_of
from pictograph.upload.depth import is_deep, to_eight_bits

MAX_PROFILE_BYTES: Final = 4_000_000
"""Larger colour profiles are ignored; printers' CMYK profiles have 0.5 to 2 MB."""
_UNNOTICEABLE: Final = 2
"""Of 255: profiles that move no colour further than this are taken for sRGB, whatever they are called."""

_PROFILE_SPACES: Final = {"RGB": "RGB ", "L": "GRAY", "CMYK": "CMYK"}
_SRGB: Final = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))


def to_opaque_srgb(image: Image.Image, *, shrink_by: int = 1, space: ColourSpace | None = None) -> Image.Image:
    """A decoded picture as RGB: palettes looked up, alpha laid over white, deep values scaled, the ICC profile applied.

    shrink_by: every square of that many pixels a side becomes one (their mean; transparent ones do not bleed), which
    is done as soon as values can be averaged and before the costly steps. space: what the file says its colours mean,
    other than by a profile, which counts before it except where the space is HDR.
    """
    profile = image.info.get("icc_profile")
    image = _with_direct_values(image, absolute=space is not None and space.is_hdr)
    if shrink_by > 1:
        image = image.reduce(shrink_by)
    if space is not None and image.mode != "CMYK" and (space.is_hdr or not profile):
        return _over_white(_in_srgb_with_alpha(image, profile_of(space)))
    return _in_srgb(_over_white(image), profile)


def _in_srgb_with_alpha(image: Image.Image, profile: bytes) -> Image.Image:
    """In sRGB before it is laid over white: white is not the same number in every space."""
    if image.mode in ("La", "RGBa"):
        image = image.convert(image.mode[:-1] + "A")
    alpha = image.getchannel("A") if image.mode in ("LA", "RGBA") else None
    colours = _in_srgb(image.convert("RGB"), profile)
    if alpha is not None:
        colours.putalpha(alpha)
    return colours


def _with_direct_values(image: Image.Image, *, absolute: bool) -> Image.Image:
    """Values that can be averaged: no palette, no key colour, 8 bits each."""
    if is_deep(image):
        return to_eight_bits(image, absolute=absolute)
    if image.mode in ("P", "PA"):
        return image.convert("RGBA" if image.has_transparency_data else "RGB")
    if "transparency" in image.info and image.mode in ("1", "L", "RGB"):
        return image.convert("LA" if image.mode in ("1", "L") else "RGBA")
    return image.convert("L") if image.mode == "1" else image


def _over_white(image: Image.Image) -> Image.Image:
    premultiplied = {"La": "LA", "RGBa": "RGBA"}.get(image.mode)
    if premultiplied:
        image = image.convert(premultiplied)
    if image.mode not in ("LA", "RGBA"):
        return image
    opaque_mode = image.mode[:-1]
    alpha = image.getchannel("A")
    if alpha.getextrema() == (255, 255):
        return image.convert(opaque_mode)
    white = Image.new(opaque_mode, image.size, "white")
    white.paste(image.convert(opaque_mode), mask=alpha)
    return white


def _in_srgb(image: Image.Image, profile: object) -> Image.Image:
    if isinstance(profile, bytes) and 0 < len(profile) <= MAX_PROFILE_BYTES and image.mode in _PROFILE_SPACES:
        transform = _transform_to_srgb(profile, image.mode)
        if transform is not None:
            return ImageCms.applyTransform(image, transform) or image
    return image if image.mode == "RGB" else image.convert("RGB")


@lru_cache(maxsize=32)
def _transform_to_srgb(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """The way from a profile to sRGB; None if it is broken, made for other channels, or makes no visible difference."""
    try:
        source = ImageCms.ImageCmsProfile(BytesIO(profile))
        if source.profile.xcolor_space != _PROFILE_SPACES[mode]:
            return None
        transform = ImageCms.buildTransform(source, _SRGB, mode, "RGB", ImageCms.Intent.PERCEPTUAL)
        return transform if _is_noticeable(transform, mode) else None
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return None


def _is_noticeable(transform: ImageCms.ImageCmsTransform, mode: str) -> bool:
    if mode == "CMYK":
        return True
    colours = _test_colours(mode)
    moved = np.asarray(ImageCms.applyTransform(colours, transform), np.int16)
    return int(np.abs(moved - np.asarray(colours.convert("RGB"), np.int16)).max()) > _UNNOTICEABLE


def _test_colours(mode: str) -> Image.Image:
    """Returns a picture of 9 x 9 x 9 colours of the cube, or of all 256 greys."""
    if mode == "L":
        return Image.fromarray(np.arange(256, dtype=np.uint8)[None])
    steps = np.linspace(0, 255, 9).astype(np.uint8)
    cube = np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(1, -1, 3)  # (1, 729, 3)
    return Image.fromarray(cube)
