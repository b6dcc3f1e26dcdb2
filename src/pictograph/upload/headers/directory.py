"""The tag directory that TIFF files and EXIF blocks share, read without decoding anything."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from io import SEEK_CUR, BytesIO
from typing import BinaryIO, Final, TypeAlias

from pictograph.errors import BadImage
from pictograph.upload.headers.refusals import broken, exactly

ORIENTATION: Final = 0x0112
EXIF_START: Final = b"Exif\0\0"
_MAX_TAGS: Final = 4096
MAX_NUMBERS: Final = 1_000_000
"""Of one tag: more than any picture has strips."""
_INTEGERS: Final = {1: "B", 3: "H", 4: "I", 13: "I", 16: "Q"}
_NUMBERS: Final = {**_INTEGERS, 6: "b", 8: "h", 9: "i", 11: "f", 12: "d", 17: "q"}
_SIZES: Final = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}


@dataclass(frozen=True, slots=True)
class Tag:
    """One row of a directory."""

    type: int
    """TIFF 6.0 section 2: 1 byte, 2 text, 3 short, 4 long, 5 rational, 7 raw bytes, ..."""
    count: int
    """How many values it says it has."""
    value: int | None
    """Its first value if that is a whole number stored in the row itself, else None."""
    at: int
    """Where in the file its values lie."""
    order: str
    """`<` or `>`: how its numbers are written."""

    @property
    def is_numbers(self) -> bool:
        """True if a reader turns it into `count` numbers, False for text and raw bytes."""
        return self.type not in (1, 2, 6, 7)


Directory: TypeAlias = dict[int, Tag]


@dataclass(frozen=True, slots=True)
class _Layout:
    """How the numbers of this file are written: TIFF has four dialects."""

    order: str
    is_big: bool

    @property
    def offset(self) -> struct.Struct:
        return struct.Struct(self.order + ("Q" if self.is_big else "I"))

    @property
    def tag_count(self) -> struct.Struct:
        return struct.Struct(self.order + ("Q" if self.is_big else "H"))

    @property
    def row(self) -> struct.Struct:
        return struct.Struct(self.order + ("HHQ8s" if self.is_big else "HHI4s"))


def read_directory(file: BinaryIO) -> Directory:
    """The first directory of a TIFF or BigTIFF that starts where `file` stands; the last of two equal tags counts.

    Raises BadImage if it is cut short or absurd.
    """
    return next(read_directories(file, 1))


def read_directories(file: BinaryIO, most: int) -> Iterator[Directory]:
    """The directories one after another, at most so many; a chain that leads back ends there. Raises BadImage."""
    start = file.tell()
    layout = _read_layout(file)
    (offset,) = _unpack(file, layout.offset)
    seen: set[int] = set()
    while len(seen) < most and offset not in seen and (offset or not seen):
        seen.add(offset)
        file.seek(start + min(offset, 2**62))
        (count,) = _unpack(file, layout.tag_count)
        if not 0 < count <= _MAX_TAGS:
            raise broken(f"its tag directory says it has {count} tags")
        first_row = file.tell()
        yield _read_tags(file, layout, count, start)
        if len(seen) < most:
            file.seek(first_row + count * layout.row.size)
            (offset,) = _unpack(file, layout.offset)


def read_directory_at(file: BinaryIO, offset: int) -> Directory:
    """A directory that another one points to, in a TIFF or EXIF block that fills `file`. Raises BadImage."""
    file.seek(0)
    layout = _read_layout(file)
    file.seek(min(offset, 2**62))
    (count,) = _unpack(file, layout.tag_count)
    if not 0 < count <= _MAX_TAGS:
        raise broken(f"its tag directory says it has {count} tags")
    return _read_tags(file, layout, count, 0)


def exif_orientation(exif: bytes) -> int:
    """Reads the EXIF orientation, 1 to 8; 1 (upright) if the block does not say or is broken, as browsers do."""
    try:
        orientation = read_directory(BytesIO(exif.removeprefix(EXIF_START))).get(ORIENTATION)
    except BadImage:
        return 1
    return orientation_of(orientation)


def orientation_of(tag: Tag | None) -> int:
    """Returns the value of an orientation tag, 1 to 8; anything else counts as 1."""
    return tag.value if tag and tag.value and 1 <= tag.value <= 8 else 1


def _read_layout(file: BinaryIO) -> _Layout:
    magic = file.read(4)
    order = {b"II": "<", b"MM": ">"}.get(magic[:2])
    if order is None or magic[2:] not in (b"*\0", b"\0*", b"+\0", b"\0+"):
        raise broken("its tag directory does not start like TIFF")
    is_big = b"+" in magic
    if is_big:
        file.seek(4, SEEK_CUR)
    return _Layout(order, is_big)


def _read_tags(file: BinaryIO, layout: _Layout, count: int, start: int) -> Directory:
    row = layout.row
    first_row = file.tell()
    rows = exactly(file, row.size * count)
    return {
        number: Tag(
            kind,
            values,
            _first_integer(layout, kind, values, inline),
            _place_of_values(layout, (kind, values, inline), start, first_row + (index + 1) * row.size),
            layout.order,
        )
        for index, (number, kind, values, inline) in enumerate(row.iter_unpack(rows))
    }


def read_numbers(file: BinaryIO, tag: Tag) -> tuple[float, ...]:
    """Reads all values of a tag of whole or broken numbers; none if it holds something else. Raises BadImage."""
    kind = _NUMBERS.get(tag.type)
    if kind is None or tag.count > MAX_NUMBERS:
        return ()
    file.seek(min(tag.at, 2**62))
    return struct.unpack(f"{tag.order}{tag.count}{kind}", exactly(file, tag.count * struct.calcsize(f"<{kind}")))


def read_bytes(file: BinaryIO, tag: Tag, most: int) -> bytes:
    """Reads the values of a tag of single bytes; nothing if there are more than `most`. Raises BadImage."""
    if tag.count > most:
        return b""
    file.seek(min(tag.at, 2**62))
    return exactly(file, tag.count)


def _place_of_values(layout: _Layout, row: tuple[int, int, bytes], start: int, row_end: int) -> int:
    kind, count, inline = row
    if count * _SIZES.get(kind, 1) <= len(inline):
        return row_end - len(inline)
    (offset,) = layout.offset.unpack(inline)
    return start + int(offset)


def _first_integer(layout: _Layout, kind: int, count: int, inline: bytes) -> int | None:
    if kind not in _INTEGERS or count < 1:
        return None
    shape = struct.Struct(layout.order + _INTEGERS[kind])
    if count * shape.size > len(inline):
        return None
    value: int = shape.unpack_from(inline)[0]
    return value


def _unpack(file: BinaryIO, shape: struct.Struct) -> tuple[int, ...]:
    return shape.unpack(exactly(file, shape.size))
