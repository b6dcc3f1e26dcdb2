"""Pictures made up for the tests, and files of them in every format and mode."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from io import BytesIO
from itertools import accumulate
from typing import Any

import numpy as np
import numpy.typing as npt
import pillow_heif
from PIL import Image, ImageCms

from pictograph.upload.decode import decode_picture
from pictograph.upload.facts import read_facts
from pictograph.upload.limits import PictureLimits
from pictograph.upload.thumbnail import fitted, thumbnail_of

# Only the tests write HEIC through Pillow; the code under test never registers anything.
pillow_heif.register_heif_opener()

RED, GREEN, BLUE, YELLOW, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 0), (255, 255, 255)

DISPLAY_P3 = ((0.51512, 0.2412, -0.00105), (0.29198, 0.69225, 0.04189), (0.1571, 0.06657, 0.78407))
ADOBE_RGB = ((0.60974, 0.31111, 0.01947), (0.20528, 0.62567, 0.06087), (0.14919, 0.06322, 0.74457))
SRGB = ((0.43607, 0.22249, 0.01392), (0.38515, 0.71687, 0.09708), (0.14307, 0.06061, 0.7141))

_PRIMARIES = (b"rXYZ", b"gXYZ", b"bXYZ")

# How an upright picture must be laid down so that a reader that obeys orientation n sees it upright again.
LAID_DOWN = {
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


def saved(image: Image.Image, picture_format: str, **options: Any) -> bytes:
    file = BytesIO()
    image.copy().save(file, picture_format, **options)  # a copy: saving leaves encoder settings in the picture
    return file.getvalue()


def plain(colour: Any = RED, size: tuple[int, int] = (32, 24), mode: str = "RGB") -> Image.Image:
    return Image.new(mode, size, colour)


def quadrants(width: int = 48, height: int = 32) -> Image.Image:
    """Four colours and a white bar: no turn and no mirror maps it to itself."""
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[: height // 2, : width // 2] = RED
    pixels[: height // 2, width // 2 :] = GREEN
    pixels[height // 2 :, : width // 2] = BLUE
    pixels[height // 2 :, width // 2 :] = YELLOW
    pixels[height // 8 : height // 4, width // 12 : width // 3] = WHITE
    return Image.fromarray(pixels)


def smooth(width: int, height: int) -> Image.Image:
    """Something like a photograph: soft shapes with a little noise, the same on every call."""
    random = np.random.default_rng(7)
    coarse = random.integers(0, 255, (max(2, height // 40), max(2, width // 40), 3), dtype=np.uint8)
    soft = np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC), np.float32)
    return Image.fromarray(np.clip(soft + random.normal(0, 4, (height, width, 1)), 0, 255).astype(np.uint8))


def ramp(lightest: int = 65535, steps: int = 512) -> npt.NDArray[np.uint16]:
    """uint16 (8, steps), rising from left to right."""
    return np.linspace(0, lightest, steps).astype(np.uint16)[None].repeat(8, axis=0)


def with_orientation(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


def turned_file(upright: Image.Image, orientation: int, picture_format: str, **options: Any) -> bytes:
    """A file whose stored pixels lie turned, with the tag that tells readers to turn them back."""
    turn = LAID_DOWN[orientation]
    lying = upright if turn is None else upright.transpose(turn)
    return saved(lying, picture_format, exif=with_orientation(orientation).tobytes(), **options)


def png_chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png_claiming(width: int, height: int) -> bytes:
    """A few hundred bytes that say they are a 1-bit picture of that size."""
    header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + png_chunk(b"IDAT", zlib.compress(bytes(100_000))) + png_chunk(b"IEND", b"")


def png_with(chunk: bytes, png: bytes) -> bytes:
    """The same PNG with one more chunk right after its header."""
    return png[:33] + chunk + png[33:]


def jpeg_claiming(width: int, height: int) -> bytes:
    jpeg = bytearray(saved(plain(), "JPEG"))
    frame = jpeg.index(b"\xff\xc0")
    jpeg[frame + 5 : frame + 9] = struct.pack(">HH", height, width)
    return bytes(jpeg)


def jpeg_with_segment(marker: int, data: bytes, jpeg: bytes) -> bytes:
    return jpeg[:2] + bytes((0xFF, marker)) + struct.pack(">H", len(data) + 2) + data + jpeg[2:]


def png_of_16_bits(values: npt.NDArray[np.uint16]) -> bytes:
    """A 16-bit PNG as Pillow cannot write it. values: uint16 (H, W, C), C = 2 (grey, alpha), 3 or 4."""
    height, width, channels = values.shape
    colour_type = {2: 4, 3: 2, 4: 6}[channels]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    return (
        b"\x89PNG\r\n\x1a\n"
        + png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 16, colour_type, 0, 0, 0))
        + png_chunk(b"IDAT", zlib.compress(rows))
        + png_chunk(b"IEND", b"")
    )


def tiff_of(values: npt.NDArray[Any], *, extra_tags: tuple[tuple[int, int, int], ...] = ()) -> bytes:
    """An uncompressed TIFF of one strip as Pillow cannot write it.

    values: (H, W) grey or (H, W, 3) RGB, of any number type. extra_tags: (number, type, value) that fit in their row.
    """
    height, width, *rest = values.shape
    channels = rest[0] if rest else 1
    kind = {"u": 1, "i": 2, "f": 3}[values.dtype.kind]
    bits = values.dtype.itemsize * 8
    tags = [(256, 4, width), (257, 4, height), (259, 3, 1), (262, 3, 1 if channels == 1 else 2)]
    tags += [(277, 3, channels), (278, 4, height), (279, 4, values.nbytes), (339, 3, kind), *extra_tags]
    offset = 8 + 2 + 12 * (len(tags) + 2) + 4
    rows = {number: struct.pack("<HHII", number, of_type, 1, value) for number, of_type, value in tags}
    if channels == 1:
        rows[258] = struct.pack("<HHII", 258, 3, 1, bits)
        depth = b""
    else:
        rows[258] = struct.pack("<HHII", 258, 3, channels, offset)
        depth = struct.pack("<H", bits) * channels
    rows[273] = struct.pack("<HHII", 273, 4, 1, offset + len(depth))
    directory = struct.pack("<H", len(rows)) + b"".join(rows[number] for number in sorted(rows)) + bytes(4)
    return b"II*\0" + struct.pack("<I", 8) + directory + depth + values.astype(values.dtype.newbyteorder("<")).tobytes()


def gif_on_canvas(width: int, height: int, frame: tuple[int, int, int, int] | None = None) -> bytes:
    """A red 16 x 16 GIF whose canvas, and if given whose frame (left, top, across, down), claim another size."""
    gif = bytearray(saved(plain(size=(16, 16)).quantize(4), "GIF"))
    gif[6:10] = struct.pack("<HH", width, height)
    if frame is not None:
        at = gif.rindex(b"," + struct.pack("<HHHH", 0, 0, 16, 16))
        gif[at + 1 : at + 9] = struct.pack("<HHHH", *frame)
    return bytes(gif)


def rgb_profile(primaries: tuple[tuple[float, float, float], ...], gamma: float = 2.2) -> bytes:
    """A matrix profile, primaries as XYZ adapted to D50."""
    colorants = {name: b"XYZ \0\0\0\0" + _fixed(*xyz) for name, xyz in zip(_PRIMARIES, primaries, strict=True)}
    return _profile(b"RGB ", b"XYZ ", colorants | dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), _curve(gamma)))


def grey_profile(gamma: float) -> bytes:
    return _profile(b"GRAY", b"XYZ ", {b"kTRC": _curve(gamma)})


def cmyk_profile_of_grey_inks() -> bytes:
    """A table profile of a printer to which no ink is white some ink middle grey (L* 50), and all inks black."""
    identity = _fixed(1, 0, 0, 0, 1, 0, 0, 0, 1)
    straight = bytes(range(256))
    corners = bytes((255, 128, 128)) + bytes((128, 128, 128)) * 14 + bytes((0, 128, 128))
    table = b"mft1\0\0\0\0" + bytes((4, 3, 2, 0)) + identity + straight * 4 + corners + straight * 3
    return _profile(b"CMYK", b"Lab ", {b"A2B0": table})


def _profile(space: bytes, connection: bytes, tags: dict[bytes, bytes]) -> bytes:
    """An ICC version 2 profile (ICC.1:2001-04)."""
    white = _fixed(0.9642, 1.0, 0.8249)
    tags = {
        b"desc": b"desc\0\0\0\0" + struct.pack(">I", 5) + b"test\0" + bytes(79),
        b"wtpt": b"XYZ \0\0\0\0" + white,
        **tags,
    }
    padded = {name: data + bytes(-len(data) % 4) for name, data in tags.items()}
    offset = 132 + 12 * len(padded)
    table = struct.pack(">I", len(padded))
    for name, data in padded.items():
        table += name + struct.pack(">II", offset, len(data))
        offset += len(data)
    header = bytearray(128)
    header[0:4] = struct.pack(">I", offset)
    header[8:24] = b"\x02\x40\0\0" + (b"prtr" if space == b"CMYK" else b"mntr") + space + connection
    header[36:40] = b"acsp"
    header[68:80] = white
    return bytes(header) + table + b"".join(padded.values())


def _fixed(*values: float) -> bytes:
    return b"".join(struct.pack(">i", round(value * 65536)) for value in values)


def _curve(gamma: float) -> bytes:
    return b"curv\0\0\0\0" + struct.pack(">IH", 1, round(gamma * 256))


def lab(colour: tuple[int, int, int]) -> Image.Image:
    converted = ImageCms.profileToProfile(
        plain(colour), ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), outputMode="LAB"
    )
    assert converted is not None
    return converted


def two_frames() -> dict[str, Any]:
    """Options that save a green second frame of 48 x 32."""
    return {"save_all": True, "append_images": [plain(GREEN, (48, 32))]}


def _many_modes() -> dict[str, Callable[[], bytes]]:
    base = quadrants()
    alpha = base.copy()
    alpha.putalpha(128)
    return {
        "jpeg": lambda: saved(base, "JPEG"),
        "jpeg progressive": lambda: saved(base, "JPEG", progressive=True),
        "jpeg grey": lambda: saved(base.convert("L"), "JPEG"),
        "jpeg cmyk": lambda: saved(base.convert("CMYK"), "JPEG"),
        "jpeg exif icc": lambda: turned_file(base, 6, "JPEG", icc_profile=rgb_profile(DISPLAY_P3)),
        "jpeg with a second picture": lambda: saved(base, "MPO", **two_frames()),
        "png": lambda: saved(base, "PNG"),
        "png rgba exif icc": lambda: turned_file(alpha, 8, "PNG", icc_profile=rgb_profile(ADOBE_RGB)),
        "png palette": lambda: saved(base.quantize(8), "PNG", transparency=bytes([0, 128, 255])),
        "png 1-bit": lambda: saved(base.convert("1"), "PNG"),
        "png 16-bit": lambda: saved(Image.fromarray(ramp()), "PNG"),
        "png grey alpha": lambda: saved(alpha.convert("LA"), "PNG"),
        "png key colour": lambda: saved(base, "PNG", transparency=RED),
        "png animated": lambda: saved(base, "PNG", **two_frames()),
        "webp": lambda: saved(base, "WEBP"),
        "webp lossless alpha": lambda: turned_file(alpha, 5, "WEBP", lossless=True),
        "webp animated": lambda: saved(base, "WEBP", **two_frames()),
        "gif": lambda: saved(base.quantize(8), "GIF"),
        "gif transparent": lambda: saved(base.quantize(8), "GIF", transparency=0),
        "gif animated": lambda: saved(base, "GIF", **two_frames()),
        "gif partly drawn": lambda: gif_on_canvas(48, 32),
        "bmp": lambda: saved(base, "BMP"),
        "bmp palette": lambda: saved(base.quantize(8), "BMP"),
        "bmp run-length": bmp_run_length,
        "tiff": lambda: saved(base, "TIFF"),
        "tiff turned lzw": lambda: turned_file(alpha, 7, "TIFF", compression="tiff_lzw"),
        "tiff jpeg": lambda: saved(base, "TIFF", compression="jpeg"),
        "tiff group 4": lambda: saved(base.convert("1"), "TIFF", compression="group4"),
        "tiff 16-bit big-endian": lambda: saved(Image.fromarray(ramp().astype(">u2")), "TIFF"),
        "tiff int32": lambda: saved(Image.fromarray(ramp().astype(np.int32) - 9000), "TIFF"),
        "tiff float": lambda: saved(Image.fromarray(ramp().astype(np.float32)), "TIFF"),
        "tiff palette": lambda: saved(base.quantize(8), "TIFF"),
        "tiff cmyk": lambda: saved(base.convert("CMYK"), "TIFF"),
        "tiff lab": lambda: saved(lab(RED), "TIFF"),
        "tiff ycbcr": lambda: saved(base.convert("YCbCr"), "TIFF"),
        "tiff pages": lambda: saved(base, "TIFF", **two_frames()),
        "heic": lambda: turned_file(base, 6, "HEIF"),
        "heic alpha": lambda: saved(alpha, "HEIF"),
        "avif": lambda: turned_file(base, 6, "AVIF"),
        "avif alpha": lambda: saved(alpha, "AVIF"),
        "avif animated": lambda: saved(base, "AVIF", **two_frames()),
    }


def bmp_run_length() -> bytes:
    """A 4 x 2 RLE8 BMP, written by hand (Pillow writes none): a red row over a green one."""
    palette = bytes((0, 0, 255, 0, 0, 255, 0, 0))  # BGRX
    rows = b"\x04\x01\0\0" + b"\x04\x00\0\0" + b"\0\1"
    info = struct.pack("<IiiHHIIiiII", 40, 4, 2, 1, 8, 1, len(rows), 0, 0, 2, 0)
    start = 14 + len(info) + len(palette)
    return struct.pack("<2sIHHI", b"BM", start + len(rows), 0, 0, start) + info + palette + rows


@cache
def one_of_each() -> dict[str, bytes]:
    """A small file of every format and mode, by name."""
    return {name: make() for name, make in _many_modes().items()}


def tiff_laid_out(
    values: npt.NDArray[Any],
    *,
    photometric: int,
    separate: bool = False,
    order: str = "<",
    big: bool = False,
    block: tuple[int, int] | None = None,
    rows: int | None = None,
    deflate: bool = False,
    predictor: int = 1,
    tags: Mapping[int, tuple[int, tuple[float, ...]]] | None = None,
) -> bytes:
    """A TIFF in any layout. values: (H, W, C). block: (height, width) of tiles; rows: of a strip.

    tags: number -> (type, values), over those that follow from the rest.
    """
    height, width, samples = values.shape
    planes = [values[..., [channel]] for channel in range(samples)] if separate else [values]
    pieces = [
        _packed(_differences(piece, predictor), order, deflate, predictor)
        for plane in planes
        for piece in _pieces(plane, block, rows or height)
    ]
    start = 16 if big else 8
    offsets = list(accumulate(map(len, pieces[:-1]), initial=start))
    kind = {"u": 1, "i": 2, "f": 3}[values.dtype.kind]
    all_tags: dict[int, tuple[int, tuple[float, ...]]] = {
        256: (4, (width,)),
        257: (4, (height,)),
        258: (3, (values.dtype.itemsize * 8,) * samples),
        259: (3, (8 if deflate else 1,)),
        262: (3, (photometric,)),
        277: (3, (samples,)),
        284: (3, (2 if separate else 1,)),
        317: (3, (predictor,)),
        339: (3, (kind,) * samples),
    }
    where = (4, tuple(offsets)), (4, tuple(map(len, pieces)))
    if block:
        all_tags |= {322: (4, (block[1],)), 323: (4, (block[0],)), 324: where[0], 325: where[1]}
    else:
        all_tags |= {278: (4, (rows or height,)), 273: where[0], 279: where[1]}
    all_tags |= dict(tags or {})
    body = b"".join(pieces)
    mark = b"II" if order == "<" else b"MM"
    if big:
        head = mark + struct.pack(f"{order}HHHQ", 43, 8, 0, start + len(body))
    else:
        head = mark + struct.pack(f"{order}HI", 42, start + len(body))
    return head + body + tag_directory(all_tags, order, start + len(body), big=big)


def _pieces(plane: npt.NDArray[Any], block: tuple[int, int] | None, rows: int) -> list[npt.NDArray[Any]]:
    height, width, _ = plane.shape
    if block is None:
        return [plane[top : top + rows] for top in range(0, height, rows)]
    filled = np.pad(plane, ((0, -height % block[0]), (0, -width % block[1]), (0, 0)))
    return [
        filled[top : top + block[0], left : left + block[1]]
        for top in range(0, height, block[0])
        for left in range(0, width, block[1])
    ]


def _differences(piece: npt.NDArray[Any], predictor: int) -> npt.NDArray[Any]:
    if predictor != 2:
        return piece
    whole = piece.view(f"u{piece.dtype.itemsize}")
    return np.concatenate([whole[:, :1], np.diff(whole, axis=1)], axis=1)


def _packed(piece: npt.NDArray[Any], order: str, deflate: bool, predictor: int) -> bytes:
    if predictor == 3:
        height, width, samples = piece.shape
        item = piece.dtype.itemsize
        planes = piece.astype(piece.dtype.newbyteorder(">")).view(np.uint8).reshape(height, width * samples, item)
        steps = planes.swapaxes(1, 2).reshape(height, -1, samples)
        data = np.concatenate([steps[:, :1], np.diff(steps, axis=1)], axis=1).tobytes()
    else:
        data = piece.astype(piece.dtype.newbyteorder(order)).tobytes()
    return zlib.compress(data) if deflate else data


def tag_directory(tags: Mapping[int, tuple[int, tuple[float, ...]]], order: str, at: int, *, big: bool) -> bytes:
    formats = {1: "B", 3: "H", 4: "I", 7: "B", 8: "h", 9: "i", 11: "f", 12: "d"}
    count, row, offset, inline = ("Q", "HHQ", "Q", 8) if big else ("H", "HHI", "I", 4)
    rows, after = struct.pack(f"{order}{count}", len(tags)), b""
    values_at = at + len(rows) + len(tags) * (struct.calcsize(f"{order}{row}") + inline) + inline
    for number, (kind, values) in sorted(tags.items()):
        data = struct.pack(f"{order}{len(values)}{formats[kind]}", *values)
        rows += struct.pack(f"{order}{row}", number, kind, len(values))
        if len(data) > inline:
            rows += struct.pack(f"{order}{offset}", values_at + len(after))
            after += data + bytes(len(data) % 2)
        else:
            rows += data.ljust(inline, b"\0")
    return rows + bytes(inline) + after


def bmp_of(pixels: npt.NDArray[np.uint8], header_bytes: int = 108) -> bytes:
    """A 32-bit BMP with masks for all four channels. pixels: (H, W, 4) RGBA."""
    height, width = pixels.shape[:2]
    data = pixels[::-1, :, [2, 1, 0, 3]].tobytes()
    info = struct.pack("<IiiHHIIiiII", header_bytes, width, height, 1, 32, 3, len(data), 2835, 2835, 0, 0)
    info += struct.pack("<IIII", 0xFF0000, 0xFF00, 0xFF, 0xFF000000)
    info = info.ljust(header_bytes, b"\0")
    start = 14 + len(info)
    return b"BM" + struct.pack("<IHHI", start + len(data), 0, 0, start) + info + data


def jpeg_with_empty_scans(scans: int, size: int = 16) -> bytes:
    """A baseline JPEG of so many scans with nothing in them."""
    jpeg = saved(plain(size=(16, 16)), "JPEG", subsampling=0)
    start = bytearray(jpeg[: jpeg.index(b"\xff\xda")])
    frame = start.index(b"\xff\xc0")
    start[frame + 5 : frame + 9] = struct.pack(">HH", size, size)
    empty = [
        b"\xff\xda\x00\x08\x01" + bytes((1 + n % 3, 0 if n % 3 == 0 else 0x11, 0, 63, 0)) + b"\0" for n in range(scans)
    ]
    return bytes(start) + b"".join(empty) + b"\xff\xd9"


def with_properties(avif: bytes, properties: Sequence[tuple[bytes, bytes]]) -> bytes:
    """An AVIF of one picture, as Pillow writes it, with further properties (name, body) of that picture."""
    meta, container, shared, table = (avif.index(name) - 4 for name in (b"meta", b"iprp", b"ipco", b"ipma"))
    shared_end = shared + int.from_bytes(avif[shared : shared + 4], "big")
    count_at = table + 18
    added = b"".join(struct.pack(">I4s", len(body) + 8, name) + body for name, body in properties)
    own = _count_boxes(avif[shared + 8 : shared_end])
    indexes = bytes(0x80 | (own + 1 + number) for number in range(len(properties)))
    more, place = len(added) + len(indexes), avif.index(b"iloc") + 18
    changed = bytearray(avif)
    changed[count_at] += len(properties)
    for at, by in ((meta, more), (container, more), (shared, len(added)), (table, len(indexes)), (place, more)):
        changed[at : at + 4] = (int.from_bytes(changed[at : at + 4], "big") + by).to_bytes(4, "big")
    own_end = count_at + 1 + avif[count_at]
    return bytes(changed[:shared_end] + added + changed[shared_end:own_end] + indexes + changed[own_end:])


def _count_boxes(data: bytes) -> int:
    count, at = 0, 0
    while at < len(data):
        count, at = count + 1, at + int.from_bytes(data[at : at + 4], "big")
    return count


def make_thumbnail(source: bytes, side_px: int, limits: PictureLimits) -> bytes:
    """A thumbnail of a file, made in this process."""
    facts = read_facts(source, limits)
    width, height = fitted((facts.width, facts.height), side_px)
    return thumbnail_of(decode_picture(source, at_least_px=min(width, height), limits=limits), side_px)
