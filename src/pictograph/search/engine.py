"""Answers questions: finds the place, waits for a vector where one is still to come, asks the pipeline."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from pictograph.db.pool import Database
from pictograph.jobs.queue import Backlog
from pictograph.search.asked_tags import JudgedTags, TagNotes, notes_on
from pictograph.search.collections import KnownCollections
from pictograph.search.examples import Resolved, Sources, aim_of, resolve, vector_of_part, when_embedded
from pictograph.search.explain import Explanation, explain
from pictograph.search.filter import NO_CONDITIONS, Conditions, Filter, Place
from pictograph.search.found import MOST_DISTANT, Facets, Found, Hit, Likeness, Listing, Neighbour, Slice, Steps, Window
from pictograph.search.ground import Ground, Index
from pictograph.search.orders import RELEVANCE
from pictograph.search.pictures import PictureVectors, Source
from pictograph.search.pipeline import Pipeline
from pictograph.search.query import PictureQuery, Query, Scope, SimilarQuery, TagQuery, TextQuery, scope_of
from pictograph.search.reference import Reference, find_reference
from pictograph.search.relevance import Asked, CalibrationOf, Relevance, Scales, relevance_of
from pictograph.search.words import WordReaders
from pictograph.spaces.registry import Space, Spaces
from pictograph.store.datasets import datasets_of, resolve_dataset
from pictograph.store.folders import require_folder
from pictograph.store.pages import (
    After,
    At,
    Beyond,
    cursor_after,
    cursor_at,
    cursor_beyond,
    page_of,
    question_key,
    read_after,
    read_at,
    read_beyond,
)
from pictograph.tagging.calibration import Calibration
from pictograph.types import AUTO, MAX_TOP, TAG_CATEGORIES, OrganizationId, SpaceId, TagCategory, Tags


@dataclass(frozen=True, slots=True)
class QueryAnswer:
    """A page of what was asked for."""

    query: Query
    rows: Sequence[Hit]
    """With examples, each is a `Neighbour`."""
    found: Found
    """How they were found."""
    folder_path: str
    """The scope that was searched: this folder, as a rule with everything below it."""
    notes: TagNotes
    """On the tags that were asked for."""
    next_cursor: str | None
    """Where the next page begins; None on the last one."""
    total: int | None
    """How many rows there are in all, on whatever page; None where they were not counted."""
    total_is_exact: bool = True
    values: Sequence[float | None] = ()
    """Where a fact orders the rows: that of each."""
    unknown: int = 0
    """Of the total, the rows of which the fact that orders them is not known."""
    cut_off: bool = False
    """Whether more images passed the threshold than a fact puts in order."""
    threshold: float | None = None
    """The least score of a row: what `auto` has become; None: nothing was cut."""
    relevance: Relevance | None = None
    """What the scores are worth; None without examples, and where only a count was wanted."""


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
    threshold: float
    """The lowest score of a row: what `auto` has become."""
    relevance: Relevance | None
    """What the scores are worth."""

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
    threshold: float
    """The lowest score of a row: what `auto` has become."""
    relevance: Relevance | None
    """What the scores are worth."""

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
    threshold: float
    """The lowest score of a row: what `auto` has become."""
    relevance: Relevance | None
    """What the scores are worth."""

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
        calibration_of: CalibrationOf | None = None,
        ordinary_words: Sequence[str] = (),
    ) -> None:
        """is_label: whether the taxonomy has a label. index: what is kept in memory; None asks the database alone.

        judged: which tags the running encoder can judge. pictures: encodes pictures that are not stored, and parts.
        calibration_of: what is stored of a space. ordinary_words: those that scores of words are compared with.
        """
        self._database = database
        self._backlog = backlog
        self._is_label = is_label
        self._judged = judged
        self._sources = Sources(database, backlog, spaces, words, pictures or PictureVectors(None))
        self.pipeline = Pipeline(database, index)
        """Answers what has its place and its vector."""
        self.scales = Scales(self.pipeline, words, calibration_of or no_calibration, ordinary_words)
        """What the scores of a scope are worth."""
        self.collections = KnownCollections(database)
        """Finds the collection that a question names; whoever asks the pipeline without this class does so first."""
        self._watchers: list[Callable[[Likeness, Found], None]] = []

    def watch(self, watcher: Callable[[Likeness, Found], None]) -> None:
        """Tells of every answer from now on, after it was found."""
        self._watchers.append(watcher)

    def close(self) -> None:
        """Ends the threads."""
        self.pipeline.close()

    async def query(self, organization: OrganizationId, query: Query) -> QueryAnswer:
        """A page of the images that are meant, in the order that is asked for.

        Raises NotFoundError, ValidationError, EmbeddingFailed, or EmbeddingPending after ten seconds of waiting.
        """
        query = replace(query, conditions=await self.collections.found(organization, query.conditions))
        steps = Steps()
        if not query.examples:
            return await self._listed(organization, query, steps)
        asked = await self._ask(organization, query, steps)
        ask, ground = asked.ask, asked.ground
        if query.count_only:
            count, found = await self.pipeline.count(ask, steps, ground)
            total = count if query.top is None else min(count, query.top)
            threshold = threshold_of(ask, query)
            return await self._answer(
                ask.wanted, query, (), found, ask.space, next_cursor=None, total=total, threshold=threshold
            )
        if query.is_listing or query.top is not None:
            return await self._cut(asked, query, steps)
        found, more = await self._page(ask, query, steps, ground)
        whole, cuts = more is None and query.cursor is None, ask.farthest < MOST_DISTANT
        return await self._answer(
            ask.wanted, query, found.rows, found, ask.space, next_cursor=more,
            total=len(found.rows) if whole else None if cuts else found.scanned - found.left_out,
            total_is_exact=found.exact or not cuts, threshold=threshold_of(ask, query),
            relevance=await self._relevance(asked, query, found, more),
        )  # fmt: skip

    async def by_similarity(self, organization: OrganizationId, query: SimilarQuery) -> SimilarAnswer:
        """Images like the reference, in its dataset and its folder (or `query.folder_path`), the reference left out.

        Raises NotFoundError, EmbeddingFailed, or EmbeddingPending after ten seconds of waiting.
        """
        answer = await self.query(organization, query.whole)
        return SimilarAnswer(
            query, answer.folder_path, answer.found, answer.notes, answer.next_cursor, answer.threshold or 0.0,
            answer.relevance,
        )  # fmt: skip

    async def by_text(self, organization: OrganizationId, query: TextQuery) -> TextAnswer:
        """Images that show what the words say. Raises NotFoundError if `query.dataset` is unknown.

        Raises ValidationError if the encoder has no text side.
        """
        answer = await self.query(organization, query.whole)
        return TextAnswer(
            query, answer.found, answer.notes, answer.next_cursor, answer.threshold or 0.0, answer.relevance
        )

    async def by_image(self, organization: OrganizationId, source: Source, query: PictureQuery) -> PictureAnswer:
        """Images like a picture that is not stored, and of which nothing is kept. source: gives its bytes.

        Raises what `PictureVectors.vector_of` raises, and NotFoundError if `query.dataset` is unknown.
        """
        answer = await self.query(organization, query.whole(source))
        return PictureAnswer(
            query, answer.found, answer.notes, answer.next_cursor, answer.threshold or 0.0, answer.relevance
        )

    async def _page(self, ask: Likeness, query: Query, steps: Steps, ground: Ground | None) -> tuple[Found, str | None]:
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

    async def _relevance(self, asked: Asked, query: Query, found: Found, next_cursor: str | None) -> Relevance:
        """What the answer says of its scores. By a fact, its first row is not the best."""
        scale = None
        if query.percentiles and not query.is_mixed:
            with found.steps.step("scale"):
                scale = await self.scales.scale(asked, found.scope_size)
        return relevance_of(
            asked.ask, found, first=query.cursor is None and not query.is_listing, more=next_cursor is not None,
            fit=asked.fit, cut=asked.cut, scale=scale,
        )  # fmt: skip

    async def _cut(self, asked: Asked, query: Query, steps: Steps) -> QueryAnswer:
        """Relevance first, then a fact, or only the best by relevance."""
        ask, ground = asked.ask, asked.ground
        question = key_of(ask, query)
        listing = listing_of(query, question)
        kept = await self.pipeline.cut(replace(ask, limit=query.top or MAX_TOP), listing, steps, ground)
        rows, more = next_page(kept.page, query, question)
        values = () if query.order == RELEVANCE else kept.page.values[: len(rows)]
        found = replace(kept.found, rows=kept.found.rows[: len(rows)])
        cut_off = kept.cut_off and query.top is None
        return await self._answer(
            ask.wanted, query, found.rows, found, ask.space, values=values, next_cursor=more, total=kept.page.total,
            total_is_exact=found.exact or kept.page.total == query.top, unknown=kept.page.unknown, cut_off=cut_off,
            threshold=threshold_of(ask, query), relevance=await self._relevance(asked, query, found, more),
        )  # fmt: skip

    async def _listed(self, organization: OrganizationId, query: Query, steps: Steps) -> QueryAnswer:
        """Without examples: a fact orders what the filter means."""
        place = await self._place(organization, query.scope, steps)
        wanted = Filter(place, query.conditions)
        datasets = None if query.scope.datasets is None else place.datasets
        question = question_key(
            "facts", organization, datasets, place.folder_path, place.recursive, asdict(query.conditions), query.order,
            query.descending,
        )  # fmt: skip
        page, found = await self.pipeline.listed(wanted, listing_of(query, question), steps)
        rows, more = next_page(page, query, question) if not query.count_only else ((), None)
        return await self._answer(
            wanted, query, rows, found, None, values=page.values[: len(rows)], next_cursor=more, total=page.total,
            unknown=page.unknown,
        )  # fmt: skip

    async def _answer(
        self, wanted: Filter, query: Query, rows: Sequence[Hit], found: Found, space: SpaceId | None, **page: Any
    ) -> QueryAnswer:
        notes = await self._notes(wanted, rows, space)
        return QueryAnswer(query, rows, found, wanted.place.folder_path, notes, **page)

    async def explain(self, organization: OrganizationId, query: SimilarQuery | TextQuery) -> Explanation:
        """How the query is answered, and what every other way would have given. Raises as the search itself does."""
        steps = Steps()
        whole = query.whole
        whole = replace(whole, conditions=await self.collections.found(organization, whole.conditions))
        asked = await self._ask(organization, whole, steps)
        notes = await self._notes(asked.ask.wanted, (), asked.ask.space)
        return replace(await explain(self.pipeline, asked.ask, steps), notes=notes)

    async def _ask(self, organization: OrganizationId, query: Query, steps: Steps) -> Asked:
        """The question with its vector, its place and its threshold; the ground, where it was read with them."""
        asked = await self._aimed(organization, query, steps)
        if query.threshold != AUTO:
            return asked
        with steps.step("scale"):
            cut = await self.scales.cut(asked)
        return replace(asked, ask=replace(asked.ask, threshold=cut.score), cut=cut)

    async def _aimed(self, organization: OrganizationId, query: Query, steps: Steps) -> Asked:
        if query.scope.of_reference:
            with steps.step("reference"):
                reference = await self._embedded_reference(organization, query)
            vector, box = reference.vector, query.examples[0].box
            if box is not None:
                with steps.step("picture"):
                    vector = await vector_of_part(self._sources, organization, reference.space, reference.id, box)
            place = Place([reference.dataset_id], reference.folder_path, query.scope.recursive)
            examples = [Resolved(vector, "image", image=reference.id)]
            ask = likeness(query, place, reference.space, examples, reference.stretch)
            ground = reference.ground if place.recursive else None  # which has the folders below, too
            return Asked(ask, reference.stretch, ground)
        has_picture = any(example.picture is not None for example in query.examples)
        early = await self._place(organization, query.scope, steps) if has_picture else None  # before it is read
        with steps.step(query.examples[0].step):
            space, examples = await resolve(self._sources, organization, query.examples)
            text, fit = query.examples[0].text, None
            if len(examples) == 1 and text is not None:
                fit = await self.scales.fit(space, text, examples[0].vector)
        place = early or await self._place(organization, query.scope, steps)
        ask = likeness(query, place, space.id, examples, space.stretch)
        if len(examples) == 1 and text is not None:
            return Asked(ask, 1.0, space=space, fit=fit)
        return Asked(ask, space.stretch)

    async def by_tag(self, organization: OrganizationId, query: TagQuery) -> TagAnswer:
        """Images that carry the tags. Raises NotFoundError if `query.dataset` is unknown.

        Raises ValidationError for a cursor of another question.
        """
        query = replace(query, besides=await self.collections.found(organization, query.besides))
        place = await self._place(organization, query.whole.scope)
        asked = query.whole.scope
        datasets = None if asked.datasets is None else place.datasets  # one made meanwhile changes nothing
        question = question_key(
            "tags", organization, datasets, asdict(query.conditions), query.folder_path, query.recursive
        )
        after = read_after(query.cursor, question) if query.cursor is not None else query.after
        window = Window(query.limit + 1, query.offset, after)  # one more tells whether there is a next page
        wanted = Filter(place, query.conditions)
        found = await self.pipeline.newest(wanted, window)
        page, last = page_of(found.rows, query.limit)
        more = cursor_after(After(last.created_at, last.id), question) if last else None
        return TagAnswer(query, page, await self._notes(wanted, page), more, found.total)

    async def count_tags(
        self,
        organization: OrganizationId,
        dataset: str | None = None,
        folder_path: str | None = None,
        conditions: Conditions = NO_CONDITIONS,
        *,
        datasets: Sequence[str] | None = None,
        recursive: bool = True,
    ) -> FacetAnswer:
        """Which tags the images carry, and how often. dataset: None asks the whole organization.

        folder_path: only this folder of each dataset, with everything below it. conditions: only images that are so.
        Raises NotFoundError if the dataset is unknown, ValidationError for a path that no folder can have.
        """
        conditions = await self.collections.found(organization, conditions)
        place = await self._place(organization, scope_of(dataset, folder_path, datasets, recursive=recursive))
        wanted = Filter(place, conditions)
        facets = await self.pipeline.facets(wanted)
        counted: Tags = {kind: [tag for tag, n in facets.labels.get(kind, ()) if n] for kind in TAG_CATEGORIES}
        return FacetAnswer(facets, await self._notes_on(wanted, [counted]))

    async def _place(self, organization: OrganizationId, scope: Scope, steps: Steps | None = None) -> Place:
        """Raises NotFoundError if a dataset, or the folder, is unknown."""
        with (steps or Steps()).step("datasets"):
            return await self._located(organization, scope)

    async def _located(self, organization: OrganizationId, scope: Scope) -> Place:
        async with self._database.connection("generic") as connection:
            if scope.datasets is None:
                datasets = await datasets_of(connection, organization)
            else:
                named = [await resolve_dataset(connection, organization, name) for name in scope.datasets]
                datasets = list(dict.fromkeys(named))
            await require_folder(connection, datasets, scope.folder_path)
        return Place(datasets, scope.folder_path or "/", scope.recursive)

    async def _notes(self, wanted: Filter, rows: Sequence[Hit], space: SpaceId | None = None) -> TagNotes:
        """What to say of a filter's tags and facts. space: of a search by likeness or by words."""
        return await self._notes_on(wanted, (row.tags for row in rows), space)

    async def _notes_on(self, wanted: Filter, found: Iterable[Tags], space: SpaceId | None = None) -> TagNotes:
        """found: the tags of images that were found."""
        notes = await notes_on(wanted.conditions.tags.labels, self._is_label, self._judged, found)
        return replace(notes, undecided=await self.pipeline.undecided(wanted, space))

    async def _embedded_reference(self, organization: OrganizationId, query: Query) -> Reference:
        """The one example, with the ground of its place: one statement has both."""
        image, folder_path = query.examples[0].image_id, query.scope.folder_path
        if image is None:
            raise AssertionError("only an indexed image has a place")

        async def look() -> Reference | None:
            async with self._database.connection("generic") as connection:
                return await find_reference(connection, organization, image, folder_path, self.pipeline.view())

        return await when_embedded(look, self._backlog, [image])


def likeness(query: Query, place: Place, space: SpaceId, examples: Sequence[Resolved], stretch: float) -> Likeness:
    """The question as the pipeline answers it."""
    aim = aim_of(examples, stretch)
    given = query.threshold if query.threshold != AUTO else None  # which is put in later
    least = given if given is not None else 0.0 if not aim.positives else -math.inf
    left_out = tuple(dict.fromkeys(one.image for one in examples if one.image is not None))
    return Likeness(
        Filter(place, query.conditions), space, aim.vector, least, query.limit, stretch=aim.stretch, kind=aim.kind,
        exact=query.exact, left_out=left_out, best=aim.best, positives=aim.positives,
    )  # fmt: skip


def threshold_of(ask: Likeness, query: Query) -> float | None:
    """The least score of a row, if there is one."""
    return None if query.threshold is None else ask.threshold


async def no_calibration(_space: Space) -> Calibration | None:
    """For an engine that nobody gave any."""
    return None


def listing_of(query: Query, question: str) -> Listing:
    """With one row more, which tells whether others follow."""
    after = read_at(query.cursor, question) if query.cursor is not None else None
    descending = query.descending and query.order != RELEVANCE  # the nearest have the least distance
    return Listing(query.order, descending, query.limit + 1, after)


def next_page(page: Slice, query: Query, question: str) -> tuple[Sequence[Hit], str | None]:
    """The rows of the page, and the cursor of the next."""
    rows, last = page_of(page.rows, query.limit)
    return rows, cursor_at(At(page.values[len(rows) - 1], last.id), question) if last else None


def key_of(ask: Likeness, query: Query) -> str:
    """The question without its page, by what is compared: the vector itself, so that distances stay what they were."""
    place = ask.wanted.place
    everywhere = query.scope.datasets is None and not query.scope.of_reference  # one made meanwhile changes nothing
    vector = hashlib.sha256(ask.vector.tobytes()).hexdigest()
    datasets = None if everywhere else place.datasets
    conditions = None if ask.wanted.conditions.are_none else asdict(ask.wanted.conditions)
    return question_key(
        "likeness", ask.space, datasets, place.folder_path, place.recursive, ask.left_out, vector, ask.best,
        ask.stretch, query.threshold, ask.exact, conditions, query.order, query.descending, query.top,
    )  # fmt: skip
