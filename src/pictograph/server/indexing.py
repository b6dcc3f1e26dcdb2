"""The process of this service that builds the index: started once it is worth it, started again when it dies."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from pictograph.errors import PictographError
from pictograph.search.memory.index import MANIFEST, WORTH_IT_FROM
from pictograph.server.children import end, keep_alive
from pictograph.settings import Settings
from pictograph.store.counts import ImageCounts

logger = logging.getLogger(__name__)

LOOK_AGAIN_S: Final = 10.0


class IndexProcess:
    """Keeps one process alive that builds the index in the data folder; none with `index_bytes` 0.

    It ends when its standard input closes, so also if we are killed. Where several services share the folder, all but
    one of their processes wait.
    """

    def __init__(self, settings: Settings, conninfo: str, counts: ImageCounts) -> None:
        self._command = [sys.executable, "-m", "pictograph", "index", "--exit-with-parent"]
        self._environment = {**os.environ, **settings.environment(), "PICTOGRAPH_DATABASE_URL": conninfo}
        self._settings = settings
        self._counts = counts
        self.alive = False
        """Whether it runs now."""

    @asynccontextmanager
    async def running(self) -> AsyncIterator[IndexProcess]:
        """Starts it when it is worth it, and ends it at the close of the block."""
        task = asyncio.create_task(self._keep_alive())
        try:
            yield self
        finally:
            task.cancel()  # once: another would keep it from waiting for the process
            await asyncio.gather(task, return_exceptions=True)

    async def _keep_alive(self) -> None:
        if not self._settings.index_bytes:
            return
        while not await self._is_worth_it():  # noqa: ASYNC110 - the size is in a database
            await asyncio.sleep(LOOK_AGAIN_S)
        await keep_alive("The process that builds the index", self._run_once)

    async def _is_worth_it(self) -> bool:
        if (self._settings.index_folder / MANIFEST).exists():
            return True
        try:
            return await self._counts.has_at_least(WORTH_IT_FROM)
        except PictographError as error:  # the database is away: asked again in a moment
            logger.debug("The number of images cannot be read just now: %s", error)
            return False

    async def _run_once(self) -> int:
        process = await asyncio.create_subprocess_exec(
            *self._command,
            stdin=asyncio.subprocess.PIPE,
            env=self._environment,
            start_new_session=True,  # Ctrl-C in the terminal is ours to handle, in order
        )
        self.alive = True
        try:
            return await process.wait()
        except asyncio.CancelledError:
            await end(process)
            raise
        finally:
            self.alive = False
            if process.stdin:
                process.stdin.close()
