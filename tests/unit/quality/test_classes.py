"""What a class's name says: by WordNet id, by a label of the taxonomy, by a name of ImageNet, or not at all."""

from __future__ import annotations

import pytest
from benchmarks.quality.classes import ClassReader, spellings

from pictograph.tagging.taxonomy import load_taxonomy


@pytest.fixture(scope="module")
def reader() -> ClassReader:
    return ClassReader(load_taxonomy())


@pytest.mark.parametrize("name", ["n01531178", "n01531178_goldfinch", "n01531178_whatever", "goldfinch", "Goldfinch"])
def test_a_goldfinch_is_a_bird_however_it_is_written(reader: ClassReader, name: str) -> None:
    entry = reader.read(name)
    assert entry.image_class
    assert entry.image_class.wnid == "n01531178"
    assert entry.true == {"objects/bird", "objects/animal"}
    assert entry.words == "goldfinch"
    assert entry.is_judged


def test_labels_without_imagenet_classes_cannot_be_held_against_an_imagenet_class(reader: ClassReader) -> None:
    open_labels = reader.read("n01531178").open
    assert "objects/tree" in open_labels
    assert "objects/dog" not in open_labels


@pytest.mark.parametrize("name", ["animals", "animal", "ANIMALS"])
def test_a_folder_of_animals_leaves_open_which(reader: ClassReader, name: str) -> None:
    entry = reader.read(name)
    assert entry.image_class is None
    assert entry.true == {"objects/animal"}
    assert {"objects/dog", "objects/lizard"} <= entry.open
    assert "objects/car" not in entry.open


@pytest.mark.parametrize(
    ("name", "label"),
    [("people", "person"), ("buses", "bus"), ("traffic_lights", "traffic light"), ("butterflies", "butterfly")],
)
def test_a_plural_is_its_singular(reader: ClassReader, name: str, label: str) -> None:
    assert f"objects/{label}" in reader.read(name).true


def test_a_glass_is_not_a_glas() -> None:
    assert spellings("glass")[0] == "glass"


def test_an_unknown_word_is_searched_for_but_not_judged(reader: ClassReader) -> None:
    entry = reader.read("batch_17")
    assert entry.words == "batch 17"
    assert not entry.is_judged
    assert not entry.true


def test_an_unknown_wordnet_id_has_no_words_either(reader: ClassReader) -> None:
    assert reader.read("n99999999").words is None
    assert reader.read("n99999999_griffin").words == "griffin"
    assert not reader.read("n99999999_griffin").is_judged
