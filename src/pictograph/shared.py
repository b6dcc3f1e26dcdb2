"""One answer for all who ask the same while it is made."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Generic, TypeVar

Result = TypeVar("Result")


class Shared(Generic[Result]):
    """Makes an answer at most once at a time. Lives on one event loop."""

    def __init__(self) -> None:
        self._running: asyncio.Task[Result] | None = None

    async def of(self, make: Callable[[], Coroutine[Any, Any, Result]], within_s: float | None = None) -> Result:
        """What `make` gives, or the run of it that is under way; it goes on where the caller does not wait for its end.

        Raises TimeoutError if it takes longer than within_s.
        """
        if self._running is None or self._running.done():
            self._running = asyncio.create_task(make())
            self._running.add_done_callback(heard)
        async with asyncio.timeout(within_s):
            return await asyncio.shield(self._running)


def heard(task: asyncio.Task[Any]) -> None:
    """Takes the failure, which those who waited were told; perhaps none is left who waits."""
    if not task.cancelled():
        task.exception()
