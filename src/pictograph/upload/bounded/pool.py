"""A few decoding processes, kept and used again."""

from __future__ import annotations

import fcntl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from pictograph.errors import ApiError, TooCostly, Unavailable
from pictograph.upload.bounded.reader import Reader
from pictograph.upload.bounded.wanted import DecodeBudget, Made, Wanted
from pictograph.upload.limits import PictureLimits

USES = 2_000
"""Pictures after which a process gives place to a fresh one: decoders may leak."""

LOOK_EVERY_S = 0.02
"""How soon a turn is taken that another process gave back."""


class PictureReaders:
    """Reads pictures in at most `processes` processes, each started when it is first needed. Thread-safe.

        with PictureReaders(PictureLimits(), DecodeBudget(), processes=2) as readers:
            made = readers.read(data, Wanted(short_side_px=384, thumbnails_px=(320,)))

    Who asks while all are busy waits.
    """

    def __init__(
        self, limits: PictureLimits, budget: DecodeBudget, *, processes: int, shared_turn: Path | None = None
    ) -> None:
        """shared_turn: a file whose lock is held while a picture is read: of all processes that name it, one reads."""
        self.budget = budget
        self._shared_turn = shared_turn
        self._limits = limits
        self._turns = threading.Semaphore(processes)
        self._lock = threading.Lock()
        self._idle: list[tuple[Reader, int]] = []
        self._busy: set[Reader] = set()
        self._closed = False

    def __enter__(self) -> PictureReaders:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def read(
        self, source: bytes, wanted: Wanted, *, memory_bytes: int | None = None, seconds: float | None = None
    ) -> Made:
        """What is wanted of a file, within the budget, or within `memory_bytes` and `seconds` where that is less.

        Raises TooCostly for what exceeds it, BadImage, UnsupportedFormat, TooLarge as `decode_picture` does, and
        Unavailable (retryable) if the process was ended from outside.
        """
        budget = self.budget
        if memory_bytes is not None:
            budget = replace(budget, memory_bytes=min(memory_bytes, budget.memory_bytes))
        if seconds is not None:
            budget = replace(budget, seconds=min(seconds, budget.seconds))
        with self._turns, self._turn_among_processes():
            reader, uses = self._taken()
            healthy = False
            try:
                made = reader.read(source, wanted, self._limits, budget)
                healthy = True
            except (TooCostly, Unavailable):
                raise
            except ApiError:
                healthy = True
                raise
            finally:
                self._give_back(reader, uses + 1, healthy=healthy)
            return made

    @contextmanager
    def _turn_among_processes(self) -> Iterator[None]:
        """The lock goes with whoever holds it, however that process ends."""
        if self._shared_turn is None:
            yield
            return
        with self._shared_turn.open("wb") as file:
            while not self._closed:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    time.sleep(LOOK_EVERY_S)
            yield

    def close(self) -> None:
        """Ends the processes, also those at work: their pictures are then Unavailable."""
        with self._lock:
            self._closed = True
            idle = [reader for reader, _ in self._idle]
            self._idle.clear()
            for reader in self._busy:
                reader.end()
        for reader in idle:
            reader.close()

    def _taken(self) -> tuple[Reader, int]:
        with self._lock:
            if self._closed:
                raise Unavailable("The service is ending.", retry_after_s=2)
            reader, uses = self._idle.pop() if self._idle else (Reader(), 0)
            self._busy.add(reader)
        return reader, uses

    def _give_back(self, reader: Reader, uses: int, *, healthy: bool) -> None:
        with self._lock:
            self._busy.discard(reader)
            keep = healthy and uses < USES and not self._closed
            if keep:
                self._idle.append((reader, uses))
        if not keep:
            reader.close()
