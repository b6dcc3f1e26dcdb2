"""What happens to every request: an id, its duration, and bounds on its body."""

from __future__ import annotations

import logging
import time
import uuid
from typing import Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pictograph.errors import TooLarge
from pictograph.server.failures import loggable_path
from pictograph.server.pace import Pace
from pictograph.telemetry import ACCESS, request_id
from pictograph.wire.vectors import MAX_ROWS_BYTES

access = logging.getLogger(ACCESS)

FORM_OVERHEAD_BYTES: Final = 1_000_000
"""What a multipart form may have around the file."""


class RequestMarks:
    """Adds `X-Request-Id` (the caller's, if it sent a sane one) and `Server-Timing` to every answer."""

    def __init__(self, app: ASGIApp, access_log: bool = False) -> None:
        """access_log: whether each request gets a line in the log, once it is answered."""
        self._app = app
        self._access_log = access_log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = id_of(scope)
        request_id.set(given)  # for the task of this request, and all that it starts
        started = time.perf_counter()
        status, sent = 0, 0

        async def send_marked(message: Message) -> None:
            nonlocal status, sent
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers["X-Request-Id"] = given
                headers["Server-Timing"] = f"total;dur={(time.perf_counter() - started) * 1000:.2f}"
            sent += len(message.get("body", b""))
            await send(message)

        try:
            await self._app(scope, receive, send_marked)
        finally:
            if self._access_log:
                log_access(scope, status, sent, time.perf_counter() - started)


def log_access(scope: Scope, status: int, sent: int, took_s: float) -> None:
    """One line for one request: its query, and what holds a permission, are left out."""
    client = scope["client"][0] if scope.get("client") else "-"
    method, path, took_ms = scope["method"], loggable_path(scope["path"]), round(took_s * 1000, 1)
    facts = {"client": client, "method": method, "path": path, "status": status, "bytes": sent, "took_ms": took_ms}
    access.info("%s %s %s %d %d bytes %.1f ms", client, method, path, status, sent, took_ms, extra={"facts": facts})


class HeadAsGet:
    """HEAD gets what GET would get; the protocol leaves the body out."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] == "HEAD":
            scope = {**scope, "method": "GET"}
        await self._app(scope, receive, send)


def id_of(scope: Scope) -> str:
    """The id of this request: the caller's, if it sent a sane one; the same whenever it is asked for."""
    state = scope.setdefault("state", {})
    if "request_id" not in state:
        state["request_id"] = sane_id(Headers(scope=scope).get("x-request-id")) or uuid.uuid4().hex
    return str(state["request_id"])


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
            limit = state.get("body_limit", self._limit)  # a route may take less, or rows of vectors
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
        if limit == MAX_ROWS_BYTES:
            return TooLarge(f"One request may have at most {limit} bytes of rows. Send the rows in several requests.")
        if limit != self._limit:
            return TooLarge(f"The body is larger than this route takes: JSON may have at most {limit} bytes.")
        return TooLarge(
            f"The request is larger than the server takes: a file may have at most {self._max_bytes} bytes "
            "(setting max_bytes)."
        )
