"""Answers questions: finds the scope, waits for a vector where one is still to come, asks the index."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from pictograph.db.pool import Connection, Database
from pictograph.errors import EmbeddingFailed, EmbeddingPending, NotFoundError
from pictograph.index.nearest import Embedding, Neighbour, Reference, Scope, as_stored, find_reference
from pictograph.index.scopes import Place, no_folder, require_folder
from pictograph.index.tagged import TagFilter
from pictograph.index.tags import Facets, TagHit, TagIndex, datasets_of
from pictograph.jobs.queue import Backlog
from pictograph.search.asked_tags import JudgedTags, TagNotes, notes_on
from pictograph.search.execute import DEFAULT_COSTS, Ask, CodeSearch, Executor, Found, Steps
from pictograph.search.explain import Explanation, explain
from pictograph.search.planner import Costs
from pictograph.search.query import SimilarQuery, TagQuery, TextQuery
from pictograph.search.words import WordReaders
from pictograph.spaces.registry import Spaces
from pictograph.store.datasets import resolve_dataset
from pictograph.store.names import canonical_folder
from pictograph.store.pages import (
    After,
    Beyond,
    cursor_after,
    cursor_beyond,
    page_of,
    question_key,
    read_after,
    read_beyond,
)
from pictograph.types import TAG_CATEGORIES, DatasetId, ImageState, OrganizationId, TagCategory, Tags

PENDING_WAIT_S: Final = 10.0
"""How long a search waits for its reference image to be embedded."""
PENDING_POLL_S: Final = 0.05


@dataclass(frozen=True, slots=True)
class SimilarAnswer:
    """Images by falling similarity."""

    query: SimilarQuery
    folder_path: str
    """The scope that was searched: this folder and everything below it."""
    found: Found
    notes: TagNotes
    """On the tags that were asked for besides."""
    next_cursor: str | None
    """Where the next page begins; None on the last one."""

    @property
    def total(self) -> int | None:
        """How many rows there are in all, where this one page has them; else they are not counted."""
        return len(self.rows) if self.next_cursor is None and self.query.cursor is None else None

    @property
    def rows(self) -> list[Neighbour]:
        """What was found."""
        return self.found.rows


@dataclass(frozen=True, slots=True)
class TextAnswer:
    """Images by falling similarity to some words."""

    query: TextQuery
    found: Found
    notes: TagNotes
    """On the tags that were asked for besides."""
    next_cursor: str | None
    """Where the next page begins; None on the last one."""

    @property
    def total(self) -> int | None:
        """How many rows there are in all, where this one page has them; else they are not counted."""
        return len(self.rows) if self.next_cursor is None and self.query.cursor is None else None

    @property
    def rows(self) -> list[Neighbour]:
        """What was found."""
        return self.found.rows


@dataclass(frozen=True, slots=True)
class TagAnswer:
    """Images newest first."""

    query: TagQuery
    rows: list[TagHit]
    notes: TagNotes
    """On the tags that were asked for."""
    next_cursor: str | None
    """Where the next page begins; None on the last one."""
    total: int | None
    """Images that carry the tags, on whatever page; None while that would have to be counted one by one."""


@dataclass(frozen=True, slots=True)
class FacetAnswer:
    """Which tags some images carry, and how often."""

    facets: Facets
    notes: TagNotes
    """On the tags that were asked for."""


class SearchEngine:
    """Every search mode."""

    def __init__(
        self,
        database: Database,
        backlog: Backlog,
        spaces: Spaces,
        words: WordReaders,
        is_label: Callable[[TagCategory, str], bool],
        *,
        codes: CodeSearch | None = None,
        costs: Costs = DEFAULT_COSTS,
        judged: JudgedTags | None = None,
    ) -> None:
        """is_label: whether the taxonomy has a label. codes: short codes in memory, if any are kept.

        costs: what the steps of a search take on this machine. judged: which tags the running encoder can judge.
        """
        self._database = database
        self._backlog = backlog
        self._spaces = spaces
        self._words = words
        self._is_label = is_label
        self._judged = judged
        self._tags = TagIndex(database)
        self.executor = Executor(database, codes, costs, self._tags)
        """Answers what has its scope and its vector."""
        self._watchers: list[Callable[[Ask, Found], None]] = []

    def watch(self, watcher: Callable[[Ask, Found], None]) -> None:
        """Tells of every answer from now on, after it was found."""
        self._watchers.append(watcher)

    async def _find(self, ask: Ask, steps: Steps) -> Found:
        found = await self.executor.find(ask, steps)
        for watcher in self._watchers:
            watcher(ask, found)
        return found

    async def by_similarity(self, organization: OrganizationId, query: SimilarQuery) -> SimilarAnswer:
        """Images like the reference, in its dataset and its folder (or `query.folder_path`), the reference left out.

        Raises NotFoundError, EmbeddingFailed, or EmbeddingPending after ten seconds of waiting.
        """
        steps = Steps()
        ask = await self._ask_likeness(organization, query, steps)
        found, more = await self._page(ask, query, steps)
        notes = await self._notes(query.tags.labels, found.rows)
        return SimilarAnswer(query, ask.scope.folder_path, found, notes, more)

    async def by_text(self, organization: OrganizationId, query: TextQuery) -> TextAnswer:
        """Images that show what the words say. Raises NotFoundError if `query.dataset` is unknown.

        Raises ValidationError if the encoder has no text side.
        """
        steps = Steps()
        ask = await self._ask_words(organization, query, steps)
        found, more = await self._page(ask, query, steps)
        return TextAnswer(query, found, await self._notes(query.tags.labels, found.rows), more)

    async def _page(self, ask: Ask, query: SimilarQuery | TextQuery, steps: Steps) -> tuple[Found, str | None]:
        """One page, and the cursor of the next. Raises ValidationError for a cursor of another question."""
        one_more = replace(ask, limit=ask.limit + 1)  # it tells whether others follow
        if query.cursor is not None:
            one_more = replace(one_more, beyond=read_beyond(query.cursor, key_of(ask, query)))
        found = await self._find(one_more, steps)
        rows, last = page_of(found.rows, ask.limit)
        more = cursor_beyond(Beyond(last.distance, last.id), key_of(ask, query)) if last else None
        return replace(found, rows=rows), more

    async def explain(self, organization: OrganizationId, query: SimilarQuery | TextQuery) -> Explanation:
        """How the query is answered, and what every other way would have given. Raises as the search itself does."""
        steps = Steps()
        if isinstance(query, SimilarQuery):
            ask = await self._ask_likeness(organization, query, steps)
        else:
            ask = await self._ask_words(organization, query, steps)
        notes = await notes_on(query.tags.labels, self._is_label, self._judged)
        return replace(await explain(self.executor, ask, steps), notes=notes)

    async def _ask_likeness(self, organization: OrganizationId, query: SimilarQuery, steps: Steps) -> Ask:
        with steps.step("reference"):
            reference, embedding = await self._embedded_reference(organization, query)
        scope = Scope(
            embedding.space_id,
            [reference.dataset_id],
            reference.folder_path,
            stretch=embedding.stretch,
            left_out=reference.id,
        )
        place = Place(reference.scope_size, reference.folder_ids)
        return Ask(scope, embedding.vector, query.threshold, query.limit, "image", query.exact, query.tags, place)

    async def _ask_words(self, organization: OrganizationId, query: TextQuery, steps: Steps) -> Ask:
        with steps.step("words"):
            space = await self._spaces.active()
            if space is None:
                raise NotFoundError("There is no library here yet.")
            vector = as_stored(await self._words.of(space).vector_of(query.text))
        with steps.step("datasets"):
            async with self._database.connection("generic") as connection:
                datasets = await datasets_in(connection, organization, query.dataset)
                await require_folder(connection, datasets, query.folder_path)
        scope = Scope(space.id, datasets, query.folder_path or "/")
        return Ask(scope, vector, query.threshold, query.limit, "text", query.exact, query.tags)

    async def by_tag(self, organization: OrganizationId, query: TagQuery) -> TagAnswer:
        """Images that carry the tags. Raises NotFoundError if `query.dataset` is unknown.

        Raises ValidationError for a cursor of another question.
        """
        async with self._database.connection() as connection:
            datasets = await datasets_in(connection, organization, query.dataset)
            await require_folder(connection, datasets, query.folder_path)
            scope = datasets if query.dataset is not None else None  # a dataset that is made meanwhile changes nothing
            question = question_key("tags", organization, scope, query.filters, query.match, query.folder_path)
            found = await self._tags.find(
                connection,
                datasets,
                query.filters,
                match=query.match,
                limit=query.limit + 1,  # one more tells whether there is a next page
                offset=query.offset,
                after=read_after(query.cursor, question) if query.cursor is not None else query.after,
                folder_path=query.folder_path,
            )
        page, last = page_of(found.hits, query.limit)
        more = cursor_after(After(last.created_at, last.id), question) if last else None
        return TagAnswer(query, page, await self._notes(query.filters, page), more, found.total)

    async def count_tags(
        self,
        organization: OrganizationId,
        dataset: str | None = None,
        folder_path: str | None = None,
        tags: TagFilter | None = None,
    ) -> FacetAnswer:
        """Which tags the images carry, and how often. dataset: None asks the whole organization.

        folder_path: only this folder of each dataset, with everything below it. tags: only images that carry these.
        Raises NotFoundError if the dataset is unknown, ValidationError for a path that no folder can have.
        """
        folder, asked = canonical_folder(folder_path or "/"), tags or TagFilter()
        async with self._database.connection() as connection:
            datasets = await datasets_in(connection, organization, dataset)
            await require_folder(connection, datasets, folder)
            facets = await self._tags.facet_counts(connection, datasets, folder, asked.labels, asked.match)
        counted: Tags = {kind: [tag for tag, n in facets.labels.get(kind, ()) if n] for kind in TAG_CATEGORIES}
        return FacetAnswer(facets, await notes_on(asked.labels, self._is_label, self._judged, [counted]))

    async def _notes(self, asked: Mapping[TagCategory, Sequence[str]], rows: Sequence[Neighbour | TagHit]) -> TagNotes:
        return await notes_on(asked, self._is_label, self._judged, (row.tags for row in rows))

    async def _embedded_reference(
        self, organization: OrganizationId, query: SimilarQuery
    ) -> tuple[Reference, Embedding]:
        reference = await self._reference(organization, query)
        if reference.embedding is None:
            await self._backlog.hurry(query.image_id)
        deadline = asyncio.get_running_loop().time() + PENDING_WAIT_S
        while reference.embedding is None and asyncio.get_running_loop().time() < deadline:
            await asyncio.sleep(PENDING_POLL_S)
            reference = await self._reference(organization, query)
        if reference.embedding is not None:
            return reference, reference.embedding
        raise EmbeddingPending(
            f"Image {query.image_id} is still waiting to be embedded. Ask again in a moment.", retry_after_s=2
        )

    async def _reference(self, organization: OrganizationId, query: SimilarQuery) -> Reference:
        async with self._database.connection("generic") as connection:
            reference = await find_reference(connection, organization, query.image_id, query.folder_path)
        if reference is None:
            raise NotFoundError(f"There is no image {query.image_id}.")
        if reference.folder_ids is not None and not reference.folder_ids:
            raise no_folder(reference.folder_path)
        if reference.state == ImageState.FAILED and reference.embedding is None:
            raise EmbeddingFailed(f"Image {query.image_id} could not be embedded: {reference.reason}")
        return reference


def key_of(ask: Ask, query: SimilarQuery | TextQuery) -> str:
    """The question without its page, by what is compared: the vector itself, so that distances stay what they were."""
    scope, tags = ask.scope, ask.tags
    everywhere = isinstance(query, TextQuery) and query.dataset is None  # a dataset made meanwhile changes nothing
    vector = hashlib.sha256(ask.vector.to_numpy().tobytes()).hexdigest()
    datasets = None if everywhere else scope.datasets
    return question_key(
        "likeness", scope.space_id, datasets, scope.folder_path, scope.left_out, vector, ask.threshold, ask.exact,
        tags.labels, tags.match,
    )  # fmt: skip


async def datasets_in(connection: Connection, organization: OrganizationId, reference: str | None) -> list[DatasetId]:
    """The one dataset asked for, or all that the organization has."""
    if reference is not None:
        return [await resolve_dataset(connection, organization, reference)]
    return await datasets_of(connection, organization)
