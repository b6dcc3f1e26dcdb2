"""Vectors within a distance of each other, among a million of them, none missed: a bound in few dimensions, then exact.

Unit vectors of cosine c lie sqrt(2 (1 - c)) apart, and a projection never makes a distance longer. So all pairs are
compared in the few dimensions in which the library's vectors differ most, with the length of what is left out as one
dimension more (the triangle inequality of the rests), and only pairs that are near there are compared as a whole.
How many dimensions are worth it depends on the library and is measured on a sample of it.
"""

from __future__ import annotations

from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Final

import numpy as np

from pictograph.duplicates.hashes import room_for
from pictograph.search.memory.arrays import NO_ROWS, FloatArray, Rows

WIDTHS: Final = (32, 64, 96, 128, 192, 256, 384, 512, 768)
"""Numbers of dimensions that are tried on the sample."""
SAMPLED: Final = 2000
CANDIDATE_COST: Final = 1_000.0
EXACT_COST: Final = 150_000.0
"""What it costs to look at a pair that is near enough in few dimensions, and to compare it as a whole, which is mostly
the reading of two rows: in multiplications of the comparison of all pairs, which is as fast as a processor can be."""
SLACK: Final = 2e-3
"""Of squared distances, for what float16 and float32 round away."""
TILE: Final = 4096
"""Vectors that a block is compared with at once: the products stay in the processor's cache."""


@dataclass(frozen=True, slots=True)
class Projection:
    """To the dimensions in which a library's vectors differ most."""

    middle: FloatArray
    """float32 (D,)."""
    axes: FloatArray | None
    """float32 (D, d): orthonormal columns; None: all dimensions stay as they are."""

    @classmethod
    def fitted(cls, sample: FloatArray, least_cosine: float, cosine: float) -> Projection:
        """The cheapest one for pairs of at least the least cosine, of which those of `cosine` are compared as a whole.

        sample: float32 (N, D), unit rows, N >= 1. Few vectors are sooner compared than the axes are found.
        """
        if len(sample) < SAMPLED:
            return cls(np.zeros(sample.shape[1], np.float32), None)
        middle = sample.mean(axis=0)
        around = (sample - middle).astype(np.float64)
        _, axes = np.linalg.eigh(around.T @ around)
        axes = axes[:, ::-1].astype(np.float32)
        widths = [width for width in WIDTHS if width < axes.shape[0]]
        cost = {width: cls(middle, axes[:, :width])._cost(sample, least_cosine, cosine) for width in widths}
        best = min(cost, key=cost.__getitem__) if cost else axes.shape[0]
        return cls(middle, np.ascontiguousarray(axes[:, :best]))

    def _cost(self, sample: FloatArray, least_cosine: float, cosine: float) -> float:
        """Of a pair, on average, in multiplications."""
        projected = self.of(sample)
        distances = squared(projected, projected)
        candidates, compared = ((distances <= reach(one)).sum() - len(sample) for one in (least_cosine, cosine))
        pairs = max(1, len(sample) * (len(sample) - 1))
        return self.width + float(CANDIDATE_COST * candidates + EXACT_COST * compared) / pairs

    @property
    def width(self) -> int:
        """Dimensions of what `of` gives."""
        return len(self.middle) if self.axes is None else int(self.axes.shape[1]) + 1

    def of(self, vectors: FloatArray) -> FloatArray:
        """float32 (N, width) of float32 (N, D): no two are farther apart than the vectors."""
        if self.axes is None:
            return vectors
        around = vectors - self.middle
        near = around @ self.axes
        rest = np.einsum("ij,ij->i", around, around) - np.einsum("ij,ij->i", near, near)
        return np.column_stack([near, np.sqrt(np.maximum(rest, 0))]).astype(np.float32)


def reach(cosine: float) -> float:
    """The squared distance of unit vectors with this cosine, and a little more."""
    return 2 * (1 - cosine) + SLACK


def squared(one: FloatArray, other: FloatArray) -> FloatArray:
    """Squared distances of all rows of one to all of the other."""
    distances: FloatArray = (
        np.einsum("ij,ij->i", one, one)[:, None] + np.einsum("ij,ij->i", other, other) - 2 * one @ other.T
    )
    return distances


@dataclass(frozen=True, slots=True)
class Near:
    """Pairs that may be near enough."""

    places: Rows
    """Among what was asked."""
    numbers: Rows
    """Of what was added."""
    squared: FloatArray
    """Squared distances of the projections: no more than those of the vectors."""


NOTHING_NEAR: Final = Near(NO_ROWS, NO_ROWS, np.zeros(0, np.float32))


class VectorIndex:
    """Projected vectors that were added, each under a number of the caller's, to be found by others near them."""

    def __init__(self, width: int, cosine: float, helpers: Executor | None = None) -> None:
        """width: of the projections. helpers: compare some of them meanwhile, where that is worth it."""
        self._half_reach = reach(cosine) / 2
        self._helpers = helpers
        self._kept = np.zeros((1024, width + 1), np.float32)
        """Of each: the projection, and half of its squared length."""
        self._numbers = np.zeros(1024, np.int64)
        self._count = 0

    def add(self, projected: FloatArray, numbers: Rows) -> None:
        """projected: float32 (N, width)."""
        self._kept = room_for(self._kept, self._count, len(numbers))
        self._numbers = room_for(self._numbers, self._count, len(numbers))
        rows = slice(self._count, self._count + len(numbers))
        self._kept[rows, :-1] = projected
        self._kept[rows, -1] = half_lengths(projected)
        self._numbers[rows] = numbers
        self._count += len(numbers)

    def near(self, projected: FloatArray) -> Near:
        """What was added that may be near enough."""
        if not self._count or not len(projected):
            return NOTHING_NEAR
        # |a - b|^2 <= r  is  a.b - |b|^2 / 2 >= (|a|^2 - r) / 2: one product decides.
        asked = np.column_stack([projected, np.full(len(projected), -1, np.float32)])
        halves = half_lengths(projected).astype(np.float32)
        least = (halves - self._half_reach)[:, None]
        tiles = [slice(start, min(start + TILE, self._count)) for start in range(0, self._count, TILE)]

        def compare(tile: slice) -> Near:
            products = asked @ self._kept[tile].T
            close = products >= least
            rows = np.flatnonzero(close.any(axis=1))
            at, columns = np.nonzero(close[rows])
            places = rows[at]
            return Near(places, self._numbers[columns + tile.start], 2 * (halves[places] - products[places, columns]))

        each = map if self._helpers is None or len(tiles) < 4 else self._helpers.map
        found = list(each(compare, tiles))
        return Near(
            np.concatenate([one.places for one in found]),
            np.concatenate([one.numbers for one in found]),
            np.concatenate([one.squared for one in found]),
        )


def half_lengths(projected: FloatArray) -> FloatArray:
    """Half of the squared length of each row."""
    halves: FloatArray = np.einsum("ij,ij->i", projected, projected) / 2
    return halves
