"""TIFF: a directory of tags. TIFF 6.0, section 2; the tags of camera RAW: DNG 1.7, TIFF/EP."""

from __future__ import annotations

from typing import BinaryIO, Final

from pictograph.sniff import unsupported
from pictograph.upload.headers.directory import Directory, read_directory
from pictograph.upload.headers.header import Header, broken

MAX_VALUES: Final = 500_000
"""Of one tag: 100 million pixels in strips of one row, or in tiles of 16 x 16, stay below."""
MAX_TILE_PIXELS: Final = 100_000_000

_NEW_SUBFILE_TYPE: Final = 254
_WIDTH: Final = 256
_LENGTH: Final = 257
_PHOTOMETRIC: Final = 262
_TILE_WIDTH: Final = 322
_TILE_LENGTH: Final = 323
_SUB_IFDS: Final = 330
_DNG_VERSION: Final = 50706
_COLOUR_FILTER_ARRAY: Final = 32803


def read_tiff(file: BinaryIO) -> Header:
    """The size of the first page; its turn is made by the decoder, which then says the turned size.

    Raises BadImage, or UnsupportedFormat for camera RAW that looks like TIFF.
    """
    directory = read_directory(file)
    _refuse_raw(directory)
    for number, tag in directory.items():
        if tag.is_numbers and tag.count > MAX_VALUES:
            raise broken(f"tag {number} has {tag.count:,} values")
    if _value(directory, _TILE_WIDTH, 1) * _value(directory, _TILE_LENGTH, 1) > MAX_TILE_PIXELS:
        raise broken("one of its tiles is larger than a picture")
    return Header(_value(directory, _WIDTH, 0), _value(directory, _LENGTH, 0))


def _refuse_raw(directory: Directory) -> None:
    """A decoder would read the small preview and call it the picture."""
    if _DNG_VERSION in directory:
        raise unsupported("a camera RAW file (DNG)")
    is_preview = _value(directory, _NEW_SUBFILE_TYPE, 0) & 1 == 1
    if _value(directory, _PHOTOMETRIC, 0) == _COLOUR_FILTER_ARRAY or (is_preview and _SUB_IFDS in directory):
        raise unsupported("a camera RAW file (NEF, ARW or the like)")


def _value(directory: Directory, number: int, default: int) -> int:
    tag = directory.get(number)
    return default if tag is None or tag.value is None else tag.value
