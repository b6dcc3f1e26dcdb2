"""A filter as rows of the index: which rows of which segments are meant.

Rows are sorted by dataset and folder, so a place is a range of a segment's rows, or a few: a mask covers that range
alone, and what a folder of a thousand images costs does not depend on how many others there are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from pictograph.search.filter import Filter, Place
from pictograph.search.memory.arrays import Bytes, Mask, Rows, as_void
from pictograph.search.memory.judging import verdicts
from pictograph.search.memory.segment import Segment
from pictograph.types import DatasetId, SpaceId


@dataclass(frozen=True, slots=True)
class Part:
    """Rows of one segment that are meant: `start + i` is, where `mask[i]` is true."""

    number: int
    """The segment's place in its view."""
    start: int
    mask: Mask
    count: int
    """Rows that are meant."""

    @property
    def stop(self) -> int:
        """The row behind the last one that the mask covers."""
        return self.start + len(self.mask)

    @property
    def rows(self) -> Rows:
        """The rows that are meant, rising."""
        return np.flatnonzero(self.mask) + self.start

    def narrowed(self, mask: Mask) -> Part:
        """Those of the rows that this mask of the same range means too."""
        both = self.mask & mask
        return Part(self.number, self.start, both, int(np.count_nonzero(both)))


RowMask: TypeAlias = Sequence[Part]
"""The rows of a view that are meant; segments of which none is are left out."""


@dataclass(frozen=True)
class Runs:
    """A segment's rows by place: run i has the rows from `starts[i]` to `starts[i + 1]`, of one dataset and folder."""

    datasets: npt.NDArray[Any]
    folders: npt.NDArray[np.int64]
    starts: npt.NDArray[np.int64]
    """One more than there are runs: the last is the number of rows."""

    @classmethod
    def of(cls, segment: Segment) -> Runs:
        """The segment's own."""
        starts = np.asarray(segment.run_starts)
        datasets, folders = as_void(segment.facts.dataset[starts]), np.asarray(segment.facts.folder[starts])
        return cls(datasets, folders, np.append(starts, len(segment)))

    def range_of(self, datasets: Sequence[DatasetId], folders: Sequence[int] | None) -> tuple[int, int, Mask | None]:
        """The least range of rows that has all of these datasets and folders (None: every one), and which are meant.

        None stands for every row of the range.
        """
        ids = np.frombuffer(b"".join(dataset.bytes for dataset in datasets), np.uint8).reshape(-1, 16)
        meant = np.isin(self.datasets, as_void(ids))
        if folders is not None:
            meant &= np.isin(self.folders, np.asarray(folders, np.int64))
        runs = np.flatnonzero(meant)
        if not len(runs):
            return 0, 0, None
        first, last = int(runs[0]), int(runs[-1]) + 1
        start, stop = int(self.starts[first]), int(self.starts[last])
        if len(runs) == last - first:
            return start, stop, None
        return start, stop, np.repeat(meant[first:last], np.diff(self.starts[first : last + 1]))


@dataclass(frozen=True)
class Kept:
    """A segment in a view."""

    segment: Segment
    shown: Mask
    """Its rows that count: neither archived, nor gone, nor written again in a later segment."""
    runs: Runs

    @classmethod
    def of(cls, segment: Segment, dead: Mask) -> Kept:
        """dead: its tombstones, rows that are gone or written again."""
        return cls(segment, ~(dead | segment.facts.archived), Runs.of(segment))


def place_of(number: int, kept: Kept, place: Place, folders: Sequence[int] | None, without: Bytes) -> Part | None:
    """The rows of a place, but for those of the ids `without`, uint8 (N, 16); None if there are none."""
    start, stop, meant = kept.runs.range_of(place.datasets, folders)
    if start == stop:
        return None
    mask = kept.shown[start:stop].copy() if meant is None else kept.shown[start:stop] & meant
    if len(without):
        rows = kept.segment.rows_of(without)
        mask[rows[(rows >= start) & (rows < stop)] - start] = False
    count = int(np.count_nonzero(mask))
    return Part(number, start, mask, count) if count else None


def meant_by(segment: Segment, part: Part, wanted: Filter) -> Part:
    """Those rows of a place that a filter means."""
    for verdict in verdicts(segment, part.start, part.stop, wanted.conditions):
        part = part.narrowed(verdict.met)
        if not part.count:
            break
    return part


def undecided(segment: Segment, part: Part, wanted: Filter) -> Rows:
    """Rows of a place that a filter cannot judge: nothing that is known of them rules them out."""
    possible, met = part.mask, part.mask
    for verdict in verdicts(segment, part.start, part.stop, wanted.conditions):
        possible = possible & (verdict.met if verdict.unknown is None else verdict.met | verdict.unknown)
        met = met & verdict.met
    return np.flatnonzero(possible & ~met) + part.start


def with_vectors(segment: Segment, part: Part, space: SpaceId) -> Part:
    """Those of the rows that have a vector in this space."""
    vectors = segment.vectors.get(space)
    if vectors is None:
        return Part(part.number, part.start, np.zeros_like(part.mask), 0)
    return part.narrowed(vectors.has[part.start : part.stop])


def without(segment: Segment, part: Part, ids: Bytes) -> Part:
    """The rows but for those of these images, uint8 (N, 16)."""
    rows = segment.rows_of(ids)
    others = np.ones(len(part.mask), bool)
    others[rows[(rows >= part.start) & (rows < part.stop)] - part.start] = False
    return part.narrowed(others)


def count_of(mask: RowMask) -> int:
    """How many rows are meant."""
    return sum(part.count for part in mask)
