"""Sizes and turns out of a file's header, read by ourselves before a decoder sees the file.

The decoders trust some numbers too early: one allocates a whole GIF frame, or walks a million empty PNG chunks, before
anybody can ask for the size. So the containers are walked here first, in bounded steps, and nothing is decoded.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from io import SEEK_CUR, SEEK_END
from typing import BinaryIO, Final

from pictograph.errors import BadImage
from pictograph.upload.directory import Directory, exif_orientation, read_directory
from pictograph.upload.limits import PictureLimits, check_size
from pictograph.upload.sniff import PictureFormat, unsupported

MAX_JPEG_HEADER_BYTES: Final = 32_000_000
"""Of everything before the pixels: profiles, thumbnails, depth maps. Cameras write up to about 10 MB."""
MAX_JPEG_SEGMENTS: Final = 10_000
MAX_JPEG_JUNK_BYTES: Final = 65_536
MAX_PNG_CHUNKS: Final = 200_000
MAX_GIF_BLOCKS: Final = 100_000
MAX_EXIF_BYTES: Final = 1_000_000
MAX_TIFF_VALUES: Final = 500_000
"""Of one tag: 100 million pixels in strips of one row, or tiles of 16 x 16, stay below."""


@dataclass(frozen=True, slots=True)
class Header:
    """What a header says about the picture."""

    width: int
    """Pixels across, as stored: before any turn."""
    height: int
    orientation: int = 1
    """The EXIF turn still to be made, 1 to 8; 1 if there is none or the decoder makes it."""


def read_header(picture_format: PictureFormat, file: BinaryIO, limits: PictureLimits) -> Header | None:
    """The header of a file; None for formats (BMP, HEIF, AVIF) whose decoder may be asked first without risk.

    Raises TooLarge above `limits`, BadImage if the header is broken or the file visibly cut, UnsupportedFormat for
    camera RAW dressed as TIFF.
    """
    reader = _READERS.get(picture_format)
    if reader is None:
        return None
    file.seek(0)
    header = reader(file, limits)
    if header.width < 1 or header.height < 1:
        raise BadImage(f"Its header is broken: it says the picture is {header.width} x {header.height}.")
    check_size(header.width, header.height, limits)
    return header


def cut_short(what: str) -> BadImage:
    """The refusal of a file whose end is missing."""
    return BadImage(f"This file is cut short: {what}. Upload the complete file.")


def _broken(what: str) -> BadImage:
    return BadImage(f"Its header is broken: {what}.")


# --- JPEG: ITU-T T.81, annex B ---

_SOS: Final = 0xDA
_APP1: Final = 0xE1
_STANDALONE: Final = frozenset({0x01, *range(0xD0, 0xD9)})
_FRAMES: Final = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_END_MARKER: Final = b"\xff\xd9"
_TAIL_BYTES: Final = 65_536


def _read_jpeg(file: BinaryIO, _limits: PictureLimits) -> Header:
    size: tuple[int, int] | None = None
    orientation: int | None = None
    for marker, length in _jpeg_segments(file):
        if marker in _FRAMES:
            size = _jpeg_size(file.read(5))
        elif marker == _APP1 and orientation is None:
            orientation = _jpeg_orientation(file.read(length))
    if size is None:
        raise _broken("no size comes before the pixels")
    if not _has_end_marker(file):
        raise cut_short("the marker that ends a JPEG is missing")
    return Header(*size, orientation or 1)


def _jpeg_segments(file: BinaryIO) -> Iterator[tuple[int, int]]:
    """(marker, bytes in it) of every segment before the pixels; `file` stands at its first byte."""
    position = 2
    for _ in range(MAX_JPEG_SEGMENTS):
        file.seek(position)
        marker = _next_marker(file)
        if marker == _SOS:
            return
        if marker in _STANDALONE:
            position = file.tell()
            continue
        start = file.tell()
        length = int.from_bytes(_exactly(file, 2), "big")
        if length < 2:
            raise _broken("a segment is shorter than its own length")
        yield marker, length - 2
        position = start + length
        if position > MAX_JPEG_HEADER_BYTES:
            raise _broken(f"more than {MAX_JPEG_HEADER_BYTES:,} bytes come before the pixels")
    raise _broken(f"more than {MAX_JPEG_SEGMENTS:,} segments come before the pixels")


def _next_marker(file: BinaryIO) -> int:
    """The next marker's second byte; fill bytes and a little junk before it are skipped, as every decoder does."""
    before = 0
    for _ in range(MAX_JPEG_JUNK_BYTES):
        byte = _exactly(file, 1)[0]
        if before == 0xFF and byte not in (0x00, 0xFF):
            return byte
        before = byte
    raise _broken("no marker where one should be")


def _jpeg_size(frame: bytes) -> tuple[int, int]:
    if len(frame) < 5:
        raise cut_short("it ends inside its header")
    _precision, height, width = struct.unpack(">BHH", frame)
    return width, height


def _jpeg_orientation(segment: bytes) -> int | None:
    return exif_orientation(segment) if segment.startswith(b"Exif\0\0") else None


def _has_end_marker(file: BinaryIO) -> bool:
    """True if an end marker follows. Decoders say nothing about a copy that was cut and zero-filled: they draw grey."""
    pixels_start = file.tell()
    end = file.seek(0, SEEK_END)
    file.seek(max(pixels_start, end - _TAIL_BYTES))
    if _END_MARKER in file.read():
        return True
    file.seek(pixels_start)
    return _END_MARKER in file.read()


# --- PNG: W3C PNG, third edition, section 5 ---


def _read_png(file: BinaryIO, _limits: PictureLimits) -> Header:
    size: tuple[int, int] | None = None
    orientation = 1
    for kind, length in _png_chunks(file):
        if kind == b"IHDR":
            size = _png_size(file.read(8))
        elif kind == b"eXIf" and length <= MAX_EXIF_BYTES:
            orientation = exif_orientation(file.read(length))
    if size is None:
        raise _broken("no IHDR chunk")
    return Header(*size, orientation)


def _png_chunks(file: BinaryIO) -> Iterator[tuple[bytes, int]]:
    """(name, bytes in it) of every chunk before IEND; `file` stands at its first byte."""
    position = 8
    for _ in range(MAX_PNG_CHUNKS):
        file.seek(position)
        head = file.read(8)
        if len(head) < 8:
            raise cut_short("the IEND chunk that ends a PNG is missing")
        length, kind = struct.unpack(">I4s", head)
        if kind == b"IEND":
            return
        yield kind, length
        position += length + 12
    raise _broken(f"more than {MAX_PNG_CHUNKS:,} chunks")


def _png_size(head: bytes) -> tuple[int, int]:
    if len(head) < 8:
        raise cut_short("it ends inside its header")
    width, height = struct.unpack(">II", head)
    return width, height


# --- GIF: GIF89a ---


def _read_gif(file: BinaryIO, _limits: PictureLimits) -> Header:
    width, height, flags = struct.unpack("<HHB", _exactly(file, 13)[6:11])
    if flags & 0x80:
        file.seek(3 << ((flags & 7) + 1), SEEK_CUR)
    left, top, across, down = _first_gif_frame(file)
    # Decoders grow the canvas to the frame, so a tiny canvas may hide a huge frame.
    return Header(max(width, left + across), max(height, top + down))


def _first_gif_frame(file: BinaryIO) -> tuple[int, int, int, int]:
    for _ in range(MAX_GIF_BLOCKS):
        kind = _exactly(file, 1)
        if kind == b",":
            left, top, across, down = struct.unpack("<HHHH", _exactly(file, 8))
            return left, top, across, down
        if kind == b"!":
            file.seek(1, SEEK_CUR)
            _skip_gif_blocks(file)
        elif kind == b";":
            break
    raise _broken("no frame in this GIF")


def _skip_gif_blocks(file: BinaryIO) -> None:
    for _ in range(MAX_GIF_BLOCKS):
        length = _exactly(file, 1)[0]
        if length == 0:
            return
        file.seek(length, SEEK_CUR)
    raise _broken(f"more than {MAX_GIF_BLOCKS:,} blocks before the first frame")


# --- WebP: RFC 9649 ---


def _read_webp(file: BinaryIO, _limits: PictureLimits) -> Header:
    head = _exactly(file, 30)
    promised = int.from_bytes(head[4:8], "little") + 8
    if promised > file.seek(0, SEEK_END) + 1:  # the padding byte at the end is often left out
        raise cut_short(f"a WebP of {promised:,} bytes was promised")
    return Header(*_webp_size(head))


def _webp_size(head: bytes) -> tuple[int, int]:
    if head[12:16] == b"VP8X":
        return int.from_bytes(head[24:27], "little") + 1, int.from_bytes(head[27:30], "little") + 1
    if head[12:16] == b"VP8L":
        bits = int.from_bytes(head[21:25], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if head[12:16] == b"VP8 ":
        width, height = struct.unpack("<HH", head[26:30])
        return width & 0x3FFF, height & 0x3FFF
    raise _broken("no WebP picture chunk")


# --- TIFF 6.0 ---

_NEW_SUBFILE_TYPE: Final = 254
_WIDTH: Final = 256
_LENGTH: Final = 257
_PHOTOMETRIC: Final = 262
_TILE_WIDTH: Final = 322
_TILE_LENGTH: Final = 323
_SUB_IFDS: Final = 330
_DNG_VERSION: Final = 50706
_COLOUR_FILTER_ARRAY: Final = 32803


def _read_tiff(file: BinaryIO, limits: PictureLimits) -> Header:
    directory = read_directory(file)
    _refuse_raw(directory)
    for number, tag in directory.items():
        if tag.is_numbers and tag.count > MAX_TIFF_VALUES:
            raise _broken(f"TIFF tag {number} has {tag.count:,} values")
    if _value(directory, _TILE_WIDTH, 1) * _value(directory, _TILE_LENGTH, 1) > limits.max_pixels:
        raise _broken("one of its tiles is larger than any picture may be")
    # The decoder makes the turn by itself, and says the turned size.
    return Header(_value(directory, _WIDTH, 0), _value(directory, _LENGTH, 0))


def _refuse_raw(directory: Directory) -> None:
    if _DNG_VERSION in directory:
        raise unsupported("a camera RAW file (DNG)")
    is_preview = _value(directory, _NEW_SUBFILE_TYPE, 0) & 1 == 1
    if _value(directory, _PHOTOMETRIC, 0) == _COLOUR_FILTER_ARRAY or (is_preview and _SUB_IFDS in directory):
        raise unsupported("a camera RAW file (NEF, ARW or the like)")


def _value(directory: Directory, number: int, default: int) -> int:
    tag = directory.get(number)
    return default if tag is None or tag.value is None else tag.value


def _exactly(file: BinaryIO, size_bytes: int) -> bytes:
    data = file.read(size_bytes)
    if len(data) < size_bytes:
        raise cut_short("it ends inside its header")
    return data


_READERS: Final[dict[PictureFormat, Callable[[BinaryIO, PictureLimits], Header]]] = {
    "JPEG": _read_jpeg,
    "PNG": _read_png,
    "GIF": _read_gif,
    "WEBP": _read_webp,
    "TIFF": _read_tiff,
}
