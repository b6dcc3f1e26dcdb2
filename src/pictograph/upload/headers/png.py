"""PNG: a chain of named chunks. W3C PNG, third edition, section 5."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import BinaryIO, Final

from pictograph.upload.headers.directory import exif_orientation
from pictograph.upload.headers.header import Header, broken, cut_short, exactly

MAX_CHUNKS: Final = 100_000
MAX_PACKED_BYTES: Final = 2_000_000
"""Of compressed texts and profiles, all together: decoders unpack every one of them, to 1000 times the size."""
MAX_EXIF_BYTES: Final = 1_000_000

_KEYWORD_BYTES: Final = 79


def read_png(file: BinaryIO) -> Header:
    """The size in IHDR, and the turn in eXIf wherever it stands; IEND must be there. Raises BadImage."""
    size: tuple[int, int] | None = None
    orientation = 1
    packed_bytes = 0
    for kind, length in _chunks(file):
        if kind == b"IHDR":
            size = struct.unpack(">II", exactly(file, 8))
        elif kind == b"eXIf" and length <= MAX_EXIF_BYTES:
            orientation = exif_orientation(file.read(length))
        elif kind in (b"zTXt", b"iCCP") or (kind == b"iTXt" and _is_packed_text(file)):
            packed_bytes += length
    if size is None:
        raise broken("no IHDR chunk")
    if packed_bytes > MAX_PACKED_BYTES:
        raise broken(f"it holds {packed_bytes:,} bytes of compressed text")
    return Header(*size, orientation)


def _is_packed_text(file: BinaryIO) -> bool:
    _keyword, _, rest = file.read(_KEYWORD_BYTES + 2).partition(b"\0")
    return rest[:1] != b"\0"


def _chunks(file: BinaryIO) -> Iterator[tuple[bytes, int]]:
    """(name, bytes in it) of every chunk before IEND; `file` stands at its first byte."""
    position = 8
    for _ in range(MAX_CHUNKS):
        file.seek(position)
        head = file.read(8)
        if len(head) < 8:
            raise cut_short("the IEND chunk that ends a PNG is missing")
        length, kind = struct.unpack(">I4s", head)
        if kind == b"IEND":
            return
        yield kind, length
        position += length + 12
    raise broken(f"more than {MAX_CHUNKS:,} chunks")
