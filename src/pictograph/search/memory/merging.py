"""Many small segments become few: which ones, and how their rows are put together. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from pictograph.search.memory.arrays import Rows
from pictograph.search.memory.segment import Block, Facts, Segment, sorted_rows

GROWTH: Final = 2
"""A segment is merged with all smaller ones unless it has more than so many times their rows: their number stays below
the logarithm of the rows, and each row is written again as often."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Rows of a segment, or of images that are in none yet."""

    source: Segment | Block
    rows: Rows

    @property
    def facts(self) -> Facts:
        """Of those rows."""
        return self.source.facts.take(self.rows)

    def block(self, places: Rows) -> Block:
        """Some of those rows, by place."""
        chosen = self.rows[places]
        return self.source.block(chosen) if isinstance(self.source, Segment) else self.source.take(chosen)


def groups_to_merge(sizes: Sequence[int], worn: Sequence[bool], most_rows: int) -> list[list[int]]:
    """Which pieces, by place, become one each. sizes: their rows; worn: those that are written anew in any case.

    No group has more than `most_rows` rows, unless it is one piece alone.
    """
    order = sorted(range(len(sizes)), key=lambda number: (sizes[number], number))
    last, total = 0, 0
    for place, number in enumerate(order):
        if place and sizes[number] <= GROWTH * total and total + sizes[number] <= most_rows:
            last = place
        total += sizes[number]
    group = order[: last + 1]
    groups = [group] if len(group) > 1 else []
    taken = set(group) if len(group) > 1 else set()
    return groups + [[number] for number in order if worn[number] and number not in taken]


def merged(pieces: Sequence[Piece], at_a_time: int) -> Iterator[Block]:
    """All rows of the pieces in the order of a segment, some at a time."""
    source = np.repeat(np.arange(len(pieces)), [len(piece.rows) for piece in pieces])
    place = np.concatenate([np.arange(len(piece.rows)) for piece in pieces])
    order = sorted_rows(Facts.joined([piece.facts for piece in pieces]))
    for start in range(0, len(order), at_a_time):
        part = order[start : start + at_a_time]
        sources, places = source[part], place[part]
        blocks = [pieces[number].block(places[sources == number]) for number in np.unique(sources)]
        back = np.empty(len(part), np.int64)
        back[np.argsort(sources, kind="stable")] = np.arange(len(part))
        yield Block.joined(blocks).take(back)
