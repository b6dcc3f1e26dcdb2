"""GIF: a canvas, then blocks until the first frame. GIF89a, sections 18 to 26."""

from __future__ import annotations

import struct
from io import SEEK_CUR
from typing import BinaryIO, Final

from pictograph.upload.headers.header import Header
from pictograph.upload.headers.refusals import broken, exactly

MAX_HEADER_BYTES: Final = 2_000_000
"""Of everything before the first frame; decoders walk it in steps of at most 255 bytes."""


def read_gif(file: BinaryIO) -> Header:
    """The canvas, grown to the first frame as decoders do: a tiny canvas may hide a huge frame. Raises BadImage."""
    width, height, flags = struct.unpack("<HHB", exactly(file, 13)[6:11])
    if flags & 0x80:
        file.seek(3 << ((flags & 7) + 1), SEEK_CUR)
    left, top, across, down = _first_frame(file)
    return Header(max(width, left + across), max(height, top + down))


def _first_frame(file: BinaryIO) -> tuple[int, int, int, int]:
    """(left, top, across, down) of the first frame."""
    while file.tell() < MAX_HEADER_BYTES:
        kind = exactly(file, 1)
        if kind == b",":
            left, top, across, down = struct.unpack("<HHHH", exactly(file, 8))
            return left, top, across, down
        if kind == b"!":
            file.seek(1, SEEK_CUR)
            _skip_blocks(file)
        elif kind == b";":
            break
    raise broken("no frame in this GIF")


def _skip_blocks(file: BinaryIO) -> None:
    while file.tell() < MAX_HEADER_BYTES:
        length = exactly(file, 1)[0]
        if length == 0:
            return
        file.seek(length, SEEK_CUR)
