"""How fast a body comes, and until when it is waited for."""

from __future__ import annotations

import asyncio
import time
from typing import Final

from starlette.types import Message, Receive

from pictograph.errors import ApiError, SlowSender

SILENCE_S: Final = 30.0
"""How long a sender may send nothing before its body is there: else one that stalls holds its place forever."""
LEAST_BYTES_PER_S: Final = 1_000
"""What a sender must send while it is waited for, on average over WINDOW_S: else a byte now and then holds a place."""
WINDOW_S: Final = 20.0


class Pace:
    """Of the body of one request. Only the time counts in which we wait for the sender, not that of our own work."""

    def __init__(self) -> None:
        self.received = 0
        self._waiting_since: float | None = None
        self._timeout: asyncio.Timeout | None = None
        self._given_up: ApiError | None = None
        self._window_bytes = 0
        self._window_s = 0.0

    def silent_s(self, now: float) -> float:
        """How long the sender has sent nothing although we wait for it."""
        return 0.0 if self._waiting_since is None else now - self._waiting_since

    def give_up(self, error: ApiError) -> None:
        """Waits no longer: `next_part` raises this error, now or the next time."""
        self._given_up = error
        if self._timeout is not None and self._waiting_since is not None:
            self._timeout.reschedule(asyncio.get_running_loop().time())

    async def next_part(self, receive: Receive) -> Message:
        """The next part of the body. Raises SlowSender if it does not come in time."""
        if self._given_up is not None:
            raise self._given_up
        self._waiting_since = time.monotonic()
        try:
            while True:
                message = await self._part_in_time(receive)
                if message is not None:
                    return message
        finally:
            self._waiting_since = None

    async def _part_in_time(self, receive: Receive) -> Message | None:
        """None if none came, but enough before it that we go on waiting."""
        began = time.monotonic()
        silence_left = SILENCE_S - self.silent_s(began)
        try:
            async with asyncio.timeout(min(silence_left, WINDOW_S - self._window_s)) as self._timeout:
                message = await receive()
        except TimeoutError as error:
            self._count(0, began)
            if self._given_up is not None:
                raise self._given_up from error
            if self.silent_s(time.monotonic()) >= SILENCE_S:
                raise SlowSender(f"No more of the request arrived for {SILENCE_S:g} s. Send it again.") from error
            return None
        self._count(len(message.get("body", b"")), began)
        return message

    def _count(self, size: int, began: float) -> None:
        self.received += size
        self._window_bytes += size
        self._window_s += time.monotonic() - began
        if self._window_s < WINDOW_S:
            return
        if self._window_bytes < LEAST_BYTES_PER_S * WINDOW_S and self._given_up is None:
            self._given_up = SlowSender(
                f"The request came too slowly: less than {LEAST_BYTES_PER_S:,} bytes a second over {WINDOW_S:g} s. "
                "Send it again."
            )
        self._window_bytes, self._window_s = 0, 0.0
