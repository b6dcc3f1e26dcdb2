"""Refuses clients without a working key before anything else is done, and no faster than is good for the others."""

from __future__ import annotations

import asyncio
import time
from typing import Final

from fastapi import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from pictograph.errors import ApiError
from pictograph.server.access import API_KEY_HEADER, identify
from pictograph.server.failures import answer
from pictograph.wire import API_PREFIX, KEYS_PREFIX

BURST: Final = 10
"""Refusals that are answered at once."""
PER_S: Final = 10.0
"""How many more in a second: a client that tries keys waits for the next, and costs the others nothing meanwhile."""
LONGEST_WAIT_S: Final = 20.0
"""However many try: clients of today give up after 30 seconds."""

LOOKED_UP_AT_ONCE: Final = 2
"""Upload tokens, which are not in memory as keys are."""


class Refusals:
    """Spaces the answers to those who have no working key."""

    def __init__(self, processes: int = 1) -> None:
        """processes: that refuse beside each other, and no faster together than one alone."""
        self._next = 0.0
        self._processes = processes
        self.looking_up = asyncio.Semaphore(max(1, LOOKED_UP_AT_ONCE // processes))
        """Held while the database is asked who may; key holders have the rest of its connections."""

    async def turn(self) -> None:
        """Returns when the next refusal may be answered."""
        now = time.monotonic()
        at = min(max(self._next, now - BURST / PER_S), now + LONGEST_WAIT_S)
        self._next = at + self._processes / PER_S
        await asyncio.sleep(max(0.0, at - now))


class RefuseUnknownKeys:
    """Answers 401 to a wrong key without looking for a route; a right one is recognized for the route."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"].startswith((API_PREFIX, KEYS_PREFIX)):
            request = Request(scope)
            if API_KEY_HEADER in request.headers:
                try:
                    await identify(request)
                except ApiError as error:
                    await answer(request, error)(scope, receive, send)
                    return
        await self._app(scope, receive, send)
