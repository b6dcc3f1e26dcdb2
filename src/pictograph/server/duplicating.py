"""The process of this service that finds near-duplicates of large places: started when they are wanted, ends after."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from pictograph.duplicates.service import NearDuplicates
from pictograph.errors import PictographError
from pictograph.server.children import end
from pictograph.settings import Settings

logger = logging.getLogger(__name__)

LOOK_S: Final = 1.0
PAUSE_AFTER_FAILURE_S: Final = 10.0


class DuplicatesProcess:
    """Runs a process of its own as often as findings are wanted: comparing takes the cores that requests need.

    It ends when its standard input closes, so also if we are killed; whoever comes next begins its finding again.
    """

    def __init__(self, settings: Settings, conninfo: str, duplicates: NearDuplicates) -> None:
        self._command = [sys.executable, "-m", "pictograph", "find-duplicates", "--exit-with-parent"]
        self._environment = {**os.environ, **settings.environment(), "PICTOGRAPH_DATABASE_URL": conninfo}
        self._duplicates = duplicates

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Looks what is wanted, and ends the process at the close of the block."""
        task = asyncio.create_task(self._follow())
        try:
            yield
        finally:
            task.cancel()  # once: another would keep it from waiting for the process
            await asyncio.gather(task, return_exceptions=True)

    async def _follow(self) -> None:
        while True:
            await asyncio.sleep(LOOK_S)
            try:
                if await self._duplicates.is_wanted() and (code := await self._run_once()):
                    logger.warning("The process that finds near-duplicates ended (%s); it is tried again", code)
                    await asyncio.sleep(PAUSE_AFTER_FAILURE_S)
            except PictographError as error:  # the database is away: asked again in a moment
                logger.debug("What near-duplicates are wanted cannot be read just now: %s", error)
            except OSError as error:  # no memory or no process number left, for now
                logger.warning("The process that finds near-duplicates could not be started: %s", error)
                await asyncio.sleep(PAUSE_AFTER_FAILURE_S)

    async def _run_once(self) -> int:
        process = await asyncio.create_subprocess_exec(
            *self._command,
            stdin=asyncio.subprocess.PIPE,
            env=self._environment,
            start_new_session=True,  # Ctrl-C in the terminal is ours to handle, in order
        )
        try:
            return await process.wait()
        except asyncio.CancelledError:
            await end(process)
            raise
        finally:
            if process.stdin:
                process.stdin.close()
