"""Bytes that may be in flight at once: a semaphore that counts what things weigh, not how many there are."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class ByteBudget:
    """First come, first served, so that something heavy is not passed by forever. What weighs more goes alone."""

    def __init__(self, total_bytes: int) -> None:
        self.total_bytes = total_bytes
        self._free = total_bytes
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    @property
    def in_use(self) -> int:
        """Bytes that are taken now."""
        return self.total_bytes - self._free

    @asynccontextmanager
    async def hold(self, size_bytes: int) -> AsyncIterator[None]:
        """Waits until so many bytes are free, and holds them; at most all there are."""
        size_bytes = min(size_bytes, self.total_bytes)
        await self._take(size_bytes)
        try:
            yield
        finally:
            self._free += size_bytes
            self._serve()

    async def _take(self, size_bytes: int) -> None:
        turn = asyncio.get_running_loop().create_future()
        entry = (size_bytes, turn)
        self._waiting.append(entry)
        self._serve()
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():  # it was our turn the moment we were told to stop
                self._free += size_bytes
            else:
                self._waiting.remove(entry)
            self._serve()
            raise

    def _serve(self) -> None:
        while self._waiting and self._waiting[0][0] <= self._free:
            size_bytes, turn = self._waiting.popleft()
            if not turn.cancelled():
                self._free -= size_bytes
                turn.set_result(None)
