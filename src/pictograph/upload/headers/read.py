"""One door to the header of any format."""

from __future__ import annotations

from collections.abc import Callable
from io import SEEK_END
from typing import BinaryIO, Final

from pictograph.errors import BadImage
from pictograph.sniff import PictureFormat
from pictograph.upload.headers.gif import read_gif
from pictograph.upload.headers.header import Header
from pictograph.upload.headers.jpeg import read_jpeg
from pictograph.upload.headers.png import read_png
from pictograph.upload.headers.refusals import broken
from pictograph.upload.headers.tiff import read_tiff
from pictograph.upload.headers.tiff_layout import require_whole
from pictograph.upload.headers.webp import read_webp
from pictograph.upload.limits import PictureLimits, check_size

MAX_SCAN_WORK: Final = 20
"""Scans x pixels of a JPEG, as a multiple of `max_pixels`: each scan is a pass over all pixels."""

_READERS: Final[dict[PictureFormat, Callable[[BinaryIO], Header]]] = {
    "JPEG": read_jpeg,
    "PNG": read_png,
    "GIF": read_gif,
    "WEBP": read_webp,
    "TIFF": read_tiff,
}


def read_header(picture_format: PictureFormat, file: BinaryIO, limits: PictureLimits) -> Header | None:
    """Reads the header of a file; None for formats (BMP, HEIF, AVIF) whose decoder may be asked first without risk.

    Raises TooLarge above `limits`, BadImage if the header is broken or the file visibly cut, UnsupportedFormat for
    camera RAW dressed as TIFF.
    """
    reader = _READERS.get(picture_format)
    if reader is None:
        return None
    file.seek(0)
    header = reader(file)
    if header.width < 1 or header.height < 1:
        raise broken(f"it says the picture is {header.width} x {header.height}")
    check_size(header.width, header.height, limits)
    _check_scans(header, limits)
    if header.tiff:
        require_whole(header.tiff, file.seek(0, SEEK_END))
    return header


def _check_scans(header: Header, limits: PictureLimits) -> None:
    if header.scans * header.width * header.height > MAX_SCAN_WORK * limits.max_pixels:
        raise BadImage(f"This JPEG has {header.scans:,} scans, far more than its size needs.")
