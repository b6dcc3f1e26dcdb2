"""A copy of the tag lists in memory, as true as the database at the moment of each question.

The triggers note every changed image with its transaction. Before it answers, the copy reads the changes of those
transactions that it has not seen, which the snapshot of its last reading tells exactly: whatever was committed before a
question is in its answer. A copy that has missed what is no longer noted is made anew.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

import numpy as np

from pictograph.db.pool import Connection, Database
from pictograph.db.rows import fetch_value
from pictograph.index.tag_bitmaps import ImageTags, TagBitmaps, TooLate
from pictograph.index.tag_order import IMAGE, Key, Order, Places

logger = logging.getLogger(__name__)

MAX_CHANGES: Final = 20_000
"""More at a time are read anew: while they are applied, nobody else is served."""

REPEATABLE: Final = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"
# also forgets what is noted of a server's former life: after a restore, transactions are counted from the start
FOLD: Final = "SELECT fold_tag_deltas()"
SNAPSHOT: Final = "SELECT pg_current_snapshot()::text"
SCOPES: Final = "SELECT dataset_id, number, organization_id FROM tag_scope"
TAGS: Final = "SELECT id, organization_id, category, name FROM tag"
IMAGES: Final = """
SELECT number, string_agg(timestamptz_send(created_at) || uuid_send(id) || int8send(folder_id), '')
FROM image JOIN tag_scope USING (dataset_id) GROUP BY number"""
LISTS: Final = "SELECT tag_id, string_agg(uuid_send(image_id), '') FROM image_tag GROUP BY tag_id"
CHANGES: Final = """
SELECT pg_current_snapshot()::text, h.pruned <= pg_snapshot_xmin(%(seen)s::pg_snapshot), changed.*
FROM tag_change_horizon h LEFT JOIN LATERAL (
    SELECT timestamptz_send(c.created_at), uuid_send(c.image_id), scope.number, i.folder_id,
           CASE WHEN i.archived_at IS NULL THEN ARRAY(SELECT tag_id FROM tag_rows(i.dataset_id, i.image_auto_tags)) END
    FROM (
        SELECT DISTINCT image_id, created_at FROM tag_change
        WHERE changed_in >= pg_snapshot_xmin(%(seen)s::pg_snapshot)
          AND NOT pg_visible_in_snapshot(changed_in, %(seen)s::pg_snapshot)
        LIMIT %(limit)s
    ) c
    LEFT JOIN image i ON i.id = c.image_id AND i.created_at = c.created_at
    LEFT JOIN tag_scope scope ON scope.dataset_id = i.dataset_id
) changed ON true"""


@dataclass
class Names:
    """What the numbers mean."""

    datasets: dict[UUID, int]
    numbers: set[int]
    organizations: dict[UUID, set[UUID]]
    """The datasets of each."""
    tags: dict[tuple[UUID, str, str], int]
    """(organization, category, label) -> number."""
    labels: dict[int, tuple[UUID, str, str]]

    @classmethod
    async def load(cls, connection: Connection) -> Names:
        scopes = await (await connection.execute(SCOPES)).fetchall()
        tags = await (await connection.execute(TAGS)).fetchall()
        organizations: dict[UUID, set[UUID]] = {}
        for dataset, _, organization in scopes:
            organizations.setdefault(organization, set()).add(dataset)
        return cls(
            {dataset: number for dataset, number, _ in scopes},
            {number for _, number, _ in scopes},
            organizations,
            {(organization, category, name): tag for tag, organization, category, name in tags},
            {tag: (organization, category, name) for tag, organization, category, name in tags},
        )

    def knows(self, image: ImageTags) -> bool:
        """Whether its dataset and tags were there when the names were read."""
        return (not image.dataset or image.dataset in self.numbers) and all(tag in self.labels for tag in image.tags)


@dataclass
class TagMemory:
    """The bitmaps, and which transactions are in them."""

    bitmaps: TagBitmaps
    names: Names
    seen: str
    """The snapshot of the last reading."""


async def load_memory(database: Database) -> TagMemory:
    """Everything, in one snapshot. What it takes: docs/decisions/0007-tag-index.md."""
    async with database.connection() as connection:
        await connection.execute(FOLD)
    async with database.transaction() as connection:
        await connection.execute(REPEATABLE)
        seen = str(await fetch_value(connection, SNAPSHOT))
        names = await Names.load(connection)
        order = await asyncio.to_thread(order_of, await (await connection.execute(IMAGES)).fetchall())
        bitmaps = await asyncio.to_thread(TagBitmaps.of_order, order)
        places = await asyncio.to_thread(Places, order)
        async for tag, images in connection.cursor(binary=True).stream(LISTS.encode()):
            bitmaps.add_tag(tag, await asyncio.to_thread(places.of, images))
    return TagMemory(bitmaps, names, seen)


def order_of(rows: Sequence[tuple[int, bytes]]) -> Order:
    images = [np.frombuffer(images, IMAGE) for _, images in rows]
    numbers = [np.full(len(part), number, np.int32) for part, (number, _) in zip(images, rows, strict=True)]
    return Order(np.concatenate([np.empty(0, IMAGE), *images]), np.concatenate([np.empty(0, np.int32), *numbers]))


async def catch_up(connection: Connection, memory: TagMemory) -> None:
    """Brings the copy to what is committed now. Not to be run twice at the same time. Raises TooLate."""
    values = {"seen": memory.seen, "limit": MAX_CHANGES + 1}
    rows = await (await connection.execute(CHANGES.encode(), values)).fetchall()
    seen, is_complete, *_ = rows[0]
    changed = [changed_image(*row) for _, _, *row in rows if row[0] is not None]
    if not is_complete or len(changed) > MAX_CHANGES:
        raise TooLate
    if not all(map(memory.names.knows, changed)):
        memory.names = await Names.load(connection)
    if changed:
        memory.bitmaps.apply(changed)
    memory.seen = seen


def changed_image(
    time: bytes, image: bytes, dataset: int | None, folder: int | None, tags: list[int] | None
) -> ImageTags:
    key = Key.of(int.from_bytes(time, "big", signed=True), image)
    return ImageTags(key, dataset or 0, folder or 0, tags or [])
