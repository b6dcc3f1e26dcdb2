"""Permission to PUT the bytes of one file without a key: the URL itself carries it, for an hour.

A ticket takes bytes, the last ones count, until `register` makes an image of them. It ends then, with its key, and with
the image of its place.
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from typing import Final
from uuid import UUID

import psycopg

from pictograph.db.pool import Connection, Database
from pictograph.db.rows import fetch_one, fetch_tuple
from pictograph.errors import ConflictError, NotFoundError, ValidationError
from pictograph.store.images import Place, dataset_gone, place_values
from pictograph.types import OrganizationId, Sha256

CREATE: Final = """
INSERT INTO upload_ticket (token_hash, dataset_id, folder_path, filename, key_id, expires_at)
VALUES (%s, %s, %s, %s, %s, now() + interval '1 hour')"""
# Tickets from before keys were noted have none.
OF_A_WORKING_KEY: Final = """
(t.key_id IS NULL OR EXISTS (SELECT FROM api_key k WHERE k.id = t.key_id AND k.revoked_at IS NULL
                             AND (k.expires_at IS NULL OR k.expires_at > now())))"""
VALID: Final = f"""
SELECT d.organization_id, t.registered_at IS NOT NULL FROM upload_ticket t JOIN dataset d ON d.id = t.dataset_id
WHERE t.token_hash = %s AND t.expires_at > now() AND {OF_A_WORKING_KEY}"""
FILL: Final = f"""
UPDATE upload_ticket t SET sha256 = %s
WHERE t.token_hash = %s AND t.registered_at IS NULL AND t.expires_at > now() AND {OF_A_WORKING_KEY}"""
FILLED: Final = f"""
SELECT t.token_hash, t.sha256, b.size_bytes FROM upload_ticket t JOIN blob b ON b.sha256 = t.sha256
WHERE t.dataset_id = %s AND t.folder_path = %s AND t.filename = %s AND t.registered_at IS NULL AND {OF_A_WORKING_KEY}
ORDER BY t.created_at DESC LIMIT 1"""
# From now on the image refers to the bytes.
USE: Final = """
UPDATE upload_ticket SET registered_at = now(), sha256 = NULL
WHERE token_hash = %s AND sha256 = %s AND registered_at IS NULL"""
END_OTHERS: Final = """
DELETE FROM upload_ticket WHERE dataset_id = %s AND folder_path = %s AND filename = %s AND token_hash <> %s"""
# A day, not an hour: the bytes may have arrived in time although `register` comes late.
SWEEP: Final = "DELETE FROM upload_ticket WHERE expires_at < now() - interval '1 day'"


@dataclass(frozen=True, slots=True)
class Filled:
    """A ticket whose bytes have arrived."""

    token_hash: bytes
    sha256: Sha256
    size_bytes: int


class Tickets:
    """Makes and fills upload tickets, and finds the filled one; `use_ticket` ends it."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def create(self, place: Place, key_id: UUID | None = None) -> str:
        """A new token, valid for an hour, or until the key is revoked. Only its hash is kept."""
        token = secrets.token_urlsafe(32)
        async with self._database.writing() as connection:
            try:
                await connection.execute(CREATE, [hash_of(token), *place_values(place), key_id])
            except psycopg.errors.ForeignKeyViolation as error:
                raise dataset_gone() from error
        return token

    async def require_valid(self, token: str) -> OrganizationId:
        """Whose it is.

        Raises NotFoundError for a token that was never made or has ended, ConflictError for one that was used.
        """
        async with self._database.connection() as connection:
            found = await fetch_tuple(connection, VALID, [hash_of(token)])
        if found is None:
            raise NotFoundError(
                "This upload URL is unknown, or has ended: an hour is over, its API key was revoked, or its image was "
                "deleted. Ask for a new one with upload-url."
            )
        organization, is_used = found
        if is_used:
            raise ConflictError(
                "What was PUT to this upload URL is registered already, so it takes no more bytes. Ask for a new one "
                "with upload-url."
            )
        return OrganizationId(organization)

    async def fill(self, token: str, sha256: Sha256) -> None:
        """Notes which bytes arrived for this token, in place of any that did before. Raises as `require_valid`."""
        async with self._database.connection() as connection:
            is_filled = (await connection.execute(FILL, [sha256, hash_of(token)])).rowcount
        if not is_filled:
            await self.require_valid(token)
            raise NotFoundError("This upload URL ended while the bytes came. Ask for a new one with upload-url.")

    async def filled(self, place: Place) -> Filled:
        """The ticket of this place whose bytes are to become an image. Raises ValidationError if none arrived."""
        async with self._database.connection() as connection:
            found = await fetch_one(connection, Filled, FILLED, place_values(place))
        if found is None:
            raise ValidationError(
                f"No bytes have arrived for {place.filename!r}: PUT them to the URL from upload-url, then register."
            )
        return found

    async def sweep(self) -> None:
        """Forgets tickets that nobody will redeem any more."""
        async with self._database.connection() as connection:
            await connection.execute(SWEEP)


async def use_ticket(connection: Connection, ticket: Filled, place: Place) -> None:
    """Ends the ticket, in the transaction that makes the image of its bytes, and every other one for its place.

    Raises ConflictError if it ended, or got other bytes, since it was looked at.
    """
    if not (await connection.execute(USE, [ticket.token_hash, ticket.sha256])).rowcount:
        raise ConflictError(
            f"The bytes for {place.filename!r} were replaced or registered by another request meanwhile. Look whether "
            "the image is there; if not, register again."
        )
    await connection.execute(END_OTHERS, [*place_values(place), ticket.token_hash])


def hash_of(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()
