"""An exact scan and the size of its scope in one statement: the size is that of the very rows that were scanned."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from pictograph.db.pool import Connection
from pictograph.index.nearest import RANKED, RANKED_BEHIND, Neighbour, Scope, place_behind
from pictograph.index.scopes import SIZE, place_of
from pictograph.index.tagged import StoredVector
from pictograph.store.pages import Beyond

SIZED_FROM: Final = f"""
SELECT ({SIZE}) AS scope_size,
       found.id, found.filename, found.folder_path, found.dataset_id, found.tags, found.similarity,
       found.distance
FROM (SELECT) one LEFT JOIN ({{ranked}}) found ON true
ORDER BY found.distance, found.id"""
SIZED: Final = SIZED_FROM.format(ranked=RANKED)
SIZED_BEHIND: Final = SIZED_FROM.format(ranked=RANKED_BEHIND)


@dataclass(frozen=True, slots=True)
class SizedNeighbours:
    """The nearest, of how many."""

    rows: list[Neighbour]
    scope_size: int
    """Findable images in the scope, `left_out` counted too."""


async def nearest_of_all(
    connection: Connection,
    scope: Scope,
    vector: StoredVector,
    *,
    threshold: float,
    limit: int,
    beyond: Beyond | None = None,
) -> SizedNeighbours:
    """As `nearest_exact`, with the size of the scope at the same moment. beyond: only rows behind this place."""
    values = place_of(scope) | {
        "vector": vector,
        "stretch": scope.stretch,
        "left_out": scope.left_out,
        "threshold": threshold,
        "limit": limit,
    }
    statement = SIZED_BEHIND if beyond else SIZED
    rows = await (await connection.execute(statement.encode(), values | place_behind(beyond))).fetchall()
    return SizedNeighbours([Neighbour(*row[1:]) for row in rows if row[1] is not None], int(rows[0][0]))
