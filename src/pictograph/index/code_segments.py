"""Codes of images, and the nearest of them by an exhaustive scan. Pure: no database.

Every image has two. The coarse code is one bit a dimension, RaBitQ (arXiv:2405.12497): a rotated vector is kept as its
signs and two correction factors, and the query as 4-bit numbers, which estimates the distance far better than counting
equal signs. All of the scope's are scanned. The fine code is four bits a dimension, and is only looked at for the
shortlist that the coarse ones give. A `Segment` never changes; a `Held` is some segments with the watermark up to which
they are complete, replaced as a whole: readers need no lock.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import cache
from typing import Any, Final, TypeAlias
from uuid import UUID

import faiss
import numpy as np
import numpy.typing as npt

from pictograph.encode.protocol import FloatArray
from pictograph.index.candidates import ID_BYTES, Candidates, QueryKind, shortlist
from pictograph.types import DIMENSION, DatasetId

QUERY_BITS: Final = 4
SEED: Final = 7
COARSE_BYTES: Final = DIMENSION // 8 + 8
FINE_BYTES: Final = DIMENSION // 2
BYTES_PER_IMAGE: Final = COARSE_BYTES + FINE_BYTES + ID_BYTES
RANGE: Final = 2.5
"""Standard deviations around the mean that the 16 steps of a fine code cover."""
SIGN_ERROR: Final = math.pi / 2 - 1
"""Squared error of a vector known by its signs alone, as a share of its squared length: of a normal x, scaled so that
its product with the sign is right on average (the mean of |x| is sqrt(2 / pi))."""
SHARED_FROM: Final = 100_000
"""Codes from which two threads scan sooner than one: below, the scan takes 2 ms."""
BEST_SHARE: Final = 0.4
"""The part of the candidates that must be right: about as many as rows are asked for."""
MOST_LATE: Final = 0.01
DEEPER: Final = 4
"""How many times as long a shortlist becomes that turned out to be too short."""
MOST_LISTED: Final = 50_000
"""A shortlist of so many is not made longer: its fine codes take 29 MB."""
LEAST_SAMPLED: Final = 100
"""With fewer vectors nothing is known of how they lie: then they are taken to lie anywhere."""
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
    coarse: Bytes
    """uint8 (N, 152)."""
    fine: Bytes
    """uint8 (N, 576)."""

    def take(self, rows: npt.NDArray[Any]) -> Coded:
        """Those rows, by number or by mask."""
        return Coded(self.ids[rows], self.datasets[rows], self.folders[rows], self.coarse[rows], self.fine[rows])

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


@dataclass(frozen=True, slots=True)
class Query:
    """What is looked for, as the codes see it; vectors float32 (1, 1152)."""

    coarse: FloatArray
    fine: FloatArray


class Quantiser:
    """Makes the codes of one space, around the middle of its vectors. Thread-safe.

    sample: some of them, float32 (N, 1152), from which their middle and their spread are estimated.
    """

    def __init__(self, sample: FloatArray) -> None:
        if len(sample) < LEAST_SAMPLED:
            sample = anywhere()
        self._rotation = rotation()
        centre = sample.mean(axis=0)
        self._centre = self.rotate(centre[None])[0]
        around = self.rotate(sample - centre)
        variances, axes = spread(around)
        self._likely = linear(likely(variances, axes))
        self._template = self.empty_index()
        self._fine = fine_quantiser(around)

    def rotate(self, vectors: FloatArray) -> FloatArray:
        """Vectors as the codes see them: float32 (N, 1152)."""
        rotated: FloatArray = self._rotation.apply(np.ascontiguousarray(vectors, dtype=np.float32))
        return rotated

    def codes(self, vectors: FloatArray) -> tuple[Bytes, Bytes]:
        """Coarse, uint8 (N, 152), and fine, uint8 (N, 576), of float32 (N, 1152)."""
        rotated = self.rotate(vectors)
        coarse: Bytes = self._template.sa_encode(rotated)
        fine: Bytes = self._fine.sa_encode(rotated - self._centre)
        return coarse, fine

    def query(self, vector: FloatArray, kind: QueryKind) -> Query:
        """vector: float32 (1152,).

        Words point mostly where no picture is. For the ranking that part means nothing, but codes misjudge in
        proportion to the query's length: so it is left out (`likely`). Of a picture it would leave out what tells it
        from others.
        """
        fine = self.rotate(vector.reshape(1, -1))
        if kind == "text":
            return Query(self._centre + self._likely.apply(fine - self._centre), fine)
        return Query(fine, fine)

    def refined(self, query: Query, fine: Bytes, count: int) -> Numbers:
        """Which rows of `fine`, uint8 (N, 576), are nearest: `count` at most, best first."""
        if not len(fine):
            return np.zeros(0, np.int64)
        index = faiss.clone_index(self._fine)
        index.add_sa_codes(fine)
        _, rows = index.search(query.fine, min(count, len(fine)))
        return np.asarray(rows[0], np.int64)

    def empty_index(self) -> Any:
        """A faiss index that coarse codes of this quantiser can be added to."""
        index = faiss.IndexRaBitQ(DIMENSION, faiss.METRIC_L2)
        faiss.copy_array_to_vector(self._centre, index.center)
        index.is_trained = True
        index.qb = QUERY_BITS
        return index


def anywhere() -> FloatArray:
    """Vectors without any order, float32 (1000, 1152), of length 1."""
    vectors = np.random.default_rng(SEED).standard_normal((1000, DIMENSION), np.float32)
    unit: FloatArray = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return unit


def spread(around: FloatArray) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Variances, rising, float64 (1152,), along the axes that are the columns of float64 (1152, 1152).

    around: vectors about their middle, float32 (N, 1152). Their covariance is estimated as arXiv:0907.4698 has it
    (OAS): some thousand vectors are few for 1152 dimensions.
    """
    count, dimensions = around.shape
    covariance = (around.T @ around).astype(np.float64) / count
    trace, squared = float(np.trace(covariance)), float((covariance**2).sum())
    spherical = squared - trace**2 / dimensions
    share = ((1 - 2 / dimensions) * squared + trace**2) / ((count + 1 - 2 / dimensions) * spherical) if spherical else 1
    covariance *= 1 - min(1.0, share)
    covariance[np.diag_indices(dimensions)] += min(1.0, share) * trace / dimensions
    variances, axes = np.linalg.eigh(covariance)
    return np.maximum(variances, 1e-12), axes


def likely(variances: npt.NDArray[np.float64], axes: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """What turns a query into the one whose products with coarse codes are closest to its own with the vectors.

    Returns float64 (1152, 1152), symmetric. A coarse code is its vector plus an error alike in all directions, so the
    best linear estimate weighs each axis by its share of vector in vector and error (Wiener).
    """
    error = SIGN_ERROR * variances.mean()
    weighed: npt.NDArray[np.float64] = (axes * (variances / (variances + error))) @ axes.T
    return weighed


def linear(matrix: npt.NDArray[np.floating[Any]]) -> Any:
    """faiss's way to multiply rows by a matrix, (M, N): on one thread, which numpy does not promise."""
    transform = faiss.LinearTransform(matrix.shape[1], matrix.shape[0], False)
    faiss.copy_array_to_vector(np.ascontiguousarray(matrix, dtype=np.float32).ravel(), transform.A)
    transform.is_trained = True
    return transform


def fine_quantiser(around: FloatArray) -> Any:
    """A faiss index that makes fine codes of vectors about their middle, and compares them."""
    index = faiss.IndexScalarQuantizer(DIMENSION, faiss.ScalarQuantizer.QT_4bit, faiss.METRIC_INNER_PRODUCT)
    index.sq.rangestat, index.sq.rangestat_arg = faiss.ScalarQuantizer.RS_meanstd, RANGE
    index.train(around)
    return index


@dataclass(frozen=True, slots=True)
class Near:
    """What a segment has."""

    distances: FloatArray
    """Estimated, squared."""
    rows: Numbers
    """Rows of the segment."""
    in_scope: int
    """Codes that were compared."""


class Segment:
    """Some ten thousand codes, sorted by dataset and folder. Immutable."""

    def __init__(self, quantiser: Quantiser, rows: Coded) -> None:
        rows = rows.take(np.lexsort((rows.folders, rows.datasets)))
        self.ids = rows.ids
        self.fine = rows.fine
        self._index = quantiser.empty_index()
        self._index.add_sa_codes(rows.coarse)
        self._names, numbers = np.unique(rows.datasets, return_inverse=True)
        breaks = np.flatnonzero((np.diff(numbers) != 0) | (np.diff(rows.folders) != 0)) + 1
        self._starts = np.concatenate([[0], breaks]).astype(np.int64) if len(rows) else np.zeros(0, np.int64)
        self._lengths = np.diff(np.append(self._starts, len(rows)))
        self._run_datasets = numbers[self._starts]
        self._run_folders = rows.folders[self._starts]
        totals = np.bincount(self._run_datasets, weights=self._lengths, minlength=len(self._names))
        self.counts = {self._names[n : n + 1].tobytes(): int(total) for n, total in enumerate(totals)}
        """Codes of each dataset, by the bytes of its id."""

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def memory_bytes(self) -> int:
        return len(self) * BYTES_PER_IMAGE + self._starts.nbytes * 4

    def rows(self) -> Coded:
        """Everything in it, to make another one of."""
        size = len(self) * COARSE_BYTES
        coarse = faiss.rev_swig_ptr(self._index.codes.data(), size) if size else np.zeros(0, np.uint8)
        return Coded(
            self.ids,
            np.repeat(self._names[self._run_datasets], self._lengths),
            np.repeat(self._run_folders, self._lengths),
            coarse.reshape(-1, COARSE_BYTES).copy(),
            self.fine,
        )

    def nearest(self, query: FloatArray, scope: CodeScope, count: int) -> Near:
        """At most `count` images of the scope, by their coarse codes. query: float32 (1, 1152), as `Query.coarse`."""
        runs = self._runs_of(scope)
        in_scope = int(self._lengths[runs].sum())
        if in_scope == 0:
            return Near(np.zeros(0, np.float32), np.zeros(0, np.int64), 0)
        parameters = faiss.RaBitQSearchParameters()
        parameters.qb = QUERY_BITS
        selector = self._selector(runs)
        if selector is not None:
            parameters.sel = selector
        distances, rows = self._index.search(query, min(count, in_scope), params=parameters)
        found = rows[0] >= 0
        return Near(distances[0][found], rows[0][found], in_scope)

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
class Shortlist:
    """What the coarse codes lead to, in no order."""

    ids: Ids
    fine: Bytes
    """uint8 (N, 576)."""
    distances: FloatArray
    """By the coarse codes."""

    def has_late(self, best: Numbers) -> bool:
        """Whether some of the best rows, by their fine codes, are in the farther half by their coarse ones.

        Then others are likely to be farther still, and not on this list: the query is of words, or unlike the
        library's pictures as words are, a drawing among photographs perhaps.
        """
        late = int((self.distances[best] > np.median(self.distances)).sum())
        return late > MOST_LATE * len(best)


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
        return sum(segment.counts.get(dataset.bytes, 0) for segment in self.segments for dataset in datasets)

    def nearest(
        self, vector: FloatArray, scope: CodeScope, count: int, kind: QueryKind, helpers: Executor | None = None
    ) -> Candidates:
        """At most `count` images of the scope, best first, none twice. vector: float32 (1152,), made of a `kind`.

        helpers: scan some of the segments meanwhile, where there are many codes. A shortlist that turns out to be too
        short is made longer, until it is not.
        """
        in_scope, wanted = 0, shortlist(count, kind)
        ids, is_long_enough = np.zeros(0, "S16"), False
        while not is_long_enough:
            query = self.quantiser.query(vector, kind)
            found = self._scan(query, scope, wanted, helpers)
            in_scope = sum(near.in_scope for near in found)
            shortlisted = self._shortlisted(found, wanted)
            # Room for images that come twice: once where they are, once where they were.
            rows = self.quantiser.refined(query, shortlisted.fine, 2 * count)
            ids = without_repeats(shortlisted.ids[rows])[:count]
            is_long_enough = min(in_scope, MOST_LISTED) <= wanted or not shortlisted.has_late(
                rows[: int(BEST_SHARE * count)]
            )
            wanted, kind = DEEPER * wanted, "text"
        return Candidates(ids.tobytes(), self.watermark, self.era, in_scope, in_scope <= count)

    def _scan(self, query: Query, scope: CodeScope, wanted: int, helpers: Executor | None) -> list[Near]:
        def scan(segment: Segment) -> Near:
            return segment.nearest(query.coarse, scope, wanted)

        if helpers is None or self.rows < SHARED_FROM:
            return [scan(segment) for segment in self.segments]
        return shared(scan, self.segments, helpers)

    def _shortlisted(self, found: Sequence[Near], wanted: int) -> Shortlist:
        """The `wanted` nearest of all segments."""
        limit = np.inf
        every = np.concatenate([np.zeros(0, np.float32), *(near.distances for near in found)])
        if len(every) > wanted:
            limit = np.partition(every, wanted)[wanted]
        ids, fine, distances = [np.zeros(0, "S16")], [np.zeros((0, FINE_BYTES), np.uint8)], [every[:0]]
        for segment, near in zip(self.segments, found, strict=True):
            chosen = near.distances <= limit
            ids.append(segment.ids[near.rows[chosen]])
            fine.append(segment.fine[near.rows[chosen]])
            distances.append(near.distances[chosen])
        return Shortlist(np.concatenate(ids), np.concatenate(fine), np.concatenate(distances))


def shared(scan: Callable[[Segment], Near], segments: Sequence[Segment], helpers: Executor) -> list[Near]:
    """What scanning each segment gives: this thread scans those that no helper has begun when it comes to them."""
    begun = [helpers.submit(scan, segment) for segment in segments]
    found: list[Near | None] = [
        scan(segment) if task.cancel() else None for task, segment in zip(begun, segments, strict=True)
    ]
    return [near or task.result() for near, task in zip(found, begun, strict=True)]


def without_repeats(ids: Ids) -> Ids:
    """Each once, where it comes first."""
    _, first = np.unique(ids, return_index=True)
    return ids[np.sort(first)]
