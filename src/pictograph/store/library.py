"""A library knows its blob store by an id, which an object in the store carries too: another store is refused at start.

A worker that reads an empty folder would fail every image; a server that writes to another one would lose files.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final, TypeAlias
from uuid import UUID, uuid4

import psycopg

from pictograph.db.pool import Connection, Database
from pictograph.db.rows import fetch_column, fetch_one, fetch_value
from pictograph.errors import ConfigurationError
from pictograph.store.blobs import BlobStore
from pictograph.types import Sha256

logger = logging.getLogger(__name__)

SAMPLE: Final = 200
"""Files that are looked for before an existing library takes the store it finds at its first start."""
LOOKED_FOR_AT_ONCE: Final = 50
CHUNK: Final = 1000
LOCK: Final = "SELECT pg_advisory_lock(x'6c6962'::integer, 1)"
UNLOCK: Final = "SELECT pg_advisory_unlock(x'6c6962'::integer, 1)"
KNOWN: Final = "SELECT blob_store, location, confirmed FROM library"
CHOOSE: Final = """
INSERT INTO library (blob_store, location) VALUES (%(store)s, %(location)s)
ON CONFLICT (only_one) DO UPDATE SET blob_store = excluded.blob_store, location = excluded.location, confirmed = false,
                                     chosen_at = now()"""
CONFIRM: Final = "UPDATE library SET confirmed = true"
REFERENCED: Final = "FROM blob b WHERE b.has_bytes AND EXISTS (SELECT FROM image i WHERE i.sha256 = b.sha256)"
SOME: Final = f"SELECT b.sha256 {REFERENCED} ORDER BY random() LIMIT %s"
COUNT: Final = f"SELECT count(*) {REFERENCED}"
NEXT: Final = f"SELECT b.sha256 {REFERENCED} AND b.sha256 > %s ORDER BY b.sha256 LIMIT %s"
NAME_OF: Final = "SELECT filename FROM image WHERE sha256 = %s LIMIT 1"

Report: TypeAlias = Callable[[int, int], object]
"""Told how many of how many files were looked for."""
ADOPT: Final = "--adopt-blob-store"


@dataclass(frozen=True, slots=True)
class Chosen:
    """The store that the library has."""

    blob_store: UUID
    location: str
    confirmed: bool


async def require_own_blobs(
    database: Database, blobs: BlobStore, location: str, *, adopt: Report | None = None
) -> None:
    """Raises ConfigurationError, in one line, if the blob store is not the one that the library's files are in.

    The first store that a library opens becomes its own, if files it refers to are there. adopt: takes this store from
    now on, once every file that the library refers to was found in it; told of the progress. location: for messages.
    """
    async with alone(database) as connection:
        known, mark = await fetch_one(connection, Chosen, KNOWN), await blobs.mark()
        if known is not None and mark == known.blob_store:
            if not known.confirmed:
                await connection.execute(CONFIRM)
            return
        if adopt is not None:
            await require_all_files(connection, blobs, location, adopt)
            await take(connection, blobs, location, uuid4())
        elif known is not None and known.confirmed:
            raise another_store(known, mark, location)
        elif mark is not None:
            raise ConfigurationError(
                f"The blob store {location} belongs to another library, and two in one store would delete each other's "
                "files. Choose another --blob-url or --data-dir; if this database was restored from that library's "
                f"backup, start once with {ADOPT}."
            )
        else:
            await require_some_files(connection, blobs, location)
            await take(connection, blobs, location, known.blob_store if known else uuid4())


@asynccontextmanager
async def alone(database: Database) -> AsyncIterator[Connection]:
    """Two that start at once decide one after the other; what is decided is kept step by step, so no transaction."""
    async with database.connection() as connection:
        try:
            await connection.execute(LOCK)
            yield connection
        except psycopg.errors.UndefinedTable as error:
            raise ConfigurationError(
                "This database is of an older version. Start the service of this version first (pictograph serve)."
            ) from error
        finally:
            if not connection.closed:
                await connection.execute(UNLOCK)


async def take(connection: Connection, blobs: BlobStore, location: str, store: UUID) -> None:
    """Makes the store the library's own. Cut off in between, the next start goes on: the row comes first."""
    await connection.execute(CHOOSE, {"store": store, "location": location})
    await blobs.put_mark(store)
    await connection.execute(CONFIRM)
    logger.info("This library's files are in %s from now on (blob store %s)", location, store)


async def require_some_files(connection: Connection, blobs: BlobStore, location: str) -> None:
    """Raises ConfigurationError if the library refers to files and none of those looked for is there."""
    wanted: list[Sha256] = await fetch_column(connection, SOME, [SAMPLE])
    missing = await missing_from(blobs, wanted)
    if wanted and len(missing) == len(wanted):
        raise ConfigurationError(
            f"None of {len(wanted)} files of this library that were looked for is in {location}. Point --blob-url or "
            "--data-dir at the store that has them."
        )
    if missing:
        logger.warning("%d of %d files of this library looked for are not in %s", len(missing), len(wanted), location)


async def require_all_files(connection: Connection, blobs: BlobStore, location: str, report: Report) -> None:
    """Raises ConfigurationError if a single file is missing, and names one."""
    total = int(await fetch_value(connection, COUNT))
    seen, lost, last = 0, list[Sha256](), b""
    report(0, total)
    while chunk := await fetch_column(connection, NEXT, [last, CHUNK]):
        lost += await missing_from(blobs, chunk)
        seen, last = seen + len(chunk), chunk[-1]
        report(seen, max(seen, total))
    if lost:
        name = await fetch_value(connection, NAME_OF, [lost[0]])
        raise ConfigurationError(
            f"{len(lost)} of the {seen} files of this library are not in {location}, {name!r} ({lost[0].hex()}) for "
            "one. Copy them there, then start again; nothing was changed."
        )


async def missing_from(blobs: BlobStore, wanted: Sequence[Sha256]) -> list[Sha256]:
    """Those that the store does not have."""
    turn = asyncio.Semaphore(LOOKED_FOR_AT_ONCE)

    async def is_there(sha256: Sha256) -> bool:
        async with turn:
            return await blobs.has(sha256)

    found = await asyncio.gather(*(is_there(sha256) for sha256 in wanted))
    return [sha256 for sha256, there in zip(wanted, found, strict=True) if not there]


def another_store(known: Chosen, mark: UUID | None, location: str) -> ConfigurationError:
    found = "belongs to another library" if mark else "is not marked as this library's: it is empty, or a copy"
    return ConfigurationError(
        f"This library's files are in {known.location}, but {location} {found}. Point --blob-url or --data-dir at the "
        f"former; if all files were moved or restored to the latter, start `pictograph serve` once with {ADOPT}."
    )
