"""When a process of the service is to end: at a signal, or when the process that started it ends."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager


def when_parent_ends(stop: Callable[[], object]) -> None:
    """Calls `stop` when standard input closes, which the kernel does for us however the parent ends."""

    def wait() -> None:
        while os.read(sys.stdin.fileno(), 4096):  # not through sys.stdin, whose lock would be held as Python ends
            pass
        stop()

    threading.Thread(target=wait, daemon=True, name="parent").start()


@asynccontextmanager
async def stopping(*, exit_with_parent: bool) -> AsyncIterator[asyncio.Event]:
    """An event that SIGINT, SIGTERM and, if asked for, the parent's end set."""
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    if exit_with_parent:
        when_parent_ends(lambda: loop.call_soon_threadsafe(stop.set))
    try:
        yield stop
    finally:
        with contextlib.suppress(RuntimeError):
            for number in (signal.SIGINT, signal.SIGTERM):
                loop.remove_signal_handler(number)
