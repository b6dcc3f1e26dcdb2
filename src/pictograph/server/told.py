"""What the process that started us knows, and a serving process beside others does not: it tells, line by line."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import UUID

from pictograph.db.pool import Database
from pictograph.server.beats import tell
from pictograph.store.key_memory import KeyVersions, Reading, ReadVersions
from pictograph.types import SpaceId

READY: Final = b"r"
"""What a serving process says, among its signs of life, when it takes requests."""
WISH_FOR_KEYS: Final = b"k"
"""What it says when it wants `key_version` to be read: the process that started us reads for all."""
PATIENCE_S: Final = 2.0
"""How long that is waited for, before it is read here: the other process may be stopped."""
ALONE_S: Final = 10.0
"""How long nobody is asked again after that."""


@dataclass(frozen=True, slots=True)
class Crew:
    """How the processes of a service do, as `WorkerProcesses` tells it."""

    alive: int = 0
    by_space: dict[str, int] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def alive_for(self, space: SpaceId) -> int:
        """Workers that fill this space now."""
        return self.by_space.get(str(space), 0)


class ToldVersions:
    """`key_version` as the process that started us reads it."""

    def __init__(self, wish: Callable[[], object], own: KeyVersions) -> None:
        """wish: asks for a reading. own: reads here, where nobody else does."""
        self._wish = wish
        self._own = own
        self._last: Reading | None = None
        self._news = asyncio.Event()
        self._could_not_read = False
        self._alone_until = 0.0

    async def since(self, moment: float) -> Reading:
        """As `KeyVersions.since`."""
        while self._last is None or self._last.began < moment:
            if not await self._is_told():
                return await self._own.since(moment)
        return self._last

    def hear(self, reading: Reading | None) -> None:
        """A reading for all; None if there could be none."""
        if reading is not None and (self._last is None or reading.began > self._last.began):
            self._last = reading
        self._could_not_read = reading is None
        self._alone_until = 0.0
        self._news.set()
        self._news = asyncio.Event()

    async def _is_told(self) -> bool:
        if time.monotonic() < self._alone_until:
            return False
        news = self._news
        self._wish()
        try:
            async with asyncio.timeout(PATIENCE_S):
                await news.wait()
        except TimeoutError:
            self._alone_until = time.monotonic() + ALONE_S
            return False
        return not self._could_not_read


class Told:
    """The latest of everything that was told."""

    def __init__(self, crew: Crew, signs: int) -> None:
        """signs: the descriptor of our own signs of life."""
        self.crew = crew
        self._signs = signs
        self._versions: list[ToldVersions] = []

    def key_versions(self, database: Database) -> KeyVersions:
        """Who reads `key_version` for us. database: where to read it if nobody does."""
        versions = ToldVersions(lambda: tell(self._signs, WISH_FOR_KEYS), ReadVersions(database))
        self._versions.append(versions)
        return versions

    def listen(self, lines: Iterable[bytes], then: Callable[[], object]) -> None:
        """Hears every line from now on, on the running loop. then: is called, in a thread, after the last."""
        loop = asyncio.get_running_loop()

        def listen() -> None:
            with contextlib.suppress(RuntimeError):  # the loop has ended
                for line in lines:
                    loop.call_soon_threadsafe(self.hear, json.loads(line))
            then()

        threading.Thread(target=listen, daemon=True, name="parent").start()

    def hear(self, news: dict[str, Any]) -> None:
        """One line."""
        if "crew" in news:
            self.crew = Crew(**news["crew"])
        if "keys" in news:
            reading = reading_of(news["keys"])
            for versions in self._versions:
                versions.hear(reading)


def lines_of(descriptor: int) -> Iterator[bytes]:
    """Line by line until the other end closes. Not through sys.stdin, whose lock would be held as Python ends."""
    rest = b""
    while part := os.read(descriptor, 65_536):
        *whole, rest = (rest + part).split(b"\n")
        yield from whole


def line_of(news: dict[str, Any]) -> bytes:
    """What `Told.hear` hears, as it travels."""
    return json.dumps(news).encode() + b"\n"


def told_reading(reading: Reading | None) -> list[Any] | None:
    """A reading as it travels."""
    return None if reading is None else [reading.began, str(reading.version)]


def reading_of(told: list[Any] | None) -> Reading | None:
    return None if told is None else Reading(float(told[0]), UUID(told[1]))
