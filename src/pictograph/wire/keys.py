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
    organization_id: str
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


class CreatedApiKey(Wire):
    """A new key; its secret is shown only once."""

    brief: ClassVar[tuple[str, ...]] = ("name", "role", "key_prefix", "key_id")

    key_id: str
    api_key: str
    """The secret: `pk_live_` and 64 hexadecimal digits."""
    key_prefix: str
    name: str
    role: OrganizationRole
    installation: bool = False
    """True if it may act on the whole installation too (encoder, thresholds)."""
    rate_limit: int = 0
    created_at: datetime
    expires_at: datetime | None = None
    """When it stops working; None: never."""


class ApiKeyCreate(Body):
    """Body of `POST /api/v1/api-keys/`."""

    name: Name
    """What it is for; at most 255 characters."""
    role: Role = "member"
    expires_at: AwareDatetime | None = None
    """When it is to stop working, with a time zone: `2027-01-01T00:00:00Z`. Absent: never."""
    organization_id: Annotated[str, Field(max_length=MAX_NAMED)] | None = None
    """Your own organization's id or name, which is also the default."""
    rate_limit: Literal[0] | None = None
    """0 or absent: this service counts no requests per hour, so it promises no such limit."""
