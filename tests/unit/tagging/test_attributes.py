from __future__ import annotations

import numpy as np
import pytest

from pictograph.encode.protocol import Encoded
from pictograph.tagging.assign import Assigner
from pictograph.tagging.attributes import PixelJudge
from pictograph.tagging.measures import MEASURE_NAMES, measure_picture
from pictograph.tagging.offline import OfflineTagger
from pictograph.tagging.taxonomy import Condition, Label, Taxonomy, load_taxonomy

from .pictures import (
    Pixels,
    blurred,
    exposed,
    finely_hatched,
    grey,
    noised,
    on_background,
    patchwork,
    picture,
    plain,
    smeared,
)

TAXONOMY = load_taxonomy()


def attributes_of(pixels: Pixels) -> set[str]:
    evidence = np.zeros((1, 1000), dtype=np.float32)
    encoded = Encoded(np.zeros((1, 1152), dtype=np.float32), evidence)
    scores = OfflineTagger(TAXONOMY).scores(encoded, measure_picture(picture(pixels))[np.newaxis])
    return set(Assigner(TAXONOMY).tagged(scores)[0].tags["attributes"])


def sepia(pixels: Pixels) -> Pixels:
    return (grey(pixels)[:, :, :1] * np.array([1.0, 0.82, 0.6])).astype(np.uint8)


@pytest.mark.parametrize(
    ("pixels", "expected", "unwanted"),
    [
        (patchwork(), {"landscape-orientation"}, {"blurry", "dark", "bright", "grayscale", "noisy"}),
        (finely_hatched(), {"sharp"}, {"blurry", "noisy"}),
        (blurred(finely_hatched(), 2), {"blurry"}, {"sharp"}),
        (blurred(patchwork(), 3), {"blurry"}, {"sharp"}),
        (smeared(patchwork(), 15), {"blurry"}, {"sharp"}),
        (exposed(patchwork(), -4), {"dark", "underexposed", "low-light"}, {"bright", "overexposed", "blurry"}),
        (exposed(patchwork(), 3), {"bright", "overexposed"}, {"dark", "low-light"}),
        (grey(patchwork()), {"grayscale", "black-and-white", "monochrome"}, {"colorful", "muted-colors", "sepia"}),
        (sepia(patchwork()), {"sepia", "monochrome"}, {"grayscale", "colorful"}),
        (noised(blurred(patchwork(), 1), 25), {"noisy"}, set()),
        ((patchwork() // 5 + 100).astype(np.uint8), {"low-contrast"}, {"high-contrast"}),
        (on_background(255), {"white-background", "plain-background"}, {"bright", "overexposed", "black-background"}),
        (on_background(0), {"black-background", "plain-background"}, {"white-background"}),
        (plain(30, 60, 200), {"blue", "cool-toned", "plain-background"}, {"red", "warm-toned", "blurry", "sharp"}),
        (patchwork(width=300, height=400), {"portrait-orientation"}, {"landscape-orientation", "square-format"}),
        (patchwork(width=300, height=300), {"square-format"}, {"landscape-orientation", "portrait-orientation"}),
        (patchwork(width=900, height=300), {"panoramic", "landscape-orientation"}, {"square-format"}),
        (patchwork(width=60, height=40), {"low-resolution"}, {"high-resolution", "sharp", "blurry"}),
    ],
)
def test_pixels_bring_the_attributes_one_sees(pixels: Pixels, expected: set[str], unwanted: set[str]) -> None:
    found = attributes_of(pixels)
    assert expected <= found
    assert not unwanted & found


def test_a_single_pixel_is_neither_blurry_nor_sharp() -> None:
    assert not {"blurry", "sharp", "noisy"} & attributes_of(plain(90, 90, 90, 1, 1))


def judge(*conditions: Condition) -> PixelJudge:
    label = Label("attributes", "x", "test", (), ("a.", "b."), (), conditions)
    blank = Label("attributes", "y", "test", (), ("a.", "b."), (), ())
    return PixelJudge(Taxonomy("0", (blank, label, blank), ()))


def measures_with(**values: float) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    return np.array([[values.get(name, 0.0) for name in MEASURE_NAMES]], dtype=np.float32)


def test_a_condition_scores_a_half_at_its_threshold_and_rises_by_its_width() -> None:
    above = judge(Condition("noise", "above", 4, 2))
    assert above.scores(measures_with(noise=4))[0, 1] == pytest.approx(0.5)
    assert above.scores(measures_with(noise=6))[0, 1] == pytest.approx(0.731, abs=1e-3)
    below = judge(Condition("noise", "below", 4, 2))
    assert below.scores(measures_with(noise=6))[0, 1] == pytest.approx(0.269, abs=1e-3)


def test_the_worst_condition_counts_and_labels_without_any_score_one() -> None:
    both = judge(Condition("noise", "above", 4, 1), Condition("chroma", "above", 0.5, 0.1))
    scores = both.scores(measures_with(noise=100, chroma=0.5))
    np.testing.assert_allclose(scores, [[1, 0.5, 1]], atol=1e-6)


def test_values_far_off_do_not_overflow() -> None:
    assert judge(Condition("noise", "above", 0, 1e-6)).scores(measures_with(noise=-1e9))[0, 1] == pytest.approx(0)
