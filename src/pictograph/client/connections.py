"""Connections that no two processes and no two event loops share.

A forked child inherits its parent's sockets: answers would go to whichever of the two reads first. An asyncio
connection belongs to the loop it was opened in. So connections are kept by process and loop, and a new process or loop
begins with none. What another process left behind is neither used nor closed here: it is still at work over there.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator
from typing import Final, TypeAlias
from weakref import WeakKeyDictionary

import httpx

from pictograph.errors import ConfigurationError
from pictograph.network import DIRECTLY, Route, route_to

LIMITS: Final = httpx.Limits(max_connections=64, max_keepalive_connections=32)
ProcessIdentity: TypeAlias = tuple[int, int]


class Forks:
    """Counts how often this process came out of a fork: a process id alone may be met again in a child's namespace."""

    count = 0

    @classmethod
    def add(cls) -> None:
        """Called in each child."""
        cls.count += 1


if hasattr(os, "register_at_fork"):  # not on Windows, where nothing forks
    os.register_at_fork(after_in_child=Forks.add)


def process_identity() -> ProcessIdentity:
    """What differs between a process and its forked child."""
    return os.getpid(), Forks.count


class Connections:
    """The blocking client's connections. Takes no lock: one that another thread held at the fork would stay held."""

    def __init__(self, base_url: str, given: httpx.Client | None) -> None:
        self.route = route_to(base_url) if given is None else DIRECTLY
        self.given = given
        self._home = process_identity()
        self._closed = False
        self._opened: dict[ProcessIdentity, httpx.Client] = {}
        if given is None:
            self.current()

    def current(self) -> httpx.Client:
        """This process's. Raises ConfigurationError if they are closed, or belong to another process."""
        require_open(self._closed)
        here = process_identity()
        if self.given is not None:
            if here != self._home:
                raise not_ours("process")
            return self.given
        found = self._opened.get(here)
        if found is None:
            made = httpx.Client(transport=self.route.transport(LIMITS), trust_env=False)
            found = self._opened.setdefault(here, made)  # of two threads, one wins
            if found is not made:
                made.close()
        return found

    def close(self) -> None:
        """Closes this process's; one that was given stays open."""
        self._closed = True
        if opened := self._opened.pop(process_identity(), None):
            opened.close()


class AsyncConnections:
    """The asyncio client's connections; those of a loop are closed with it."""

    def __init__(self, base_url: str, given: httpx.AsyncClient | None) -> None:
        self.route = route_to(base_url) if given is None else DIRECTLY
        self.given = given
        self._home: tuple[ProcessIdentity, asyncio.AbstractEventLoop] | None = None
        self._closed = False
        self._opened: WeakKeyDictionary[asyncio.AbstractEventLoop, OfLoop] = WeakKeyDictionary()
        self._inherited: list[OfLoop] = []
        if given is None:
            self.route.check()

    async def current(self) -> httpx.AsyncClient:
        """This process's and loop's. Raises ConfigurationError if they are closed, or belong to another."""
        require_open(self._closed)
        loop, here = asyncio.get_running_loop(), process_identity()
        if self.given is not None:
            self._home = self._home or (here, loop)
            if self._home != (here, loop):
                raise not_ours("process" if self._home[0] != here else "event loop")
            return self.given
        found = self._opened.get(loop)
        if found is not None and found.process != here:
            self._inherited.append(found)
            found = None
        if found is None:
            found = self._opened[loop] = OfLoop(self.route, here)
            await found.close_with_loop()
        return found.http

    async def close(self) -> None:
        """Closes this loop's, and lets other loops that still run close theirs; one that was given stays open."""
        self._closed = True
        here, loop = process_identity(), asyncio.get_running_loop()
        for owner, opened in list(self._opened.items()):
            if opened.process != here:
                continue
            del self._opened[owner]
            if owner is loop:
                await opened.close()
            elif owner.is_running():
                asyncio.run_coroutine_threadsafe(opened.close(), owner)


class OfLoop:
    """The connections of one event loop."""

    def __init__(self, route: Route, process: ProcessIdentity) -> None:
        self.process = process
        self.http = httpx.AsyncClient(transport=route.async_transport(LIMITS), trust_env=False)
        self._until_the_end = until_the_end(self.http)

    async def close_with_loop(self) -> None:
        """Lets the loop close them when it ends: `asyncio.run` finishes every generator that was begun in it."""
        await anext(self._until_the_end)

    async def close(self) -> None:
        """Closes them now."""
        await self._until_the_end.aclose()


async def until_the_end(http: httpx.AsyncClient) -> AsyncGenerator[None]:
    try:
        yield
    finally:
        await http.aclose()


def require_open(closed: bool) -> None:
    """Raises ConfigurationError if it is closed."""
    if closed:
        raise ConfigurationError("This client is closed. Make another one, or close it later.")


def not_ours(what: str) -> ConfigurationError:
    return ConfigurationError(
        f"This client has an http_client of your own, whose connections belong to another {what}: an answer "
        f"could reach the wrong caller. Make a client in this {what}, or leave http_client out: then the client opens "
        "its own connections here."
    )
