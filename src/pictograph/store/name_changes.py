"""Names that a migration brought to one spelling (NFC), and what they were before."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal
from uuid import UUID

from pictograph.db.pool import Database
from pictograph.db.rows import fetch_all, fetch_value
from pictograph.store.pages import After, Listed, cursor_after, page_of, question_key, read_after
from pictograph.types import DatasetId, OrganizationId

LIST: Final = """
SELECT id, kind, dataset_id, object_id, original, becomes, created_at FROM name_change
WHERE organization_id = %(organization)s
  AND (%(after_time)s::timestamptz IS NULL OR created_at < %(after_time)s
       OR (created_at = %(after_time)s AND id > %(after_id)s))
ORDER BY created_at DESC, id LIMIT %(limit)s"""
COUNT: Final = "SELECT count(*) FROM name_change WHERE organization_id = %s"


@dataclass(frozen=True, slots=True)
class NameChange:
    """One name that became another."""

    id: UUID
    kind: Literal["dataset", "folder", "image", "api_key"]
    dataset_id: DatasetId | None
    object_id: str
    original: str
    becomes: str
    created_at: datetime


class NameChanges:
    """Lists them."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def list(self, organization: OrganizationId, *, limit: int, cursor: str | None = None) -> Listed[NameChange]:
        """One page, newest first. Raises ValidationError for a cursor of another question."""
        question = question_key("name changes", organization)
        after = read_after(cursor, question) if cursor is not None else None
        values = {
            "organization": organization,
            "limit": limit + 1,  # one more tells whether others follow
            "after_time": after and after.created_at,
            "after_id": after and after.id,
        }
        async with self._database.connection() as connection:
            rows, last = page_of(await fetch_all(connection, NameChange, LIST, values), limit)
            total = await fetch_value(connection, COUNT, [organization])
        return Listed(rows, total, cursor_after(After(last.created_at, last.id), question) if last else None)
