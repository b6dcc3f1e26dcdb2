"""How a question is answered, on one screen: resolve, filter, candidates, rerank, rows.

The index proposes and the table decides. A question's first statement reads, in one snapshot, which images have
changed since the index was read (`fresh`); the index answers for all others, the table for those; the last statement
fetches the rows of the page and looks whether one of them has changed meanwhile. Then everything is done once more, in
one snapshot.
Without an index that can answer, the table answers alone: same filter, same order, to the last bit of each distance.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from pictograph.db.pool import Connection, Database
from pictograph.search.filter import Filter, Place
from pictograph.search.found import Facets, Found, Hit, Likeness, Neighbour, Page, Plan, PlanName, Steps, Window
from pictograph.search.ground import Ground, Index, stand_on
from pictograph.search.memory.arrays import Bytes, Distances, bytes_of, is_behind, nearest_first, newest_order
from pictograph.search.memory.masks import count_of
from pictograph.search.planner import plan_of
from pictograph.search.table import (
    Columns,
    Compared,
    FreshImage,
    facets_in_table,
    fetch_rows,
    fresh_images,
    fresh_vectors,
    nearest_in_table,
    newest_in_table,
)
from pictograph.settings import available_cores

if TYPE_CHECKING:
    from pictograph.search.memory.view import View  # faiss comes with it: only where there is an index

Answer = TypeVar("Answer")
Connect = Callable[[], AbstractAsyncContextManager[Connection]]
"""Gives a connection: every time the same snapshot, or every time the newest state."""


class Again(Exception):
    """A row changed while the question was being answered."""


@dataclass(frozen=True, slots=True)
class Proposed:
    """The nearest images, and how they were found; no rows yet."""

    ids: Bytes
    distances: Distances
    plan: Plan
    scope_size: int
    scanned: int


class Pipeline:
    """Answers questions whose filter, and vector if they have one, are known."""

    def __init__(self, database: Database, index: Index | None = None) -> None:
        """index: what is kept in memory; None answers everything from the table."""
        self._database = database
        self.index = index
        cores = available_cores()
        self._threads = ThreadPoolExecutor(cores, "search", one_thread_each)
        self._helpers = ThreadPoolExecutor(cores - 1, "search-help", one_thread_each) if cores > 1 else None

    def close(self) -> None:
        """Ends the threads."""
        for pool in (self._threads, self._helpers):
            if pool is not None:
                pool.shutdown(wait=False, cancel_futures=True)

    def view(self) -> View | None:
        """The index as it is now, for a question that begins."""
        return self.index.view() if self.index is not None else None

    # --- by likeness and by words

    async def nearest(
        self, ask: Likeness, steps: Steps, ground: Ground | None = None, by: PlanName | None = None
    ) -> Found:
        """Images by falling similarity. ground: if it was read together with the vector. by: instead of the planner."""

        async def answer(connect: Connect, known: Ground) -> Found:
            proposed = await self._propose(connect, ask, known, by, steps)
            with steps.step("rows"):
                rows = await self._rows(connect, known, proposed.ids)
            likeness = similarities(proposed.distances, ask.stretch).tolist(), proposed.distances.tolist()
            neighbours = [Neighbour(*row, *scores) for row, *scores in zip(rows, *likeness, strict=True)]
            return Found(neighbours, proposed.plan, proposed.scope_size, proposed.scanned, True, steps)

        return await self._twice(ask.wanted.place, answer, steps, ground)

    async def _propose(
        self, connect: Connect, ask: Likeness, ground: Ground, by: PlanName | None, steps: Steps
    ) -> Proposed:
        view = ground.view_of(ask.space)
        if view is None or ask.wanted.matches_nothing:
            with steps.step("scan"):
                async with connect() as connection:
                    compared = await nearest_in_table(connection, ask, ground.folders)
            plan = plan_of(ask, 0, ground.without_index(ask.space))
            return Proposed(*kept(ask, compared), plan, compared.scope_size, compared.scanned)
        fresh = Compared.nothing()
        if len(ground.fresh):
            with steps.step("fresh"):
                async with connect() as connection:
                    fresh = await fresh_vectors(connection, ask, ground)
        with steps.step("candidates"):
            return await self._in_thread(lambda: self._candidates(view, ask, ground, fresh, by))

    def _candidates(self, view: View, ask: Likeness, ground: Ground, fresh: Compared, by: PlanName | None) -> Proposed:
        """In a thread: the filter as a mask, the nearest rows of it, and what is fresh among them."""
        place = view.with_vectors(view.place(ask.wanted.place, ground.folders, ground.fresh), ask.space)
        mask = view.meant(place, ask.wanted)
        meant = count_of(mask) + len(fresh.ids)
        plan = plan_of(ask, meant, None) if by is None else Plan(by, "it is explained")
        found = view.nearest(
            mask, ask.space, ask.vector, ask.limit + 1,  # one more, for the reference may be among them
            plan=plan.name, kind=ask.kind, beyond=ask.beyond, helpers=self._helpers,
        )  # fmt: skip
        ids, distances = np.concatenate([found.ids, fresh.ids]), np.concatenate([found.distances, fresh.distances])
        merged = Compared(*nearest_first(ids, distances, ask.limit + 1, ask.beyond), 0, 0)
        return Proposed(*kept(ask, merged), plan, count_of(place) + fresh.scope_size, meant)

    # --- by tag, or whatever else the filter says: the newest first

    async def newest(self, wanted: Filter, window: Window) -> Page[Hit]:
        """The images that a filter means, the newest first, ties by id, and how many there are in all."""
        if wanted.matches_nothing:
            return Page([], 0)

        async def answer(connect: Connect, ground: Ground) -> Page[Hit]:
            if (view := ground.view) is None:
                async with connect() as connection:
                    ids, total = await newest_in_table(connection, wanted, ground.folders, window)
            else:
                fresh = await self._fresh_images(connect, wanted, ground)
                ids, total = await self._in_thread(lambda: newest_of(view, wanted, ground, fresh, window))
            return Page([Hit(*row) for row in await self._rows(connect, ground, ids)], total)

        return await self._twice(wanted.place, answer, Steps())

    async def facets(self, wanted: Filter) -> Facets:
        """Which tags the images that a filter means carry, and how often."""
        if wanted.matches_nothing:
            return Facets()

        async def answer(connect: Connect, ground: Ground) -> Facets:
            if (view := ground.view) is None:
                async with connect() as connection:
                    return await facets_in_table(connection, wanted, ground.folders)
            fresh = await self._fresh_images(connect, wanted, ground)

            def count() -> Facets:
                mask = view.meant(view.place(wanted.place, ground.folders, ground.fresh), wanted)
                counts = Counter(view.facets(mask, self._helpers))
                for image in fresh:
                    counts.update({(kind, tag) for kind, tags in image.tags.items() for tag in tags})
                labels = [(category, label, images) for (category, label), images in counts.items()]
                return Facets.of(count_of(mask) + len(fresh), labels)

            return await self._in_thread(count)

        return await self._twice(wanted.place, answer, Steps())

    # --- what all of them share

    async def _twice(
        self,
        place: Place,
        answer: Callable[[Connect, Ground], Awaitable[Answer]],
        steps: Steps,
        ground: Ground | None = None,
    ) -> Answer:
        """The answer; once more, all of it in one snapshot, if a row changed meanwhile. ground: if it is known."""
        try:
            connect: Connect = lambda: self._database.connection("generic")  # noqa: E731
            return await answer(connect, ground or await self._resolve(connect, place, steps))
        except Again:
            async with self._database.snapshot() as connection:
                connect = lambda: always(connection)  # noqa: E731
                return await answer(connect, await self._resolve(connect, place, steps))

    async def _resolve(self, connect: Connect, place: Place, steps: Steps) -> Ground:
        with steps.step("resolve"):
            async with connect() as connection:
                return await stand_on(connection, place, self.view())

    async def _fresh_images(self, connect: Connect, wanted: Filter, ground: Ground) -> list[FreshImage]:
        if not len(ground.fresh):
            return []
        async with connect() as connection:
            return await fresh_images(connection, wanted, ground)

    async def _rows(self, connect: Connect, ground: Ground, ids: Bytes) -> list[Columns]:
        """What `Hit`s are made of, in this order. Raises Again if one has changed since `ground` was read."""
        if not len(ids):
            return []
        async with connect() as connection:
            rows = await fetch_rows(connection, ids, ground.snapshot)
        if rows is None:
            raise Again
        return rows

    async def _in_thread(self, call: Callable[[], Answer]) -> Answer:
        return await asyncio.get_running_loop().run_in_executor(self._threads, call)


def one_thread_each() -> None:
    """Run by each thread: faiss itself splits no query, and its own threads only get into each other's way."""
    import_module("faiss").omp_set_num_threads(1)


@asynccontextmanager
async def always(connection: Connection) -> AsyncIterator[Connection]:
    """This connection, as if it were a new one."""
    yield connection


def kept(ask: Likeness, compared: Compared) -> tuple[Bytes, Distances]:
    """Of the `limit + 1` nearest those that are rows: not the reference, at or above the threshold, `limit` at most."""
    keep = similarities(compared.distances, ask.stretch) >= ask.threshold
    if ask.left_out is not None:
        keep &= (compared.ids != np.frombuffer(ask.left_out.bytes, np.uint8)).any(axis=1)
    return compared.ids[keep][: ask.limit], compared.distances[keep][: ask.limit]


def similarities(distances: Distances, stretch: float) -> Distances:
    """On the space's scale, clamped to [0, 1]."""
    return np.clip(1 - stretch * distances, 0, 1)


def newest_of(
    view: View, wanted: Filter, ground: Ground, fresh: Sequence[FreshImage], window: Window
) -> tuple[Bytes, int]:
    """In a thread: ids of the newest rows of the mask and of what is fresh, and how many there are in all.

    What is fresh can only push the mask's rows further back, each by one place.
    """
    mask = view.meant(view.place(wanted.place, ground.folders, ground.fresh), wanted)
    skip = max(0, window.offset - len(fresh))
    ids, created = view.newest(mask, window.reach - skip, window.after, skip)
    ids = np.concatenate([ids, bytes_of(b"".join(image.id for image in fresh))])
    created = np.concatenate([created, np.array([image.created for image in fresh], np.int64)])
    if window.after is not None:
        behind = is_behind(ids, created, window.after)
        ids, created = ids[behind], created[behind]
    order = newest_order(ids, created)[window.offset - skip : window.reach - skip]
    return ids[order], count_of(mask) + len(fresh)
