"""Connections to PostgreSQL, and the border where its errors become ours."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Final, Literal, Self, TypeAlias, TypeVar
from uuid import UUID

import psycopg
from pgvector.psycopg import register_vector_async
from psycopg import AsyncConnection
from psycopg.conninfo import conninfo_to_dict
from psycopg.types.json import set_json_loads
from psycopg_pool import AsyncConnectionPool, PoolClosed, PoolTimeout, TooManyRequests
from pydantic_core import from_json

from pictograph.db.faults import fault_of
from pictograph.db.silence import Silence
from pictograph.errors import (
    ConfigurationError,
    DatabaseAway,
    DatabaseBusy,
    RateLimitError,
    StorageFull,
    Unavailable,
    WriteConflict,
)

Connection: TypeAlias = AsyncConnection[Any]
Plans: TypeAlias = Literal["custom", "generic"]

SESSION_OPTIONS = "-c plan_cache_mode=force_custom_plan -c jit=off -c timezone=UTC -c application_name=pictograph"
"""Custom plans, because a generic plan cannot know how many rows a tag or a folder has."""
PLAN_AGAIN: Final = "SELECT set_config('plan_cache_mode', %s, false), set_config('enable_seqscan', %s, false)"
PLANNED: Final[dict[Plans, list[str]]] = {
    "custom": ["force_custom_plan", "on"],
    "generic": ["force_generic_plan", "off"],
}
KEEP_PLANS = "SET LOCAL plan_cache_mode = auto"
"""For transactions that write: foreign keys are checked row by row, and each check would be planned again, which takes
thirty times as long as the check."""
AUTHOR = "SELECT set_config('pictograph.author', %s, true)"
"""Triggers note who writes."""
KEEP_PLANS_AND_AUTHOR = "SELECT set_config('plan_cache_mode', 'auto', true), set_config('pictograph.author', %s, true)"
"""Both in one statement."""
POOL_TIMEOUT_S = 15.0
WAITING_PER_CONNECTION = 20
"""Requests that may wait for each connection: with statements of some 10 ms the last of them waits 0.2 s."""
RECONNECT_TIMEOUT_S = 4.0
"""The pool doubles its pauses while it reconnects, so after an outage it would stay away as long again. It gives up
early instead, and the next request makes it begin again."""


REPEATS: Final = 6
"""How often a transaction is repeated when other writers were in its way."""
REPEAT_PAUSE_S: Final = 0.02
"""Before the first repetition; doubled before each of the next, and half of it by chance."""

Result = TypeVar("Result")
author: ContextVar[UUID | None] = ContextVar("author", default=None)
"""Id of the API key on whose behalf this task writes: the database notes it beside what is written."""
unit_of_task: ContextVar[Unit | None] = ContextVar("unit", default=None)


@contextmanager
def database_errors() -> Iterator[None]:
    """The database's errors become ours (db/faults.py); bugs pass as they are. Too many requests: `RateLimitError`."""
    try:
        yield
    except TooManyRequests as error:
        message = "Too many requests wait for the database. Send this one again in a moment."
        raise RateLimitError(message, retry_after_s=1) from error
    except PoolTimeout as error:
        raise DatabaseBusy(
            "All connections to the database are in use. Try again in a moment.", retry_after_s=1
        ) from error
    except PoolClosed as error:
        raise DatabaseAway(f"{DatabaseAway.words}: {error}", retry_after_s=2) from error
    except psycopg.Error as error:
        fault = fault_of(error)
        if fault is None:
            raise
        raise fault from error


def pause_before_repeat(attempt: int, chance: float) -> float:
    """Seconds after so many attempts: 0.02, 0.04, 0.08 ... minus up to a half, so that those who met do not meet again.

    chance: 0 <= chance < 1, a random number.
    """
    return float(REPEAT_PAUSE_S * 2 ** (attempt - 1) * (1 - chance / 2))


@dataclass
class Attempts:
    """How the last attempt to connect ended."""

    fault: Unavailable | StorageFull | None = None
    """Why it failed; None if it did not."""

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Notes how the block ends."""
        try:
            yield
        except psycopg.Error as error:
            self.fault = fault_of(error)
            raise
        self.fault = None


def require_address(conninfo: str) -> None:
    """Raises ConfigurationError if it is no address of a database."""
    try:
        conninfo_to_dict(conninfo)
    except psycopg.ProgrammingError:  # its text quotes the address, password and all
        raise ConfigurationError(
            "The database's address cannot be read. Write it as postgresql://USER:PASSWORD@HOST:5432/NAME."
        ) from None


class PooledConnection(AsyncConnection[Any]):
    """A connection that remembers how it plans."""

    plans: Plans = "custom"

    @classmethod
    async def connect(cls, conninfo: str = "", **options: Any) -> Self:
        """As psycopg's; of the options, `attempts` is told how it ends: the pool only knows that time passed; and
        `silence` watches what was made."""
        attempts: Attempts = options.pop("attempts", None) or Attempts()
        silence: Silence | None = options.pop("silence", None)
        with attempts.watched():
            connection = await super().connect(conninfo, **options)
        if silence is not None:
            silence.add(connection)
        return connection

    async def plan(self, plans: Plans) -> None:
        """From now on plans statements so; costs a statement only when that changes."""
        if self.plans != plans:
            await self.execute(PLAN_AGAIN.encode(), PLANNED[plans])
            self.plans = plans


async def teach_types(connection: Connection) -> None:
    """Vectors, and JSON by a parser that takes a third of the time: every found row carries its tags as JSON."""
    await register_vector_async(connection)
    set_json_loads(from_json, connection)


class Database:
    """A pool of connections to one database; services.py and worker.py open one and pass it to all that run SQL."""

    def __init__(self, conninfo: str, *, max_connections: int = 10) -> None:
        require_address(conninfo)
        self.conninfo = conninfo
        self._checking: asyncio.Task[None] | None = None
        self._attempts = Attempts()
        self._silence = Silence(conninfo)
        self.full_at: float | None = None
        """When a write last found no room, as `time.monotonic` tells it."""
        self._pool = AsyncConnectionPool(
            conninfo,
            connection_class=PooledConnection,
            min_size=1,
            max_size=max_connections,
            max_waiting=max_connections * WAITING_PER_CONNECTION,
            timeout=POOL_TIMEOUT_S,
            reconnect_timeout=RECONNECT_TIMEOUT_S,
            open=False,
            configure=self._teach_types,
            kwargs={
                "options": SESSION_OPTIONS,
                "autocommit": True,
                "connect_timeout": 10,
                "attempts": self._attempts,
                "silence": self._silence,
            },
        )

    async def open(self) -> None:
        """Connects; raises Unavailable if that does not succeed."""
        with self._errors():
            try:
                await self._pool.open(wait=True, timeout=POOL_TIMEOUT_S)
            except BaseException:  # also when cancelled: a pool left open does not let the event loop end
                await self._pool.close()
                raise
        self._silence.begin()

    async def close(self) -> None:
        """Closes every connection."""
        if self._checking:
            await asyncio.wait([self._checking])
        await self._pool.close()
        await self._silence.end()

    @asynccontextmanager
    async def connection(self, plans: Plans = "custom") -> AsyncIterator[Connection]:
        """A connection in autocommit: for one statement that reads, or that writes one row.

        plans: `generic` for statements whose best plan does not depend on their values, and goes by indexes: it is made
        once for each connection. Making a new one takes longer than most searches.
        """
        unit = self._unit()
        if unit is not None and unit.connection is not None:
            with self._errors():
                yield unit.connection
        else:
            async with self._own_connection(plans) as connection:
                yield connection

    @asynccontextmanager
    async def _own_connection(self, plans: Plans = "custom") -> AsyncIterator[Connection]:
        with self._errors():
            try:
                async with self._pool.connection() as connection:
                    await connection.plan(plans)
                    yield connection
            except psycopg.OperationalError:
                self._replace_dead_connections()
                raise

    def _unit(self) -> Unit | None:
        unit = unit_of_task.get()
        return unit if unit is not None and unit.is_of(self) else None

    @asynccontextmanager
    async def atomically(self) -> AsyncIterator[Unit]:
        """One unit: every transaction that this task begins inside is committed at its end, together, or not at all.

        Until the first of them begins, `connection` works as ever; from then on all statements of this task go through
        the one connection, and see what was written. Tasks that are started inside stay outside.
        """
        async with AsyncExitStack() as opened:
            unit = Unit(self, opened)
            token = unit_of_task.set(unit)
            try:
                yield unit
            finally:
                unit_of_task.reset(token)
        for callback in unit.when_committed:
            callback()

    def when_committed(self, callback: Callable[[], object]) -> None:
        """Calls back once what this task has written is committed: at once, unless it is part of a unit."""
        unit = self._unit()
        if unit is None:
            callback()
        else:
            unit.when_committed.append(callback)

    @contextmanager
    def _errors(self) -> Iterator[None]:
        """As `database_errors`; who waited in vain is told why no connection could be made, if none could."""
        try:
            with database_errors():
                yield
        except StorageFull:
            self.full_at = time.monotonic()
            raise
        except DatabaseBusy as error:
            fault = self._attempts.fault
            if isinstance(error.__cause__, PoolTimeout) and fault is not None:
                raise type(fault)(fault.message, retry_after_s=fault.retry_after_s) from error.__cause__
            raise

    async def _teach_types(self, connection: Connection) -> None:
        with self._attempts.watched():
            await teach_types(connection)

    def _replace_dead_connections(self) -> None:
        """After one failed, the others are tried too: better than a query before every query."""
        if self._checking is None or self._checking.done():
            self._checking = asyncio.create_task(self._pool.check())

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection]:
        """A connection inside one transaction: all of it is committed at the end, or none."""
        async with self._begun() as connection:
            if (writer := author.get()) is not None:
                await connection.execute(AUTHOR, [str(writer)])
            yield connection

    @asynccontextmanager
    async def _begun(self) -> AsyncIterator[Connection]:
        unit = self._unit()
        if unit is not None:
            with self._errors():
                connection = await unit.begin()
                async with connection.transaction():
                    yield connection
        else:
            async with self._own_connection() as connection, connection.transaction():
                yield connection

    async def write(self, step: Callable[[Connection], Awaitable[Result]], *, keep_plans: bool = True) -> Result:
        """What `step` gives, which writes inside one transaction: all of it is committed at the end, or none.

        step: begun again, up to six times, where the database ended it in favour of other writers (deadlock,
        serialization failure); so it changes nothing outside the database that may not be done twice. keep_plans: as
        `KEEP_PLANS`; False where each statement is worth a plan of its own. Raises WriteConflict after the last time.
        """
        attempt = 0
        while True:
            try:
                async with self.writing() if keep_plans else self.transaction() as connection:
                    return await step(connection)
            except WriteConflict:
                attempt += 1
                if attempt == REPEATS:
                    raise
            await asyncio.sleep(pause_before_repeat(attempt, random.random()))

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[Connection]:
        """As `transaction`, with `KEEP_PLANS`: for few or many rows that others refer to."""
        async with self._begun() as connection:
            writer = author.get()
            if writer is None:
                await connection.execute(KEEP_PLANS)
            else:
                await connection.execute(KEEP_PLANS_AND_AUTHOR, [str(writer)])
            yield connection

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[Connection]:
        """A connection inside one transaction that only reads, and whose statements all see the same moment."""
        async with self._own_connection() as connection, connection.transaction():
            await connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            yield connection


class Unit:
    """What one task writes as a whole; see `Database.atomically`."""

    def __init__(self, database: Database, opened: AsyncExitStack) -> None:
        self._database = database
        self._opened = opened
        self._task = asyncio.current_task()
        self.connection: Connection | None = None
        """Inside the one transaction; None until something was written."""
        self.when_committed: list[Callable[[], object]] = []

    def is_of(self, database: Database) -> bool:
        """True for its own database and its own task."""
        return self._database is database and self._task is asyncio.current_task()

    async def begin(self) -> Connection:
        """The connection, inside the one transaction."""
        if self.connection is None:
            connection = await self._opened.enter_async_context(self._database._own_connection())
            await self._opened.enter_async_context(connection.transaction())
            self.connection = connection
        return self.connection
