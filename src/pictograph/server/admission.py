"""How many uploads the server takes at once, and whose. What is beyond is told to come back; it never becomes memory.

Places are shared: where several organizations want in, none has more than its share, nor a key more than its share of
that. A sender that stalls while others wait loses its place to them.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from tempfile import SpooledTemporaryFile
from typing import BinaryIO, Final, NamedTuple, cast
from uuid import UUID

from fastapi import Request, Response, UploadFile
from starlette.types import Message, Receive

from pictograph.errors import RateLimitError, SlowSender, UnsupportedFormat
from pictograph.server.access import KeyFirst
from pictograph.server.idempotency import Once, hash_of
from pictograph.server.pace import Pace
from pictograph.server.strict import JSON_BYTES, Handler, Strict
from pictograph.store.keys import Caller
from pictograph.types import MAX_QUERY_BYTES
from pictograph.wire.vectors import ARROW_STREAM, MAX_ROWS_BYTES

LONGEST_WAIT_S: Final = 10.0
"""For a place or a turn: well below a client's timeout, so that it hears a 429 and not silence."""
RETRY_AFTER_S: Final = 1.0
STALLED_S: Final = 2.0
"""Who has a place and has sent nothing for so long loses it, if others wait."""
PATIENCE_S: Final = 0.25
"""So long it is seen whether somebody inside is waited for; if nobody is, the server is merely full."""
TEND_EVERY_S: Final = 0.1
SPOOL_BYTES: Final = 1_000_000
"""Uploads above this wait on disk, not in memory, until they are processed."""
MOST_IN_LINE: Final = 1_000
"""Uploads that wait for a place; none of their bytes are read."""

PICTURE_BODY: Final = {
    "requestBody": {
        "required": True,
        "description": "The file; the setting `max_bytes` says how large it may be.",
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    }
}


class Owner(NamedTuple):
    """Whose upload it is."""

    organization: UUID | None = None
    key: UUID | None = None


@dataclass(eq=False)
class Upload:
    """One that has a place, or waits for one."""

    owner: Owner
    pace: Pace
    since: float = field(default_factory=time.monotonic)
    entered: asyncio.Future[None] | None = None
    """Of one that waits."""
    is_given_up: bool = False


class Crowd:
    """How many uploads each owner has inside, and each one's share."""

    def __init__(self, inside: list[Upload], waiting: list[Upload], places: int) -> None:
        self._organizations = Counter(upload.owner.organization for upload in inside)
        self._keys = Counter(upload.owner for upload in inside)
        wanting = {upload.owner.organization for upload in (*inside, *waiting)}
        self._share = max(1, places // max(1, len(wanting)))

    def rank(self, upload: Upload) -> tuple[int, int]:
        """Larger for an owner with more uploads inside."""
        return self._organizations[upload.owner.organization], self._keys[upload.owner]

    def is_above_share(self, upload: Upload) -> bool:
        """Whether its organization has more places than it should while others want in."""
        return self._organizations[upload.owner.organization] > self._share

    def is_below_share(self, upload: Upload) -> bool:
        """Whether its organization may still have one more."""
        return self._organizations[upload.owner.organization] < self._share


class Admission:
    """Counts uploads. A place is taken before the body is read, a turn before its bytes are read into memory.

    Whoever has a place but no turn costs a few megabytes at most: a larger body waits in a file on disk.
    """

    def __init__(self, max_working: int, max_waiting: int) -> None:
        """max_working: uploads with a turn; max_waiting: those that arrive, or wait for one, beside them."""
        self._places = max_working + max_waiting
        self._turns = asyncio.Semaphore(max_working)
        self._inside: list[Upload] = []
        self._waiting: list[Upload] = []
        self._tending: asyncio.Task[None] | None = None

    @property
    def inside(self) -> int:
        """Uploads that have a place now."""
        return len(self._inside)

    @asynccontextmanager
    async def place(self, owner: Owner = Owner(), pace: Pace | None = None) -> AsyncIterator[None]:  # noqa: B008
        """Held while an upload is here. Raises RateLimitError if none is left, and no upload stalls or has too many.

        pace: of its body; who stalls may be given up.
        """
        upload = Upload(owner, pace or Pace())
        try:
            await self._enter(upload)
            yield
        finally:
            self._leave(upload)

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

    async def _enter(self, upload: Upload) -> None:
        if len(self._inside) < self._places:  # then nobody waits
            self._inside.append(upload)
            return
        if len(self._waiting) >= MOST_IN_LINE:
            raise too_many()
        upload.entered = asyncio.get_running_loop().create_future()
        self._waiting.append(upload)
        if self._tending is None or self._tending.done():
            self._tending = asyncio.create_task(self._tend())
        await upload.entered

    def _leave(self, upload: Upload) -> None:
        for uploads in (self._inside, self._waiting):
            if upload in uploads:
                uploads.remove(upload)
        self._fill_places()

    def _fill_places(self) -> None:
        """The next is whose organization has the fewest inside, then whose key has, then who came first."""
        while self._waiting and len(self._inside) < self._places:
            crowd = Crowd(self._inside, self._waiting, self._places)
            following = min(self._waiting, key=lambda upload: (*crowd.rank(upload), upload.since))
            self._waiting.remove(following)
            if following.entered is not None and not following.entered.done():
                self._inside.append(following)
                following.entered.set_result(None)

    async def _tend(self) -> None:
        """While an upload waits for a place."""
        while self._waiting:
            now = time.monotonic()
            self._give_up_stalled(now)
            self._make_room_for_shares(now)
            self._refuse_hopeless(now)
            await asyncio.sleep(TEND_EVERY_S)

    def _give_up_stalled(self, now: float) -> None:
        crowd = Crowd(self._inside, self._waiting, self._places)
        stalled = [one for one in self._inside if not one.is_given_up and one.pace.silent_s(now) >= STALLED_S]
        leaving = sum(one.is_given_up for one in self._inside)
        for one in sorted(stalled, key=crowd.rank, reverse=True)[: max(0, len(self._waiting) - leaving)]:
            give_up(
                one,
                SlowSender(f"No more of this upload arrived for {STALLED_S:g} s while others waited. Send it again."),
            )

    def _make_room_for_shares(self, now: float) -> None:
        """Of an organization above its share the slowest goes, if one below its own has waited for a while."""
        crowd = Crowd(self._inside, self._waiting, self._places)
        if not any(crowd.is_below_share(one) and now - one.since >= STALLED_S for one in self._waiting):
            return
        if any(one.is_given_up for one in self._inside):
            return
        sending = [one for one in self._inside if crowd.is_above_share(one) and one.pace.silent_s(now) > 0]
        if sending:
            slowest = min(sending, key=lambda one: one.pace.received / (now - one.since + 1))
            give_up(slowest, too_many())

    def _refuse_hopeless(self, now: float) -> None:
        crowd = Crowd(self._inside, self._waiting, self._places)
        is_hope = any(one.is_given_up or one.pace.silent_s(now) > 0 for one in self._inside)
        for one in list(self._waiting):
            waited = now - one.since
            is_hopeless = waited >= PATIENCE_S and not is_hope and not crowd.is_below_share(one)
            if one.entered is not None and not one.entered.done() and (is_hopeless or waited >= LONGEST_WAIT_S):
                one.entered.set_exception(too_many())


def give_up(upload: Upload, error: SlowSender | RateLimitError) -> None:
    upload.is_given_up = True
    upload.pace.give_up(error)


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


def pace_of(request: Request) -> Pace:
    """How the body of this request comes; put there by `BodyLimit`."""
    pace: Pace = request.state.pace
    return pace


@asynccontextmanager
async def spooled_body(request: Request, owner: Owner) -> AsyncIterator[UploadFile]:
    """The body in a file, once a place is free: before a turn is taken, since a slow sender must not hold one."""
    async with admission_of(request).place(owner, pace_of(request)):
        with SpooledTemporaryFile(max_size=SPOOL_BYTES) as file:
            spooled = UploadFile(cast(BinaryIO, file))
            async for chunk in request.stream():
                await spooled.write(chunk)
            await spooled.seek(0)
            yield spooled


class UploadForm(KeyFirst):
    """A route for a form with a file: the key first, then a place, and only then the body."""

    def reader(self) -> Handler:
        """FastAPI's handler, inside a place."""
        read_and_handle = super().reader()

        async def handle_admitted(request: Request) -> Response:
            async with admission_of(request).place(owner_of(request.state.caller), pace_of(request)):
                return await read_and_handle(request)

        return handle_admitted


class LargeJson(KeyFirst):
    """A route whose JSON may carry pictures: a large body takes a place, and waits in a file for its turn."""

    def reader(self) -> Handler:
        """FastAPI's handler; of a large body, inside a place and a turn."""
        read_and_handle = super().reader()

        async def handle_admitted(request: Request) -> Response:
            declared = request.headers.get("content-length", "")
            if declared.isdigit() and int(declared) <= JSON_BYTES:
                return await read_and_handle(request)
            request.state.body_limit = MAX_QUERY_BYTES
            owner = owner_of(request.state.caller)
            async with spooled_body(request, owner) as spooled, admission_of(request).turn():
                return await read_and_handle(Request(request.scope, replay(await spooled.read(), request.receive)))

        return handle_admitted


def replay(body: bytes, receive: Receive) -> Receive:
    """What receives a body that was read already; behind it, whether the caller hangs up."""
    waiting: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive_again() -> Message:
        return waiting.pop() if waiting else await receive()

    return receive_again


class UploadBody(KeyFirst):
    """A route for rows of vectors: the key first, then a place, then the body, which waits in a file for its turn."""

    def with_names(self, handle: Handler) -> Handler:
        """As `KeyFirst`, inside a place; the body lies in `request.state.body_file`."""
        once = Once(handle, self.endpoint)

        async def handle_admitted(request: Request) -> Response:
            check_rows(request)
            request.state.body_limit = MAX_ROWS_BYTES
            async with admission_of(request).place(owner_of(request.state.caller), pace_of(request)):
                with SpooledTemporaryFile(max_size=SPOOL_BYTES) as file:
                    spooled = UploadFile(cast(BinaryIO, file))
                    async for chunk in request.stream():
                        await spooled.write(chunk)
                    request.state.body_digest = await asyncio.to_thread(hash_of, file)
                    request.state.body_file = spooled
                    return await once(request)

        return Strict.with_names(self, handle_admitted)


def check_rows(request: Request) -> None:
    """Raises UnsupportedFormat for a body that does not say that it is an Arrow stream."""
    kind = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if kind != ARROW_STREAM:
        raise UnsupportedFormat(
            f"This route reads rows in Arrow's stream format, sent with Content-Type: {ARROW_STREAM}. This request "
            f"says {kind[:60]!r}. `pictograph import` reads Parquet and Arrow files, and sends them so."
        )


def owner_of(caller: Caller) -> Owner:
    """Whose share an upload of this caller counts to."""
    return Owner(caller.organization_id, caller.key_id)
