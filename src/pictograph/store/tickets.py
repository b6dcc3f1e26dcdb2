"""Permission to PUT the bytes of one file without a key: the URL itself carries it, for an hour."""

from __future__ import annotations

import hashlib
import secrets
from typing import Final

import psycopg

from pictograph.db.pool import Database
from pictograph.db.rows import fetch_tuple, fetch_value
from pictograph.errors import NotFoundError, ValidationError
from pictograph.store.images import Place, dataset_gone, place_values
from pictograph.types import OrganizationId, Sha256

CREATE: Final = """
INSERT INTO upload_ticket (token_hash, dataset_id, folder_path, filename, expires_at)
VALUES (%s, %s, %s, %s, now() + interval '1 hour')"""
VALID: Final = """
SELECT d.organization_id FROM upload_ticket t JOIN dataset d ON d.id = t.dataset_id
WHERE t.token_hash = %s AND t.expires_at > now()"""
FILL: Final = "UPDATE upload_ticket SET sha256 = %s WHERE token_hash = %s"
REDEEM: Final = """
SELECT t.sha256, b.size_bytes FROM upload_ticket t JOIN blob b ON b.sha256 = t.sha256
WHERE t.dataset_id = %s AND t.folder_path = %s AND t.filename = %s
ORDER BY t.created_at DESC LIMIT 1"""
# A day, not an hour: the bytes may have arrived in time although `register` comes late.
SWEEP: Final = "DELETE FROM upload_ticket WHERE expires_at < now() - interval '1 day'"


class Tickets:
    """Makes, fills and redeems upload tickets."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def create(self, place: Place) -> str:
        """A new token, valid for an hour. It cannot be read back: only its hash is kept."""
        token = secrets.token_urlsafe(32)
        async with self._database.writing() as connection:
            try:
                await connection.execute(CREATE, [hash_of(token), *place_values(place)])
            except psycopg.errors.ForeignKeyViolation as error:
                raise dataset_gone() from error
        return token

    async def require_valid(self, token: str) -> OrganizationId:
        """Whose it is. Raises NotFoundError for a token that was never made or has expired."""
        async with self._database.connection() as connection:
            organization = await fetch_value(connection, VALID, [hash_of(token)])
        if organization is None:
            raise NotFoundError("This upload URL is unknown or has expired. Ask for a new one with upload-url.")
        return OrganizationId(organization)

    async def fill(self, token: str, sha256: Sha256) -> None:
        """Notes which bytes arrived for this token."""
        async with self._database.connection() as connection:
            await connection.execute(FILL, [sha256, hash_of(token)])

    async def redeem(self, place: Place) -> tuple[Sha256, int]:
        """Hash and size of the bytes that arrived last for this place. Raises ValidationError if none did."""
        async with self._database.connection() as connection:
            row = await fetch_tuple(connection, REDEEM, place_values(place))
        if row is None:
            raise ValidationError(
                f"No bytes have arrived for {place.filename!r}: PUT them to the URL from upload-url, then register."
            )
        return Sha256(row[0]), row[1]

    async def sweep(self) -> None:
        """Forgets tickets that nobody will redeem any more."""
        async with self._database.connection() as connection:
            await connection.execute(SWEEP)


def hash_of(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()
