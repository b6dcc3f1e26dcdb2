"""Signs of life of a child process, and who watches them: one that is stopped, or hangs, is killed and replaced."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final, Protocol, TypeAlias

logger = logging.getLogger(__name__)

BEAT_EVERY_S: Final = 2.0
SILENT_FOR_S: Final = 30.0
"""Without a sign for this long, a process is killed. A worker's images wait for the lease at most, then others take
them."""
FIRST_BEAT_WITHIN_S: Final = 120.0
"""Python starts and imports before the first one, on a machine that may be busy."""
LATE_S: Final = 1.0
"""After we were stopped ourselves, signs wait in the pipe: they are read before anybody is killed."""

ALIVE: Final = b"."
Heard: TypeAlias = Callable[[bytes], object]
"""Is told of the bytes that came: signs of life, and whatever else the process says."""


class Busy(Protocol):
    """What works, as far as signs of life go."""

    @property
    def is_stuck(self) -> bool:
        """Whether it will never end what it has begun."""


class Life:
    """The child's side: a byte every two seconds, from the event loop, as long as nothing hangs."""

    def __init__(self) -> None:
        self.worker: Busy | None = None
        """What runs now; None while it is being opened."""

    @asynccontextmanager
    async def shown(self, descriptor: int | None) -> AsyncIterator[None]:
        """Writes signs to the file descriptor while the block runs; None writes none."""
        if descriptor is None:
            yield
            return
        os.set_blocking(descriptor, False)
        beating = asyncio.create_task(self._beat(descriptor))
        try:
            yield
        finally:
            beating.cancel()
            await asyncio.gather(beating, return_exceptions=True)

    async def _beat(self, descriptor: int) -> None:
        while True:
            if self.worker is None or not self.worker.is_stuck:
                tell(descriptor, ALIVE)
            await asyncio.sleep(BEAT_EVERY_S)


def tell(descriptor: int, sign: bytes) -> None:
    """Writes a sign to the parent, unless it reads none."""
    with contextlib.suppress(BlockingIOError, BrokenPipeError):  # whoever reads it is stopped, or gone
        os.write(descriptor, sign)


async def kill_when_silent(
    process: asyncio.subprocess.Process,
    beats: asyncio.StreamReader,
    *,
    first_within_s: float = FIRST_BEAT_WITHIN_S,
    silent_for_s: float = SILENT_FOR_S,
    heard: Heard | None = None,
) -> None:
    """Returns once the process has closed its end, or was killed because no sign of it came."""
    patience_s = first_within_s
    while True:
        try:
            sign = await within(patience_s, beats)
        except TimeoutError:
            try:
                sign = await within(LATE_S, beats)
            except TimeoutError:
                logger.error("Process %d has shown no sign of life for %.0f s and is killed", process.pid, patience_s)
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
                return
        if not sign:
            return
        if heard is not None:
            heard(sign)
        patience_s = silent_for_s


async def within(seconds: float, beats: asyncio.StreamReader) -> bytes:
    async with asyncio.timeout(seconds):
        return await beats.read(4096)


async def reader_of(descriptor: int) -> tuple[asyncio.StreamReader, asyncio.ReadTransport]:
    """The end of a pipe that signs are read from. The caller closes the transport."""
    reader = asyncio.StreamReader()
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(descriptor, "rb", buffering=0)
    )
    return reader, transport
