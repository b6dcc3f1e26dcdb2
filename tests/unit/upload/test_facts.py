from __future__ import annotations

from contextlib import suppress
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image

from pictograph.errors import BadImage, TooLarge, UnsupportedFormat
from pictograph.upload import opening
from pictograph.upload.facts import read_facts
from pictograph.upload.limits import PictureLimits

from .pictures import (
    gif_on_canvas,
    jpeg_claiming,
    one_of_each,
    plain,
    png_claiming,
    quadrants,
    ramp,
    saved,
    tiff_of,
    turned_file,
)

LIMITS = PictureLimits()
FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "HEIF", "AVIF")


@pytest.mark.parametrize("picture_format", FORMATS)
@pytest.mark.parametrize("orientation", range(1, 9))
def test_width_and_height_are_those_a_person_sees(picture_format: str, orientation: int) -> None:
    facts = read_facts(turned_file(quadrants(48, 32), orientation, picture_format), LIMITS)
    assert (facts.format, facts.width, facts.height) == (picture_format, 48, 32)


@pytest.mark.parametrize(
    ("name", "content_type"),
    [
        ("jpeg", "image/jpeg"),
        ("jpeg with a second picture", "image/jpeg"),
        ("png animated", "image/png"),
        ("webp", "image/webp"),
        ("gif", "image/gif"),
        ("bmp", "image/bmp"),
        ("tiff", "image/tiff"),
        ("heic", "image/heic"),
        ("avif", "image/avif"),
    ],
)
def test_the_content_type_is_that_of_the_content(name: str, content_type: str) -> None:
    assert read_facts(one_of_each()[name], LIMITS).content_type == content_type


def test_the_name_of_a_file_is_not_asked(tmp_path: Path) -> None:
    path = tmp_path / "picture.jpg"
    path.write_bytes(one_of_each()["gif"])
    assert read_facts(path, LIMITS).format == "GIF"


@pytest.mark.parametrize("name", one_of_each())
def test_bytes_a_path_and_an_open_file_give_the_same_facts(name: str, tmp_path: Path) -> None:
    source = one_of_each()[name]
    path = tmp_path / "picture"
    path.write_bytes(source)
    with path.open("rb") as file:
        assert read_facts(source, LIMITS) == read_facts(path, LIMITS) == read_facts(file, LIMITS)


@pytest.mark.parametrize("source", [b"no picture", one_of_each()["png"]])
def test_a_file_object_is_left_open_at_its_start(source: bytes) -> None:
    file = BytesIO(source)
    file.seek(5)
    with suppress(UnsupportedFormat):
        read_facts(file, LIMITS)
    assert not file.closed
    assert file.tell() == 0


def test_a_file_above_the_byte_limit_is_refused_with_the_limit_and_its_setting() -> None:
    source = one_of_each()["bmp"]
    with pytest.raises(TooLarge, match=r"at most 100 \(setting max_bytes") as refusal:
        read_facts(source, PictureLimits(max_bytes=100))
    assert refusal.value.details == {"bytes": len(source), "limit": 100, "setting": "max_bytes"}


@pytest.mark.parametrize("name", one_of_each())
def test_a_picture_above_the_pixel_limit_is_refused_in_every_format(name: str) -> None:
    with pytest.raises(TooLarge, match=r"at most 7 \(setting max_pixels\)"):
        read_facts(one_of_each()[name], PictureLimits(max_pixels=7))


def test_a_picture_exactly_at_the_limits_is_taken() -> None:
    source = saved(plain(size=(30, 20)), "PNG")
    limits = PictureLimits(max_bytes=len(source), max_pixels=600, max_side_px=30)
    assert read_facts(source, limits).width == 30


@pytest.mark.parametrize(
    ("source", "said"),
    [
        (png_claiming(30_000, 30_000), "30000 x 30000"),
        (png_claiming(2**31 - 1, 2**31 - 1), "2147483647 x 2147483647"),
        (png_claiming(90_000, 10), "a side may have at most 65,535 px"),
        (jpeg_claiming(65_500, 65_500), "65500 x 65500"),
        (gif_on_canvas(65_000, 65_000), "65000 x 65000"),
        (gif_on_canvas(16, 16, frame=(0, 0, 65_000, 65_000)), "65000 x 65000"),
        (gif_on_canvas(16, 16, frame=(65_000, 65_000, 16, 16)), "65016 x 65016"),
        (b"RIFF\x16\0\0\0WEBPVP8X\x0a\0\0\0\0\0\0\0\xff\xff\xff\xff\xff\xff", "16777216 x 16777216"),
        (tiff_of(ramp(), extra_tags=((256, 4, 60_000), (257, 4, 60_000))), "60000 x 60000"),
    ],
)
def test_a_decompression_bomb_is_refused_before_any_decoder_sees_it(
    source: bytes, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opening, "_open_image", None)
    with pytest.raises(TooLarge, match=said):
        read_facts(source, LIMITS)


def test_a_header_that_claims_no_pixels_is_a_bad_image() -> None:
    for source in (png_claiming(0, 10), jpeg_claiming(10, 0)):
        with pytest.raises(BadImage, match="broken"):
            read_facts(source, LIMITS)


def test_no_other_decoder_of_pillow_can_be_reached(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "open", None)
    monkeypatch.setattr(Image, "OPEN", {})
    for source in one_of_each().values():
        read_facts(source, LIMITS)


def test_a_tiff_taller_than_its_strips_is_cut_short() -> None:
    with pytest.raises(BadImage, match="do not reach its bottom"):
        read_facts(tiff_of(ramp(), extra_tags=((257, 4, 80), (278, 4, 8))), LIMITS)


def test_camera_raw_dressed_as_tiff_is_refused_instead_of_its_preview() -> None:
    for tags in (((50706, 1, 1),), ((254, 4, 1), (330, 4, 8)), ((262, 3, 32803),)):
        with pytest.raises(UnsupportedFormat, match="camera RAW"):
            read_facts(tiff_of(ramp(), extra_tags=tags), LIMITS)
