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

_NEVER_READ: Final = frozenset({b"tEXt", b"zTXt", b"iTXt", b"acTL", b"fcTL", b"fdAT", b"eXIf", b"pHYs", b"tIME"})
"""Texts are unpacked to a thousand times their size, an animation's first picture stands in IDAT, and the turn is read
before the picture is opened (headers/png.py)."""
_SMALLEST_DEEP: Final = 64
"""Upper bytes below this may belong to data of 14 bits and less."""


class _Stream(PngStream):
    """Leaves out side chunks that are damaged, as libpng and browsers do, and those that are not read here."""

    def call(self, cid: bytes, pos: int, length: int) -> bytes:
        if self.fp is None or not is_side_chunk(cid):
            return super().call(cid, pos, length)
        data: bytes = ImageFile._safe_read(self.fp, length)
        if cid in _NEVER_READ or not self._has_checksum(cid, data):
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
