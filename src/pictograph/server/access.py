"""Who asks, and may they: dependencies that every route of the API declares."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated

from fastapi import Depends, Header, Request, Security
from fastapi.security import APIKeyHeader

from pictograph.errors import AuthError, ForbiddenError
from pictograph.services import Services
from pictograph.store.keys import Caller
from pictograph.types import Role

API_KEY = APIKeyHeader(name="X-API-Key", auto_error=False, description="`pk_live_` and 64 hexadecimal digits.")


def services_of(request: Request) -> Services:
    """The objects of this service; put there when it started."""
    services: Services = request.app.state.services
    return services


async def identify(request: Request, secret: Annotated[str | None, Security(API_KEY)] = None) -> Caller:
    """The caller behind `X-API-Key`. Raises AuthError."""
    if not secret or not secret.strip():
        raise AuthError("No API key was sent: put it into the X-API-Key header.")
    caller = await services_of(request).keys.identify(secret)
    if caller is None:
        raise AuthError(f"The API key {secret.strip()[:12]}... is unknown or was revoked.")
    return caller


def require_role(caller: Caller, role: Role) -> None:
    """Raises ForbiddenError if the caller's role is below `role`."""
    if not caller.may(role):
        raise ForbiddenError(f"This needs a key with role {role} or higher; this key's role is {caller.role}.")


def needs(role: Role) -> Callable[[Caller], Awaitable[Caller]]:
    """A dependency: the caller, if the key's role is at least `role`. Raises ForbiddenError."""

    async def check(caller: Annotated[Caller, Depends(identify)]) -> Caller:
        require_role(caller, role)
        return caller

    return check


async def services_dependency(request: Request) -> Services:
    """As `services_of`; async, because FastAPI gives any other dependency a thread of its own."""
    return services_of(request)


ServicesDep = Annotated[Services, Depends(services_dependency)]
Viewer = Annotated[Caller, Depends(needs("viewer"))]
Member = Annotated[Caller, Depends(needs("member"))]
Admin = Annotated[Caller, Depends(needs("admin"))]
IdempotencyKey = Annotated[
    str | None,
    Header(
        max_length=200, description="The same on every retry of one call: a retry then returns what the first try made."
    ),
]
