"""Reads what codes are made of, in one snapshot, and says up to where that snapshot is complete.

Every transaction below the watermark, `pg_snapshot_xmin`, has ended: a row it wrote is visible here or never will be.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final
from uuid import UUID

import numpy as np
import numpy.typing as npt

from pictograph.db.pool import Connection, Database
from pictograph.db.rows import fetch_column, fetch_tuple, fetch_value
from pictograph.encode.protocol import FloatArray
from pictograph.index.code_segments import Ids, Numbers
from pictograph.index.nearest import ERA
from pictograph.types import DIMENSION, SpaceId

CHUNK: Final = 2048
"""Images at a time: 14 MB while they are made into codes."""
SAMPLE: Final = 5000
"""Vectors that the middle, the spread and the range of the others are estimated from."""

ISOLATED: Final = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"
LOCK: Final = "LOCK TABLE image_embedding IN ACCESS SHARE MODE"
"""Before the snapshot, so that the era is the one of the table that it sees."""
# Rows that a restore brought may carry numbers of another cluster. They were there before the trigger was, so that all
# of them are visible to every snapshot that sees it; without it there is no watermark to trust.
SNAPSHOT: Final = f"""
SELECT pg_snapshot_xmin(s)::text::bigint, pg_snapshot_xmax(s)::text::bigint, {ERA},
       EXISTS (SELECT FROM pg_trigger WHERE tgrelid = 'image_embedding'::regclass
               AND tgname = 'image_embedding_stamp_change' AND tgenabled IN ('A', 'O'))
FROM pg_current_snapshot() s"""
LIVE_SPACES: Final = "SELECT id FROM space WHERE active OR building ORDER BY building"
COUNTS: Final = "SELECT dataset_id, count(*) FROM image_embedding WHERE space_id = %s GROUP BY dataset_id"
PENDING: Final = """
SELECT count(*) FROM (SELECT FROM image_embedding WHERE space_id = %s AND changed >= %s::text::xid8 LIMIT %s) pending"""
SAMPLED: Final = """
COPY (SELECT vector FROM image_embedding TABLESAMPLE SYSTEM (%(share)s) REPEATABLE (7)
      WHERE space_id = %(space)s LIMIT %(at_most)s) TO STDOUT (FORMAT BINARY)"""
COLUMNS: Final = "image_id, dataset_id, folder_id, vector"
ALL_ROWS: Final = f"""
COPY (SELECT {COLUMNS} FROM image_embedding
      WHERE space_id = %(space)s AND (changed < %(until)s::text::xid8 OR changed >= %(ahead)s::text::xid8)
        AND dataset_id <> ALL(%(left_out)s)
      ORDER BY dataset_id, folder_id) TO STDOUT (FORMAT BINARY)"""
CHANGED_ROWS: Final = f"""
COPY (SELECT {COLUMNS} FROM image_embedding
      WHERE space_id = %(space)s AND changed >= %(since)s::text::xid8 AND changed < %(until)s::text::xid8
        AND dataset_id <> ALL(%(left_out)s)) TO STDOUT (FORMAT BINARY)"""
LIVE_IDS: Final = """
COPY (SELECT image_id, folder_id FROM image_embedding WHERE space_id = %s) TO STDOUT (FORMAT BINARY)"""
BY_INDEX: Final = "SET LOCAL enable_sort = off"
"""Walks the index by scope: sorting rows of 2.3 kB would write all of them to disk."""

HEADER_BYTES: Final = 19
LENGTH: Final = ">i4"
ROW: Final = np.dtype(
    [("fields", ">i2"), ("n1", LENGTH), ("image", "S16"), ("n2", LENGTH), ("dataset", "S16"), ("n3", LENGTH),
     ("folder", ">i8"), ("n4", LENGTH), ("dimension", ">i2"), ("unused", ">i2"), ("vector", ">f2", DIMENSION)]
)  # fmt: skip
VECTOR_ROW: Final = np.dtype(
    [("fields", ">i2"), ("n1", LENGTH), ("dimension", ">i2"), ("unused", ">i2"), ("vector", ">f2", DIMENSION)]
)
ID_ROW: Final = np.dtype([("fields", ">i2"), ("n1", LENGTH), ("image", "S16"), ("n2", LENGTH), ("folder", ">i8")])


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What one transaction sees of `image_embedding`, all of it at one moment."""

    connection: Connection
    watermark: int
    """Rows changed by lower transactions are all visible here, as far as they exist at all."""
    ahead: int
    """No transaction of this cluster that is visible here has this number, or a higher one."""
    era: str
    guarded: bool
    """Whether the trigger that keeps `changed` true is there and on."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """Some images as the database has them."""

    ids: Ids
    datasets: Ids
    folders: Numbers
    raw: npt.NDArray[np.float16]
    """Big-endian float16 (N, 1152)."""

    def vectors(self) -> FloatArray:
        """float32 (N, 1152)."""
        return self.raw.astype(np.float32)


@asynccontextmanager
async def snapshot(database: Database) -> AsyncIterator[Snapshot]:
    """One moment of the table, for as long as the block takes."""
    async with database.transaction() as connection:
        await connection.execute(ISOLATED)
        await connection.execute(LOCK)
        found = await fetch_tuple(connection, SNAPSHOT) or (0, 0, "", False)
        yield Snapshot(connection, *found)


async def live_spaces(connection: Connection) -> list[SpaceId]:
    """The active space, then the one that is building."""
    return [SpaceId(space) for space in await fetch_column(connection, LIVE_SPACES)]


async def counts_by_dataset(connection: Connection, space: SpaceId) -> dict[UUID, int]:
    """Findable images of each dataset that has any."""
    return {row[0]: int(row[1]) for row in await (await connection.execute(COUNTS, [space])).fetchall()}


async def pending_rows(connection: Connection, space: SpaceId, watermark: int, at_most: int) -> int:
    """Rows changed since, counted up to `at_most`."""
    return int(await fetch_value(connection, PENDING, [space, str(watermark), at_most]))


async def sample_of(connection: Connection, space: SpaceId, rows: int) -> FloatArray:
    """Some of the space's vectors, float32 (N, 1152), N about 5000 or all there are. rows: how many there are."""
    percent = min(100.0, 100.0 * SAMPLE / max(rows, 1))
    vectors = np.zeros((0, DIMENSION), np.float32)
    for share in (percent, 100.0):  # a sample is of pages, and may miss a space that has few
        values: dict[str, object] = {"share": share, "space": space, "at_most": SAMPLE}
        chunks = [chunk["vector"] async for chunk in copied(connection, SAMPLED, values, VECTOR_ROW)]
        if chunks:
            return await asyncio.to_thread(lambda: np.concatenate(chunks).astype(np.float32))  # noqa: B023 awaited here
    return vectors


async def all_rows(at: Snapshot, space: SpaceId, left_out: list[UUID]) -> AsyncIterator[Loaded]:
    """Every row below the watermark, by dataset and folder."""
    await at.connection.execute(BY_INDEX)
    values = {"space": space, "until": str(at.watermark), "ahead": str(at.ahead), "left_out": left_out}
    async for chunk in copied(at.connection, ALL_ROWS, values, ROW):
        yield as_loaded(chunk)


async def changed_rows(at: Snapshot, space: SpaceId, since: int, left_out: list[UUID]) -> AsyncIterator[Loaded]:
    """The rows changed between another snapshot's watermark and this one's."""
    values = {"space": space, "since": str(since), "until": str(at.watermark), "left_out": left_out}
    async for chunk in copied(at.connection, CHANGED_ROWS, values, ROW):
        yield as_loaded(chunk)


async def live_ids(connection: Connection, space: SpaceId) -> tuple[Ids, Numbers]:
    """Every findable image and its folder."""
    chunks = [chunk async for chunk in copied(connection, LIVE_IDS, [space], ID_ROW)]
    return await asyncio.to_thread(ids_and_folders, chunks)


def ids_and_folders(chunks: Sequence[npt.NDArray[np.void]]) -> tuple[Ids, Numbers]:
    rows = np.concatenate(chunks) if chunks else np.zeros(0, ID_ROW)
    return rows["image"].copy(), rows["folder"].astype(np.int64)


def as_loaded(rows: npt.NDArray[np.void]) -> Loaded:
    return Loaded(rows["image"].copy(), rows["dataset"].copy(), rows["folder"].astype(np.int64), rows["vector"].copy())


async def copied(
    connection: Connection, statement: str, values: dict[str, object] | list[object], row: np.dtype[np.void]
) -> AsyncIterator[npt.NDArray[np.void]]:
    """A binary COPY as arrays of `row`, at most CHUNK rows each. Every column has a fixed width and is NOT NULL."""
    gathered, skipped = bytearray(), False
    async with connection.cursor() as cursor, cursor.copy(statement.encode(), values) as copy:
        async for data in copy:
            gathered += data
            if not skipped and len(gathered) >= HEADER_BYTES:
                del gathered[:HEADER_BYTES]
                skipped = True
            if len(gathered) >= CHUNK * row.itemsize:
                yield np.frombuffer(bytes(gathered), row, count=CHUNK)
                del gathered[: CHUNK * row.itemsize]
    whole = len(gathered) // row.itemsize  # what remains after these rows is the end mark
    if whole:
        yield np.frombuffer(bytes(gathered), row, count=whole)
