"""Connections: what cannot be had is named, and writers that meet are sorted out inside."""

from __future__ import annotations

import asyncio

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from pictograph.db import pool
from pictograph.db.pool import Connection, Database
from pictograph.errors import DatabaseAway, DatabaseRefused, StatementTimeout, WriteConflict
from support.planting import Garden

COUNT = "SELECT count(*) FROM dataset WHERE name LIKE 'met %'"


async def add(connection: Connection, garden: Garden, name: str) -> None:
    await connection.execute(
        "INSERT INTO dataset (id, organization_id, name) VALUES (gen_random_uuid(), %s, %s)",
        [garden.organization, name],
    )


async def count(database: Database) -> int:
    async with database.connection() as connection:
        row = await (await connection.execute(COUNT)).fetchone()
    return int(row[0])


async def test_a_transaction_that_met_another_writer_is_begun_anew_and_leaves_nothing_of_its_first_try(
    garden: Garden,
) -> None:
    tries = 0

    async def step(connection: Connection) -> str:
        nonlocal tries
        tries += 1
        await add(connection, garden, f"met {tries}")
        if tries < 3:
            raise psycopg.errors.DeadlockDetected("deadlock detected")
        return "done"

    assert await garden.database.write(step) == "done"
    assert tries == 3
    assert await count(garden.database) == 1


async def test_it_is_not_repeated_for_ever(garden: Garden, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "REPEAT_PAUSE_S", 0.0)
    tries = 0

    async def step(connection: Connection) -> None:
        nonlocal tries
        tries += 1
        raise psycopg.errors.SerializationFailure("could not serialize access")

    with pytest.raises(WriteConflict, match="Others are writing the same rows"):
        await garden.database.write(step)
    assert tries == pool.REPEATS


async def test_what_other_writers_did_not_cause_is_not_repeated(garden: Garden) -> None:
    tries = 0

    async def step(connection: Connection) -> None:
        nonlocal tries
        tries += 1
        await connection.execute("SET LOCAL statement_timeout = 1")
        await connection.execute("SELECT pg_sleep(5)")

    with pytest.raises(StatementTimeout):
        await garden.database.write(step)
    assert tries == 1


async def test_two_writers_that_wait_for_each_other_both_get_through(garden: Garden) -> None:
    """A true deadlock: each holds the row that the other wants."""
    for name in ("met a", "met b"):
        async with garden.database.connection() as connection:
            await add(connection, garden, name)
    both_hold_one = asyncio.Barrier(2)
    first = {"a": True, "b": True}

    async def writer(me: str, other: str) -> None:
        async def step(connection: Connection) -> None:
            await connection.execute("SET LOCAL deadlock_timeout = '20ms'")
            await connection.execute("UPDATE dataset SET description = %s WHERE name = %s", [me, f"met {me}"])
            if first.pop(me, False):
                await both_hold_one.wait()
            await connection.execute("UPDATE dataset SET description = %s WHERE name = %s", [me, f"met {other}"])

        await garden.database.write(step)

    async with asyncio.timeout(30):
        await asyncio.gather(writer("a", "b"), writer("b", "a"))


async def test_a_database_that_is_not_there_or_lets_nobody_in_is_named_and_not_called_busy(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool, "POOL_TIMEOUT_S", 1.0)
    for conninfo, expected in [
        ("host=127.0.0.1 port=1 dbname=none", DatabaseAway),
        (make_conninfo(database_url, dbname="no_such_database"), DatabaseRefused),
    ]:
        database = Database(conninfo)
        with pytest.raises(expected, match=expected.words[:20]):
            await database.open()
        await database.close()
