"""The worker processes of this service: started with it, started again when they die, ended with it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from pictograph.errors import PictographError
from pictograph.server.beats import kill_when_silent, reader_of
from pictograph.settings import Settings
from pictograph.spaces.registry import Space, Spaces
from pictograph.types import SpaceId

logger = logging.getLogger(__name__)

FIRST_PAUSE_S: Final = 0.5
LONGEST_PAUSE_S: Final = 30.0
HEALTHY_AFTER_S: Final = 30.0
FOLLOW_S: Final = 1.0
"""How soon workers follow a reindex that begins, switches or is cancelled."""
GRACE_S: Final = 20.0
"""How long a worker may finish the batches at hand."""


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
        self._running: dict[asyncio.subprocess.Process, SpaceId] = {}

    @property
    def alive(self) -> int:
        """Processes that run now."""
        return len(self._running)

    def alive_for(self, space: SpaceId) -> int:
        """Processes that fill this space now."""
        return sum(filled == space for filled in self._running.values())

    @property
    def problems(self) -> list[str]:
        """What `/ready` says if too few run; nothing where no worker is wanted here."""
        if self._wanted and self._active is not None and not self.alive_for(self._active):
            return ["No worker process is running; the log says why. Uploads are accepted and wait."]
        return []

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
                    asyncio.create_task(self._keep_alive(number, space)) for number in range(self._wanted)
                ]
        for gone in self._crews.keys() - {space.id for space in live}:
            await self._dismiss(gone)

    async def _dismiss(self, space: SpaceId) -> None:
        crew = self._crews.pop(space)
        for keeper in crew:
            keeper.cancel()
        await asyncio.gather(*crew, return_exceptions=True)

    async def _keep_alive(self, number: int, space: Space) -> None:
        pause_s = FIRST_PAUSE_S
        while True:
            started = asyncio.get_running_loop().time()
            try:
                code: int | str = await self._run_once(space)
            except OSError as error:  # no memory or no process number left, for now
                code = f"it could not be started: {error}"
            lived_s = asyncio.get_running_loop().time() - started
            pause_s = FIRST_PAUSE_S if lived_s > HEALTHY_AFTER_S else min(pause_s * 2, LONGEST_PAUSE_S)
            logger.warning(
                "Worker %d of %s ended (%s) after %.0f s; the next starts in %.1f s",
                number,
                space.encoder,
                code,
                lived_s,
                pause_s,
            )
            await asyncio.sleep(pause_s)

    async def _run_once(self, space: Space) -> int:
        signs, shown = os.pipe()
        beats, transport = await reader_of(signs)
        try:
            process = await asyncio.create_subprocess_exec(
                *self._command,
                "--beat-to",
                str(shown),
                pass_fds=(shown,),
                stdin=asyncio.subprocess.PIPE,
                env={**self._environment, "PICTOGRAPH_ENCODER": space.source},
                start_new_session=True,  # Ctrl-C in the terminal is ours to handle, in order
            )
        except BaseException:
            transport.close()
            raise
        finally:
            os.close(shown)
        self._running[process] = space.id
        watching = asyncio.create_task(kill_when_silent(process, beats))
        try:
            return await process.wait()
        except asyncio.CancelledError:
            await end(process)
            raise
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)
            transport.close()
            if process.stdin:  # of one that ended by itself it is still open
                process.stdin.close()
            self._running.pop(process, None)


async def end(process: asyncio.subprocess.Process) -> None:
    """Asks the worker to finish what it has; past the grace it is killed, and loses nothing but time.

    The signal ends one that is still loading at once; it has claimed nothing yet.
    """
    if process.stdin:
        process.stdin.close()
    with contextlib.suppress(ProcessLookupError):
        process.terminate()
    try:
        async with asyncio.timeout(GRACE_S):
            await process.wait()
    except TimeoutError:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
