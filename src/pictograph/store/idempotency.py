"""First answers, kept for 24 hours: a request that is sent again with its Idempotency-Key gets the same one.

A key is claimed before its request is worked on, and the answer is written in the transaction that holds the request's
own writes (`Database.atomically`): a crash leaves both or neither, so a retry never does a thing twice and never meets
its own result as a conflict. A claim is kept alive by its server; the claim of a server that ended is taken over.
"""

from __future__ import annotations

import asyncio
import hashlib
import secrets
import time
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID, uuid4

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from pictograph.db.pool import Connection, Database
from pictograph.db.rows import fetch_tuple
from pictograph.errors import ConflictError, IdempotencyConflict, StillRunning
from pictograph.types import ImageId

BUSY_S: Final = 15.0
"""How long a claim holds without a sign of life; `keep_alive` gives one every `ALIVE_EVERY_S`."""
ALIVE_EVERY_S: Final = 5.0
WAIT_S: Final = 20.0
"""How long a twin waits for the first: longer than a claim of a dead server holds, shorter than a client's timeout."""
LOOK_EVERY_S: Final = 0.1
NONCE_BYTES: Final = 12

# Its commit waits for no disk: it comes before the commit that holds the request's writes, which does.
CLAIM: Final = """
WITH claimed AS (
    INSERT INTO answered_request AS old (key_hash, fingerprint, claim, busy_until)
    SELECT %(key)s, %(fingerprint)s, %(claim)s, now() + %(busy)s * interval '1 second'
    FROM set_config('synchronous_commit', 'off', true)
    ON CONFLICT (key_hash) DO UPDATE
        SET fingerprint = excluded.fingerprint, claim = excluded.claim, busy_until = excluded.busy_until,
            created_at = now(), status = NULL, answer = NULL, image_id = NULL
        WHERE old.created_at < now() - interval '24 hours'
           OR old.status IS NULL AND old.busy_until < now() AND old.fingerprint = excluded.fingerprint
    RETURNING claim
)
SELECT true, NULL::bytea, NULL::smallint, NULL::bytea FROM claimed
UNION ALL
SELECT false, fingerprint, status, answer FROM answered_request
WHERE key_hash = %(key)s AND NOT EXISTS (SELECT FROM claimed)"""
ANSWER: Final = """
UPDATE answered_request SET status = %(status)s, answer = %(answer)s, image_id = %(image)s
WHERE key_hash = %(key)s AND claim = %(claim)s AND status IS NULL"""
RELEASE: Final = "DELETE FROM answered_request WHERE key_hash = %s AND claim = %s AND status IS NULL"
KEEP_ALIVE: Final = """
UPDATE answered_request SET busy_until = now() + %(busy)s * interval '1 second' WHERE key_hash IN (
    SELECT key_hash FROM answered_request WHERE key_hash = ANY(%(keys)s) AND claim = ANY(%(claims)s) AND status IS NULL
    FOR UPDATE SKIP LOCKED)"""
SWEEP: Final = "DELETE FROM answered_request WHERE created_at < now() - interval '24 hours'"


@dataclass(frozen=True, slots=True)
class RequestKey:
    """An Idempotency-Key in the hands of one API key: no other API key gets at its answers."""

    text: str
    api_key: UUID

    @property
    def hash(self) -> bytes:
        """What is stored of it."""
        return hashlib.sha256(b"pictograph request\0" + self.api_key.bytes + self.encoded).digest()

    def cipher(self) -> AESGCM:
        """What its answers are encrypted with; from the hash alone it cannot be made."""
        derive = HKDF(algorithm=SHA256(), length=32, salt=self.api_key.bytes, info=b"pictograph stored answer")
        return AESGCM(derive.derive(self.encoded))

    @property
    def encoded(self) -> bytes:
        return self.text.encode("utf-8", "surrogateescape")


@dataclass(frozen=True, slots=True)
class Answer:
    """What was answered."""

    status: int
    body: bytes
    """JSON."""


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to work on a request, until it is answered or released."""

    key: RequestKey
    id: UUID


class AnsweredRequests:
    """Claims requests, keeps their answers, forgets them."""

    def __init__(self, database: Database, *, wait_s: float = WAIT_S, busy_s: float = BUSY_S) -> None:
        """wait_s: for a twin. busy_s: for a claim whose server gives no sign of life."""
        self._database = database
        self._wait_s = wait_s
        self._busy_s = busy_s
        self._open: dict[UUID, bytes] = {}

    async def claim(self, key: RequestKey, fingerprint: bytes) -> Claim | Answer:
        """The right to work on this request, or its first answer. fingerprint: a hash of all that the request says.

        Waits while the same request is worked on. Raises IdempotencyConflict for another request under the same key,
        StillRunning if it has waited long enough, ConflictError if what the first one made is deleted for good.
        """
        claim, waited_since = Claim(key, uuid4()), time.monotonic()
        while True:
            found = await self._try(claim, fingerprint)
            if isinstance(found, Claim | Answer):
                return found
            if time.monotonic() - waited_since > self._wait_s:
                raise StillRunning(
                    "The first request with this Idempotency-Key is still being worked on. Send it again in a moment.",
                    retry_after_s=LOOK_EVERY_S + min(5.0, self._wait_s),
                )
            await asyncio.sleep(LOOK_EVERY_S)

    async def _try(self, claim: Claim, fingerprint: bytes) -> Claim | Answer | None:
        values = {"key": claim.key.hash, "fingerprint": fingerprint, "claim": claim.id, "busy": self._busy_s}
        async with self._database.connection() as connection:
            row = await fetch_tuple(connection, CLAIM, values)
        if row is None:  # another request claimed it this very moment
            return None
        is_ours, first_fingerprint, status, answer = row
        if is_ours:
            self._open[claim.id] = claim.key.hash
            return claim
        if status is not None and answer is None:
            raise ConflictError(
                "This request was answered before, and what it made has been deleted for good since. To make it again, "
                "send it with another Idempotency-Key."
            )
        if first_fingerprint != fingerprint:
            raise IdempotencyConflict(
                "This Idempotency-Key came with another request within the last 24 hours: another route, other "
                "parameters or another body. Send each request with a key of its own."
            )
        return None if status is None else Answer(status, opened(claim.key, answer))

    async def answer(self, claim: Claim, answer: Answer, image: ImageId | None, connection: Connection | None) -> None:
        """Keeps the answer. connection: with the request's writes, which it is committed with; None if it has none.

        image: what the answer tells of, if that is an image. Raises StillRunning if the claim was taken over: then the
        writes must not be committed either.
        """
        values = {
            "key": claim.key.hash,
            "claim": claim.id,
            "status": answer.status,
            "answer": sealed(claim.key, answer.body),
            "image": image,
        }
        if connection is not None:
            await self._write(connection, values)
        else:
            async with self._database.connection() as own:
                await self._write(own, values)
        self._open.pop(claim.id, None)

    async def _write(self, connection: Connection, values: dict[str, object]) -> None:
        if not (await connection.execute(ANSWER, values)).rowcount:
            raise StillRunning("This request took so long that its retry took over. Send it again.", retry_after_s=1)

    async def release(self, claim: Claim) -> None:
        """Gives the key back: nothing was done, or nothing that would last."""
        self._open.pop(claim.id, None)
        async with self._database.connection() as connection:
            await connection.execute(RELEASE, [claim.key.hash, claim.id])

    async def keep_alive(self) -> None:
        """Says of every request that is worked on here that it still is."""
        if self._open:
            values = {"keys": list(self._open.values()), "claims": list(self._open), "busy": self._busy_s}
            async with self._database.connection() as connection:
                await connection.execute(KEEP_ALIVE, values)

    async def sweep(self) -> int:
        """Forgets what is older than 24 hours; how many answers."""
        async with self._database.connection() as connection:
            return (await connection.execute(SWEEP)).rowcount


def fingerprint_of(parts: Sequence[bytes]) -> bytes:
    """One hash of all parts, each told from the next by its length."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8, "big") + part)
    return digest.digest()


def sealed(key: RequestKey, body: bytes) -> bytes:
    """The answer, compressed and encrypted."""
    nonce = secrets.token_bytes(NONCE_BYTES)
    return nonce + key.cipher().encrypt(nonce, zlib.compress(body, 1), key.hash)


def opened(key: RequestKey, stored: bytes) -> bytes:
    return zlib.decompress(key.cipher().decrypt(stored[:NONCE_BYTES], stored[NONCE_BYTES:], key.hash))
