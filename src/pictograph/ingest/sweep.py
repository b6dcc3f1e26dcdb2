"""Removes what deletions for good have left: bytes, thumbnails, vectors, tags and scores that no image has."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Final

from pictograph.db.pool import Connection, Database
from pictograph.store.blobs import BlobStore
from pictograph.store.changes import prune_changes
from pictograph.store.leftovers import (
    Unused,
    forget_blobs,
    forget_encodings,
    last_leftover,
    let_old_holds_go,
    take_leftovers,
    unused_of,
)
from pictograph.store.thumbnails import delete_thumbnails
from pictograph.store.tickets import Tickets

SWEEP_GRACE: Final = timedelta(hours=1)
"""How long an upload may take between the first byte that is kept and its image; then it must have died."""
SWEPT_AT_ONCE: Final = 500
"""Files that are deleted under one transaction, which locks their rows."""
DELETED_AT_ONCE: Final = 16
"""Files that are deleted at the same time: a store far away takes long for each."""
FORGOTTEN_AFTER_SWEEPS: Final = 2
"""Sweeps after which no note of a deleted image is left: the first may come before an index has read it."""


class Sweeper:
    """Deletes what no image needs any more, a part of it in each transaction."""

    def __init__(self, database: Database, blobs: BlobStore, tickets: Tickets) -> None:
        self._database = database
        self._blobs = blobs
        self._tickets = tickets

    async def sweep(self, grace: timedelta = SWEEP_GRACE) -> int:
        """Removes what deletions for good have left: bytes, thumbnails, vectors, tags and scores that no image has.

        grace: how long an upload may take between its first byte kept and its image. How many files went.
        """
        await self._tickets.sweep()
        async with self._database.connection() as connection:
            await let_old_holds_go(connection, grace)
            last = await last_leftover(connection)
        files = 0
        while (swept := await self._database.write(lambda connection: self._sweep_some(connection, last))) is not None:
            files += swept
        await self._database.write(prune_changes)
        return files

    async def _sweep_some(self, connection: Connection, last: int) -> int | None:
        """How many files went; None if nothing is left that was noted up to `last`."""
        taken = await take_leftovers(connection, last, SWEPT_AT_ONCE)
        if not taken:
            return None
        unused = await unused_of(connection, taken)
        await forget_encodings(connection, [one.sha256 for one in unused])
        turn = asyncio.Semaphore(DELETED_AT_ONCE)

        async def delete_files(one: Unused) -> None:
            async with turn:
                await (delete_thumbnails(self._blobs, one.sha256) if one.is_held else self._blobs.delete(one.sha256))

        try:  # none goes on once the rows are free again, where an upload may just be writing these bytes
            async with asyncio.TaskGroup() as group:
                for one in (one for one in unused if one.has_bytes):
                    group.create_task(delete_files(one))
        except BaseExceptionGroup as failed:
            raise failed.exceptions[0] from failed
        gone = [one.sha256 for one in unused if not one.is_held]
        await forget_blobs(connection, gone)
        return sum(one.has_bytes for one in unused if not one.is_held)
