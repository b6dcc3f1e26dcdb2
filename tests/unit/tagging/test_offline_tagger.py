from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pictograph.encode.protocol import Encoded, EncoderSpec, FloatArray
from pictograph.tagging.assign import Assigner, Tagged
from pictograph.tagging.measures import MEASURE_NAMES, measure_picture
from pictograph.tagging.offline import OfflineTagger
from pictograph.tagging.protocol import Tagger
from pictograph.tagging.registry import tagger_for
from pictograph.tagging.taxonomy import Label, Taxonomy, load_taxonomy
from pictograph.types import TAG_CATEGORIES, TagCategory

from .pictures import exposed, on_background, patchwork, picture

DOG, WOLF, REFRIGERATOR, MICROWAVE, BUS, ALP, GROOM = 207, 269, 760, 651, 874, 970, 982

TAXONOMY = load_taxonomy()
TAGGER = OfflineTagger(TAXONOMY)
ASSIGNER = Assigner(TAXONOMY)
DAYLIGHT = measure_picture(picture(patchwork()))


def probabilities(**shares: float) -> FloatArray:
    """One row of 1000: `c207=0.9`, the rest spread evenly."""
    row = np.zeros(1000)
    for name, share in shares.items():
        row[int(name.removeprefix("c"))] = share
    row[row == 0] = (1 - row.sum()) / (row == 0).sum()
    return row.astype(np.float32)[np.newaxis]


def tagged(evidence: FloatArray, measures: FloatArray = DAYLIGHT) -> Tagged:
    return tag(evidence, measures[np.newaxis])[0]


def tag(evidence: FloatArray, measures: FloatArray) -> list[Tagged]:
    return ASSIGNER.tagged(TAGGER.scores(Encoded(np.zeros((len(evidence), 1152), np.float32), evidence), measures))


def test_a_dog_is_tagged_dog_and_animal_the_special_one_first() -> None:
    result = tagged(probabilities(c207=0.95))
    assert result.tags["objects"] == ["dog", "animal"]
    assert result.scores["objects/dog"] == pytest.approx(0.95, abs=0.02)
    assert result.scores["objects/animal"] >= result.scores["objects/dog"]


def test_probabilities_spread_over_breeds_still_make_a_dog() -> None:
    assert "dog" in tagged(probabilities(c151=0.2, c160=0.2, c207=0.2)).tags["objects"]


def test_between_dog_and_wolf_only_the_animal_is_sure() -> None:
    result = tagged(probabilities(c207=0.45, c269=0.45))
    assert result.tags["objects"] == ["animal"]
    assert result.scores["objects/dog"] == pytest.approx(0.45, abs=0.02)


def test_scores_far_below_the_threshold_are_not_kept() -> None:
    assert "objects/dog" not in tagged(probabilities(c207=0.05, c269=0.9)).scores


def test_a_refrigerator_stands_in_a_kitchen_and_a_kitchen_is_indoors() -> None:
    scenes = tagged(probabilities(c760=0.9)).tags["scenes"]
    assert scenes == ["kitchen", "home interior", "indoor"]


def test_a_refrigerator_on_white_is_a_product_photo_not_a_kitchen() -> None:
    result = tagged(probabilities(c760=0.9), measure_picture(picture(on_background(255))))
    assert result.tags["objects"] == ["refrigerator"]
    assert result.tags["scenes"] == []


def test_daytime_needs_daylight() -> None:
    assert set(tagged(probabilities(c874=0.9)).tags["scenes"]) == {"urban", "outdoor", "daytime"}
    night = measure_picture(picture(exposed(patchwork(), -4)))
    assert "daytime" not in tagged(probabilities(c874=0.9), night).tags["scenes"]


def test_a_bridegroom_is_a_person_at_a_wedding() -> None:
    result = tagged(probabilities(c982=0.9))
    assert (result.tags["objects"], result.tags["scenes"]) == (["person"], ["wedding"])


def test_an_unsure_picture_gets_no_object() -> None:
    assert tagged(probabilities()).tags["objects"] == []


def test_every_tag_and_every_score_is_of_the_taxonomy_and_can_be_judged() -> None:
    judged = {label.key for label in TAXONOMY.labels if label.is_judged_offline}
    random = np.random.default_rng(0)
    for sharpness in (0.01, 0.1, 1.0):
        evidence = random.dirichlet(np.full(1000, sharpness), 100).astype(np.float32)
        measures = random.normal(0, 1, (100, len(MEASURE_NAMES))).astype(np.float32)
        for result in tag(evidence, measures):
            assert {f"{category}/{name}" for category in TAG_CATEGORIES for name in result.tags[category]} <= judged
            assert result.scores.keys() <= judged


@pytest.mark.parametrize("index", range(0, 1000, 37))
def test_a_parent_is_never_less_likely_than_its_child(index: int) -> None:
    scores = tagged(probabilities(**{f"c{index}": 0.9})).scores
    for label in TAXONOMY.labels:
        for ancestor in TAXONOMY.ancestors(label) if label.key in scores and label.category == "objects" else ():
            assert scores[ancestor] >= scores[label.key] - 1e-4


def test_a_batch_gives_the_same_as_one_by_one() -> None:
    evidence = np.concatenate([probabilities(c207=0.9), probabilities(c760=0.9), probabilities()])
    batch = tag(evidence, np.stack([DAYLIGHT] * 3))
    assert [result.tags for result in batch] == [tagged(row[np.newaxis]).tags for row in evidence]


def test_an_empty_batch_gives_nothing() -> None:
    assert tag(np.zeros((0, 1000), np.float32), np.zeros((0, len(MEASURE_NAMES)), np.float32)) == []


@pytest.mark.parametrize("shape", [(1, 999), (2, 1000)])
def test_evidence_of_another_shape_is_refused(shape: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="need"):
        tag(np.zeros(shape, np.float32), DAYLIGHT[np.newaxis])


def test_the_version_names_taxonomy_and_method() -> None:
    assert TAGGER.version == f"taxonomy-{TAXONOMY.version}+offline-2"


def spec(name: str) -> EncoderSpec:
    return EncoderSpec(name=name, revision="1", dimension=1152, input_px=224, has_text=False)


def test_the_offline_encoder_brings_a_tagger_and_noop_none() -> None:
    tagger: Tagger | None = tagger_for(spec("offline"), TAXONOMY)
    assert isinstance(tagger, OfflineTagger)
    assert tagger_for(spec("noop"), TAXONOMY) is None


# The rules of assignment, on a taxonomy of five labels.


def label(name: str, *parents: str, category: TagCategory = "scenes") -> Label:
    return Label(category, name, "test", parents, ("a.", "b."), (), ())


SMALL = Taxonomy(
    "0",
    (label("indoor"), label("outdoor"), label("kitchen", "indoor"), label("beach", "outdoor"), label("sunny")),
    (("scenes/indoor", "scenes/outdoor"),),
)


def scenes(*scores: float) -> list[str]:
    return Assigner(SMALL).tagged(np.array([scores], dtype=np.float32))[0].tags["scenes"]


def test_best_first() -> None:
    assert scenes(0.6, 0, 0, 0, 0.9) == ["sunny", "indoor"]


def test_of_an_exclusive_set_the_best_stays() -> None:
    assert scenes(0.6, 0.7, 0, 0, 0) == ["outdoor"]


def test_what_implies_the_loser_goes_with_it() -> None:
    assert scenes(0.55, 0.9, 0.55, 0.6, 0) == ["beach", "outdoor"]


def test_a_child_lifts_its_parent_above_the_parents_rival() -> None:
    assert scenes(0.1, 0.6, 0.8, 0, 0) == ["kitchen", "indoor"]


@given(st.lists(st.floats(0, 1, width=32), min_size=5, max_size=5))
@settings(max_examples=200, deadline=None)
def test_whatever_the_scores_tags_are_consistent(scores: list[float]) -> None:
    found = set(scenes(*scores))
    assert not {"indoor", "outdoor"} <= found
    assert "kitchen" not in found or "indoor" in found
    assert "beach" not in found or "outdoor" in found
