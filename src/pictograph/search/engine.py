"""Answers questions: finds the place, waits for a vector where one is still to come, asks the pipeline."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Final

import numpy as np

from pictograph.db.pool import Connection, Database
from pictograph.encode.protocol import FloatArray
from pictograph.errors import EmbeddingPending, NotFoundError
from pictograph.jobs.queue import Backlog
from pictograph.search.asked_tags import JudgedTags, TagNotes, notes_on
from pictograph.search.explain import Explanation, explain
from pictograph.search.filter import NO_CONDITIONS, Conditions, Filter, Place
from pictograph.search.found import Facets, Found, Hit, Likeness, Neighbour, Steps, Window
from pictograph.search.ground import Ground, Index
from pictograph.search.pictures import PictureVectors, Source
from pictograph.search.pipeline import Pipeline
from pictograph.search.query import PictureQuery, SimilarQuery, TagQuery, TextQuery
from pictograph.search.reference import Reference, find_reference
from pictograph.search.words import WordReaders
from pictograph.spaces.registry import Space, Spaces
from pictograph.store.datasets import datasets_of, resolve_dataset
from pictograph.store.folders import require_folder
from pictograph.store.images import fetch_image, require_bytes
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
from pictograph.types import TAG_CATEGORIES, DatasetId, OrganizationId, TagCategory, Tags
from pictograph.upload.box import Box

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
class PictureAnswer:
    """Images by falling similarity to a picture that is not stored."""

    query: PictureQuery
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
    rows: list[Hit]
    notes: TagNotes
    """On the tags that were asked for."""
    next_cursor: str | None
    """Where the next page begins; None on the last one."""
    total: int
    """Images that carry the tags, on whatever page."""


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
        index: Index | None = None,
        judged: JudgedTags | None = None,
        pictures: PictureVectors | None = None,
    ) -> None:
        """is_label: whether the taxonomy has a label. index: what is kept in memory; None asks the database alone.

        judged: which tags the running encoder can judge. pictures: encodes pictures that are not stored, and parts.
        """
        self._database = database
        self._backlog = backlog
        self._spaces = spaces
        self._words = words
        self._is_label = is_label
        self._judged = judged
        self._pictures = pictures or PictureVectors(None)
        self.pipeline = Pipeline(database, index)
        """Answers what has its place and its vector."""
        self._watchers: list[Callable[[Likeness, Found], None]] = []

    def watch(self, watcher: Callable[[Likeness, Found], None]) -> None:
        """Tells of every answer from now on, after it was found."""
        self._watchers.append(watcher)

    def close(self) -> None:
        """Ends the threads."""
        self.pipeline.close()

    async def by_similarity(self, organization: OrganizationId, query: SimilarQuery) -> SimilarAnswer:
        """Images like the reference, in its dataset and its folder (or `query.folder_path`), the reference left out.

        Raises NotFoundError, EmbeddingFailed, or EmbeddingPending after ten seconds of waiting.
        """
        steps = Steps()
        ask, ground = await self._ask_likeness(organization, query, steps)
        found, more = await self._page(ask, query, steps, ground)
        notes = await self._notes(query.conditions.tags.labels, found.rows)
        return SimilarAnswer(query, ask.wanted.place.folder_path, found, notes, more)

    async def by_text(self, organization: OrganizationId, query: TextQuery) -> TextAnswer:
        """Images that show what the words say. Raises NotFoundError if `query.dataset` is unknown.

        Raises ValidationError if the encoder has no text side.
        """
        steps = Steps()
        ask = await self._ask_words(organization, query, steps)
        found, more = await self._page(ask, query, steps)
        return TextAnswer(query, found, await self._notes(query.conditions.tags.labels, found.rows), more)

    async def by_image(self, organization: OrganizationId, source: Source, query: PictureQuery) -> PictureAnswer:
        """Images like a picture that is not stored, and of which nothing is kept. source: gives its bytes.

        Raises what `PictureVectors.vector_of` raises, and NotFoundError if `query.dataset` is unknown.
        """
        steps = Steps()
        with steps.step("datasets"):  # a question that names none is answered before a picture is read
            place = await self._place(organization, query.dataset, query.folder_path)
        with steps.step("picture"):
            space = await self._active_space()
            vector = as_stored(await self._pictures.vector_of(space, source, query.box))
        ask = Likeness(
            Filter(place, query.conditions), space.id, vector, query.threshold, query.limit,
            stretch=space.stretch, exact=query.exact,
        )  # fmt: skip
        found, more = await self._page(ask, query, steps)
        return PictureAnswer(query, found, await self._notes(query.conditions.tags.labels, found.rows), more)

    async def _page(
        self, ask: Likeness, query: SimilarQuery | TextQuery | PictureQuery, steps: Steps, ground: Ground | None = None
    ) -> tuple[Found, str | None]:
        """One page, and the cursor of the next. Raises ValidationError for a cursor of another question."""
        one_more = replace(ask, limit=ask.limit + 1)  # it tells whether others follow
        if query.cursor is not None:
            one_more = replace(one_more, beyond=read_beyond(query.cursor, key_of(ask, query)))
        found = await self.pipeline.nearest(one_more, steps, ground)
        for watcher in self._watchers:
            watcher(one_more, found)
        rows, last = page_of(found.rows, ask.limit)
        more = cursor_beyond(Beyond(last.distance, last.id), key_of(ask, query)) if last else None
        return replace(found, rows=rows), more

    async def explain(self, organization: OrganizationId, query: SimilarQuery | TextQuery) -> Explanation:
        """How the query is answered, and what every other way would have given. Raises as the search itself does."""
        steps = Steps()
        if isinstance(query, SimilarQuery):
            ask, _ = await self._ask_likeness(organization, query, steps)
        else:
            ask = await self._ask_words(organization, query, steps)
        notes = await notes_on(query.conditions.tags.labels, self._is_label, self._judged)
        return replace(await explain(self.pipeline, ask, steps), notes=notes)

    async def _ask_likeness(
        self, organization: OrganizationId, query: SimilarQuery, steps: Steps
    ) -> tuple[Likeness, Ground]:
        with steps.step("reference"):
            reference = await self._embedded_reference(organization, query)
        vector = reference.vector
        if query.box is not None:
            with steps.step("picture"):
                vector = await self._vector_of_part(organization, reference, query.box)
        place = Place([reference.dataset_id], reference.folder_path)
        ask = Likeness(
            Filter(place, query.conditions), reference.space, vector, query.threshold, query.limit,
            stretch=reference.stretch, exact=query.exact, left_out=reference.id,
        )  # fmt: skip
        return ask, reference.ground

    async def _ask_words(self, organization: OrganizationId, query: TextQuery, steps: Steps) -> Likeness:
        with steps.step("words"):
            space = await self._active_space()
            vector = as_stored(await self._words.of(space).vector_of(query.text))
        with steps.step("datasets"):
            place = await self._place(organization, query.dataset, query.folder_path)
        wanted = Filter(place, query.conditions)
        return Likeness(wanted, space.id, vector, query.threshold, query.limit, kind="text", exact=query.exact)

    async def _active_space(self) -> Space:
        """Raises NotFoundError before the first start."""
        space = await self._spaces.active()
        if space is None:
            raise NotFoundError("There is no library here yet.")
        return space

    async def _vector_of_part(self, organization: OrganizationId, reference: Reference, box: Box) -> FloatArray:
        """float32 (1152,), as the tables would hold it. Raises NoBytes for an image that was imported as a vector."""
        async with self._database.connection() as connection:
            image = require_bytes(await fetch_image(connection, organization, reference.id))
        space = await self._spaces.get(reference.space)
        if space is None:
            raise EmbeddingPending("The library has just moved to another encoder. Ask again.", retry_after_s=1)
        return as_stored(await self._pictures.vector_of_stored(space, image.sha256, box))

    async def by_tag(self, organization: OrganizationId, query: TagQuery) -> TagAnswer:
        """Images that carry the tags. Raises NotFoundError if `query.dataset` is unknown.

        Raises ValidationError for a cursor of another question.
        """
        place = await self._place(organization, query.dataset, query.folder_path)
        scope = (
            place.datasets if query.dataset is not None else None
        )  # a dataset that is made meanwhile changes nothing
        question = question_key("tags", organization, scope, asdict(query.conditions), query.folder_path)
        after = read_after(query.cursor, question) if query.cursor is not None else query.after
        window = Window(query.limit + 1, query.offset, after)  # one more tells whether there is a next page
        found = await self.pipeline.newest(Filter(place, query.conditions), window)
        page, last = page_of(found.rows, query.limit)
        more = cursor_after(After(last.created_at, last.id), question) if last else None
        return TagAnswer(query, page, await self._notes(query.filters, page), more, found.total)

    async def count_tags(
        self,
        organization: OrganizationId,
        dataset: str | None = None,
        folder_path: str | None = None,
        conditions: Conditions = NO_CONDITIONS,
    ) -> FacetAnswer:
        """Which tags the images carry, and how often. dataset: None asks the whole organization.

        folder_path: only this folder of each dataset, with everything below it. conditions: only images that are so.
        Raises NotFoundError if the dataset is unknown, ValidationError for a path that no folder can have.
        """
        place = await self._place(organization, dataset, canonical_folder(folder_path or "/"))
        facets = await self.pipeline.facets(Filter(place, conditions))
        counted: Tags = {kind: [tag for tag, n in facets.labels.get(kind, ()) if n] for kind in TAG_CATEGORIES}
        return FacetAnswer(facets, await notes_on(conditions.tags.labels, self._is_label, self._judged, [counted]))

    async def _place(self, organization: OrganizationId, dataset: str | None, folder_path: str | None) -> Place:
        """Raises NotFoundError if the dataset, or the folder, is unknown."""
        async with self._database.connection("generic") as connection:
            datasets = await datasets_in(connection, organization, dataset)
            await require_folder(connection, datasets, folder_path)
        return Place(datasets, folder_path or "/")

    async def _notes(self, asked: Mapping[TagCategory, Sequence[str]], rows: Sequence[Hit]) -> TagNotes:
        return await notes_on(asked, self._is_label, self._judged, (row.tags for row in rows))

    async def _embedded_reference(self, organization: OrganizationId, query: SimilarQuery) -> Reference:
        found = await self._reference(organization, query)
        if not isinstance(found, Reference):
            await self._backlog.hurry(query.image_id)
        deadline = asyncio.get_running_loop().time() + PENDING_WAIT_S
        while not isinstance(found, Reference) and asyncio.get_running_loop().time() < deadline:
            await asyncio.sleep(PENDING_POLL_S)
            found = await self._reference(organization, query)
        if isinstance(found, Reference):
            return found
        raise EmbeddingPending(
            f"Image {query.image_id} is still waiting to be embedded. Ask again in a moment.", retry_after_s=2
        )

    async def _reference(self, organization: OrganizationId, query: SimilarQuery) -> Reference | None:
        """None as long as the image waits to be embedded."""
        async with self._database.connection("generic") as connection:
            return await find_reference(
                connection, organization, query.image_id, query.folder_path, self.pipeline.view()
            )


def as_stored(vector: FloatArray) -> FloatArray:
    """A vector that comes from outside the tables, float32 (1152,), rounded as the tables hold it."""
    return vector.astype(np.float16).astype(np.float32)


def key_of(ask: Likeness, query: SimilarQuery | TextQuery | PictureQuery) -> str:
    """The question without its page, by what is compared: the vector itself, so that distances stay what they were."""
    place = ask.wanted.place
    # where none is named, a dataset made meanwhile changes nothing
    everywhere = not isinstance(query, SimilarQuery) and query.dataset is None
    vector = hashlib.sha256(ask.vector.tobytes()).hexdigest()
    datasets = None if everywhere else place.datasets
    return question_key(
        "likeness", ask.space, datasets, place.folder_path, ask.left_out, vector, ask.threshold, ask.exact,
        asdict(ask.wanted.conditions),
    )  # fmt: skip


async def datasets_in(connection: Connection, organization: OrganizationId, reference: str | None) -> list[DatasetId]:
    """The one dataset asked for, or all that the organization has."""
    if reference is not None:
        return [await resolve_dataset(connection, organization, reference)]
    return await datasets_of(connection, organization)
