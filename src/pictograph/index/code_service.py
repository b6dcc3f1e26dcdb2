"""Codes for libraries that are large enough to need them: small ones load neither faiss nor codes."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Final

from pictograph.db.pool import Database
from pictograph.db.rows import fetch_value
from pictograph.encode.protocol import FloatArray
from pictograph.errors import PictographError
from pictograph.index.candidates import Candidates, QueryKind
from pictograph.types import DatasetId, SpaceId

if TYPE_CHECKING:
    from pictograph.index.codes import Codes

WORTH_IT_FROM: Final = 2_000
"""Findable images, by the database's own estimate; below, scopes are scanned exactly anyway."""
LOOK_AGAIN_S: Final = 10.0
ESTIMATE: Final = "SELECT reltuples FROM pg_class WHERE oid = 'image_embedding'::regclass"


class CodesWhenLarge:
    """What `search/execute.py` asks; it has nothing to say until `keep_fresh` has made codes."""

    def __init__(self, database: Database, *, max_bytes: int, worth_it_from: int = WORTH_IT_FROM) -> None:
        self._database = database
        self._max_bytes = max_bytes
        self._worth_it_from = worth_it_from
        self._codes: Codes | None = None

    def covers(self, space_id: SpaceId, dataset_ids: Collection[DatasetId]) -> int | None:
        """As `Codes.covers`."""
        return self._codes.covers(space_id, dataset_ids) if self._codes else None

    async def candidates(
        self,
        space_id: SpaceId,
        datasets: Collection[DatasetId],
        folder_ids: Sequence[int] | None,
        vector: FloatArray,
        count: int,
        *,
        kind: QueryKind,
    ) -> Candidates | None:
        """As `Codes.candidates`."""
        if self._codes is None:
            return None
        return await self._codes.candidates(space_id, datasets, folder_ids, vector, count, kind=kind)

    async def keep_fresh(self) -> None:
        """Waits until the library is large, then makes codes and renews them, until it is cancelled.

        Returns at once if they may take no memory.
        """
        if not self._max_bytes:
            return
        while not await self._is_worth_it():  # noqa: ASYNC110 - the size is in a database
            await asyncio.sleep(LOOK_AGAIN_S)
        codes = await asyncio.to_thread(import_module, "pictograph.index.codes")  # faiss: only where it is needed
        self._codes = made = codes.Codes(self._database, max_bytes=self._max_bytes)
        await made.keep_fresh()

    async def close(self) -> None:
        """Ends the threads; after `keep_fresh` was cancelled."""
        if self._codes is not None:
            await self._codes.close()

    async def _is_worth_it(self) -> bool:
        try:
            async with self._database.connection() as connection:
                return float(await fetch_value(connection, ESTIMATE)) >= self._worth_it_from
        except PictographError:  # the database is away: asked again in a moment
            return False
