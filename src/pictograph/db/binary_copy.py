"""Rows for PostgreSQL's binary COPY, laid out by NumPy: no Python runs for a single row of numbers.

Format: https://www.postgresql.org/docs/18/sql-copy.html#SQL-COPY-BINARY-FORMAT
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt
from psycopg import sql

from pictograph.db.pool import Connection

Bytes: TypeAlias = npt.NDArray[np.uint8]

HEADER: Final = b"PGCOPY\n\xff\r\n\0" + bytes(8)
TRAILER: Final = b"\xff\xff"
TO_YEAR_2000: Final = 946_684_800_000_000
"""Microseconds."""
SLICE: Final = 1024
"""Rows that are laid out together: few enough to stay in the processor's cache."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column of some rows."""

    name: str
    cells: Bytes
    """uint8 (N, W): each value in PostgreSQL's binary form, padded to W bytes where they differ in length."""
    sizes: npt.NDArray[np.int32] | None = None
    """int32 (N,): how many of the W bytes count; None: all."""


def raw(name: str, cells: Bytes) -> Column:
    """uuid or bytea: uint8 (N, W) as it is."""
    return Column(name, cells)


def integers(name: str, values: npt.NDArray[np.int64], sql_type: str) -> Column:
    """sql_type: `bigint` or `integer`."""
    big_endian = values.astype({"bigint": ">i8", "integer": ">i4"}[sql_type])
    return Column(name, big_endian.view(np.uint8).reshape(len(values), -1))


def moments(name: str, microseconds: npt.NDArray[np.int64]) -> Column:
    """timestamptz, from microseconds since 1970, UTC; PostgreSQL counts from 2000."""
    return integers(name, microseconds - TO_YEAR_2000, "bigint")


def constant(name: str, value: bytes, count: int) -> Column:
    """The same value, in its binary form, in every row."""
    return Column(name, np.broadcast_to(np.frombuffer(value, np.uint8), (count, len(value))))


def ragged(name: str, values: Sequence[bytes]) -> Column:
    """text, or jsonb (a byte 1, then its text): values of different lengths."""
    sizes = np.fromiter(map(len, values), np.int32, len(values))
    width = max(int(sizes.max(initial=1)), 1)
    cells = np.frombuffer(b"".join(value.ljust(width, b"\0") for value in values), np.uint8)
    return Column(name, cells.reshape(len(values), width), sizes)


def halfvecs(name: str, vectors: npt.NDArray[np.float16]) -> Column:
    """pgvector's halfvec: int16 dimension, int16 0, then the numbers; all big-endian.

    Source: halfvec_recv in https://github.com/pgvector/pgvector/blob/v0.8.0/src/halfvec.c
    """
    cells = np.empty((len(vectors), 2 + vectors.shape[1]), np.uint16)
    cells[:, 0], cells[:, 1] = vectors.shape[1], 0
    cells[:, 2:] = np.ascontiguousarray(vectors).view(np.uint16)
    return Column(name, cells.byteswap(inplace=True).view(np.uint8))


def laid_out(columns: Sequence[Column]) -> bytes:
    """The rows: for each its number of columns, then each value's length and its bytes."""
    count = len(columns[0].cells)
    rows = np.empty((count, 2 + sum(4 + column.cells.shape[1] for column in columns)), np.uint8)
    counts = np.ones(rows.shape, bool) if any(column.sizes is not None for column in columns) else None
    rows[:, :2] = np.array([len(columns)], ">i2").view(np.uint8)
    at = 2
    for column in columns:
        width = column.cells.shape[1]
        sizes = np.full(count, width, np.int32) if column.sizes is None else column.sizes
        rows[:, at : at + 4] = sizes.astype(">i4").view(np.uint8).reshape(count, 4)
        rows[:, at + 4 : at + 4 + width] = column.cells
        if counts is not None and column.sizes is not None:
            counts[:, at + 4 : at + 4 + width] = np.arange(width) < sizes[:, None]
        at += 4 + width
    return (rows if counts is None else rows[counts]).tobytes()


async def copy_rows(
    connection: Connection, table: str, count: int, columns_of: Callable[[slice], Sequence[Column]]
) -> None:
    """Appends `count` rows; `columns_of` gives the columns of a slice of them, always the same ones."""
    if not count:
        return
    names = [sql.Identifier(column.name) for column in columns_of(slice(0, 1))]
    statement = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT BINARY)").format(
        sql.Identifier(table), sql.SQL(", ").join(names)
    )
    async with connection.cursor() as cursor, cursor.copy(statement) as copy:
        await copy.write(HEADER)
        for start in range(0, count, SLICE):
            part = slice(start, min(start + SLICE, count))
            await copy.write(await asyncio.to_thread(lambda: laid_out(columns_of(part))))  # noqa: B023
        await copy.write(TRAILER)
