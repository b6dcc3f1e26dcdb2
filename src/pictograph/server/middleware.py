"""What happens to every request: an id, its duration, and bounds on its body."""

from __future__ import annotations

import time
import uuid
from typing import Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pictograph.errors import TooLarge
from pictograph.server.pace import Pace

FORM_OVERHEAD_BYTES: Final = 1_000_000
"""What a multipart form may have around the file."""


class RequestMarks:
    """Adds `X-Request-Id` (the caller's, if it sent a sane one) and `Server-Timing` to every answer."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = sane_id(Headers(scope=scope).get("x-request-id")) or uuid.uuid4().hex
        scope.setdefault("state", {})["request_id"] = request_id
        started = time.perf_counter()

        async def send_marked(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers["X-Request-Id"] = request_id
                headers["Server-Timing"] = f"total;dur={(time.perf_counter() - started) * 1000:.2f}"
            await send(message)

        await self._app(scope, receive, send_marked)


def sane_id(value: str | None) -> str | None:
    """Letters, digits, `-` and `_`, at most 64: nothing that could break a log line."""
    return (
        value
        if value and len(value) <= 64 and value.replace("-", "").replace("_", "").isalnum() and value.isascii()
        else None
    )


class BodyLimit:
    """Refuses a body that is too large before it is read, or, if its length was not told, while it is.

    And one that stops coming.
    """

    def __init__(self, app: ASGIApp, max_bytes: int) -> None:
        self._app = app
        self._limit = max_bytes + FORM_OVERHEAD_BYTES
        self._max_bytes = max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        declared = Headers(scope=scope).get("content-length", "")
        seen, is_here = 0, False
        state = scope.setdefault("state", {})
        state["pace"] = pace = Pace()

        async def receive_bounded() -> Message:
            nonlocal seen, is_here
            limit = state.get("body_limit", self._limit)  # a route may take less
            if declared.isdigit() and int(declared) > limit:
                raise self._too_large(limit)
            if is_here:  # then this waits for the caller to hang up, however long that takes
                return await receive()
            message = await pace.next_part(receive)
            seen += len(message.get("body", b""))
            is_here = not message.get("more_body", False)
            if seen > limit:
                raise self._too_large(limit)
            return message

        await self._app(scope, receive_bounded, send)

    def _too_large(self, limit: int) -> TooLarge:
        if limit < self._limit:
            return TooLarge(f"The body is larger than this route takes: JSON may have at most {limit} bytes.")
        return TooLarge(
            f"The request is larger than the server takes: a file may have at most {self._max_bytes} bytes "
            "(setting max_bytes)."
        )
