"""When a picture was taken, and by what: read from every format that can say it, and never where."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from PIL import Image
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from pictograph.upload.bounded.pool import PictureReaders
from pictograph.upload.bounded.wanted import DecodeBudget, Wanted
from pictograph.upload.exif import NOTHING, moment_of, read_exif
from pictograph.upload.facts import read_facts
from pictograph.upload.limits import PictureLimits

from .pictures import plain, saved

LIMITS = PictureLimits()
NOON = datetime(2024, 5, 17, 12, tzinfo=UTC)


def block(main: dict[int, Any], taken: dict[int, Any] | None = None) -> Image.Exif:
    exif = Image.Exif()
    exif.update(main)
    exif.get_ifd(0x8769).update(taken or {})
    return exif


OURS = block({0x010F: "Canon", 0x0110: "Canon EOS 5D", 0x0132: "2025:01:01 00:00:00"}, {0x9003: "2024:05:17 12:00:00"})


@pytest.mark.parametrize("picture_format", ["JPEG", "PNG", "WEBP", "HEIF", "AVIF"])
def test_every_format_that_has_exif_is_read(picture_format: str) -> None:
    facts = read_facts(saved(plain(), picture_format, exif=OURS), LIMITS)
    assert (facts.taken_at, facts.camera) == (NOON, "Canon EOS 5D")


def test_a_tiff_is_such_a_block_itself() -> None:
    info = ImageFileDirectory_v2()
    info[0x010F], info[0x8769] = "Canon", {0x9003: "2024:05:17 12:00:00"}  # type: ignore[assignment]
    facts = read_facts(saved(plain(), "TIFF", tiffinfo=info), LIMITS)
    assert (facts.taken_at, facts.camera) == (NOON, "Canon")


def test_the_process_that_decodes_tells_it_too() -> None:
    with PictureReaders(LIMITS, DecodeBudget(), processes=1) as readers:
        made = readers.read(saved(plain(), "JPEG", exif=OURS), Wanted(short_side_px=16))
    assert made.picture is not None
    assert (made.facts.taken_at, made.picture.facts.camera) == (NOON, "Canon EOS 5D")


@pytest.mark.parametrize("picture_format", ["JPEG", "GIF", "BMP", "PNG"])
def test_a_file_that_does_not_say_has_neither(picture_format: str) -> None:
    facts = read_facts(saved(plain(), picture_format), LIMITS)
    assert (facts.taken_at, facts.camera) == (None, None)


@pytest.mark.parametrize(
    ("written", "offset", "fraction", "taken"),
    [
        ("2024:05:17 14:00:00", "+02:00", "", NOON),
        ("2024:05:17 06:30:00", "-05:30", "", NOON),
        ("2024:05:17 12:00:00", "", "25", NOON.replace(microsecond=250_000)),
        ("2024:05:17 12:00:00", "+99:00", "x", NOON),
        ("0000:00:00 00:00:00", "", "", None),
        ("    :  :     :  :  ", "", "", None),
        ("2024:13:17 12:00:00", "", "", None),
        ("0001:01:01 00:00:00", "+14:00", "", None),
        ("yesterday", "", "", None),
    ],
)
def test_a_time_is_in_utc_and_what_is_no_time_is_not_known(
    written: str, offset: str, fraction: str, taken: datetime | None
) -> None:
    assert moment_of(written, offset, fraction) == taken


def test_a_time_that_the_camera_never_had_gives_way_to_when_it_was_digitized() -> None:
    both = block({}, {0x9003: "0000:00:00 00:00:00", 0x9004: "2024:05:17 12:00:00"})
    assert read_exif(both.tobytes()).taken_at == NOON
    assert read_exif(block({0x0132: "2024:05:17 12:00:00"}).tobytes()).taken_at is None, "when it was last saved"


@pytest.mark.parametrize(
    ("make", "model", "camera"),
    [
        ("NIKON CORPORATION", "NIKON D90", "NIKON D90"),
        ("Apple", "iPhone 15", "Apple iPhone 15"),
        ("Apple", "", "Apple"),
        ("", "", None),
        ("a\n\tb\u202e".encode(), "c" * 200, "a b " + "c" * 96),
        ("x\0y", "é".encode(), "x é"),
        ("x", "é".encode("latin-1"), "x é"),
    ],
)
def test_a_camera_is_a_line_of_visible_text(make: str | bytes, model: str | bytes, camera: str | None) -> None:
    assert read_exif(block({0x010F: make, 0x0110: model}).tobytes()).camera == camera


@pytest.mark.parametrize("cut", range(0, 120, 7))
def test_a_broken_block_says_nothing_or_less_and_breaks_nothing(cut: int) -> None:
    whole = OURS.tobytes()
    assert read_exif(whole[:cut]).camera in (None, "Canon", "Canon EOS 5D")
    assert read_exif(whole[:cut] + b"\xff" * 40).taken_at in (None, NOON)


def test_no_place_is_read() -> None:
    """Of a block that has only a place, nothing is read."""
    exif = Image.Exif()
    exif.get_ifd(0x8825).update({1: "N", 2: (52.0, 31.0, 0.0), 3: "E", 4: (13.0, 24.0, 0.0)})
    assert read_exif(exif.tobytes()) == NOTHING
