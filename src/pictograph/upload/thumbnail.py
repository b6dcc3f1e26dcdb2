"""A small JPEG for the eye."""

from __future__ import annotations

from io import BytesIO
from typing import Final

from PIL import Image

from pictograph.upload.picture import Picture

_QUALITY: Final = 82


def thumbnail_of(picture: Picture, side_px: int) -> bytes:
    """Makes a JPEG of a picture with no metadata (no place, no camera), its longer side `side_px`.

    A smaller picture keeps its size.
    """
    image = Image.fromarray(picture.pixels)
    size = fitted(image.size, side_px)
    if size != image.size:
        image = image.resize(size, Image.Resampling.HAMMING)  # a third of the time of LANCZOS, at every ingest
    jpeg = BytesIO()
    image.save(jpeg, "JPEG", quality=_QUALITY)
    return jpeg.getvalue()


def fitted(size: tuple[int, int], side_px: int) -> tuple[int, int]:
    """Returns a size with the same shape whose longer side is at most `side_px`, and whose shorter is at least 1."""
    scale = min(1.0, side_px / max(size))
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))
