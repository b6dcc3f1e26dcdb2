"""Codes in memory that are no codes: the vectors themselves, so that a test decides what they miss."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from pictograph.db.pool import Connection, Database
from pictograph.db.rows import fetch_all
from pictograph.index.nearest import NEAREST, Neighbour, Scope
from pictograph.index.scopes import place_of
from pictograph.types import DatasetId, ImageId, SpaceId


@dataclass
class FakeCandidates:
    images: list[ImageId]
    scanned: int


@dataclass
class FakeCodes:
    """Implements `search.execute.Codes` over what the table held when it was asked."""

    database: Database
    covered: bool = True
    broken: bool = False
    """Gives None for candidates."""
    missing: set[ImageId] = field(default_factory=set)
    """Images it has no code of."""
    at_most: int | None = None
    """Candidates it gives, however many are wanted."""
    asked: list[tuple[Sequence[int], int]] = field(default_factory=list)

    def covers(self, space_id: SpaceId, dataset_ids: Sequence[DatasetId]) -> bool:
        return self.covered

    async def candidates(
        self, space_id: SpaceId, datasets: Sequence[DatasetId], folder_ids: Sequence[int], vector: Any, count: int
    ) -> FakeCandidates | None:
        self.asked.append((folder_ids, count))
        if self.broken:
            return None
        async with self.database.connection() as connection:
            rows = await (
                await connection.execute(
                    "SELECT image_id, vector FROM image_embedding WHERE space_id = %s AND dataset_id = ANY(%s)"
                    " AND folder_id = ANY(%s)",
                    [space_id, list(datasets), list(folder_ids)],
                )
            ).fetchall()
        held = [(image, stored.to_numpy()) for image, stored in rows if image not in self.missing]
        held.sort(key=lambda row: -float(np.dot(row[1].astype(np.float32), vector.to_numpy().astype(np.float32))))
        best = [ImageId(image) for image, _ in held[: self.at_most if self.at_most is not None else count]]
        return FakeCandidates(best, len(held))


async def rerank(
    connection: Connection, scope: Scope, vector: Any, candidates: Any, *, threshold: float, limit: int
) -> list[Neighbour]:
    """As `nearest_by_codes`: the exact scan, of the candidates alone."""
    statement = NEAREST.replace("AND image_id IS DISTINCT", "AND image_id = ANY(%(images)s) AND image_id IS DISTINCT")
    values = place_of(scope) | {
        "vector": vector, "stretch": scope.stretch, "left_out": scope.left_out, "threshold": threshold, "limit": limit,
        "images": candidates.images,
    }  # fmt: skip
    return await fetch_all(connection, Neighbour, statement, values)
