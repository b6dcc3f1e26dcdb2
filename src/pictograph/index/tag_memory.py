"""A copy of the tag lists in memory, as true as the database at the moment of each question.

The triggers note every changed image with its transaction. Before it answers, the copy reads the changes of those
transactions that it has not seen, which the snapshot of its last reading tells exactly: whatever was committed before a
question is in its answer. A copy that has missed what is no longer noted is made anew.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, TypeAlias
from uuid import UUID

import numpy as np
from psycopg.pq import TransactionStatus

from pictograph.db.pool import Connection, Database
from pictograph.db.rows import fetch_value
from pictograph.index.tag_bitmaps import ImageTags, TagBitmaps, TooLate
from pictograph.index.tag_order import IMAGE, Key, Order, Places
from pictograph.types import DatasetId

MAX_CHANGES: Final = 20_000
"""More at a time are read anew: while they are applied, nobody else is served."""

REPEATABLE: Final = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"
# also forgets what is noted of a server's former life: after a restore, transactions are counted from the start
FOLD: Final = "SELECT fold_tag_deltas()"
SNAPSHOT: Final = "SELECT pg_current_snapshot()::text"
SCOPES: Final = "SELECT dataset_id, number, organization_id FROM tag_scope"
TAGS: Final = 'SELECT id, organization_id, category, name FROM tag ORDER BY category COLLATE "C", name COLLATE "C"'
# archived ones keep their place in the order: restored, they need not be moved in between
IMAGES: Final = """
SELECT CASE WHEN archived_at IS NULL THEN number ELSE 0 END,
       string_agg(timestamptz_send(created_at) || uuid_send(id)
                  || int8send(CASE WHEN archived_at IS NULL THEN folder_id ELSE 0 END), '')
FROM image JOIN tag_scope USING (dataset_id) GROUP BY 1"""
LISTS: Final = "SELECT tag_id, string_agg(uuid_send(image_id), '') FROM image_tag GROUP BY tag_id"
CHANGES: Final = """
SELECT pg_current_snapshot()::text, h.pruned <= pg_snapshot_xmin(%(seen)s::pg_snapshot), changed.*
FROM tag_change_horizon h LEFT JOIN LATERAL (
    SELECT timestamptz_send(c.created_at), uuid_send(c.image_id), scope.number, i.folder_id,
           ARRAY(SELECT tag_id FROM tag_rows(i.dataset_id, i.image_auto_tags))
    FROM (
        SELECT DISTINCT image_id, created_at FROM tag_change
        WHERE changed_in >= pg_snapshot_xmin(%(seen)s::pg_snapshot)
          AND NOT pg_visible_in_snapshot(changed_in, %(seen)s::pg_snapshot)
        LIMIT %(limit)s
    ) c
    LEFT JOIN image i ON i.id = c.image_id AND i.created_at = c.created_at AND i.archived_at IS NULL
    LEFT JOIN tag_scope scope ON scope.dataset_id = i.dataset_id
) changed ON true"""

Folders: TypeAlias = tuple[tuple[DatasetId, ...], str]
"""A folder of some datasets."""
MAX_FOLDERS: Final = 1000
"""Of which it is remembered what is below."""


@dataclass(frozen=True)
class Names:
    """What the numbers mean."""

    datasets: dict[UUID, tuple[int, UUID]]
    """The number of each, and its organization."""
    sizes: Counter[UUID]
    """Datasets of each organization."""
    tags: dict[tuple[UUID, str, str], int]
    """(organization, category, label) -> number."""
    labels: dict[UUID, list[tuple[str, str, int]]]
    """(category, label, number) of each organization, sorted."""
    known: frozenset[int]
    """The numbers of all tags."""
    numbers: frozenset[int]
    """The numbers of all datasets."""

    @classmethod
    async def load(cls, connection: Connection) -> Names:
        scopes = await (await connection.execute(SCOPES)).fetchall()
        tags = await (await connection.execute(TAGS)).fetchall()
        labels: dict[UUID, list[tuple[str, str, int]]] = {}
        for tag, organization, category, name in tags:
            labels.setdefault(organization, []).append((category, name, tag))
        return cls(
            {dataset: (number, organization) for dataset, number, organization in scopes},
            Counter(organization for _, _, organization in scopes),
            {(organization, category, name): tag for tag, organization, category, name in tags},
            labels,
            frozenset(tag for tag, *_ in tags),
            frozenset(number for _, number, _ in scopes),
        )

    def has(self, image: ImageTags) -> bool:
        """Whether its dataset and tags were there when the names were read."""
        return (not image.dataset or image.dataset in self.numbers) and self.known.issuperset(image.tags)


@dataclass
class TagMemory:
    """The bitmaps, and which transactions are in them."""

    bitmaps: TagBitmaps
    names: Names
    seen: str
    """The snapshot of the last reading."""
    read_at: float = 0.0
    """When the last reading of changes began, as `time.monotonic` tells it."""
    reading: asyncio.Lock = field(default_factory=asyncio.Lock)
    folders: dict[Folders, list[int]] = field(default_factory=dict)
    """What was below a folder when it was asked for last, rising."""

    def remember(self, place: Folders, folders: list[int]) -> None:
        if len(self.folders) >= MAX_FOLDERS:
            self.folders.clear()
        self.folders[place] = folders


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
            await asyncio.to_thread(lambda: bitmaps.add_tag(tag, places.of(images)))  # noqa: B023 awaited here
    return TagMemory(bitmaps, names, seen)


def order_of(rows: Sequence[tuple[int, bytes]]) -> Order:
    images = [np.frombuffer(images, IMAGE) for _, images in rows]
    numbers = [np.full(len(part), number, np.int32) for part, (number, _) in zip(images, rows, strict=True)]
    return Order(np.concatenate([np.empty(0, IMAGE), *images]), np.concatenate([np.empty(0, np.int32), *numbers]))


async def catch_up(connection: Connection, memory: TagMemory, since: float) -> None:
    """Brings the copy to what was committed at `since`, or later. Raises TooLate."""
    async with memory.reading:
        if memory.read_at >= since:
            return  # another question waited for the same
        read_at = time.monotonic()
        values = {"seen": memory.seen, "limit": MAX_CHANGES + 1}
        rows = await (await connection.execute(CHANGES.encode(), values)).fetchall()
        seen, is_complete, *_ = rows[0]
        changed = [changed_image(*row) for _, _, *row in rows if row[0] is not None]
        if not is_complete or len(changed) > MAX_CHANGES:
            raise TooLate
        if not all(map(memory.names.has, changed)):
            memory.names = await Names.load(connection)
        memory.bitmaps.apply(changed)
        memory.seen = seen
        if connection.info.transaction_status == TransactionStatus.IDLE:  # else it looked at the start of a transaction
            memory.read_at = read_at


def changed_image(
    time: bytes, image: bytes, dataset: int | None, folder: int | None, tags: list[int] | None
) -> ImageTags:
    key = Key.of(int.from_bytes(time, "big", signed=True), image)
    return ImageTags(key, dataset or 0, folder or 0, tags or [])
