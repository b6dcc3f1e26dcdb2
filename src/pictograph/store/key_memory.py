"""Every working key's hash, in memory, so that a made-up key costs no query of its own.

One row of the database (`key_version`) changes with every change of a key, by any process. A reading looks at that
row, and reads the keys again if it is another. Readings are shared by all who wait for one, and there are few: a flood
of made-up keys causes no more of them than one made-up key. Where several processes serve, one of them reads for all.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Generic, Protocol, TypeVar
from uuid import UUID

from pictograph.db.pool import Connection, Database
from pictograph.db.rows import fetch_value
from pictograph.shared import Shared

Holder = TypeVar("Holder")

TRUE_FOR_S: Final = 0.5
"""How long what was read may answer: then a key that another server revoked has stopped working."""
BURST: Final = 5
READINGS_PER_S: Final = 15.0
"""With BURST, at most 20 readings in any second, however many wrong keys come."""
PART: Final = 500
"""Keys read at a time: no request is served while their rows are made."""

VERSION: Final = "SELECT version FROM key_version"
Row = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Reading:
    """What was read of `key_version`."""

    began: float
    """When, as `time.monotonic` tells it in every process of this machine."""
    version: UUID


class KeyVersions(Protocol):
    """Whoever reads `key_version`, for one process or for all of a service."""

    async def since(self, moment: float) -> Reading:
        """A reading that began then or later. Raises Unavailable without the database."""


class ReadVersions:
    """Reads `key_version`, at most 20 times in any second, once for all who wait."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._last: Reading | None = None
        self._reading = Shared[None]()
        self._credit, self._credited_at = float(BURST), time.monotonic()

    async def since(self, moment: float) -> Reading:
        """As `KeyVersions.since`."""
        while self._last is None or self._last.began < moment:
            await self._reading.of(self._read)
        return self._last

    async def _read(self) -> None:
        await self._wait_for_credit()
        began = time.monotonic()
        async with self._database.connection() as connection:
            self._last = Reading(began, await fetch_value(connection, VERSION))

    async def _wait_for_credit(self) -> None:
        now = time.monotonic()
        self._credit = min(BURST, self._credit + (now - self._credited_at) * READINGS_PER_S)
        self._credited_at = now
        self._credit -= 1
        if self._credit < 0:
            await asyncio.sleep(-self._credit / READINGS_PER_S)


class KeyMemory(Generic[Holder]):
    """Who holds a key, by its hash; never older than `TRUE_FOR_S`."""

    def __init__(
        self,
        database: Database,
        statement: str,
        holder_of: Callable[[Row], Holder],
        versions: KeyVersions | None = None,
    ) -> None:
        """statement: (hash, id, ...) of up to %(limit)s keys behind the hash %(after)s, by hash.

        versions: who reads the version, where several processes share the readings.
        """
        self._database = database
        self._statement = statement
        self._holder_of = holder_of
        self._holders: dict[bytes, Holder] = {}
        self._by_id: dict[UUID, Holder] = {}
        self._versions: KeyVersions = versions or ReadVersions(database)
        self._version: UUID | None = None
        self._read_at = self._changed_at = float("-inf")
        self._reading = Shared[None]()

    async def find(self, key_hash: bytes) -> Holder | None:
        """Who holds the key. Who does not seem to exist is looked for in a reading that began after the question."""
        return await self._found(lambda: self._holders.get(key_hash))

    async def find_by_id(self, key_id: UUID) -> Holder | None:
        """Who holds the key of this id. For ids that were signed: one that does not seem to exist costs a reading."""
        return await self._found(lambda: self._by_id.get(key_id))

    async def _found(self, look: Callable[[], Holder | None]) -> Holder | None:
        asked_at = time.monotonic()
        await self._be_as_of(max(self._changed_at, asked_at - TRUE_FOR_S))
        if look() is None:
            await self._be_as_of(asked_at)
        return look()

    def has_changed(self) -> None:
        """This process has changed a key: no question from now on is answered by what was read before."""
        self._changed_at = time.monotonic()

    async def _be_as_of(self, moment: float) -> None:
        while self._read_at < moment:
            await self._reading.of(lambda: self._read(moment))

    async def _read(self, moment: float) -> None:
        reading = await self._versions.since(moment)
        if reading.version != self._version:
            async with self._database.snapshot() as connection:
                version = await fetch_value(connection, VERSION)
                (self._holders, self._by_id), self._version = await self._read_all(connection), version
        self._read_at = reading.began

    async def _read_all(self, connection: Connection) -> tuple[dict[bytes, Holder], dict[UUID, Holder]]:
        holders: dict[bytes, Holder] = {}
        by_id: dict[UUID, Holder] = {}
        after = b""
        while True:
            values = {"after": after, "limit": PART}
            rows = await (await connection.execute(self._statement.encode(), values)).fetchall()
            for row in rows:
                holders[row[0]] = by_id[row[1]] = self._holder_of(row[1:])
            if len(rows) < PART:
                return holders, by_id
            after = rows[-1][0]
