"""Codes in memory that are no codes: the vectors themselves, so that a test decides what they miss."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from pictograph.db.pool import Connection, Database
from pictograph.db.rows import fetch_all
from pictograph.encode.protocol import FloatArray
from pictograph.index.candidates import QueryKind
from pictograph.index.nearest import NEAREST, Neighbour, Scope
from pictograph.index.scopes import place_of
from pictograph.search.filter import TagFilter
from pictograph.types import DatasetId, ImageId, SpaceId


@dataclass
class FakeCodes:
    """Implements `search.execute.Codes` over what the table holds when it is asked."""

    database: Database
    covered: bool = True
    broken: bool = False
    """Gives None for candidates."""
    missing: set[ImageId] = field(default_factory=set)
    """Images that it never names."""
    at_most: int | None = None
    """Candidates it gives, however many are wanted."""
    asked: list[tuple[Sequence[int] | None, int]] = field(default_factory=list)

    def covers(self, space_id: SpaceId, dataset_ids: Collection[DatasetId]) -> int | None:
        return 1000 if self.covered else None

    async def candidates(
        self,
        space_id: SpaceId,
        datasets: Collection[DatasetId],
        folder_ids: Sequence[int] | None,
        vector: FloatArray,
        count: int,
        *,
        kind: QueryKind,
    ) -> list[ImageId] | None:
        self.asked.append((folder_ids, count))
        if self.broken:
            return None
        async with self.database.connection() as connection:
            rows = await (
                await connection.execute(
                    "SELECT image_id, vector FROM image_embedding WHERE space_id = %s AND dataset_id = ANY(%s)"
                    " AND (%s::bigint[] IS NULL OR folder_id = ANY(%s))",
                    [space_id, list(datasets), folder_ids, folder_ids],
                )
            ).fetchall()
        held = [(image, stored.to_numpy().astype(np.float32)) for image, stored in rows if image not in self.missing]
        held.sort(key=lambda row: -float(row[1] @ vector))
        return [ImageId(image) for image, _ in held[: self.at_most if self.at_most is not None else count]]


async def rerank(
    connection: Connection, scope: Scope, vector: Any, candidates: Any, *, threshold: float, limit: int, tags: TagFilter
) -> list[Neighbour] | None:
    """As `nearest_by_codes`: the exact scan, of the candidates alone; None if fewer than `limit` are alive."""
    statement = NEAREST.replace("AND image_id IS DISTINCT", "AND image_id = ANY(%(images)s) AND image_id IS DISTINCT")
    values = place_of(scope) | {
        "vector": vector, "stretch": scope.stretch, "left_out": scope.left_out, "threshold": 0.0, "limit": 1000,
        "images": candidates,
    }  # fmt: skip
    alive = await fetch_all(connection, Neighbour, statement, values)
    if len(alive) < limit:
        return None
    rows = [row for row in alive if row.similarity >= threshold and tags.accepts(row.tags)][:limit]
    return rows if len(rows) == limit or not tags.labels else None


def twice(limit: int, kind: str) -> int:
    """How many candidates the fake is asked for; one more for words, so that a test can tell."""
    return 2 * limit + (kind == "text")
