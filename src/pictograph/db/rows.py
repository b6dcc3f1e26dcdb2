"""Ways to read an answer, so that no caller handles cursors."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeAlias, TypeVar

from psycopg.rows import class_row

from pictograph.db.pool import Connection

Row = TypeVar("Row")
ROWS_AT_ONCE: Final = 200
"""Of an answer that are made into objects before others have their turn."""
Values: TypeAlias = Mapping[str, Any] | Sequence[Any]
VALUES_AT_ONCE: Final = 1000


async def fetch_all(
    connection: Connection, row_type: type[Row], statement: str, values: Values = (), *, binary: bool = False
) -> list[Row]:
    """Every row, each as a `row_type` whose fields are named like the columns. binary: as for `fetch_one`."""
    async with connection.cursor(row_factory=class_row(row_type), binary=binary) as cursor:
        await cursor.execute(statement.encode(), values)
        rows = part = await cursor.fetchmany(ROWS_AT_ONCE)
        while len(part) == ROWS_AT_ONCE:
            await asyncio.sleep(0)
            part = await cursor.fetchmany(ROWS_AT_ONCE)
            rows += part
        return rows


async def fetch_one(
    connection: Connection, row_type: type[Row], statement: str, values: Values = (), *, binary: bool = False
) -> Row | None:
    """The first row, or None if there is none. binary: for rows with vectors, whose text takes half a millisecond."""
    async with connection.cursor(row_factory=class_row(row_type), binary=binary) as cursor:
        return await (await cursor.execute(statement.encode(), values)).fetchone()


async def fetch_tuple(connection: Connection, statement: str, values: Values = ()) -> tuple[Any, ...] | None:
    """The first row as a tuple, or None if there is none."""
    cursor = await connection.execute(statement.encode(), values)
    row: tuple[Any, ...] | None = await cursor.fetchone()
    return row


async def fetch_value(connection: Connection, statement: str, values: Values = ()) -> Any:
    """The first column of the first row, or None if there is none."""
    row = await fetch_tuple(connection, statement, values)
    return row[0] if row else None


async def fetch_column(connection: Connection, statement: str, values: Values = ()) -> list[Any]:
    """The first column of every row."""
    cursor = await connection.execute(statement.encode(), values)
    column: list[Any] = []
    while part := await cursor.fetchmany(VALUES_AT_ONCE):
        column += [row[0] for row in part]
        if len(part) < VALUES_AT_ONCE:
            break
        await asyncio.sleep(0)
    return column
