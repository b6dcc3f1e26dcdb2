"""Conditions of a filter over rows of the index: of each row, whether it meets them, or whether that is not known.

As in SQL: what is not known of an image meets no condition, and does not rule the image out either. The WHERE clause of
where.py says the same of the table; tests/postgres/test_search_truth.py holds both against looking at every row.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pictograph.search.facts import FACTS, Fact
from pictograph.search.filter import Conditions
from pictograph.search.members import Members
from pictograph.search.memory.arrays import Array, Mask, microseconds
from pictograph.search.memory.segment import STATES, Segment
from pictograph.search.memory.values import VALUES
from pictograph.search.pattern import can_match, regex_of
from pictograph.types import ImageState

Strings: TypeAlias = "pa.LargeStringArray | pa.StringArray"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one condition says of some rows."""

    met: Mask
    unknown: Mask | None = None
    """Rows of which it cannot tell; none of them is met. None: it can tell of all."""


def verdicts(segment: Segment, start: int, stop: int, asked: Conditions) -> Iterator[Verdict]:
    """What each condition says of the rows from `start` to before `stop`, one after another."""
    for category, labels in asked.tags.labels.items():
        every = asked.tags.match == "all"
        yield Verdict(segment.carrying([(category, label) for label in labels], start, stop, every=every))
    yield from bounds(segment, slice(start, stop), asked)
    yield from names(segment, slice(start, stop), asked)
    if asked.members is not None:
        yield Verdict(members_of(segment, start, stop, asked.members))
    unwanted = [(category, label) for category, labels in asked.without.labels.items() for label in labels]
    if unwanted:
        is_tagged = segment.facts.state[start:stop] == STATES.index(ImageState.TAGGED)
        carried = segment.carrying(unwanted, start, stop, every=False)
        yield Verdict(is_tagged & ~carried, ~is_tagged & ~carried)


def members_of(segment: Segment, start: int, stop: int, members: Members) -> Mask:
    """Which rows are of a collection."""
    rows = members.rows_in(segment.folder, lambda: segment.rows_of(members.ids))
    mask = np.zeros(stop - start, bool)
    mask[rows[np.searchsorted(rows, start) : np.searchsorted(rows, stop)] - start] = True
    return mask


def bounds(segment: Segment, rows: slice, asked: Conditions) -> Iterator[Verdict]:
    """Of the facts that are bounded."""
    for name, least, most in asked.bounds():
        fact, values = FACTS[name], VALUES[name](segment.facts, rows)
        met = np.ones(len(values), bool)
        if (low := getattr(asked, least)) is not None:
            met &= values >= number_of(fact, low)
        if (high := getattr(asked, most)) is not None:
            met &= values < number_of(fact, high) if fact.is_time else values <= number_of(fact, high)
        yield Verdict(met, None if fact.is_sure else np.isnan(values))


def number_of(fact: Fact, bound: float | datetime) -> float:
    """As `VALUES` has it."""
    if isinstance(bound, datetime):
        return float(microseconds(bound))
    return float(np.float32(bound)) if fact.is_single else float(bound)


def names(segment: Segment, rows: slice, asked: Conditions) -> Iterator[Verdict]:
    """Of formats, states, and patterns of names."""
    if asked.content_types is not None:
        chosen = [number for number, kind in enumerate(segment.formats) if kind in asked.content_types]
        yield Verdict(np.isin(segment.facts.format[rows], chosen))
    if asked.states is not None:
        yield Verdict(np.isin(segment.facts.state[rows], [STATES.index(state) for state in asked.states]))
    if asked.camera is not None:
        matching = np.flatnonzero(matches(pa.array(segment.cameras, pa.large_string()), asked.camera))
        unknown = [number for number, camera in enumerate(segment.cameras) if not camera]
        camera = segment.facts.camera[rows]
        is_unknown = np.isin(camera, unknown)
        yield Verdict(np.isin(camera, matching) & ~is_unknown, is_unknown)
    if asked.filename is not None:
        yield Verdict(matches(filenames(segment, rows), asked.filename))


def filenames(segment: Segment, rows: slice) -> Strings:
    """The names of some rows, which stay where they are mapped."""
    starts = np.ascontiguousarray(segment.filenames.starts[rows.start : rows.stop + 1])
    values = np.ascontiguousarray(segment.filenames.values)
    return pa.LargeStringArray.from_buffers(len(starts) - 1, pa.py_buffer(starts), pa.py_buffer(values))


def matches(strings: Strings, pattern: str) -> Mask:
    """Which of the strings a pattern matches (pattern.py): about 7 million a second on one core."""
    if not can_match(pattern):
        return np.zeros(len(strings), bool)
    found: Array = pc.match_substring_regex(strings, regex_of(pattern)).to_numpy(zero_copy_only=False)
    return np.asarray(found, bool)
