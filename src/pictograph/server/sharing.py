"""How several serving processes share one port: a new connection goes to the process that has the fewest."""

from __future__ import annotations

import asyncio
import logging
import mmap
import socket
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import IO, Final

logger = logging.getLogger(__name__)

ABSENT: Final = 1 << 40
"""Stands for the count of a process that takes no connections: nobody leaves one to it."""
STEP_BACK_S: Final = 0.005
"""How long a process leaves a new connection to others that have fewer: they may be busy, or dying."""
NO_ROOM_PAUSE_S: Final = 1.0
"""After the system has refused us a connection for lack of files or memory."""


class Board:
    """How many connections each process has, in memory that all of them share; each writes its own number only."""

    def __init__(self, descriptor: int, processes: int) -> None:
        """descriptor: of a file made by `board_file`."""
        self._memory = mmap.mmap(descriptor, 8 * processes)
        self._counts = memoryview(self._memory).cast("q")

    def close(self) -> None:
        """Forgets the memory; the others keep it."""
        self._counts.release()
        self._memory.close()

    def note(self, number: int, connections: int) -> None:
        """Process `number` has so many."""
        self._counts[number] = connections

    def others_have_fewer(self, number: int) -> bool:
        """Whether a process beside `number` has fewer."""
        own = self._counts[number]
        return any(count < own for count in self._counts)

    @property
    def counts(self) -> list[int]:
        """Of each process, in order."""
        return list(self._counts)


@contextmanager
def board_file(processes: int) -> Iterator[IO[bytes]]:
    """A file without a name, for a `Board` of so many processes, none of which takes connections yet."""
    with tempfile.TemporaryFile() as file:
        file.truncate(8 * processes)
        board = Board(file.fileno(), processes)
        for number in range(processes):
            board.note(number, ABSENT)
        board.close()
        yield file


class Acceptor:
    """Takes connections from a socket on which several processes listen. Lives on one event loop."""

    def __init__(
        self, listener: socket.socket, protocol: Callable[[], asyncio.Protocol], board: Board, number: int
    ) -> None:
        """number: of this process on the board, which the counter of its connections keeps up to date."""
        self._listener = listener
        self._protocol = protocol
        self._board = board
        self._number = number
        self._loop = asyncio.get_running_loop()
        self._pausing: asyncio.TimerHandle | None = None
        self._opening: set[asyncio.Task[object]] = set()
        self._is_closed = False

    def start(self) -> None:
        """Takes connections from now on."""
        self._listener.setblocking(False)
        self._board.note(self._number, 0)
        self._listen()

    def close(self) -> None:
        """Takes none any more, and closes the socket; connections that are here go on."""
        self._is_closed = True
        if self._pausing is not None:
            self._pausing.cancel()
        self._loop.remove_reader(self._listener)
        self._listener.close()
        self._board.note(self._number, ABSENT)

    def _listen(self) -> None:
        self._pausing = None
        if not self._is_closed:
            self._loop.add_reader(self._listener, self._readable)

    def _readable(self) -> None:
        if self._board.others_have_fewer(self._number):
            self._pause(STEP_BACK_S, self._take_and_listen)
        else:
            self._take()

    def _pause(self, seconds: float, then: Callable[[], None]) -> None:
        self._loop.remove_reader(self._listener)
        self._pausing = self._loop.call_later(seconds, then)

    def _take_and_listen(self) -> None:
        self._listen()
        self._take()

    def _take(self) -> None:
        """One connection, if there still is one: the next may be for somebody else."""
        try:
            connection, _ = self._listener.accept()
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):
            return
        except OSError as error:
            logger.error("No connection can be taken just now: %s", error)
            self._pause(NO_ROOM_PAUSE_S, self._listen)
            return
        connection.setblocking(False)
        opening = self._loop.create_task(self._open(connection))
        self._opening.add(opening)
        opening.add_done_callback(self._opening.discard)

    async def _open(self, connection: socket.socket) -> None:
        try:
            await self._loop.connect_accepted_socket(self._protocol, connection)
        except OSError:  # it is gone already
            connection.close()
