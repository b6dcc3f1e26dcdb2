"""Perceptual hashes within some bits of each other, among a million of them: multi-index hashing by faiss. Pure.

Source: M. Norouzi, A. Punjani, D. Fleet, "Fast Search in Hamming Space with Multi-Index Hashing" (arXiv:1307.2982).
Of two hashes that differ in at most r of 64 bits, some quarter of 16 bits differs in at most r / 4: nothing is missed.
"""

from __future__ import annotations

from typing import Any, Final

import faiss
import numpy as np

from pictograph.duplicates.rule import NO_PATTERN, Hashes
from pictograph.search.memory.arrays import NO_ROWS, Bytes, Rows
from pictograph.upload.perceptual_hash import mirrored

QUARTERS: Final = 4
QUARTER_BITS: Final = 16


class HashIndex:
    """Hashes that were added, each under a number of the caller's, to be found by others within `bits`."""

    def __init__(self, bits: int) -> None:
        self._bits = bits
        self._index: Any = faiss.IndexBinaryMultiHash(QUARTERS * QUARTER_BITS, QUARTERS, QUARTER_BITS)
        self._index.nflip = bits // QUARTERS
        self._numbers = np.zeros(1024, np.int64)
        self._count = 0

    def add(self, hashes: Hashes, numbers: Rows) -> None:
        """Those without a pattern are left out: they are equal to each other and say nothing."""
        telling = hashes != NO_PATTERN
        hashes, numbers = hashes[telling], numbers[telling]
        if not len(hashes):
            return
        self._index.add(as_codes(hashes))
        self._numbers = room_for(self._numbers, self._count, len(numbers))
        self._numbers[self._count : self._count + len(numbers)] = numbers
        self._count += len(numbers)

    def near(self, hashes: Hashes) -> tuple[Rows, Rows]:
        """Pairs: places in `hashes`, and numbers of what was added that is within the bits, mirrored or not."""
        telling = np.flatnonzero(hashes != NO_PATTERN)
        if not self._count or not len(telling):
            return NO_ROWS, NO_ROWS
        asked = hashes[telling]
        found = [self._within(codes) for codes in (asked, mirrored(asked))]
        places = np.concatenate([telling[rows] for rows, _ in found])
        return places, np.concatenate([numbers for _, numbers in found])

    def _within(self, hashes: Hashes) -> tuple[Rows, Rows]:
        limits, _, labels = self._index.range_search(as_codes(hashes), self._bits + 1)  # faiss means `<`
        places = np.repeat(np.arange(len(hashes)), np.diff(limits.astype(np.int64)))
        return places, self._numbers[labels]


def as_codes(hashes: Hashes) -> Bytes:
    """uint64 (N,) as uint8 (N, 8)."""
    return np.ascontiguousarray(hashes).view(np.uint8).reshape(-1, 8)


def room_for(array: Any, count: int, more: int) -> Any:
    """The array, or a copy twice as long until it has room for `more` rows behind the first `count`."""
    length = len(array)
    while length < count + more:
        length *= 2
    if length == len(array):
        return array
    longer = np.zeros((length, *array.shape[1:]), array.dtype)
    longer[:count] = array[:count]
    return longer
