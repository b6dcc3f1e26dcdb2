"""A database that hangs is noticed: stopped, waiting for a dead disk, or on a machine that the network has lost.

PostgreSQL ends no statement of its own accord, and a statement may rightly take long. So while one waits, a new
connection is made: if not even that is answered, nobody is there, and all who wait are told.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
from typing import Any, Final
from weakref import WeakSet

import psycopg
from psycopg import AsyncConnection
from psycopg.pq import TransactionStatus

logger = logging.getLogger(__name__)

LOOK_EVERY_S: Final = 5.0
ANSWER_WITHIN_S: Final = 10.0
LATE_S: Final = 1.0
"""After we were stopped ourselves, an answer may wait to be read: then it is read before anything is ended."""


class Silence:
    """Watches the connections of one pool."""

    def __init__(self, conninfo: str) -> None:
        self._conninfo = conninfo
        self._made: WeakSet[AsyncConnection[Any]] = WeakSet()
        self._watching: asyncio.Task[None] | None = None

    def add(self, connection: AsyncConnection[Any]) -> None:
        """A new connection."""
        self._made.add(connection)

    def begin(self) -> None:
        """Watches from now on."""
        self._watching = asyncio.create_task(self._watch())

    async def end(self) -> None:
        """Watches no more."""
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.wait([self._watching])

    async def _watch(self) -> None:
        before: list[AsyncConnection[Any]] = []
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            waiting = [one for one in self._made if waits(one)]
            if any(one in before for one in waiting) and await self._nobody_answers():
                logger.error(
                    "The database does not answer: %d statements that were waiting for it were ended", len(waiting)
                )
                self._hang_up()
            before = waiting

    async def _nobody_answers(self) -> bool:
        """Whether not even a connection is answered; a refusal is an answer."""
        asking = asyncio.create_task(ask(self._conninfo))
        for seconds in (ANSWER_WITHIN_S, LATE_S):
            answered, _ = await asyncio.wait([asking], timeout=seconds)
            if answered:
                return False
        asking.cancel()
        await asyncio.wait([asking])
        return True

    def _hang_up(self) -> None:
        """Ends all connections as if the other side had: who waits gets an error, and the pool makes new ones."""
        for one in list(self._made):
            if not one.closed:
                with socket.socket(fileno=os.dup(one.fileno())) as shared, contextlib.suppress(OSError):
                    shared.shutdown(socket.SHUT_RDWR)


def waits(connection: AsyncConnection[Any]) -> bool:
    """Whether a statement of it is not answered yet."""
    return connection.pgconn.transaction_status == TransactionStatus.ACTIVE


async def ask(conninfo: str) -> None:
    """Returns once anything was answered."""
    try:
        async with await AsyncConnection.connect(conninfo) as connection:
            await connection.execute("SELECT 1")
    except psycopg.errors.ConnectionTimeout:
        await asyncio.Event().wait()
    except psycopg.Error:
        return
