"""The queue: a narrow table beside the images (docs/decisions/0002-queue.md)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final
from uuid import UUID, uuid4

import psycopg

from pictograph.db.pool import Connection, Database
from pictograph.db.rows import fetch_all, fetch_tuple
from pictograph.types import ImageId, Sha256, SpaceId

CHANNEL: Final = "pictograph_job"
SUSPECT_ATTEMPTS: Final = 2
"""Attempts after which a job is left to `claim_suspect`, and comes alone."""
URGENT: Final = 10
"""Priority of a job that somebody is waiting for."""
IDS_AT_ONCE: Final = 1000
"""Of images in one statement: writing down more holds the event loop."""

WAKE: Final = f"SELECT pg_notify('{CHANNEL}', '')"
ENQUEUE: Final = f"""
WITH queued AS (
    INSERT INTO job (image_id, space_id, sha256)
    SELECT image.id, space.id, sha256
    FROM (SELECT id, sha256 FROM image WHERE id = ANY(%(images)s) ORDER BY id FOR KEY SHARE) image, space
    WHERE {{spaces}}
    ON CONFLICT (image_id, space_id) {{conflict}}
)
{WAKE}"""
ENQUEUE_EVERYWHERE: Final = ENQUEUE.format(
    spaces="(space.active OR space.building)",
    conflict="DO UPDATE SET sha256 = excluded.sha256, ready_at = '-infinity', attempts = 0, claim = NULL",
)
ENQUEUE_IN: Final = ENQUEUE.format(spaces="space.id = %(space)s", conflict="DO NOTHING")
# In the active space alone: once the bytes are exchanged, a space that is building finds out by itself what it lacks.
ENQUEUE_REPLACEMENTS: Final = f"""
WITH queued AS (
    INSERT INTO job (image_id, space_id, sha256)
    SELECT waiting.image_id, space.id, waiting.sha256
    FROM (SELECT image_id, sha256 FROM replacement
          WHERE sha256 IS NOT NULL AND (%(image)s::uuid IS NULL OR image_id = %(image)s) ORDER BY image_id) waiting,
         space
    WHERE space.active
    ON CONFLICT (image_id, space_id)
    DO UPDATE SET sha256 = excluded.sha256, ready_at = '-infinity', attempts = 0, claim = NULL
)
{WAKE}"""
# The second half: no wait is that long, so it was written before the clock was set back (migration 0017).
READY: Final = "(ready_at <= now() OR ready_at > now() + waits + interval '1 minute')"
# NOT EXISTS spares the unique index a violation in the usual case; the index decides when two claims race.
CLAIM: Final = f"""
WITH ready AS (
    SELECT image_id, sha256 FROM job
    WHERE space_id = %(space)s AND {READY} AND attempts < {SUSPECT_ATTEMPTS}
      AND NOT EXISTS (SELECT FROM job same WHERE same.space_id = %(space)s AND same.sha256 = job.sha256
                                             AND same.claim IS NOT NULL AND same.image_id <> job.image_id)
    ORDER BY priority DESC, number LIMIT %(limit)s FOR UPDATE SKIP LOCKED
), one_of_each AS (
    SELECT DISTINCT ON (sha256) image_id FROM ready
)
UPDATE job SET claim = %(claim)s, attempts = attempts + 1, ready_at = now() + %(lease)s, waits = %(lease)s
FROM one_of_each WHERE job.image_id = one_of_each.image_id AND job.space_id = %(space)s
RETURNING job.image_id, job.sha256, job.attempts"""
CLAIM_SUSPECT: Final = f"""
UPDATE job SET claim = %(claim)s, attempts = attempts + 1, ready_at = now() + %(lease)s, waits = %(lease)s
WHERE space_id = %(space)s AND image_id = (
    SELECT image_id FROM job
    WHERE space_id = %(space)s AND {READY} AND attempts >= {SUSPECT_ATTEMPTS}
      AND NOT EXISTS (SELECT FROM job same WHERE same.space_id = %(space)s AND same.sha256 = job.sha256
                                             AND same.claim IS NOT NULL AND same.image_id <> job.image_id)
    ORDER BY number LIMIT 1 FOR UPDATE SKIP LOCKED)
RETURNING job.image_id, job.sha256, job.attempts"""
# Rows locked by the transaction that ends them need no more time; waiting for them could end in a deadlock.
HEARTBEAT: Final = """
UPDATE job SET ready_at = now() + %(lease)s, waits = %(lease)s WHERE (image_id, space_id) IN (
    SELECT image_id, space_id FROM job WHERE claim = %(claim)s FOR UPDATE SKIP LOCKED)"""
RETRY: Final = """
UPDATE job SET claim = NULL, ready_at = now() + %(delay)s, waits = %(delay)s
WHERE image_id = %(image)s AND claim = %(claim)s"""
PUT_BACK: Final = """
UPDATE job SET claim = NULL, ready_at = now() + %(delay)s, waits = %(delay)s, attempts = attempts - 1
WHERE image_id = %(image)s AND claim = %(claim)s"""
# Those of the same bytes too: each would only be set aside in its turn.
SET_ASIDE: Final = f"""
UPDATE job SET claim = NULL, ready_at = '-infinity', attempts = greatest(attempts, {SUSPECT_ATTEMPTS})
WHERE (image_id, space_id) IN (
    SELECT image_id, space_id FROM job
    WHERE sha256 = %(sha256)s AND (claim = %(claim)s OR (claim IS NULL AND attempts = 0))
      AND space_id = (SELECT space_id FROM job WHERE image_id = %(image)s AND claim = %(claim)s)
    ORDER BY image_id FOR UPDATE SKIP LOCKED)"""
RELEASE: Final = """
UPDATE job SET claim = NULL, ready_at = '-infinity', attempts = attempts - 1 WHERE (image_id, space_id) IN (
    SELECT image_id, space_id FROM job WHERE claim = %s FOR UPDATE SKIP LOCKED)"""
HURRY: Final = """
UPDATE job SET priority = %s, ready_at = '-infinity'
WHERE image_id = %s AND claim IS NULL AND attempts = 0"""
DEPTH: Final = """
SELECT count(*), count(*) FILTER (WHERE claim IS NOT NULL) FROM job
WHERE space_id = (SELECT id FROM space WHERE active)"""


@dataclass(frozen=True, slots=True)
class Job:
    """One image that a worker has taken on."""

    image_id: ImageId
    sha256: Sha256
    attempts: int
    """This attempt included: 1 the first time."""


@dataclass(frozen=True, slots=True)
class Claim:
    """Some jobs, ours until the lease runs out; heartbeats prolong it."""

    id: UUID
    jobs: list[Job]


class Queue:
    """Claims the jobs of one space.

    Whoever is killed with a claim in hand loses nothing: after the lease, others may claim it.
    """

    def __init__(self, database: Database, space: SpaceId, lease: timedelta = timedelta(seconds=60)) -> None:
        self._database = database
        self._space = space
        self.lease = lease

    async def claim(self, limit: int) -> Claim:
        """Claims up to `limit` jobs, urgent first, then oldest; of several images with the same bytes only one.

        Jobs that failed or lost their worker twice, or are too heavy for a batch, are left to `claim_suspect`.
        """
        return await self._claim(CLAIM, limit)

    async def claim_suspect(self) -> Claim:
        """At most one job that may end its worker, or take long: alone, it takes no other with it, and none waits."""
        return await self._claim(CLAIM_SUSPECT, 1)

    async def _claim(self, statement: str, limit: int) -> Claim:
        claim = uuid4()
        values = {"space": self._space, "claim": claim, "limit": limit, "lease": self.lease}
        try:  # two that claim the same bytes, in another order, may wait for each other: then one begins again
            jobs = await self._database.write(
                lambda connection: fetch_all(connection, Job, statement, values), keep_plans=False
            )
        except psycopg.errors.UniqueViolation:  # another worker took the same bytes this very moment
            jobs = []
        return Claim(claim, jobs)

    async def heartbeat(self, claim: Claim) -> None:
        """Prolongs the lease of all jobs of the claim that are still open."""
        async with self._database.connection() as connection:
            await connection.execute(HEARTBEAT, {"claim": claim.id, "lease": self.lease})

    async def release(self, claim: Claim) -> None:
        """Gives the jobs back untouched, as when the worker is asked to stop."""
        async with self._database.connection() as connection:
            await connection.execute(RELEASE, [claim.id])
            await connection.execute(WAKE)


class Backlog:
    """The jobs that are open, seen from outside: by those who upload and search."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def hurry(self, image: ImageId) -> None:
        """Moves the image to the front of the queue, if it still waits there."""
        async with self._database.connection() as connection:
            await connection.execute(HURRY, [URGENT, image])
            await connection.execute(WAKE)

    async def depth(self) -> tuple[int, int]:
        """Returns how many jobs the active space has, and how many of them are being worked on."""
        async with self._database.connection() as connection:
            waiting, claimed = await fetch_tuple(connection, DEPTH) or (0, 0)
        return waiting, claimed


async def enqueue(connection: Connection, image: ImageId) -> None:
    """Queues the image in the active space and in one that is building, and wakes their workers, at the commit."""
    await enqueue_all(connection, [image])


async def enqueue_all(connection: Connection, images: Sequence[ImageId]) -> None:
    """As `enqueue`, for many."""
    await connection.execute(ENQUEUE_EVERYWHERE, {"images": list(images)})


async def enqueue_replacements(connection: Connection, image: ImageId | None = None) -> None:
    """Queues the bytes that are to replace those of the image; None: of every image that waits for such."""
    await connection.execute(ENQUEUE_REPLACEMENTS, {"image": image})


async def enqueue_in(connection: Connection, space: SpaceId, images: Sequence[ImageId]) -> None:
    """Queues the images in one space; those that wait there already stay as they are."""
    for start in range(0, len(images), IDS_AT_ONCE):  # to write them down takes time in which nobody else is served
        await connection.execute(ENQUEUE_IN, {"images": list(images[start : start + IDS_AT_ONCE]), "space": space})


async def retry_later(connection: Connection, claim: Claim, job: Job, delay: timedelta) -> None:
    """Gives one job back, to be ready after `delay`."""
    await connection.execute(RETRY, {"image": job.image_id, "claim": claim.id, "delay": delay})


async def set_aside(connection: Connection, claim: Claim, job: Job) -> None:
    """Gives one job back, and all that wait with the same bytes, for `claim_suspect` to take."""
    await connection.execute(SET_ASIDE, {"image": job.image_id, "claim": claim.id, "sha256": job.sha256})


async def put_back(connection: Connection, claim: Claim, job: Job, delay: timedelta) -> None:
    """As `retry_later`, but the attempt does not count: what failed had nothing to do with the image."""
    await connection.execute(PUT_BACK, {"image": job.image_id, "claim": claim.id, "delay": delay})
