"""A box means the same part of a picture however it is said, and what it gives is what a file of that part gives."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from PIL import Image

from pictograph.errors import ValidationError
from pictograph.upload.bounded.pool import PictureReaders
from pictograph.upload.bounded.wanted import DecodeBudget, Wanted
from pictograph.upload.box import Box
from pictograph.upload.decode import decode_picture
from pictograph.upload.limits import PictureLimits

from .pictures import saved, smooth, turned_file

LIMITS = PictureLimits()


@pytest.fixture(scope="module")
def readers() -> Iterator[PictureReaders]:
    with PictureReaders(LIMITS, DecodeBudget(), processes=1) as readers:
        yield readers


def pixels_of(readers: PictureReaders, source: bytes, box: Box, short_side_px: int = 16) -> np.ndarray:
    picture = readers.read(source, Wanted(short_side_px, box=box)).picture
    assert picture is not None
    return picture.pixels


@pytest.mark.parametrize("short_side_px", [16, 100])
def test_a_box_gives_what_a_file_of_that_part_gives(readers: PictureReaders, short_side_px: int) -> None:
    whole = smooth(320, 240)
    part = decode_picture(saved(whole.crop((80, 60, 240, 180)), "PNG"), at_least_px=short_side_px, limits=LIMITS).pixels
    for box in (Box(80, 60, 160, 120), Box(0.25, 0.25, 0.5, 0.5, "fraction")):
        assert np.array_equal(pixels_of(readers, saved(whole, "PNG"), box, short_side_px), part)


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_the_origin_is_the_top_left_of_the_upright_picture(readers: PictureReaders, orientation: int) -> None:
    upright = smooth(320, 240)
    found = pixels_of(readers, turned_file(upright, orientation, "PNG"), Box(8, 16, 40, 20))
    assert np.array_equal(found, np.asarray(upright.crop((8, 16, 48, 36)).reduce(1)))


def test_a_box_of_the_whole_picture_is_the_picture(readers: PictureReaders) -> None:
    source = saved(smooth(100, 80), "PNG")
    for box in (Box(0, 0, 100, 80), Box(0, 0, 1, 1, "fraction")):
        assert np.array_equal(
            pixels_of(readers, source, box), decode_picture(source, at_least_px=16, limits=LIMITS).pixels
        )


@pytest.mark.parametrize(
    ("box", "edges"),
    [
        (Box(0, 0, 1 / 3, 1 / 3, "fraction"), (0, 0, 33, 27)),
        (Box(1 / 3, 1 / 3, 2 / 3, 2 / 3, "fraction"), (33, 27, 100, 80)),
        (Box(0.999, 0.999, 0.001, 0.001, "fraction"), (99, 79, 100, 80)),
        (Box(10.4, 10.6, 0.1, 0.1), (10, 11, 11, 12)),
        (Box(99, 79, 1, 1), (99, 79, 100, 80)),
    ],
)
def test_edges_are_the_nearest_pixels_and_never_none(box: Box, edges: tuple[int, int, int, int]) -> None:
    assert box.edges(100, 80) == edges


@pytest.mark.parametrize(
    "values",
    [
        (-1, 0, 5, 5), (0, -0.1, 0.5, 0.5, "fraction"), (0, 0, 0, 5), (0, 0, 5, -1), (0, 0, 1.5, 1, "fraction"),
        (0.6, 0, 0.5, 1, "fraction"), (float("nan"), 0, 1, 1), (0, 0, float("inf"), 1), (0, 0, 1, 1, "percent"),
    ],
)  # fmt: skip
def test_what_lies_in_no_picture_is_refused_before_one_is_read(values: tuple[float, float, float, float]) -> None:
    with pytest.raises(ValidationError) as refusal:
        Box(*values)
    assert refusal.value.field_errors[0]["loc"] == ["box"]


def test_what_reaches_out_of_the_picture_is_refused_with_its_size(readers: PictureReaders) -> None:
    source = turned_file(smooth(100, 80), 6, "JPEG")
    for box in (Box(50, 0, 51, 10), Box(0, 79, 10, 2)):
        with pytest.raises(ValidationError, match="100 x 80") as refusal:
            readers.read(source, Wanted(16, box=box))
        assert refusal.value.code == "validation_error"
        assert refusal.value.field_errors[0]["loc"] == ["box"]


def test_a_thumbnail_of_a_part_shows_the_part(readers: PictureReaders) -> None:
    whole = Image.new("RGB", (100, 80), "red")
    whole.paste("blue", (50, 40, 100, 80))
    made = readers.read(saved(whole, "PNG"), Wanted(16, (32,), box=Box(50, 40, 50, 40)))
    assert made.picture is not None
    assert (made.picture.pixels == (0, 0, 255)).all()
    assert list(made.thumbnails) == [32]
