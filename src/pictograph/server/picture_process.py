"""The process that encodes pictures sent as questions: started by the first one, started again by the next if it ends.

The socket on which it is asked belongs to the process that keeps it, so that whoever asks while there is none waits
for the next one.
"""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import socket
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Final

from pictograph.server.children import FIRST_PAUSE_S, HEALTHY_AFTER_S, LONGEST_PAUSE_S, running_child
from pictograph.settings import ENV_PREFIX, Settings
from pictograph.upload.bounded.reader import few_variables

logger = logging.getLogger(__name__)

MOST_CONNECTING: Final = 128
DOOR: Final = "pictograph-door-"
LONGEST_PATH_BYTES: Final = 100
"""Of a Unix socket; the kernel takes 107."""
SECRET: Final = ("database_url", "blob_url")
"""Settings that the process must not know: it sees what strangers send."""
NEEDED_VARIABLES: Final = ("PICTOGRAPH_HOME",)
NEEDED_PREFIXES: Final = ("CUDA", "NVIDIA")


class PictureProcess:
    """Keeps the one process that encodes pictures, while anybody asks it. Lives on one event loop."""

    def __init__(self, settings: Settings) -> None:
        self._command = [sys.executable, "-m", "pictograph", "encode-pictures"]
        self._environment = environment_of(settings)
        self.process_id: int | None = None
        """Of the process now; None while nobody has asked."""

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Path]:
        """Gives the socket where it is asked. Ends the process at the close of the block."""
        with door() as (path, listener):
            task = asyncio.create_task(self._keep(listener))
            try:
                yield path
            finally:
                task.cancel()  # once: another would keep it from waiting for the process
                await asyncio.gather(task, return_exceptions=True)

    async def _keep(self, listener: socket.socket) -> None:
        pause_s = 0.0
        while True:
            await readable(listener)
            started = time.monotonic()
            try:
                code: int | str = await self._run_once(listener)
            except OSError as error:  # no memory or no process number left, for now
                code = f"it could not be started: {error}"
            if code == 0:  # nobody has asked for long
                continue
            lived_s = time.monotonic() - started
            pause_s = 0.0 if lived_s > HEALTHY_AFTER_S else min(max(FIRST_PAUSE_S, pause_s * 2), LONGEST_PAUSE_S)
            logger.warning("The process that encodes pictures ended (%s) after %.0f s", code, lived_s)
            await asyncio.sleep(pause_s)

    async def _run_once(self, listener: socket.socket) -> int:
        descriptor = listener.fileno()
        command = [*self._command, "--listener", str(descriptor)]
        async with running_child(command, self._environment, files=(descriptor,)) as process:
            self.process_id = process.pid
            try:
                return await process.wait()
            finally:
                self.process_id = None


def environment_of(settings: Settings) -> dict[str, str]:
    """The settings and what programs need, and nothing secret."""
    told = settings.environment()
    for name in SECRET:
        told.pop(ENV_PREFIX + name.upper(), None)
    needed = {
        name: value
        for name, value in os.environ.items()
        if name in NEEDED_VARIABLES or name.startswith(NEEDED_PREFIXES)
    }
    return {**few_variables(os.environ), **needed, **told}


@contextmanager
def door() -> Iterator[tuple[Path, socket.socket]]:
    """A listening Unix socket in a folder that only this account may enter."""
    usual = tempfile.gettempdir()
    parent = usual if len(os.fsencode(usual)) < LONGEST_PATH_BYTES - 40 else "/tmp"
    remove_deserted(Path(parent))
    with tempfile.TemporaryDirectory(prefix=DOOR, dir=parent) as folder:
        path = Path(folder) / "pictures"
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(f"{path}.new")
            listener.listen(MOST_CONNECTING)
            listener.setblocking(False)
            Path(f"{path}.new").rename(path)  # now that it listens: one that does not is taken for deserted
            yield path, listener


def remove_deserted(parent: Path) -> None:
    """Removes the sockets of services that were killed, on which nobody listens any more."""
    for path in parent.glob(f"{DOOR}*/pictures"):
        with socket.socket(socket.AF_UNIX) as visitor:
            try:
                visitor.connect(str(path))
            except ConnectionRefusedError:
                shutil.rmtree(path.parent, ignore_errors=True)
            except OSError:  # another account's, or it has just gone
                continue


async def readable(listener: socket.socket) -> None:
    """Returns when somebody waits to be accepted."""
    loop = asyncio.get_running_loop()
    waits = asyncio.Event()
    loop.add_reader(listener, waits.set)
    try:
        await waits.wait()
    finally:
        loop.remove_reader(listener)
