"""What a header says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pictograph.upload.colour_space import ColourSpace
    from pictograph.upload.headers.tiff_layout import TiffLayout


@dataclass(frozen=True, slots=True)
class Header:
    """What a header says about the picture."""

    width: int
    """Pixels across, as stored: before any turn."""
    height: int
    """Pixels down, as stored."""
    orientation: int = 1
    """The EXIF turn still to be made, 1 to 8; 1 if there is none or the decoder makes it."""
    scans: int = 1
    """Passes over the pixels of a JPEG."""
    bits: int = 8
    """Of one value of a PNG."""
    samples: int = 3
    """Of one pixel of a PNG: 1 grey or palette, 2 grey and alpha, 3 colour, 4 colour and alpha."""
    colour: ColourSpace | None = None
    """What a PNG says its colours mean, other than by a profile."""
    page: int = 0
    """Of a TIFF that Pillow reads: which page is the picture."""
    tiff: TiffLayout | None = None
    """How its samples lie, for a TIFF that is read here and not by Pillow."""
    exif: bytes = b""
    """The EXIF block of a JPEG, PNG or WebP."""
