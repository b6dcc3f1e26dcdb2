"""One look at the database answers a question to the memory, as long as nothing has changed since the last look.

The rows that the memory would name are read in the same statement, and so at the same moment, in which the database
says whether the memory is still true. Planning is most of what such a statement costs, so there is one of them, and it
asks whether there are changes, not which.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import md5
from typing import Final
from uuid import UUID

from pictograph.db.pool import Connection
from pictograph.index.nearest import IN_FOLDER
from pictograph.index.tag_memory import Folders, TagMemory
from pictograph.index.tag_query import Question, TagHit
from pictograph.types import DatasetId

NEWS: Final = """
SELECT pg_current_snapshot()::text,
       pruned > pg_snapshot_xmin(%(seen)s::pg_snapshot) OR EXISTS (
           SELECT FROM tag_change WHERE changed_in >= pg_snapshot_xmin(%(seen)s::pg_snapshot)
             AND NOT pg_visible_in_snapshot(changed_in, %(seen)s::pg_snapshot)),
       {folders}
FROM tag_change_horizon"""
BELOW: Final = f"WITH below AS MATERIALIZED (SELECT ARRAY({IN_FOLDER} ORDER BY id) AS ids) "
IF_OTHERS: Final = "(SELECT CASE WHEN md5(ids::text) <> %(known)s THEN ids END FROM below)"
ROWS: Final = """
SELECT i.id, i.filename, (SELECT path FROM folder f WHERE f.id = i.folder_id), i.dataset_id, i.image_auto_tags,
       i.created_at
FROM image i WHERE i.id = ANY(%(ids)s) AND i.archived_at IS NULL"""
NEWS_AND_ROWS: Final = f"SELECT * FROM ({{news}}) news LEFT JOIN ({ROWS}) hit ON true"


@dataclass(frozen=True, slots=True)
class Look:
    """What the database said, all of one moment."""

    is_news: bool
    """Images have changed since the memory was read."""
    is_other_place: bool
    """The question's folders are not those that were known; they are now."""
    hits: list[TagHit]
    """The rows that were asked for, in the order asked; archived and deleted ones are missing."""


async def look(connection: Connection, memory: TagMemory, question: Question, ids: Sequence[UUID]) -> Look:
    """Whether the memory is true at this moment, and these rows."""
    seen, place = memory.seen, place_of(question)
    values: dict[str, object] = {"seen": seen, "ids": list(ids)}
    statement = NEWS.format(folders="NULL")
    if place is not None:
        known = memory.folders.get(place)
        values |= {"datasets": list(question.datasets), "folder": question.folder_path, "below": question.below}
        values["known"] = "" if known is None else md5_of(known)
        statement = NEWS.format(folders=IF_OTHERS)
    if ids:
        statement = NEWS_AND_ROWS.format(news=statement)
    if place is not None:
        statement = BELOW + statement
    rows = await (await connection.execute(statement.encode(), values)).fetchall()
    now, is_news, folders = rows[0][:3]
    if folders is not None and place is not None:
        memory.remember(place, folders)
    if not is_news and memory.seen == seen:
        memory.seen = now  # so that there is less to look through the next time
    hits = [TagHit(*row[3:]) for row in rows if row[3] is not None] if ids else []
    return Look(is_news, folders is not None, in_order(hits, ids))


async def fetch_rows(connection: Connection, ids: Sequence[UUID]) -> list[TagHit]:
    """The rows, in the order asked; archived and deleted ones are missing."""
    if not ids:
        return []
    rows = await (await connection.execute(ROWS.encode(), {"ids": list(ids)})).fetchall()
    return in_order([TagHit(*row) for row in rows], ids)


def in_order(hits: Sequence[TagHit], ids: Sequence[UUID]) -> list[TagHit]:
    by_id = {hit.id: hit for hit in hits}
    return [by_id[image] for image in ids if image in by_id]  # type: ignore[index]


def place_of(question: Question) -> Folders | None:
    """The question's folder; None if it is not about one."""
    if question.folder_path is None:
        return None
    datasets: tuple[DatasetId, ...] = tuple(question.datasets)
    return datasets, question.folder_path


def md5_of(ids: Sequence[int]) -> str:
    """As PostgreSQL says it of an array."""
    return md5(f"{{{','.join(map(str, ids))}}}".encode(), usedforsecurity=False).hexdigest()
