from __future__ import annotations

import struct
import zlib
from io import BytesIO

import pytest

from pictograph.errors import BadImage
from pictograph.upload.facts import read_facts
from pictograph.upload.headers import gif, jpeg, png, tiff
from pictograph.upload.headers.directory import exif_orientation, read_directory
from pictograph.upload.limits import PictureLimits

from .pictures import (
    gif_on_canvas,
    jpeg_with_segment,
    one_of_each,
    plain,
    png_chunk,
    png_with,
    ramp,
    saved,
    tiff_of,
    turned_file,
    with_orientation,
)

LIMITS = PictureLimits()
JPEG = saved(plain(size=(48, 32)), "JPEG")
PNG = saved(plain(size=(48, 32)), "PNG")


def exif(order: str, orientation: int, kind: int = 3) -> bytes:
    start = b"II*\0" if order == "<" else b"MM\0*"
    value = struct.pack(order + ("HH" if kind == 3 else "I"), *((orientation, 0) if kind == 3 else (orientation,)))
    return start + struct.pack(order + "IHHHI", 8, 1, 0x0112, kind, 1) + value + bytes(4)


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("kind", [3, 4])
@pytest.mark.parametrize("prefix", [b"", b"Exif\0\0"])
def test_the_orientation_is_read_in_both_byte_orders_and_as_short_or_long(order: str, kind: int, prefix: bytes) -> None:
    assert exif_orientation(prefix + exif(order, 6, kind)) == 6


@pytest.mark.parametrize("block", [b"", b"Exif\0\0", b"nonsense", exif("<", 0), exif("<", 9), exif(">", 6)[:20]])
def test_an_exif_block_that_is_broken_or_absurd_means_upright(block: bytes) -> None:
    assert exif_orientation(block) == 1


def test_a_big_tiff_directory_is_read() -> None:
    row = struct.pack("<HHQQ", 256, 4, 1, 77)
    file = BytesIO(b"II+\0\x08\0\0\0" + struct.pack("<QQ", 16, 1) + row + bytes(8))
    assert read_directory(file)[256].value == 77


def test_a_broken_exif_block_does_not_refuse_the_picture() -> None:
    for block in (b"Exif\0\0II*\0\xff\xff\xff\xff", b"Exif\0\0garbage", b"Exif\0\0" + exif(">", 3)[:-6]):
        assert read_facts(jpeg_with_segment(0xE1, block, JPEG), LIMITS).width == 48


def test_the_first_exif_block_of_a_jpeg_counts() -> None:
    turned = turned_file(plain(size=(48, 32)), 6, "JPEG")
    other = jpeg_with_segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0<x/>", turned)
    assert (read_facts(other, LIMITS).width, read_facts(other, LIMITS).height) == (48, 32)


def test_a_png_may_carry_its_orientation_behind_its_pixels() -> None:
    chunk = png_chunk(b"eXIf", with_orientation(6).tobytes()[6:])
    assert read_facts(PNG[:-12] + chunk + PNG[-12:], LIMITS).width == 32


@pytest.mark.parametrize("cut", range(1, len(JPEG) - 1, 7))
def test_a_jpeg_without_its_end_is_cut_short_wherever_it_was_cut(cut: int) -> None:
    for source in (JPEG[:-cut], JPEG[:-cut] + bytes(cut)):
        with pytest.raises(BadImage) if len(source) > 2 and source[2] else pytest.raises(Exception, match="looks like"):
            read_facts(source, LIMITS)


@pytest.mark.parametrize("after", [bytes(5000), b"MotionPhoto_Data" + bytes(200_000), JPEG])
def test_what_follows_the_end_of_a_jpeg_does_not_matter(after: bytes) -> None:
    assert read_facts(JPEG + after, LIMITS).width == 48


@pytest.mark.parametrize("left", range(9, len(PNG) - 8, 5))
def test_a_png_is_cut_short_wherever_it_was_cut(left: int) -> None:
    with pytest.raises(BadImage, match="cut short"):
        read_facts(PNG[:left], LIMITS)


def test_a_webp_shorter_than_it_says_is_cut_short() -> None:
    source = one_of_each()["webp"]
    for left in range(32, len(source) - 2, 9):
        with pytest.raises(BadImage, match="cut short"):
            read_facts(source[:left], LIMITS)


@pytest.mark.parametrize("name", one_of_each())
def test_a_file_of_a_few_bytes_is_refused_in_every_format(name: str) -> None:
    with pytest.raises(BadImage):
        read_facts(one_of_each()[name][:24], LIMITS)


def test_a_large_profile_or_text_does_not_refuse_a_png() -> None:
    text = zlib.compress(b"a workflow " * 300_000)
    plain_text = b"XML:com.adobe.xmp\0\0\0\0\0" + b"x" * 5_000_000
    for chunk in (png_chunk(b"zTXt", b"k\0\0" + text), png_chunk(b"iTXt", plain_text)):
        assert read_facts(png_with(chunk, PNG), LIMITS).width == 48


@pytest.mark.parametrize(
    "source",
    [
        JPEG[:2] + b"\xff\xe1\0\x02" * (jpeg.MAX_SEGMENTS + 1) + JPEG[2:],
        JPEG[:4] + b"\0" * 10 + (b"\xff\xe1\0\x02" + bytes(50)) * 5000 + JPEG[2:],
        JPEG[:2] + (b"\xff\xe1\xff\xff" + bytes(65_533)) * (jpeg.MAX_HEADER_BYTES // 65_000) + JPEG[2:],
        JPEG[:2] + b"\xff" * (jpeg.MAX_JUNK_BYTES + 1) + JPEG[2:],
        JPEG[:2] + b"\xff\xe1\0\x01" + JPEG[2:],
        png_with(png_chunk(b"prIv", b"") * png.MAX_CHUNKS, PNG),
        png_with(png_chunk(b"iCCP", b"k\0\0" + bytes(2_000_000)) * 3, PNG),
        gif_on_canvas(16, 16)[:13] + bytes(12) + b"!\xfe" + b"\1a" * gif.MAX_HEADER_BYTES,
        gif_on_canvas(16, 16)[:13] + bytes(12) + b";",
        tiff_of(ramp(), extra_tags=((322, 4, 2**31), (323, 4, 2**31))),
        tiff_of(ramp()).replace(struct.pack("<HHI", 339, 3, 1), struct.pack("<HHI", 339, 3, tiff.MAX_VALUES + 1)),
        b"II*\0\x08\0\0\0\0\0",
        b"II*\0\x08\0\0\0\xff\xff",
        b"II+\0\x08\0\0\0" + b"\xff" * 8,
    ],
)
def test_headers_made_to_waste_time_or_memory_are_refused(source: bytes) -> None:
    with pytest.raises(BadImage, match=r"broken|cut short"):
        read_facts(source, LIMITS)
