"""Carries a plan out, and keeps what it learned on the way, so that an answer can say what it is worth."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Final, Protocol

import numpy as np

from pictograph.db.pool import Connection, Database
from pictograph.encode.protocol import FloatArray
from pictograph.index.candidates import QueryKind
from pictograph.index.nearest import Neighbour, Scope
from pictograph.index.scopes import Place, find_place, scope_size
from pictograph.index.sized import nearest_of_all
from pictograph.index.tagged import StoredVector, TagFilter, nearest_tagged
from pictograph.search.planner import Costs, Option, Plan, plan, weigh
from pictograph.types import DatasetId, SpaceId

DEFAULT_COSTS: Final = Costs()
NOWHERE: Final = Place(0, [])
"""Of a scope that nobody has to know."""


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

    None if the candidates are not good enough. It comes last, outside of any transaction.
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
    ) -> list[Neighbour] | None: ...


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

    def __init__(self, database: Database, codes: CodeSearch | None = None, costs: Costs = DEFAULT_COSTS) -> None:
        self._database = database
        self._codes = codes
        self._costs = costs

    async def find(self, ask: Ask, steps: Steps) -> Found:
        """The answer, by the cheapest plan; by `exact` where the codes turn out not to suffice, which it then says."""
        place = NOWHERE  # where only one way is open, nobody has to know it before
        if self._codes_rows(ask.scope) is not None and not ask.exact:
            place = await self.place_of(ask.scope, steps)
        return await self.carry_out(ask, self.plan_of(ask, place.size), place, steps)

    async def place_of(self, scope: Scope, steps: Steps) -> Place:
        """How many findable images the scope has, and in which folders."""
        with steps.step("scope"):
            async with self._database.connection("generic") as connection:
                return await find_place(connection, scope)

    def plan_of(self, ask: Ask, size: int) -> Plan:
        """How a question about a scope of `size` images is answered."""
        return plan(size, *self._terms(ask), self._costs, exact=ask.exact)

    def options(self, ask: Ask, size: int) -> Sequence[Option]:
        """Every way that is open."""
        return weigh(size, *self._terms(ask), self._costs)

    async def exactly(self, ask: Ask, steps: Steps) -> Found:
        """The exact answer."""
        exact = replace(ask, exact=True)
        return await self.carry_out(exact, self.plan_of(exact, 0), NOWHERE, steps)

    async def carry_out(self, ask: Ask, by: Plan, place: Place, steps: Steps) -> Found:
        """The answer by this plan, or by `exact` where its codes do not suffice. place: where the scope lies."""
        if by.name == "codes" and self._codes:
            found = await self._by_codes(self._codes, ask, by, place, steps)
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
                    connection, ask.scope, ask.vector, threshold=ask.threshold, limit=ask.limit
                )
        return Found(found.rows, by, found.scope_size, found.scope_size, True, steps)

    async def _exactly_tagged(self, ask: Ask, by: Plan, steps: Steps) -> Found:
        async with self._database.snapshot() as connection:
            size = await scope_size(connection, ask.scope)
            found = await nearest_tagged(
                connection, ask.scope, size, ask.vector, ask.tags, threshold=ask.threshold, limit=ask.limit
            )
        return Found(found.rows, by, size, found.compared, True, steps)

    async def _by_codes(self, search: CodeSearch, ask: Ask, by: Plan, place: Place, steps: Steps) -> Found | str:
        """The answer, or why there is none."""
        scope, vector = ask.scope, ask.vector.to_numpy().astype(np.float32)
        with steps.step("candidates"):
            candidates = await search.codes.candidates(
                scope.space_id, scope.datasets, place.folder_ids, vector, by.candidates, kind=ask.kind
            )
        if candidates is None:
            return "the codes could not tell"
        # Tags strike out some of what is left: as much of it as may be asked for while some candidates are gone.
        limit = max(ask.limit, by.candidates // 2) if ask.tags.labels else ask.limit
        with steps.step("rerank"):
            async with self._database.connection("generic") as connection:
                nearest = await search.rerank(
                    connection, scope, ask.vector, candidates, threshold=ask.threshold, limit=limit
                )
        if nearest is None:
            return "too few of the codes' candidates were left"
        rows = [row for row in nearest if ask.tags.accepts(row.tags)][: ask.limit]
        if ask.tags.labels and len(rows) < ask.limit and len(nearest) >= limit:
            return f"the codes led to {len(rows)} of {ask.limit} rows with these tags"
        return Found(rows, by, by.size, by.size, True, steps)

    def _terms(self, ask: Ask) -> tuple[int, bool, int | None]:
        candidates = self._codes.over_fetch(ask.limit, ask.kind) if self._codes else 0
        return candidates, bool(ask.tags.labels), self._codes_rows(ask.scope)

    def _codes_rows(self, scope: Scope) -> int | None:
        return self._codes.codes.covers(scope.space_id, scope.datasets) if self._codes else None
