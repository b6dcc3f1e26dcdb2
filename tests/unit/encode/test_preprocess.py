from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from pictograph.encode.preprocess import CROP_MARGIN_PX, middle_square, network_input


def blank(height: int, width: int, value: int = 0) -> npt.NDArray[np.uint8]:
    return np.full((height, width, 3), value, np.uint8)


@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 900), (900, 1), (2, 3), (260, 260), (375, 500), (3000, 40)])
def test_every_size_gives_the_same_shape(height: int, width: int) -> None:
    prepared = network_input(blank(height, width, 200), 260)
    assert prepared.shape == (260, 260, 3)
    assert prepared.dtype == np.float32
    assert prepared.flags.c_contiguous
    assert (prepared == 200).all()


def test_the_middle_is_kept_and_the_border_is_cut_off() -> None:
    pixels = blank(292, 400, 10)
    pixels[16:276, 70:330] = 240
    assert (network_input(pixels, 260) == 240).all()


def test_a_square_of_just_the_side_and_its_border_keeps_every_pixel_of_the_middle() -> None:
    side = 260 + CROP_MARGIN_PX
    pixels = np.random.default_rng(1).integers(0, 256, (side, side, 3), np.uint8)
    assert (network_input(pixels, 260) == pixels[16:276, 16:276]).all()


def test_the_crop_follows_the_short_side() -> None:
    assert middle_square(blank(584, 1000), 260).shape == (520, 520, 3)
    assert middle_square(blank(1000, 584), 260).shape == (520, 520, 3)


def test_channels_keep_their_places() -> None:
    pixels = np.zeros((300, 300, 3), np.uint8)
    pixels[...] = (250, 100, 5)
    assert network_input(pixels, 64)[32, 32].tolist() == [250, 100, 5]


def test_shrinking_averages_instead_of_picking_pixels() -> None:
    fine_checks = (np.indices((1168, 1168)).sum(axis=0) % 2 * 255).astype(np.uint8)
    prepared = network_input(np.repeat(fine_checks[..., None], 3, axis=-1), 260)
    assert np.abs(prepared - 127.5).max() < 8


def test_the_picture_is_not_changed() -> None:
    pixels = np.random.default_rng(2).integers(0, 256, (300, 333, 3), np.uint8)
    before = pixels.copy()
    network_input(pixels, 260)
    assert (pixels == before).all()
