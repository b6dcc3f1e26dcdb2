"""An event loop that tells how much processor time each of its callbacks took.

Processor time of the loop's own thread: what other threads and processes do, and waiting for them, is not in it. Nor
are the interpreter's own garbage collections, which come whenever they come.
"""

from __future__ import annotations

import asyncio
import gc
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType
from typing import Any

LOOK_EVERY_S = 0.004
DEEPEST = 25


@dataclass
class LoopWatch:
    """What the callbacks of one loop took, and what the longest of them did."""

    longest_s: float = 0.0
    callbacks: int = 0
    slow: list[tuple[float, str]] = field(default_factory=list)
    """Those above the limit: seconds, and where they were seen."""
    limit_s: float = 0.02
    _thread: int = 0
    _collected_s: float = 0.0
    _collecting_since: float = 0.0
    _running_since: float | None = None
    _seen: str = ""

    def run(self, handle: asyncio.Handle, run: Any) -> None:
        """Runs one callback, and notes what it took."""
        self._thread = threading.get_ident()
        self._collected_s, self._seen = 0.0, ""
        began = time.thread_time()
        self._running_since = time.monotonic()
        try:
            run(handle)
        finally:
            self._running_since = None
            took = time.thread_time() - began - self._collected_s
            self.callbacks += 1
            self.longest_s = max(self.longest_s, took)
            if took > self.limit_s:
                self.slow.append((took, self._seen or repr(handle)))

    def on_collection(self, phase: str, _: dict[str, int]) -> None:
        """What `gc.callbacks` calls."""
        if threading.get_ident() == self._thread and self._running_since is not None:
            if phase == "start":
                self._collecting_since = time.thread_time()
            else:
                self._collected_s += time.thread_time() - self._collecting_since

    def look(self) -> None:
        """From another thread: where a callback is that already takes long."""
        since = self._running_since
        if since is not None and not self._seen and time.monotonic() - since > self.limit_s / 2:
            frame = sys._current_frames().get(self._thread)
            if frame is not None:
                self._seen = place_of(frame)


def place_of(frame: FrameType) -> str:
    """Where a thread is, the innermost last. Reads no source: every file would mean waiting for the interpreter."""
    places: list[str] = []
    here: FrameType | None = frame
    while here is not None and len(places) < DEEPEST:
        places.append(f"{here.f_code.co_filename}:{here.f_lineno} in {here.f_code.co_name}")
        here = here.f_back
    return "\n".join(reversed(places))


@contextmanager
def watched_loop(loop: asyncio.AbstractEventLoop) -> Iterator[LoopWatch]:
    """Watches this loop of asyncio, which runs in another thread of this process, while the block runs."""
    watch, original, stop = LoopWatch(), asyncio.Handle._run, threading.Event()

    def run(handle: asyncio.Handle) -> None:
        if handle._loop is loop:  # type: ignore[attr-defined]
            watch.run(handle, original)
        else:
            original(handle)

    def look() -> None:
        while not stop.wait(LOOK_EVERY_S):
            watch.look()

    looking = threading.Thread(target=look, daemon=True)
    asyncio.Handle._run = run  # type: ignore[method-assign]
    gc.callbacks.append(watch.on_collection)
    looking.start()
    try:
        yield watch
    finally:
        stop.set()
        looking.join()
        gc.callbacks.remove(watch.on_collection)
        asyncio.Handle._run = original  # type: ignore[method-assign]
