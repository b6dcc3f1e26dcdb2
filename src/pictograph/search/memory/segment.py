"""One immutable part of the index: up to some hundred thousand images in files that every serving process maps.

Rows are sorted by dataset, folder, time and id. All columns share that numbering: facts, tags, and for each space the
codes and the float16 vectors. Nothing in a segment changes; what is deleted or written again later is a tombstone
beside it. Opening one maps its files and computes nothing. How the files look: `segment_files`.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import cached_property
from pathlib import Path
from typing import Any, Final, Generic, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt

from pictograph.search.memory.arrays import COARSE_BYTES, FINE_BYTES, Array, Bytes, Mask, Rows, halves
from pictograph.types import DIMENSION, ImageState, SpaceId

STATES: Final = tuple(ImageState)
"""`Facts.state` is a place in it."""
Label: TypeAlias = tuple[str, str]
"""(category, name)."""
Name = TypeVar("Name")
UNKNOWN_TIME: Final = int(np.iinfo(np.int64).min)


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of N images beside vectors, tags and names; row i of each array is image i."""

    ids: Bytes
    """uint8 (N, 16)."""
    dataset: Bytes
    """uint8 (N, 16): the id of its dataset."""
    folder: npt.NDArray[np.int64]
    created: npt.NDArray[np.int64]
    """Microseconds since 1970."""
    width: npt.NDArray[np.int32]
    height: npt.NDArray[np.int32]
    file_size: npt.NDArray[np.int64]
    format: npt.NDArray[np.uint16]
    """The place of its content type in `formats` beside it."""
    state: npt.NDArray[np.uint8]
    """Its place in `STATES`."""
    archived: Mask
    taken: npt.NDArray[np.int64]
    """Microseconds since 1970; UNKNOWN_TIME where it is not known."""
    camera: npt.NDArray[np.uint32]
    """The place of its name in `cameras` beside it; the name of one that is not known is empty."""
    sharpness: npt.NDArray[np.float32]
    """This, brightness and contrast: NaN where they are not known."""
    brightness: npt.NDArray[np.float32]
    contrast: npt.NDArray[np.float32]
    average_color: npt.NDArray[np.int32]
    """0xRRGGBB; -1 where it is not known."""
    perceptual_hash: npt.NDArray[np.int64]
    """64 bits; meaningless where the average colour is not known."""
    looked: Mask
    """Whether somebody has looked at the picture for what stands between `taken` and here."""

    def __len__(self) -> int:
        return len(self.ids)

    def take(self, rows: Array) -> Facts:
        """Those rows, by number or by mask."""
        return Facts(*(getattr(self, column.name)[rows] for column in fields(self)))

    @classmethod
    def joined(cls, parts: Sequence[Facts]) -> Facts:
        """All of them, in the order given; at least one."""
        return cls(*(np.concatenate([getattr(part, column.name) for part in parts]) for column in fields(cls)))


@dataclass(frozen=True, slots=True)
class Ragged:
    """Some values for each of N rows: those of row i are `values[starts[i]:starts[i + 1]]`."""

    starts: npt.NDArray[np.int64]
    """int64 (N + 1,)."""
    values: Array

    @classmethod
    def of(cls, lengths: Sequence[int] | Array, values: Array) -> Ragged:
        """lengths: how many of the values each row has."""
        starts = np.zeros(len(lengths) + 1, np.int64)
        np.cumsum(lengths, out=starts[1:])
        return cls(starts, values)

    def take(self, rows: Rows) -> Ragged:
        """Those rows, by number."""
        begins = self.starts[rows]
        taken = Ragged.of(self.starts[rows + 1] - begins, self.values[:0])
        shifts = np.repeat(begins - taken.starts[:-1], np.diff(taken.starts))
        return Ragged(taken.starts, self.values[np.arange(taken.starts[-1]) + shifts])

    @classmethod
    def joined(cls, parts: Sequence[Ragged]) -> Ragged:
        """All of them, in the order given; at least one."""
        lengths = np.concatenate([np.diff(part.starts) for part in parts])
        return cls.of(lengths, np.concatenate([part.values for part in parts]))


@dataclass(frozen=True, slots=True)
class Vectors:
    """One space's vectors of some rows; those without one have zeros."""

    has: Mask
    coarse: Bytes
    """uint8 (N, 152)."""
    fine: Bytes
    """uint8 (N, 576)."""
    float16: npt.NDArray[np.float16]
    """float16 (N, 1152)."""

    def take(self, rows: Rows) -> Vectors:
        """Those rows, by number."""
        return Vectors(self.has[rows], self.coarse[rows], self.fine[rows], self.float16[rows])

    @classmethod
    def none(cls, count: int) -> Vectors:
        """For rows without any."""
        return cls(
            np.zeros(count, bool),
            np.zeros((count, COARSE_BYTES), np.uint8),
            np.zeros((count, FINE_BYTES), np.uint8),
            np.zeros((count, DIMENSION), np.float16),
        )

    @classmethod
    def joined(cls, parts: Sequence[Vectors]) -> Vectors:
        """All of them, in the order given; at least one."""
        return cls(*(np.concatenate([getattr(part, column.name) for part in parts]) for column in fields(cls)))


@dataclass(frozen=True, slots=True)
class Block:
    """Some images with everything that the index holds of them: what segments are written from, and give back."""

    facts: Facts
    formats: Sequence[str]
    """Content types that `facts.format` names."""
    cameras: Sequence[str]
    """Names that `facts.camera` names."""
    filenames: Ragged
    """uint8, UTF-8."""
    labels: Sequence[Label]
    tags: Ragged
    """For each row the places of its tags in `labels`, none twice."""
    vectors: Mapping[SpaceId, Vectors]

    def __len__(self) -> int:
        return len(self.facts)

    def take(self, rows: Rows) -> Block:
        """Those rows, by number."""
        return Block(
            self.facts.take(rows),
            self.formats,
            self.cameras,
            self.filenames.take(rows),
            self.labels,
            self.tags.take(rows),
            {space: one.take(rows) for space, one in self.vectors.items()},
        )

    @classmethod
    def joined(cls, parts: Sequence[Block]) -> Block:
        """All of them, in the order given; at least one. A space that only some have: the others have no vectors."""
        formats, cameras, labels = Numbers[str](), Numbers[str](), Numbers[Label]()
        facts = [renumbered(part.facts, formats.of(part.formats), cameras.of(part.cameras)) for part in parts]
        tags = [Ragged(part.tags.starts, labels.of(part.labels)[part.tags.values]) for part in parts]
        spaces = sorted({space for part in parts for space in part.vectors})
        return cls(
            Facts.joined(facts),
            formats.names,
            cameras.names,
            Ragged.joined([part.filenames for part in parts]),
            labels.names,
            Ragged.joined(tags),
            {
                space: Vectors.joined([part.vectors.get(space) or Vectors.none(len(part)) for part in parts])
                for space in spaces
            },
        )

    def in_order(self) -> Block:
        """The rows as a segment has them."""
        return self.take(sorted_rows(self.facts))


class Numbers(Generic[Name]):
    """Gives names numbers, in the order of their first coming."""

    def __init__(self) -> None:
        self._numbers: dict[Name, int] = {}

    @property
    def names(self) -> list[Name]:
        """Name by number."""
        return list(self._numbers)

    def of(self, names: Iterable[Name]) -> npt.NDArray[np.int64]:
        """The number of each name; new ones get the next."""
        numbers = self._numbers
        return np.array([numbers.setdefault(name, len(numbers)) for name in names], np.int64)


EVERY_LABEL: Final = Numbers[Label]()
"""Of every segment that was counted in: labels are few, and come and go seldom."""
LABELS_LOCK: Final = threading.Lock()


def renumbered(facts: Facts, formats: npt.NDArray[np.int64], cameras: npt.NDArray[np.int64]) -> Facts:
    """The same facts with other numbers for names. formats, cameras: the new number of each old one."""
    columns = {column.name: getattr(facts, column.name) for column in fields(facts)}
    named = {"format": formats[facts.format].astype(np.uint16), "camera": cameras[facts.camera].astype(np.uint32)}
    return Facts(**columns | named)


@dataclass(frozen=True, slots=True)
class TagLists:
    """Which rows carry which tag, from both sides."""

    labels: Sequence[Label]
    """The most frequent first."""
    starts: npt.NDArray[np.int64]
    rows: npt.NDArray[np.uint32]
    """Label t is carried by the rising rows `rows[starts[t]:starts[t + 1]]`."""
    row_starts: npt.NDArray[np.int64]
    row_labels: Array
    """Row r carries the labels numbered `row_labels[row_starts[r]:row_starts[r + 1]]`; an unsigned type."""
    bits: npt.NDArray[np.uint64]
    """(D, ceil(N / 64)): of each of the first D labels, the frequent ones, its rows as bits, the lowest bit first."""


@dataclass(frozen=True)
class MappedVectors:
    """As `Vectors`, mapped, with what faiss needs to scan them."""

    has: Mask
    coarse: Any
    """faiss's index of the coarse codes; None where no row has a vector."""
    fine: Bytes
    exact: Any
    """faiss's index of the float16 vectors, by inner product; None where no row has a vector."""
    norm: npt.NDArray[np.float32]
    """1 / length of each vector, 0 where there is none."""
    float16: npt.NDArray[np.float16]
    coarse_codes: Bytes = field(repr=False)
    """uint8 (N, 152), as the coarse index has them."""


@dataclass(frozen=True)
class Segment:
    """A segment as it lies on the disk, mapped; made by `segment_files.undecidedsegment`."""

    folder: Path
    facts: Facts
    formats: Sequence[str]
    """Content types that `facts.format` names."""
    cameras: Sequence[str]
    """Names that `facts.camera` names."""
    tags: TagLists
    filenames: Ragged = field(repr=False)
    """uint8, UTF-8."""
    vectors: Mapping[SpaceId, MappedVectors]
    """Of every space that it was opened for."""
    newest: npt.NDArray[np.uint32] = field(repr=False)
    """Rows, the newest first, ties by id."""
    by_id: npt.NDArray[np.uint32] = field(repr=False)
    """Rows by rising id."""
    id_heads: npt.NDArray[np.uint64] = field(repr=False)
    """The first 8 bytes of each id as a number, in the order of `by_id`."""
    run_starts: npt.NDArray[np.int64] = field(repr=False)
    """Where each run of rows of one dataset and folder begins."""
    run_lengths: npt.NDArray[np.int64] = field(repr=False)
    number: Mapping[Label, int] = field(repr=False)
    """The place of each label in `tags.labels`."""

    def __len__(self) -> int:
        return len(self.facts)

    def carrying(self, labels: Sequence[Label], start: int, stop: int, *, every: bool) -> Mask:
        """Which of the rows from `start` to before `stop` carry one of these tags, or every one; without tags none."""
        numbers = [self.number[label] for label in labels if label in self.number]
        if not numbers or (every and len(numbers) < len(labels)):
            return np.zeros(stop - start, bool)
        frequent = [number for number in numbers if number < len(self.tags.bits)]
        masks = [self._by_bits(frequent, start, stop, every=every)] if frequent else []
        masks += [self._by_list(number, start, stop) for number in numbers if number >= len(self.tags.bits)]
        combine = np.logical_and if every else np.logical_or
        result = masks[0]
        for mask in masks[1:]:
            combine(result, mask, out=result)
        return result

    def _by_bits(self, numbers: Sequence[int], start: int, stop: int, *, every: bool) -> Mask:
        first = start // 64
        combine = np.bitwise_and if every else np.bitwise_or
        words = combine.reduce(self.tags.bits[numbers, first : -(-stop // 64)], axis=0)
        whole = np.unpackbits(words.view(np.uint8), count=stop - first * 64, bitorder="little")
        return whole[start - first * 64 :].view(bool)

    def _by_list(self, number: int, start: int, stop: int) -> Mask:
        rows = self.tags.rows[self.tags.starts[number] : self.tags.starts[number + 1]]
        first, last = np.searchsorted(rows, (start, stop))
        mask = np.zeros(stop - start, bool)
        mask[rows[first:last].astype(np.int64) - start] = True
        return mask

    @cached_property
    def label_numbers(self) -> Rows:
        """The number of each label among those of all segments that this process has: `EVERY_LABEL` has the names."""
        with LABELS_LOCK:
            return EVERY_LABEL.of(self.tags.labels)

    def rows_of(self, ids: Bytes) -> Rows:
        """Rows of these ids, uint8 (M, 16); those that are not here are left out, the others in no promised order."""
        return self.places_of(ids)[0]

    def places_of(self, ids: Bytes) -> tuple[Rows, Rows]:
        """Rows of these ids, uint8 (M, 16), that are here, and for each of them which of the ids it has."""
        high, low = halves(ids)
        place = np.searchsorted(self.id_heads, high)
        after = np.searchsorted(self.id_heads, high, side="right")
        end = after.copy()
        while len(undecided := np.flatnonzero(place < end)):  # ids of one millisecond begin alike: halve them
            middle = (place[undecided] + end[undecided]) // 2
            is_less = self._tails(middle) < low[undecided]
            place[undecided[is_less]] = middle[is_less] + 1
            end[undecided[~is_less]] = middle[~is_less]
        found = np.flatnonzero(place < after)
        found = found[self._tails(place[found]) == low[found]]
        return self.by_id[place[found]].astype(np.int64), found

    def _tails(self, places: Rows) -> npt.NDArray[np.uint64]:
        """The last 8 bytes of the ids at these places of `by_id`, as numbers."""
        return halves(self.facts.ids[self.by_id[places]])[1]

    def filename(self, row: int) -> str:
        """The name of a row's file."""
        start, end = self.filenames.starts[row : row + 2]
        return bytes(self.filenames.values[start:end]).decode()

    def block(self, rows: Rows) -> Block:
        """Everything of these rows, by number, in their order."""
        tags = Ragged(self.tags.row_starts, self.tags.row_labels)
        return Block(
            self.facts.take(rows),
            self.formats,
            self.cameras,
            self.filenames.take(rows),
            self.tags.labels,
            tags.take(rows),
            {
                space: Vectors(one.has[rows], one.coarse_codes[rows], one.fine[rows], one.float16[rows])
                for space, one in self.vectors.items()
            },
        )


def sorted_rows(facts: Facts) -> Rows:
    """The order of a segment's rows: by dataset, folder, time, id."""
    high, low = halves(facts.ids)
    dataset_high, dataset_low = halves(facts.dataset)
    return np.lexsort((low, high, facts.created, facts.folder, dataset_low, dataset_high))


def run_starts(facts: Facts) -> npt.NDArray[np.int64]:
    """Where each run of one dataset and folder begins."""
    if not len(facts):
        return np.zeros(0, np.int64)
    other = (np.diff(facts.folder) != 0) | (facts.dataset[1:] != facts.dataset[:-1]).any(axis=1)
    return np.concatenate([[0], np.flatnonzero(other) + 1]).astype(np.int64)


def newest_first(facts: Facts) -> npt.NDArray[np.uint32]:
    """Rows by falling time, ties by id."""
    high, low = halves(facts.ids)
    return np.lexsort((low, high, -facts.created)).astype(np.uint32)
