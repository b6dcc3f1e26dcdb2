"""Answers questions: finds the scope, waits for a vector where one is still to come, asks the index."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from pictograph.db.pool import Connection, Database
from pictograph.errors import EmbeddingFailed, EmbeddingPending, NotFoundError
from pictograph.index.nearest import Embedding, Neighbour, Reference, Scope, as_stored, find_reference, nearest_exact
from pictograph.index.spaces import Spaces
from pictograph.index.tags import TagHit, TagIndex, datasets_of
from pictograph.jobs.queue import Backlog
from pictograph.search.query import SimilarQuery, TagQuery, TextQuery, cursor_after
from pictograph.search.words import WordReaders
from pictograph.store.datasets import resolve_dataset
from pictograph.types import DatasetId, ImageId, ImageState, OrganizationId, TagCategory

PENDING_WAIT_S: Final = 10.0
"""How long a search waits for its reference image to be embedded."""
PENDING_POLL_S: Final = 0.05


@dataclass(frozen=True, slots=True)
class SimilarAnswer:
    """Images by falling similarity."""

    query: SimilarQuery
    folder_path: str
    """The scope that was searched: this folder and everything below it."""
    rows: list[Neighbour]


@dataclass(frozen=True, slots=True)
class TextAnswer:
    """Images by falling similarity to some words."""

    query: TextQuery
    rows: list[Neighbour]


@dataclass(frozen=True, slots=True)
class TagAnswer:
    """Images newest first."""

    query: TagQuery
    rows: list[TagHit]
    unknown_tags: list[str]
    """Asked for, but in no taxonomy: no image can carry them."""
    next_cursor: str | None
    """Where the next page begins; None on the last one."""


class SearchEngine:
    """Every search mode. `is_label(category, label)` says whether the taxonomy has a label."""

    def __init__(
        self,
        database: Database,
        backlog: Backlog,
        spaces: Spaces,
        words: WordReaders,
        is_label: Callable[[TagCategory, str], bool],
    ) -> None:
        self._database = database
        self._backlog = backlog
        self._spaces = spaces
        self._words = words
        self._is_label = is_label
        self._tags = TagIndex(database)

    async def by_similarity(self, organization: OrganizationId, query: SimilarQuery) -> SimilarAnswer:
        """Images like the reference, in its dataset and its folder (or `query.folder_path`), the reference left out.

        Raises NotFoundError, EmbeddingFailed, or EmbeddingPending after ten seconds of waiting.
        """
        reference, embedding = await self._embedded_reference(organization, query.image_id)
        folder = query.folder_path or reference.folder_path
        scope = Scope(
            embedding.space_id, [reference.dataset_id], folder, stretch=embedding.stretch, left_out=reference.id
        )
        async with self._database.connection() as connection:
            rows = await nearest_exact(
                connection, scope, embedding.vector, threshold=query.threshold, limit=query.limit
            )
        return SimilarAnswer(query, folder, rows)

    async def by_text(self, organization: OrganizationId, query: TextQuery) -> TextAnswer:
        """Images that show what the words say. Raises NotFoundError if `query.dataset` is unknown.

        Raises ValidationError if the encoder has no text side.
        """
        space = await self._spaces.active()
        if space is None:
            raise NotFoundError("There is no library here yet.")
        vector = as_stored(await self._words.of(space).vector_of(query.text))
        async with self._database.connection() as connection:
            datasets = await datasets_in(connection, organization, query.dataset)
            scope = Scope(space.id, datasets, query.folder_path or "/")
            rows = await nearest_exact(connection, scope, vector, threshold=query.threshold, limit=query.limit)
        return TextAnswer(query, rows)

    async def by_tag(self, organization: OrganizationId, query: TagQuery) -> TagAnswer:
        """Images that carry the tags. Raises NotFoundError if `query.dataset` is unknown."""
        async with self._database.connection() as connection:
            datasets = await datasets_in(connection, organization, query.dataset)
            rows = await self._tags.find(
                connection,
                datasets,
                query.filters,
                match=query.match,
                limit=query.limit + 1,  # one more tells whether there is a next page
                offset=query.offset,
                after=query.after,
            )
        page = rows[: query.limit]
        more = cursor_after(page[-1]) if len(rows) > query.limit else None
        return TagAnswer(query, page, self._unknown(query), more)

    def _unknown(self, query: TagQuery) -> list[str]:
        return [
            label
            for category, labels in query.filters.items()
            for label in labels
            if not self._is_label(category, label)
        ]

    async def _embedded_reference(self, organization: OrganizationId, image: ImageId) -> tuple[Reference, Embedding]:
        reference = await self._reference(organization, image)
        if reference.embedding is None:
            await self._backlog.hurry(image)
        deadline = asyncio.get_running_loop().time() + PENDING_WAIT_S
        while reference.embedding is None and asyncio.get_running_loop().time() < deadline:
            await asyncio.sleep(PENDING_POLL_S)
            reference = await self._reference(organization, image)
        if reference.embedding is not None:
            return reference, reference.embedding
        raise EmbeddingPending(
            f"Image {image} is still waiting to be embedded. Ask again in a moment.", retry_after_s=2
        )

    async def _reference(self, organization: OrganizationId, image: ImageId) -> Reference:
        async with self._database.connection() as connection:
            reference = await find_reference(connection, organization, image)
        if reference is None:
            raise NotFoundError(f"There is no image {image}.")
        if reference.state == ImageState.FAILED and reference.embedding is None:
            raise EmbeddingFailed(f"Image {image} could not be embedded: {reference.reason}")
        return reference


async def datasets_in(connection: Connection, organization: OrganizationId, reference: str | None) -> list[DatasetId]:
    """The one dataset asked for, or all that the organization has."""
    if reference is not None:
        return [await resolve_dataset(connection, organization, reference)]
    return await datasets_of(connection, organization)
