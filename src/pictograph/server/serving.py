"""Several processes that answer HTTP on one port, kept alive by one that does what a library needs beside requests."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import IO, Any, Final

from pictograph.db.pool import Database
from pictograph.errors import PictographError
from pictograph.server.app import housekeeping
from pictograph.server.background import every
from pictograph.server.children import Child, keep_alive, running_child
from pictograph.server.duplicating import DuplicatesProcess
from pictograph.server.indexing import IndexProcess
from pictograph.server.metrics import METRICS_FOLDER
from pictograph.server.picture_process import PictureProcess
from pictograph.server.sharing import ABSENT, Board, board_file
from pictograph.server.told import READY, WISH_FOR_KEYS, Crew, line_of, told_reading
from pictograph.server.workers import WorkerProcesses
from pictograph.services import open_services
from pictograph.settings import AUTO, Settings
from pictograph.store.key_memory import ReadVersions

logger = logging.getLogger(__name__)

OWN_CONNECTIONS: Final = 3
"""To the database, for what is done once for all processes."""
TELL_EVERY_S: Final = 0.5
"""How soon the serving processes know how the workers do."""


@dataclass(frozen=True, slots=True)
class First:
    """The first line that a serving process is told. Here, because the database's address is nobody else's business."""

    conninfo: str
    number: int
    """From 0 on."""
    folder: str
    """For what the processes share in files, as long as the service runs."""
    picture_door: str
    """Where all of them have pictures encoded that are sent as questions."""
    crew: Crew

    @classmethod
    def of(cls, told: dict[str, Any]) -> First:
        """As it travelled."""
        return cls(**{**told, "crew": Crew(**told["crew"])})


class ServingProcesses:
    """Keeps `settings.http_workers` processes alive that answer on the listening socket."""

    def __init__(
        self,
        settings: Settings,
        conninfo: str,
        listener: socket.socket,
        workers: WorkerProcesses,
        folder: Path,
        *,
        door: Path,
    ) -> None:
        """folder: empty, and there as long as this is used. door: where pictures are encoded."""
        self._wanted = settings.http_workers
        self._conninfo = conninfo
        self._listener = listener
        self._workers = workers
        self._folder, self._door = folder, door
        # A process that starts later finds the library with whatever encoder it has then.
        passed = replace(settings, encoder=AUTO).environment()
        self._environment = {**os.environ, **passed, METRICS_FOLDER: str(folder)}
        self._processes: dict[int, Child] = {}
        self._ready: set[int] = set()
        self._all_ready = asyncio.Event()
        self._reading: set[asyncio.Task[None]] = set()
        self._told: Crew | None = None

    @asynccontextmanager
    async def running(self) -> AsyncIterator[ServingProcesses]:
        """Starts them, and ends them at the close of the block; requests that they have are answered first."""
        async with AsyncExitStack() as opened:
            file = opened.enter_context(board_file(self._wanted))
            database = Database(self._conninfo, max_connections=1)
            await database.open()
            opened.push_async_callback(database.close)
            self._versions = ReadVersions(database)
            self._board = Board(file.fileno(), self._wanted)
            opened.callback(self._board.close)
            keepers = [
                asyncio.create_task(keep_alive(f"Serving process {number}", partial(self._run_once, number, file)))
                for number in range(self._wanted)
            ]
            await opened.enter_async_context(every(TELL_EVERY_S, self._follow_crew))
            try:
                yield self
            finally:
                for task in (*keepers, *self._reading):
                    task.cancel()
                await asyncio.gather(*keepers, *self._reading, return_exceptions=True)

    async def wait_until_ready(self) -> None:
        """Returns when each of them takes requests, or did."""
        await self._all_ready.wait()

    async def _run_once(self, number: int, board: IO[bytes]) -> int:
        shared = {"--listener": self._listener.fileno(), "--board": board.fileno()}
        command = [sys.executable, "-m", "pictograph", "serve-http"]
        for option, descriptor in shared.items():
            command += [option, str(descriptor)]
        heard = partial(self._heard, number)
        async with running_child(command, self._environment, files=tuple(shared.values()), heard=heard) as process:
            first = First(self._conninfo, number, str(self._folder), str(self._door), self._crew())
            self._processes[number] = process
            self._tell(process, asdict(first))
            try:
                return await process.wait()
            finally:
                self._processes.pop(number, None)
                self._ready.discard(number)
                self._board.note(number, ABSENT)
                self._tell_of_crew()

    def _heard(self, number: int, signs: bytes) -> None:
        if READY in signs:
            self._ready.add(number)
            self._tell_of_crew()
            if len(self._ready) == self._wanted:
                self._all_ready.set()
        if WISH_FOR_KEYS in signs:
            reading = asyncio.create_task(self._read_keys(time.monotonic()))
            self._reading.add(reading)
            reading.add_done_callback(self._reading.discard)

    async def _read_keys(self, wished_at: float) -> None:
        try:
            reading = await self._versions.since(wished_at)
        except PictographError as error:
            logger.debug("The version of the keys cannot be read just now: %s", error)
            reading = None
        self._tell_all({"keys": told_reading(reading)})

    def _crew(self) -> Crew:
        missing = self._wanted - len(self._ready)
        warnings = (
            [f"{missing} of {self._wanted} serving processes do not answer; the log says why."] if missing else []
        )
        return replace(self._workers.crew, warnings=warnings)

    async def _follow_crew(self) -> None:
        self._tell_of_crew()

    def _tell_of_crew(self) -> None:
        crew = self._crew()
        if crew != self._told:
            self._tell_all({"crew": asdict(crew)})
            self._told = crew

    def _tell_all(self, news: dict[str, Any]) -> None:
        for process in self._processes.values():
            self._tell(process, news)

    def _tell(self, process: Child, news: dict[str, Any]) -> None:
        if process.stdin is not None and not process.stdin.is_closing():
            with suppress(ConnectionError):  # it has just ended
                process.stdin.write(line_of(news))


async def serve_with_several(
    settings: Settings, conninfo: str, listener: socket.socket, stop: asyncio.Event, be_ready: Callable[[], object]
) -> None:
    """Until `stop` is set. be_ready: is called once when every serving process takes requests."""
    async with AsyncExitStack() as opened:
        folder = opened.enter_context(tempfile.TemporaryDirectory(prefix="pictograph-serving-"))
        services = await opened.enter_async_context(
            open_services(replace(settings, max_connections=OWN_CONNECTIONS), conninfo)
        )
        crew = WorkerProcesses(settings, conninfo, services.spaces)
        workers = await opened.enter_async_context(crew.running())
        await opened.enter_async_context(IndexProcess(settings, conninfo, services.image_counts).running())
        await opened.enter_async_context(DuplicatesProcess(settings, conninfo, services.duplicates).running())
        await opened.enter_async_context(housekeeping(services))
        door = await opened.enter_async_context(PictureProcess(settings).running())
        serving = ServingProcesses(settings, conninfo, listener, workers, Path(folder), door=door)
        await opened.enter_async_context(serving.running())
        ready = asyncio.create_task(serving.wait_until_ready())
        stopped = asyncio.create_task(stop.wait())
        await asyncio.wait((ready, stopped), return_when=asyncio.FIRST_COMPLETED)
        ready.cancel()
        if not stop.is_set():
            be_ready()
        await stopped
        listener.close()  # as the serving processes do in a moment: from then on, who connects is refused at once
