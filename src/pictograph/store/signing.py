"""Addresses of pictures that need no key: each is for one image in one size, for a day at most, and for who asked.

An address ends with its time, with the API key that asked for it, with its image, and with the secret it was signed
with. The secret is the installation's, in the database; every server follows its changes as it follows those of keys.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias
from uuid import UUID

from pictograph.db.pool import Database
from pictograph.db.rows import fetch_tuple
from pictograph.errors import BadSignature, UrlExpired
from pictograph.shared import Shared
from pictograph.store.key_memory import TRUE_FOR_S, KeyVersions
from pictograph.store.keys import Caller, Keys
from pictograph.types import ImageId

Rendition: TypeAlias = Literal["thumbnail", "original"]
"""What is shown of an image: a small picture of it, or the file as it was uploaded."""

ROUNDED_TO_S: Final = 12 * 3600
"""Addresses stay the same for so long, so that browsers find pictures that they have; each works 12 to 24 hours."""
SIGNATURE_BYTES: Final = 16

READ: Final = "SELECT key_version.version, signing_secret.secret FROM key_version, signing_secret"
CHANGE: Final = "UPDATE signing_secret SET secret = %s, changed_at = now()"


@dataclass(frozen=True, slots=True)
class SignedAddress:
    """An address as it was asked for."""

    image: ImageId
    rendition: Rendition
    expires: int
    """Seconds since 1970."""
    key: UUID
    """Id of the API key that asked for it."""
    signature: str


class PictureUrls:
    """Addresses of pictures for one caller, signed by one secret: about a microsecond each."""

    def __init__(self, secret: bytes, key: UUID, expires: int, prefix: str, base: str = "") -> None:
        """prefix: path of the route. base: what stands before the path, where it is known."""
        self._keyed = hashlib.blake2b(key=secret, digest_size=SIGNATURE_BYTES)  # RFC 7693, section 2.9: a MAC
        self._base = base
        self._prefix = prefix
        self._query = f"expires={expires}&key={key}"

    def thumbnail(self, image: str | UUID) -> str:
        """The address of a picture of at most 320 px a side."""
        return self._signed(f"{self._prefix}/{image}/thumbnail?{self._query}")

    def original(self, image: str | UUID) -> str:
        """The address of the file as it was uploaded."""
        return self._signed(f"{self._prefix}/{image}/original?{self._query}")

    def signature(self, unsigned: str) -> str:
        """32 hexadecimal digits of a path and query."""
        mac = self._keyed.copy()
        mac.update(unsigned.encode())
        return mac.hexdigest()

    def _signed(self, unsigned: str) -> str:
        return f"{self._base}{unsigned}&signature={self.signature(unsigned)}"


class Signing:
    """Makes addresses of pictures, and says on whose behalf one that comes back may be answered."""

    def __init__(self, database: Database, keys: Keys, versions: KeyVersions, prefix: str) -> None:
        """versions: as of `KeyMemory`. prefix: path of the route that answers."""
        self._database = database
        self._keys = keys
        self._versions = versions
        self._prefix = prefix
        self._known: tuple[UUID, bytes] | None = None
        self._read_at = self._changed_at = float("-inf")
        self._reading = Shared[None]()

    async def urls(self, caller: Caller, base: str = "") -> PictureUrls:
        """What makes addresses for this caller now. base: what stands before the path, where it is known."""
        return PictureUrls(await self._secret(), caller.key_id, expiry(time.time()), self._prefix, base)

    async def require_valid(self, asked: SignedAddress) -> Caller:
        """The holder of the key that asked for the address. Raises BadSignature, UrlExpired."""
        unsigned = f"{self._prefix}/{asked.image}/{asked.rendition}?expires={asked.expires}&key={asked.key}"
        urls = PictureUrls(await self._secret(), asked.key, asked.expires, self._prefix)
        if not hmac.compare_digest(urls.signature(unsigned).encode(), asked.signature.encode()):
            raise BadSignature(
                "The signature does not fit this URL: it was altered or cut, or the installation's secret was changed "
                "since. Ask for the image again; its row carries a new URL."
            )
        if asked.expires <= time.time():
            raise UrlExpired("This URL has expired. Ask for the image again; its row carries a new URL.")
        holder = await self._keys.holder(asked.key)
        if holder is None or holder.has_expired:
            raise UrlExpired("The API key that asked for this URL was revoked or has expired, and the URL with it.")
        return holder

    async def rotate(self) -> None:
        """Ends every address that was given out, on this server at once, on others within half a second."""
        async with self._database.writing() as connection:
            await connection.execute(CHANGE, [secrets.token_bytes(32)])
        self._database.when_committed(self._has_changed)

    def _has_changed(self) -> None:
        self._changed_at = time.monotonic()

    async def _secret(self) -> bytes:
        moment = max(self._changed_at, time.monotonic() - TRUE_FOR_S)
        while self._known is None or self._read_at < moment:
            await self._reading.of(lambda: self._read(moment))
        return self._known[1]

    async def _read(self, moment: float) -> None:
        reading = await self._versions.since(moment)
        if self._known is None or reading.version != self._known[0]:
            async with self._database.connection() as connection:
                row: Any = await fetch_tuple(connection, READ)
            self._known = row[0], bytes(row[1])
        self._read_at = reading.began


def expiry(now: float) -> int:
    """When addresses of this moment end, in seconds since 1970.

    expiry(0) == 86_400; expiry(43_199) == 86_400; expiry(43_200) == 129_600
    """
    return (int(now) // ROUNDED_TO_S + 2) * ROUNDED_TO_S
