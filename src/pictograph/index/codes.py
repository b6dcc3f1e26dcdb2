"""Codes of every image, held in the server's memory, so that large scopes are scanned in milliseconds.

They are derived data: made from `image_embedding` in the background, lost with the process, bounded in bytes. Without
them a search takes longer, and never finds less: `nearest_by_codes` ranks their candidates by the table itself, beside
every row that has changed since the codes were made. docs/decisions/0006-codes.md has the proof.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any, Final, TypeVar
from uuid import UUID

import faiss
import numpy as np
import numpy.typing as npt
import psycopg

from pictograph.db.pool import Database
from pictograph.encode.protocol import FloatArray
from pictograph.errors import PictographError
from pictograph.index.candidates import Candidates, QueryKind
from pictograph.index.code_rows import (
    Loaded,
    Snapshot,
    all_rows,
    changed_rows,
    counts_by_dataset,
    live_ids,
    live_spaces,
    pending_rows,
    sample_of,
    snapshot,
)
from pictograph.index.code_segments import (
    BYTES_PER_IMAGE,
    Coded,
    CodeScope,
    Held,
    Ids,
    Numbers,
    Quantiser,
    Segment,
)
from pictograph.settings import available_cores
from pictograph.types import DatasetId, SpaceId

logger = logging.getLogger(__name__)
Result = TypeVar("Result")

SEGMENT_ROWS: Final = 250_000
"""A million codes in segments of 50,000 take half as long again to scan: each has its own shortlist."""
TAIL: Final = 5
"""The last segment is written again with every change, until it has this part of the rows of a segment."""
DEFAULT_MEMORY_BYTES: Final = 1 << 30
"""About 1.4 million images."""
PAUSE_S: Final = 2.0
COUNT_EVERY: Final = 30
"""Rounds between two counts of the table, which tell how many codes belong to deleted images."""
MOST_GHOSTS: Final = 0.2
LEAST_CENTRED: Final = 1000
OUTGROWN: Final = 4
"""A centre is found again once there are this many times the images it was found for."""


@dataclass(frozen=True, slots=True)
class BuildProgress:
    """How far the codes of one space are."""

    done: int
    total: int


class Codes:
    """The codes of every live space. One for each server process; `keep_fresh` makes and renews them.

    memory_bytes: what all codes together may take. If they would take more, the largest datasets go without. While
    codes are replaced, the old and the new segment of at most `segment_rows` images exist side by side.
    """

    def __init__(
        self, database: Database, *, max_bytes: int = DEFAULT_MEMORY_BYTES, segment_rows: int = SEGMENT_ROWS
    ) -> None:
        self._database = database
        self._max_bytes = max_bytes
        self._segment_rows = segment_rows
        self._held: dict[SpaceId, Held] = {}
        self._building: dict[SpaceId, BuildProgress] = {}
        self._refreshing = asyncio.Lock()
        self._rounds = 0
        # faiss itself splits no query: its two threads took 20 times as long as one on busy cores.
        cores = available_cores()
        self._threads = scanners(cores, "codes")
        self._helpers = scanners(cores - 1, "codes-help") if cores > 1 else None
        self._builder = scanners(1, "codes-build")

    @property
    def memory_bytes(self) -> int:
        """What the codes take now."""
        return sum(held.memory_bytes for held in self._held.values())

    @property
    def progress(self) -> dict[SpaceId, BuildProgress]:
        """The spaces whose codes are being made."""
        return dict(self._building)

    def covers(self, space_id: SpaceId, dataset_ids: Collection[DatasetId]) -> int | None:
        """Codes of these datasets; None if they are not there, or not yet."""
        held = self._held.get(space_id)
        return held.count(dataset_ids) if held else None

    async def candidates(
        self,
        space_id: SpaceId,
        datasets: Collection[DatasetId],
        folder_ids: Sequence[int] | None,
        vector: FloatArray,
        count: int,
        *,
        kind: QueryKind,
    ) -> Candidates | None:
        """At most `count` images of the scope that are probably the nearest; None if `covers` is.

        folder_ids: the scope's folders, read for this question and not kept from an earlier one; None for all.
        vector: float32 (1152,). kind: what it was made of.
        """
        held = self._held.get(space_id)
        if held is None or not held.left_out.isdisjoint(datasets):
            return None
        scope = CodeScope(datasets, folder_ids)
        return await self._in_thread(self._threads, held.nearest, vector, scope, count, kind, self._helpers)

    async def keep_fresh(self, pause_s: float = PAUSE_S) -> None:
        """Makes the codes and renews them, until it is cancelled. Whatever fails is tried again."""
        while True:
            try:
                await self.refresh()
            except (PictographError, psycopg.Error) as error:
                logger.warning("Codes could not be refreshed, searches go on without what is new: %s", error)
            await asyncio.sleep(pause_s)

    async def refresh(self) -> None:
        """One round: the codes of every live space are complete up to this moment."""
        async with self._refreshing:
            self._rounds += 1
            async with self._database.connection() as connection:
                live = await live_spaces(connection)
            for gone in self._held.keys() - set(live):
                del self._held[gone]
            for space in live:
                await self._refresh_space(space)

    async def close(self) -> None:
        """Forgets everything; no search may be running."""
        self._held.clear()
        for pool in (self._threads, self._helpers, self._builder):
            if pool is not None:
                await asyncio.to_thread(pool.shutdown)

    async def _refresh_space(self, space: SpaceId) -> None:
        async with snapshot(self._database) as at:
            held = self._held.get(space)
            if held is not None and (held.era != at.era or not at.guarded):
                held = None
                del self._held[space]
            if not at.guarded:
                logger.warning("The trigger of image_embedding is missing or off: searches go without codes")
            elif held is None or await self._is_outgrown(at, space, held):
                await self._build(at, space)
            else:
                await self._extend(at, space, held)

    async def _is_outgrown(self, at: Snapshot, space: SpaceId, held: Held) -> bool:
        """Whether the codes are worth making again: another centre, or room for datasets that had none."""
        if held.rows > OUTGROWN * max(held.centred_on, LEAST_CENTRED):
            return True
        if not held.left_out or self._rounds % COUNT_EVERY:
            return False
        return too_large(await counts_by_dataset(at.connection, space), self._room_for(space)) < held.left_out

    async def _build(self, at: Snapshot, space: SpaceId) -> None:
        """Makes all codes again; the old ones, if any, answer until they are there."""
        counts = await counts_by_dataset(at.connection, space)
        left_out = too_large(counts, self._room_for(space))
        total = sum(count for dataset, count in counts.items() if dataset not in left_out)
        self._building[space] = BuildProgress(0, total)
        try:
            sample = await sample_of(at.connection, space, sum(counts.values()))
            quantiser = await self._in_thread(self._builder, Quantiser, sample)
            empty = Held(quantiser, (), at.watermark, at.era, frozenset(left_out), total)
            rows = all_rows(at, space, list(left_out))
            self._held[space] = replace(empty, segments=await self._segments(space, quantiser, rows))
        finally:
            del self._building[space]

    async def _extend(self, at: Snapshot, space: SpaceId, held: Held) -> None:
        """What has changed since, into the last segment; now and then, what is gone out of all of them."""
        if self._rounds % COUNT_EVERY == 0:
            held = await self._without_ghosts(at, space, held)
        if await pending_rows(at.connection, space, held.watermark, 1):
            added = changed_rows(at, space, held.watermark, list(held.left_out))
            *sealed, tail = held.segments or (None,)
            open_tail = tail is not None and len(tail) < self._segment_rows // TAIL
            begun = [tail.rows()] if tail is not None and open_tail else []
            kept = (*sealed,) if open_tail else held.segments
            new = await self._segments(space, held.quantiser, added, begun)
            segments = [part for part in (*kept, *new) if part is not None]
            merged = await self._in_thread(self._builder, with_full_tail_merged, held, segments, self._segment_rows)
            held = replace(held, segments=merged)
        held = replace(held, watermark=at.watermark)
        room = self._room_for(space)
        if held.memory_bytes > room:
            held = await self._smaller(at, space, held, room)
        self._held[space] = held

    async def _segments(
        self, space: SpaceId, quantiser: Quantiser, chunks: AsyncIterator[Loaded], begun: Sequence[Coded] = ()
    ) -> tuple[Segment, ...]:
        """Codes of everything that comes, some ten thousand to a segment."""
        finished: list[Segment] = []
        waiting = list(begun)
        async for chunk in chunks:
            waiting.append(await self._in_thread(self._builder, coded, quantiser, chunk))
            if sum(map(len, waiting)) >= self._segment_rows:
                finished.append(await self._in_thread(self._builder, Segment, quantiser, Coded.joined(waiting)))
                waiting = []
            if space in self._building:
                before = self._building[space]
                self._building[space] = BuildProgress(before.done + len(chunk.ids), before.total)
        if waiting:
            finished.append(await self._in_thread(self._builder, Segment, quantiser, Coded.joined(waiting)))
        return tuple(finished)

    async def _without_ghosts(self, at: Snapshot, space: SpaceId, held: Held) -> Held:
        counts = await counts_by_dataset(at.connection, space)
        alive = sum(count for dataset, count in counts.items() if dataset not in held.left_out)
        if held.rows - alive <= MOST_GHOSTS * held.rows:
            return held
        ids, folders = await live_ids(at.connection, space)
        return await self._in_thread(self._builder, without_ghosts, held, ids, folders)

    async def _smaller(self, at: Snapshot, space: SpaceId, held: Held, room: int) -> Held:
        counts = await counts_by_dataset(at.connection, space)
        left_out = held.left_out | too_large(counts, room)
        ids, folders = await live_ids(at.connection, space)
        smaller = await self._in_thread(self._builder, without_ghosts, held, ids, folders)
        return await self._in_thread(self._builder, without_datasets, smaller, left_out)

    def _room_for(self, space: SpaceId) -> int:
        return self._max_bytes - sum(held.memory_bytes for other, held in self._held.items() if other != space)

    async def _in_thread(self, pool: ThreadPoolExecutor, call: Callable[..., Result], *values: Any) -> Result:
        return await asyncio.get_running_loop().run_in_executor(pool, call, *values)


def scanners(count: int, name: str) -> ThreadPoolExecutor:
    """Threads, each of which faiss uses as one."""
    return ThreadPoolExecutor(count, name, initializer=faiss.omp_set_num_threads, initargs=(1,))


def coded(quantiser: Quantiser, chunk: Loaded) -> Coded:
    """Images with their codes."""
    return Coded(chunk.ids, chunk.datasets, chunk.folders, *quantiser.codes(chunk.vectors()))


def with_full_tail_merged(held: Held, segments: Sequence[Segment], most_rows: int) -> tuple[Segment, ...]:
    """The last two segments as one, if the last is full for a tail, and they have room in one."""
    if len(segments) > 1 and len(segments[-1]) >= most_rows // TAIL and sum(map(len, segments[-2:])) <= most_rows:
        rows = Coded.joined([segment.rows() for segment in segments[-2:]])
        return (*segments[:-2], Segment(held.quantiser, rows))
    return tuple(segments)


def too_large(counts: dict[UUID, int], room_bytes: int) -> frozenset[UUID]:
    """The datasets that go without codes, the largest first, so that the others fit."""
    room = room_bytes // BYTES_PER_IMAGE
    left_out = set[UUID]()
    total = sum(counts.values())
    for dataset in sorted(counts, key=lambda one: (-counts[one], one)):
        if total <= room:
            break
        left_out.add(dataset)
        total -= counts[dataset]
    return frozenset(left_out)


def without_ghosts(held: Held, ids: Ids, folders: Numbers) -> Held:
    """Only codes of these images where they are now, and of each only the newest."""
    order = np.argsort(ids)
    ids, folders, taken = ids[order], folders[order], np.zeros(len(ids), bool)
    kept: list[Segment] = []
    for segment in reversed(held.segments):
        rows = segment.rows()
        at = np.minimum(np.searchsorted(ids, rows.ids), max(len(ids) - 1, 0))
        alive = np.zeros(len(rows), bool)
        if len(ids):
            alive = (ids[at] == rows.ids) & (folders[at] == rows.folders) & ~taken[at]
            alive &= is_last(at, alive)
            taken[at[alive]] = True
        kept.append(segment if alive.all() else Segment(held.quantiser, rows.take(alive)))
    return replace(held, segments=tuple(segment for segment in reversed(kept) if len(segment)))


def is_last(keys: Numbers, among: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Of equal keys, the last one of those in `among`."""
    backwards = np.flatnonzero(among)[::-1]
    _, first = np.unique(keys[backwards], return_index=True)
    last = np.zeros(len(keys), bool)
    last[backwards[first]] = True
    return last


def without_datasets(held: Held, left_out: frozenset[UUID]) -> Held:
    """No codes of these datasets."""
    names = np.frombuffer(b"".join(dataset.bytes for dataset in left_out), "S16")
    kept = []
    for segment in held.segments:
        rows = segment.rows()
        stays = ~np.isin(rows.datasets, names)
        kept.append(segment if stays.all() else Segment(held.quantiser, rows.take(stays)))
    return replace(held, segments=tuple(segment for segment in kept if len(segment)), left_out=left_out)
