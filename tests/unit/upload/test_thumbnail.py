from __future__ import annotations

from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from pictograph.errors import BadImage
from pictograph.upload.decode import decode_picture
from pictograph.upload.limits import PictureLimits
from pictograph.upload.thumbnail import thumbnail_of

from .pictures import (
    DISPLAY_P3,
    make_thumbnail,
    one_of_each,
    plain,
    png_claiming,
    quadrants,
    rgb_profile,
    saved,
    smooth,
    turned_file,
)

LIMITS = PictureLimits()


def opened(jpeg: bytes) -> Image.Image:
    image = Image.open(BytesIO(jpeg), formats=["JPEG"])
    image.load()
    return image


@pytest.mark.parametrize("name", one_of_each())
def test_every_picture_has_a_thumbnail(name: str) -> None:
    assert max(opened(make_thumbnail(one_of_each()[name], 24, LIMITS)).size) == 24 or "run-length" in name


@pytest.mark.parametrize(
    ("size", "side_px", "expected"),
    [
        ((4000, 3000), 320, (320, 240)),
        ((300, 1000), 100, (30, 100)),
        ((100, 50), 320, (100, 50)),
        ((3000, 2), 300, (300, 1)),
        ((320, 320), 320, (320, 320)),
    ],
)
def test_its_longer_side_is_the_side_asked_for_and_it_is_never_enlarged(
    size: tuple[int, int], side_px: int, expected: tuple[int, int]
) -> None:
    for picture_format in ("JPEG", "PNG"):
        assert opened(make_thumbnail(saved(plain(size=size), picture_format), side_px, LIMITS)).size == expected


@pytest.mark.parametrize("orientation", range(1, 9))
def test_it_is_upright_and_carries_no_metadata(orientation: int) -> None:
    source = turned_file(quadrants(480, 320), orientation, "JPEG", icc_profile=rgb_profile(DISPLAY_P3))
    thumbnail = opened(make_thumbnail(source, 48, LIMITS))
    assert thumbnail.size == (48, 32)
    assert np.asarray(thumbnail)[28, 4].argmax() == 2
    assert not {"exif", "icc_profile", "comment", "xmp"} & set(thumbnail.info)


def test_it_looks_like_a_careful_reduction_of_the_whole_picture() -> None:
    image = smooth(1600, 1200)
    careful = np.asarray(opened(saved(image.resize((200, 150), Image.Resampling.LANCZOS), "JPEG", quality=82)), int)
    for picture_format in ("JPEG", "PNG"):
        thumbnail = np.asarray(opened(make_thumbnail(saved(image, picture_format), 200, LIMITS)), int)
        assert np.abs(thumbnail - careful).mean() < 3


def test_it_can_be_made_of_a_picture_already_decoded() -> None:
    source = saved(smooth(1600, 1200), "JPEG")
    picture = decode_picture(source, at_least_px=512, limits=LIMITS)
    assert opened(thumbnail_of(picture, 320)).size == (320, 240)


def test_a_bad_image_has_none() -> None:
    with pytest.raises(BadImage):
        make_thumbnail(png_claiming(9000, 9000), 100, LIMITS)
