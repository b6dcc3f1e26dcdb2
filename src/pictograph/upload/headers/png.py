"""PNG: a chain of named chunks. W3C PNG, third edition, section 5."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from typing import BinaryIO, Final

from pictograph.errors import BadImage
from pictograph.sniff import unsupported
from pictograph.upload.colour_space import ColourSpace, space_of_codes, space_of_numbers
from pictograph.upload.headers.directory import exif_orientation
from pictograph.upload.headers.header import Header
from pictograph.upload.headers.refusals import broken, cut_short, exactly

MAX_CHUNKS: Final = 100_000
MAX_PROFILE_BYTES: Final = 4_000_000
"""Of the packed colour profiles, all together: decoders unpack them, to 1000 times the size."""
MAX_EXIF_BYTES: Final = 1_000_000
PART_BYTES: Final = 1_048_576

_DEPTHS: Final = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}
"""By colour type: the bits a value may have."""
_COLOURS: Final = frozenset({b"cICP", b"gAMA", b"cHRM"})
_BEFORE_PIXELS: Final = _COLOURS | {b"iCCP", b"sRGB"}
"""Side chunks that count as absent behind the pixels, as in libpng; of two of one kind the first counts."""
_SAMPLES: Final = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
_KNOWN: Final = frozenset({b"IHDR", b"PLTE", b"IDAT", b"IEND"})


def read_png(file: BinaryIO) -> Header:
    """Reads the size in IHDR, and the turn in eXIf wherever it stands; IEND must be there.

    The checksums of the chunks that make the picture must be right; a side chunk whose checksum is wrong counts as
    absent. Raises BadImage; UnsupportedFormat for Apple's own kind.
    """
    size: tuple[int, int] | None = None
    exif, bits, colour_type, profile_bytes = b"", 8, 2, 0
    seen: set[bytes] = set()
    colours: dict[bytes, bytes] = {}
    for kind, length in _chunks(file):
        if kind == b"CgBI":
            raise unsupported("a PNG from inside an iPhone app (CgBI), which only Apple's decoder reads")
        start = file.tell()
        if not kind[0] & 0x20:
            _require_known(kind)
            _require_checksum(file, kind, length)
            file.seek(start)
        if kind == b"IHDR" and size is None:
            width, height, bits, colour_type = struct.unpack(">IIBB", exactly(file, 10))
            size = width, height
            _require_depth(bits, colour_type)
        elif kind == b"eXIf" and length <= MAX_EXIF_BYTES and _has_checksum(file, kind, length):
            file.seek(start)
            exif = file.read(length)
        elif kind == b"iCCP":
            profile_bytes += length
        elif kind in _COLOURS - seen and b"IDAT" not in seen and length <= 32 and _has_checksum(file, kind, length):
            file.seek(start)
            colours[kind] = file.read(length)
        if kind not in _BEFORE_PIXELS or b"IDAT" not in seen:
            seen.add(kind)
    if size is None:
        raise broken("no IHDR chunk")
    if profile_bytes > MAX_PROFILE_BYTES:
        raise broken(f"it holds {profile_bytes:,} bytes of packed colour profiles")
    if b"IDAT" not in seen or (colour_type == 3 and b"PLTE" not in seen):
        raise broken("it has no picture (IDAT)" if b"IDAT" not in seen else "it has no palette (PLTE)")
    samples, space = _SAMPLES[colour_type], _space(colours, seen)
    return Header(*size, exif_orientation(exif), bits=bits, samples=samples, colour=space, exif=exif)


def _space(chunks: dict[bytes, bytes], seen: set[bytes]) -> ColourSpace | None:
    """W3C PNG, section 4.3: cICP counts before a profile, which counts before sRGB, which counts before numbers."""
    if len(chunks.get(b"cICP", b"")) == 4:
        return space_of_codes(chunks[b"cICP"][0], chunks[b"cICP"][1])
    if seen & {b"iCCP", b"sRGB"}:
        return None
    gamma, points = chunks.get(b"gAMA", b""), chunks.get(b"cHRM", b"")
    inverse = int.from_bytes(gamma, "big") if len(gamma) == 4 else 0
    numbers = struct.unpack(">8I", points) if len(points) == 32 else ()
    return space_of_numbers(
        100_000 / inverse if inverse else None,
        tuple((numbers[at] / 1e5, numbers[at + 1] / 1e5) for at in range(0, 8, 2)) if numbers else None,
    )


def _require_known(kind: bytes) -> None:
    if kind not in _KNOWN:
        raise broken(f"it cannot be read without its chunk {kind.decode('ascii', 'backslashreplace')!r}")


def _require_depth(bits: int, colour_type: int) -> None:
    if bits not in _DEPTHS.get(colour_type, ()):
        raise broken(f"it says it has {bits} bits of colour type {colour_type}")


def _require_checksum(file: BinaryIO, kind: bytes, length: int) -> None:
    if not _has_checksum(file, kind, length):
        raise BadImage(
            f"This picture is damaged: the checksum of its chunk {kind.decode()} is wrong. Copy the file again."
        )


def _has_checksum(file: BinaryIO, kind: bytes, length: int) -> bool:
    """Returns whether the four bytes after a chunk are its CRC; `file` stands at its first byte."""
    checksum, left = zlib.crc32(kind), length
    while left:
        part = file.read(min(PART_BYTES, left))
        if not part:
            raise cut_short("it ends inside a chunk")
        checksum, left = zlib.crc32(part, checksum), left - len(part)
    return exactly(file, 4) == struct.pack(">I", checksum)


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
