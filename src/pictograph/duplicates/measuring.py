"""Pairs of images, measured: their hashes and the vectors, wherever those lie. Pure but for the reading of vectors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
import numpy.typing as npt

from pictograph.duplicates.rule import UNKNOWN_BITS, Hashes, Measured, hash_bits
from pictograph.search.memory.arrays import FloatArray, Mask, Rows

AT_ONCE: Final = 512
"""Pairs whose vectors are compared together: they stay in the processor's cache."""


class VectorRows(Protocol):
    """Where the vectors lie."""

    @property
    def has(self) -> Mask:
        """Which images have one."""

    def take(self, rows: Rows) -> FloatArray:
        """float32 (N, 1152), unit rows, of images that have one."""


@dataclass(frozen=True)
class Images:
    """N images with different bytes, in the order in which they came: an image is named by its place in it."""

    hashes: Hashes
    hashed: Mask
    """Which hashes are known."""
    vectors: VectorRows
    told_apart: npt.NDArray[np.int64]
    """int64 (M, 2): pairs, the smaller place first, that somebody said are no duplicates."""

    def __len__(self) -> int:
        return len(self.hashes)

    def measured(self, one: Rows, other: Rows) -> Measured:
        """Of pairs of places."""
        bits, turned = hash_bits(self.hashes[one], self.hashes[other])
        known = self.hashed[one] & self.hashed[other]
        return Measured(np.where(known, bits, UNKNOWN_BITS), turned & known, self._cosines(one, other))

    def may_pair(self, one: Rows, other: Rows) -> Mask:
        """False for pairs that somebody told apart."""
        if not len(self.told_apart):
            return np.ones(len(one), bool)
        keys = np.minimum(one, other) * len(self) + np.maximum(one, other)
        return ~np.isin(keys, self.told_apart[:, 0] * len(self) + self.told_apart[:, 1])

    def _cosines(self, one: Rows, other: Rows) -> FloatArray:
        cosines = np.full(len(one), np.nan, np.float32)
        both = np.flatnonzero(self.vectors.has[one] & self.vectors.has[other])
        for start in range(0, len(both), AT_ONCE):
            rows = both[start : start + AT_ONCE]
            cosines[rows] = np.einsum("ij,ij->i", self._rows(one[rows]), self._rows(other[rows]))
        return cosines

    def _rows(self, places: Rows) -> FloatArray:
        """As `vectors.take`; each row is read once, however often it stands in pairs."""
        unique, again = np.unique(places, return_inverse=True)
        return self.vectors.take(unique)[again]
