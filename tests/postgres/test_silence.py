"""A database that hangs: what waits for it is told, and it is used again when it answers."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from pictograph.db import silence
from pictograph.db.pool import Database
from pictograph.errors import DatabaseAway
from support.planting import Garden


class Line:
    """A way to the database that can be stopped: what comes is taken and not handed on."""

    def __init__(self, conninfo: str) -> None:
        self._to = conninfo_to_dict(conninfo)
        self._open = asyncio.Event()
        self._open.set()

    def stop(self) -> None:
        self._open.clear()

    def go_on(self) -> None:
        self._open.set()

    async def connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        host, port = str(self._to.get("host") or "127.0.0.1"), int(self._to.get("port") or 5432)
        if host.startswith("/"):
            theirs, ours = await asyncio.open_unix_connection(f"{host}/.s.PGSQL.{port}")
        else:
            theirs, ours = await asyncio.open_connection(host, port)
        await asyncio.gather(self._hand_on(reader, ours), self._hand_on(theirs, writer))

    async def _hand_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while part := await reader.read(65536):
                await self._open.wait()
                writer.write(part)
                await writer.drain()
        writer.close()


@pytest.fixture
async def line(garden: Garden) -> AsyncIterator[tuple[Line, Database]]:
    """The way, and a database behind it."""
    way = Line(garden.database.conninfo)
    server = await asyncio.start_server(way.connect, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    behind = Database(make_conninfo(garden.database.conninfo, host=host, port=port, sslmode="disable"))
    await behind.open()
    try:
        yield way, behind
    finally:
        way.go_on()
        await behind.close()
        server.close()


async def slept(database: Database, seconds: float) -> None:
    async with database.connection() as connection:
        await connection.execute("SELECT pg_sleep(%s)", [seconds])


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(silence, "LOOK_EVERY_S", 0.1)
    monkeypatch.setattr(silence, "LATE_S", 0.1)


async def test_who_waits_for_a_database_that_hangs_is_told_and_who_comes_later_is_served(
    line: tuple[Line, Database], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    way, database = line
    monkeypatch.setattr(silence, "ANSWER_WITHIN_S", 0.5)
    way.stop()
    async with asyncio.timeout(30):
        with pytest.raises(DatabaseAway):
            await slept(database, 0)
    assert any("does not answer" in message for message in caplog.messages)
    way.go_on()
    async with asyncio.timeout(60):
        while True:
            with contextlib.suppress(DatabaseAway):
                await slept(database, 0)
                break


async def test_a_statement_that_takes_long_is_left_alone_while_the_database_answers(
    line: tuple[Line, Database], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, database = line
    asked = 0
    ask = silence.ask

    async def counted(conninfo: str) -> None:
        nonlocal asked
        await ask(conninfo)
        asked += 1

    monkeypatch.setattr(silence, "ask", counted)
    await slept(database, 2)
    assert asked
