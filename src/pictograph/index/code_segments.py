"""Codes of images, one bit a dimension, and the nearest of them by an exhaustive scan. Pure: no database.

RaBitQ (arXiv:2405.12497): a rotated vector is kept as its signs and two correction factors, and the query as 4-bit
numbers, which estimates the distance far better than counting equal signs. A `Segment` never changes; a `Held` is some
segments with the watermark up to which they are complete, replaced as a whole: readers need no lock.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Final, TypeAlias
from uuid import UUID

import faiss
import numpy as np
import numpy.typing as npt

from pictograph.encode.protocol import FloatArray
from pictograph.index.candidates import ID_BYTES, Candidates
from pictograph.types import DIMENSION, DatasetId

QUERY_BITS: Final = 4
SEED: Final = 7
Ids: TypeAlias = npt.NDArray[np.bytes_]
"""S16 (N,): 16 bytes of a UUID each. Compare them, but take single ones by `tobytes`: numpy cuts trailing zeros."""
Numbers: TypeAlias = npt.NDArray[np.int64]
Bytes: TypeAlias = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class CodeScope:
    """Which images a question is about."""

    datasets: Collection[DatasetId]
    folders: Sequence[int] | None = None
    """Ids of the folders; None for all of them."""


@dataclass(frozen=True, slots=True)
class Coded:
    """Images with their codes, as they come; row i of each array belongs to image i."""

    ids: Ids
    datasets: Ids
    folders: Numbers
    codes: Bytes
    """uint8 (N, code_bytes)."""

    def take(self, rows: npt.NDArray[Any]) -> Coded:
        """Those rows, by number or by mask."""
        return Coded(self.ids[rows], self.datasets[rows], self.folders[rows], self.codes[rows])

    def __len__(self) -> int:
        return len(self.ids)

    @classmethod
    def joined(cls, parts: Sequence[Coded]) -> Coded:
        """All of them, in the order given; at least one."""
        return cls(*(np.concatenate([getattr(part, name) for part in parts]) for name in cls.__slots__))


@cache
def rotation() -> Any:
    """The same one for every space and every process; finding it takes a good second."""
    matrix = faiss.RandomRotationMatrix(DIMENSION, DIMENSION)
    matrix.init(SEED)
    return matrix


class Quantiser:
    """Makes the codes of one space, around the middle of its vectors. Thread-safe.

    centre: float32 (1152,), the mean of the vectors, or about it.
    """

    def __init__(self, centre: FloatArray) -> None:
        self._rotation = rotation()
        self._centre = self.rotate(centre[None])[0]
        self._template = self.empty_index()
        self.code_bytes = int(self._template.code_size)

    def rotate(self, vectors: FloatArray) -> FloatArray:
        """Vectors, or queries, as the codes see them: float32 (N, 1152)."""
        rotated: FloatArray = self._rotation.apply(np.ascontiguousarray(vectors, dtype=np.float32))
        return rotated

    def codes(self, vectors: FloatArray) -> Bytes:
        """uint8 (N, code_bytes) of float32 (N, 1152)."""
        codes: Bytes = self._template.sa_encode(self.rotate(vectors))
        return codes

    def empty_index(self) -> Any:
        """A faiss index that codes of this quantiser can be added to."""
        index = faiss.IndexRaBitQ(DIMENSION, faiss.METRIC_L2)
        faiss.copy_array_to_vector(self._centre, index.center)
        index.is_trained = True
        index.qb = QUERY_BITS
        return index


class Segment:
    """Some ten thousand codes, sorted by dataset and folder. Immutable."""

    def __init__(self, quantiser: Quantiser, rows: Coded) -> None:
        rows = rows.take(np.lexsort((rows.folders, rows.datasets)))
        self.ids = rows.ids
        self._index = quantiser.empty_index()
        self._index.add_sa_codes(rows.codes)
        self._names, numbers = np.unique(rows.datasets, return_inverse=True)
        breaks = np.flatnonzero((np.diff(numbers) != 0) | (np.diff(rows.folders) != 0)) + 1
        self._starts = np.concatenate([[0], breaks]).astype(np.int64) if len(rows) else np.zeros(0, np.int64)
        self._lengths = np.diff(np.append(self._starts, len(rows)))
        self._run_datasets = numbers[self._starts]
        self._run_folders = rows.folders[self._starts]

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def memory_bytes(self) -> int:
        return int(len(self) * (self._index.code_size + ID_BYTES) + self._starts.nbytes * 4)

    def rows(self) -> Coded:
        """Everything in it, to make another one of."""
        size = len(self) * self._index.code_size
        codes = faiss.rev_swig_ptr(self._index.codes.data(), size).reshape(len(self), -1).copy() if size else None
        return Coded(
            self.ids,
            np.repeat(self._names[self._run_datasets], self._lengths),
            np.repeat(self._run_folders, self._lengths),
            codes if codes is not None else np.zeros((0, self._index.code_size), np.uint8),
        )

    def counts(self) -> dict[bytes, int]:
        """Codes of each dataset, by the bytes of its id."""
        totals = np.bincount(self._run_datasets, weights=self._lengths, minlength=len(self._names))
        return {self._names[n : n + 1].tobytes(): int(total) for n, total in enumerate(totals)}

    def nearest(self, query: FloatArray, scope: CodeScope, count: int) -> tuple[FloatArray, Ids, int]:
        """Estimated squared distances and ids of at most `count` images, nearest first; and how many are in scope.

        query: float32 (1, 1152), rotated.
        """
        runs = self._runs_of(scope)
        in_scope = int(self._lengths[runs].sum())
        if in_scope == 0:
            return np.zeros(0, np.float32), self.ids[:0], 0
        selector = self._selector(runs)
        parameters = faiss.RaBitQSearchParameters()
        parameters.qb = QUERY_BITS
        if selector is not None:
            parameters.sel = selector
        distances, rows = self._index.search(query, min(count, in_scope), params=parameters)
        found = rows[0] >= 0
        return distances[0][found], self.ids[rows[0][found]], in_scope

    def _runs_of(self, scope: CodeScope) -> npt.NDArray[np.bool_]:
        wanted = {dataset.bytes for dataset in scope.datasets}
        ours = np.array([self._names[n : n + 1].tobytes() in wanted for n in range(len(self._names))], bool)
        runs = ours[self._run_datasets]
        return runs if scope.folders is None else runs & np.isin(self._run_folders, scope.folders)

    def _selector(self, runs: npt.NDArray[np.bool_]) -> Any:
        """What keeps the scan inside the scope; None if that is everything. Skipping a row costs about 2 ns."""
        if runs.all():
            return None
        chosen = np.flatnonzero(runs)
        first, last = chosen[0], chosen[-1]
        if last - first + 1 == len(chosen):
            return faiss.IDSelectorRange(int(self._starts[first]), int(self._starts[last] + self._lengths[last]))
        return faiss.IDSelectorBitmap(np.packbits(np.repeat(runs, self._lengths), bitorder="little"))


@dataclass(frozen=True, slots=True)
class Held:
    """The codes of one space, complete up to a watermark."""

    quantiser: Quantiser
    segments: tuple[Segment, ...]
    watermark: int
    era: str
    left_out: frozenset[UUID]
    """Datasets that do not fit into the memory."""
    centred_on: int
    """How many images there were when the quantiser was made."""

    @property
    def rows(self) -> int:
        """Codes, those of deleted images included."""
        return sum(map(len, self.segments))

    @property
    def memory_bytes(self) -> int:
        return sum(segment.memory_bytes for segment in self.segments)

    def count(self, datasets: Collection[DatasetId]) -> int | None:
        """Codes of these datasets; None if one of them is left out."""
        if not self.left_out.isdisjoint(datasets):
            return None
        totals = [segment.counts() for segment in self.segments]
        return sum(total.get(dataset.bytes, 0) for total in totals for dataset in datasets)

    def nearest(self, vector: FloatArray, scope: CodeScope, count: int) -> Candidates:
        """At most `count` images of the scope, best first, none twice. vector: float32 (1152,)."""
        query = self.quantiser.rotate(vector.reshape(1, -1))
        found = [segment.nearest(query, scope, count) for segment in self.segments]
        in_scope = sum(scanned for _, _, scanned in found)
        ids = best([part for part, _, _ in found], [part for _, part, _ in found], count)
        return Candidates(ids.tobytes(), self.watermark, self.era, in_scope, in_scope <= count)


def best(distances: Sequence[FloatArray], ids: Sequence[Ids], count: int) -> Ids:
    """The ids of the `count` smallest distances, in order; an image that comes twice counts where it is nearest."""
    if not ids:
        return np.zeros(0, "S16")
    every, names = np.concatenate(distances), np.concatenate(ids)
    if len(every) > 2 * count:  # room for images that come twice: once where they are, once where they were
        near = np.argpartition(every, 2 * count)[: 2 * count]
        every, names = every[near], names[near]
    names = names[np.argsort(every, kind="stable")]
    _, first = np.unique(names, return_index=True)
    return names[np.sort(first)[:count]]
