"""PNG as other readers take it: what is wrong beside the pixels is left out, and 16 bits stay 16 bits."""

from __future__ import annotations

import struct
import zlib
from io import BytesIO
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFile, PngImagePlugin
from PIL.PngImagePlugin import PngImageFile, PngStream

from pictograph.upload.depth import Samples, to_picture
from pictograph.upload.headers.refusals import cut_short

_NEVER_READ: Final = frozenset({b"tEXt", b"zTXt", b"iTXt", b"acTL", b"fcTL", b"fdAT", b"eXIf", b"pHYs", b"tIME"})
"""Texts are unpacked to a thousand times their size, an animation's first picture stands in IDAT, and the turn is read
before the picture is opened (headers/png.py)."""
_ADAM7: Final = (
    (0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2),
)  # fmt: skip
"""The passes of an interlaced PNG: first column, first row, columns apart, rows apart."""
_COUNTED_BYTES: Final = 1_000_000
_SMALLEST_DEEP: Final = 64
"""Upper bytes below this may belong to data of 14 bits and less."""


class _Stream(PngStream):
    """Leaves out side chunks that are damaged or come late, as libpng and browsers do, and those that are not read."""

    _are_pixels_behind = False

    def call(self, cid: bytes, pos: int, length: int) -> bytes:
        if self.fp is None or not is_side_chunk(cid):
            self._are_pixels_behind |= cid == b"IDAT"
            return super().call(cid, pos, length)
        data: bytes = ImageFile._safe_read(self.fp, length)
        if self._are_pixels_behind or cid in _NEVER_READ or not self._has_checksum(cid, data):
            self.fp.seek(pos + length)
            return data
        self.fp.seek(pos)
        try:
            return super().call(cid, pos, length)
        except (ValueError, SyntaxError, LookupError, struct.error, zlib.error):
            self.fp.seek(pos + length)
            return data

    def crc(self, cid: bytes, data: bytes) -> None:
        if is_side_chunk(cid):
            self.crc_skip(cid, data)
        else:
            super().crc(cid, data)

    def _has_checksum(self, cid: bytes, data: bytes) -> bool:
        assert self.fp is not None
        return self.fp.read(4) == struct.pack(">I", zlib.crc32(data, zlib.crc32(cid)))


# 1 MB by default, and a PNG with a larger colour profile would be refused as broken.
PngImagePlugin.MAX_TEXT_CHUNK = 16 * 1024 * 1024
# The only way in: Pillow makes the stream itself, inside its constructor.
PngImagePlugin.PngStream = _Stream  # type: ignore[misc]


class PngFile(PngImageFile):
    """A PNG read through our stream."""


def is_side_chunk(name: bytes) -> bool:
    """True for chunks a reader may do without: the first letter is small (W3C PNG, section 5.4)."""
    return bool(name[0] & 0x20)


def require_every_row(source: bytes, image: Image.Image, bits_a_pixel: int) -> None:
    """Raises BadImage if the compressed pixels of a loaded picture end before its bottom: Pillow leaves the rest black.

    What is missing is zero, so only pictures whose last rows are need to be unpacked once more. Of an interlaced one,
    the last pass has every second row.
    """
    bottom = np.asarray(image.crop((0, max(0, image.height - 2), image.width, image.height)))
    if bottom.reshape(len(bottom), -1).any(axis=1).all():
        return
    passes = _ADAM7 if image.info.get("interlace") else ((0, 0, 1, 1),)
    sides = ((-((left - image.width) // across), -((top - image.height) // down)) for left, top, across, down in passes)
    needed = sum(height * (1 + -(-width * bits_a_pixel // 8)) for width, height in sides if width > 0 and height > 0)
    if _unpacked_bytes(source, needed) < needed:
        raise cut_short("its compressed pixels end before its bottom")


def _unpacked_bytes(source: bytes, enough: int) -> int:
    """Returns how many bytes lie compressed in a PNG's IDAT chunks; it stops counting at `enough`."""
    unpacker, count, at = zlib.decompressobj(), 0, 8
    while count < enough and at + 8 <= len(source):
        length, name = struct.unpack_from(">I4s", source, at)
        packed = source[at + 8 : at + 8 + length] if name == b"IDAT" else b""
        while packed and count < enough:
            count += len(unpacker.decompress(packed, _COUNTED_BYTES))
            packed = unpacker.unconsumed_tail
        at += length + 12
    return count


def scale_key_value(image: Image.Image, bits: int) -> None:
    """Makes the transparent value of a grey picture comparable with its values, which Pillow brings to 8 bits."""
    key = image.info.get("transparency")
    if image.mode == "L" and isinstance(key, int):
        largest = (1 << bits) - 1
        image.info["transparency"] = (key & largest) * 255 // largest


def deep_png_picture(source: bytes, image: Image.Image, samples: int, *, absolute: bool) -> Image.Image | None:
    """A loaded picture of 16 bits a channel, read again with all of them where that makes a difference; else None.

    image: as Pillow gives it, with the upper 8 bits of each value. samples: stored for each pixel: 2 (grey and alpha),
    3 or 4. absolute: see `Samples`.
    """
    key = image.info.get("transparency") if image.mode == "RGB" else None
    if key is None and (absolute or _lightest_colour(image) >= _SMALLEST_DEEP):
        return None
    values = _sixteen_bits(source, image, samples)  # (H, W, C)
    has_alpha = samples in (2, 4)
    colours = values[..., :-1] if has_alpha else values
    alpha = values[..., -1] if has_alpha else None
    if key is not None:
        alpha = np.where((values == np.array(key, np.uint16)).all(axis=-1), np.uint16(0), np.uint16(65535))
    picture = to_picture(Samples(colours, alpha, absolute=absolute))
    picture.info = {name: value for name, value in image.info.items() if name != "transparency"}
    return picture


def _lightest_colour(image: Image.Image) -> int:
    return max(int(image.getchannel(band).getextrema()[1]) for band in range(3))  # type: ignore[arg-type]


def _sixteen_bits(source: bytes, image: Image.Image, samples: int) -> npt.NDArray[np.uint16]:
    """All bits: Pillow is asked for the upper byte of each value, and then, as if it were little-endian, the lower."""
    if samples == 2:
        four = _bytes_as(source, "RGBA", "RGBA").reshape(image.height, image.width, 2, 2)
        return four.view(">u2")[..., 0].astype(np.uint16)
    lower = _bytes_as(source, image.mode, f"{image.mode};16L")
    upper = np.asarray(image)
    return upper.astype(np.uint16) * np.uint16(256) + lower


def _bytes_as(source: bytes, mode: str, raw_mode: str) -> npt.NDArray[np.uint8]:
    image: Any = PngFile(BytesIO(source))
    image._mode = mode
    image.tile = [tile._replace(args=raw_mode) for tile in image.tile]
    image.info.pop("transparency", None)
    image.load()
    return np.asarray(image)
