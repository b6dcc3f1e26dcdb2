"""Rows for PostgreSQL's binary COPY, laid out by NumPy: no Python runs for a single row of numbers.

Format: https://www.postgresql.org/docs/18/sql-copy.html#SQL-COPY-BINARY-FORMAT
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain
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
    """One column of some rows, each value in PostgreSQL's binary form."""

    name: str
    cells: Bytes | Sequence[bytes]
    """uint8 (N, W) where all have the same length, else one after the other."""


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
    return Column(name, values)


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
    begun: list[Bytes] = [np.broadcast_to(np.array([len(columns)], ">i2").view(np.uint8), (count, 2))]
    parts: list[Sequence[bytes]] = []
    for column in columns:
        if isinstance(column.cells, np.ndarray):
            length = np.array([column.cells.shape[1]], ">i4").view(np.uint8)
            begun += [np.broadcast_to(length, (count, 4)), column.cells]
        else:
            parts += [
                *([in_rows(begun)] if begun else []),
                [len(cell).to_bytes(4, "big") + cell for cell in column.cells],
            ]
            begun = []
    if begun and not parts:
        return np.concatenate(begun, axis=1).tobytes()
    parts += [in_rows(begun)] if begun else []
    return b"".join(chain.from_iterable(zip(*parts, strict=True)))


def in_rows(cells: Sequence[Bytes]) -> list[bytes]:
    """What stands side by side in each row, as bytes."""
    together = np.concatenate(cells, axis=1)
    width, data = together.shape[1], together.tobytes()
    return [data[start : start + width] for start in range(0, len(data), width)]


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
