"""What a question stands on: its place as the database has it, and what the index has not seen yet, at one moment.

Why no image is missed: a view of the index was read in one snapshot S, and its watermark w is the xmin of S: every
transaction below w had ended. An image that a later snapshot sees otherwise than S did was written by a transaction at
or above w, which left its id in `image_change`; all such ids are `fresh`, and the table answers for them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol

from pictograph.db.pool import Connection
from pictograph.db.rows import fetch_one
from pictograph.search.filter import Place
from pictograph.search.memory.arrays import NO_IDS, Bytes, bytes_of
from pictograph.search.sql import statement
from pictograph.types import DatasetId, SpaceId

if TYPE_CHECKING:
    from pictograph.search.memory.view import View  # faiss comes with it: only where there is an index

MOST_FRESH: Final = 20_000
"""Above so many changes since the index was read, a scan of the table is sooner done than telling them apart."""


class Index(Protocol):
    """What is kept in memory of all images."""

    def view(self) -> View | None:
        """As it is now; None as long as there is none, or while it is in doubt."""


@dataclass(frozen=True, slots=True)
class Ground:
    """What is true of a question's place, and how far the index may be believed."""

    snapshot: str
    """As `pg_current_snapshot()` has it: what a later statement sees beyond it has changed since."""
    folders: Sequence[int] | None
    """Ids of the place's folders; None for every folder of its datasets."""
    view: View | None
    """The index; None if the table has to answer alone."""
    fresh: Bytes
    """uint8 (N, 16): images that may have changed since the view was read."""
    doubt: str = ""
    """Why there is no view."""

    def view_of(self, space: SpaceId) -> View | None:
        """The index, if it has the vectors of this space."""
        return self.view if self.view is not None and self.view.covers(space) else None

    def without_index(self, space: SpaceId) -> str | None:
        """Why the index cannot answer; None if it can."""
        if self.view is None:
            return self.doubt
        return None if self.view.covers(space) else "the index does not have the vectors of this encoder yet"


@dataclass(frozen=True, slots=True)
class Seen:
    """The columns that place.sql and reference.sql share."""

    era: str
    snapshot: str
    kept: bool | None
    fresh: bytes | None
    folders: Sequence[int] | None

    def ground(self, view: View | None) -> Ground:
        """view: the one whose watermark the statement was given."""
        fresh = bytes_of(self.fresh or b"")
        doubt = self._doubt(view, len(fresh))
        if doubt:
            return Ground(self.snapshot, self.folders, None, NO_IDS, doubt)
        return Ground(self.snapshot, self.folders, view, fresh)

    def _doubt(self, view: View | None, fresh: int) -> str:
        if view is None:
            return "there is no index yet"
        if self.era != view.era:
            return "the index is of an earlier run of the database and is being checked"
        if not self.kept:
            return "the index lags too far behind"
        return f"more than {MOST_FRESH:,} images changed since the index was read" if fresh > MOST_FRESH else ""


def freshness(view: View | None) -> dict[str, Any]:
    """Values of the columns that `Seen` has."""
    return {"watermark": str(view.watermark) if view is not None else None, "most": MOST_FRESH + 1}


async def stand_on(connection: Connection, place: Place, view: View | None) -> Ground:
    """The ground of a question about this place, now."""
    values = freshness(view) | place_values(place.datasets, place.folder_path) | {"recursive": place.recursive}
    seen = await fetch_one(connection, Seen, statement("place"), values, binary=True)
    if seen is None:
        raise AssertionError("place.sql gives one row, always")
    return seen.ground(view)


def place_values(datasets: Sequence[DatasetId], folder_path: str) -> dict[str, Any]:
    return {"datasets": list(datasets), "folder": folder_path, "below": folder_path.rstrip("/") + "/"}
