"""Carries a plan out. Count and rows come from one snapshot, so that what an answer says of itself is true."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Final, Protocol

from pictograph.db.pool import Connection, Database
from pictograph.index.nearest import Neighbour, Scope, nearest_exact
from pictograph.index.scopes import folders_of, scope_size
from pictograph.index.tagged import StoredVector, TagFilter, nearest_tagged
from pictograph.search.planner import Costs, Plan, plan
from pictograph.types import DatasetId, SpaceId

DEFAULT_COSTS: Final = Costs()


class Codes(Protocol):
    """Short codes of vectors, held in memory."""

    def covers(self, space_id: SpaceId, dataset_ids: Sequence[DatasetId]) -> bool:
        """Whether the images of these datasets have their codes here."""

    async def candidates(
        self,
        space_id: SpaceId,
        datasets: Sequence[DatasetId],
        folder_ids: Sequence[int],
        vector: StoredVector,
        count: int,
    ) -> Any | None:
        """The `count` images in these folders with the nearest codes; None if the codes cannot tell (any more).

        Where the result has `scanned`, that is how many codes were compared.
        """


class Rerank(Protocol):
    """The nearest of the candidates by their true vectors: `nearest_by_codes`."""

    async def __call__(
        self,
        connection: Connection,
        scope: Scope,
        vector: StoredVector,
        candidates: Any,
        *,
        threshold: float,
        limit: int,
    ) -> list[Neighbour]: ...


@dataclass(frozen=True, slots=True)
class CodeSearch:
    """What the plan `codes` needs: candidates from memory, then their rows from the database."""

    codes: Codes
    rerank: Rerank


@dataclass(frozen=True, slots=True)
class Ask:
    """A question with its scope and its vector found."""

    scope: Scope
    vector: StoredVector
    threshold: float
    limit: int
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
class Moment:
    """One snapshot of the database, in which a scope has a size."""

    connection: Connection
    size: int
    """Findable images in the scope."""
    steps: Steps
    """Of what is done here."""


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
        self.costs = costs

    async def find(self, ask: Ask, steps: Steps) -> Found:
        """The answer, by the cheapest plan; by `exact` where the codes turn out not to suffice, which it then says."""
        async with self._database.snapshot() as connection:
            moment = await moment_of(connection, ask.scope, steps)
            return await self.carry_out(moment, ask, self.plan_of(ask, moment.size))

    def plan_of(self, ask: Ask, size: int) -> Plan:
        """How a question about a scope of `size` images is answered."""
        return plan(
            size, ask.limit, bool(ask.tags.labels), self.codes_rows(ask.scope, size), self.costs, exact=ask.exact
        )

    def codes_rows(self, scope: Scope, size: int) -> int | None:
        """Codes to compare for a scope of `size` images; None if they are not here."""
        return size if self._codes and self._codes.codes.covers(scope.space_id, scope.datasets) else None

    async def carry_out(self, moment: Moment, ask: Ask, by: Plan) -> Found:
        """The answer by this plan, or by `exact` where its codes do not suffice."""
        if by.name == "codes" and self._codes:
            found = await self._by_codes(self._codes, moment, ask, by)
            if isinstance(found, Found):
                return found
            by = replace(by, name="exact", reason=f"{found}, so every vector was compared ({by.reason})")
        return await self._exactly(moment, ask, by)

    async def _exactly(self, moment: Moment, ask: Ask, by: Plan) -> Found:
        connection, size, steps = moment.connection, moment.size, moment.steps
        with steps.step("scan"):
            if not ask.tags.labels:
                rows = await nearest_exact(connection, ask.scope, ask.vector, threshold=ask.threshold, limit=ask.limit)
                return Found(rows, by, size, size, True, steps)
            tagged = await nearest_tagged(
                connection, ask.scope, size, ask.vector, ask.tags, threshold=ask.threshold, limit=ask.limit
            )
        return Found(tagged.rows, by, size, tagged.compared, True, steps)

    async def _by_codes(self, search: CodeSearch, moment: Moment, ask: Ask, by: Plan) -> Found | str:
        """The answer, or why there is none."""
        scope, connection, steps = ask.scope, moment.connection, moment.steps
        with steps.step("scope"):
            folders = await folders_of(connection, scope)
        with steps.step("candidates"):
            candidates = await search.codes.candidates(
                scope.space_id, scope.datasets, folders, ask.vector, by.candidates
            )
        if candidates is None:
            return "the codes could not tell"
        # All candidates where tags strike some out, and no threshold yet: then a lack of rows is a lack of candidates.
        limit = by.candidates if ask.tags.labels else ask.limit
        with steps.step("rerank"):
            nearest = await search.rerank(connection, scope, ask.vector, candidates, threshold=0.0, limit=limit)
        carrying = [row for row in nearest if ask.tags.accepts(row.tags)][: ask.limit]
        if len(carrying) < ask.limit:
            return f"the codes led to {len(carrying)} of {ask.limit} rows"
        rows = [row for row in carrying if row.similarity >= ask.threshold]
        scanned = int(getattr(candidates, "scanned", moment.size))
        return Found(rows, by, moment.size, scanned, scanned >= moment.size, steps)


async def moment_of(connection: Connection, scope: Scope, steps: Steps) -> Moment:
    """The size of the scope in this snapshot."""
    with steps.step("count"):
        return Moment(connection, await scope_size(connection, scope), steps)
