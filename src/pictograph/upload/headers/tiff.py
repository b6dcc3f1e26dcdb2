"""TIFF: a directory of tags. TIFF 6.0, section 2; the tags of camera RAW: DNG 1.7, TIFF/EP."""

from __future__ import annotations

from typing import BinaryIO, Final

from pictograph.sniff import unsupported
from pictograph.upload.headers.directory import ORIENTATION, Directory, orientation_of, read_directories
from pictograph.upload.headers.header import Header
from pictograph.upload.headers.refusals import broken
from pictograph.upload.headers.tiff_layout import read_layout

MAX_VALUES: Final = 500_000
"""Of one tag: 100 million pixels in strips of one row, or in tiles of 16 x 16, stay below."""
MAX_TILE_PIXELS: Final = 100_000_000
MAX_REDUCED_PAGES: Final = 16
"""How many pages are looked at for the one that is the picture."""

_NEW_SUBFILE_TYPE: Final = 254
_PHOTOMETRIC: Final = 262
_TILE_WIDTH: Final = 322
_TILE_LENGTH: Final = 323
_SUB_IFDS: Final = 330
_DNG_VERSION: Final = 50706
_COLOUR_FILTER_ARRAY: Final = 32803


def read_tiff(file: BinaryIO) -> Header:
    """Reads the size of the first page that is not a reduced copy.

    Where Pillow decodes it, it also makes the turn, and then says the turned size.

    Raises BadImage, by name for what cannot be read here, or UnsupportedFormat for camera RAW that looks like TIFF.
    """
    page, directory = _main_page(file)
    for number, tag in directory.items():
        if tag.is_numbers and tag.count > MAX_VALUES:
            raise broken(f"tag {number} has {tag.count:,} values")
    if _value(directory, _TILE_WIDTH, 1) * _value(directory, _TILE_LENGTH, 1) > MAX_TILE_PIXELS:
        raise broken("one of its tiles is larger than a picture")
    layout = read_layout(file, directory)
    if layout.is_plain:
        return Header(layout.width, layout.height, page=page)
    return Header(layout.width, layout.height, orientation_of(directory.get(ORIENTATION)), tiff=layout)


def _main_page(file: BinaryIO) -> tuple[int, Directory]:
    """Returns the first page that does not call itself a reduced copy of another, and its number; else the first."""
    pages = read_directories(file, MAX_REDUCED_PAGES)
    first = next(pages)
    _refuse_raw(first)
    if not _is_reduced(first):
        return 0, first
    return next(((number, page) for number, page in enumerate(pages, 1) if not _is_reduced(page)), (0, first))


def _is_reduced(directory: Directory) -> bool:
    return _value(directory, _NEW_SUBFILE_TYPE, 0) & 1 == 1


def _refuse_raw(directory: Directory) -> None:
    """A decoder would read the small preview and call it the picture."""
    if _DNG_VERSION in directory:
        raise unsupported("a camera RAW file (DNG)")
    has_hidden_picture = _is_reduced(directory) and _SUB_IFDS in directory
    if _value(directory, _PHOTOMETRIC, 0) == _COLOUR_FILTER_ARRAY or has_hidden_picture:
        raise unsupported("a camera RAW file (NEF, ARW or the like)")


def _value(directory: Directory, number: int, default: int) -> int:
    tag = directory.get(number)
    return default if tag is None or tag.value is None else tag.value
