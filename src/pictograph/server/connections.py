"""The connections of one serving process: how many there may be, and which are ended so that others get in.

A connection costs its owner nothing. So who has never asked anything, who began a request and does not finish it, who
does not read an answer, and who sends the rest of a refused request forever, is let go here.
"""

from __future__ import annotations

import asyncio
import logging
import resource
import time
from collections.abc import Callable
from typing import Final, Protocol

logger = logging.getLogger(__name__)

RESERVED_FILES: Final = 256
"""Open files that connections leave to the database, to blobs and to uploads that wait on disk."""
FEWEST_CONNECTIONS: Final = 64
MOST_FILES: Final = 1_048_576
LOOK_EVERY_S: Final = 1.0
SHED_PART: Final = 32
"""Of the connections that may be, one in so many is ended at once: looking for them costs a look at all."""
LOG_EVERY_S: Final = 10.0
MOST_UNREAD_BYTES: Final = 256_000_000
"""Of answers that wait in memory until they are read, over all connections."""


class Guarded(Protocol):
    """What the guard asks of a connection."""

    since: float
    """When it was opened."""

    @property
    def worth(self) -> int | None:
        """None while a request of it is answered; else the lower goes first where there are too many."""

    @property
    def unread_bytes(self) -> int:
        """Bytes of an answer that wait in our memory because the client does not read; 0 if they go out."""

    @property
    def unread_since(self) -> float:
        """Since when, as `time.monotonic` tells it."""

    def look(self, now: float) -> None:
        """Ends what has lasted too long."""

    def drop(self) -> None:
        """Ends the connection at once."""


def raise_file_limit() -> int:
    """Lets this process open as many files as it is allowed to; returns how many."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, MOST_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        except (OSError, ValueError) as error:
            logger.warning("The limit of open files stays at %d: %s", soft, error)
    return open_files_limit()


def open_files_limit() -> int:
    """How many files this process may open."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return MOST_FILES if soft == resource.RLIM_INFINITY else soft


class Connections:
    """Those that are open. Lives on the event loop of the server."""

    def __init__(
        self,
        most: int,
        *,
        most_unread_bytes: int = MOST_UNREAD_BYTES,
        counted: Callable[[int], object] | None = None,
    ) -> None:
        """most: connections at once; fewer where the limit of open files is lower. counted: is told how many."""
        self._most = most
        self._most_unread_bytes = most_unread_bytes
        self._counted = counted or (lambda _: None)
        self._open: set[Guarded] = set()
        self._looking: asyncio.TimerHandle | None = None
        self._shed = 0
        self._log_again_at = 0.0

    @property
    def most(self) -> int:
        """How many there may be."""
        return min(self._most, max(FEWEST_CONNECTIONS, open_files_limit() - RESERVED_FILES))

    def __len__(self) -> int:
        return len(self._open)

    def admit(self, connection: Guarded) -> bool:
        """Takes a new one in, and ends idle ones if there are too many. False if all of them are busy."""
        most = self.most
        if len(self._open) >= most and not self._make_room(most):
            return False
        self._open.add(connection)
        self._counted(len(self._open))
        if self._looking is None:
            self._look_later()
        return True

    def leave(self, connection: Guarded) -> None:
        """It has ended."""
        self._open.discard(connection)
        self._counted(len(self._open))

    def _make_room(self, most: int) -> bool:
        idle = sorted(
            (
                (worth, one.since, number, one)
                for number, one in enumerate(self._open)
                if (worth := one.worth) is not None
            )
        )
        for *_, one in idle[: 1 + most // SHED_PART]:
            self._open.discard(one)
            one.drop()
            self._shed += 1
        self._say_what_was_shed(most)
        return bool(idle)

    def _say_what_was_shed(self, most: int) -> None:
        now = time.monotonic()
        if now >= self._log_again_at:
            logger.warning(
                "All %d connections are taken (setting max_client_connections, or the limit of open files): "
                "%d idle ones were closed to let others in",
                most,
                self._shed,
            )
            self._shed, self._log_again_at = 0, now + LOG_EVERY_S

    def _look_later(self) -> None:
        self._looking = asyncio.get_running_loop().call_later(LOOK_EVERY_S, self._look)

    def _look(self) -> None:
        self._looking = None
        now = time.monotonic()
        for connection in list(self._open):
            connection.look(now)
        self._end_unread()
        if self._open:
            self._look_later()

    def _end_unread(self) -> None:
        unread = [one for one in self._open if one.unread_bytes]
        total = sum(one.unread_bytes for one in unread)
        for one in sorted(unread, key=lambda one: one.unread_since):
            if total <= self._most_unread_bytes:
                return
            total -= one.unread_bytes
            logger.warning(
                "Answers that clients do not read fill the memory: dropped the connection that had waited longest"
            )
            one.drop()
