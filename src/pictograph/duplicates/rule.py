"""When two images are near-duplicates: what is measured of a pair, and the one rule about it. Pure.

Two measures complement each other. The perceptual hash stays nearly the same under saving again, scaling and a change
of light, and, of a mirrored picture, is known from the hash itself. The vector stays near when a picture is cropped,
framed or written on, where hashes fail. A hash that nearly matches is believed if the vectors do not contradict it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from pictograph.search.memory.arrays import FloatArray, Mask, Rows
from pictograph.upload.perceptual_hash import mirrored

Hashes = npt.NDArray[np.uint64]
"""uint64 (N,): perceptual hashes."""

UNKNOWN_BITS: Final = 99
"""Stands for the distance of hashes that are not known, or that say nothing."""
NO_PATTERN: Final = np.uint64(0)
"""The hash of a picture without a pattern, a plain one: equal ones say nothing."""
UNKNOWN_COSINE: Final = -2.0
MOST_BITS: Final = 16
"""Hashes of unrelated pictures differ in 32 of 64 bits, and some by chance in as few as this."""
DEFAULT_BITS: Final = 10
DEFAULT_THRESHOLD: Final = 0.96
CONFIRMING: Final = 0.65
SURE_BITS: Final = 6
BOTH_BITS: Final = 20
BOTH_FACTOR: Final = 2.5
"""All six as `python -m benchmarks duplicates quality` shows what they are worth, with the offline encoder."""


@dataclass(frozen=True, slots=True)
class Rule:
    """Which pairs are near-duplicates."""

    bits: int
    """Hashes that differ in at most so many of their 64 bits match, if the vectors do not contradict."""
    confirming: float
    """Vectors of a smaller cosine contradict hashes that match."""
    sure_bits: int
    """Hashes that differ in at most so many bits match where a vector is missing."""
    cosine: float
    """Vectors of at least this cosine match, whatever the hashes."""
    both_bits: int
    both_cosine: float
    """Hashes that differ in at most so many bits match together with vectors of at least this cosine: what neither says
    alone, both say, since unrelated pictures that are near by the one measure are seldom near by the other."""

    @classmethod
    def of(cls, threshold: float, hash_distance: int, stretch: float = 1.0) -> Rule:
        """threshold: of similarities, `1 - stretch * (1 - cosine)`. The other numbers: docs/duplicates.md."""

        def cosine_of(similarity: float) -> float:
            return 1 - (1 - similarity) / stretch

        return cls(
            bits=hash_distance,
            confirming=cosine_of(CONFIRMING),
            sure_bits=min(hash_distance, SURE_BITS),
            cosine=cosine_of(threshold),
            both_bits=min(BOTH_BITS, 2 * hash_distance),
            both_cosine=cosine_of(1 - BOTH_FACTOR * (1 - threshold)),
        )

    @property
    def least_cosine(self) -> float:
        """Vectors of a smaller cosine say nothing for a pair."""
        return min(self.cosine, self.both_cosine)

    def holds(self, measured: Measured) -> Mask:
        """Which of the pairs are near-duplicates."""
        bits, cosines = measured.bits, np.nan_to_num(measured.cosines, nan=UNKNOWN_COSINE)
        unknown = cosines == UNKNOWN_COSINE
        by_hash = np.where(unknown, bits <= self.sure_bits, (bits <= self.bits) & (cosines >= self.confirming))
        by_both = (bits <= self.both_bits) & (cosines >= self.both_cosine)
        near: Mask = by_hash | (cosines >= self.cosine) | by_both
        return near


@dataclass(frozen=True, slots=True)
class Measured:
    """What is known of N pairs of images."""

    bits: npt.NDArray[np.int64]
    """In how many bits the hashes differ, mirrored or not; UNKNOWN_BITS without both."""
    mirrored: Mask
    """Whether the hash of the one is nearer to that of the other's mirror image."""
    cosines: FloatArray
    """Of the vectors; NaN without both."""

    def take(self, pairs: Rows | Mask) -> Measured:
        """Those pairs."""
        return Measured(self.bits[pairs], self.mirrored[pairs], self.cosines[pairs])

    @classmethod
    def joined(cls, parts: list[Measured]) -> Measured:
        """All of them, in the order given; at least one."""
        return cls(
            np.concatenate([part.bits for part in parts]),
            np.concatenate([part.mirrored for part in parts]),
            np.concatenate([part.cosines for part in parts]),
        )


def hash_bits(one: Hashes, other: Hashes) -> tuple[npt.NDArray[np.int64], Mask]:
    """In how many bits hashes differ, the smaller of both ways to look at the other; and whether that is mirrored.

    Arrays that broadcast. UNKNOWN_BITS where one of the two has no pattern.
    """
    straight = np.bitwise_count(one ^ other).astype(np.int64)
    turned = np.bitwise_count(one ^ mirrored(other)).astype(np.int64)
    silent = (one == NO_PATTERN) | (other == NO_PATTERN)
    is_turned: Mask = (turned < straight) & ~silent
    return np.where(silent, UNKNOWN_BITS, np.minimum(straight, turned)), is_turned
