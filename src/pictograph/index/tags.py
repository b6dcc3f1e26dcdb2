"""Images by tag. What an image carries is in `image.image_auto_tags`; what finds it fast is beside it, never ahead.

Two ways give the same rows: the ordered lists in the database, and, for larger libraries, a copy of them in memory,
which also makes any combination, any depth and counts under a filter cheap (docs/decisions/0007-tag-index.md).
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping, Sequence
from typing import Final
from uuid import UUID

from pictograph.db.pool import Connection, Database
from pictograph.db.rows import fetch_column, fetch_value
from pictograph.errors import PictographError
from pictograph.index.tag_bitmaps import TooLate
from pictograph.index.tag_containment import find_contained
from pictograph.index.tag_facets import Facets, count_in_rows, count_whole, folders_below
from pictograph.index.tag_lists import find_in_lists
from pictograph.index.tag_memory import TagMemory, catch_up, load_memory
from pictograph.index.tag_query import After, Page, TagHit, groups_of
from pictograph.index.tag_view import count_in_memory, facets_in_memory, find_in_memory
from pictograph.types import DatasetId, TagCategory, TagMatch

logger = logging.getLogger(__name__)

MEMORY_FROM: Final = 20_000
"""Images from which a copy in memory is worth its making: below, even a long list is soon walked."""
LOOK_AGAIN_S: Final = 10.0
"""How often a library without such a copy is asked how large it is."""
DATASETS: Final = "SELECT id FROM dataset WHERE organization_id = %s"
LIBRARY: Final = """
SELECT coalesce(sum(images), 0)::bigint FROM tag_scope JOIN tag_count ON dataset = number AND tag_id = 0"""

__all__ = ["After", "TagHit", "TagIndex", "datasets_of", "facet_counts", "find_by_tags"]


async def datasets_of(connection: Connection, organization: UUID) -> list[DatasetId]:
    """All datasets an organization sees."""
    return await fetch_column(connection, DATASETS, [organization])


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

    A category with no labels matches nothing.
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
    """{category: [(label, images)]}, the most frequent first, of the images that `filters` find.

    folder_path: only this folder of each dataset, with everything below it. Without both, the counters answer; else
    every image that is counted is read.
    """
    groups = groups_of(filters or {}, match)
    if groups is None:
        return Facets()
    if not groups and folder_path in (None, "/"):
        return await count_whole(connection, datasets)
    return await count_in_rows(connection, datasets, folder_path, groups)


class TagIndex:
    """Answers from memory once that is filled, and from the lists until then. Made once; several tasks may ask."""

    def __init__(self, database: Database, *, memory_from: int = MEMORY_FROM) -> None:
        self._database = database
        self._memory_from = memory_from
        self._memory: TagMemory | None = None
        self._catching_up = asyncio.Lock()
        self._loading: asyncio.Task[None] | None = None
        self._look_again_at = 0.0

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
    ) -> list[TagHit]:
        """As `find_by_tags`, any combination and any depth at about the same cost.

        folder_path: only this folder of each dataset, with everything below it; that is asked of the rows themselves.
        """
        groups = groups_of(filters, match)
        if groups is None:
            return []
        page = Page(limit, offset, after)
        if folder_path is not None:
            return await find_contained(connection, datasets, filters, page, match=match, folder_path=folder_path)
        for _ in range(3):  # an image that changes between the two readings is seen in the rows: once more, then
            memory = await self._current(connection)
            if memory is None:
                break
            hits = await find_in_memory(connection, memory, datasets, groups, page)
            if hits is not None:
                return hits
        return await find_in_lists(connection, datasets, groups, page)

    async def count(
        self,
        connection: Connection,
        datasets: Sequence[DatasetId],
        filters: Mapping[TagCategory, Sequence[str]],
        *,
        match: TagMatch,
    ) -> int | None:
        """How many images `find` finds in all; None while the memory is not filled."""
        groups = groups_of(filters, match)
        if groups is None:
            return 0
        memory = await self._current(connection)
        return None if memory is None else count_in_memory(memory, datasets, groups)

    async def facet_counts(
        self,
        connection: Connection,
        datasets: Sequence[DatasetId],
        folder_path: str | None = None,
        filters: Mapping[TagCategory, Sequence[str]] | None = None,
        match: TagMatch = "any",
    ) -> Facets:
        """As `facet_counts`, also under a filter without reading a row."""
        groups = groups_of(filters or {}, match)
        is_counted = not groups and folder_path in (None, "/")
        memory = None if groups is None or is_counted else await self._current(connection)
        if memory is None or groups is None:
            return await facet_counts(connection, datasets, folder_path, filters, match)
        folders = None if folder_path in (None, "/") else await folders_below(connection, datasets, str(folder_path))
        return facets_in_memory(memory, datasets, folders, groups)

    async def load(self) -> None:
        """Fills the memory now; otherwise the first questions to a large library begin it, beside their answers."""
        self._memory = await load_memory(self._database)

    async def _current(self, connection: Connection) -> TagMemory | None:
        """The memory, brought to this moment; None if there is none yet."""
        async with self._catching_up:
            if self._memory is not None:
                try:
                    await catch_up(connection, self._memory)
                except TooLate:
                    self._memory = None
            if self._memory is None and await self._is_worth_loading(connection):
                self._loading = asyncio.create_task(self._load_beside())
            return self._memory

    async def _is_worth_loading(self, connection: Connection) -> bool:
        is_loading = self._loading is not None and not self._loading.done()
        if is_loading or time.monotonic() < self._look_again_at:
            return False
        self._look_again_at = time.monotonic() + LOOK_AGAIN_S
        return int(await fetch_value(connection, LIBRARY)) >= self._memory_from

    async def _load_beside(self) -> None:
        try:
            await self.load()
        except (PictographError, KeyError) as error:
            logger.warning("The tags could not be read into memory, searches go on without: %s", error)
