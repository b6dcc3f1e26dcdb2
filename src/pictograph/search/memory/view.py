"""What a question sees of the index: some segments and their tombstones, complete up to a watermark. Pure: no database.

A `View` never changes; a follower replaces it as a whole, and a question keeps the one that it began with.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal, TypeAlias

import faiss
import numpy as np
import numpy.typing as npt

from pictograph.search.filter import Filter
from pictograph.search.memory.quantiser import QUERY_BITS, Bytes, FloatArray, Kind, Quantiser, Query
from pictograph.search.memory.segment import Label, Mask, Rows, Segment, as_void, halves
from pictograph.store.pages import After, Beyond
from pictograph.types import ImageId, ImageState, SpaceId, TagCategory

STATES: Final = tuple(ImageState)
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND: Final = timedelta(microseconds=1)
RowMask: TypeAlias = Sequence[Mask]
"""For each segment of a view, which of its rows are meant."""
PlanName: TypeAlias = Literal["exact", "quantized"]

EXACT_UP_TO: Final = 6000
"""Vectors that are compared one by one sooner than their codes lead to the best: about 3 ms."""
BEST_SHARE: Final = 0.4
"""The part of the candidates that must be right: about as many as rows are asked for."""
MOST_LATE: Final = 0.01
DEEPER: Final = 4
"""How many times as long a shortlist becomes that turned out to be too short."""
MOST_LISTED: Final = 50_000
"""A shortlist of so many is not made longer: its fine codes take 29 MB."""
FEW: Final = 64
"""One row in so many is few: those are looked up one by one."""
BLOCK: Final = 8192
"""Rows, the newest first, that are looked at together."""


@dataclass(frozen=True, slots=True)
class Nearest:
    """The nearest images of a mask."""

    ids: Bytes
    """uint8 (N, 16), nearest first, ties by id."""
    distances: npt.NDArray[np.float64]
    """Cosine distance of each, from the float16 vectors."""
    plan: PlanName
    scanned: int
    """Vectors or codes that were compared."""


@dataclass(frozen=True, slots=True)
class View:
    """The index at one moment."""

    segments: tuple[Segment, ...]
    dead: tuple[Mask, ...]
    """For each segment, the rows that are gone, or written again in a later segment."""
    quantisers: dict[SpaceId, Quantiser]
    watermark: int
    """Transactions below it are all in the view; others may be."""
    identity: str
    """Names the tables that the watermark belongs to."""

    @property
    def rows(self) -> int:
        """Rows, tombstones included."""
        return sum(map(len, self.segments))

    def covers(self, space: SpaceId) -> bool:
        """Whether this space's vectors are here."""
        return space in self.quantisers and all(space in segment.vectors for segment in self.segments)

    def mask(self, wanted: Filter, folders: Sequence[int] | None, without: Sequence[ImageId] = ()) -> RowMask:
        """The rows that a filter means. folders: ids of its folders, None for all; without: images that are not meant."""
        ids = np.frombuffer(b"".join(image.bytes for image in without), np.uint8).reshape(-1, 16)
        masks = []
        for segment, dead in zip(self.segments, self.dead, strict=True):
            mask = segment_mask(segment, wanted, folders) & ~dead
            if len(ids):
                mask[segment.rows_of(ids)] = False
            masks.append(mask)
        return masks

    def count(self, mask: RowMask) -> int:
        """How many rows are meant."""
        return sum(int(np.count_nonzero(part)) for part in mask)

    def with_vectors(self, mask: RowMask, space: SpaceId) -> RowMask:
        """Those of the rows that have a vector in this space."""
        return [part & segment.vectors[space].has for part, segment in zip(mask, self.segments, strict=True)]

    def newest(self, mask: RowMask, limit: int, offset: int = 0, after: After | None = None) -> Bytes:
        """Ids, uint8 (N, 16), of the rows that are meant, the newest first, ties by id."""
        parts = [
            newest_rows(segment, part, limit + offset, after) for segment, part in zip(self.segments, mask, strict=True)
        ]
        ids = np.concatenate([s.facts.ids[rows] for s, rows in zip(self.segments, parts, strict=True)] or [NO_IDS])
        created = np.concatenate([s.facts.created[rows] for s, rows in zip(self.segments, parts, strict=True)] or [[]])
        high, low = halves(ids)
        order = np.lexsort((low, high, -np.asarray(created, np.int64)))[offset : offset + limit]
        chosen: Bytes = ids[order]
        return chosen

    def facets(self, mask: RowMask) -> dict[Label, int]:
        """How many of the rows that are meant carry each tag; tags that none carries are left out."""
        total: dict[Label, int] = {}
        for segment, part in zip(self.segments, mask, strict=True):
            counts = tag_counts(segment, part)
            for number in np.flatnonzero(counts).tolist():
                label = segment.tags.labels[number]
                total[label] = total.get(label, 0) + int(counts[number])
        return total

    def nearest(
        self,
        mask: RowMask,
        space: SpaceId,
        vector: FloatArray,
        limit: int,
        *,
        kind: Kind = "image",
        exact: bool = False,
        beyond: Beyond | None = None,
        helpers: Executor | None = None,
    ) -> Nearest:
        """The `limit` rows of the mask nearest to `vector`, float32 (1152,). They must have vectors in the space.

        exact: every vector is compared. beyond: only rows behind this place, which takes comparing every vector too.
        helpers: scan some of the segments meanwhile.
        """
        count = self.count(mask)
        unit = vector / max(float(np.linalg.norm(vector)), 1e-12)
        if exact or beyond is not None or count <= EXACT_UP_TO:
            plan: PlanName = "exact"
            found = self._scan(mask, space, unit, limit, beyond, helpers)
        else:
            plan = "quantized"
            found = self._quantized(mask, space, unit, limit, count, kind, helpers)
        ids, distances = best(self.segments, space, found, unit, limit, beyond)
        return Nearest(ids, distances, plan, count)

    def _scan(
        self,
        mask: RowMask,
        space: SpaceId,
        unit: FloatArray,
        limit: int,
        beyond: Beyond | None,
        helpers: Executor | None,
    ) -> list[Rows]:
        """The nearest rows of each segment by comparing every vector."""

        def scan(number: int) -> Rows:
            return exact_rows(self.segments[number], space, mask[number], unit, limit, beyond)

        return in_parallel(helpers, scan, len(self.segments))

    def _quantized(
        self,
        mask: RowMask,
        space: SpaceId,
        unit: FloatArray,
        limit: int,
        count: int,
        kind: Kind,
        helpers: Executor | None,
    ) -> list[Rows]:
        """The candidates of each segment: coarse codes name a shortlist, fine codes the best of it."""
        quantiser = self.quantisers[space]
        query, wanted = quantiser.query(unit, kind), over_fetch(limit, kind)
        length = shortlist(wanted, kind)
        while True:
            listed = self._shortlist(mask, space, query, length, helpers)
            chosen = quantiser.refine(query, listed.fine, wanted)
            if length >= min(MOST_LISTED, count) or not listed.has_late(chosen[: math_ceil(BEST_SHARE * wanted)]):
                break
            length *= DEEPER
        segments, rows = listed.segments[chosen], listed.rows[chosen]
        return [rows[segments == number] for number in range(len(self.segments))]

    def _shortlist(
        self, mask: RowMask, space: SpaceId, query: Query, length: int, helpers: Executor | None
    ) -> Shortlist:
        def scan(number: int) -> tuple[FloatArray, Rows]:
            return coarse_rows(self.segments[number], space, mask[number], query, length)

        parts = in_parallel(helpers, scan, len(self.segments))
        distances = np.concatenate([distances for distances, _ in parts])
        rows = np.concatenate([rows for _, rows in parts])
        segments = np.repeat(np.arange(len(parts)), [len(rows) for _, rows in parts])
        if len(rows) > length:
            kept = np.argpartition(distances, length - 1)[:length]
            distances, rows, segments = distances[kept], rows[kept], segments[kept]
        fine = np.empty((len(rows), self.segments[0].vectors[space].fine.shape[1]), np.uint8)
        for number, segment in enumerate(self.segments):
            ours = segments == number
            fine[ours] = segment.vectors[space].fine[rows[ours]]
        return Shortlist(segments, rows, fine, distances)


@dataclass(frozen=True, slots=True)
class Shortlist:
    """What the coarse codes lead to, in no order."""

    segments: npt.NDArray[np.int64]
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


NO_IDS: Final = np.zeros((0, 16), np.uint8)


def math_ceil(number: float) -> int:
    return int(-(-number // 1))


def in_parallel(helpers: Executor | None, call: Any, count: int) -> list[Any]:
    """call(0), ... call(count - 1), the later ones by `helpers` meanwhile."""
    if helpers is None or count < 2:
        return [call(number) for number in range(count)]
    ours = count - count // 2
    others = [helpers.submit(call, number) for number in range(ours, count)]
    return [call(number) for number in range(ours)] + [other.result() for other in others]


def segment_mask(segment: Segment, wanted: Filter, folders: Sequence[int] | None) -> Mask:
    """The segment's rows that a filter means."""
    facts = segment.facts
    if wanted.matches_nothing:
        return np.zeros(len(segment), bool)
    place = segment.in_folders([dataset.bytes for dataset in wanted.datasets], folders)
    mask = np.ones(len(segment), bool) if place is None else place
    if wanted.archived is not None:
        mask &= facts.archived if wanted.archived else ~facts.archived
    if wanted.states is not None:
        mask &= np.isin(facts.state, [STATES.index(state) for state in wanted.states])
    if wanted.created_from is not None:
        mask &= facts.created >= (wanted.created_from - EPOCH) // MICROSECOND
    if wanted.created_before is not None:
        mask &= facts.created < (wanted.created_before - EPOCH) // MICROSECOND
    for category, labels in wanted.tags.items():
        mask &= carrying(segment, category, labels, every=wanted.match == "all")
    for category, labels in wanted.without_tags.items():
        mask &= ~carrying(segment, category, labels, every=False)
    return mask


def carrying(segment: Segment, category: TagCategory, labels: Sequence[str], *, every: bool) -> Mask:
    """Rows that carry one of these tags, or every one."""
    result: Mask | None = None
    for label in labels:
        mask = np.zeros(len(segment), bool)
        mask[segment.carrying((category, label))] = True
        if result is None:
            result = mask
        elif every:
            result &= mask
        else:
            result |= mask
    return np.zeros(len(segment), bool) if result is None else result


def newest_rows(segment: Segment, mask: Mask, count: int, after: After | None) -> Rows:
    """At most `count` of the rows that are meant, the newest first. after: only those behind this place."""
    meant = int(np.count_nonzero(mask))
    facts = segment.facts
    if after is not None:
        time = (after.created_at - EPOCH) // MICROSECOND
        mask = mask & (facts.created <= time)
        same = np.flatnonzero(mask & (facts.created == time))
        if len(same):
            ids = as_void(facts.ids[same])
            mask[same[ids <= as_void(np.frombuffer(after.id.bytes, np.uint8).reshape(1, 16))]] = False
    if meant * FEW < len(segment):
        rows = np.flatnonzero(mask)
        high, low = halves(facts.ids[rows])
        return rows[np.lexsort((low, high, -facts.created[rows]))[:count]]
    found: list[npt.NDArray[np.uint32]] = []
    total = 0
    for start in range(0, len(segment), BLOCK):
        block = segment.newest[start : start + BLOCK]
        hits = block[mask[block]]
        found.append(hits)
        total += len(hits)
        if total >= count:
            break
    return np.concatenate(found or [np.zeros(0, np.uint32)])[:count].astype(np.int64)


def tag_counts(segment: Segment, mask: Mask) -> npt.NDArray[np.int64]:
    """How many of the rows that are meant carry each of the segment's tags."""
    starts, rows = segment.tags.starts, segment.tags.rows
    running = np.concatenate([[0], np.cumsum(mask[rows], dtype=np.int64)])
    counts: npt.NDArray[np.int64] = running[starts[1:]] - running[starts[:-1]]
    return counts


def selector_of(mask: Mask) -> Any:
    """What keeps a scan to the rows that are meant; skipping a row takes about 2 ns."""
    rows = np.flatnonzero(mask)
    if len(rows) == len(mask):
        return None
    first, last = int(rows[0]), int(rows[-1])
    if last - first + 1 == len(rows):
        return faiss.IDSelectorRange(first, last + 1)
    return faiss.IDSelectorBitmap(np.packbits(mask, bitorder="little"))


def coarse_rows(segment: Segment, space: SpaceId, mask: Mask, query: Query, length: int) -> tuple[FloatArray, Rows]:
    """Estimated squared distances and rows of a segment's shortlist."""
    count = int(np.count_nonzero(mask))
    if not count:
        return np.zeros(0, np.float32), np.zeros(0, np.int64)
    parameters = faiss.RaBitQSearchParameters()
    parameters.qb = QUERY_BITS
    selector = selector_of(mask)
    if selector is not None:
        parameters.sel = selector
    distances, rows = segment.vectors[space].coarse.search(query.coarse, min(length, count), params=parameters)
    found = rows[0] >= 0
    return distances[0][found], rows[0][found]


def exact_rows(
    segment: Segment, space: SpaceId, mask: Mask, unit: FloatArray, limit: int, beyond: Beyond | None
) -> Rows:
    """A segment's rows among which the `limit` nearest are, by comparing every float16 vector."""
    count = int(np.count_nonzero(mask))
    if not count:
        return np.zeros(0, np.int64)
    if beyond is not None:
        return beyond_rows(segment, space, mask, unit, limit, beyond)
    parameters = faiss.SearchParameters()
    selector = selector_of(mask)
    if selector is not None:
        parameters.sel = selector
    _, rows = segment.vectors[space].exact.search(unit[None], min(limit + SLACK, count), params=parameters)
    return np.asarray(rows[0][rows[0] >= 0], np.int64)


SLACK: Final = 32
"""Rows beyond the limit: the scan ranks by product, and only these by cosine and id, which differ by 1e-4 at most."""


def beyond_rows(segment: Segment, space: SpaceId, mask: Mask, unit: FloatArray, limit: int, beyond: Beyond) -> Rows:
    """A segment's next rows behind a place."""
    rows = np.flatnonzero(mask)
    distances = distances_of(segment, space, rows, unit)
    place = as_void(np.frombuffer(beyond.id.bytes, np.uint8).reshape(1, 16))
    ids = as_void(segment.facts.ids[rows])
    behind = (distances > beyond.distance) | ((distances == beyond.distance) & (ids > place))
    rows, distances = rows[behind], distances[behind]
    if len(rows) > limit:
        kept = np.argpartition(distances, limit - 1)
        edge = distances[kept[limit - 1]]
        rows = rows[distances <= edge]
    return rows


def distances_of(segment: Segment, space: SpaceId, rows: Rows, unit: FloatArray) -> npt.NDArray[np.float64]:
    """Cosine distances of rows, float64 (N,): the same to the last bit whatever else is asked for beside them."""
    vectors = segment.vectors[space]
    distances = np.empty(len(rows), np.float64)
    for start in range(0, len(rows), BLOCK):
        part = rows[start : start + BLOCK]
        floats = vectors.float16[part].astype(np.float32)
        products = np.einsum("ij,j->i", floats, unit)
        distances[start : start + BLOCK] = 1 - products.astype(np.float64) * vectors.norm[part]
    return distances


def best(
    segments: Sequence[Segment],
    space: SpaceId,
    found: Sequence[Rows],
    unit: FloatArray,
    limit: int,
    beyond: Beyond | None,
) -> tuple[Bytes, npt.NDArray[np.float64]]:
    """The `limit` nearest of some rows of each segment: ids and cosine distances, ties by id."""
    ids = np.concatenate([segment.facts.ids[rows] for segment, rows in zip(segments, found, strict=True)] or [NO_IDS])
    distances = np.concatenate(
        [distances_of(segment, space, rows, unit) for segment, rows in zip(segments, found, strict=True)] or [[]]
    )
    if beyond is not None:
        place = as_void(np.frombuffer(beyond.id.bytes, np.uint8).reshape(1, 16))
        behind = (distances > beyond.distance) | ((distances == beyond.distance) & (as_void(ids) > place))
        ids, distances = ids[behind], distances[behind]
    high, low = halves(ids)
    order = np.lexsort((low, high, distances))[:limit]
    return ids[order], distances[order]


IMAGE_FACTOR: Final = 3
"""In halves of the limit."""
TEXT_FACTOR: Final = 2
EXTRA: Final = 50


def over_fetch(limit: int, kind: Kind) -> int:
    """How many candidates, ranked by their vectors, hold the `limit` nearest images: recall of 0.99 and more.

    50 -> 125 (image), 150 (text); 500 -> 800, 1050. Source: `python -m benchmarks codes`.
    """
    if kind == "text":
        return TEXT_FACTOR * limit + EXTRA
    return IMAGE_FACTOR * limit // 2 + EXTRA


def shortlist(count: int, kind: Kind) -> int:
    """How many coarse codes are looked at again by their fine codes, so that the best `count` are among them.

    125 -> 800 (image), 150 -> 4000 (text); 800 -> 3500, 1050 -> 13000. Source: `python -m benchmarks codes`.
    """
    if kind == "text":
        return min(10 * count + 2500, 3 * count + 9850)
    return min(4 * count + 300, 2 * count + 2000)
