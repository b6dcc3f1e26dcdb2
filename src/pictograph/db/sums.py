"""Counts that are kept as changes, so that writers never wait for one another: their sum is the count."""

from __future__ import annotations

from typing import LiteralString

from pictograph.db.pool import Database
from pictograph.db.rows import fetch_value


async def add_up(database: Database, statement: LiteralString, at_a_time: int) -> int:
    """Replaces changes by their sums until few are left; how many rows that took. Safe beside any writer.

    statement: makes at most `limit` sums and returns how many rows it replaced; a transaction of its own each time.
    """
    total = 0
    while True:
        async with database.transaction() as connection:
            taken = int(await fetch_value(connection, statement, {"limit": at_a_time}))
        total += taken
        if taken < at_a_time:
            return total
