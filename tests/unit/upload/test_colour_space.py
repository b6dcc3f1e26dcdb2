"""Colours that a file names by code or by numbers: wide gamuts, other curves, HDR."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from pictograph.errors import BadImage
from pictograph.upload.colour_space import ColourSpace, light_of, profile_of, space_of_codes, space_of_numbers
from pictograph.upload.decode import decode_picture
from pictograph.upload.facts import read_facts
from pictograph.upload.limits import PictureLimits

from .pictures import (
    DISPLAY_P3,
    one_of_each,
    plain,
    png_chunk,
    png_of_16_bits,
    png_with,
    quadrants,
    rgb_profile,
    saved,
)
from .test_colour import in_srgb

LIMITS = PictureLimits()
P3, BT2020 = 12, 9
SRGB_CURVE, LINEAR, PQ, HLG = 13, 8, 16, 18


def first_colour(source: bytes) -> list[int]:
    return [int(value) for value in decode_picture(source, at_least_px=None, limits=LIMITS).pixels[12, 12]]


def png_in(primaries: int, transfer: int, colour: Any, mode: str = "RGB", **options: Any) -> bytes:
    cicp = png_chunk(b"cICP", bytes((primaries, transfer, 0, 1)))
    return png_with(cicp, saved(plain(colour, mode=mode), "PNG", **options))


def boxed_in(picture_format: str, primaries: int, transfer: int, colour: Any) -> bytes:
    """An AVIF or HEIF whose `colr` box holds these codes."""
    source = saved(plain(colour), picture_format, quality=100)
    at = source.index(b"colrnclx") + 8
    return source[:at] + struct.pack(">HH", primaries, transfer) + source[at + 4 :]


# (value of 255, cd/m2 by the standard's own table, what is shown of 255)
PQ_STEPS = [(0, 0), (130, 186), (148, 233), (192, 254), (255, 255)]  # 0, 100, 203, 1000, 10,000 cd/m2
HLG_STEPS = [(0, 0), (128, 137), (191, 233), (255, 255)]  # 0, 51, 203, 1000 cd/m2


@pytest.mark.parametrize(
    ("transfer", "value", "expected"), [(PQ, *step) for step in PQ_STEPS] + [(HLG, *step) for step in HLG_STEPS]
)
def test_hdr_is_brought_down_by_the_stated_formula(transfer: int, value: int, expected: int) -> None:
    grey = (value,) * 3
    for source in (
        png_in(BT2020, transfer, grey),
        png_in(1, transfer, value, mode="L"),
        boxed_in("AVIF", BT2020, transfer, grey),
        boxed_in("HEIF", BT2020, transfer, grey),
    ):
        assert np.abs(np.array(first_colour(source)) - expected).max() <= 4


@pytest.mark.parametrize("transfer", [PQ, HLG])
def test_what_is_brighter_is_lighter(transfer: int) -> None:
    space = space_of_codes(BT2020, transfer)
    assert space is not None
    light = light_of(space, np.linspace(0, 1, 256))
    assert (np.diff(light) > -1e-12).all()
    assert light[0] == pytest.approx(0, abs=1e-6)
    assert 0.98 < light[-1] <= 1


def test_dark_hdr_of_16_bits_stays_dark() -> None:
    dark = np.full((24, 32, 3), 4095, np.uint16)  # alone, it would be taken for 12-bit data and be white
    cicp = png_chunk(b"cICP", bytes((BT2020, PQ, 0, 1)))
    assert max(first_colour(png_with(cicp, png_of_16_bits(dark)))) < 20
    assert first_colour(png_of_16_bits(dark)) == [255, 255, 255]


def test_hdr_counts_before_a_profile_and_other_codes_after_it() -> None:
    profile = rgb_profile(DISPLAY_P3)
    assert abs(first_colour(png_in(BT2020, PQ, (148,) * 3, icc_profile=profile))[0] - 233) <= 4
    assert first_colour(png_in(BT2020, SRGB_CURVE, (200, 120, 80), icc_profile=profile)) == first_colour(
        saved(plain((200, 120, 80)), "PNG", icc_profile=profile)
    )


def test_white_under_hdr_is_white() -> None:
    assert first_colour(png_in(BT2020, PQ, (60, 60, 60, 0), mode="RGBA")) == [255, 255, 255]


@pytest.mark.parametrize("picture_format", ["AVIF", "HEIF"])
def test_display_p3_by_code_is_display_p3(picture_format: str) -> None:
    by_code = first_colour(boxed_in(picture_format, P3, SRGB_CURVE, (200, 120, 80)))
    assert np.abs(np.array(by_code) - in_srgb_curve((200, 120, 80))).max() <= 4
    assert np.abs(np.array(by_code) - (200, 120, 80)).max() >= 8


def in_srgb_curve(rgb: tuple[int, int, int]) -> npt.NDArray[np.float64]:
    """Display P3 has sRGB's curve, which 2.2 comes close to."""
    return in_srgb(rgb, DISPLAY_P3, 2.2)


@pytest.mark.parametrize("picture_format", ["AVIF", "HEIF", "PNG"])
@pytest.mark.parametrize(("primaries", "transfer"), [(1, 13), (1, 1), (2, 2), (1, 6), (2, 14)])
def test_codes_that_mean_srgb_or_nothing_change_nothing(picture_format: str, primaries: int, transfer: int) -> None:
    if picture_format == "PNG":
        source = png_in(primaries, transfer, (200, 120, 80))
    else:
        source = boxed_in(picture_format, primaries, transfer, (200, 120, 80))
    assert np.abs(np.array(first_colour(source)) - (200, 120, 80)).max() <= 2


@pytest.mark.parametrize("transfer", [9, 10, 17])
def test_a_curve_that_nobody_knows_is_refused_by_name_at_upload(transfer: int) -> None:
    for source in (png_in(1, transfer, (9, 9, 9)), boxed_in("AVIF", 1, transfer, (9, 9, 9))):
        with pytest.raises(BadImage, match=f"transfer function of this picture is number {transfer}"):
            read_facts(source, LIMITS)


def gama(gamma: float) -> bytes:
    return png_chunk(b"gAMA", struct.pack(">I", round(100_000 / gamma)))


def chrm(*points: float) -> bytes:
    return png_chunk(b"cHRM", struct.pack(">8I", *(round(value * 100_000) for value in points)))


P3_POINTS = (0.3127, 0.3290, 0.680, 0.320, 0.265, 0.690, 0.150, 0.060)
SRGB_POINTS = (0.3127, 0.3290, 0.64, 0.33, 0.30, 0.60, 0.15, 0.06)


def test_the_gamma_of_a_png_is_applied_in_grey_and_colour() -> None:
    for mode, value in (("RGB", (128,) * 3), ("L", 128)):
        linear = png_with(gama(1.0), saved(plain(value, mode=mode), "PNG"))
        assert np.abs(np.array(first_colour(linear)) - 188).max() <= 2


def test_the_primaries_of_a_png_are_applied() -> None:
    seen = first_colour(png_with(chrm(*P3_POINTS), saved(plain((200, 120, 80)), "PNG")))
    assert np.abs(np.array(seen) - in_srgb_curve((200, 120, 80))).max() <= 4


@pytest.mark.parametrize(
    "chunks",
    [
        gama(2.2), gama(2.2) + chrm(*SRGB_POINTS), png_chunk(b"sRGB", b"\0") + gama(1.0), png_chunk(b"gAMA", bytes(4)),
        gama(50.0), chrm(*[0.0] * 8), chrm(*[0.3] * 8), png_chunk(b"cHRM", b"\xff" * 32),
    ],
)  # fmt: skip
def test_numbers_that_mean_srgb_or_nothing_change_nothing(chunks: bytes) -> None:
    assert first_colour(png_with(chunks, saved(plain((200, 120, 80)), "PNG"))) == [200, 120, 80]


def test_a_profile_counts_before_numbers() -> None:
    source = saved(plain((200, 120, 80)), "PNG", icc_profile=rgb_profile(DISPLAY_P3))
    assert first_colour(png_with(gama(1.0), source)) == first_colour(source)


@pytest.mark.parametrize("picture_format", ["AVIF", "HEIF"])
def test_a_file_whose_data_reach_beyond_its_end_is_refused_at_upload(picture_format: str) -> None:
    source = saved(quadrants(), picture_format)
    for left in (len(source) - 1, len(source) - 200):
        with pytest.raises(BadImage, match="cut short"):
            read_facts(source[:left], LIMITS)
    assert read_facts(source + bytes(500), LIMITS).width == 48
    assert read_facts(source + b"SEFT trailer of a camera", LIMITS).width == 48


@pytest.mark.parametrize("name", ["heic", "avif", "avif animated"])
def test_no_bytes_of_the_boxes_make_the_parser_stumble(name: str) -> None:
    source = one_of_each()[name]
    for at in range(0, source.index(b"mdat"), 3):
        for value in (0, 1, 127, 255):
            damaged = source[:at] + bytes((value,)) + source[at + 1 :]
            try:
                read_facts(damaged, LIMITS)
            except Exception as error:  # noqa: BLE001
                assert getattr(error, "status", 500) < 500, error  # noqa: PT017


def test_a_profile_of_a_space_is_small_and_the_same_each_time() -> None:
    space = ColourSpace(curve="PQ")
    assert profile_of(space) == profile_of(ColourSpace(curve="PQ"))
    assert len(profile_of(space)) < 10_000
    assert space_of_numbers(None, None) is None
