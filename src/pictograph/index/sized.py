"""An exact scan and the size of its scope in one statement: the size is that of the very rows that were scanned."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from pictograph.db.pool import Connection
from pictograph.index.nearest import RANKED, Neighbour, Scope
from pictograph.index.scopes import SIZE, place_of
from pictograph.index.tagged import StoredVector

SIZED: Final = f"""
SELECT ({SIZE}) AS scope_size,
       found.id, found.filename, found.folder_path, found.dataset_id, found.tags, found.similarity
FROM (SELECT) one LEFT JOIN ({RANKED}) found ON true
ORDER BY found.distance, found.id"""


@dataclass(frozen=True, slots=True)
class SizedNeighbours:
    """The nearest, of how many."""

    rows: list[Neighbour]
    scope_size: int
    """Findable images in the scope, `left_out` counted too."""


async def nearest_of_all(
    connection: Connection, scope: Scope, vector: StoredVector, *, threshold: float, limit: int
) -> SizedNeighbours:
    """As `nearest_exact`, with the size of the scope at the same moment."""
    values = place_of(scope) | {
        "vector": vector,
        "stretch": scope.stretch,
        "left_out": scope.left_out,
        "threshold": threshold,
        "limit": limit,
    }
    rows = await (await connection.execute(SIZED.encode(), values)).fetchall()
    return SizedNeighbours([Neighbour(*row[1:]) for row in rows if row[1] is not None], int(rows[0][0]))
