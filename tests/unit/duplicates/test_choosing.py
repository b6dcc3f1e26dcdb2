"""The image that a group is named after is the best one that all others are near-duplicates of, and says why."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from pictograph.duplicates.choosing import Worth, reason, representative
from pictograph.duplicates.measuring import Images
from pictograph.duplicates.rule import Rule
from pictograph.search.memory.arrays import FloatArray, Mask, Rows

RULE = Rule.of(0.96, 10)


@dataclass(frozen=True)
class NoVectors:
    has: Mask

    def take(self, rows: Rows) -> FloatArray:
        raise AssertionError("there are none")


def images(*hashes: int, told_apart: list[tuple[int, int]] | None = None) -> Images:
    pairs = np.array(told_apart or np.zeros((0, 2)), np.int64)
    none = np.zeros(len(hashes), bool)
    return Images(np.array(hashes, np.uint64), ~none, NoVectors(none), pairs)


def worth(
    pixels: list[int], sharpness: list[float] | None = None, created: list[int] | None = None, chosen: int | None = None
) -> Worth:
    count = len(pixels)
    keep = np.zeros(count, bool)
    if chosen is not None:
        keep[chosen] = True
    known = np.array(sharpness or [np.nan] * count, np.float32)
    return Worth(keep, np.array(pixels), known, np.array(created or range(count), np.int64))


@pytest.mark.parametrize(
    ("facts", "best", "why"),
    [
        (worth([10, 20, 10]), 1, "larger"),
        (worth([10, 10, 10], [0.5, 0.5, 0.9]), 2, "sharper"),
        (worth([10, 10, 10], [0.50, 0.53, 0.51], [3, 2, 1]), 2, "older"),
        (worth([10, 10, 10], [np.nan, 0.1, np.nan]), 1, "sharper"),
        (worth([10, 20, 10], chosen=2), 2, "chosen"),
        (worth([10, 10, 10]), 0, "older"),
    ],
)
def test_the_best_one_names_the_group(facts: Worth, best: int, why: str) -> None:
    group = images(1, 1, 1)
    found = representative(group, RULE, facts, 0, np.array([1, 2]))
    assert found == best
    assert reason(facts, best, np.array([place for place in range(3) if place != best])) == why


def test_a_better_one_that_is_not_near_all_does_not_name_it() -> None:
    middle = 0x123456789ABCDEF
    one, other = middle ^ 0b111111, middle ^ (0b111111 << 32)  # six bits from the middle, twelve from each other
    group, facts = images(middle, one, other), worth([10, 20, 10])
    assert representative(group, RULE, facts, 0, np.array([1, 2])) == 0
    assert reason(facts, 0, np.array([1, 2])) == "nearest to all"


def test_one_that_was_told_apart_from_another_does_not_name_it() -> None:
    group, facts = images(1, 1, 1, told_apart=[(1, 2)]), worth([10, 30, 20])
    assert representative(group, RULE, facts, 0, np.array([1, 2])) == 0
