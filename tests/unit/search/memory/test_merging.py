"""Segments stay few, and no row is written again more often than the logarithm of their number."""

from __future__ import annotations

import random

from pictograph.search.memory.merging import groups_to_merge

MOST = 1000


def test_small_ones_are_merged_until_the_next_is_much_larger() -> None:
    assert groups_to_merge([500, 10, 10, 30], [False] * 4, MOST) == [[1, 2, 3]]


def test_nothing_is_merged_beyond_the_largest_size() -> None:
    assert groups_to_merge([600, 600], [False] * 2, MOST) == []


def test_one_alone_is_only_written_again_if_it_is_worn() -> None:
    assert groups_to_merge([10], [False], MOST) == []
    assert groups_to_merge([10], [True], MOST) == [[0]]
    assert groups_to_merge([10, 900], [False, True], MOST) == [[1]]


def test_one_without_rows_is_dropped_when_it_is_worn() -> None:
    assert [0] in groups_to_merge([0, 10], [True, False], MOST)


def test_many_small_rounds_leave_few_segments_and_write_each_row_a_few_times() -> None:
    chance, sizes, written, total = random.Random(1), [], 0, 0
    for _ in range(2000):
        new = chance.randint(1, 20)
        sizes.append(new)
        total += new
        groups = groups_to_merge(sizes, [False] * (len(sizes) - 1) + [True], 100_000)
        for group in groups:
            written += sum(sizes[number] for number in group)
        gone = {number for group in groups for number in group}
        sizes = [size for number, size in enumerate(sizes) if number not in gone] + [
            sum(sizes[number] for number in group) for group in groups
        ]
        assert len(sizes) <= 15
    assert sum(sizes) == total
    assert written <= 12 * total
