from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image, ImageCms

from pictograph.upload.decode import decode_picture
from pictograph.upload.limits import PictureLimits

from .pictures import (
    ADOBE_RGB,
    DISPLAY_P3,
    RED,
    SRGB,
    bmp_run_length,
    cmyk_profile_of_grey_inks,
    gif_on_canvas,
    grey_profile,
    lab,
    plain,
    quadrants,
    rgb_profile,
    saved,
    smooth,
    tiff_of,
)


def decoded(source: bytes, at_least_px: int | None = None) -> npt.NDArray[np.uint8]:
    return decode_picture(source, at_least_px=at_least_px, limits=PictureLimits()).pixels


def colour(source: bytes, at_least_px: int | None = None) -> list[int]:
    """The one colour of a plain picture."""
    colours = np.unique(decoded(source, at_least_px).reshape(-1, 3), axis=0)
    assert (colours.max(axis=0) - colours.min(axis=0)).max() <= 2
    return [int(value) for value in colours[0]]


ALPHA_FORMATS = ("PNG", "WEBP", "TIFF", "AVIF", "HEIF")


@pytest.mark.parametrize(
    "source",
    [
        saved(plain(RED), "JPEG", quality=95),
        saved(plain(RED).convert("CMYK"), "JPEG", quality=95),
        saved(plain(RED).convert("CMYK"), "TIFF"),
        saved(plain(RED).convert("CMYK"), "TIFF", compression="tiff_lzw"),
        saved(plain(RED).convert("YCbCr"), "TIFF"),
        saved(plain(RED), "TIFF", compression="jpeg"),
        saved(lab(RED), "TIFF"),
        saved(plain(RED).quantize(4), "PNG"),
        saved(plain(RED).quantize(4), "GIF"),
        saved(plain(RED).quantize(4), "BMP"),
        saved(plain(RED).quantize(4), "TIFF"),
    ],
)
@pytest.mark.parametrize("at_least_px", [None, 8])
def test_red_is_red_in_every_colour_model(source: bytes, at_least_px: int | None) -> None:
    assert np.abs(np.array(colour(source, at_least_px)) - RED).max() <= 6


@pytest.mark.parametrize("picture_format", ALPHA_FORMATS)
@pytest.mark.parametrize("at_least_px", [None, 8])
def test_what_is_transparent_is_white(picture_format: str, at_least_px: int | None) -> None:
    assert min(colour(saved(plain((255, 0, 0, 0), mode="RGBA"), picture_format), at_least_px)) >= 253


@pytest.mark.parametrize("picture_format", ALPHA_FORMATS)
@pytest.mark.parametrize("at_least_px", [None, 8])
def test_what_is_half_transparent_is_half_white(picture_format: str, at_least_px: int | None) -> None:
    half = colour(saved(plain((255, 0, 0, 128), mode="RGBA"), picture_format), at_least_px)
    assert np.abs(np.array(half) - (255, 127, 127)).max() <= 2


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        (saved(plain((0, 128), mode="LA"), "PNG"), 127),
        (saved(plain((0, 0), mode="LA"), "TIFF"), 255),
        (saved(plain((1, 0), mode="PA"), "TIFF"), 255),
        (saved(plain(7, mode="L"), "PNG", transparency=7), 255),
        (saved(plain(8, mode="L"), "PNG", transparency=7), 8),
        (saved(plain((1, 2, 3)), "PNG", transparency=(1, 2, 3)), 255),
        (saved(plain(0, mode="1"), "PNG", transparency=0), 255),
        (saved(plain(0, mode="1"), "PNG"), 0),
        (saved(plain(1, mode="1"), "TIFF", compression="group4"), 255),
        (saved(plain((0, 0, 0)).quantize(4), "PNG", transparency=0), 255),
        (saved(plain((0, 0, 0)).quantize(4), "PNG", transparency=bytes([128] * 4)), 127),
        (saved(plain((0, 0, 0)).quantize(4), "GIF", transparency=0), 255),
    ],
)
@pytest.mark.parametrize("at_least_px", [None, 8])
def test_alpha_key_colours_and_transparent_palettes_lie_on_white(
    source: bytes, expected: int, at_least_px: int | None
) -> None:
    assert colour(source, at_least_px) == [expected] * 3


def test_shrinking_does_not_let_transparent_colours_bleed() -> None:
    striped = np.zeros((16, 16, 4), np.uint8)
    striped[:, ::2] = (255, 0, 0, 255)
    striped[:, 1::2] = (0, 255, 0, 0)
    assert np.abs(np.array(colour(saved(Image.fromarray(striped), "PNG"), 8)) - (255, 127, 127)).max() <= 1


def test_what_the_first_frame_of_a_gif_leaves_uncovered_is_white() -> None:
    pixels = decoded(gif_on_canvas(64, 48))
    assert (pixels[:16, :16] == RED).all()
    assert (pixels[16:] == 255).all()
    assert (pixels[:, 16:] == 255).all()


def test_a_run_length_bmp_is_read() -> None:
    assert decoded(bmp_run_length())[:, 0].tolist() == [[255, 0, 0], [0, 255, 0]]


def in_srgb(rgb: tuple[int, int, int], primaries: Any, gamma: float) -> npt.NDArray[np.float64]:
    """The arithmetic of ICC matrix profiles and of sRGB (IEC 61966-2-1), apart from the library under test."""
    linear = np.linalg.inv(np.array(SRGB).T) @ np.array(primaries).T @ (np.array(rgb) / 255) ** gamma
    linear = linear.clip(0, 1)
    return 255 * np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)


@pytest.mark.parametrize("primaries", [ADOBE_RGB, DISPLAY_P3])
@pytest.mark.parametrize("picture_format", ["PNG", "TIFF", "JPEG", "WEBP", "HEIF", "AVIF"])
def test_wide_gamut_profiles_are_brought_to_srgb(primaries: Any, picture_format: str) -> None:
    options: dict[str, Any] = {"quality": 100, "icc_profile": rgb_profile(primaries)}
    seen = colour(saved(plain((200, 120, 80)), picture_format, **options))
    assert np.abs(np.array(seen) - in_srgb((200, 120, 80), primaries, 2.2)).max() <= 4
    assert np.abs(np.array(seen) - (200, 120, 80)).max() >= 8


def test_a_profile_that_means_srgb_changes_nothing() -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    source = saved(smooth(100, 80), "PNG", icc_profile=profile)
    assert (decoded(source) == np.asarray(smooth(100, 80))).all()


def test_a_grey_profile_is_applied_to_grey() -> None:
    assert abs(colour(saved(plain(128, mode="L"), "PNG", icc_profile=grey_profile(1.0)))[0] - 188) <= 2


def test_a_cmyk_profile_is_applied_to_cmyk() -> None:
    for picture_format in ("JPEG", "TIFF"):
        magenta = saved(plain((0, 255, 0, 0), mode="CMYK"), picture_format, icc_profile=cmyk_profile_of_grey_inks())
        seen = np.array(colour(magenta))
        assert np.abs(seen - 119).max() <= 8


@pytest.mark.parametrize(
    "profile", [b"nonsense", rgb_profile(ADOBE_RGB)[:200], grey_profile(1.0), cmyk_profile_of_grey_inks()]
)
def test_a_broken_profile_or_one_for_other_channels_is_ignored(profile: bytes) -> None:
    assert colour(saved(plain((200, 120, 80)), "PNG", icc_profile=profile)) == [200, 120, 80]


def test_bytes_of_rgb_tiffs_come_through_unchanged() -> None:
    pixels = np.asarray(quadrants())
    assert (decoded(tiff_of(pixels)) == pixels).all()
