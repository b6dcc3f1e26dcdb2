"""Pictures whose tags change what their values mean come out as a person should see them, or are refused by name."""

from __future__ import annotations

import struct
import zlib
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from pictograph.errors import BadImage, UnsupportedFormat
from pictograph.upload.decode import decode_picture
from pictograph.upload.facts import read_facts
from pictograph.upload.headers import jpeg
from pictograph.upload.limits import PictureLimits

from .pictures import (
    bmp_of,
    jpeg_with_empty_scans,
    plain,
    png_chunk,
    png_of_16_bits,
    png_with,
    quadrants,
    saved,
    tag_directory,
    tiff_laid_out,
    tiff_of,
    with_properties,
)

LIMITS = PictureLimits()
COLOUR = np.asarray(quadrants(52, 36))
GREY = np.asarray(quadrants(52, 36).convert("L"))[..., None]
DEEP, DEEP_GREY = COLOUR.astype(np.uint16) * 257, GREY.astype(np.uint16) * 257


def decoded(source: bytes) -> npt.NDArray[np.uint8]:
    assert read_facts(source, LIMITS).width == 52
    return decode_picture(source, at_least_px=None, limits=LIMITS).pixels


def as_type(values: npt.NDArray[np.uint8], dtype: str) -> npt.NDArray[Any]:
    """The same picture in another number type, over its whole range (floats: 0 to 1)."""
    if dtype[0] == "f":
        return (values / 255).astype(dtype)
    bits = np.dtype(dtype).itemsize * 8
    whole = values.astype(np.uint64) * np.uint64((2**bits - 1) // 255)
    if dtype[0] == "i":
        return (whole ^ np.uint64(1 << bits - 1)).astype(f"u{bits // 8}").view(dtype)
    return whole.astype(dtype)


TYPES = ("u1", "u2", "u4", "u8", "i1", "f2", "f4", "f8")
LAYOUTS: dict[str, dict[str, Any]] = {
    "one strip": {},
    "strips": {"rows": 7},
    "tiles": {"block": (16, 32)},
    "planes": {"separate": True},
    "planes of strips, big-endian": {"separate": True, "rows": 5, "order": ">"},
    "planes of tiles": {"separate": True, "block": (16, 16)},
    "big-endian": {"order": ">"},
    "BigTIFF": {"big": True},
    "BigTIFF, big-endian, deflate": {"big": True, "order": ">", "deflate": True, "rows": 9},
    "deflate": {"deflate": True},
    "deflate, differences": {"deflate": True, "predictor": 2},
    "deflate, differences, big-endian tiles": {"deflate": True, "predictor": 2, "order": ">", "block": (16, 16)},
    "deflate, differences, planes": {"deflate": True, "predictor": 2, "separate": True, "rows": 4},
}


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_of_a_tiff_gives_the_picture(layout: str, dtype: str) -> None:
    options = LAYOUTS[layout]
    if options.get("predictor") and dtype[0] == "f":
        options = {**options, "predictor": 3}
    colour = tiff_laid_out(as_type(COLOUR, dtype), photometric=2, **options)
    assert np.abs(decoded(colour).astype(int) - COLOUR).max() <= 1
    grey = tiff_laid_out(as_type(GREY, dtype), photometric=1, **options)
    assert np.abs(decoded(grey).astype(int) - GREY).max() <= 1


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("order", ["<", ">"])
def test_where_white_is_zero_it_is_white(dtype: str, order: str) -> None:
    negative = tiff_laid_out(as_type(255 - GREY, dtype), photometric=0, order=order)
    assert np.abs(decoded(negative).astype(int) - GREY).max() <= 1


@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
def test_data_of_fewer_bits_look_alike_in_grey_and_colour_png_and_tiff(bits: int) -> None:
    shallow = (COLOUR.astype(np.uint16) << 8 | COLOUR) >> np.uint16(16 - bits)
    shallow_grey = (GREY.astype(np.uint16) << 8 | GREY) >> np.uint16(16 - bits)
    opaque = np.full_like(shallow_grey, 65535)
    for source in (
        png_of_16_bits(shallow),
        png_of_16_bits(np.concatenate([shallow, opaque], axis=-1)),
        png_of_16_bits(np.concatenate([shallow, opaque >> np.uint16(16 - bits)], axis=-1)),
        tiff_laid_out(shallow, photometric=2),
        tiff_laid_out(shallow, photometric=2, separate=True),
    ):
        assert (decoded(source) == COLOUR).all()
    for source in (
        png_of_16_bits(np.concatenate([shallow_grey, opaque], axis=-1)),
        tiff_laid_out(shallow_grey, photometric=1),
        saved(Image.fromarray(shallow_grey[..., 0]), "PNG"),
    ):
        assert (decoded(source) == GREY).all()


def test_interlaced_12_bit_colour_is_read_too() -> None:
    assert (decoded(png_of_16_bits(COLOUR.astype(np.uint16) << 4)) == COLOUR).all()


def test_the_key_colour_of_a_16_bit_png_is_transparent_and_its_neighbour_is_not() -> None:
    values = DEEP.copy()
    values[20, 10] = values[0, 0] + np.array([0, 1, 0], np.uint16)  # the same upper bytes
    source = png_of_16_bits(values)
    key = png_chunk(b"tRNS", struct.pack(">HHH", *(int(value) for value in values[0, 0])))
    pixels = decoded(png_with(key, source))
    assert pixels[0, 0].tolist() == [255, 255, 255]
    assert pixels[20, 10].tolist() == COLOUR[0, 0].tolist()


@pytest.mark.parametrize(("bits", "row"), [(1, 0b01010101), (2, 0b00011011), (4, 0x37), (8, 200)])
def test_the_key_value_of_a_grey_png_is_transparent_at_every_depth(bits: int, row: int) -> None:
    first = row >> (8 - bits)
    largest = (1 << bits) - 1
    for key, expected in ((first, 255), (first ^ 1, first * 255 // largest), (first + 256, 255)):
        header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", 8 // bits, 1, bits, 0, 0, 0, 0))
        body = png_chunk(b"tRNS", struct.pack(">H", key)) + png_chunk(b"IDAT", zlib.compress(bytes((0, row))))
        source = b"\x89PNG\r\n\x1a\n" + header + body + png_chunk(b"IEND", b"")
        pixels = decode_picture(source, at_least_px=None, limits=LIMITS).pixels
        if bits > 1 or key < 2:
            assert pixels[0, 0].tolist() == [expected] * 3


@pytest.mark.parametrize(("kind", "expected"), [(0, 0), (1, 255 - 128), (2, 255 - 128)])
@pytest.mark.parametrize("dtype", ["u1", "u2", "f4"])
def test_the_fourth_sample_of_a_tiff_is_what_its_tag_says(kind: int, expected: int, dtype: str) -> None:
    black = np.zeros((36, 52, 4), np.uint8)
    black[..., 3] = 128
    black[0, 0] = 255  # floats are told from 0 to 1 by their largest
    source = tiff_laid_out(as_type(black, dtype), photometric=2, tags={338: (3, (kind,))})
    assert np.abs(decoded(source)[9, 9].astype(int) - expected).max() <= 1


def test_bands_beyond_the_colours_are_left_out() -> None:
    for dtype, more in (("u1", 1), ("u1", 2), ("u1", 9), ("u2", 3), ("u2", 40)):
        bands = np.concatenate([COLOUR, np.full((36, 52, more), 77, np.uint8)], axis=-1)
        source = tiff_laid_out(as_type(bands, dtype), photometric=2, tags={338: (3, (0,) * more)})
        assert (decoded(source) == COLOUR).all()


def test_bands_beyond_grey_are_left_out_where_white_is_zero() -> None:
    bands = np.concatenate([255 - GREY, GREY * 0], axis=-1)
    assert (decoded(tiff_laid_out(bands, photometric=0, tags={338: (3, (0,))})) == GREY).all()


def test_deep_cmyk_is_read() -> None:
    inks = np.asarray(Image.fromarray(COLOUR).convert("CMYK"))
    assert (decoded(tiff_laid_out(as_type(inks, "u2"), photometric=5)) == COLOUR).all()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_deep_tiffs_are_turned(orientation: int) -> None:
    upright = DEEP_GREY[..., 0]
    turns = {
        1: upright, 2: upright[:, ::-1], 3: upright[::-1, ::-1], 4: upright[::-1], 5: upright.T,
        6: np.rot90(upright, 1), 7: upright[::-1, ::-1].T, 8: np.rot90(upright, -1),
    }  # fmt: skip
    source = tiff_laid_out(
        np.ascontiguousarray(turns[orientation])[..., None], photometric=1, tags={274: (3, (orientation,))}
    )
    assert (decoded(source) == GREY).all()


def test_the_ends_that_a_tiff_names_are_black_and_white() -> None:
    degrees = (GREY.astype(np.float32) / 255) * 50 + 20  # 20 to 70 of a scale from -30 to 120
    ends = {340: (11, (-30.0,)), 341: (11, (120.0,))}
    pixels = decoded(tiff_laid_out(degrees, photometric=1, tags=ends))
    assert (pixels.min(), pixels.max()) == (round(255 * (degrees.min() + 30) / 150), round(255 * 100 / 150))
    statistics = {280: (3, (0,)), 281: (3, (40_000,))}  # TIFF 6.0: not to be used to change the visual appearance
    assert (decoded(tiff_laid_out(DEEP_GREY, photometric=1, tags=statistics)) == GREY).all()


@pytest.mark.parametrize("header_bytes", [108, 124])
def test_a_bmp_whose_alpha_is_zero_everywhere_is_opaque(header_bytes: int) -> None:
    invisible = np.dstack([COLOUR, np.zeros((36, 52), np.uint8)])
    assert (decoded(bmp_of(invisible, header_bytes)) == COLOUR).all()
    invisible[0, 0, 3] = 255
    assert decoded(bmp_of(invisible, header_bytes))[9, 9].tolist() == [255, 255, 255]


SIDE_CHUNKS = {
    b"tEXt": b"Comment\0hello",
    b"zTXt": b"Comment\0\0" + zlib.compress(b"hello"),
    b"iTXt": b"Comment\0\0\0\0\0hello",
    b"pHYs": struct.pack(">IIB", 3000, 3000, 1),
    b"tIME": b"\x07\xe6\1\1\1\1\1",
    b"gAMA": struct.pack(">I", 100_000),
    b"cHRM": bytes(32),
    b"sRGB": b"\0",
    b"iCCP": b"x\0\0" + zlib.compress(b"nothing"),
    b"tRNS": struct.pack(">HHH", 255, 0, 0),
    b"eXIf": b"MM\0*\0\0\0\x08\0\1\1\x12\0\3\0\0\0\1\0\6\0\0\0\0\0\0",
    b"bKGD": bytes(6),
    b"prIv": b"anything",
}


@pytest.mark.parametrize("kind", SIDE_CHUNKS)
def test_a_side_chunk_with_a_wrong_checksum_counts_as_absent(kind: bytes) -> None:
    damaged = png_chunk(kind, SIDE_CHUNKS[kind])[:-4] + b"\0\0\0\0"
    png = saved(quadrants(52, 36), "PNG")
    assert (decoded(png_with(damaged, png)) == COLOUR).all()
    assert (decoded(png[:-12] + damaged + png[-12:]) == COLOUR).all()


@pytest.mark.parametrize("kind", [b"gAMA", b"cHRM", b"sRGB", b"pHYs", b"tRNS", b"iCCP", b"tEXt", b"acTL", b"fcTL"])
@pytest.mark.parametrize("body", [b"", b"\xff"])
def test_a_side_chunk_that_is_too_short_is_no_reason_to_refuse(kind: bytes, body: bytes) -> None:
    assert (decoded(png_with(png_chunk(kind, body), saved(quadrants(52, 36), "PNG"))) == COLOUR).all()


@pytest.mark.parametrize("kind", [b"IHDR", b"IDAT", b"PLTE"])
def test_a_chunk_that_makes_the_picture_must_have_its_checksum(kind: bytes) -> None:
    png = bytearray(saved(quadrants(52, 36).quantize(8), "PNG"))
    at = png.index(kind)
    png[at + 4 + int.from_bytes(png[at - 4 : at], "big")] ^= 1
    with pytest.raises(BadImage, match=f"checksum of its chunk {kind.decode()}"):
        read_facts(bytes(png), LIMITS)


def test_texts_are_never_unpacked() -> None:
    bomb = png_chunk(b"zTXt", b"k\0\0" + zlib.compress(bytes(60_000_000), 9))
    png = saved(quadrants(52, 36), "PNG")
    for source in (png_with(bomb * 20, png), png[:-12] + bomb * 20 + png[-12:]):
        assert (decoded(source) == COLOUR).all()


def named(number: int, kind: int, *values: float) -> dict[int, tuple[int, tuple[float, ...]]]:
    return {number: (kind, values)}


@pytest.mark.parametrize(
    ("source", "said"),
    [
        (tiff_laid_out(COLOUR, photometric=2, tags=named(259, 3, 50002)), "JPEG XL"),
        (tiff_laid_out(COLOUR, photometric=2, tags=named(259, 3, 34712)), "JPEG 2000"),
        (tiff_laid_out(COLOUR, photometric=2, tags=named(259, 3, 34887)), "LERC"),
        (tiff_laid_out(COLOUR, photometric=2, tags=named(259, 3, 50001)), "WebP"),
        (tiff_laid_out(COLOUR, photometric=2, tags=named(259, 3, 4711)), "number 4711"),
        (tiff_laid_out(COLOUR, photometric=32845), "LogLuv"),
        (tiff_laid_out(COLOUR, photometric=9), "ICC Lab"),
        (tiff_laid_out(DEEP, photometric=8), "Lab with samples of 16 bits"),
        (tiff_laid_out(DEEP, photometric=6), "YCbCr with samples of 16 bits"),
        (tiff_laid_out(DEEP_GREY, photometric=3), "palette with samples of 16 bits"),
        (tiff_laid_out(np.zeros((36, 52, 8), np.uint16), photometric=1), "8 bands"),
        (tiff_laid_out(np.zeros((36, 52, 4), np.uint8), photometric=5, tags=named(332, 3, 2)), "inks"),
        (tiff_laid_out(DEEP, photometric=2, tags=named(339, 3, 6, 6, 6)), "format 6"),
        (tiff_laid_out(DEEP, photometric=2, tags=named(258, 3, 16, 16, 8)), "16/16/8 bits"),
        (tiff_laid_out(DEEP, photometric=2, tags=named(266, 3, 2)), "FillOrder 2"),
        (tiff_laid_out(DEEP, photometric=2, tags=named(317, 3, 3)), "predictor"),
        (tiff_laid_out(DEEP, photometric=2, tags=named(259, 3, 7)), "compressed as a picture"),
        (tiff_laid_out(COLOUR[..., :2], photometric=2), "needs 3 samples"),
    ],
)  # fmt: skip
def test_a_tiff_that_nobody_reads_is_refused_by_name_at_upload(source: bytes, said: str) -> None:
    with pytest.raises(BadImage, match=said):
        read_facts(source, LIMITS)


def test_a_deep_tiff_that_is_cut_short_is_refused_at_upload() -> None:
    whole = tiff_of(DEEP)
    with pytest.raises(BadImage, match="cut short"):
        read_facts(whole[:-10], LIMITS)
    with pytest.raises(BadImage, match="cut short"):
        read_facts(tiff_laid_out(DEEP, photometric=2, rows=4, tags=named(257, 4, 100)), LIMITS)


@pytest.mark.parametrize("bits", range(1, 16))
@pytest.mark.parametrize("separate", [False, True])
@pytest.mark.parametrize("block", [None, (16, 32)])
def test_packed_samples_of_a_tiff_are_read(bits: int, separate: bool, block: tuple[int, int] | None) -> None:
    largest = (1 << bits) - 1
    values = np.rint(COLOUR / 255 * largest).astype(np.uint16)
    source = packed_tiff(values, bits, separate=separate, block=block)
    assert np.abs(decoded(source).astype(int) - np.rint(values / largest * 255)).max() <= 1


def packed_tiff(values: npt.NDArray[np.uint16], bits: int, *, separate: bool, block: tuple[int, int] | None) -> bytes:
    """A TIFF whose values do not end where bytes do; each row of a strip or tile begins a new byte."""
    height, width, samples = values.shape
    down, across = block or (height, width)
    filled = np.pad(values, ((0, -height % down), (0, -width % across), (0, 0)))
    planes = [filled[..., [channel]] for channel in range(samples)] if separate else [filled]
    pieces = [
        packed_rows(plane[top : top + down, left : left + across], bits)
        for plane in planes
        for top in range(0, len(plane), down)
        for left in range(0, plane.shape[1], across)
    ]
    sizes = tuple(map(len, pieces))
    offsets = tuple(8 + sum(sizes[:index]) for index in range(len(sizes)))
    tags: dict[int, tuple[int, tuple[float, ...]]] = {
        256: (4, (width,)), 257: (4, (height,)), 258: (3, (bits,) * samples), 259: (3, (1,)), 262: (3, (2,)),
        277: (3, (samples,)), 284: (3, (2 if separate else 1,)),
    }  # fmt: skip
    if block:
        tags |= {322: (4, (across,)), 323: (4, (down,)), 324: (4, offsets), 325: (4, sizes)}
    else:
        tags |= {278: (4, (height,)), 273: (4, offsets), 279: (4, sizes)}
    body = b"".join(pieces)
    start = 8 + len(body)
    return b"II*\0" + struct.pack("<I", start) + body + tag_directory(tags, "<", start, big=False)


def packed_rows(piece: npt.NDArray[np.uint16], bits: int) -> bytes:
    single = piece.reshape(len(piece), -1, 1) >> np.arange(bits, dtype=np.uint16)[::-1] & 1
    return np.packbits(single.astype(np.uint8).reshape(len(piece), -1), axis=1).tobytes()


def test_a_palette_of_a_tiff_written_with_8_bits_is_not_black() -> None:
    palette = np.arange(768).reshape(256, 3) // 3
    values = np.asarray(quadrants(52, 36).convert("L"))[..., None]
    for scale in (1, 257):
        colours = tuple(int(value) for value in (palette.T * scale).ravel())
        source = tiff_laid_out(values, photometric=3, tags=named(320, 3, *colours))
        assert (decoded(source) == palette[values[..., 0]]).all()


@pytest.mark.parametrize(("interlaced", "size_bytes"), [(0, 36 * (1 + 3 * 52)), (1, 52 * 36 * 3 + 68)])
def test_a_png_whose_compressed_pixels_end_early_is_refused(interlaced: int, size_bytes: int) -> None:
    head = struct.pack(">IIBBBBB", 52, 36, 8, 2, 0, 0, interlaced)

    def png(size_bytes: int) -> bytes:
        chunks = ((b"IHDR", head), (b"IDAT", zlib.compress(bytes(size_bytes))), (b"IEND", b""))
        return b"\x89PNG\r\n\x1a\n" + b"".join(png_chunk(*chunk) for chunk in chunks)

    assert not decoded(png(size_bytes)).any()
    for missing in (1, size_bytes // 2, size_bytes):
        with pytest.raises(BadImage, match="cut short"):
            decoded(png(size_bytes - missing))


@pytest.mark.parametrize(
    ("kind", "body"),
    [(b"cICP", bytes([9, 16, 0, 1])), (b"gAMA", struct.pack(">I", 100_000)), (b"tRNS", struct.pack(">3H", 127, 0, 0))],
)
def test_a_side_chunk_behind_the_pixels_counts_as_absent(kind: bytes, body: bytes) -> None:
    muted = COLOUR // 2
    png = saved(Image.fromarray(muted), "PNG")
    late = png[:-12] + png_chunk(kind, body) + png[-12:]
    early = png[:33] + png_chunk(kind, body) + png[33:]
    assert (decoded(late) == muted).all()
    assert (decoded(early) != muted).any()


def cropped_to(width: int, height: int, right_by: int, down_by: int) -> tuple[bytes, bytes]:
    """right_by, down_by: of the middle, in half pixels."""
    return b"clap", struct.pack(">IIIIiIiI", width, 1, height, 1, right_by, 2, down_by, 2)


def test_the_crop_of_an_avif_is_made_before_its_turn() -> None:
    stored = Image.new("RGB", (96, 60), "black")
    stored.paste(Image.fromarray(COLOUR), (40, 4))
    crop = cropped_to(52, 36, 2 * 40 + 52 - 96, 2 * 4 + 36 - 60)
    for properties, upright in (([crop], COLOUR), ([crop, (b"irot", b"\1")], np.rot90(COLOUR))):
        source = with_properties(saved(stored, "AVIF", quality=100, subsampling="4:4:4"), properties)
        facts = read_facts(source, LIMITS)
        assert (facts.height, facts.width) == upright.shape[:2]
        pixels = decode_picture(source, at_least_px=None, limits=LIMITS).pixels
        assert np.abs(pixels.astype(int) - upright).mean() < 3


@pytest.mark.parametrize("crop", [(b"clap", bytes(32)), cropped_to(500, 500, 0, 0), cropped_to(51, 36, 0, 0)])
def test_a_crop_that_makes_no_sense_is_not_made(crop: tuple[bytes, bytes]) -> None:
    source = with_properties(saved(Image.fromarray(COLOUR), "AVIF"), [crop])
    assert decoded(source).shape == COLOUR.shape


def test_the_picture_of_a_tiff_is_its_first_page_that_is_no_reduced_copy() -> None:
    small = np.asarray(quadrants(52, 36).resize((13, 9)))
    first = tiff_laid_out(small, photometric=2, tags=named(254, 4, 1))
    for second in (COLOUR, DEEP):
        assert (decoded(two_pages(first, second)) == COLOUR).all()
    alone = decode_picture(first, at_least_px=None, limits=LIMITS)
    assert alone.pixels.shape == (9, 13, 3)
    start = int.from_bytes(first[4:8], "little")
    link = start + 2 + 12 * int.from_bytes(first[start : start + 2], "little")
    endless = first[:link] + first[4:8] + first[link + 4 :]
    assert read_facts(endless, LIMITS).width == 13


def two_pages(first: bytes, second: npt.NDArray[Any]) -> bytes:
    """The file `first` with a further page; its own long values end where its directory does."""
    offset = int.from_bytes(first[4:8], "little")
    count = int.from_bytes(first[offset : offset + 2], "little")
    link = offset + 2 + 12 * count
    at = len(first) + len(first) % 2
    page = tiff_laid_out(second, photometric=2)
    directory = int.from_bytes(page[4:8], "little")
    moved = bytearray(page)
    rows = int.from_bytes(page[directory : directory + 2], "little")
    for row in range(directory + 2, directory + 2 + 12 * rows, 12):
        number, kind, values = struct.unpack_from("<HHI", moved, row)
        if number == 273 or values * {3: 2, 4: 4}[kind] > 4:
            struct.pack_into("<I", moved, row + 8, struct.unpack_from("<I", moved, row + 8)[0] + at)
    linked = first[:link] + struct.pack("<I", at + directory) + first[link + 4 :]
    return linked.ljust(at, b"\0") + bytes(moved)


@pytest.mark.parametrize("marker", [0xC3, 0xC5, 0xF7])
def test_jpegs_of_other_kinds_are_refused_by_name(marker: int) -> None:
    source = saved(quadrants(52, 36), "JPEG").replace(b"\xff\xc0", bytes((0xFF, marker)), 1)
    with pytest.raises(BadImage, match={0xC3: "lossless", 0xC5: "hierarchical", 0xF7: "JPEG-LS"}[marker]):
        read_facts(source, LIMITS)


def test_a_jpeg_of_12_bits_is_refused_by_name() -> None:
    source = bytearray(saved(quadrants(52, 36), "JPEG"))
    source[source.index(b"\xff\xc0") + 4] = 12
    with pytest.raises(BadImage, match="12 bits"):
        read_facts(bytes(source), LIMITS)


def test_scans_are_counted_in_every_jpeg() -> None:
    assert read_facts(jpeg_with_empty_scans(jpeg.MAX_SCANS), LIMITS).width == 16
    with pytest.raises(BadImage, match="more than 100 scans"):
        read_facts(jpeg_with_empty_scans(jpeg.MAX_SCANS + 1), LIMITS)
    with pytest.raises(BadImage, match="90 scans"):
        read_facts(jpeg_with_empty_scans(90, size=9999), LIMITS)
    for options in ({}, {"progressive": True}, {"restart_marker_blocks": 1}):
        source = saved(quadrants(52, 36), "JPEG", **options)
        assert read_facts(source + jpeg_with_empty_scans(jpeg.MAX_SCANS), LIMITS).width == 52


def test_a_png_for_apple_only_is_refused_by_name() -> None:
    png = saved(plain(), "PNG")
    with pytest.raises(UnsupportedFormat, match="CgBI"):
        read_facts(png[:8] + png_chunk(b"CgBI", bytes(4)) + png[8:], LIMITS)
    with pytest.raises(BadImage, match="NeWc"):
        read_facts(png_with(png_chunk(b"NeWc", b""), png), LIMITS)
