"""Who wrote an image or a dataset, and when. Rows are added by triggers (migration `write_history`), never here."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from pictograph.db.pool import Database
from pictograph.db.rows import fetch_all, fetch_value
from pictograph.store.pages import Listed, not_ours, packed, page_of, question_key, unpacked
from pictograph.types import DatasetId, ImageId

INSTALLATION: Final = UUID(int=0)
"""What is noted of no single image or dataset: acts that reach every organization."""
PAGE: Final = """
SELECT h.id, h.at, h.action, h.detail, h.key_id, k.name AS key_name
FROM write_history h LEFT JOIN api_key k ON k.id = h.key_id
WHERE h.about = %(about)s AND (%(before)s::bigint IS NULL OR h.id < %(before)s)
ORDER BY h.id DESC LIMIT %(limit)s"""
COUNT: Final = "SELECT count(*) FROM write_history WHERE about = %s"


@dataclass(frozen=True, slots=True)
class Write:
    """One write."""

    id: int
    """Rising with every write."""
    at: datetime
    action: str
    detail: str | None
    """Of an act on the installation: which encoder, or which threshold from what to what."""
    key_id: UUID | None
    """None where the service itself wrote, or before keys were noted."""
    key_name: str | None


class History:
    """Reads what was written."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def of(self, about: ImageId | DatasetId | UUID, *, limit: int, cursor: str | None = None) -> Listed[Write]:
        """One page, newest first. Raises ValidationError for a cursor of another question."""
        question = question_key("history", about)
        values = {
            "about": about,
            "before": read_place(cursor, question) if cursor is not None else None,
            "limit": limit + 1,  # one more tells whether others follow
        }
        async with self._database.connection() as connection:
            rows, last = page_of(await fetch_all(connection, Write, PAGE, values), limit)
            total = await fetch_value(connection, COUNT, [about])
        return Listed(rows, total, packed(last.id, about, question) if last else None)


def read_place(cursor: str, question: str) -> int:
    place, _ = unpacked(cursor, question)
    if not isinstance(place, int) or not 0 <= place < 2**63:
        raise not_ours()
    return place
