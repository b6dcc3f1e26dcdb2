"""Authentication and roles: dependencies that every route declares, and routes that check the key before the body."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated, Any

from fastapi import Depends, Header, Request, Response

from pictograph.db.pool import author
from pictograph.errors import AuthError, ForbiddenError, NotFoundError
from pictograph.server.idempotency import LONGEST, WRITING, Once, only_value
from pictograph.server.idempotency import writes as writes_once
from pictograph.server.protocol import GuardedProtocol
from pictograph.server.strict import Handler, Strict
from pictograph.services import Services
from pictograph.store.keys import Caller
from pictograph.types import OrganizationId, Role

API_KEY_HEADER = "X-API-Key"


def services_of(request: Request) -> Services:
    """The objects of this service; put there when it started."""
    services: Services = request.app.state.services
    return services


async def identify(request: Request) -> Caller:
    """The caller behind `X-API-Key`, looked up once for a request. Raises AuthError."""
    known: Caller | None = getattr(request.state, "caller", None)
    if known:
        return known
    try:
        secret = only_value(request, API_KEY_HEADER)
        request.state.caller = caller = await caller_with(services_of(request), secret)
    except AuthError:
        await refuse_in_turn(request)
        raise
    return caller


async def refuse_in_turn(request: Request) -> None:
    """Waits until this refusal may be answered; if connections become few, that of who waits here is ended early."""
    connection: GuardedProtocol | None = getattr(request.state, "connection", None)
    if connection is not None:
        connection.waits_for_refusal = True
    try:
        await request.app.state.refusals.turn()
    finally:
        if connection is not None:
            connection.waits_for_refusal = False


async def caller_with(services: Services, secret: str | None) -> Caller:
    """Who holds this key. Raises AuthError."""
    if not secret or not secret.strip():
        raise AuthError("No API key was sent: put it into the X-API-Key header.")
    caller = await services.keys.identify(secret)
    if caller is None:
        raise AuthError(f"The API key {secret.strip()[:12]}... is unknown or was revoked.")
    if caller.has_expired:
        raise AuthError(
            f"The API key {secret.strip()[:12]}... has expired: its time ended at {caller.expires_at}. Make a new one."
        )
    return caller


async def organization_of_ticket(request: Request, token: str) -> OrganizationId:
    """Whose upload URL this is. Few are looked up at once, and unknown ones are refused in turn, as unknown keys are.

    Raises NotFoundError, and ConflictError for one whose bytes are registered.
    """
    async with request.app.state.refusals.looking_up:
        try:
            return await services_of(request).tickets.require_valid(token)
        except NotFoundError as error:
            unknown = error
    await refuse_in_turn(request)
    raise unknown


def require_role(caller: Caller, role: Role) -> None:
    """Raises ForbiddenError if the caller's role is below `role`."""
    if not caller.may(role):
        raise ForbiddenError(f"This needs a key with role {role} or higher; this key's role is {caller.role}.")


def needs(role: Role) -> Callable[[Request], Awaitable[Caller]]:
    """A dependency: the caller, if the key's role is at least `role`. Raises ForbiddenError.

    It depends on nothing itself, since FastAPI walks through all dependencies at every request. `described.py` declares
    the key.
    """

    async def check(request: Request) -> Caller:
        caller = await identify(request)
        require_role(caller, role)
        return caller

    return check


reads, writes, administers, runs = needs("viewer"), needs("member"), needs("admin"), needs("installation")


async def services_dependency(request: Request) -> Services:
    """As `services_of`; async, because FastAPI gives any other dependency a thread of its own."""
    return services_of(request)


ServicesDep = Annotated[Services, Depends(services_dependency)]
Viewer = Annotated[Caller, Depends(reads)]
Member = Annotated[Caller, Depends(writes)]
Admin = Annotated[Caller, Depends(administers)]
Operator = Annotated[Caller, Depends(runs)]
"""Who may act on the whole installation, which all organizations share."""


async def idempotency_key(
    idempotency_key: Annotated[
        str | None,
        Header(
            min_length=1,
            max_length=LONGEST,
            description="The same on every retry of one call: each gets the first answer, for 24 hours.",
        ),
    ] = None,
) -> None:
    """Declares the header, which `Once` reads."""


class KeyFirst(Strict):
    """A route that refuses a caller before it reads the body; FastAPI alone would parse the body first."""

    def get_route_handler(self) -> Handler:
        """`reader`, behind the checks that the endpoint declares as `Viewer`, `Member`, `Admin` or `Operator`."""
        read_and_handle = self.reader()
        declared = {dependency.call for dependency in self.dependant.dependencies}
        checks = [check for check in (reads, writes, administers, runs) if check in declared]
        may_write = not WRITING.isdisjoint(self.methods or ())

        async def handle_known_callers(request: Request) -> Response:
            for check in checks:
                caller = await check(request)
                if may_write:  # noting an author takes a statement in every transaction
                    author.set(caller.key_id)
            return await read_and_handle(request)

        return handle_known_callers

    def __init__(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
        if writes_once(endpoint, options.get("methods")):
            options["dependencies"] = [*(options.get("dependencies") or ()), Depends(idempotency_key)]
        super().__init__(path, endpoint, **options)

    def reader(self) -> Handler:
        """What reads names and body and calls the endpoint."""
        return super().get_route_handler()

    def with_names(self, handle: Handler) -> Handler:
        """As every route does, and a write only once for each Idempotency-Key."""
        once = Once(handle, self.endpoint) if writes_once(self.endpoint, self.methods) else handle
        return super().with_names(once)
