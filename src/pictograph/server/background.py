"""What the service does besides answering requests."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TypeAlias

from pictograph.errors import PictographError

logger = logging.getLogger(__name__)

Step: TypeAlias = Callable[[], Awaitable[object]]


@asynccontextmanager
async def beside(step: Step) -> AsyncIterator[None]:
    """Does `step` once while the block runs; what fails is logged, what has not ended is cancelled."""
    task = asyncio.create_task(tried(step))
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


def every(pause_s: float, step: Step) -> AbstractAsyncContextManager[None]:
    """Does `step` again and again while the block runs, with a pause before each."""

    async def again_and_again() -> None:
        while True:
            await asyncio.sleep(pause_s)
            await tried(step)

    return beside(again_and_again)


async def tried(step: Step) -> None:
    try:
        await step()
    except PictographError as error:
        logger.warning("%s: %s", step.__name__, error)
    except Exception:  # a bug here must not end what is done again and again
        logger.exception("%s failed unexpectedly", step.__name__)
