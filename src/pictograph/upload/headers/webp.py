"""WebP: a RIFF file whose first chunk tells the canvas. RFC 9649, section 2."""

from __future__ import annotations

import struct
from io import SEEK_END
from typing import BinaryIO, Final

from pictograph.upload.headers.directory import exif_orientation
from pictograph.upload.headers.header import Header
from pictograph.upload.headers.refusals import broken, cut_short, exactly

MAX_CHUNKS: Final = 100_000
MAX_EXIF_BYTES: Final = 1_000_000


def read_webp(file: BinaryIO) -> Header:
    """Reads the canvas, and the turn in the EXIF chunk. Raises BadImage, also if the file is shorter than it says."""
    head = exactly(file, 30)
    promised = int.from_bytes(head[4:8], "little") + 8
    if promised > file.seek(0, SEEK_END) + 1:  # the padding byte at the end is often left out
        raise cut_short(f"it says it has {promised:,} bytes")
    exif = _exif(file, promised) if head[12:16] == b"VP8X" else b""
    return Header(*_size(head), exif_orientation(exif), exif=exif)


def _exif(file: BinaryIO, end: int) -> bytes:
    """Returns the first EXIF chunk; its place is behind the frames."""
    at = 12
    for _ in range(MAX_CHUNKS):
        file.seek(at)
        head = file.read(8)
        if len(head) < 8 or at >= end:
            return b""
        size = int.from_bytes(head[4:], "little")
        if head[:4] == b"EXIF":
            return file.read(size) if size <= MAX_EXIF_BYTES else b""
        at += 8 + size + size % 2
    raise broken(f"more than {MAX_CHUNKS:,} chunks")


def _size(head: bytes) -> tuple[int, int]:
    if head[12:16] == b"VP8X":
        return int.from_bytes(head[24:27], "little") + 1, int.from_bytes(head[27:30], "little") + 1
    if head[12:16] == b"VP8L":
        bits = int.from_bytes(head[21:25], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if head[12:16] == b"VP8 ":
        width, height = struct.unpack("<HH", head[26:30])
        return width & 0x3FFF, height & 0x3FFF
    raise broken("no WebP picture chunk")
