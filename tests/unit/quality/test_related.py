"""Which pairs belong together, by each of the three definitions."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from benchmarks.quality.classes import ClassReader, PhotoClass
from benchmarks.quality.related import WordnetTree, best_definition, by_class, by_taxonomy, by_wordnet
from benchmarks.quality.similarity import similarity, threshold
from scripts.offline_encoder.wordnet import Noun

from pictograph.errors import ConfigurationError
from pictograph.tagging.taxonomy import load_taxonomy

NOWHERE = Path("/nowhere/data.noun")


def read(*names: str) -> list[PhotoClass]:
    reader = ClassReader(load_taxonomy())
    return [reader.read(name) for name in names]


def test_several_pictures_of_a_class_are_held_against_the_class() -> None:
    assert best_definition(read("cat", "cat", "dog"), NOWHERE) == "class"


def test_one_of_each_is_held_against_wordnet_where_it_is_and_else_against_the_taxonomy() -> None:
    here = Path(__file__)
    assert best_definition(read("n02123045", "n02099601"), here) == "wordnet"
    assert best_definition(read("n02123045", "n02099601"), NOWHERE) == "taxonomy"
    assert best_definition(read("n02123045", "batch 17"), here) == "taxonomy"


def test_by_class_all_others_are_unrelated() -> None:
    relation = by_class(read("cat", "dog", "cat"))
    assert relation.related.tolist() == [[True, False, True], [False, True, False], [True, False, True]]
    assert (relation.unrelated == ~relation.related).all()


def test_by_taxonomy_two_cats_are_related_a_cat_and_a_dog_lie_between_and_a_tractor_is_apart() -> None:
    tabby, persian, retriever, tractor = "n02123045", "n02123394", "n02099601", "n04465501"
    relation = by_taxonomy(read(tabby, persian, retriever, tractor), load_taxonomy())
    assert relation.related[0].tolist() == [True, True, False, False]
    assert relation.unrelated[0].tolist() == [False, False, False, True]


def test_by_taxonomy_a_class_that_nothing_describes_is_neither_related_nor_unrelated() -> None:
    relation = by_taxonomy(read("batch 17", "dog"), load_taxonomy())
    assert not relation.related[0, 1]
    assert not relation.unrelated[0, 1]


def test_by_wordnet_the_narrowest_common_group_counts() -> None:
    reader = ClassReader(load_taxonomy())
    wnids = [entry.wnid for entry in reader.image_classes]
    # A tree of our own: classes 0 to 9 are finches, 0 to 499 are animals, all are entities.
    nouns = {"entity": Noun(("entity",), ()), "animal": Noun(("animal",), ("entity",))}
    nouns["finch"] = Noun(("finch",), ("animal",))
    for index, wnid in enumerate(wnids):
        kind = "finch" if index < 10 else "animal" if index < 500 else "entity"
        nouns[wnid[1:]] = Noun((wnid,), (kind,))
    tree = WordnetTree(nouns, wnids)
    assert [tree.group_size(0, other) for other in (0, 9, 10, 999)] == [1, 10, 500, 1000]
    assert tree.holds("finch", [0, 10]).tolist() == [True, False]
    assert tree.holds("unicorn", [0, 10]).tolist() == [False, False]
    relation = by_wordnet([reader.read(wnids[index]) for index in (0, 9, 999)], tree)
    assert relation.related[0].tolist() == [True, True, False]
    assert relation.unrelated[0].tolist() == [False, False, True]


def test_a_wordnet_file_that_is_none_is_named(tmp_path: Path) -> None:
    (tmp_path / "data.noun").write_text("not a synset\n")
    with pytest.raises(ConfigurationError, match="--wordnet"):
        WordnetTree.read(tmp_path / "data.noun", ["n01531178"])
    with pytest.raises(ConfigurationError, match="--wordnet"):
        WordnetTree.read(tmp_path / "missing", ["n01531178"])


def circle(*degrees: float) -> np.ndarray:
    angles = np.deg2rad(degrees)
    return np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)


def test_similarity_of_two_tight_classes_is_perfect() -> None:
    answer = similarity(circle(0, 5, 90, 95), by_class(read("cat", "cat", "dog", "dog")), [2])
    assert (answer["precision_at_1"], answer["recall_at_1"], answer["roc_area"]) == (1.0, 1.0, 1.0)
    assert (answer["precision_at_2"], answer["best_precision_at_2"]) == (0.5, 0.5)
    assert answer["chance"] == 0.333
    assert answer["related_by"] == "class"


def test_a_threshold_keeps_what_is_at_or_above_it() -> None:
    # Cosines: cat-cat cos 60 = 0.5, cats-dog cos 50 = 0.643 and cos 110 = -0.342.
    answer = threshold(circle(0, 60, -50), by_class(read("cat", "cat", "dog")))
    assert answer["at"]["0.45"] == {
        "kept": 0.667,
        "related_of_kept": 0.5,
        "related_found": 1.0,
        "unrelated_kept": 0.5,
    }
    assert answer["at"]["0.60"]["related_found"] == 0.0
    assert answer["at"]["0.70"]["related_of_kept"] is None
    assert answer["unrelated_at_default"] == 0.5
