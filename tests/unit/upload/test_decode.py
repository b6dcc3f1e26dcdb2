from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageCms, UnidentifiedImageError

from pictograph.errors import BadImage, TooLarge
from pictograph.upload.decode import decode_picture
from pictograph.upload.facts import read_facts
from pictograph.upload.limits import PictureLimits
from pictograph.upload.opening import MAX_RLE_PIXELS, library_errors_as_bad_image

from .pictures import (
    GREEN,
    bmp_run_length,
    one_of_each,
    plain,
    png_claiming,
    quadrants,
    saved,
    smooth,
    turned_file,
    two_frames,
)

LIMITS = PictureLimits()
LOSSLESS: dict[str, dict[str, Any]] = {
    "PNG": {},
    "WEBP": {"lossless": True},
    "TIFF": {},
    "TIFF lzw": {"compression": "tiff_lzw"},
}
NEARLY_LOSSLESS: dict[str, dict[str, Any]] = {
    "JPEG": {"quality": 100, "subsampling": 0},
    "HEIF": {"quality": 100, "chroma": 444},
    "AVIF": {"quality": 100, "subsampling": "4:4:4"},
}


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("name", LOSSLESS)
def test_turned_pictures_come_upright_to_the_pixel(name: str, orientation: int) -> None:
    source = turned_file(quadrants(), orientation, name.split(maxsplit=1)[0], **LOSSLESS[name])
    assert (decode_picture(source, at_least_px=None, limits=LIMITS).pixels == np.asarray(quadrants())).all()


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("name", NEARLY_LOSSLESS)
def test_turned_pictures_come_upright_within_the_loss_of_the_format(name: str, orientation: int) -> None:
    source = turned_file(quadrants(), orientation, name, **NEARLY_LOSSLESS[name])
    pixels = decode_picture(source, at_least_px=None, limits=LIMITS).pixels
    assert pixels.shape == (32, 48, 3)
    assert np.abs(pixels.astype(int) - np.asarray(quadrants())).mean() < 3


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("picture_format", ["JPEG", "PNG", "TIFF", "WEBP"])
def test_a_shrunk_picture_is_the_upright_picture_made_smaller(picture_format: str, orientation: int) -> None:
    upright = smooth(640, 400)
    source = turned_file(upright, orientation, picture_format)
    pixels = decode_picture(source, at_least_px=90, limits=LIMITS).pixels
    assert pixels.shape == (100, 160, 3)
    assert np.abs(pixels.astype(int) - np.asarray(upright.reduce(4))).mean() < 2


@pytest.mark.parametrize("name", one_of_each())
def test_every_format_and_mode_gives_upright_opaque_rgb(name: str) -> None:
    picture = decode_picture(one_of_each()[name], at_least_px=None, limits=LIMITS)
    assert picture.pixels.dtype == np.uint8
    assert picture.pixels.shape == (picture.facts.height, picture.facts.width, 3)
    assert picture.pixels.flags.c_contiguous
    assert picture.facts == read_facts(one_of_each()[name], LIMITS)


@pytest.mark.parametrize("picture_format", ["JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF", "HEIF", "AVIF"])
@pytest.mark.parametrize("at_least_px", [1, 7, 33, 64, 100, 149, 150, 151, 1000])
def test_the_short_side_is_at_least_what_was_asked_and_less_than_twice(picture_format: str, at_least_px: int) -> None:
    picture = decode_picture(saved(smooth(211, 150), picture_format), at_least_px=at_least_px, limits=LIMITS)
    assert min(150, at_least_px) <= min(picture.pixels.shape[:2]) < max(2 * at_least_px, 3)
    assert (picture.facts.width, picture.facts.height) == (211, 150)


@pytest.mark.parametrize("name", ["jpeg with a second picture", "png animated", "webp animated", "gif animated"])
def test_of_several_frames_the_first_is_taken(name: str) -> None:
    pixels = decode_picture(one_of_each()[name], at_least_px=None, limits=LIMITS).pixels
    assert np.abs(pixels.astype(int) - np.asarray(quadrants())).mean() < 20


def test_of_several_pages_the_first_is_taken() -> None:
    source = saved(plain(GREEN, (48, 32)), "TIFF", save_all=True, append_images=[plain(size=(10, 10))])
    assert (decode_picture(source, at_least_px=None, limits=LIMITS).pixels == GREEN).all()
    assert two_frames()["save_all"]


@pytest.mark.parametrize("name", ["jpeg", "jpeg progressive", "jpeg cmyk", "png", "png 16-bit", "webp", "heic", "avif"])
def test_a_file_cut_anywhere_is_a_bad_image(name: str) -> None:
    source = one_of_each()[name]
    for left in range(32, len(source) - 12, max(1, len(source) // 60)):
        with pytest.raises(BadImage):
            decode_picture(source[:left], at_least_px=None, limits=LIMITS)


@pytest.mark.parametrize("name", one_of_each())
def test_half_a_file_is_a_bad_image(name: str) -> None:
    source = one_of_each()[name]
    whole_first_picture_in_half = name in ("tiff pages", "jpeg with a second picture")
    with pytest.raises(BadImage):
        decode_picture(source[: len(source) // (4 if whole_first_picture_in_half else 2)], at_least_px=8, limits=LIMITS)


def test_a_truncated_file_is_told_to_be_cut_short() -> None:
    for name in ("jpeg", "png", "webp", "bmp", "gif", "tiff"):
        with pytest.raises(BadImage, match="cut short"):
            decode_picture(one_of_each()[name][:-40], at_least_px=None, limits=LIMITS)


def test_pixels_that_do_not_fit_the_header_are_a_bad_image() -> None:
    with pytest.raises(BadImage):
        decode_picture(png_claiming(9000, 9000), at_least_px=64, limits=LIMITS)
    heic = bytearray(saved(quadrants(64, 64), "HEIF"))
    heic[heic.index(b"ispe") + 11] = 65
    with pytest.raises(BadImage):
        decode_picture(bytes(heic), at_least_px=None, limits=LIMITS)


def test_a_progressive_jpeg_of_a_thousand_scans_is_refused() -> None:
    source = saved(plain(size=(400, 300)), "JPEG", progressive=True)
    last_scan = source[source.rindex(b"\xff\xda") : -2]
    with pytest.raises(BadImage, match="scans"):
        decode_picture(
            source[:-2] + last_scan * 1000 + source[-2:], at_least_px=None, limits=PictureLimits(max_pixels=1_000_000)
        )


def test_a_huge_run_length_bmp_is_refused() -> None:
    source = bytearray(bmp_run_length())
    source[18:26] = (4000).to_bytes(4, "little") + (MAX_RLE_PIXELS // 4000 + 1).to_bytes(4, "little")
    with pytest.raises(BadImage, match="Run-length"):
        decode_picture(bytes(source), at_least_px=64, limits=LIMITS)


def test_limits_hold_while_decoding_too() -> None:
    with pytest.raises(TooLarge):
        decode_picture(one_of_each()["png"], at_least_px=8, limits=PictureLimits(max_pixels=100))


def test_a_picture_larger_than_pillows_own_limit_is_read_when_ours_allows_it() -> None:
    source = saved(plain(0, (14_000, 14_000), "1"), "PNG")
    picture = decode_picture(source, at_least_px=100, limits=PictureLimits(max_pixels=200_000_000))
    assert picture.pixels.shape == (100, 100, 3)


def test_threads_decode_the_same_pixels_as_one_after_the_other() -> None:
    sources = [*one_of_each().values()] * 4
    alone = [decode_picture(source, at_least_px=16, limits=LIMITS).pixels for source in sources]
    with ThreadPoolExecutor(8) as pool:
        together = pool.map(lambda source: decode_picture(source, at_least_px=16, limits=LIMITS).pixels, sources)
        assert all((one == other).all() for one, other in zip(alone, together, strict=True))


@pytest.mark.parametrize(
    "error",
    [
        OSError("image file is truncated"),
        UnidentifiedImageError("x y"),
        SyntaxError("not a PNG file"),
        ValueError("tile cannot extend outside image"),
        KeyError(320),
        IndexError("index out of range"),
        EOFError("no more images"),
        ZeroDivisionError("division by zero"),
        OverflowError("too large"),
        RuntimeError("Failed to decode frame 0"),
        Image.DecompressionBombError("too large"),
        ImageCms.PyCMSError("cannot build transform"),
        UserWarning("Corrupt EXIF data"),
    ],
)
def test_whatever_the_libraries_raise_becomes_bad_image_with_a_reason(error: Exception) -> None:
    with pytest.raises(BadImage, match=r"could not be decoded: \w") as refusal, library_errors_as_bad_image():
        raise error
    assert refusal.value.__cause__ is error


def test_refusals_of_our_own_are_not_changed() -> None:
    with pytest.raises(TooLarge, match="as it was"), library_errors_as_bad_image():
        raise TooLarge("as it was")


def test_short_memory_is_not_the_pictures_fault() -> None:
    with pytest.raises(MemoryError), library_errors_as_bad_image():
        raise MemoryError
