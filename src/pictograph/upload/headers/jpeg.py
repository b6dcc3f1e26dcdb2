"""JPEG: a chain of marked segments, then the pixels. ITU-T T.81, annex B."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from io import SEEK_END
from typing import BinaryIO, Final

from pictograph.upload.headers.directory import exif_orientation
from pictograph.upload.headers.header import Header, broken, cut_short, exactly

MAX_HEADER_BYTES: Final = 32_000_000
"""Of everything before the pixels: profiles, thumbnails, depth maps. Cameras write up to about 10 MB."""
MAX_SEGMENTS: Final = 10_000
MAX_JUNK_BYTES: Final = 65_536
"""Between segments, all together; decoders step over it a byte at a time."""

_START_OF_SCAN: Final = 0xDA
_APP1: Final = 0xE1
_STANDALONE: Final = frozenset({0x01, *range(0xD0, 0xD9)})
_FRAMES: Final = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_END_MARKER: Final = b"\xff\xd9"
_TAIL_BYTES: Final = 65_536


def read_jpeg(file: BinaryIO) -> Header:
    """The size in the frame header, and the turn in the first EXIF block. Raises BadImage."""
    size: tuple[int, int] | None = None
    orientation: int | None = None
    for marker, length in _segments(file):
        if marker in _FRAMES:
            _precision, height, width = struct.unpack(">BHH", exactly(file, 5))
            size = width, height
        elif marker == _APP1 and orientation is None:
            orientation = _orientation(file.read(length))
    if size is None:
        raise broken("no size comes before the pixels")
    if not _has_end_marker(file):
        raise cut_short("the marker that ends a JPEG is missing")
    return Header(*size, orientation or 1)


def _segments(file: BinaryIO) -> Iterator[tuple[int, int]]:
    """(marker, bytes in it) of every segment before the pixels; `file` stands at its first byte."""
    position, junk = 2, 0
    for _ in range(MAX_SEGMENTS):
        file.seek(position)
        marker = _next_marker(file)
        junk += file.tell() - position - 2
        if marker == _START_OF_SCAN:
            return
        position = file.tell()
        if marker not in _STANDALONE:
            length = int.from_bytes(exactly(file, 2), "big")
            if length < 2:
                raise broken("a segment is shorter than its own length")
            yield marker, length - 2
            position += length
        if position > MAX_HEADER_BYTES or junk > MAX_JUNK_BYTES:
            raise broken("too much comes before the pixels")
    raise broken(f"more than {MAX_SEGMENTS:,} segments come before the pixels")


def _next_marker(file: BinaryIO) -> int:
    """The next marker's second byte; fill bytes and a little junk before it are skipped, as every decoder does."""
    before = 0
    for _ in range(MAX_JUNK_BYTES):
        byte = exactly(file, 1)[0]
        if before == 0xFF and byte not in (0x00, 0xFF):
            return byte
        before = byte
    raise broken("no marker where one should be")


def _orientation(segment: bytes) -> int | None:
    return exif_orientation(segment) if segment.startswith(b"Exif\0\0") else None


def _has_end_marker(file: BinaryIO) -> bool:
    """True if an end marker follows. Decoders say nothing about a copy that was cut and zero-filled: they draw grey."""
    pixels_start = file.tell()
    end = file.seek(0, SEEK_END)
    file.seek(max(pixels_start, end - _TAIL_BYTES))
    if file.read().rfind(_END_MARKER) >= 0:  # from behind: it is mostly the last two bytes
        return True
    file.seek(pixels_start)
    return _END_MARKER in file.read()
