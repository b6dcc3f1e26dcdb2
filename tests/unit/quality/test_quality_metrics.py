"""The formulas on cases that can be counted by hand."""

from __future__ import annotations

import numpy as np
import pytest
from benchmarks.quality.metrics import TagCounts, at_k, average_precision, nearest, ranks, roc_area, share

# On a circle, in degrees: 0 and 10 are of one class, 20 and 100 of another.
ANGLES = np.deg2rad([0.0, 10.0, 20.0, 100.0])
VECTORS = np.stack([np.cos(ANGLES), np.sin(ANGLES)], axis=1).astype(np.float32)
SAME = np.array([[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 1, 1], [0, 0, 1, 1]], dtype=bool)


def test_the_nearest_come_first_and_never_the_picture_itself() -> None:
    assert nearest(VECTORS)[0].tolist() == [1, 2, 3]
    assert nearest(VECTORS)[2].tolist() == [1, 0, 3]


def test_precision_and_recall_at_k() -> None:
    order = nearest(VECTORS)
    # The first neighbours: 0 -> 1 (right), 1 -> 0 or 2 (10 degrees each), 2 -> 1 (wrong), 3 -> 2 (right).
    one = at_k(np.array([[1, 2, 3], [0, 2, 3], [1, 0, 3], [2, 1, 0]]), SAME, 1)
    assert (one.precision, one.recall, one.best_precision) == (0.75, 0.75, 1.0)
    three = at_k(order, SAME, 3)
    assert (three.precision, three.recall, three.best_precision) == (0.333, 1.0, 0.333)


def test_k_beyond_the_folder_takes_all_there_are() -> None:
    assert at_k(nearest(VECTORS), SAME, 10) == at_k(nearest(VECTORS), SAME, 3)


def test_pictures_without_a_relative_are_not_asked() -> None:
    related = np.zeros((4, 4), dtype=bool)
    related[0, 1] = related[1, 0] = True
    assert at_k(np.array([[1, 2, 3], [0, 2, 3], [1, 0, 3], [2, 1, 0]]), related, 1).precision == 1.0
    assert at_k(nearest(VECTORS), np.eye(4, dtype=bool), 1).precision is None


@pytest.mark.parametrize(
    ("positive", "negative", "area"),
    [
        ([0.9, 0.8], [0.1, 0.2], 1.0),
        ([0.1], [0.9], 0.0),
        ([0.5], [0.5], 0.5),
        ([0.6, 0.2], [0.4, 0.2], 0.625),  # 0.6 beats both; 0.2 ties with one: (1 + 1 + 0 + 0.5) / 4
        ([], [0.5], None),
    ],
)
def test_roc_area_counts_pairs_and_ties_by_half(
    positive: list[float], negative: list[float], area: float | None
) -> None:
    assert roc_area(np.array(positive), np.array(negative)) == area


def test_ranks_share_a_tie_so_that_a_blind_encoder_is_not_right_always() -> None:
    scores = np.array([[0.9, 0.5, 0.1], [0.5, 0.9, 0.1], [0.3, 0.3, 0.3]], dtype=np.float32)
    assert ranks(scores, np.array([0, 0, 1])).tolist() == [0, 1, 1]


def test_average_precision_of_first_and_third_place() -> None:
    scores = np.array([0.9, 0.8, 0.7], dtype=np.float32)
    assert average_precision(scores, np.array([True, False, True])) == pytest.approx((1 + 2 / 3) / 2)


def test_a_share_of_nothing_is_not_zero() -> None:
    assert share([]) is None
    assert share([True, False, False]) == 0.333


def test_tags_are_counted_by_label_and_altogether() -> None:
    counts = TagCounts()
    counts.add(["dog", "animal", "couch"], ["dog", "animal"])
    counts.add(["animal"], ["cat", "animal"])
    assert counts.of(["animal"]) == [2, 0, 0]
    assert counts.of(["cat", "couch"]) == [0, 1, 1]
    assert counts.micro() == {"precision": 0.75, "recall": 0.75, "right": 3, "wrong": 1, "missed": 1}
    # animal 1, couch 0, dog 1 of those given; animal 1, cat 0, dog 1 of those true.
    assert counts.macro() == {"precision": 0.667, "labels_given": 3, "recall": 0.667, "labels_true": 3}


def test_what_a_class_leaves_open_is_neither_right_nor_wrong() -> None:
    counts = TagCounts()
    counts.add(["dog", "car"], ["animal"], open_=["dog"])
    assert (counts.of(["dog"]), counts.of(["car"]), counts.of(["animal"])) == ([0, 0, 0], [0, 1, 0], [0, 0, 1])


def test_nothing_given_has_no_precision() -> None:
    assert TagCounts().micro()["precision"] is None
    assert TagCounts().macro()["precision"] is None
