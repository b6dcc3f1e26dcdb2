"""What a deletion for good leaves behind, and how it goes: bytes, thumbnails, and what models made of them.

A blob's row is what everything hangs on. An image cannot come to be while its blob's row is locked, and an upload holds
the row's hash before it writes: so who has locked the row and then finds neither image nor hold may remove all of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final
from uuid import UUID

from pictograph.db.pool import Connection
from pictograph.db.rows import fetch_all, fetch_column, fetch_value
from pictograph.types import Sha256

HOLD: Final = """
WITH kept AS (
    INSERT INTO blob (sha256, size_bytes) VALUES (%(sha256)s, %(size)s)
    ON CONFLICT (sha256) DO UPDATE SET touched_at = now(), size_bytes = excluded.size_bytes
)
INSERT INTO blob_hold (id, sha256) VALUES (%(hold)s, %(sha256)s)"""
RELEASE: Final = """
WITH released AS (DELETE FROM blob_hold WHERE id = %s RETURNING sha256)
INSERT INTO leftover (sha256)
SELECT sha256 FROM released WHERE NOT EXISTS (SELECT FROM image WHERE image.sha256 = released.sha256)
  AND NOT EXISTS (SELECT FROM replacement WHERE replacement.sha256 = released.sha256)"""
LET_GO: Final = """
WITH old AS (DELETE FROM blob_hold WHERE held_at < now() - %s::interval RETURNING sha256)
INSERT INTO leftover (sha256) SELECT DISTINCT sha256 FROM old"""
LAST: Final = "SELECT coalesce(max(id), 0) FROM leftover"
TAKE: Final = """
DELETE FROM leftover WHERE id IN (
    SELECT id FROM leftover WHERE id <= %s ORDER BY id LIMIT %s FOR UPDATE SKIP LOCKED)
RETURNING sha256"""
PUT_BACK: Final = "INSERT INTO leftover (sha256) SELECT unnest(%b::bytea[])"
# Rows that an upload is just referring to are left for the next time.
LOCK: Final = "SELECT sha256 FROM blob WHERE sha256 = ANY(%b) ORDER BY sha256 FOR UPDATE SKIP LOCKED"
THERE: Final = "SELECT sha256 FROM blob WHERE sha256 = ANY(%b)"
UNUSED: Final = """
SELECT b.sha256, b.has_bytes,
       EXISTS (SELECT FROM blob_hold h WHERE h.sha256 = b.sha256)
       OR EXISTS (SELECT FROM upload_ticket t WHERE t.sha256 = b.sha256)
       OR EXISTS (SELECT FROM replacement r WHERE r.sha256 = b.sha256) AS is_held
FROM blob b WHERE b.sha256 = ANY(%b) AND NOT EXISTS (SELECT FROM image i WHERE i.sha256 = b.sha256)"""
FORGET_ENCODINGS: Final = """
DELETE FROM encoding WHERE space_id = ANY(ARRAY(SELECT id FROM space)) AND sha256 = ANY(%b)"""
FORGET_BLOBS: Final = "DELETE FROM blob WHERE sha256 = ANY(%b)"


@dataclass(frozen=True, slots=True)
class Unused:
    """Bytes that no image has."""

    sha256: Sha256
    has_bytes: bool
    """False for those of imported vectors, of which there is no file."""
    is_held: bool
    """Whether an upload in progress, or an image to be replaced, is about to refer to them: then they stay, but nothing
    that was made of them."""


async def hold_bytes(connection: Connection, hold: UUID, sha256: Sha256, size_bytes: int) -> None:
    """Keeps the sweep away from these bytes, which are about to be written, until the hold is released or too old."""
    await connection.execute(HOLD, {"hold": hold, "sha256": sha256, "size": size_bytes})


async def release_bytes(connection: Connection, hold: UUID) -> None:
    """Ends the hold; bytes that became no image are noted for the next sweep."""
    await connection.execute(RELEASE, [hold])


async def let_old_holds_go(connection: Connection, grace: timedelta) -> None:
    """Ends holds that were never released: their uploads must have died."""
    await connection.execute(LET_GO, [grace])


async def last_leftover(connection: Connection) -> int:
    """The note that was made last; what comes after it is for the next sweep."""
    return int(await fetch_value(connection, LAST))


async def take_leftovers(connection: Connection, last: int, limit: int) -> list[Sha256]:
    """Hashes that lost a reference, up to the note `last`. They are noted no more once the transaction ends."""
    return await fetch_column(connection, TAKE, [last, limit])


async def unused_of(connection: Connection, taken: Sequence[Sha256]) -> list[Unused]:
    """Those that no image has, nor can get until the transaction ends. What cannot be told now is noted again."""
    sha256s = list(set(taken))
    locked = await fetch_column(connection, LOCK, [sha256s])
    busy = set(await fetch_column(connection, THERE, [sha256s])) - set(locked)
    # A statement of its own: it sees what was committed before the rows were locked, and nothing can come after.
    unused = await fetch_all(connection, Unused, UNUSED, [locked])
    again = [*busy, *(one.sha256 for one in unused if one.is_held)]
    if again:
        await connection.execute(PUT_BACK, [again])
    return unused


async def forget_encodings(connection: Connection, sha256s: Sequence[Sha256]) -> None:
    """Vectors, tags and scores, in every space."""
    await connection.execute(FORGET_ENCODINGS, [list(sha256s)])


async def forget_blobs(connection: Connection, sha256s: Sequence[Sha256]) -> None:
    """The rows. The caller deletes the bytes before it commits: until then, an upload of the same bytes waits in
    `hold_bytes`, and then writes them again."""
    await connection.execute(FORGET_BLOBS, [list(sha256s)])
