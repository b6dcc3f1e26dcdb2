from __future__ import annotations

import numpy as np
import pytest

from pictograph.tagging.measures import COLOURS, MEASURE_NAMES, measure_picture
from pictograph.upload.picture import Picture, PictureFacts

from .pictures import blurred, exposed, grey, measured, noised, on_background, patchwork, picture, plain, smeared


def test_one_float32_for_each_name() -> None:
    measures = measure_picture(picture(patchwork()))
    assert measures.shape == (len(MEASURE_NAMES),)
    assert measures.dtype == np.float32
    assert len(set(MEASURE_NAMES)) == len(MEASURE_NAMES)


@pytest.mark.parametrize(
    "size", [(1, 1), (1, 7), (2, 2), (1, 3000), (3000, 1), (40, 5000), (47, 48), (48, 48), (23, 511)]
)
@pytest.mark.parametrize("level", [0, 128, 255])
def test_every_size_and_level_gives_finite_measures(size: tuple[int, int], level: int) -> None:
    pixels = np.full((*size, 3), level, dtype=np.uint8)
    pixels[0, 0] = (level, 17, 99)
    assert np.isfinite(measure_picture(picture(pixels))).all()


def test_read_only_pixels_are_measured_and_not_changed() -> None:
    pixels = patchwork()
    before = pixels.copy()
    pixels.setflags(write=False)
    measure_picture(picture(pixels))
    np.testing.assert_array_equal(pixels, before)


def test_size_is_that_of_the_upload_not_of_the_shrunken_pixels() -> None:
    shrunken = Picture(patchwork(), PictureFacts("JPEG", "image/jpeg", 4000, 3000))
    measures = dict(zip(MEASURE_NAMES, measure_picture(shrunken).tolist(), strict=True))
    assert measures["megapixels"] == pytest.approx(12)
    assert measures["short_side_px"] == 3000
    assert measures["stretch"] == pytest.approx(np.log2(4 / 3))


@pytest.mark.parametrize("sigma", [1, 2, 4])
def test_blur_lowers_sharpness(sigma: float) -> None:
    assert measured(blurred(patchwork(), sigma))["sharpness"] < measured(patchwork())["sharpness"] - 0.5


def test_motion_along_one_axis_lowers_sharpness_as_well() -> None:
    assert measured(smeared(patchwork(), 12))["sharpness"] < measured(patchwork())["sharpness"] - 1


@pytest.mark.parametrize("stops", [-3, -2, -1])
def test_sharpness_does_not_follow_exposure(stops: float) -> None:
    assert measured(exposed(patchwork(), stops))["sharpness"] == pytest.approx(
        measured(patchwork())["sharpness"], abs=0.3
    )


def test_a_sharp_subject_before_a_blurred_background_is_sharp() -> None:
    pixels = blurred(patchwork(), 4).copy()
    pixels[100:200, 120:280] = patchwork()[100:200, 120:280]
    assert measured(pixels)["sharpness"] > measured(blurred(patchwork(), 4))["sharpness"] + 2


def test_noise_is_measured_in_grey_levels() -> None:
    clean, noisy = measured(blurred(patchwork(), 3)), measured(noised(blurred(patchwork(), 3), 12))
    assert clean["noise"] < 1
    # Three independent channels of deviation 12 make a luminance of 12 * sqrt(.299^2 + .587^2 + .114^2) = 8.0; the
    # calmest tiles lie somewhat below the mean.
    assert 6 < noisy["noise"] < 9


def test_noise_does_not_pass_for_sharpness() -> None:
    assert measured(noised(blurred(patchwork(), 3), 6))["sharpness"] < measured(patchwork())["sharpness"] - 1.3


def test_luminance_is_on_a_scale_from_0_to_1() -> None:
    assert measured(plain(0, 0, 0))["luminance_mean"] == 0
    assert measured(plain(255, 255, 255))["luminance_p5"] == pytest.approx(1)
    assert measured(plain(255, 0, 0))["luminance_p50"] == pytest.approx(0.299)


def test_clipped_shares_count_burnt_and_blocked_pixels() -> None:
    half = plain(255, 255, 255)
    half[:, :200] = 0
    assert measured(half)["clipped_white"] == pytest.approx(0.5, abs=0.02)
    assert measured(half)["clipped_black"] == pytest.approx(0.5, abs=0.02)


def test_colourfulness_is_zero_for_grey_and_falls_with_saturation() -> None:
    full = measured(patchwork())["colourfulness"]
    pale = measured(((patchwork() + grey(patchwork()).astype(np.uint16)) // 2).astype(np.uint8))["colourfulness"]
    assert measured(grey(patchwork()))["colourfulness"] == pytest.approx(0, abs=1e-3)
    assert pale < 0.7 * full


@pytest.mark.parametrize(
    ("rgb", "name"),
    [
        ((200, 20, 20), "red"),
        ((250, 140, 20), "orange"),
        ((250, 230, 40), "yellow"),
        ((40, 160, 40), "green"),
        ((30, 200, 200), "cyan"),
        ((30, 60, 200), "blue"),
        ((120, 40, 190), "purple"),
        ((250, 150, 190), "pink"),
        ((120, 75, 40), "brown"),
        ((250, 250, 250), "white"),
        ((128, 128, 128), "grey"),
        ((10, 10, 10), "black"),
    ],
)
def test_a_plain_colour_has_its_name(rgb: tuple[int, int, int], name: str) -> None:
    assert measured(plain(*rgb))[f"share_{name}"] == 1


def test_the_colour_shares_sum_to_one() -> None:
    measures = measured(patchwork())
    assert sum(measures[f"share_{colour}"] for colour in COLOURS) == pytest.approx(1)


def test_the_border_tells_white_and_black_backgrounds() -> None:
    assert measured(on_background(255))["border_white"] == 1
    assert measured(on_background(5))["border_black"] == 1
    assert measured(on_background(128))["border_flatness"] == 1
    assert measured(patchwork())["border_flatness"] < 0.6


def test_warmth_has_the_sign_of_red_less_blue() -> None:
    assert measured(plain(200, 120, 60))["warmth"] > 0.3
    assert measured(plain(60, 120, 200))["warmth"] < -0.3
