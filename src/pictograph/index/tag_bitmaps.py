"""Which images carry which tag, as one compressed bitmap of positions for each tag (Roaring, arXiv:1603.06549).

AND, OR, exact counts and the n-th row are all a fraction of a millisecond on a million images. Pure: no database here.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from pyroaring import BitMap

from pictograph.index.tag_order import Key, Order, Positions

MAX_LATE: Final = 50_000
"""An image that comes in before so many others is not worth moving them: everything is read again."""


EVERYWHERE: Final = 0
"""Stands for all datasets together; none has this number."""


FEW: Final = 16
"""So many times fewer than all members of a union are looked for in each of them: that is sooner done than uniting."""


QUICKLY_MOVED: Final = 200
"""Images behind one that comes in late, which are moved without anybody waiting long."""


class TooLate(Exception):
    """The bitmaps have to be made again."""


@dataclass(frozen=True, slots=True)
class ImageTags:
    """What is true of one image now."""

    key: Key
    dataset: int
    """Its dataset's number; 0 if it is archived or gone: then it has no folder and no tags either."""
    folder: int
    tags: Sequence[int]


@dataclass
class TagBitmaps:
    """Positions by tag, by dataset and by folder, of the images that can be found: an archived one is in none."""

    order: Order
    by_tag: dict[int, BitMap] = field(default_factory=dict)
    by_dataset: dict[int, BitMap] = field(default_factory=dict)
    by_folder: dict[int, BitMap] = field(default_factory=dict)
    tagged: BitMap = field(default_factory=BitMap)
    counters: dict[int, Counter[int]] = field(default_factory=lambda: {EVERYWHERE: Counter()})
    """Dataset -> tag -> images that carry it; EVERYWHERE has the sums."""

    @classmethod
    def of_order(cls, order: Order) -> TagBitmaps:
        """Without tags yet: see `add_tag`."""
        datasets, folders = order.dataset[: order.size], order.folder[: order.size]
        by_dataset, by_folder = bitmaps_by(datasets), bitmaps_by(folders)
        by_dataset.pop(0, None)
        by_folder.pop(0, None)
        return cls(order, by_dataset=by_dataset, by_folder=by_folder)

    def add_tag(self, tag: int, positions: Positions) -> None:
        self.by_tag[tag] = BitMap(array("I", positions.tobytes()))
        self.tagged |= self.by_tag[tag]
        numbers, images = np.unique(self.order.dataset[positions], return_counts=True)
        for number, count in zip(numbers.tolist(), images.tolist(), strict=True):
            self._count(number, tag, count)

    def matching(
        self, groups: Iterable[Sequence[int]], datasets: Iterable[int] | None, folders: Iterable[int] | None
    ) -> BitMap:
        """Images with a tag of every group, in one of the datasets and one of the folders; None: in any."""
        parts = [bitmaps_of(self.by_tag, group) for group in groups]
        if datasets is not None:
            parts.append(bitmaps_of(self.by_dataset, datasets))
        if folders is not None:
            parts.append(bitmaps_of(self.by_folder, folders))
        parts.sort(key=lambda bitmaps: sum(map(len, bitmaps)))
        found = united(parts[0])
        for bitmaps in parts[1:]:
            if len(found) * FEW < sum(map(len, bitmaps)):
                found = united([bitmap & found for bitmap in bitmaps])
            else:
                found = found & united(bitmaps)
        return found

    def page(self, found: BitMap, limit: int, offset: int, after: Key | None) -> bytes:
        """Ids of these images, 16 bytes each, the newest first."""
        older = len(found)
        if after is not None:
            place = self.order.find(after)
            older = found.rank(place - 1) if place else 0
        stop = older - offset
        if stop <= 0:
            return b""
        return self.order.ids(positions_of(found[max(0, stop - limit) : stop])[::-1])

    def ids(self, found: BitMap) -> bytes:
        """Ids of these images, 16 bytes each, in no order that is promised."""
        return self.order.ids(positions_of(found))

    def count_in(self, datasets: Sequence[int] | None) -> Mapping[int, int]:
        """How many images of these datasets carry each tag; None: of all."""
        if datasets is None:
            return self.counters[EVERYWHERE]
        if len(datasets) == 1:
            return self.counters.get(datasets[0], {})
        total: Counter[int] = Counter()
        for number in datasets:
            total.update(self.counters.get(number, {}))
        return total

    def count_among(self, tags: Iterable[int], found: BitMap) -> Mapping[int, int]:
        """How many of these images carry each of the tags."""
        return {tag: bitmap.intersection_cardinality(found) for tag in tags if (bitmap := self.by_tag.get(tag))}

    def is_quick(self, changed: Sequence[ImageTags]) -> bool:
        """Whether applying these moves few others."""
        first = min((image.key for image in changed if image.dataset and not self._knows(image.key)), default=None)
        return first is None or self.order.size - self.order.find(first) <= QUICKLY_MOVED

    def apply(self, changed: Sequence[ImageTags]) -> None:
        """Brings these images up to date; the same again changes nothing. Raises TooLate."""
        self._insert(sorted({image.key for image in changed if image.dataset and not self._knows(image.key)}))
        placed = [(self.order.find(image.key), image) for image in changed if self._knows(image.key)]
        self._forget([position for position, _ in placed])
        for position, image in placed:
            self._place(position, image)

    def _knows(self, key: Key) -> bool:
        return self.order.has(self.order.find(key), key)

    def _insert(self, keys: Sequence[Key]) -> None:
        if not keys:
            return
        start, end = self.order.find(keys[0]), self.order.size
        if end - start > MAX_LATE:
            raise TooLate
        datasets, folders = set(self.order.dataset[start:end].tolist()), set(self.order.folder[start:end].tolist())
        moved = self.order.insert(start, keys)
        if start < end:
            touched = [*self.by_tag.values(), self.tagged]
            touched += [self.by_dataset[number] for number in datasets - {0}]
            touched += [self.by_folder[folder] for folder in folders - {0}]
            for bitmap in touched:
                move(bitmap, start, end, moved)

    def _forget(self, positions: Sequence[int]) -> None:
        known = BitMap(positions)
        for position in positions:
            if dataset := int(self.order.dataset[position]):
                self.by_dataset[dataset].discard(position)
                self.by_folder[int(self.order.folder[position])].discard(position)
        if tagged := known & self.tagged:
            self.tagged -= tagged
            for tag, bitmap in self.by_tag.items():
                if bitmap.intersect(tagged):
                    for position in bitmap & tagged:
                        self._count(int(self.order.dataset[position]), tag, -1)
                    bitmap.difference_update(tagged)

    def _count(self, dataset: int, tag: int, images: int) -> None:
        self.counters.setdefault(dataset, Counter())[tag] += images
        self.counters[EVERYWHERE][tag] += images

    def _place(self, position: int, image: ImageTags) -> None:
        self.order.dataset[position] = image.dataset
        self.order.folder[position] = image.folder
        if image.dataset:
            self.by_dataset.setdefault(image.dataset, BitMap()).add(position)
            self.by_folder.setdefault(image.folder, BitMap()).add(position)
        for tag in image.tags:
            self.by_tag.setdefault(tag, BitMap()).add(position)
            self._count(image.dataset, tag, 1)
        if image.tags:
            self.tagged.add(position)


def bitmaps_of(bitmaps: dict[int, BitMap], names: Iterable[int]) -> list[BitMap]:
    return [bitmaps[name] for name in names if name in bitmaps]


def united(bitmaps: Sequence[BitMap]) -> BitMap:
    """Their union; not a copy if it is one alone."""
    if not bitmaps:
        return BitMap()
    return bitmaps[0] if len(bitmaps) == 1 else BitMap.union(*bitmaps)


def positions_of(bitmap: BitMap) -> Positions:
    """Rising."""
    return np.array(bitmap.to_array(), np.uint32)


def move(bitmap: BitMap, start: int, end: int, moved: Positions) -> None:
    """What was at `start` and behind is at `moved` now."""
    if bitmap and bitmap.max() >= start:
        behind = np.array(bitmap & BitMap(range(start, end)), np.int64)
        bitmap.remove_range(start, end)
        bitmap.update(moved[behind - start].tolist())


def bitmaps_by(names: npt.NDArray[np.integer[Any]]) -> dict[int, BitMap]:
    """Positions by the name that is at them."""
    order = np.argsort(names, kind="stable").astype(np.uint32)
    values, starts = np.unique(names[order], return_index=True)
    pieces = np.split(order, starts[1:]) if len(values) else []
    return {int(value): BitMap(array("I", piece.tobytes())) for value, piece in zip(values, pieces, strict=True)}
