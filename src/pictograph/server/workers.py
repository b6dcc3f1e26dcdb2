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

from pictograph.settings import Settings

logger = logging.getLogger(__name__)

FIRST_PAUSE_S: Final = 0.5
LONGEST_PAUSE_S: Final = 30.0
HEALTHY_AFTER_S: Final = 30.0
GRACE_S: Final = 20.0
"""How long a worker may finish the batches at hand."""


class WorkerProcesses:
    """Keeps `settings.workers` processes alive; each ends when its standard input closes, so also if we are killed."""

    def __init__(self, settings: Settings, conninfo: str) -> None:
        self._command = [sys.executable, "-m", "pictograph", "worker", "--exit-with-parent"]
        self._environment = {**os.environ, **settings.environment(), "PICTOGRAPH_DATABASE_URL": conninfo}
        self._wanted = settings.workers
        self._running: set[asyncio.subprocess.Process] = set()

    @property
    def alive(self) -> int:
        """Processes that run now."""
        return len(self._running)

    @property
    def problems(self) -> list[str]:
        """What `/ready` says if too few run; nothing where no worker is wanted here."""
        if self._wanted and not self._running:
            return ["No worker process is running; the log says why. Uploads are accepted and wait."]
        return []

    @asynccontextmanager
    async def running(self) -> AsyncIterator[WorkerProcesses]:
        """Starts them, and ends them at the close of the block."""
        keepers = [asyncio.create_task(self._keep_alive(number)) for number in range(self._wanted)]
        try:
            yield self
        finally:
            for keeper in keepers:
                keeper.cancel()
            await asyncio.gather(*keepers, return_exceptions=True)

    async def _keep_alive(self, number: int) -> None:
        pause_s = FIRST_PAUSE_S
        while True:
            started = asyncio.get_running_loop().time()
            try:
                code: int | str = await self._run_once()
            except OSError as error:  # no memory or no process number left, for now
                code = f"it could not be started: {error}"
            lived_s = asyncio.get_running_loop().time() - started
            pause_s = FIRST_PAUSE_S if lived_s > HEALTHY_AFTER_S else min(pause_s * 2, LONGEST_PAUSE_S)
            logger.warning(
                "Worker %d ended (%s) after %.0f s; the next starts in %.1f s", number, code, lived_s, pause_s
            )
            await asyncio.sleep(pause_s)

    async def _run_once(self) -> int:
        process = await asyncio.create_subprocess_exec(
            *self._command,
            stdin=asyncio.subprocess.PIPE,
            env=self._environment,
            start_new_session=True,  # Ctrl-C in the terminal is ours to handle, in order
        )
        self._running.add(process)
        try:
            return await process.wait()
        except asyncio.CancelledError:
            await end(process)
            raise
        finally:
            self._running.discard(process)


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
