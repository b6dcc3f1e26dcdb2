"""A small JPEG, or WebP, for the eye."""

from __future__ import annotations

from io import BytesIO
from typing import Final

from PIL import Image

from pictograph.upload.picture import Picture

_QUALITY: Final = 82
_WEBP_QUALITY: Final = 78
_WEBP_METHOD: Final = 2  # method 4, the library's own, takes twice as long for 3 % less


def thumbnail_of(picture: Picture, side_px: int, *, as_webp: bool = False) -> bytes:
    """Makes a JPEG, or WebP, of a picture with no metadata (no place, no camera), its longer side `side_px`.

    A smaller picture keeps its size.
    """
    image = Image.fromarray(picture.pixels)
    size = fitted(image.size, side_px)
    if size != image.size:
        image = image.resize(size, Image.Resampling.HAMMING)  # a third of the time of LANCZOS, at every ingest
    file = BytesIO()
    if as_webp:
        image.save(file, "WEBP", quality=_WEBP_QUALITY, method=_WEBP_METHOD)
    else:
        image.save(file, "JPEG", quality=_QUALITY)
    return file.getvalue()


def fitted(size: tuple[int, int], side_px: int) -> tuple[int, int]:
    """Returns a size with the same shape whose longer side is at most `side_px`, and whose shorter is at least 1."""
    scale = min(1.0, side_px / max(size))
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))
