"""HTTP as uvicorn speaks it, with bounds on what a connection may send, keep waiting, and leave unread."""

from __future__ import annotations

import asyncio
import fcntl
import json
import logging
import struct
import termios
import time
import uuid
from typing import Any, Final, cast

import httptools
from starlette.types import Scope
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from pictograph.errors import (
    ApiError,
    HeadTooLarge,
    NotSupported,
    ServerError,
    SlowSender,
    Unavailable,
    UnsupportedFormat,
    ValidationError,
)
from pictograph.server.connections import Connections
from pictograph.server.middleware import id_of

logger = logging.getLogger(__name__)

MOST_HEAD_BYTES: Final = 65_536
"""Of a request line and its headers; of what stands between two pieces of a body; of what follows one."""
MOST_HEADERS: Final = 256
MOST_PIPELINED: Final = 8
"""Requests that may wait on one connection behind the one that is answered; the rest is for another connection."""
PIECE_BYTES: Final = 32_768
"""Parsed at a time, where that may mean many small parts: others have their turn in between."""
HEAD_S: Final = 15.0
"""From the first byte of a request, or from the opening of a connection, until its headers are here."""
LINGER_S: Final = 2.0
LINGER_BYTES: Final = 1_000_000
"""How long, and how much, a refused sender may go on: if we closed at once, it would not see why."""
MOST_UNHEARD_BYTES: Final = 16_384
"""Of an answer that may wait to be read without our being told."""
LEAST_BYTES_PER_S: Final = 1_000
"""The server drops a client that reads an answer, or sends a refused body, more slowly than this."""
WINDOW_S: Final = 20.0
"""Over which that is measured."""


class Flow(FlowControl):
    """Reading also rests while what was read is not parsed yet."""

    is_held = False

    def resume_reading(self) -> None:
        """As uvicorn's, unless there is still something to parse."""
        if not self.is_held:
            super().resume_reading()


class GuardedProtocol(HttpToolsProtocol):
    """One connection."""

    flow: Flow

    def __init__(self, *arguments: Any, guard: Connections, most_discarded: int, **options: Any) -> None:
        """most_discarded: bytes of a body that are thrown away after its request was answered."""
        super().__init__(*arguments, **options)
        self._guard = guard
        self._most_discarded = most_discarded
        self.since = time.monotonic()
        self.has_asked = False
        """Whether it ever sent a whole request."""
        self.waits_for_refusal = False
        """Whether its request has no working key, and is only told so a little later."""
        self._head_since: float | None = self.since
        self._is_in_head = self._is_in_body = self._is_chunked = self._is_deaf = False
        self._around = 0
        """Bytes that were no body since the last that were."""
        self._body_bytes = self._came = 0
        self._discarding: tuple[float, int] | None = None
        self._unread: tuple[float, int] | None = None
        self._closing_since: float | None = None
        self._rest = b""

    # What the guard asks

    @property
    def is_idle(self) -> bool:
        """Whether no request is being answered."""
        return not self.pipeline and (self.cycle is None or self.cycle.response_complete) and not self._unread

    @property
    def worth(self) -> int | None:
        """None while a request is answered; else who never asked goes first, then who has no working key."""
        if self.waits_for_refusal:
            return 1
        if not self.is_idle:
            return None
        return 2 if self.has_asked else 0

    @property
    def unread_bytes(self) -> int:
        """Of an answer, in our memory."""
        return self.transport.get_write_buffer_size() if self._unread else 0

    @property
    def unread_since(self) -> float:
        """Since when the answer does not go out; 0 if it does."""
        return self._unread[0] if self._unread else 0.0

    def drop(self) -> None:
        """Ends the connection at once, with what has not gone out."""
        self.transport.abort()

    def look(self, now: float) -> None:
        """Ends what has lasted too long."""
        if self._unread:
            self._look_at_unread(now, *self._unread)
        elif self.transport.is_closing():  # with little to send, which nobody reads
            self._closing_since = self._closing_since or now
            if now - self._closing_since > WINDOW_S:
                self.drop()
        elif self._is_deaf:
            return
        elif self._head_since is not None and now - self._head_since > HEAD_S and self.is_idle:
            self._give_up_head()
        elif self._is_in_body and self.is_idle:
            self._look_at_discarded(now)

    def _look_at_unread(self, now: float, since: float, before: int) -> None:
        if now - since < WINDOW_S:
            return
        left = self._left()
        if before - left < LEAST_BYTES_PER_S * WINDOW_S:
            logger.info("Dropped a connection that did not read its answer: %d bytes were left", left)
            self.drop()
        else:
            self._unread = now, left

    def _left(self) -> int:
        """Bytes of an answer that the other side has not taken, those in the kernel too: it has room for megabytes."""
        return self.transport.get_write_buffer_size() + unsent_bytes(self.transport.get_extra_info("socket"))

    def _look_at_discarded(self, now: float) -> None:
        since, before = self._discarding or (now, self._body_bytes)
        if now - since < WINDOW_S:
            self._discarding = since, before
        elif self._body_bytes - before < LEAST_BYTES_PER_S * WINDOW_S:
            self.drop()
        else:
            self._discarding = now, self._body_bytes

    def _give_up_head(self) -> None:
        if self._is_in_head:
            self._refuse(SlowSender(f"The headers of the request did not arrive within {HEAD_S:g} s."))
        else:
            self.transport.close()

    # What the transport calls

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Takes the connection in, or refuses it if all are busy."""
        super().connection_made(transport)
        transport.set_write_buffer_limits(high=MOST_UNHEARD_BYTES)
        self.flow = Flow(transport)
        if not self._guard.admit(self):
            self._refuse(
                Unavailable("All connections of this server are busy. Try again in a moment.", retry_after_s=1)
            )

    def connection_lost(self, exc: Exception | None) -> None:
        """It is over."""
        self._guard.leave(self)
        self._rest = b""
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parses a piece now and leaves the rest for later, so that nothing comes between others and their turn."""
        self._unset_keepalive_if_required()
        if self._is_deaf:
            self._around += len(data)
            if self._around > LINGER_BYTES:
                self.drop()
        elif self._rest:
            self._rest += data
        else:
            self._parse(data)

    def pause_writing(self) -> None:
        """The answer is not read as fast as it is made."""
        self._unread = time.monotonic(), self._left()
        super().pause_writing()

    def resume_writing(self) -> None:
        """All of it has gone out."""
        self._unread = None
        super().resume_writing()

    # Parsing

    def _parse(self, data: bytes) -> None:
        size = len(data) if self._is_in_body and not self._is_chunked else PIECE_BYTES
        self._rest = data[size:]
        self._feed(data[:size] if self._rest else data)
        if self._is_deaf or self.transport.is_closing():
            self._rest = b""
        elif self._rest:
            self.flow.is_held = True
            self.flow.pause_reading()
            self.loop.call_soon(self._parse_on)

    def _parse_on(self) -> None:
        rest, self._rest = self._rest, b""
        if rest and self.parser is not None:
            self._parse(rest)
        if not self._rest:
            self.flow.is_held = False
            if not self._waits_for_reader():
                self.flow.resume_reading()

    def _waits_for_reader(self) -> bool:
        """Whether uvicorn stopped reading for reasons of its own: it begins again when those are gone."""
        return bool(self.pipeline) or (not self.is_idle and len(self.cycle.body) > 0)

    def _feed(self, data: bytes) -> None:
        self._came = 0
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            pass  # what it would change to is not spoken here: the request is answered as it stands
        except httptools.HttpParserError as error:
            if not self._is_deaf:
                self._refuse(not_http(error))
            return
        self._around = len(data) - self._came if self._came else self._around + len(data)
        if self._is_deaf:
            return
        if self._around > MOST_HEAD_BYTES:
            self._refuse(self._too_large())
        elif self._body_bytes > self._most_discarded and self.is_idle:
            self.drop()
        elif self._head_since is None and not self._is_in_body and self.is_idle:
            self._head_since = time.monotonic()  # uvicorn's own timer for idle connections was ended by these bytes

    def _too_large(self) -> ApiError:
        if self._is_in_body:
            return ValidationError("The chunks of this body carry too many extra bytes.", status_code=400)
        if not self._is_in_head:
            return ValidationError("This is not an HTTP/1.1 request.", status_code=400)
        if not self.headers:
            return HeadTooLarge(f"The address of the request is longer than {MOST_HEAD_BYTES} bytes.", status_code=414)
        return HeadTooLarge(
            f"The headers of the request are larger than {MOST_HEAD_BYTES} bytes, or more than {MOST_HEADERS}."
        )

    def _refuse(self, error: ApiError) -> None:
        """Answers, and hears no more; the connection ends when the other side does, or a moment later."""
        begun = None if self.is_idle else self.cycle
        self._is_deaf, self._around = True, 0
        if begun is None or not (self.pipeline or begun.response_started):
            if begun is not None:  # what answers it learns that nothing more comes, and is not heard
                begun.disconnected = True
                begun.message_event.set()
            self.transport.write(refusal(error, id_of(cast(Scope, begun.scope)) if begun else None))
            if self.transport.can_write_eof():
                self.transport.write_eof()
            self.loop.call_later(LINGER_S, self.drop)
        else:  # an answer is on its way, and another in its midst would be read as its end
            self.drop()

    # What the parser calls

    def on_message_begin(self) -> None:
        """A request begins."""
        if not self._is_deaf:
            self._head_since = time.monotonic()
            self._around = self._body_bytes = 0
            self._is_in_head, self._is_in_body, self._is_chunked = True, False, False
            self._discarding = None
            super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        """A part of its address."""
        if not self._is_deaf:
            super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header; what comes behind a body is none of ours."""
        if not self._is_deaf and not self._is_in_body and len(self.headers) <= MOST_HEADERS:
            self._is_chunked |= name.lower() == b"transfer-encoding"
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """The request can be answered."""
        if self._is_deaf:
            return
        size = len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)
        if size > MOST_HEAD_BYTES or len(self.headers) > MOST_HEADERS:
            self._refuse(self._too_large())
            return
        if (coding := self._foreign_coding()) is not None:
            self._refuse(coding)
            return
        self._is_in_head, self._is_in_body, self._head_since, self.has_asked = False, True, None, True
        self._around = 0
        if len(self.pipeline) >= MOST_PIPELINED:
            self._is_deaf = True
            self.pipeline[0][0].keep_alive = False  # the last that is answered says so
        else:
            self.scope["state"]["connection"] = self
            super().on_headers_complete()

    def _foreign_coding(self) -> ApiError | None:
        """The refusal of a body that is packed, a part, or in other pieces than chunks: it would be taken as it is."""
        pieces = self._header(b"transfer-encoding")
        if pieces.lower() not in ("", "chunked"):
            return NotSupported(
                f"The Transfer-Encoding {pieces[:100]!r} is not supported. "
                "Send the body as it is, with Content-Length or in chunks.",
                details={"feature": "Transfer-Encoding"},
            )
        packed = self._header(b"content-encoding")
        if packed.lower() not in ("", "identity"):
            return UnsupportedFormat(f"The Content-Encoding {packed[:100]!r} is not supported. Send the body unpacked.")
        if part := self._header(b"content-range"):
            return ValidationError(
                f"A part of a body (Content-Range {part[:100]!r}) is not supported. Send the whole body.",
                status_code=400,
            )
        return None

    def _header(self, wanted: bytes) -> str:
        """Its values, in one; empty without it."""
        return b", ".join(value for name, value in self.headers if name == wanted).decode("latin-1").strip()

    def on_body(self, body: bytes) -> None:
        """A piece of its body."""
        self._body_bytes += len(body)
        self._came += len(body)
        if not self._is_deaf:
            super().on_body(body)

    def on_message_complete(self) -> None:
        """The request is here."""
        self._is_in_body = False
        if not self._is_deaf:
            super().on_message_complete()


def unsent_bytes(connection: Any) -> int:
    """What the kernel holds for the other side; 0 where it does not tell."""
    try:
        (count,) = struct.unpack("i", fcntl.ioctl(connection.fileno(), termios.TIOCOUTQ, bytes(4)))
    except OSError:
        return 0
    return int(count)


def not_http(error: httptools.HttpParserError) -> ApiError:
    """What is told of bytes that cannot be parsed, or made our own code fail."""
    if not isinstance(error, httptools.HttpParserCallbackError):
        return ValidationError(f"This is not HTTP/1.1: {error}", status_code=400)
    if isinstance(error.__context__, httptools.HttpParserInvalidURLError):
        return ValidationError(
            "The address of this request is neither a path nor a URL. This service is no proxy.", status_code=400
        )
    logger.error("A request could not be handled", exc_info=error)
    return ServerError("The server failed unexpectedly. Its log has the details.")


def refusal(error: ApiError, request_id: str | None = None) -> bytes:
    """The whole answer, in the shape that every error has. request_id: of the request, where it has one already."""
    request_id = request_id or uuid.uuid4().hex
    logger.info("Refused a connection, %d %s: %s (request %s)", error.status_code, error.code, error, request_id)
    shown = {"code": error.code, "message": error.message, "request_id": request_id, "details": error.details}
    body = json.dumps({"error": shown, "detail": error.message}).encode()
    lines = [
        "content-type: application/json",
        f"content-length: {len(body)}",
        f"x-request-id: {request_id}",
        "connection: close",
    ]
    if error.retry_after_s is not None:
        lines.append(f"retry-after: {max(1, round(error.retry_after_s))}")
    return STATUS_LINE[error.status_code] + "\r\n".join([*lines, "", ""]).encode() + body
