"""How many uploads the server takes at once. What is beyond is told to come back; it never becomes memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Final

from fastapi import Request, Response

from pictograph.errors import RateLimitError
from pictograph.server.access import KeyFirst
from pictograph.server.strict import Handler

LONGEST_WAIT_S: Final = 10.0
"""For a turn, once the body is here: well below a client's timeout, so that it hears a 429 and not silence."""
RETRY_AFTER_S: Final = 1.0


class Admission:
    """Counts uploads. A place is taken before the body is read, a turn before its bytes are read into memory.

    Whoever has a place but no turn costs a few megabytes at most: a larger body waits in a file on disk.
    """

    def __init__(self, max_working: int, max_waiting: int) -> None:
        """max_working: uploads with a turn; max_waiting: those that arrive, or wait for one, beside them."""
        self._places = max_working + max_waiting
        self._turns = asyncio.Semaphore(max_working)
        self.inside = 0
        """Uploads that have a place now."""

    @contextmanager
    def place(self) -> Iterator[None]:
        """Held while an upload is here. Raises RateLimitError at once if there is none left."""
        if self.inside >= self._places:
            raise too_many()
        self.inside += 1
        try:
            yield
        finally:
            self.inside -= 1

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Held while the bytes are in memory. Raises RateLimitError if none comes up for LONGEST_WAIT_S."""
        try:
            async with asyncio.timeout(LONGEST_WAIT_S):
                await self._turns.acquire()
        except TimeoutError as error:
            raise too_many() from error
        try:
            yield
        finally:
            self._turns.release()


def too_many() -> RateLimitError:
    return RateLimitError(
        "The server has as many uploads as it takes at once (settings max_uploads, max_waiting_uploads). "
        "Send this one again in a moment.",
        retry_after_s=RETRY_AFTER_S,
    )


def admission_of(request: Request) -> Admission:
    """This service's counter; put there when it started."""
    admission: Admission = request.app.state.admission
    return admission


class UploadForm(KeyFirst):
    """A route for a form with a file: the key first, then a place, and only then the body."""

    def reader(self) -> Handler:
        """FastAPI's handler, inside a place."""
        read_and_handle = super().reader()

        async def handle_admitted(request: Request) -> Response:
            with admission_of(request).place():
                return await read_and_handle(request)

        return handle_admitted
