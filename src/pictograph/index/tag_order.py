"""The order of by_tag as positions: every image has one, and they rise with (created_at, id falling).

So the newest image has the highest position, and new images are appended. Kept as arrays, 36 bytes an image.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

Positions: TypeAlias = npt.NDArray[np.uint32]

IMAGE: Final = np.dtype([("time", ">i8"), ("high", ">u8"), ("low", ">u8"), ("folder", ">i8")])
"""As the database sends it: microseconds, the two halves of the id, the folder; 32 bytes."""
ID: Final = np.dtype([("high", ">u8"), ("low", ">u8")])
ALL_BITS: Final = 2**64 - 1
SPARE: Final = 65_536


class Key(NamedTuple):
    """Where an image is in the order: `time` in microseconds since 2000, and the id's bits, inverted, for it falls."""

    time: int
    high: int
    low: int

    @classmethod
    def of(cls, time: int, image: bytes) -> Key:
        return cls(time, ALL_BITS - int.from_bytes(image[:8], "big"), ALL_BITS - int.from_bytes(image[8:], "big"))

    @property
    def image(self) -> bytes:
        """The 16 bytes of its id."""
        return (ALL_BITS - self.high).to_bytes(8, "big") + (ALL_BITS - self.low).to_bytes(8, "big")


class Order:
    """Keys by position, and the dataset (its number; 0 for none) and folder of each."""

    def __init__(self, images: npt.NDArray[Any], datasets: npt.NDArray[Any]) -> None:
        """images: of dtype IMAGE, in any order; datasets: the number of each one's dataset."""
        high, low = ~images["high"].astype(np.uint64), ~images["low"].astype(np.uint64)
        order = np.lexsort((low, high, images["time"]))
        self.size = len(images)
        self._time = images["time"][order].astype(np.int64)
        self._high = high[order]
        self._low = low[order]
        self.dataset = datasets[order].astype(np.int32)
        self.folder = images["folder"][order].astype(np.int64)

    def key(self, position: int) -> Key:
        return Key(int(self._time[position]), int(self._high[position]), int(self._low[position]))

    def ids(self, positions: Positions) -> bytes:
        """The ids of the images there, 16 bytes each, strung together in the order given."""
        ids = np.empty(len(positions), ID)
        ids["high"], ids["low"] = ~self._high[positions], ~self._low[positions]
        return ids.tobytes()

    def find(self, key: Key) -> int:
        """The first position that is not before the key: the image's own, if it has one."""
        start = int(np.searchsorted(self._time[: self.size], key.time, "left"))
        stop = int(np.searchsorted(self._time[: self.size], key.time, "right"))
        while start < stop:  # images of one moment; a bulk load may have a million
            middle = (start + stop) // 2
            if self.key(middle) < key:
                start = middle + 1
            else:
                stop = middle
        return start

    def has(self, position: int, key: Key) -> bool:
        return position < self.size and self.key(position) == key

    def insert(self, start: int, keys: Sequence[Key]) -> Positions:
        """Makes room for keys, sorted, none of which is before position `start`, nor there already.

        Returns the new position of each image that was at `start` or behind.
        """
        old = [self.key(position) for position in range(start, self.size)]
        merged = sorted([*((key, number) for number, key in enumerate(old)), *((key, -1) for key in keys)])
        numbers = np.array([number for _, number in merged], np.int64)
        moved = np.flatnonzero(numbers >= 0)
        datasets, folders = self.dataset[start : self.size].copy(), self.folder[start : self.size].copy()
        self._reserve(start + len(merged))
        stop = self.size = start + len(merged)
        self._time[start:stop] = [key.time for key, _ in merged]
        self._high[start:stop] = np.array([key.high for key, _ in merged], np.uint64)
        self._low[start:stop] = np.array([key.low for key, _ in merged], np.uint64)
        self.dataset[start:stop] = 0
        self.folder[start:stop] = 0
        self.dataset[start:stop][moved] = datasets
        self.folder[start:stop][moved] = folders
        return (start + moved).astype(np.uint32)

    def _reserve(self, size: int) -> None:
        """Arrays grow by a quarter at a time."""
        if size > len(self._time):
            more = size - len(self._time) + size // 4 + SPARE
            for name in ("_time", "_high", "_low", "dataset", "folder"):
                array = getattr(self, name)
                setattr(self, name, np.concatenate([array, np.zeros(more, array.dtype)]))


class Places:
    """Finds the positions of many ids at once, while the order stands still."""

    def __init__(self, order: Order) -> None:
        self._order = order
        hashes = mixed(~order._high[: order.size], ~order._low[: order.size])
        self._positions = np.argsort(hashes, kind="stable")
        self._hashes = hashes[self._positions]

    def of(self, images: bytes) -> Positions:
        """Rising positions of images whose ids (16 bytes each) are strung together. Raises KeyError if one has none."""
        ids = np.frombuffer(images, ID)
        high, low = ids["high"].astype(np.uint64), ids["low"].astype(np.uint64)
        found = np.searchsorted(self._hashes, mixed(high, low))
        positions = self._positions[np.minimum(found, len(self._positions) - 1)]
        wrong = (self._order._high[positions] != ~high) | (self._order._low[positions] != ~low)
        if wrong.any():  # two of a million ids share a hash once in ten million libraries
            raise KeyError(f"{int(wrong.sum())} image ids have no position of their own")
        return np.sort(positions).astype(np.uint32)


def mixed(high: npt.NDArray[np.uint64], low: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """64 bits of an id that spread well: the high half of a UUIDv7 is its time."""
    return (high * np.uint64(0x9E3779B97F4A7C15)) ^ low
