"""Queries by name: what was asked, to be asked again; answers are never kept."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from uuid_utils.compat import uuid7

from pictograph.db.pool import Connection, Database
from pictograph.db.rows import fetch_all, fetch_one, fetch_value
from pictograph.errors import ConflictError, NotFoundError
from pictograph.store.datasets import as_uuid
from pictograph.store.names import checked_segment, one_spelling, storable
from pictograph.store.pages import After, Listed, cursor_after, page_of, question_key, read_after
from pictograph.types import OrganizationId

COLUMNS: Final = "id, name, question, created_at, updated_at"
SAVE: Final = f"""
INSERT INTO saved_query (id, organization_id, name, question)
VALUES (%(id)s, %(organization)s, %(name)s, %(question)s)
ON CONFLICT (organization_id, name) DO UPDATE
SET question = excluded.question, updated_at = now(), updated_by = author_of_write()
RETURNING {COLUMNS}"""
BY_ID: Final = f"SELECT {COLUMNS} FROM saved_query WHERE organization_id = %(organization)s AND id = %(id)s"
BY_NAME: Final = f"SELECT {COLUMNS} FROM saved_query WHERE organization_id = %(organization)s AND name = %(name)s"
PAGE: Final = f"""
SELECT {COLUMNS} FROM saved_query
WHERE organization_id = %(organization)s
  AND (%(after_time)s::timestamptz IS NULL OR created_at < %(after_time)s
       OR (created_at = %(after_time)s AND id > %(after_id)s))
ORDER BY created_at DESC, id LIMIT %(limit)s"""
COUNT: Final = "SELECT count(*) FROM saved_query WHERE organization_id = %s"
DELETE: Final = "DELETE FROM saved_query WHERE id = %s"


@dataclass(frozen=True, slots=True)
class SavedQuery:
    """A query by name."""

    id: UUID
    name: str
    question: str
    """The JSON of `POST /search/query`."""
    created_at: datetime
    updated_at: datetime


class SavedQueries:
    """Everything about saved queries that needs the database. An organization sees only its own."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def save(self, organization: OrganizationId, name: str, question: str) -> SavedQuery:
        """Keeps the question under this name, in place of what had it. Raises ConflictError for the id of another."""
        called = checked_segment(name, field="name", what="A query's name")
        values = {"id": uuid7(), "organization": organization, "name": called, "question": question}
        async with self._database.writing() as connection:
            other = {"organization": organization, "id": as_uuid(called)}
            if other["id"] and await fetch_value(connection, BY_ID, other):
                raise ConflictError(f"{name!r} is the id of a saved query, and names that one. Choose another name.")
            saved = await fetch_one(connection, SavedQuery, SAVE, values)
        if saved is None:
            raise NotFoundError(f"There is no organization {organization}.")
        return saved

    async def get(self, organization: OrganizationId, reference: str) -> SavedQuery:
        """By name or id. Raises NotFoundError."""
        async with self._database.connection() as connection:
            return await fetch_saved(connection, organization, reference)

    async def list(self, organization: OrganizationId, *, limit: int, cursor: str | None = None) -> Listed[SavedQuery]:
        """One page, newest first. Raises ValidationError for a cursor of another question."""
        question = question_key("saved queries", organization)
        after = read_after(cursor, question) if cursor is not None else None
        values = {
            "organization": organization,
            "limit": limit + 1,  # one more tells whether others follow
            "after_time": after and after.created_at,
            "after_id": after and after.id,
        }
        async with self._database.connection() as connection:
            rows, last = page_of(await fetch_all(connection, SavedQuery, PAGE, values), limit)
            total = await fetch_value(connection, COUNT, [organization])
        return Listed(rows, total, cursor_after(After(last.created_at, last.id), question) if last else None)

    async def delete(self, organization: OrganizationId, reference: str) -> SavedQuery:
        """Forgets it, and returns what it was. Raises NotFoundError."""
        async with self._database.writing() as connection:
            saved = await fetch_saved(connection, organization, reference)
            await connection.execute(DELETE, [saved.id])
            return saved


async def fetch_saved(connection: Connection, organization: OrganizationId, reference: str) -> SavedQuery:
    """The saved query with this id or name. Raises NotFoundError."""
    values = {"organization": organization, "id": as_uuid(reference), "name": one_spelling(reference)}
    if storable(reference):
        for statement in [BY_ID, BY_NAME] if values["id"] else [BY_NAME]:
            if found := await fetch_one(connection, SavedQuery, statement, values):
                return found
    raise NotFoundError(f"There is no saved query {reference!r}.")
