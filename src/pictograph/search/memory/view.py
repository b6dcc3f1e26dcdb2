"""What a question sees of the index: some segments and their tombstones, complete up to a watermark. Pure: no database.

A `View` never changes; a follower replaces it as a whole, and a question keeps the one that it began with.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, TypeVar

import faiss
import numpy as np
import numpy.typing as npt

from pictograph.search.filter import Filter, Place
from pictograph.search.found import Listing, PlanName
from pictograph.search.memory.arrays import (
    FINE_BYTES,
    NO_IDS,
    NO_ROWS,
    Bytes,
    Distances,
    FloatArray,
    Mask,
    Rows,
    cosine_distances,
    halves,
    nearest_first,
    unit_of,
)
from pictograph.search.memory.masks import (
    Kept,
    Part,
    RowMask,
    count_of,
    meant_by,
    place_of,
    undecided,
    with_vectors,
    without,
)
from pictograph.search.memory.newest import newest_page
from pictograph.search.memory.ordering import in_order
from pictograph.search.memory.quantiser import QUERY_BITS, Kind, Quantiser, Query
from pictograph.search.memory.segment import EVERY_LABEL, Label, Ragged, Segment
from pictograph.search.memory.segment_files import exact_index
from pictograph.search.memory.values import VALUES, Values
from pictograph.store.pages import After, Beyond
from pictograph.types import DIMENSION, SpaceId

Result = TypeVar("Result")

NO_DISTANCES: Final[FloatArray] = np.zeros(0, np.float32)
NO_ENDS: Final = np.zeros(0, np.uint32)
NO_VECTORS: Final = np.zeros((0, DIMENSION), np.float16)

SLACK: Final = 64
"""Rows beyond the limit that a scan by product names at first."""
LENGTH_ERROR: Final = 2.0**-11
"""How far from 1 the length of a vector can be that was unit length before it was rounded to float16, at most."""
BEST_PERCENT: Final = 40
"""The part of the candidates that must be right: about as many as rows are wanted."""
MOST_LATE: Final = 0.01
DEEPER: Final = 4
"""How many times as long a shortlist becomes that turned out to be too short."""
MOST_LISTED: Final = 50_000
"""A shortlist of so many is not made longer: its fine codes take 29 MB."""
FEW_TO_COUNT: Final = 24
"""One row in so many is few: the tags of those are counted one by one."""
BITS_AT_ONCE: Final = 16
"""Bitmaps that are compared together: they stay in the processor's cache."""


@dataclass(frozen=True, slots=True)
class Nearest:
    """The nearest images of a mask."""

    ids: Bytes
    """uint8 (N, 16), nearest first, ties by id."""
    distances: Distances
    """From the float16 vectors."""


@dataclass(frozen=True, slots=True)
class View:
    """The index at one moment."""

    kept: tuple[Kept, ...]
    quantisers: Mapping[SpaceId, Quantiser]
    watermark: int
    """Transactions below it are all in the view; others may be."""
    era: str
    """Names the tables, and the run of the server, that the watermark belongs to."""

    @classmethod
    def of(
        cls,
        segments: Sequence[Segment],
        dead: Sequence[Mask],
        quantisers: Mapping[SpaceId, Quantiser],
        watermark: int,
        era: str,
    ) -> View:
        """dead: for each segment its tombstones, the rows that are gone or written again."""
        return cls(tuple(map(Kept.of, segments, dead)), dict(quantisers), watermark, era)

    @property
    def rows(self) -> int:
        """Rows, tombstones included."""
        return sum(len(kept.segment) for kept in self.kept)

    def covers(self, space: SpaceId) -> bool:
        """Whether this space's vectors are here."""
        return space in self.quantisers and all(space in kept.segment.vectors for kept in self.kept)

    def place(self, place: Place, folders: Sequence[int] | None, without: Bytes = NO_IDS) -> RowMask:
        """The rows of a place. folders: the ids of its folders, None for all; without: ids, uint8 (N, 16), of images
        that are not meant."""
        without = without[np.argsort(halves(without)[0])]  # finding ids that rise is three times as fast
        parts = (place_of(number, kept, place, folders, without) for number, kept in enumerate(self.kept))
        return [part for part in parts if part is not None]

    def meant(self, mask: RowMask, wanted: Filter) -> RowMask:
        """Those rows of a place that a filter means."""
        if wanted.conditions.are_none:
            return mask
        return lasting(meant_by(self._segment(part), part, wanted) for part in mask)

    def undecided(self, mask: RowMask, wanted: Filter) -> tuple[int, int]:
        """How many rows of a place a filter cannot judge, for want of facts; at how many of those nobody has looked."""
        found = [(self._segment(part), undecided(self._segment(part), part, wanted)) for part in mask]
        looked = sum(int(np.count_nonzero(segment.facts.looked[rows])) for segment, rows in found)
        images = sum(len(rows) for _, rows in found)
        return images, images - looked

    def with_vectors(self, mask: RowMask, space: SpaceId) -> RowMask:
        """Those of the rows that have a vector in this space."""
        return lasting(with_vectors(self._segment(part), part, space) for part in mask)

    def without(self, mask: RowMask, ids: Bytes) -> RowMask:
        """The rows but for those of these images, uint8 (N, 16)."""
        return lasting(without(self._segment(part), part, ids) for part in mask) if len(ids) else mask

    def count_within(
        self, mask: RowMask, space: SpaceId, vector: FloatArray, farthest: float, helpers: Executor | None = None
    ) -> Iterator[Distances]:
        """Of each part the distances of all rows that may be within `farthest`, by their vectors where that is close.

        What is certainly within has the distance 0 here, so that only what is close has to be read.
        """
        near = Near(space, vector, unit_of(vector), 0, "image", None)
        yield from in_parallel(helpers, lambda part: close_distances(self._segment(part), part, near, farthest), mask)

    def newest(self, mask: RowMask, count: int, after: After | None = None, skip: int = 0) -> tuple[Bytes, Rows]:
        """Ids, uint8 (N, 16), and times in microseconds since 1970, of the rows that are meant, the newest first.

        Ties by id; `count` at most, all of them behind the place `after` and the `skip` rows that follow it.
        """
        return newest_page([(self._segment(part), part) for part in mask], skip, count, after)

    def ordered(self, mask: RowMask, listing: Listing) -> tuple[Bytes, Values, int]:
        """Ids, uint8 (N, 16), and facts of the first rows that are meant; and how many rows have no known fact."""
        ids, values, unknown = [NO_IDS], [np.zeros(0)], 0
        for part in mask:
            facts = self._segment(part).facts
            ours = VALUES[listing.order_by](facts, slice(part.start, part.stop))[part.mask]
            known_by = facts.ids[part.rows]
            unknown += int(np.isnan(ours).sum())
            first = in_order(known_by, ours, listing.limit, listing.after, descending=listing.descending)
            ids.append(known_by[first])
            values.append(ours[first])
        return np.concatenate(ids), np.concatenate(values), unknown

    def sample(self, mask: RowMask, space: SpaceId, count: int) -> npt.NDArray[np.float16]:
        """Vectors, float16 (N, 1152), of `count` rows that are meant, or of all: those whose ids end lowest.

        The last four bytes of an id are random, also of ids that were made together, so the sample is fair, and changes
        only as the images do. All must have vectors in the space.
        """
        parts = [(self._segment(part), part.rows) for part in mask]
        ends = [segment.facts.ids[rows, 12:].view(">u4").reshape(-1) for segment, rows in parts]
        whole = np.concatenate([NO_ENDS, *ends])
        last = np.partition(whole, count - 1)[count - 1] if len(whole) > count else np.iinfo(np.uint32).max
        chosen = [
            segment.vectors[space].float16[rows[ours <= last]]
            for (segment, rows), ours in zip(parts, ends, strict=True)
        ]
        return np.concatenate([NO_VECTORS, *chosen])[:count]

    def facets(self, mask: RowMask, helpers: Executor | None = None) -> dict[Label, int]:
        """How many of the rows that are meant carry each tag; tags that none carries are left out."""
        counted = in_parallel(helpers, lambda part: tag_counts(self._segment(part), part), mask)
        numbers = [self._segment(part).label_numbers for part in mask]
        names = EVERY_LABEL.names
        total = np.zeros(len(names), np.int64)
        for ours, counts in zip(numbers, counted, strict=True):
            total[ours] += counts
        return {names[number]: int(total[number]) for number in np.flatnonzero(total).tolist()}

    def nearest(
        self,
        mask: RowMask,
        space: SpaceId,
        vector: FloatArray,
        limit: int,
        *,
        kind: Kind = "image",
        plan: PlanName = "exact",
        beyond: Beyond | None = None,
        helpers: Executor | None = None,
    ) -> Nearest:
        """The `limit` rows of the mask nearest to `vector`, float32 (1152,). All must have vectors in the space.

        plan: `exact` compares every vector; `beyond`, only rows behind this place, is only to be had of that. helpers:
        scan some of the segments meanwhile.
        """
        near = Near(space, vector, unit_of(vector), limit, kind, beyond)
        if plan == "quantized":
            return self._best(mask, near, self._quantized(mask, near, helpers))
        return self._exact(mask, near, helpers)

    def _segment(self, part: Part) -> Segment:
        return self.kept[part.number].segment

    def _best(self, mask: RowMask, near: Near, found: Sequence[Rows]) -> Nearest:
        """Of some rows of each part, by their vectors."""
        pairs = [(self._segment(part), rows) for part, rows in zip(mask, found, strict=True)]
        ids = np.concatenate([NO_IDS, *(segment.facts.ids[rows] for segment, rows in pairs)])
        distances = np.concatenate([[], *(distances_of(segment, rows, near) for segment, rows in pairs)])
        return Nearest(*nearest_first(ids, distances, near.limit, near.beyond))

    def _exact(self, mask: RowMask, near: Near, helpers: Executor | None) -> Nearest:
        """Every vector is compared by its product, and the best of those by their distances.

        The product differs from the cosine by the vector's length, at most LENGTH_ERROR: so more rows are fetched until
        the last of them is certainly behind.
        """
        if (beyond := near.beyond) is not None:
            mask = lasting(
                part.narrowed(~nearer(self._segment(part), part, near, 1 - beyond.distance)) for part in mask
            )
        wanted = near.limit + SLACK
        while True:
            found = in_parallel(helpers, partial(self._by_product, near, wanted), mask)
            products = np.concatenate([NO_DISTANCES, *(products for products, _ in found)])
            place = max(0, len(products) - wanted)
            least = float(np.partition(products, place)[place]) if len(products) else -1.0
            best = self._best(mask, near, [rows[products >= least] for products, rows in found])
            if count_of(mask) <= wanted or is_certain(best, near, least):
                return best
            wanted *= DEEPER

    def _by_product(self, near: Near, count: int, part: Part) -> tuple[FloatArray, Rows]:
        """Products and rows of the `count` of a part that have the highest."""
        vectors, selection = self._segment(part).vectors[near.space], Selection(part.mask)
        index = exact_index(vectors.float16[part.start : part.stop], vectors.coarse)
        parameters = selection.put_into(faiss.SearchParameters())
        products, rows = index.search(near.unit[None], min(count, part.count), params=parameters)
        found = rows[0] >= 0
        return products[0][found], rows[0][found] + part.start

    def _quantized(self, mask: RowMask, near: Near, helpers: Executor | None) -> list[Rows]:
        """The candidates of each part: coarse codes name a shortlist, fine codes the best of it."""
        quantiser = self.quantisers[near.space]
        query, wanted = quantiser.query(near.unit, near.kind), over_fetch(near.limit, near.kind)
        length, longest = shortlist(wanted, near.kind), min(MOST_LISTED, count_of(mask))
        while True:
            listed = self._shortlist(mask, near.space, query, length, helpers)
            chosen = quantiser.refine(query, listed.fine, wanted)
            if length >= longest or not listed.has_late(chosen[: -(-BEST_PERCENT * wanted // 100)]):
                break
            length *= DEEPER
        parts, rows = listed.parts[chosen], listed.rows[chosen]
        return [rows[parts == number] for number in range(len(mask))]

    def _shortlist(
        self, mask: RowMask, space: SpaceId, query: Query, length: int, helpers: Executor | None
    ) -> Shortlist:
        found = in_parallel(helpers, lambda part: coarse_rows(self._segment(part), part, space, query, length), mask)
        distances = np.concatenate([NO_DISTANCES, *(distances for distances, _ in found)])
        rows = np.concatenate([NO_ROWS, *(rows for _, rows in found)])
        parts = np.repeat(np.arange(len(found)), [len(rows) for _, rows in found])
        if len(rows) > length:
            best = np.argpartition(distances, length - 1)[:length]
            distances, rows, parts = distances[best], rows[best], parts[best]
        fine = np.empty((len(rows), FINE_BYTES), np.uint8)
        for number, part in enumerate(mask):
            ours = parts == number
            fine[ours] = self._segment(part).vectors[space].fine[rows[ours]]
        return Shortlist(parts, rows, fine, distances)


@dataclass(frozen=True, slots=True)
class Near:
    """What is looked for."""

    space: SpaceId
    vector: FloatArray
    """float32 (1152,), as it was asked."""
    unit: FloatArray
    """The same at length 1."""
    limit: int
    kind: Kind
    beyond: Beyond | None
    """Only rows behind this place."""


@dataclass(frozen=True, slots=True)
class Shortlist:
    """What the coarse codes lead to, in no order."""

    parts: Rows
    """The part of the mask that each row belongs to."""
    rows: Rows
    fine: Bytes
    distances: FloatArray
    """By the coarse codes."""

    def has_late(self, chosen: Rows) -> bool:
        """Whether some of the best rows, by their fine codes, are in the farther half by their coarse ones.

        Then others are likely to be farther still, and not on this list: the query is of words, or unlike the
        library's pictures as words are, a drawing among photographs perhaps.
        """
        late = int((self.distances[chosen] > np.median(self.distances)).sum()) if len(chosen) else 0
        return late > MOST_LATE * len(chosen)


def lasting(parts: Iterable[Part]) -> RowMask:
    """Without the parts of which no row is left."""
    return [part for part in parts if part.count]


def in_parallel(helpers: Executor | None, call: Callable[[Part], Result], parts: RowMask) -> list[Result]:
    """What `call` gives for each part; the helpers take about half of the rows, where that is worth their start."""
    if helpers is None or len(parts) < 2 or sum(len(part.mask) for part in parts) < SHARED_FROM:
        return [call(part) for part in parts]
    ours = len(parts) - len(parts) // 2
    others = [helpers.submit(call, part) for part in parts[ours:]]
    return [call(part) for part in parts[:ours]] + [other.result() for other in others]


SHARED_FROM: Final = 100_000
"""Rows from which two threads scan sooner than one."""


def tag_counts(segment: Segment, part: Part) -> npt.NDArray[np.int64]:
    """How many of the rows that are meant carry each of the segment's tags: int64 (labels,)."""
    tags = segment.tags
    count = len(tags.labels)
    if len(part.mask) * 4 < len(segment):  # row by row, where the range is a small part of the segment
        starts = tags.row_starts[part.start : part.stop + 1]
        labels = tags.row_labels[starts[0] : starts[-1]]
        if part.count < len(part.mask):
            labels = labels[np.repeat(part.mask, np.diff(starts))]
        return np.bincount(labels, minlength=count)
    if part.count * FEW_TO_COUNT < len(segment):
        return np.bincount(Ragged(tags.row_starts, tags.row_labels).take(part.rows).values, minlength=count)
    frequent = len(tags.bits)
    whole = np.zeros(tags.bits.shape[1] * 64, np.uint8)
    whole[part.start : part.stop] = part.mask
    bits = np.packbits(whole, bitorder="little").view(np.uint64)
    counts = np.zeros(count, np.int64)
    for first in range(0, frequent, BITS_AT_ONCE):
        both = tags.bits[first : first + BITS_AT_ONCE] & bits
        counts[first : first + len(both)] = np.bitwise_count(both).sum(axis=1, dtype=np.uint32)
    if count > frequent:
        starts = tags.starts[frequent:-1]
        carried = np.take(whole, tags.rows[starts[0] :], mode="clip")  # twice as fast as an index that is checked
        counts[frequent:] = np.add.reduceat(carried, starts - starts[0], dtype=np.int32)
    return counts


class Selection:
    """What keeps a scan by faiss to the rows that are meant; passing over another row takes about 2 ns."""

    def __init__(self, mask: Mask) -> None:
        """mask: of all rows that are scanned."""
        self._bits: Bytes | None = None
        self.selector: Any = None
        if not mask.all():
            self._bits = np.packbits(mask, bitorder="little")
            self.selector = faiss.IDSelectorBitmap(self._bits)

    def put_into(self, parameters: Any) -> Any:
        """The search parameters with the selection in them."""
        if self.selector is not None:
            parameters.sel = self.selector
        return parameters


def coarse_rows(segment: Segment, part: Part, space: SpaceId, query: Query, length: int) -> tuple[FloatArray, Rows]:
    """Estimated squared distances and rows of a segment's shortlist."""
    parameters = faiss.RaBitQSearchParameters()
    parameters.qb = QUERY_BITS
    whole = np.zeros(len(segment), bool)
    whole[part.start : part.stop] = part.mask
    selection = Selection(whole)
    distances, rows = segment.vectors[space].coarse.search(
        query.coarse, min(length, part.count), params=selection.put_into(parameters)
    )
    found = rows[0] >= 0
    return distances[0][found], rows[0][found]


def is_certain(best: Nearest, near: Near, least: float) -> bool:
    """Whether no row with a product of `least` or below can be among the nearest. best: of those at or above it."""
    if len(best.distances) < near.limit:
        return False
    return 1 - float(best.distances[-1]) > least + LENGTH_ERROR * abs(least) + 1e-6


def nearer(segment: Segment, part: Part, near: Near, cosine: float) -> Mask:
    """Rows of the part's range that are certainly nearer than this cosine."""
    radius = cosine + LENGTH_ERROR * abs(cosine) + 1e-6
    vectors, selection = segment.vectors[near.space], Selection(part.mask)
    index = exact_index(vectors.float16[part.start : part.stop], vectors.coarse)
    _, _, rows = index.range_search(near.unit[None], radius, params=selection.put_into(faiss.SearchParameters()))
    mask = np.zeros(len(part.mask), bool)
    mask[np.asarray(rows, np.int64)] = True
    return mask


def close_distances(segment: Segment, part: Part, near: Near, farthest: float) -> Distances:
    """Of rows that may be within a distance: 0 of those that certainly are, of the others as their vectors have it."""
    cosine = 1 - farthest
    error = LENGTH_ERROR * abs(cosine) + 1e-6
    vectors, selection = segment.vectors[near.space], Selection(part.mask)
    index = exact_index(vectors.float16[part.start : part.stop], vectors.coarse)
    parameters = selection.put_into(faiss.SearchParameters())
    _, products, rows = index.range_search(near.unit[None], cosine - error, params=parameters)
    unsure = np.asarray(rows, np.int64)[products <= cosine + error] + part.start
    return np.concatenate([np.zeros(len(rows) - len(unsure)), distances_of(segment, unsure, near)])


def distances_of(segment: Segment, rows: Rows, near: Near) -> Distances:
    """Cosine distances of rows: the same to the last bit, whatever is compared beside them."""
    return cosine_distances(segment.vectors[near.space].float16[rows], near.vector)


IMAGE_FACTOR: Final = 3
"""In halves of the limit."""
TEXT_FACTOR: Final = 2
EXTRA: Final = 50


def over_fetch(limit: int, kind: Kind) -> int:
    """How many candidates, ranked by their vectors, hold the `limit` nearest images: recall of 0.99 and more.

    Words lie far from every picture, so their neighbours are nearly equally far, and codes tell them apart less well.
    50 -> 125 (image), 150 (text); 500 -> 800, 1050. Source: `python -m benchmarks quantized`.
    """
    if kind == "text":
        return TEXT_FACTOR * limit + EXTRA
    return IMAGE_FACTOR * limit // 2 + EXTRA


def shortlist(count: int, kind: Kind) -> int:
    """How many coarse codes are looked at again by their fine codes, so that the best `count` are among them.

    125 -> 800 (image), 150 -> 4000 (text); 800 -> 3500, 1050 -> 13000. Source: `python -m benchmarks quantized`.
    """
    if kind == "text":
        return min(10 * count + 2500, 3 * count + 9850)
    return min(4 * count + 300, 2 * count + 2000)
