"""Several examples become one vector, whose distances give the score that the formula gives."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from benchmarks.examples import kinds_of, led, mean
from benchmarks.quality.classes import PhotoClass

from pictograph.errors import ValidationError
from pictograph.search.examples import LEAD, Resolved, aim_of
from pictograph.types import DIMENSION

RANDOM = np.random.default_rng(7)


def unit() -> Any:
    vector = RANDOM.standard_normal(DIMENSION).astype(np.float32)
    return vector / np.linalg.norm(vector)


@pytest.mark.parametrize("stretch", [1.0, 1.7])
@pytest.mark.parametrize(("positives", "negatives"), [(1, 0), (1, 1), (3, 0), (3, 2)])
def test_the_cosine_to_one_vector_is_the_formula_stretched(positives: int, negatives: int, stretch: float) -> None:
    kinds: list[Any] = ["image", "image", "text"]
    likes = [Resolved(unit(), kinds[n], weight=1 + n) for n in range(positives)]
    unlikes = [Resolved(unit(), kinds[n], weight=0.5 + n, negative=True) for n in range(negatives)]
    aim = aim_of([*unlikes, *likes], stretch)
    for _ in range(20):
        x = unit()

        def similarity(one: Resolved, x: Any = x) -> float:
            return 1 - (stretch if one.kind == "image" else 1.0) * (1 - float(one.vector @ x))

        average = sum(one.weight * similarity(one) for one in likes) / sum(one.weight for one in likes)
        leads = [one.weight * (average - similarity(one)) for one in unlikes]
        expected = average + (LEAD * sum(leads) / len(leads) if leads else 0)
        distance = 1 - float(aim.vector @ x / np.linalg.norm(aim.vector))
        assert aim.best - aim.stretch * distance == pytest.approx(expected, abs=1e-5)
    assert len(aim.positives) == (0 if positives + negatives == 1 else positives)


def test_the_formula_is_the_one_that_the_benchmark_chose() -> None:
    likes, unlikes = RANDOM.random((3, 40)), RANDOM.random((2, 40))
    average = likes.mean(axis=0)
    assert led(mean, LEAD)(likes, unlikes) == pytest.approx(average + LEAD * (average - unlikes.mean(axis=0)))


def test_what_is_as_like_the_negative_examples_as_the_positive_ones_keeps_its_likeness() -> None:
    one, other = np.zeros(DIMENSION, np.float32), np.zeros(DIMENSION, np.float32)
    one[0] = other[1] = 1.0
    x = np.zeros(DIMENSION, np.float32)
    x[:2] = 0.6
    aim = aim_of([Resolved(one, "image"), Resolved(other, "image", negative=True)], 1.0)
    distance = 1 - float(aim.vector @ x / np.linalg.norm(x))
    cosine = float(one @ x / np.linalg.norm(x))
    assert aim.best - aim.stretch * distance == pytest.approx(cosine, abs=1e-6)


def test_examples_that_cancel_each_other_out_are_refused() -> None:
    vector = unit()
    with pytest.raises(ValidationError, match="cancel each other out"):
        aim_of([Resolved(vector, "image"), Resolved(-vector, "image")], 1.0)


def test_the_benchmark_draws_from_classes_or_from_labels() -> None:
    named = [PhotoClass("a", None, None, frozenset(), frozenset())] * 9 + [
        PhotoClass(str(n), None, None, frozenset({"objects/dog"}), frozenset()) for n in range(31)
    ]
    assert [(kind.name, len(kind.rows)) for kind in kinds_of([one.name for one in named], named)] == [("a", 9)]
    single = [
        PhotoClass(str(n), None, None, frozenset({"objects/dog"} if n < 8 else {"objects/all"}), frozenset())
        for n in range(40)
    ]
    assert [kind.name for kind in kinds_of([one.name for one in single], single)] == ["objects/dog"]
