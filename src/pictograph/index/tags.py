"""Images by tag. What an image carries is in `image.image_auto_tags`; what finds it fast is beside it, never ahead.

Two ways give the same rows: the ordered lists in the database, and a copy of them in memory, which also makes any
combination, any depth, any folder, totals and counts under a filter cheap (docs/decisions/0007-tag-index.md).
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Final, TypeVar
from uuid import UUID

from pictograph.db.pool import Connection, Database
from pictograph.errors import PictographError
from pictograph.index.tag_bitmaps import TooLate
from pictograph.index.tag_containment import find_contained
from pictograph.index.tag_facets import Facets, count_in_rows, count_whole
from pictograph.index.tag_lists import find_in_lists
from pictograph.index.tag_look import fetch_rows, look, place_of
from pictograph.index.tag_memory import ManyChanges, TagMemory, catch_up, catch_up_beside, load_memory
from pictograph.index.tag_query import Page, Question, TagHit, TagPage, groups_of
from pictograph.index.tag_view import carriers_in_memory, count_in_memory, facets_in_memory, page_in_memory
from pictograph.store.datasets import datasets_of
from pictograph.store.pages import After
from pictograph.types import DatasetId, TagCategory, TagMatch

logger = logging.getLogger(__name__)

Answer = TypeVar("Answer")

SOON_S: Final = 0.2
"""How long questions wait for a memory that is being filled; a library of 10,000 images takes less."""
PAUSE_S: Final = 10.0
"""After a memory could not be filled."""
TRIES: Final = 3
"""An image that changes between the reading of changes and of rows is seen in the rows; then once more."""

__all__ = ["After", "Facets", "TagHit", "TagIndex", "TagPage", "datasets_of", "facet_counts", "find_by_tags"]


async def find_by_tags(
    connection: Connection,
    datasets: Sequence[DatasetId],
    filters: Mapping[TagCategory, Sequence[str]],
    *,
    match: TagMatch,
    limit: int,
    offset: int = 0,
    after: After | None = None,
) -> list[TagHit]:
    """Images that satisfy every category in `filters`, newest first, then by id. Archived ones are left out.

    A category with no labels matches nothing. Asked of the lists.
    """
    groups = groups_of(filters, match)
    if groups is None:
        return []
    return await find_in_lists(connection, datasets, groups, Page(limit, offset, after))


async def facet_counts(
    connection: Connection,
    datasets: Sequence[DatasetId],
    folder_path: str | None = None,
    filters: Mapping[TagCategory, Sequence[str]] | None = None,
    match: TagMatch = "any",
) -> Facets:
    """How many of the images that `filters` find carry each label.

    folder_path: only this folder of each dataset, with everything below it. Without both, the counters answer; else
    every image that is counted is read.
    """
    question = question_of(datasets, filters or {}, match, folder_path)
    if question is None:
        return Facets()
    if not question.groups and question.folder_path is None:
        return await count_whole(connection, datasets)
    return await count_in_rows(connection, question)


def question_of(
    datasets: Sequence[DatasetId],
    filters: Mapping[TagCategory, Sequence[str]],
    match: TagMatch,
    folder_path: str | None,
) -> Question | None:
    """None if no image can be meant."""
    groups = groups_of(filters, match)
    return None if groups is None else Question(datasets, groups, None if folder_path == "/" else folder_path)


class TagIndex:
    """Answers from memory once that is filled, and from the database until then. Made once; several tasks may ask."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._memory: TagMemory | None = None
        self._aside: TagMemory | None = None
        """One that many changes are, or will be, applied to."""
        self._loading: asyncio.Task[None] | None = None
        self._load_again_at = 0.0
        self._loading_since = 0.0

    async def find(
        self,
        connection: Connection,
        datasets: Sequence[DatasetId],
        filters: Mapping[TagCategory, Sequence[str]],
        *,
        match: TagMatch,
        limit: int,
        offset: int = 0,
        after: After | None = None,
        folder_path: str | None = None,
    ) -> TagPage:
        """As `find_by_tags`, any combination, any depth and any folder at about the same cost, with the total.

        folder_path: only this folder of each dataset, with everything below it.
        """
        question, page = question_of(datasets, filters, match, folder_path), Page(limit, offset, after)
        if question is None:
            return TagPage([], 0)
        found = await self._find_in_memory(connection, question, page)
        if found is not None:
            return found
        if question.folder_path is None:
            hits = await find_in_lists(connection, datasets, question.groups, page)
            return TagPage(hits, total_shown(page, hits), "lists")
        hits = await find_contained(connection, datasets, filters, page, match=match, folder_path=question.folder_path)
        return TagPage(hits, total_shown(page, hits), "containment")

    async def count(
        self,
        connection: Connection,
        datasets: Sequence[DatasetId],
        filters: Mapping[TagCategory, Sequence[str]],
        *,
        match: TagMatch,
        folder_path: str | None = None,
    ) -> int | None:
        """How many images `find` finds in all; None while the memory is not filled."""
        question = question_of(datasets, filters, match, folder_path)
        if question is None:
            return 0
        memory = await self._current(connection, question)
        return None if memory is None else count_in_memory(memory, question)

    async def carriers(
        self,
        connection: Connection,
        datasets: Sequence[DatasetId],
        filters: Mapping[TagCategory, Sequence[str]],
        *,
        match: TagMatch,
        folder_path: str | None = None,
    ) -> bytes | None:
        """Ids of all images that `find` finds, 16 bytes each, in no order; None while the memory is not filled."""
        question = question_of(datasets, filters, match, folder_path)
        if question is None:
            return b""
        return await self._in_thread(connection, question, carriers_in_memory)

    async def facet_counts(
        self,
        connection: Connection,
        datasets: Sequence[DatasetId],
        folder_path: str | None = None,
        filters: Mapping[TagCategory, Sequence[str]] | None = None,
        match: TagMatch = "any",
    ) -> Facets:
        """As `facet_counts`, without reading a row."""
        question = question_of(datasets, filters or {}, match, folder_path)
        if question is None:
            return Facets()
        counted = await self._in_thread(connection, question, facets_in_memory)
        return await facet_counts(connection, datasets, folder_path, filters, match) if counted is None else counted

    async def load(self) -> None:
        """Fills the memory now; otherwise the first question begins it, beside its answer."""
        self._memory = await load_memory(self._database)

    async def _find_in_memory(self, connection: Connection, question: Question, page: Page) -> TagPage | None:
        asked_at = time.monotonic()
        for _ in range(TRIES):
            memory = await self._filled()
            if memory is None:
                break
            ids, total = planned(memory, question, page)
            seen = await look(connection, memory, question, ids)
            hits = seen.hits
            if seen.is_news and not await self._catch_up(connection, memory, asked_at):
                continue
            if memory is not self._memory:  # many changes are being applied to it
                continue
            if seen.is_news or seen.is_other_place:
                ids, total = page_in_memory(memory, question, page)
                hits = await fetch_rows(connection, ids)
            scope = frozenset(question.datasets)
            if len(hits) == len(ids) and all(hit.dataset_id in scope and question.accepts(hit) for hit in hits):
                return TagPage(hits, total, "memory")
        return None

    async def _current(self, connection: Connection, question: Question) -> TagMemory | None:
        """The memory as it is true now, the question's folder known to it; None if there is none yet."""
        asked_at = time.monotonic()
        memory = await self._filled()
        if memory is None:
            return None
        seen = await look(connection, memory, question, [])
        if seen.is_news and not await self._catch_up(connection, memory, asked_at):
            return None
        return memory if memory is self._memory else None

    async def _in_thread(
        self, connection: Connection, question: Question, answer: Callable[[TagMemory, Question], Answer]
    ) -> Answer | None:
        """What may look at every image: in a thread, and as long as it reads nothing is changed."""
        memory = await self._current(connection, question)
        if memory is None:
            return None
        async with memory.reading:  # what others have applied meanwhile is newer, and true as well
            return await asyncio.to_thread(answer, memory, question) if memory is self._memory else None

    async def _catch_up(self, connection: Connection, memory: TagMemory, since: float) -> bool:
        """False if the memory cannot answer: it is set aside, or has to be made again."""
        try:
            await catch_up(connection, memory, since)
        except (TooLate, ManyChanges) as error:
            if self._memory is memory:
                self._memory, self._aside = None, memory if isinstance(error, ManyChanges) else None
            return False
        return True

    async def _filled(self) -> TagMemory | None:
        """The memory; None if it will still take a while."""
        if self._memory is None:
            self._begin_loading()
            patience = self._loading_since + SOON_S - time.monotonic()
            if self._loading is not None and patience > 0:
                await asyncio.wait({self._loading}, timeout=patience)
        return self._memory

    def _begin_loading(self) -> None:
        is_loading = self._loading is not None and not self._loading.done()
        if not is_loading and time.monotonic() >= self._load_again_at:
            self._loading_since = time.monotonic()
            self._loading = asyncio.create_task(self._load_beside())

    async def _catch_up_beside(self, memory: TagMemory) -> bool:
        """Whether the memory could be used again."""
        try:
            await catch_up_beside(self._database, memory)
        except TooLate:
            return False
        self._memory = memory
        return True

    async def _load_beside(self) -> None:
        aside, self._aside = self._aside, None
        try:
            if aside is None or not await self._catch_up_beside(aside):
                await self.load()
            pause_s = time.monotonic() - self._loading_since  # where it is lost at once, half of the time goes into it
        except (PictographError, KeyError) as error:
            logger.warning("The tags could not be read into memory, searches go on without: %s", error)
            pause_s = PAUSE_S
        self._load_again_at = time.monotonic() + pause_s


def planned(memory: TagMemory, question: Question, page: Page) -> tuple[list[UUID], int]:
    """What the answer will be if nothing has changed; nothing for a folder that nobody asked for yet."""
    place = place_of(question)
    return ([], 0) if place is not None and place not in memory.folders else page_in_memory(memory, question, page)


def total_shown(page: Page, hits: Sequence[TagHit]) -> int | None:
    """How many images there are in all, if this page shows it: it is the last, and not behind a cursor."""
    is_last = len(hits) < page.limit and (bool(hits) or not page.offset)
    return page.offset + len(hits) if is_last and page.after is None else None
