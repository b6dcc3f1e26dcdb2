"""Connections to PostgreSQL, and the border where its errors become ours."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Final, Literal, TypeAlias

import psycopg
from pgvector.psycopg import register_vector_async
from psycopg import AsyncConnection
from psycopg.types.json import set_json_loads
from psycopg_pool import AsyncConnectionPool, PoolClosed, PoolTimeout, TooManyRequests
from pydantic_core import from_json

from pictograph.errors import RateLimitError, Unavailable

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
"""For transactions that write: foreign keys are checked row by row, and each check would be planned anew, which takes
thirty times as long as the check."""
POOL_TIMEOUT_S = 15.0
WAITING_PER_CONNECTION = 20
"""Requests that may wait for each connection: with statements of some 10 ms the last of them waits 0.2 s."""
RECONNECT_TIMEOUT_S = 4.0
"""The pool doubles its pauses while it reconnects, so after an outage it would stay away as long again. It gives up
early instead, and the next request makes it begin anew."""


@contextmanager
def database_errors() -> Iterator[None]:
    """Too many requests: `RateLimitError`; lost connections: `Unavailable`; both may pass. Bugs pass as they are."""
    try:
        yield
    except TooManyRequests as error:
        message = "Too many requests wait for the database. Send this one again in a moment."
        raise RateLimitError(message, retry_after_s=1) from error
    except PoolTimeout as error:
        raise Unavailable("The database is busy. Try again in a moment.", retry_after_s=1) from error
    except (psycopg.OperationalError, psycopg.InterfaceError, PoolClosed) as error:
        raise Unavailable(f"The database cannot be reached: {first_line(error)}", retry_after_s=2) from error


def first_line(error: BaseException) -> str:
    """What went wrong, without the server's context lines."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


class PooledConnection(AsyncConnection[Any]):
    """A connection that remembers how it plans."""

    plans: Plans = "custom"

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
    """A pool of connections to one database. Opened once, in services.py, and handed to whoever writes SQL."""

    def __init__(self, conninfo: str, *, max_connections: int = 10) -> None:
        self.conninfo = conninfo
        self._checking: asyncio.Task[None] | None = None
        self._pool = AsyncConnectionPool(
            conninfo,
            connection_class=PooledConnection,
            min_size=1,
            max_size=max_connections,
            max_waiting=max_connections * WAITING_PER_CONNECTION,
            timeout=POOL_TIMEOUT_S,
            reconnect_timeout=RECONNECT_TIMEOUT_S,
            open=False,
            configure=teach_types,
            kwargs={"options": SESSION_OPTIONS, "autocommit": True, "connect_timeout": 10},
        )

    async def open(self) -> None:
        """Connects; raises Unavailable if that does not succeed."""
        with database_errors():
            try:
                await self._pool.open(wait=True, timeout=POOL_TIMEOUT_S)
            except BaseException:  # also when cancelled: a pool left open does not let the event loop end
                await self._pool.close()
                raise

    async def close(self) -> None:
        """Closes every connection."""
        if self._checking:
            await asyncio.wait([self._checking])
        await self._pool.close()

    @asynccontextmanager
    async def connection(self, plans: Plans = "custom") -> AsyncIterator[Connection]:
        """A connection in autocommit: for one statement.

        plans: `generic` for statements whose best plan does not depend on their values, and goes by indexes: it is made
        once for each connection. Making one anew takes longer than most searches.
        """
        with database_errors():
            try:
                async with self._pool.connection() as connection:
                    await connection.plan(plans)
                    yield connection
            except psycopg.OperationalError:
                self._replace_dead_connections()
                raise

    def _replace_dead_connections(self) -> None:
        """After one failed, the others are tried too: better than a query before every query."""
        if self._checking is None or self._checking.done():
            self._checking = asyncio.create_task(self._pool.check())

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection]:
        """A connection inside one transaction: all of it is committed at the end, or none."""
        async with self.connection() as connection, connection.transaction():
            yield connection

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[Connection]:
        """As `transaction`, with `KEEP_PLANS`: for few or many rows that others refer to."""
        async with self.transaction() as connection:
            await connection.execute(KEEP_PLANS)
            yield connection

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[Connection]:
        """A connection inside one transaction that only reads, and whose statements all see the same moment."""
        async with self.transaction() as connection:
            await connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            yield connection
