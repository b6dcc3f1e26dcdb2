"""The worker's loop: claim, process, again. It is given its handler and knows nothing of pictures."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Final
from uuid import UUID

import psycopg

from pictograph.db.pool import Database
from pictograph.errors import PictographError
from pictograph.jobs.queue import CHANNEL, Claim, Queue

logger = logging.getLogger(__name__)

POLL_S: Final = 1.0
"""The safety net under NOTIFY; also how soon a job whose retry time has come is seen."""
STUCK_AFTER_S: Final = 900.0
"""A batch takes seconds, a minute on a slow machine; one that takes this long hangs."""
TROUBLE_PAUSE_S: Final = 2.0
"""Pause after the database failed us."""

Handler = Callable[[Claim], Awaitable[None]]


class Worker:
    """Runs `lanes` batches at a time, so that one is decoded or written while another is in the forward pass."""

    def __init__(self, database: Database, queue: Queue, handler: Handler, *, batch: int, lanes: int = 2) -> None:
        self._database = database
        self._queue = queue
        self._handler = handler
        self._batch = batch
        self._lanes = lanes
        self.pace = 1.0
        """Share of the time, above 0 up to 1, that each lane works; it may be changed while it runs."""
        self._wake = asyncio.Condition()
        self._news = 0
        """How often we were told of new jobs: one told of while a lane was claiming is not slept over."""
        self._begun: dict[UUID, float] = {}
        """When each claim at hand was taken, as `time.monotonic` tells it."""
        self._suspects_seen_at = -POLL_S
        """When a lane last found no suspect: they are rare, so the look costs a query a second, not one a batch."""
        self._suspect_at_hand = False
        """One lane at a time has one, so that the others go on, however long it takes."""

    @property
    def is_stuck(self) -> bool:
        """Whether a batch takes so long that it will never end: then it is no use to wait for this process."""
        return any(time.monotonic() - begun > STUCK_AFTER_S for begun in self._begun.values())

    @property
    def is_busy(self) -> bool:
        """Whether it has a batch at hand."""
        return bool(self._begun)

    async def run(self, stop: asyncio.Event) -> None:
        """Works until `stop` is set; then the batches at hand are finished first."""
        async with asyncio.TaskGroup() as group:
            listener = group.create_task(self._listen())
            lanes = [group.create_task(self._lane(stop)) for _ in range(self._lanes)]
            await stop.wait()
            listener.cancel()
            async with self._wake:
                self._wake.notify_all()
            await asyncio.wait(lanes)

    async def _lane(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            try:
                seen, started = self._news, time.monotonic()
                if not await self.work_once():
                    await self._pause(stop, seen)
                elif self.pace < 1:
                    await self._rest(stop, time.monotonic() - started)
            except PictographError as error:
                logger.warning("The worker pauses for %.0f s: %s", TROUBLE_PAUSE_S, error)
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(stop.wait(), TROUBLE_PAUSE_S)

    async def work_once(self) -> bool:
        """Processes one claim, and one suspect alone after it; False if there was nothing to do."""
        healthy = await self._process(await self._queue.claim(self._batch))
        # Only now: a suspect claimed earlier would wait without heartbeats, and share the batch's fate.
        if self._suspect_at_hand or time.monotonic() - self._suspects_seen_at < POLL_S:
            return healthy
        self._suspect_at_hand = True
        try:
            found = await self._process(await self._queue.claim_suspect())
        finally:
            self._suspect_at_hand = False
        if not found:
            self._suspects_seen_at = time.monotonic()
        return found or healthy

    async def _process(self, claim: Claim) -> bool:
        if claim.jobs:
            async with self._kept_alive(claim):
                await self._handler(claim)
        return bool(claim.jobs)

    async def _rest(self, stop: asyncio.Event, worked_s: float) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), worked_s * (1 / self.pace - 1))

    async def _pause(self, stop: asyncio.Event, seen: int) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(POLL_S), self._wake:
                await self._wake.wait_for(lambda: stop.is_set() or self._news != seen)

    @asynccontextmanager
    async def _kept_alive(self, claim: Claim) -> AsyncIterator[None]:
        heartbeat = asyncio.create_task(self._beat(claim))
        self._begun[claim.id] = time.monotonic()
        try:
            yield
        except (asyncio.CancelledError, PictographError):  # asked to stop, or the database failed: no fault of theirs
            await ended(heartbeat)  # which may hold the rows that are to be released
            with contextlib.suppress(PictographError):  # then the lease gives them back
                await asyncio.shield(self._queue.release(claim))
            raise
        finally:
            del self._begun[claim.id]
            await ended(heartbeat)

    async def _beat(self, claim: Claim) -> None:
        while not self.is_stuck:  # then the lease gives the jobs to others
            await asyncio.sleep(self._queue.lease.total_seconds() / 3)
            try:
                await self._queue.heartbeat(claim)
            except PictographError as error:
                logger.warning("A heartbeat was missed: %s", error)

    async def _listen(self) -> None:
        """Wakes the lanes at every NOTIFY; while it cannot listen, polling goes on."""
        while True:
            try:
                await self._wake_on_notify()
            except (psycopg.Error, OSError) as error:
                logger.warning("Listening for new jobs was interrupted: %s", error)
                await asyncio.sleep(TROUBLE_PAUSE_S)

    async def _wake_on_notify(self) -> None:
        connection = await psycopg.AsyncConnection.connect(self._database.conninfo, autocommit=True)
        async with connection:
            await connection.execute(f"LISTEN {CHANNEL}")
            async for _ in connection.notifies():
                self._news += 1
                async with self._wake:
                    self._wake.notify_all()


async def ended(task: asyncio.Task[None]) -> None:
    """Cancels the task and waits for its end."""
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
