"""What a picture is once it has been read."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, slots=True)
class PictureFacts:
    """What the header says, before anything is decoded."""

    format: str
    """`JPEG`, `PNG`, `WEBP`, `GIF`, `BMP`, `TIFF`, `HEIF` or `AVIF`: by content, never by name."""
    content_type: str
    """The MIME type of that format, `image/jpeg` for instance."""
    width: int
    """Pixels across, as a person sees it (after the EXIF turn)."""
    height: int
    """Pixels down, as a person sees it (after the EXIF turn)."""
    taken_at: datetime | None = None
    """When the camera says that it was taken, UTC; None if the file does not say (upload/exif.py)."""
    camera: str | None = None
    """Make and model; None if the file does not say."""


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture a network can look at: upright, opaque, three channels."""

    pixels: npt.NDArray[np.uint8]
    """uint8 (H, W, 3), RGB, C-contiguous. May be smaller than the file's own size (see `decode_picture`)."""
    facts: PictureFacts
