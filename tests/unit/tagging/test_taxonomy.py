from __future__ import annotations

import json
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from pictograph.errors import ConfigurationError
from pictograph.tagging.measures import MEASURE_NAMES
from pictograph.tagging.taxonomy import Taxonomy, load_taxonomy, parse_taxonomy
from pictograph.types import TAG_CATEGORIES

ROOT = Path(__file__).parents[3]

NAMED_BY_THE_SEARCH_PAGE = {
    "objects": {"car", "truck", "person", "bicycle", "dog", "sign", "building"},
    "scenes": {"outdoor", "indoor", "urban", "rural", "daytime", "nighttime"},
    "attributes": {"blurry", "dark", "bright", "high-contrast", "low-light"},
}


@pytest.fixture(scope="module")
def taxonomy() -> Taxonomy:
    return load_taxonomy()


@pytest.mark.parametrize("category", TAG_CATEGORIES)
def test_each_category_has_about_200_labels(taxonomy: Taxonomy, category: Any) -> None:
    assert 190 <= len(taxonomy.names(category)) <= 210


@pytest.mark.parametrize("category", TAG_CATEGORIES)
def test_the_labels_that_the_search_page_names_are_there(taxonomy: Taxonomy, category: Any) -> None:
    assert set(taxonomy.names(category)) >= NAMED_BY_THE_SEARCH_PAGE[category]


def test_no_label_is_listed_twice(taxonomy: Taxonomy) -> None:
    assert [key for key, count in Counter(label.key for label in taxonomy.labels).items() if count > 1] == []


def test_objects_and_scenes_are_joined_by_spaces_and_attributes_by_hyphens(taxonomy: Taxonomy) -> None:
    for label in taxonomy.labels:
        form = r"[a-z0-9]+(-[a-z0-9]+)*" if label.category == "attributes" else r"[a-z]+( [a-z]+)*"
        assert re.fullmatch(form, label.name), label.key


def test_every_label_has_two_to_four_different_captions_that_end_in_a_full_stop(taxonomy: Taxonomy) -> None:
    for label in taxonomy.labels:
        assert 2 <= len(set(label.prompts)) == len(label.prompts) <= 4, label.key
        assert all(re.fullmatch(r"[a-z0-9][a-z0-9 ,'-]+\.", prompt) for prompt in label.prompts), label.key


def test_a_dog_is_an_animal_and_a_kitchen_is_indoors(taxonomy: Taxonomy) -> None:
    label = {label.key: label for label in taxonomy.labels}
    assert taxonomy.ancestors(label["objects/dog"]) == {"objects/animal"}
    assert taxonomy.ancestors(label["scenes/kitchen"]) == {"scenes/home interior", "scenes/indoor"}


def test_no_class_speaks_for_both_of_an_exclusive_pair(taxonomy: Taxonomy) -> None:
    for rivals in taxonomy.exclusive:
        classes = [index for key in rivals for index in taxonomy.labels[taxonomy.index_of[key]].imagenet_classes]
        assert len(classes) == len(set(classes)), rivals


def test_the_conditions_read_measures_that_exist(taxonomy: Taxonomy) -> None:
    used = {condition.measure for label in taxonomy.labels for condition in label.conditions}
    assert used <= set(MEASURE_NAMES)


def test_the_shipped_file_and_the_docs_are_what_the_source_tables_give() -> None:
    command = [sys.executable, str(ROOT / "scripts/build_taxonomy.py"), "--check"]
    outcome = subprocess.run(command, capture_output=True, text=True, check=False)
    assert outcome.returncode == 0, outcome.stdout + outcome.stderr


GOOD: dict[str, Any] = {
    "category": "objects",
    "name": "dog",
    "group": "animals",
    "parents": [],
    "prompts": ["a photo of a dog.", "a pet dog."],
    "imagenet_classes": [151],
    "conditions": [],
}


def taxonomy_json(*labels: dict[str, Any], exclusive: list[dict[str, Any]] | None = None) -> str:
    return json.dumps({"version": "9", "exclusive": exclusive or [], "labels": labels})


def test_a_small_taxonomy_is_read() -> None:
    taxonomy = parse_taxonomy(taxonomy_json(GOOD))
    assert taxonomy.version == "9"
    assert taxonomy.labels[0].key == "objects/dog"
    assert taxonomy.labels[0].threshold == 0.5


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"category": "things"}, "unknown category 'things'"),
        ({"name": "Dog"}, "lower case"),
        ({"prompts": ["one."]}, "2 to 4 lower-case prompts"),
        ({"prompts": ["One.", "two."]}, "2 to 4 lower-case prompts"),
        ({"parents": ["beast"]}, "parent 'beast' is not a label"),
        ({"parents": ["dog"]}, "its own ancestor"),
        ({"imagenet_classes": [1000]}, r"0\.\.999"),
        ({"imagenet_classes": ["x"]}, "dog"),
        ({"threshold": 0}, "threshold"),
        ({"conditions": [{"measure": "beauty", "side": "above", "at": 1, "width": 1}]}, "unknown measure 'beauty'"),
        ({"conditions": [{"measure": "noise", "side": "near", "at": 1, "width": 1}]}, "side must be"),
        ({"conditions": [{"measure": "noise", "side": "above", "at": 1, "width": 0}]}, "width 0"),
        ({"conditions": [{"measure": "noise", "side": "above", "at": 1}]}, "'width' is missing"),
    ],
)
def test_a_wrong_entry_is_named(change: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ConfigurationError, match=complaint) as caught:
        parse_taxonomy(taxonomy_json({**GOOD, **change}))
    assert str(change.get("name", "dog")) in str(caught.value)


def test_a_label_without_a_field_is_named() -> None:
    with pytest.raises(ConfigurationError, match="label 'dog': 'prompts' is missing"):
        parse_taxonomy(taxonomy_json({field: value for field, value in GOOD.items() if field != "prompts"}))


def test_a_label_listed_twice_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="objects/dog: is listed twice"):
        parse_taxonomy(taxonomy_json(GOOD, GOOD))


def test_a_circle_of_parents_is_refused() -> None:
    puppy = {**GOOD, "name": "puppy", "parents": ["dog"]}
    with pytest.raises(ConfigurationError, match="its own ancestor"):
        parse_taxonomy(taxonomy_json({**GOOD, "parents": ["puppy"]}, puppy))


def test_a_parent_without_its_childs_classes_is_refused() -> None:
    animal = {**GOOD, "name": "animal", "imagenet_classes": [1]}
    with pytest.raises(ConfigurationError, match="parent 'animal' lacks some"):
        parse_taxonomy(taxonomy_json(animal, {**GOOD, "parents": ["animal"]}))


@pytest.mark.parametrize("names", [["dog", "cat"], ["dog"], []])
def test_an_exclusive_set_needs_two_labels(names: list[str]) -> None:
    with pytest.raises(ConfigurationError, match="exclusive set"):
        parse_taxonomy(taxonomy_json(GOOD, exclusive=[{"category": "objects", "labels": names}]))


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"labels": 3, "exclusive": [], "version": "1"}'])
def test_what_is_not_a_taxonomy_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError, match="taxonomy"):
        parse_taxonomy(text)
