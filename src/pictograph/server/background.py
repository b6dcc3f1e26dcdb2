"""What the service does besides answering requests."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Final, TypeAlias

from pictograph.errors import PictographError

logger = logging.getLogger(__name__)

LAG_EVERY_S: Final = 0.25
CANCEL_AGAIN_S: Final = 1.0
Step: TypeAlias = Callable[[], Awaitable[object]]


@asynccontextmanager
async def beside(step: Step) -> AsyncIterator[None]:
    """Does `step` once while the block runs; what fails is logged, what has not ended is cancelled."""
    task = asyncio.create_task(tried(step))
    try:
        yield
    finally:
        await ended(task)


async def ended(task: asyncio.Task[None]) -> None:
    """Cancels the task until it has ended: a cancellation that meets the end of a wait inside may be lost."""
    while not task.done():
        task.cancel()
        await asyncio.wait([task], timeout=CANCEL_AGAIN_S)


def every(pause_s: float, step: Step) -> AbstractAsyncContextManager[None]:
    """Does `step` again and again while the block runs, with a pause before each."""

    async def again_and_again() -> None:
        while True:
            await asyncio.sleep(pause_s)
            await tried(step)

    return beside(again_and_again)


async def watch_lag(saw: Callable[[float], None]) -> None:
    """Tells, four times a second, how many seconds late the event loop came back to us: all requests are so late."""
    while True:
        began = time.monotonic()
        await asyncio.sleep(LAG_EVERY_S)
        saw(max(0.0, time.monotonic() - began - LAG_EVERY_S))


async def tried(step: Step) -> None:
    try:
        await step()
    except PictographError as error:
        logger.warning("The task %s did not succeed: %s", step.__name__, error)
    except Exception:  # a bug here must not end what is done again and again
        logger.exception("The task %s failed unexpectedly", step.__name__)
