"""HEIF and AVIF: boxes in boxes. ISO/IEC 14496-12 (boxes), 23008-12 (items, their properties), H.273 (colour codes)."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from io import SEEK_END
from typing import BinaryIO, Final

from pictograph.upload.colour_space import ColourSpace, space_of_codes
from pictograph.upload.headers.refusals import cut_short

MAX_BOXES: Final = 10_000
"""In one box; a file has tens."""
MAX_META_BYTES: Final = 16_000_000
_LARGE: Final = frozenset({b"meta", b"mdat", b"moov"})


@dataclass(frozen=True, slots=True)
class _Box:
    name: bytes
    start: int
    """Of what is in it."""
    end: int


def read_colour_codes(file: BinaryIO) -> ColourSpace | None:
    """Reads the colour space that the primary picture's `colr` box names by code; None for sRGB, or if it names none.

    Raises BadImage if the file is visibly cut, or for a transfer function that is not known here.
    """
    properties = _properties_of_primary(file)
    found = next(
        (body for name, body in properties if name == b"colr" and body[:4] == b"nclx" and len(body) >= 8), None
    )
    return space_of_codes(*struct.unpack(">HH", found[4:8])) if found else None


def read_crop(file: BinaryIO, size: tuple[int, int]) -> tuple[int, int, int, int] | None:
    """Returns what the primary picture's `clap` box leaves of that size (left, top, right, bottom), before any turn.

    None if there is none, or if it makes no sense: it must end at whole pixels, inside.
    """
    found = next((body for name, body in _properties_of_primary(file) if name == b"clap" and len(body) >= 32), None)
    if found is None:
        return None
    numbers = struct.unpack(">IIIIiIiI", found[:32])
    if 0 in numbers[1::2]:
        return None
    width, height, right_by, down_by = (Fraction(numbers[at], numbers[at + 1]) for at in range(0, 8, 2))
    left, top = (size[0] - width) / 2 + right_by, (size[1] - height) / 2 + down_by
    box = left, top, left + width, top + height
    is_inside = 0 <= left < box[2] <= size[0] and 0 <= top < box[3] <= size[1]
    return (int(box[0]), int(box[1]), int(box[2]), int(box[3])) if is_inside and _are_whole(box) else None


def _are_whole(numbers: Iterable[Fraction]) -> bool:
    return all(number.denominator == 1 for number in numbers)


def _properties_of_primary(file: BinaryIO) -> list[tuple[bytes, bytes]]:
    """(name, body) of each property of the primary item. Raises BadImage if the file is visibly cut."""
    end = file.seek(0, SEEK_END)
    found = None
    for box in _boxes(file, 0, end):
        if box.end > end and box.name in _LARGE:
            raise cut_short(f"it says it has {box.end:,} bytes")
        if box.name == b"meta" and found is None and box.end - box.start <= MAX_META_BYTES:
            file.seek(box.start)
            found = _properties(file.read(box.end - box.start))
    return found or []


def _boxes(file: BinaryIO, start: int, end: int) -> Iterator[_Box]:
    at = start
    for _ in range(MAX_BOXES):
        file.seek(at)
        head = file.read(16)
        if len(head) < 8:
            return
        size, name, header = int.from_bytes(head[:4], "big"), head[4:8], 8
        if size == 1:
            size, header = int.from_bytes(head[8:16], "big"), 16
        box_end = end if size == 0 else at + size
        if box_end < at + header:
            return
        yield _Box(name, at + header, box_end)
        if box_end >= end:
            return
        at = box_end


def _properties(meta: bytes) -> list[tuple[bytes, bytes]]:
    """Returns those of the primary item; what cannot be parsed counts as absent, as decoders judge it later."""
    try:
        inside = dict(_parts(meta[4:]))
        primary = _number(inside[b"pitm"][4:], 4 if inside[b"pitm"][0] else 2)
        properties = dict(_parts(inside[b"iprp"]))
        shared = list(_parts(properties[b"ipco"]))
        return [shared[index - 1] for index in _indexes(properties[b"ipma"], primary) if 0 < index <= len(shared)]
    except (LookupError, struct.error):
        return []


def _parts(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = 0
    while at + 8 <= len(data):
        size = int.from_bytes(data[at : at + 4], "big") or len(data) - at
        if size < 8:
            return
        yield data[at + 4 : at + 8], data[at + 8 : at + size]
        at += size


def _number(data: bytes, size: int) -> int:
    return int.from_bytes(data[:size], "big")


def _indexes(table: bytes, item: int) -> list[int]:
    """Returns which of the shared properties (from 1) an item has: `ipma`."""
    version, is_wide = table[0], table[3] & 1
    id_size, index_size = (4 if version else 2), (2 if is_wide else 1)
    at = 8
    for _ in range(_number(table[4:], 4)):
        found, count = _number(table[at:], id_size), table[at + id_size]
        at += id_size + 1
        if found == item:
            essential = 0x8000 if is_wide else 0x80
            return [_number(table[at + step * index_size :], index_size) & (essential - 1) for step in range(count)]
        at += count * index_size
    return []
