"""The worker processes of this service: started with it, started again when they die, ended with it."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Final

from pictograph.errors import PictographError
from pictograph.server.children import Child, keep_alive, running_child
from pictograph.server.told import Crew
from pictograph.settings import Settings
from pictograph.spaces.registry import Space, Spaces
from pictograph.types import SpaceId

logger = logging.getLogger(__name__)

FOLLOW_S: Final = 1.0
"""How soon workers follow a reindex that begins, switches or is cancelled."""


class WorkerProcesses:
    """Keeps `settings.workers` processes alive for each space that is filled; more than one is, during a reindex.

    Each process ends when its standard input closes, so also if we are killed.
    """

    def __init__(self, settings: Settings, conninfo: str, spaces: Spaces) -> None:
        self._command = [sys.executable, "-m", "pictograph", "worker", "--exit-with-parent"]
        self._environment = {**os.environ, **settings.environment(), "PICTOGRAPH_DATABASE_URL": conninfo}
        self._wanted = settings.workers
        self._spaces = spaces
        self._active: SpaceId | None = None
        self._crews: dict[SpaceId, list[asyncio.Task[None]]] = {}
        self._running: dict[Child, SpaceId] = {}

    @property
    def crew(self) -> Crew:
        """How they do now; problems: what `/ready` says if too few run, nothing where no worker is wanted here."""
        by_space = Counter(str(space) for space in self._running.values())
        problems = []
        if self._wanted and self._active is not None and not by_space[str(self._active)]:
            problems = ["No worker process is running; the log says why. Uploads are accepted and wait."]
        return Crew(len(self._running), dict(by_space), problems)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[WorkerProcesses]:
        """Starts them, and ends them at the close of the block."""
        await self._match_spaces()
        following = asyncio.create_task(self._follow_spaces())
        try:
            yield self
        finally:
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)
            await asyncio.gather(*(self._dismiss(space) for space in list(self._crews)))

    async def _follow_spaces(self) -> None:
        while True:
            await asyncio.sleep(FOLLOW_S)
            try:
                await self._match_spaces()
            except PictographError as error:
                logger.debug("Cannot read the spaces at the moment: %s", error)

    async def _match_spaces(self) -> None:
        live = await self._spaces.live()
        self._active = next((space.id for space in live if space.active), None)
        for space in live:
            if space.id not in self._crews:
                self._crews[space.id] = [
                    asyncio.create_task(
                        keep_alive(f"Worker {number} of {space.encoder}", partial(self._run_once, space))
                    )
                    for number in range(self._wanted)
                ]
        for gone in self._crews.keys() - {space.id for space in live}:
            await self._dismiss(gone)

    async def _dismiss(self, space: SpaceId) -> None:
        crew = self._crews.pop(space)
        for keeper in crew:
            keeper.cancel()
        await asyncio.gather(*crew, return_exceptions=True)

    async def _run_once(self, space: Space) -> int:
        environment = {**self._environment, "PICTOGRAPH_ENCODER": space.source}
        async with running_child(self._command, environment) as process:
            self._running[process] = space.id
            try:
                return await process.wait()
            finally:
                self._running.pop(process, None)
