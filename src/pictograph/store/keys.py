"""Organizations and their API keys. A key is shown once, when it is made; only its hash is kept."""

from __future__ import annotations

import hashlib
import re
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final
from uuid import UUID

from uuid_utils.compat import uuid7

from pictograph.db.pool import Database
from pictograph.db.rows import fetch_all, fetch_one, fetch_value
from pictograph.errors import AuthError, ConflictError, ForbiddenError, NotFoundError, ValidationError, wrong_value
from pictograph.store.key_memory import KeyMemory, KeyVersions, Row
from pictograph.store.names import checked_segment
from pictograph.store.pages import After, Listed, cursor_after, page_of, question_key, read_after
from pictograph.types import ROLES, OrganizationId, Role

KEY_PREFIX: Final = "pk_live_"
DEFAULT_ORGANIZATION: Final = "default"
SHAPE: Final = re.compile(r"pk_live_[0-9a-f]{64}")
TOUCH_EVERY_S: Final = 60.0
"""How often a key's use is noted, so that reading does not become writing."""

CREATE_ORGANIZATION: Final = "INSERT INTO organization (id, name) VALUES (%s, %s) ON CONFLICT (name) DO NOTHING"
ORGANIZATION_BY_NAME: Final = "SELECT id FROM organization WHERE name = %s"
ORGANIZATION: Final = "SELECT id, name, created_at FROM organization WHERE id = %s"
KEY_COLUMNS: Final = """
id, organization_id, name, key_prefix, role, created_at, last_used_at, expires_at, revoked_at, created_by, revoked_by"""
CREATE_KEY: Final = f"""
INSERT INTO api_key (id, organization_id, name, key_prefix, key_hash, role, expires_at, created_by)
VALUES (%(id)s, %(organization)s, %(name)s, %(prefix)s, %(hash)s, %(role)s, %(expires_at)s, %(created_by)s)
RETURNING {KEY_COLUMNS}"""
KEYS_OF: Final = f"SELECT {KEY_COLUMNS} FROM api_key WHERE organization_id = %(organization)s"
KEY_PAGE: Final = f"""
{KEYS_OF}
  AND (%(after_time)s::timestamptz IS NULL OR created_at > %(after_time)s
       OR (created_at = %(after_time)s AND id > %(after_id)s))
ORDER BY created_at, id LIMIT %(limit)s"""
COUNT_KEYS: Final = "SELECT count(*) FROM api_key WHERE organization_id = %s"
CALLERS: Final = """
SELECT key_hash, id, organization_id, role, expires_at FROM api_key WHERE revoked_at IS NULL AND key_hash > %(after)s
ORDER BY key_hash LIMIT %(limit)s"""
TOUCH: Final = """
UPDATE api_key SET last_used_at = now()
WHERE id = %s AND (last_used_at IS NULL OR last_used_at < now() - interval '1 minute')"""
# Rows of one role are locked together, so that of two keys that revoke each other one stays.
LOCK_WORKING: Final = """
SELECT id, role FROM api_key
WHERE revoked_at IS NULL AND (expires_at IS NULL OR expires_at > now())
  AND (role = 'installation' OR organization_id = %(organization)s)
ORDER BY id FOR UPDATE"""
REVOKABLE: Final = """
SELECT role FROM api_key WHERE id = %(id)s AND organization_id = %(organization)s AND revoked_at IS NULL"""
REVOKE_KEY: Final = "UPDATE api_key SET revoked_at = now(), revoked_by = %(by)s WHERE id = %(id)s"
HAS_INSTALLATION_KEY: Final = """
SELECT EXISTS (SELECT FROM api_key WHERE role = 'installation' AND revoked_at IS NULL
               AND (expires_at IS NULL OR expires_at > now()))"""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks: what every store and search method wants to know first."""

    key_id: UUID
    organization_id: OrganizationId
    role: Role
    expires_at: datetime | None = None

    def may(self, role: Role) -> bool:
        """True if the caller's role is at least `role`."""
        return ROLES.index(self.role) >= ROLES.index(role)

    @property
    def has_expired(self) -> bool:
        """True once the key's time is over."""
        return is_over(self.expires_at)


@dataclass(frozen=True, slots=True)
class Organization:
    """A customer of this installation."""

    id: OrganizationId
    name: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key without its secret."""

    id: UUID
    organization_id: OrganizationId
    name: str
    key_prefix: str
    role: Role
    created_at: datetime
    last_used_at: datetime | None
    expires_at: datetime | None
    revoked_at: datetime | None
    created_by: UUID | None
    """The key that made it; None if the service itself did, or before it was noted."""
    revoked_by: UUID | None

    @property
    def works(self) -> bool:
        """False once it is revoked or has expired."""
        return self.revoked_at is None and not is_over(self.expires_at)


def is_over(expires_at: datetime | None) -> bool:
    return expires_at is not None and expires_at <= datetime.now(UTC)


def check_end(expires_at: datetime | None) -> None:
    """Raises ValidationError for a moment that is over, or that is none in UTC."""
    if is_over(expires_at):
        raise wrong_value("expires_at", f"expires_at must be in the future, not {expires_at}.")
    try:
        if expires_at is not None:
            expires_at.astimezone(UTC)
    except OverflowError as error:
        message = f"expires_at must be before the end of the year 9999 in UTC, not {expires_at}. Leave it out for none."
        raise wrong_value("expires_at", message) from error


def new_secret() -> str:
    """`pk_live_` and 64 hexadecimal digits: 256 bits of randomness, so a plain hash of it cannot be guessed."""
    return KEY_PREFIX + secrets.token_hex(32)


def hash_of(secret: str) -> bytes:
    """What is stored: SHA-256. A slow hash protects weak passwords; this secret has none of their weakness."""
    return hashlib.sha256(secret.strip().encode("utf-8", "surrogateescape")).digest()


def caller_of(row: Row) -> Caller:
    """From a row of `CALLERS`, behind the hash."""
    return Caller(row[0], OrganizationId(row[1]), row[2], row[3])


class Keys:
    """Makes, lists, revokes and recognizes keys."""

    def __init__(
        self, database: Database, recognizing: Database | None = None, versions: KeyVersions | None = None
    ) -> None:
        """recognizing: connections of its own for `identify`, so that it never waits for those that searches hold.

        versions: as of `KeyMemory`.
        """
        self._database = database
        self._recognizing = recognizing or database
        self._memory = KeyMemory(self._recognizing, CALLERS, caller_of, versions)
        self._touched: dict[UUID, float] = {}

    async def ensure_organization(self, name: str = DEFAULT_ORGANIZATION) -> OrganizationId:
        """The organization's id; it is made if it is not there."""
        async with self._database.transaction() as connection:
            await connection.execute(CREATE_ORGANIZATION, [uuid7(), name])
            return OrganizationId(await fetch_value(connection, ORGANIZATION_BY_NAME, [name]))

    async def organization(self, organization: OrganizationId) -> Organization:
        async with self._database.connection() as connection:
            found = await fetch_one(connection, Organization, ORGANIZATION, [organization])
        if found is None:
            raise NotFoundError(f"There is no organization {organization}.")
        return found

    async def require_own(self, organization: OrganizationId, named: str | None) -> None:
        """Raises ValidationError unless `named`, an id or a name, is this organization, or None."""
        own = await self.organization(organization)
        if named is not None and named.lower() not in (str(own.id), own.name.lower()):
            message = f"organization_id must be your own, {own.id}: a key is made and listed by its own organization."
            raise wrong_value("organization_id", message)

    async def create(
        self,
        organization: OrganizationId,
        name: str,
        role: Role,
        *,
        expires_at: datetime | None = None,
        by: UUID | None = None,
    ) -> tuple[ApiKey, str]:
        """A new key and its secret, which nothing can show again. by: the key that asks for it."""
        if role not in ROLES:
            raise ValidationError(f"role is one of {', '.join(ROLES)}, not {role!r}.")
        check_end(expires_at)
        secret = new_secret()
        values = {
            "id": uuid7(),
            "organization": organization,
            "name": checked_segment(name, field="name", what="A key's name"),
            "prefix": secret[:12],
            "hash": hash_of(secret),
            "role": role,
            "expires_at": expires_at,
            "created_by": by,
        }
        async with self._database.writing() as connection:
            made = await fetch_one(connection, ApiKey, CREATE_KEY, values)
        self._database.when_committed(self._memory.has_changed)
        if made is None:
            raise NotFoundError(f"There is no organization {organization}.")
        return made, secret

    async def list(self, organization: OrganizationId, *, limit: int, cursor: str | None = None) -> Listed[ApiKey]:
        """One page, oldest first, revoked ones included. Raises ValidationError for a cursor of another question."""
        question = question_key("api keys", organization)
        after = read_after(cursor, question) if cursor is not None else None
        values = {
            "organization": organization,
            "limit": limit + 1,  # one more tells whether others follow
            "after_time": after and after.created_at,
            "after_id": after and after.id,
        }
        async with self._database.connection() as connection:
            rows, last = page_of(await fetch_all(connection, ApiKey, KEY_PAGE, values), limit)
            total = await fetch_value(connection, COUNT_KEYS, [organization])
        return Listed(rows, total, cursor_after(After(last.created_at, last.id), question) if last else None)

    async def identify(self, secret: str) -> Caller | None:
        """Who holds this secret, or None if it is unknown or revoked. An expired key has its holder, who is told so.

        From memory, see `KeyMemory`: a key that `revoke` revoked here does not work any more, one that another server
        revoked works for half a second at most. What cannot be a key is refused without a look.
        """
        if not SHAPE.fullmatch(secret.strip()):
            return None
        caller = await self._memory.find(hash_of(secret))
        if caller is not None:
            await self._touch(caller.key_id)
        return caller

    async def holder(self, key_id: UUID) -> Caller | None:
        """Who holds the key of this id, as `identify` does; None if it was revoked. For ids that nobody can make up."""
        return await self._memory.find_by_id(key_id)

    async def _touch(self, key_id: UUID) -> None:
        """Notes that the key is in use, now and then."""
        now = time.monotonic()
        if now - self._touched.get(key_id, -TOUCH_EVERY_S) < TOUCH_EVERY_S:
            return
        self._touched[key_id] = now
        async with self._recognizing.connection() as connection:
            await connection.execute(TOUCH, [key_id])

    async def revoke(self, caller: Caller, key_id: UUID) -> None:
        """The key of the caller's organization stops working at once.

        Raises NotFoundError, ForbiddenError (its role is above the caller's), ConflictError (it is the caller's own, or
        the last that may act on the whole installation).
        """
        asked = {"id": key_id, "organization": caller.organization_id, "by": caller.key_id}
        async with self._database.writing() as connection:
            working = await (await connection.execute(LOCK_WORKING.encode(), asked)).fetchall()
            role = await fetch_value(connection, REVOKABLE, asked)
            if role is None:
                raise NotFoundError(f"There is no working API key {key_id}.")
            if caller.key_id not in [key for key, _ in working]:
                raise AuthError("Your own API key was revoked just now, so it revokes no other.")
            require_revokable(caller, key_id, role, [key for key, held in working if held == "installation"])
            await connection.execute(REVOKE_KEY, asked)
        self._database.when_committed(self._memory.has_changed)

    async def has_installation_key(self) -> bool:
        """Whether any working key may act on the whole installation."""
        async with self._database.connection() as connection:
            return bool(await fetch_value(connection, HAS_INSTALLATION_KEY))


def require_revokable(caller: Caller, key_id: UUID, role: Role, of_installation: Sequence[UUID]) -> None:
    """Raises ForbiddenError or ConflictError for a key that this caller should not revoke.

    of_installation: the working keys that may act on the whole installation.
    """
    if not caller.may(role):
        raise ForbiddenError(
            f"This key has role {role}: only a key with role {role} or higher revokes it; yours is {caller.role}."
        )
    if key_id == caller.key_id:
        raise ConflictError(
            "This is the key you are asking with: revoking it would lock you out. Make another one, and revoke this "
            "one with that."
        )
    if role == "installation" and not set(of_installation) - {key_id}:
        raise ConflictError(
            "This is the last working key with role installation: without it no key could change the encoder or a "
            "threshold. Make another one first."
        )
