"""Opens a worker: its connections, its encoder and tagger, and what fills one space with them."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Final

from pictograph.db.pool import Database
from pictograph.encode.process import give_large_blocks_back, keep_blas_quiet
from pictograph.encode.registry import load_encoder
from pictograph.errors import ConfigurationError, PictographError
from pictograph.ingest.judging import Model
from pictograph.ingest.looking import Looking
from pictograph.jobs.queue import Queue
from pictograph.jobs.worker import Worker
from pictograph.pipeline import Processor
from pictograph.services import open_blobs
from pictograph.settings import AUTO, Settings
from pictograph.spaces.registry import Space, Spaces
from pictograph.tagging.library.taggers import tagger_of
from pictograph.tagging.taxonomy import load_taxonomy
from pictograph.upload.bounded.allowed import budget_of, limits_of
from pictograph.upload.bounded.pool import PictureReaders

logger = logging.getLogger(__name__)

WORKER_LANES: Final = 2
LOOK_AGAIN_S: Final = 60.0
"""After which a worker looks again whether pictures lack facts."""
WATCH_S: Final = 2.0
"""How often a worker looks whether its space is still filled, and at what pace."""


@asynccontextmanager
async def open_worker(settings: Settings, conninfo: str) -> AsyncIterator[SpaceWorker]:
    """A worker with its own connections, its own copy of the encoder and its own threads.

    Raises SpaceMismatch if the data is neither embedded by its encoder nor on its way to it.
    """
    database = Database(conninfo, max_connections=WORKER_LANES + 2)
    opening = asyncio.create_task(database.open())
    if settings.encoder == AUTO:  # else the model, which takes longest, is loaded meanwhile
        await opening
    try:
        spaces = Spaces(database)
        chosen = await encoder_of_library(spaces) if settings.encoder == AUTO else settings.encoder
        loading = asyncio.create_task(asyncio.to_thread(load_encoder, chosen, settings.threads))
        await opening
        blobs = await open_blobs(settings, database)
        encoder = await loading
        keep_blas_quiet()
        give_large_blocks_back()
        space = await spaces.join(encoder.spec, chosen)
        taxonomy = load_taxonomy()
        tagger = await tagger_of(database, space.id, encoder, taxonomy)
        model = Model(encoder, tagger, taxonomy, space.id)
        readers = PictureReaders(limits_of(settings), budget_of(settings), processes=settings.threads)
        processor = Processor(
            database, blobs, model, readers, threads=settings.threads, memory_bytes=settings.picture_bytes
        )
        queue = Queue(database, space.id, timedelta(seconds=settings.lease_s))
        try:
            worker = Worker(database, queue, processor.process, batch=settings.worker_batch, lanes=WORKER_LANES)
            yield SpaceWorker(worker, spaces, space, processor.looking)
        finally:
            processor.close()
    finally:
        await database.close()


async def encoder_of_library(spaces: Spaces) -> str:
    """What the data was embedded by. Raises ConfigurationError if no service has been started on it yet."""
    active = await spaces.active()
    if active is None:
        raise ConfigurationError("This database has no library yet. Start the service first (pictograph serve).")
    return active.source


class SpaceWorker:
    """A worker that ends when its space is no longer filled: after a reindex, or when one is cancelled."""

    def __init__(self, worker: Worker, spaces: Spaces, space: Space, looking: Looking | None = None) -> None:
        """looking: what it does when it has no jobs."""
        self.space = space
        self._looking = looking
        self.worker = worker
        self._spaces = spaces

    @property
    def is_stuck(self) -> bool:
        """As `Worker.is_stuck`."""
        return self.worker.is_stuck

    async def run(self, stop: asyncio.Event) -> None:
        """Works until `stop` is set or the space is retired; the batches at hand are finished first."""
        ended = asyncio.Event()
        watchers = [
            asyncio.create_task(self._watch(ended)),
            asyncio.create_task(self._relay(stop, ended)),
            asyncio.create_task(self._look(ended)),
        ]
        try:
            await self.worker.run(ended)
        finally:
            for watcher in watchers:
                watcher.cancel()
            await asyncio.gather(*watchers, return_exceptions=True)

    async def _watch(self, ended: asyncio.Event) -> None:
        while not ended.is_set():
            with contextlib.suppress(PictographError):  # the database is away: the worker itself says so
                now = await self._spaces.get(self.space.id)
                if now is None or not now.is_live:
                    logger.info("%s is no longer in use: this worker ends", self.space.encoder)
                    ended.set()
                else:
                    self.worker.pace = 1.0 if now.active else now.pace
            await asyncio.sleep(WATCH_S)

    async def _look(self, ended: asyncio.Event) -> None:
        """Fills in facts of images from before, as long as there are no jobs."""
        while self._looking is not None and not ended.is_set():
            pause_s = WATCH_S
            if not self.worker.is_busy:
                try:
                    pause_s = 0.0 if await self._looking.step() else LOOK_AGAIN_S
                except PictographError as error:
                    logger.warning("Pictures are not looked at for their facts now: %s", error)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(ended.wait(), pause_s)

    async def _relay(self, stop: asyncio.Event, ended: asyncio.Event) -> None:
        await stop.wait()
        ended.set()
