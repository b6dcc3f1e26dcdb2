"""The newest rows of a mask, also far behind the first: what a page costs does not depend on how deep it lies."""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np

from pictograph.search.memory.arrays import NO_IDS, NO_ROWS, Bytes, Mask, Rows, is_behind, microseconds, newest_order
from pictograph.search.memory.masks import Part
from pictograph.search.memory.segment import Segment
from pictograph.store.pages import After

BLOCK: Final = 8192
"""Rows of a segment's own order that are looked at together."""
FEW: Final = 8192
"""So many rows are sooner taken as they are than looked for in the segment's order."""


def newest_page(
    parts: Sequence[tuple[Segment, Part]], skip: int, count: int, after: After | None
) -> tuple[Bytes, Rows]:
    """Ids, uint8 (N, 16), and times of at most `count` rows that are meant, after the `skip` newest; ties by id.

    after: counted from behind this place.
    """
    reach = skip + count
    if after is not None:
        parts = [(segment, behind(segment, part, after)) for segment, part in parts]
    found = [(segment, part.rows) for segment, part in parts if part.count <= few(segment, reach)]
    walks = [Walk(segment, part, reach) for segment, part in parts if part.count > few(segment, reach)]
    walk_all(walks, reach, [segment.facts.created[rows] for segment, rows in found])
    found += [(walk.segment, walk.rows) for walk in walks]
    created = np.concatenate([NO_ROWS, *(segment.facts.created[rows] for segment, rows in found)])
    newer, kept = window(created, skip, reach)
    ids = np.concatenate([NO_IDS, *(s.facts.ids[rows[kept[span]]] for s, rows, span in spans(found))])
    created = created[kept]
    order = newest_order(ids, created)[skip - newer : reach - newer]
    return ids[order], created[order]


def few(segment: Segment, reach: int) -> int:
    """How many rows of a segment are few."""
    return max(FEW, min(reach, len(segment) // 8))


def spans(found: Sequence[tuple[Segment, Rows]]) -> Iterator[tuple[Segment, Rows, slice]]:
    """With the places that the rows have among all."""
    start = 0
    for segment, rows in found:
        yield segment, rows, slice(start, start + len(rows))
        start += len(rows)


def behind(segment: Segment, part: Part, after: After) -> Part:
    """Those of the rows that come behind a place."""
    time = microseconds(after.created_at)
    created = segment.facts.created[part.start : part.stop]
    mask = part.mask & (created <= time)
    if len(same := np.flatnonzero(mask & (created == time))):
        mask[same] = is_behind(segment.facts.ids[same + part.start], created[same], after)
    return part.narrowed(mask)


def window(created: Rows, skip: int, reach: int) -> tuple[int, Mask]:
    """Rows, in no order, that can be among those from `skip` to `reach`, and how many others are newer."""
    count = len(created)
    if count <= skip:
        return 0, np.zeros(count, bool)
    places = [count - 1 - skip, max(0, count - reach)]
    parted = np.partition(created, places)
    first, last = parted[places[0]], parted[places[1]]
    return int(np.count_nonzero(created > first)), (created <= first) & (created >= last)


class Walk:
    """Goes through a segment's rows from the newest on, and keeps those that are meant: at most as many as reach."""

    def __init__(self, segment: Segment, part: Part, reach: int) -> None:
        self.segment = segment
        self._whole = np.zeros(len(segment), bool)
        self._whole[part.start : part.stop] = part.mask
        self._reach = reach
        self._at = 0
        self._found: list[Rows] = []
        self._count = 0

    @property
    def head(self) -> int | None:
        """The time of the next row that was not looked at; None where no more are needed, or left."""
        if self._count >= self._reach or self._at >= len(self.segment):
            return None
        return int(self.segment.facts.created[self.segment.newest[self._at]])

    def step(self) -> int:
        """Looks at the next rows; how many of them are meant."""
        block = self.segment.newest[self._at : self._at + BLOCK]
        hits = block[np.take(self._whole, block, mode="clip")]  # twice as fast as an index that is checked
        self._at += len(block)
        self._found.append(hits.astype(np.int64))
        self._count += len(hits)
        return len(hits)

    @property
    def rows(self) -> Rows:
        """Those that were found, the newest first."""
        return np.concatenate([NO_ROWS, *self._found])[: self._reach]


def walk_all(walks: Sequence[Walk], reach: int, others: Sequence[Rows]) -> None:
    """Walks until the newest `reach` rows are found. others: times of rows that are known.

    First the newest blocks until there are enough rows; the last of them is no newer than the last one that is wanted,
    so that after it only blocks that begin as new as that have to be looked at.
    """
    heads = [(-head, number) for number, walk in enumerate(walks) if (head := walk.head) is not None]
    heapq.heapify(heads)

    def step() -> int:
        number = heads[0][1]
        found = walks[number].step()
        if (head := walks[number].head) is None:
            heapq.heappop(heads)
        else:
            heapq.heapreplace(heads, (-head, number))
        return found

    missing = reach - sum(map(len, others))
    while heads and missing > 0:
        missing -= step()
    times = np.concatenate([*others, *(walk.segment.facts.created[walk.rows] for walk in walks), NO_ROWS])
    if heads:
        last = np.partition(times, len(times) - reach)[len(times) - reach]
        while heads and -heads[0][0] >= last:
            step()
