"""JPEG: a chain of marked segments, then the pixels. ITU-T T.81, annex B."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from io import SEEK_END
from typing import BinaryIO, Final

from pictograph.errors import BadImage
from pictograph.upload.headers.directory import exif_orientation
from pictograph.upload.headers.header import Header
from pictograph.upload.headers.refusals import broken, cut_short, exactly

MAX_HEADER_BYTES: Final = 32_000_000
"""Of everything before the pixels: profiles, thumbnails, depth maps. Cameras write up to about 10 MB."""
MAX_SEGMENTS: Final = 10_000
MAX_JUNK_BYTES: Final = 65_536
"""Between segments, all together; decoders step over it a byte at a time."""
MAX_SCANS: Final = 100
"""Of one picture, progressive or not. Encoders write about 10; each costs a pass over all pixels, even an empty one."""

_START_OF_SCAN: Final = 0xDA
_APP1: Final = 0xE1
_STANDALONE: Final = frozenset({0x01, *range(0xD0, 0xD9)})
_FRAMES: Final = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_READABLE_FRAMES: Final = {0xC0, 0xC1, 0xC2, 0xC9, 0xCA}
_END_OF_IMAGE: Final = 0xD9
_JPEG_LS: Final = 0xF7
_MARKER_IN_PIXELS: Final = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")
_LOOK_BYTES: Final = (4_096, 1_048_576)
"""How much is read to find the end of a scan: little first, as there may be nothing in it."""
_END_MARKER: Final = b"\xff\xd9"
_TAIL_BYTES: Final = 65_536


def read_jpeg(file: BinaryIO) -> Header:
    """Reads the size in the frame header, and the turn in the first EXIF block. Raises BadImage."""
    size: tuple[int, int] | None = None
    exif: bytes | None = None
    for marker, length in _segments(file):
        if marker == _JPEG_LS:
            raise BadImage("This is a JPEG-LS, which is not supported. Save it as an ordinary JPEG or a PNG.")
        if marker in _FRAMES:
            precision, height, width = struct.unpack(">BHH", exactly(file, 5))
            _require_readable(marker, precision)
            size = width, height
        elif marker == _APP1 and exif is None:
            exif = _exif(file.read(length))
    if size is None:
        raise broken("no size comes before the pixels")
    pixels_start = file.tell()
    if not _has_end_marker(file):
        raise cut_short("the marker that ends a JPEG is missing")
    scans = _count_scans(file, pixels_start - 2)
    return Header(*size, exif_orientation(exif or b""), scans=scans, exif=exif or b"")


def _require_readable(frame: int, precision: int) -> None:
    if precision != 8:
        raise BadImage(f"This JPEG has {precision} bits a value, which is not supported. Save it with 8.")
    if frame not in _READABLE_FRAMES:
        kind = "lossless" if frame in (0xC3, 0xCB) else "hierarchical"
        raise BadImage(f"This is a {kind} JPEG, which is not supported. Save it as an ordinary JPEG or a PNG.")


def _count_scans(file: BinaryIO, position: int) -> int:
    """How many passes over the pixels there are, up to the end of the first picture. Raises BadImage above MAX_SCANS.

    position: of the marker that starts the first.
    """
    scans = 0
    for _ in range(MAX_SEGMENTS):
        file.seek(position)
        marker = file.read(2)[1:]
        if not marker or marker[0] == _END_OF_IMAGE:
            return scans
        position += 2
        if marker[0] not in _STANDALONE:
            position += max(2, int.from_bytes(file.read(2), "big"))
        if marker[0] == _START_OF_SCAN:
            scans += 1
        if scans > MAX_SCANS:
            raise BadImage(f"This JPEG has more than {MAX_SCANS} scans, far more than a picture needs.")
        position = _next_marker_in_pixels(file, position)
    raise broken(f"more than {MAX_SEGMENTS:,} segments lie among the pixels")


def _next_marker_in_pixels(file: BinaryIO, position: int) -> int:
    """Where the next marker stands that is not a restart; the end of the file if there is none."""
    look_bytes, most = _LOOK_BYTES
    while True:
        file.seek(position)
        part = file.read(look_bytes)
        found = _MARKER_IN_PIXELS.search(part)
        if found:
            return position + found.start()
        if len(part) < look_bytes:
            return position + len(part)
        position += len(part) - 1  # the last byte may be the first of a marker
        look_bytes = most


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


def _exif(segment: bytes) -> bytes | None:
    return segment if segment.startswith(b"Exif\0\0") else None


def _has_end_marker(file: BinaryIO) -> bool:
    """True if an end marker follows. Decoders say nothing about a copy that was cut and zero-filled: they draw grey."""
    pixels_start = file.tell()
    end = file.seek(0, SEEK_END)
    file.seek(max(pixels_start, end - _TAIL_BYTES))
    if file.read().rfind(_END_MARKER) >= 0:  # from behind: it is mostly the last two bytes
        return True
    file.seek(pixels_start)
    return _END_MARKER in file.read()
