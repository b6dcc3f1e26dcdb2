"""One door to the header of any format."""

from __future__ import annotations

from collections.abc import Callable
from typing import BinaryIO, Final

from pictograph.sniff import PictureFormat
from pictograph.upload.headers.gif import read_gif
from pictograph.upload.headers.header import Header, broken
from pictograph.upload.headers.jpeg import read_jpeg
from pictograph.upload.headers.png import read_png
from pictograph.upload.headers.tiff import read_tiff
from pictograph.upload.headers.webp import read_webp
from pictograph.upload.limits import PictureLimits, check_size

_READERS: Final[dict[PictureFormat, Callable[[BinaryIO], Header]]] = {
    "JPEG": read_jpeg,
    "PNG": read_png,
    "GIF": read_gif,
    "WEBP": read_webp,
    "TIFF": read_tiff,
}


def read_header(picture_format: PictureFormat, file: BinaryIO, limits: PictureLimits) -> Header | None:
    """The header of a file; None for formats (BMP, HEIF, AVIF) whose decoder may be asked first without risk.

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
    return header
