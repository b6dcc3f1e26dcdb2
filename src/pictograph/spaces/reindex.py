"""Moves the library to another encoder while it is searched: a new space is filled beside the old, then they swap.

start     the new space is `building`: uploads are queued in it too, and workers of its encoder fill it
advance   again and again: queues images that it lacks; once none is lacking, switches in ONE transaction
cancel    back to how it was; what was encoded is kept, so that a later start goes on from there

The way back is the same way: the old space is still there, and only lacks what was uploaded since.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from pictograph.db.pool import Connection, Database
from pictograph.db.rows import fetch_all, fetch_column, fetch_one, fetch_tuple, fetch_value
from pictograph.encode.protocol import EncoderSpec
from pictograph.errors import ConflictError
from pictograph.jobs.queue import enqueue_in, enqueue_replacements
from pictograph.spaces.registry import ACTIVE, BUILDING, PREVIOUS, Space, names, register
from pictograph.store.locks import keep_datasets
from pictograph.types import ImageId, OrganizationId, SpaceId

LOOK_AGAIN_S: Final = 60.0
"""While failures wait for a decision, how often it is looked whether more is lacking: that reads everything."""
SLOW_COUNT_S: Final = 0.2
"""A count of all images that took longer is kept ten times as long as it took: clients that wait ask every second."""
CHUNK: Final = 10_000
"""Images queued at a time: enough for every worker, few enough that the job table stays small."""

# Uploads that have read the spaces before this one was building must have committed before it is: they would queue
# their image in the old space alone. The lock waits for them; it is held for milliseconds.
WAIT_FOR_UPLOADS: Final = "LOCK TABLE job IN SHARE ROW EXCLUSIVE MODE"
START: Final = "UPDATE space SET building = true, pace = %s, accept_failures = false WHERE id = %s"
RETRY_FAILURES: Final = "DELETE FROM failure WHERE space_id = %s"
WAITING: Final = f"SELECT count(*) FROM (SELECT FROM job WHERE space_id = %s LIMIT {CHUNK}) AS counted"
LACKING: Final = """
SELECT i.id FROM image i
WHERE NOT EXISTS (SELECT FROM job WHERE job.image_id = i.id AND job.space_id = %(space)s)
  AND NOT EXISTS (SELECT FROM failure WHERE failure.image_id = i.id AND failure.space_id = %(space)s)
  AND (NOT EXISTS (SELECT FROM encoding e WHERE e.space_id = %(space)s AND e.sha256 = i.sha256)
       OR i.archived_at IS NULL
          AND NOT EXISTS (SELECT FROM image_embedding m WHERE m.space_id = %(space)s AND m.image_id = i.id))
LIMIT %(limit)s"""
NEW_FAILURE: Final = """
FROM failure f JOIN image i ON i.id = f.image_id
WHERE f.space_id = %(space)s
  AND NOT EXISTS (SELECT FROM failure old JOIN space s ON s.id = old.space_id AND s.active WHERE old.image_id = i.id)"""
HELD: Final = f"SELECT NOT accept_failures AND EXISTS (SELECT {NEW_FAILURE}) FROM space WHERE id = %(space)s"
NEW_FAILURES: Final = f"SELECT count(*) {NEW_FAILURE}"
LEFT_BEHIND: Final = f"""
SELECT count(*) {NEW_FAILURE} AND EXISTS (SELECT FROM blob b WHERE b.sha256 = i.sha256 AND NOT b.has_bytes)"""
EXAMPLES: Final = f"""
SELECT i.id, i.filename, f.reason {NEW_FAILURE}
  AND i.dataset_id IN (SELECT id FROM dataset WHERE organization_id = %(organization)s)
ORDER BY f.created_at DESC LIMIT 10"""
COUNTS: Final = """
SELECT (SELECT count(*) FROM image),
       (SELECT count(*) FROM image i JOIN encoding e ON e.space_id = %(space)s AND e.sha256 = i.sha256),
       (SELECT count(*) FROM failure WHERE space_id = %(space)s)"""
# Results that are being written wait (`lock_rules`), and so do changes of thresholds; uploads and searches do not.
LOCK_SPACES: Final = "SELECT id FROM space ORDER BY id FOR NO KEY UPDATE"
LOCK_LIVE: Final = "SELECT id FROM space WHERE active OR building ORDER BY id FOR NO KEY UPDATE"
DEACTIVATE: Final = "UPDATE space SET active = false WHERE active"
ACTIVATE: Final = """
UPDATE space SET active = true, building = false, accept_failures = false, activated_at = now() WHERE id = %s"""
SHOW: Final = """
UPDATE image SET
    state = CASE WHEN e.sha256 IS NULL THEN CASE WHEN f.image_id IS NULL THEN 'received' ELSE 'failed' END
                 WHEN e.tags IS NULL THEN 'embedded' ELSE 'tagged' END,
    reason = CASE WHEN e.sha256 IS NULL THEN f.reason END,
    image_auto_tags = coalesce(e.tags, '{"objects": [], "scenes": [], "attributes": []}'),
    updated_at = now()
FROM image i
LEFT JOIN encoding e ON e.space_id = %(space)s AND e.sha256 = i.sha256
LEFT JOIN failure f ON f.space_id = %(space)s AND f.image_id = i.id
WHERE image.id = i.id"""
FORGET_JOBS: Final = "DELETE FROM job WHERE space_id NOT IN (SELECT id FROM space WHERE active OR building)"
ACCEPT: Final = "UPDATE space SET accept_failures = true WHERE building"
CANCEL: Final = "UPDATE space SET building = false WHERE building RETURNING id"
FORGET: Final = "DELETE FROM space WHERE NOT active AND NOT building"


@dataclass(frozen=True, slots=True)
class FailedImage:
    """An image that the new encoder could not process, though the old one could."""

    id: ImageId
    filename: str
    reason: str


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a reindex is; without one, `building` is None and the counts are of the active space."""

    active: Space
    building: Space | None
    previous: Space | None
    images: int
    done: int
    failed: int
    new_failures: int
    """Images that would be lost by the switch: it waits for `accept_failures` while there are any."""
    left_behind: int
    """Those of them that were imported as vectors: there is no picture to encode again."""
    examples: list[FailedImage]

    @property
    def needs_decision(self) -> bool:
        """True if all that is left are failures that somebody has to look at."""
        return self.building is not None and self.new_failures > 0 and self.done + self.failed >= self.images


class Reindex:
    """Every step takes effect as a whole or not at all, so it goes on after any crash; several servers may call it."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._all_queued: tuple[SpaceId, float] | None = None
        """The space in which nothing was lacking, and when that was seen."""
        self._counted: tuple[SpaceId, float, tuple[Any, ...]] | None = None
        """A space's counts, and until when they are good."""

    async def start(self, spec: EncoderSpec, source: str, pace: float = 1.0) -> Space:
        """Begins to fill this encoder's space, or goes on with it at another pace.

        pace: share of the time, above 0 up to 1, that its workers work. Raises ConflictError if the library has this
        encoder already, or is on its way to a third one.
        """

        async def step(connection: Connection) -> Space:
            await connection.execute(LOCK_SPACES)  # before the jobs: store/locks.py
            await connection.execute(WAIT_FOR_UPLOADS)
            active, building = await fetch_one(connection, Space, ACTIVE), await fetch_one(connection, Space, BUILDING)
            if active is not None and names(active, spec):
                raise ConflictError(f"The library is embedded by {spec.name} already. There is nothing to do.")
            if building is not None and not names(building, spec):
                raise ConflictError(
                    f"The library is on its way to {building.encoder}. Wait for it, or cancel that first "
                    "(pictograph reindex --cancel)."
                )
            space = await register(connection, spec, source)
            await connection.execute(START, [pace, space.id])
            await connection.execute(RETRY_FAILURES, [space.id])
            return space

        return await self._database.write(step, keep_plans=False)

    async def advance(self) -> Space | None:
        """Queues what the new space lacks, or, if that is nothing, switches to it; the new active space then.

        Cheap while jobs wait and while failures wait for a decision: all images are looked through, and workers kept
        from writing, only when there is something to be done.
        """
        async with self._database.connection() as connection:
            building = await fetch_one(connection, Space, BUILDING)
            if building is None:
                return None
            waiting = int(await fetch_value(connection, WAITING, [building.id]))
            held = not waiting and bool(await fetch_value(connection, HELD, {"space": building.id}))
        if waiting < CHUNK and not (self._is_all_queued(building.id) and (waiting or held)):
            waiting += await self._queue_lacking(building.id)
        return await self._switch(building) if not waiting and not held else None

    def _is_all_queued(self, space: SpaceId) -> bool:
        seen = self._all_queued
        return seen is not None and seen[0] == space and time.monotonic() - seen[1] < LOOK_AGAIN_S

    async def _queue_lacking(self, space: SpaceId) -> int:
        """Returns how many images were lacking."""

        async def step(connection: Connection) -> int:
            lacking = await lacking_images(connection, space)
            await enqueue_in(connection, space, lacking)
            return len(lacking)

        queued = await self._database.write(step, keep_plans=False)
        self._all_queued = None if queued else (space, time.monotonic())
        return queued

    async def _switch(self, to: Space) -> Space | None:

        async def step(connection: Connection) -> Space | None:
            await connection.execute(LOCK_LIVE)
            await keep_datasets(connection)
            if not await is_complete(connection, to.id):
                return None
            await connection.execute(DEACTIVATE)
            await connection.execute(ACTIVATE, [to.id])
            await connection.execute(SHOW, {"space": to.id})
            await connection.execute(FORGET_JOBS)
            await enqueue_replacements(connection)
            return await fetch_one(connection, Space, ACTIVE)

        return await self._database.write(step, keep_plans=False)

    async def accept_failures(self) -> None:
        """Lets the switch happen although it loses images. Raises ConflictError if no reindex runs."""
        async with self._database.transaction() as connection:
            if not (await connection.execute(ACCEPT)).rowcount:
                raise ConflictError("No reindex is running, so there are no failures to accept.")

    async def cancel(self) -> None:
        """Ends the reindex; the library stays as it is. Raises ConflictError if none runs."""

        async def step(connection: Connection) -> None:
            if not await fetch_column(connection, CANCEL):
                raise ConflictError("No reindex is running. (One that has switched is undone by going back.)")
            await connection.execute(FORGET_JOBS)

        await self._database.write(step, keep_plans=False)

    async def forget_previous(self) -> int:
        """Deletes what every space that is not in use holds; how many spaces. Then there is no way back."""

        async def step(connection: Connection) -> int:
            await connection.execute(LOCK_SPACES)
            return (await connection.execute(FORGET)).rowcount

        return await self._database.write(step, keep_plans=False)

    async def progress(self, organization: OrganizationId) -> Progress:
        """Returns how far the reindex is. organization: whose failed images are named."""
        async with self._database.connection() as connection:
            active = await fetch_one(connection, Space, ACTIVE)
            building = await fetch_one(connection, Space, BUILDING)
            previous = await fetch_one(connection, Space, PREVIOUS)
            if active is None:
                raise ConflictError("There is no library here yet.")
            values = {"space": (building or active).id, "organization": organization}
            images, done, failed = await self._counts(connection, (building or active).id)
            new_failures, left_behind, examples = 0, 0, list[FailedImage]()
            if building is not None:
                new_failures = int(await fetch_value(connection, NEW_FAILURES, values))
                left_behind = int(await fetch_value(connection, LEFT_BEHIND, values)) if new_failures else 0
                examples = await fetch_all(connection, FailedImage, EXAMPLES, values)
        return Progress(active, building, previous, images, done, failed, new_failures, left_behind, examples)

    async def _counts(self, connection: Connection, space: SpaceId) -> tuple[Any, ...]:
        """Images, those done in the space, and those that failed there."""
        begun = time.monotonic()
        if self._counted is not None and self._counted[0] == space and begun < self._counted[1]:
            return self._counted[2]
        counts = await fetch_tuple(connection, COUNTS, {"space": space}) or (0, 0, 0)
        took_s = time.monotonic() - begun
        self._counted = (space, begun + 10 * took_s, counts) if took_s > SLOW_COUNT_S else None
        return counts


async def lacking_images(connection: Connection, space: SpaceId, limit: int = CHUNK) -> Sequence[ImageId]:
    """Finds images that are neither in the space nor on their way into it, nor known to fail there."""
    return await fetch_column(connection, LACKING, {"space": space, "limit": limit})


async def is_complete(connection: Connection, space: SpaceId) -> bool:
    """Whether the space, which is building, can take over without losing an image that nobody agreed to lose."""
    building = await fetch_one(connection, Space, BUILDING)
    if building is None or building.id != space or await fetch_value(connection, WAITING, [space]):
        return False
    if await fetch_value(connection, HELD, {"space": space}):
        return False
    return not await lacking_images(connection, space, limit=1)
