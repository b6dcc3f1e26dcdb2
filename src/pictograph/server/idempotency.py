"""Every write does once what it was asked to do, however often it is sent with one Idempotency-Key.

A route of `access.KeyFirst` that may write goes through `Once`. PUT to an upload URL has no key and needs none: it may
be repeated until its bytes are registered.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections.abc import Callable, Collection
from typing import IO, Any, Final, TypeVar

from fastapi import Request, Response
from starlette.datastructures import FormData, UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from pictograph.errors import ApiError, PictographError, RateLimitError, SlowSender, ValidationError
from pictograph.server.failures import answer as error_answer
from pictograph.server.strict import JSON_BYTES, Handler, StrictRequest
from pictograph.services import Services
from pictograph.store.idempotency import Answer, Claim, RequestKey, fingerprint_of
from pictograph.types import ImageId

HEADER: Final = "Idempotency-Key"
REPLAYED: Final = "Idempotent-Replayed"
LONGEST: Final = 200
WRITING: Final = frozenset({"POST", "PUT", "PATCH", "DELETE"})
HASHED_AT_ONCE: Final = 1 << 20

Endpoint = TypeVar("Endpoint", bound=Callable[..., Any])


def only_reads(endpoint: Endpoint) -> Endpoint:
    """Marks an endpoint that writes nothing although its method is POST: its answers are not kept."""
    endpoint.__only_reads__ = True  # type: ignore[attr-defined]
    return endpoint


def in_steps(endpoint: Endpoint) -> Endpoint:
    """Marks an endpoint whose writes are committed one after the other, because together they would keep others out.

    Its answer is kept behind the last of them, so each step must do no harm when it is done again.
    """
    endpoint.__in_steps__ = True  # type: ignore[attr-defined]
    return endpoint


def writes(endpoint: Callable[..., Any], methods: Collection[str] | None) -> bool:
    """True for an endpoint whose answers are kept."""
    return not WRITING.isdisjoint(methods or ()) and not getattr(endpoint, "__only_reads__", False)


def tell_of(request: Request, image: ImageId) -> None:
    """Notes which image the answer tells of, so that the kept one goes when the image goes."""
    request.state.told_of = image


class Once:
    """A handler, and before it a look whether this request was answered before."""

    def __init__(self, handle: Handler, endpoint: Callable[..., Any]) -> None:
        self._handle = handle
        self._in_steps = getattr(endpoint, "__in_steps__", False)

    async def __call__(self, request: Request) -> Response:
        """The first answer, whichever of the requests that carry the same key gets here first."""
        text = only_value(request, HEADER)
        if text is None:
            return await self._handle(request)
        key = RequestKey(checked(text), request.state.caller.key_id)
        try:
            return await self._first_answer(request, key)
        finally:
            await request.close()  # a form's file, which nobody else closes where the handler is not called

    async def _first_answer(self, request: Request, key: RequestKey) -> Response:
        services: Services = request.app.state.services
        claim = await services.requests.claim(key, await fingerprint(request))
        if isinstance(claim, Answer):
            return Response(claim.body, claim.status, media_type="application/json", headers={REPLAYED: "true"})
        try:
            return await self._answer(services, claim, request)
        except BaseException:
            with contextlib.suppress(PictographError):
                await services.requests.release(claim)
            raise

    async def _answer(self, services: Services, claim: Claim, request: Request) -> Response:
        if self._in_steps:
            response = await self._final(request)
            await services.requests.answer(claim, kept(response), told_of(request), None)
            return response
        async with services.database.atomically() as unit:
            response = await self._final(request)
            await services.requests.answer(claim, kept(response), told_of(request), unit.connection)
        return response

    async def _final(self, request: Request) -> Response:
        """The answer, unless it is one that a retry may change: that is raised, and nothing is kept."""
        try:
            return await self._handle(request)
        except ApiError as error:
            if error.retryable or error.status_code >= 500 or isinstance(error, RateLimitError | SlowSender):
                raise
            return error_answer(request, error)


def only_value(request: Request, header: str) -> str | None:
    """The header; None if it is absent. Raises ValidationError if it was sent twice: which of them was meant?"""
    values = request.headers.getlist(header)
    if len(values) > 1:
        message = f"{header} was sent more than once. Send it once."
        raise ValidationError(message, details={"errors": [{"loc": ["header", header], "msg": message}]})
    return values[0] if values else None


def checked(text: str) -> str:
    """The key. Raises ValidationError for one that is empty or too long."""
    if not 0 < len(text.strip()) <= LONGEST:
        message = f"{HEADER} must have 1 to {LONGEST} characters, not {len(text.strip())}."
        raise ValidationError(message, details={"errors": [{"loc": ["header", HEADER], "msg": message}]})
    return text.strip()


def kept(response: Response) -> Answer:
    return Answer(response.status_code, bytes(response.body))


def told_of(request: Request) -> ImageId | None:
    image: ImageId | None = getattr(request.state, "told_of", None)
    return image


async def fingerprint(request: Request) -> bytes:
    """A hash of all that the request asks for. A form is hashed by its fields: its boundary is new at every try."""
    asked = [request.method, request.scope["path"], str(request.query_params)]
    parts = [part.encode("utf-8", "surrogateescape") for part in asked]
    digest: bytes | None = getattr(request.state, "body_digest", None)
    if digest is not None:  # of a body that lies in a file: admission.UploadBody
        return fingerprint_of([*parts, b"file", digest])
    try:
        if isinstance(request, StrictRequest) and request.form_names is not None:
            return fingerprint_of([*parts, b"form", *await form_parts(await request.form())])
        request.scope.setdefault("state", {}).setdefault("body_limit", JSON_BYTES)
        return fingerprint_of([*parts, b"body", await request.body()])
    except ClientDisconnect as error:
        raise HTTPException(400, "The request ended before its body had arrived.") from error


async def form_parts(form: FormData) -> list[bytes]:
    """Names and values in order; of a file its name and the hash of its bytes."""
    parts: list[bytes] = []
    for name, value in form.multi_items():
        parts.append(name.encode())
        if isinstance(value, UploadFile):
            parts += [b"file", (value.filename or "").encode(), await asyncio.to_thread(hash_of, value.file)]
        else:
            parts += [b"text", value.encode()]
    return parts


def hash_of(file: IO[bytes]) -> bytes:
    digest = hashlib.sha256()
    file.seek(0)
    while part := file.read(HASHED_AT_ONCE):
        digest.update(part)
    file.seek(0)
    return digest.digest()
