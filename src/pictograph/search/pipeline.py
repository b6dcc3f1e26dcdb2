"""How a question is answered, on one screen: resolve, filter, candidates, rerank, rows.

The index proposes and the table decides. A question's first statement reads, in one snapshot, which images have
changed since the index was read (`fresh`); the index answers for all others, the table for those; the last statement
fetches the rows of the page and looks whether one of them has changed meanwhile. Then everything is done once more, in
one snapshot.
Without an index that can answer, the table answers alone: same filter, same order, to the last bit of each distance.
"""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, replace
from importlib import import_module
from typing import TYPE_CHECKING, Final, TypeVar

import numpy as np

from pictograph.db.pool import Connection, Database
from pictograph.search.filter import Filter, Place
from pictograph.search.found import (
    MOST_DISTANT,
    UNDECIDED_NONE,
    Facets,
    Found,
    Hit,
    Likeness,
    Listing,
    Neighbour,
    Page,
    Plan,
    PlanName,
    Slice,
    Steps,
    Undecided,
    Window,
)
from pictograph.search.ground import Ground, Index, stand_on
from pictograph.search.memory.arrays import Bytes, Distances, bytes_of, is_behind, nearest_first, newest_order
from pictograph.search.memory.masks import count_of
from pictograph.search.memory.ordering import in_order
from pictograph.search.memory.values import Values
from pictograph.search.orders import RELEVANCE
from pictograph.search.planner import plan_of
from pictograph.search.table import (
    Columns,
    Compared,
    Counted,
    FreshImage,
    Ordered,
    Sample,
    count_in_table,
    facets_in_table,
    fetch_rows,
    fresh_images,
    fresh_values,
    fresh_vectors,
    nearest_in_table,
    newest_in_table,
    ordered_in_table,
    sample_in_table,
    similarities_of,
    undecided_in_table,
    values_of,
)
from pictograph.settings import available_cores
from pictograph.types import SpaceId

if TYPE_CHECKING:
    from pictograph.search.memory.view import View  # faiss comes with it: only where there is an index

Answer = TypeVar("Answer")
MOST_NEW: Final = 10
"""The index samples a place alone, if so many times as many images as are new to it lie there."""
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
    left_out: int
    missed: Sequence[float]
    """Scores of the best images below the threshold, falling."""
    missed_are_all: bool
    """Whether there are no others."""


@dataclass(frozen=True, slots=True)
class Cut:
    """A page of the nearest images in another order."""

    page: Slice
    found: Found
    """The same rows, and how they were found."""
    cut_off: bool
    """Whether there were more images than were kept."""


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
            rows = await self._neighbours(
                connect, ask, known, ids=proposed.ids, distances=proposed.distances, steps=steps
            )
            return found_as(proposed, rows, steps)

        return await self._twice(ask.wanted.place, answer, steps, ground)

    async def _neighbours(
        self, connect: Connect, ask: Likeness, ground: Ground, *, ids: Bytes, distances: Distances, steps: Steps
    ) -> list[Neighbour]:
        with steps.step("rows"):
            rows = await self._rows(connect, ground, ids)
        scores = similarities = ask.scores(distances).tolist()
        if ask.positives and len(ids):
            with steps.step("similarities"):
                async with connect() as connection:
                    similarities = await similarities_of(connection, ask, ids)
        likeness = zip(rows, similarities, distances.tolist(), scores, strict=True)
        return [Neighbour(*row, *numbers) for row, *numbers in likeness]

    async def _propose(
        self, connect: Connect, ask: Likeness, ground: Ground, by: PlanName | None, steps: Steps
    ) -> Proposed:
        view = ground.view_of(ask.space)
        if view is None or ask.wanted.matches_nothing:
            with steps.step("scan"):
                async with connect() as connection:
                    compared = await nearest_in_table(connection, ask, ground.folders)
            plan = plan_of(ask, 0, ground.without_index(ask.space))
            return proposed_of(ask, compared, plan)
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
        examples = ids_of(ask)
        limit = ask.limit + len(examples)  # they may be among the nearest
        found = view.nearest(
            mask, ask.space, ask.vector, limit,
            plan=plan.name, kind=ask.kind, beyond=ask.beyond, helpers=self._helpers,
        )  # fmt: skip
        ids, distances = np.concatenate([found.ids, fresh.ids]), np.concatenate([found.distances, fresh.distances])
        nearest = nearest_first(ids, distances, limit, ask.beyond)
        left_out = count_of(mask) - count_of(view.without(mask, examples)) + fresh.left_out
        return proposed_of(ask, Compared(*nearest, count_of(place) + fresh.scope_size, meant, left_out), plan)

    async def count(self, ask: Likeness, steps: Steps, ground: Ground | None = None) -> tuple[int, Found]:
        """How many images `nearest` would find, were there no limit: exactly; and how, without rows."""

        async def answer(connect: Connect, known: Ground) -> tuple[int, Found]:
            view = known.view_of(ask.space)
            if view is None or ask.wanted.matches_nothing:
                with steps.step("scan"):
                    async with connect() as connection:
                        counted = await count_in_table(connection, ask, known.folders)
                plan = plan_of(replace(ask, exact=False), 0, known.without_index(ask.space))
            else:
                fresh = Compared.nothing()
                if len(known.fresh):
                    async with connect() as connection:
                        fresh = await fresh_vectors(connection, ask, known)
                with steps.step("candidates"):
                    counted = await self._in_thread(lambda: self._counted(view, ask, known, fresh))
                plan = Plan("exact", "a count is wanted, so every vector was compared")
            found = Found([], plan, counted.scope_size, counted.scanned, True, steps, counted.left_out)
            return counted.count, found

        return await self._twice(ask.wanted.place, answer, steps, ground)

    def _counted(self, view: View, ask: Likeness, ground: Ground, fresh: Compared) -> Counted:
        """In a thread."""
        place = view.with_vectors(view.place(ask.wanted.place, ground.folders, ground.fresh), ask.space)
        meant = view.meant(place, ask.wanted)
        mask = view.without(meant, ids_of(ask))
        within = len(kept(replace(ask, limit=len(fresh.ids)), fresh)[0])
        if ask.farthest >= MOST_DISTANT:
            within += count_of(mask)
        else:
            parts = view.count_within(mask, ask.space, ask.vector, ask.farthest, self._helpers)
            within += sum(int((ask.scores(distances) >= ask.threshold).sum()) for distances in parts)
        scanned = count_of(meant) + len(fresh.ids)
        left_out = count_of(meant) - count_of(mask) + fresh.left_out
        return Counted(within, count_of(place) + fresh.scope_size, scanned, left_out)

    async def sample(self, place: Place, space: SpaceId, count: int) -> Sample:
        """Vectors of `count` images of a place at random, or of all that it has; always the same of the same images.

        What the index has not seen yet is left out where it has enough without: one image in ten is new, at most.
        """
        connect: Connect = lambda: self._database.connection("generic")  # noqa: E731
        ground = await self._resolve(connect, place, Steps())
        view = ground.view_of(space)
        if view is not None:
            taken = await self._in_thread(lambda: sample_of(view, place, ground, space, count))
            if len(ground.fresh) * MOST_NEW <= taken.of:
                return taken
        async with connect() as connection:
            return await sample_in_table(connection, Filter(place), ground.folders, space, count)

    async def in_thread(self, call: Callable[[], Answer]) -> Answer:
        """What `call` gives; it may compute for a while, and other questions go on."""
        return await self._in_thread(call)

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

    # --- by any fact

    async def listed(self, wanted: Filter, listing: Listing, steps: Steps) -> tuple[Slice, Found]:
        """The images that a filter means, in the order of a fact; and how they were found, without rows."""

        async def answer(connect: Connect, ground: Ground) -> tuple[Slice, Found]:
            with steps.step("candidates"):
                found = await self._ordered(connect, wanted, ground, listing)
            with steps.step("rows"):
                rows = await self._rows(connect, ground, found.ids)
            plan = Plan("exact", "no example: nothing is compared, a fact orders the images")
            page = Slice([Hit(*row) for row in rows], plain(found.values), found.total, found.unknown)
            return page, Found([], plan, found.scope_size, 0, True, steps)

        return await self._twice(wanted.place, answer, steps)

    async def _ordered(self, connect: Connect, wanted: Filter, ground: Ground, listing: Listing) -> Ordered:
        if (view := ground.view) is None or wanted.matches_nothing:
            async with connect() as connection:
                return await ordered_in_table(connection, wanted, ground.folders, listing)
        fresh = Ordered.nothing()
        if len(ground.fresh):
            async with connect() as connection:
                fresh = await fresh_values(connection, wanted, ground, listing)

        def order() -> Ordered:
            place = view.place(wanted.place, ground.folders, ground.fresh)
            mask = view.meant(place, wanted)
            ids, values, unknown = view.ordered(mask, listing)
            ids, values = np.concatenate([ids, fresh.ids]), np.concatenate([values, fresh.values])
            first = in_order(ids, values, listing.limit, listing.after, descending=listing.descending)
            return Ordered(
                ids[first], values[first], count_of(mask) + fresh.total, unknown + fresh.unknown,
                count_of(place) + fresh.scope_size,
            )  # fmt: skip

        return await self._in_thread(order)

    async def cut(self, ask: Likeness, listing: Listing, steps: Steps, ground: Ground | None = None) -> Cut:
        """The nearest `ask.limit` images, and of these a page in another order. ground: as for `nearest`.

        listing: by RELEVANCE its values are the distances.
        """

        async def answer(connect: Connect, known: Ground) -> Cut:
            one_more = replace(ask, limit=ask.limit + 1)  # it tells whether others were cut off
            proposed = await self._propose(connect, one_more, known, None, steps)
            ids, distances = proposed.ids[: ask.limit], proposed.distances[: ask.limit]
            values = distances
            if listing.order_by != RELEVANCE:
                with steps.step("facts"):
                    async with connect() as connection:
                        values = await values_of(connection, ids, listing.order)
            if len(values) < len(ids):
                raise Again
            first = in_order(ids, values, listing.limit, listing.after, descending=listing.descending)
            rows = await self._neighbours(connect, ask, known, ids=ids[first], distances=distances[first], steps=steps)
            found = found_as(proposed, rows, steps)
            page = Slice(rows, plain(values[first]), len(ids), int(np.isnan(values).sum()))
            return Cut(page, found, cut_off=len(proposed.ids) > ask.limit)

        return await self._twice(ask.wanted.place, answer, steps, ground)

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

    async def undecided(self, wanted: Filter, space: SpaceId | None = None) -> Undecided:
        """How many images a filter cannot judge. space: of those with a vector in it.

        Counted on its own, a moment after the answer that it belongs to.
        """
        if wanted.matches_nothing or not wanted.conditions.may_be_undecided:
            return UNDECIDED_NONE
        ground = await self._resolve(lambda: self._database.connection("generic"), wanted.place, Steps())
        view = ground.view if space is None else ground.view_of(space)
        fresh = None if view is None else ground.fresh
        count = UNDECIDED_NONE
        if fresh is None or len(fresh):
            async with self._database.connection() as connection:
                count = await undecided_in_table(connection, wanted, ground.folders, space, fresh)
        if view is None:
            return count

        def rest() -> Undecided:
            mask = view.place(wanted.place, ground.folders, ground.fresh)
            return Undecided(*view.undecided(mask if space is None else view.with_vectors(mask, space), wanted))

        return count + await self._in_thread(rest)

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


def ids_of(ask: Likeness) -> Bytes:
    """The indexed images among the examples."""
    return bytes_of(b"".join(image.bytes for image in ask.left_out))


def proposed_of(ask: Likeness, compared: Compared, plan: Plan) -> Proposed:
    """Of the nearest those that are rows, and the scores of those that are below the threshold."""
    ids, distances = without_examples(ask, compared)
    scores = ask.scores(distances)
    keep = scores >= ask.threshold
    return Proposed(
        ids[keep][: ask.limit], distances[keep][: ask.limit], plan, compared.scope_size, compared.scanned,
        compared.left_out, scores[~keep].tolist(), len(compared.ids) < ask.limit + len(ask.left_out),
    )  # fmt: skip


def kept(ask: Likeness, compared: Compared) -> tuple[Bytes, Distances]:
    """Of the nearest those that are rows: no examples, at or above the threshold, `limit` at most."""
    ids, distances = without_examples(ask, compared)
    keep = ask.scores(distances) >= ask.threshold
    return ids[keep][: ask.limit], distances[keep][: ask.limit]


def without_examples(ask: Likeness, compared: Compared) -> tuple[Bytes, Distances]:
    """Ids and distances of what is no example."""
    others = np.ones(len(compared.ids), bool)
    for image in ask.left_out:
        others &= (compared.ids != np.frombuffer(image.bytes, np.uint8)).any(axis=1)
    return compared.ids[others], compared.distances[others]


def found_as(proposed: Proposed, rows: list[Neighbour], steps: Steps) -> Found:
    return Found(
        rows, proposed.plan, proposed.scope_size, proposed.scanned, True, steps, proposed.left_out,
        proposed.missed, proposed.missed_are_all,
    )  # fmt: skip


def plain(values: Values) -> list[float | None]:
    """NaN as None."""
    return [None if math.isnan(value) else value for value in values.tolist()]


def sample_of(view: View, place: Place, ground: Ground, space: SpaceId, count: int) -> Sample:
    """In a thread: of the index's rows of a place."""
    mask = view.with_vectors(view.place(place, ground.folders, ground.fresh), space)
    return Sample(view.sample(mask, space, count), count_of(mask))


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
