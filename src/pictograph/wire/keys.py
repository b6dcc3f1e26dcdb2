"""API keys."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, ClassVar, Literal

from pydantic import AwareDatetime, Field

from pictograph.types import MAX_NAMED, OrganizationRole, Role
from pictograph.wire.base import Body, Name, Pagination, Wire


class ApiKey(Wire):
    """A key without its secret."""

    brief: ClassVar[tuple[str, ...]] = ("name", "role", "key_prefix", "is_active", "id")

    id: str
    """UUID."""
    organization_id: str
    """UUID of the organization whose images it opens."""
    name: str
    """What the key is for."""
    key_prefix: str
    """Its first 12 characters, to tell keys apart."""
    role: OrganizationRole
    """`viewer` reads, `member` uploads, `admin` deletes datasets and makes keys, admins cannot change an `owner`."""
    installation: bool = False
    """True if it may act on the whole installation too (encoder, thresholds): its role is `installation`."""
    is_active: bool
    """False once it is revoked or has expired."""
    rate_limit: int = 0
    """Requests an hour; 0 = no limit."""
    created_at: datetime
    """When it was made, UTC."""
    last_used_at: datetime | None = None
    """To the minute."""
    expires_at: datetime | None = None
    """When it stops working; None: never."""
    created_by: str | None = None
    """Id of the key that made it; None if the service itself did."""
    revoked_by: str | None = None
    """Id of the key that revoked it."""


class ApiKeys(Wire):
    """Answer of `GET /api/v1/api-keys/`."""

    api_keys: list[ApiKey]
    """Oldest first."""
    pagination: Pagination
    """Where the page lies."""


class CreatedApiKey(Wire):
    """A new key; its secret is shown only once."""

    brief: ClassVar[tuple[str, ...]] = ("name", "role", "key_prefix", "key_id")

    key_id: str
    """UUID: revoke it by this."""
    api_key: str
    """The secret: `pk_live_` and 64 hexadecimal digits."""
    key_prefix: str
    """Its first 12 characters, to tell keys apart."""
    name: str
    """What the key is for."""
    role: OrganizationRole
    """What it may do; each role may do what those before it may: `viewer`, `member`, `admin`, `owner`."""
    installation: bool = False
    """True if it may act on the whole installation too (encoder, thresholds)."""
    rate_limit: int = 0
    """Requests an hour; 0 = no limit."""
    created_at: datetime
    """When it was made, UTC."""
    expires_at: datetime | None = None
    """When it stops working; None: never."""


class ApiKeyCreate(Body):
    """Body of `POST /api/v1/api-keys/`."""

    name: Name
    """What it is for; at most 255 characters."""
    role: Role = "member"
    """What it may do, at most what your own key may."""
    expires_at: AwareDatetime | None = None
    """When it is to stop working, with a time zone: `2027-01-01T00:00:00Z`. Absent: never."""
    organization_id: Annotated[str, Field(max_length=MAX_NAMED)] | None = None
    """Your own organization's id or name, which is also the default."""
    rate_limit: Literal[0] | None = None
    """0 or absent: this service counts no requests per hour, so it promises no such limit."""


class RevokedKey(Wire):
    """Answer of `DELETE /api/v1/api-keys/{key_id}`."""

    revoked: str
    """UUID of the key that no longer works."""
