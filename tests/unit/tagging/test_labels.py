"""Which tags can be judged, and what to ask for instead of those that cannot."""

from __future__ import annotations

import pytest

from pictograph.errors import NotFoundError
from pictograph.tagging.labels import ELSEWHERE, MOST_NEAR, find_label, judged_keys, near_tags
from pictograph.tagging.offline import OfflineTagger
from pictograph.tagging.taxonomy import load_taxonomy

TAXONOMY = load_taxonomy()
JUDGED = judged_keys(TAXONOMY, OfflineTagger(TAXONOMY))


def test_without_a_tagger_nothing_is_judged() -> None:
    assert judged_keys(TAXONOMY, None) == frozenset()
    assert "scenes/nighttime" not in JUDGED
    assert {"objects/car", "objects/person", "scenes/daytime"} <= JUDGED


@pytest.mark.parametrize(
    ("asked", "first"),
    [
        ("objects/man", "objects/person"), ("scenes/nighttime", "attributes/dark"),
        ("objects/nighttime", "attributes/dark"),
        ("objects/police car", "objects/car"),
        ("objects/dogs", "objects/dog"), ("objects/tree", "objects/plant"), ("scenes/street", "scenes/outdoor"),
    ],
)  # fmt: skip
def test_near_tags_are_judged_ones_the_nearest_first(asked: str, first: str) -> None:
    near = near_tags(TAXONOMY, asked, JUDGED)
    assert near[0] == first
    assert set(near) <= JUDGED
    assert len(near) <= MOST_NEAR


@pytest.mark.parametrize(
    ("asked", "meant"),
    [("bycicle", "objects/bicycle"), ("objects/bycicle", "objects/bicycle"), ("dogs", "objects/dog")],
)
def test_a_label_that_does_not_exist_is_refused_with_the_nearest_ones(asked: str, meant: str) -> None:
    with pytest.raises(NotFoundError, match=f"Did you mean {meant}"):
        find_label(TAXONOMY, asked)


def test_a_label_of_another_category_is_refused_with_where_it_is() -> None:
    with pytest.raises(NotFoundError, match=r"in scenes in the taxonomy\. Did you mean objects/dog"):
        find_label(TAXONOMY, "dog", "scenes")


@pytest.mark.parametrize("asked", ["objects/xyzzy", "objects/", "objects/" + "x" * 100_000, "x"])
def test_what_is_like_nothing_has_nothing_near(asked: str) -> None:
    assert near_tags(TAXONOMY, asked, JUDGED) == []


def test_every_hint_is_a_label() -> None:
    assert {key for related in ELSEWHERE.values() for key in related} | ELSEWHERE.keys() <= TAXONOMY.index_of.keys()
