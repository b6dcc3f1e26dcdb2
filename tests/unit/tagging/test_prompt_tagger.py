"""The tagger of text-image models, on planted vectors: a label's words are a direction, a picture a mix of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pictograph.encode.protocol import Encoded, EncoderSpec, FloatArray
from pictograph.tagging.assign import Assigner
from pictograph.tagging.calibration import LEAST_PICTURES, Calibration
from pictograph.tagging.measures import MEASURE_NAMES, measure_picture
from pictograph.tagging.prompts import (
    WHITE_BORDER,
    WHITE_PLACES,
    FitJudge,
    PromptTagger,
    conditions_beside_words,
    is_judged_by_pixels,
)
from pictograph.tagging.registry import tagger_for
from pictograph.tagging.taxonomy import load_taxonomy
from pictograph.types import DIMENSION, TAG_CATEGORIES

from .pictures import on_background, patchwork, picture

TAXONOMY = load_taxonomy()
LABELS = len(TAXONOMY.labels)
ASSIGNER = Assigner(TAXONOMY)
SCALE, BIAS = 110.0, -16.0
WRONG, RIGHT = 0.02, 0.12
"""Cosines as SigLIP has them: logits of -13.8 (p = 1e-6) and -2.8 (p = 0.06)."""
JITTER = 0.015
DAYLIGHT = measure_picture(picture(patchwork()))


def pictures_showing(cosines: FloatArray) -> FloatArray:
    """Unit vectors with these cosines to the labels, (N, labels); the rest of the length points elsewhere."""
    vectors = np.zeros((len(cosines), DIMENSION))
    vectors[:, :LABELS] = cosines
    lengths = (cosines**2).sum(axis=1)
    assert (lengths < 1).all()
    vectors[:, LABELS] = np.sqrt(1 - lengths)
    return vectors.astype(np.float32)


def ordinary(count: int = 60, seed: int = 0) -> FloatArray:
    """Cosines of pictures that show nothing of the taxonomy."""
    return np.random.default_rng(seed).normal(WRONG, JITTER, (count, LABELS))


def showing(*keys: str, cosine: float = RIGHT) -> FloatArray:
    """One picture that shows these labels."""
    row = np.full((1, LABELS), WRONG)
    for key in keys:
        row[0, TAXONOMY.index_of[key]] = cosine
    return pictures_showing(row)


def calibration(background: FloatArray | None = None, *, bias: float = BIAS) -> Calibration:
    directions = np.eye(LABELS, DIMENSION, dtype=np.float32)
    pictures = pictures_showing(ordinary() if background is None else background)
    return Calibration(directions, pictures, SCALE, bias)


TAGGER = PromptTagger(TAXONOMY, calibration())


def scores(vectors: FloatArray, tagger: PromptTagger = TAGGER, measures: FloatArray = DAYLIGHT) -> FloatArray:
    encoded = Encoded(vectors, np.empty((len(vectors), 0), np.float32))
    return tagger.scores(encoded, np.repeat(measures[np.newaxis], len(vectors), axis=0))


def score(key: str, vectors: FloatArray, tagger: PromptTagger = TAGGER, measures: FloatArray = DAYLIGHT) -> float:
    return float(scores(vectors, tagger, measures)[0, TAXONOMY.index_of[key]])


def test_the_label_that_a_picture_points_at_wins_and_brings_its_parents() -> None:
    tagged = ASSIGNER.tagged(scores(showing("objects/dog", "scenes/forest")))[0]
    assert tagged.tags["objects"] == ["dog", "animal"]
    assert tagged.tags["scenes"][0] == "forest"
    assert tagged.scores["objects/dog"] > 0.9


def test_an_ordinary_picture_gets_no_tag_by_words() -> None:
    by_words = scores(pictures_showing(ordinary(20, seed=1)))
    of_words = [index for index, label in enumerate(TAXONOMY.labels) if not is_judged_by_pixels(label)]
    assert (by_words[:, of_words] >= 0.5).mean() < 0.005  # 0.00135 beyond 3 deviations, were 60 pictures exact


def test_words_that_fit_everything_a_little_count_for_nothing() -> None:
    background = ordinary()
    background[:, TAXONOMY.index_of["objects/car"]] += 0.08
    tagger = PromptTagger(TAXONOMY, calibration(background))
    assert score("objects/car", showing("objects/car", cosine=0.1)) > 0.9
    assert score("objects/car", showing("objects/car", cosine=0.1), tagger) < 0.1
    assert score("objects/car", showing("objects/car", cosine=0.1 + 0.08), tagger) > 0.9


def test_a_label_that_part_of_the_background_shows_is_still_found() -> None:
    background = ordinary()
    background[:20, TAXONOMY.index_of["objects/animal"]] = RIGHT
    tagger = PromptTagger(TAXONOMY, calibration(background))
    assert score("objects/animal", showing("objects/animal"), tagger) > 0.9


def test_what_nearly_all_of_the_background_shows_needs_the_models_own_certainty() -> None:
    background = ordinary()
    background[:50, TAXONOMY.index_of["scenes/outdoor"]] = RIGHT
    tagger = PromptTagger(TAXONOMY, calibration(background))
    assert score("scenes/outdoor", showing("scenes/outdoor", cosine=RIGHT), tagger) < 0.5
    assert score("scenes/outdoor", showing("scenes/outdoor", cosine=0.15), tagger) > 0.5


def test_a_label_that_the_model_itself_holds_impossible_never_passes() -> None:
    doubtful = PromptTagger(TAXONOMY, calibration(bias=-26))
    highest_logit = SCALE * RIGHT - 26
    assert highest_logit < np.log(1e-5)
    assert score("objects/dog", showing("objects/dog"), doubtful) < 0.5
    assert score("objects/dog", showing("objects/dog", cosine=0.16), doubtful) > 0.5


def test_a_background_of_equal_pictures_gives_finite_scores() -> None:
    tagger = PromptTagger(TAXONOMY, calibration(np.full((LEAST_PICTURES, LABELS), WRONG)))
    found = scores(np.concatenate([showing(), showing("objects/dog")]), tagger)
    assert np.isfinite(found).all()
    assert found[1, TAXONOMY.index_of["objects/dog"]] > 0.9
    assert found[0, TAXONOMY.index_of["objects/dog"]] < 0.01


def test_a_batch_is_judged_as_its_pictures_one_by_one() -> None:
    vectors = pictures_showing(ordinary(5, seed=2))
    alone = np.concatenate([scores(vectors[row : row + 1]) for row in range(5)])
    np.testing.assert_allclose(scores(vectors), alone, atol=1e-4)


def test_stored_vectors_are_judged_as_the_ones_they_were_rounded_from() -> None:
    vectors = pictures_showing(ordinary(5, seed=3))
    np.testing.assert_array_equal(scores(vectors), scores(vectors.astype(np.float16).astype(np.float32)))


def test_of_an_exclusive_set_the_better_stays() -> None:
    row = np.full((1, LABELS), WRONG)
    row[0, TAXONOMY.index_of["scenes/indoor"]] = RIGHT
    row[0, TAXONOMY.index_of["scenes/outdoor"]] = RIGHT - 0.01
    found = ASSIGNER.tagged(scores(pictures_showing(row)))[0]
    assert "indoor" in found.tags["scenes"]
    assert "outdoor" not in found.tags["scenes"]
    assert found.scores["scenes/outdoor"] > 0.5


def test_properties_of_the_pixels_are_judged_by_pixels_alone() -> None:
    portrait = measure_picture(picture(patchwork(height=300, width=200)))
    assert score("attributes/portrait-orientation", showing(), measures=portrait) > 0.9
    assert (
        score("attributes/landscape-orientation", showing("attributes/landscape-orientation"), measures=portrait) < 0.1
    )


def test_a_thing_on_white_is_in_no_place_unless_that_place_is_white() -> None:
    on_white = measure_picture(picture(on_background(255)))
    vectors = showing("scenes/kitchen", "scenes/snowy", "objects/refrigerator")
    assert score("scenes/kitchen", vectors) > 0.9
    assert score("scenes/kitchen", vectors, measures=on_white) < 0.1
    assert score("scenes/snowy", vectors, measures=on_white) > 0.9
    assert score("objects/refrigerator", vectors, measures=on_white) > 0.9


def test_a_dark_day_is_still_a_day() -> None:
    dark = measure_picture(picture((patchwork() * 0.2).astype(np.uint8)))
    assert score("scenes/daytime", showing("scenes/daytime"), measures=dark) > 0.9


def test_every_condition_is_either_of_the_pixels_or_a_white_border() -> None:
    for label in TAXONOMY.labels:
        kept = {condition.measure for condition in conditions_beside_words(label)}
        if label.category == "attributes":
            assert kept == {condition.measure for condition in label.conditions}
        else:
            assert kept <= {WHITE_BORDER}
    assert all(key in TAXONOMY.index_of for key in WHITE_PLACES)


def test_the_version_changes_with_the_calibration() -> None:
    other = PromptTagger(TAXONOMY, calibration(ordinary(seed=9)))
    assert TAGGER.version.startswith(f"taxonomy-{TAXONOMY.version}+prompts-1-")
    assert PromptTagger(TAXONOMY, calibration()).version == TAGGER.version
    assert other.version != TAGGER.version
    assert PromptTagger(TAXONOMY, calibration(bias=-15)).version != TAGGER.version


def test_calibration_of_another_taxonomy_or_too_few_pictures_are_refused() -> None:
    with pytest.raises(ValueError, match="label vectors"):
        PromptTagger(TAXONOMY, replace(calibration(), label_vectors=np.eye(3, DIMENSION, dtype=np.float32)))
    with pytest.raises(ValueError, match="at least 8 pictures"):
        PromptTagger(TAXONOMY, calibration(ordinary(LEAST_PICTURES - 1)))


def test_vectors_and_measures_must_fit() -> None:
    encoded = Encoded(showing()[:, :768], np.empty((1, 0), np.float32))
    with pytest.raises(ValueError, match=r"need \(1, 1152\) vectors"):
        TAGGER.scores(encoded, DAYLIGHT[np.newaxis])
    with pytest.raises(ValueError, match="measures"):
        TAGGER.scores(Encoded(showing(), encoded.evidence), DAYLIGHT[np.newaxis, :3])


def test_an_encoder_of_words_has_a_tagger_only_with_calibration() -> None:
    spec = EncoderSpec("siglip2-tiny", "r", DIMENSION, 50, has_text=True)
    assert tagger_for(spec, TAXONOMY) is None
    assert isinstance(tagger_for(spec, TAXONOMY, calibration()), PromptTagger)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), spread=st.floats(0, 1), count=st.integers(1, 3))
def test_whatever_the_vectors_scores_lie_in_0_to_1_and_tags_in_the_taxonomy(
    seed: int, spread: float, count: int
) -> None:
    random = np.random.default_rng(seed)
    vectors = random.normal(0, spread, (count, DIMENSION)) + showing("objects/dog", "scenes/forest")
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    measures = random.normal(0, 100, len(MEASURE_NAMES)).astype(np.float32)
    found = scores(vectors.astype(np.float32), measures=measures)
    assert found.shape == (count, LABELS)
    assert found.dtype == np.float32
    assert ((found >= 0) & (found <= 1)).all()
    for tagged in ASSIGNER.tagged(found):
        for category in TAG_CATEGORIES:
            assert set(tagged.tags[category]) <= set(TAXONOMY.names(category))


@pytest.mark.parametrize("bias", [BIAS, -8.0], ids=["by the background", "by the model's own probability"])
def test_words_fit_from_the_cosine_at_which_a_label_of_them_has_the_score_one_half(bias: float) -> None:
    made = calibration(bias=bias)
    tagger, judge = PromptTagger(TAXONOMY, made), FitJudge(made)
    for key in ("objects/dog", "scenes/forest"):
        least = judge.least_cosine(made.label_vectors[TAXONOMY.index_of[key]])
        assert score(key, showing(key, cosine=least + 0.002), tagger) > 0.5
        assert score(key, showing(key, cosine=least - 0.002), tagger) < 0.5
