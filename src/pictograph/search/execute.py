"""Carries a plan out, and keeps what it learned on the way, so that an answer can say what it is worth."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Final, Protocol

import numpy as np

from pictograph.db.pool import Connection, Database
from pictograph.encode.protocol import FloatArray
from pictograph.index.candidates import ID_BYTES, QueryKind
from pictograph.index.nearest import Neighbour, Scope
from pictograph.index.scopes import Place, find_place, scope_size
from pictograph.index.sized import nearest_of_all
from pictograph.index.tagged import StoredVector, TagFilter, nearest_tagged
from pictograph.search.planner import Costs, Option, Plan, Terms, chosen, plan, weigh
from pictograph.store.pages import Beyond
from pictograph.types import DatasetId, SpaceId, TagCategory, TagMatch

DEFAULT_COSTS: Final = Costs()


class Codes(Protocol):
    """Short codes of vectors, held in memory."""

    def covers(self, space_id: SpaceId, dataset_ids: Collection[DatasetId]) -> int | None:
        """How many codes there are of these datasets; None if they are not here."""

    async def candidates(
        self,
        space_id: SpaceId,
        datasets: Collection[DatasetId],
        folder_ids: Sequence[int] | None,
        vector: FloatArray,
        count: int,
        *,
        kind: QueryKind,
    ) -> Any | None:
        """The `count` images in these folders (None: all) whose codes are nearest; None if the codes cannot tell.

        kind: what the vector was made of.
        """


class Rerank(Protocol):
    """The nearest of the candidates by their true vectors, and of all images that the codes have not seen.

    tags: what they must carry besides. None if the candidates are not good enough.
    It comes last, outside of any transaction.
    """

    async def __call__(
        self,
        connection: Connection,
        scope: Scope,
        vector: StoredVector,
        candidates: Any,
        *,
        threshold: float,
        limit: int,
        tags: TagFilter,
    ) -> list[Neighbour] | None: ...


class Carriers(Protocol):
    """Which images carry tags, from memory. Both give None while that is not filled. folder_path: with all below it."""

    async def count(
        self,
        connection: Connection,
        datasets: Sequence[DatasetId],
        filters: Mapping[TagCategory, Sequence[str]],
        *,
        match: TagMatch,
        folder_path: str | None = None,
    ) -> int | None:
        """How many."""

    async def carriers(
        self,
        connection: Connection,
        datasets: Sequence[DatasetId],
        filters: Mapping[TagCategory, Sequence[str]],
        *,
        match: TagMatch,
        folder_path: str | None = None,
    ) -> bytes | None:
        """Their ids, 16 bytes each."""


@dataclass(frozen=True, slots=True)
class CodeSearch:
    """What the plan `codes` needs: candidates from memory, then their rows from the database."""

    codes: Codes
    rerank: Rerank
    over_fetch: Callable[[int, QueryKind], int]
    """Candidates among which that many rows are."""


@dataclass(frozen=True, slots=True)
class Ask:
    """A question with its scope and its vector found."""

    scope: Scope
    vector: StoredVector
    threshold: float
    limit: int
    kind: QueryKind = "image"
    """What the vector was made of."""
    exact: bool = False
    """Only an exact answer will do."""
    tags: TagFilter = field(default_factory=TagFilter)
    place: Place | None = None
    """Of the scope, where it was found together with the vector."""
    beyond: Beyond | None = None
    """The last row of the page before: only rows behind it, compared exactly."""


@dataclass(frozen=True, slots=True)
class Whereabouts:
    """What is known of a question's scope before it is planned."""

    place: Place
    carriers: int | None = None
    """How many of its images carry the tags that are asked for; None if nobody can tell at once."""


NOWHERE: Final = Whereabouts(Place(0, []))
"""Of a scope that nobody has to know."""


class Steps:
    """How long each step took: name to milliseconds, in order."""

    def __init__(self) -> None:
        self.ms: dict[str, float] = {}
        self._started = time.perf_counter()

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Times what is inside; a step that happens twice adds up."""
        started = time.perf_counter()
        try:
            yield
        finally:
            self.ms[name] = self.ms.get(name, 0.0) + (time.perf_counter() - started) * 1000

    @property
    def total_ms(self) -> float:
        """Since these steps began."""
        return (time.perf_counter() - self._started) * 1000


@dataclass(frozen=True, slots=True)
class Found:
    """Rows, and what they are worth."""

    rows: list[Neighbour]
    plan: Plan
    scope_size: int
    """Findable images in the scope, the reference too if it lies there."""
    scanned: int
    """Images whose vector or code was compared; the others were ruled out by their tags."""
    complete: bool
    """Whether every image of the scope was considered."""
    steps: Steps

    @property
    def exact(self) -> bool:
        """Whether no other image can belong among the rows."""
        return self.plan.name == "exact"


class Executor:
    """Plans a question and answers it."""

    def __init__(
        self,
        database: Database,
        codes: CodeSearch | None = None,
        costs: Costs = DEFAULT_COSTS,
        carriers: Carriers | None = None,
    ) -> None:
        self._database = database
        self._codes = codes
        self._carriers = carriers
        self.costs = costs
        """What steps take here; may be replaced at any time."""

    async def find(self, ask: Ask, steps: Steps) -> Found:
        """The answer, by the cheapest plan; by `exact` where the codes turn out not to suffice, which it then says."""
        where = NOWHERE  # where only one way is open, nobody has to know it before
        if self._codes_rows(ask.scope) is not None and not ask.exact and ask.beyond is None:
            where = await self.survey(ask, steps)
        return await self.carry_out(ask, self.plan_of(ask, where), where, steps)

    async def survey(self, ask: Ask, steps: Steps) -> Whereabouts:
        """What there is to know before a plan."""
        if ask.place and not ask.tags.labels:
            return Whereabouts(ask.place)
        with steps.step("scope"):
            place = ask.place
            if place is None:
                async with self._database.connection("generic") as connection:
                    place = await find_place(connection, ask.scope)
            return Whereabouts(place, await self._count_carriers(ask))

    async def _count_carriers(self, ask: Ask) -> int | None:
        scope, tags = ask.scope, ask.tags
        if self._carriers is None or not tags.labels:
            return None
        async with self._database.connection() as connection:
            return await self._carriers.count(
                connection, scope.datasets, tags.labels, match=tags.match, folder_path=scope.folder_path
            )

    def plan_of(self, ask: Ask, where: Whereabouts) -> Plan:
        """How a question is answered."""
        terms = self._terms(ask, where)
        if ask.beyond is not None and not ask.exact:
            return chosen(weigh(terms, self.costs)[0], terms.size, "pages after the first are compared exactly")
        return plan(terms, self.costs, exact=ask.exact)

    def options(self, ask: Ask, where: Whereabouts) -> Sequence[Option]:
        """Every way that is open."""
        return weigh(self._terms(ask, where), self.costs)

    async def exactly(self, ask: Ask, steps: Steps) -> Found:
        """The exact answer."""
        exact = replace(ask, exact=True)
        return await self.carry_out(exact, self.plan_of(exact, NOWHERE), NOWHERE, steps)

    async def carry_out(self, ask: Ask, by: Plan, where: Whereabouts, steps: Steps) -> Found:
        """The answer by this plan, or by `exact` where its codes do not suffice."""
        if by.name == "codes" and self._codes:
            found = await self._by_codes(self._codes, ask, by, where.place, steps)
            if isinstance(found, Found):
                return found
            by = replace(by, name="exact", reason=f"{found}, so every vector was compared ({by.reason})")
        return await self._exactly(ask, by, steps)

    async def _exactly(self, ask: Ask, by: Plan, steps: Steps) -> Found:
        with steps.step("scan"):
            if ask.tags.labels:
                return await self._exactly_tagged(ask, by, steps)
            async with self._database.connection("generic") as connection:
                found = await nearest_of_all(
                    connection,
                    ask.scope,
                    ask.vector,
                    threshold=ask.threshold,
                    limit=ask.limit,
                    beyond=ask.beyond,
                )
        return Found(found.rows, by, found.scope_size, found.scope_size, True, steps)

    async def _exactly_tagged(self, ask: Ask, by: Plan, steps: Steps) -> Found:
        async with self._database.snapshot() as connection:
            size = await scope_size(connection, ask.scope)
            found = await nearest_tagged(
                connection,
                ask.scope,
                size,
                ask.vector,
                ask.tags,
                threshold=ask.threshold,
                limit=ask.limit,
                carriers=await self._few_carriers(connection, ask, size),
                beyond=ask.beyond,
            )
        return Found(found.rows, by, size, found.compared, True, steps)

    async def _few_carriers(self, connection: Connection, ask: Ask, size: int) -> bytes | None:
        """Ids of the images that carry the tags, where they are known and comparing all would take longer."""
        if self._carriers is None:
            return None
        scope, tags, costs = ask.scope, ask.tags, self.costs
        found = await self._carriers.carriers(
            connection, scope.datasets, tags.labels, match=tags.match, folder_path=scope.folder_path
        )
        all_us = size * (costs.exact_row_us + costs.filter_row_us)
        return found if found is not None and len(found) // ID_BYTES * costs.rerank_row_us <= all_us else None

    async def _by_codes(self, search: CodeSearch, ask: Ask, by: Plan, place: Place, steps: Steps) -> Found | str:
        """The answer, or why there is none."""
        scope, vector = ask.scope, ask.vector.to_numpy().astype(np.float32)
        with steps.step("candidates"):
            candidates = await search.codes.candidates(
                scope.space_id, scope.datasets, place.folder_ids, vector, by.candidates, kind=ask.kind
            )
        if candidates is None:
            return "the codes could not tell"
        with steps.step("rerank"):
            async with self._database.connection("generic") as connection:
                rows = await search.rerank(
                    connection,
                    scope,
                    ask.vector,
                    candidates,
                    threshold=ask.threshold,
                    limit=ask.limit,
                    tags=ask.tags,
                )
        if rows is None:
            return f"too few of the codes' candidates {'carry these tags' if ask.tags.labels else 'were left'}"
        return Found(rows, by, by.size, by.size, True, steps)

    def _terms(self, ask: Ask, where: Whereabouts) -> Terms:
        return Terms(
            size=where.place.size,
            rows=ask.limit,
            candidates=self._codes.over_fetch(ask.limit, ask.kind) if self._codes else 0,
            kind=ask.kind,
            codes_rows=self._codes_rows(ask.scope),
            filtered=bool(ask.tags.labels),
            carriers=where.carriers,
        )

    def _codes_rows(self, scope: Scope) -> int | None:
        return self._codes.codes.covers(scope.space_id, scope.datasets) if self._codes else None
