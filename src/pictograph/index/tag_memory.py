"""A copy of the tag lists in memory, as true as the database at the moment of each question.

The triggers note every changed image with its transaction. Before it answers, the copy reads the changes of those
transactions that it has not seen, which the snapshot of its last reading tells exactly: whatever was committed before a
question is in its answer. A copy that has missed what is no longer noted is made again.

A few changes are applied between two requests, on the event loop; many in a thread, and meanwhile nobody is answered
from the copy: the database's own lists answer.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias
from uuid import UUID

import numpy as np
from psycopg.pq import TransactionStatus

from pictograph.db.pool import Connection, Database
from pictograph.db.rows import fetch_value
from pictograph.index.tag_bitmaps import ImageTags, TagBitmaps, TooLate
from pictograph.index.tag_order import IMAGE, Key, Order, Places
from pictograph.types import DatasetId

CHANGES_AT_ONCE: Final = 50
"""More are not applied on the event loop: an image takes up to a quarter of a millisecond."""
MAX_CHANGES: Final = 20_000
"""More at a time are read again."""
ROWS_AT_ONCE: Final = 500
"""Of an answer that are made into objects before others have their turn."""

REPEATABLE: Final = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"
# also forgets what is noted of a server's former life: after a restore, transactions are counted from the start
FOLD: Final = "SELECT fold_tag_deltas()"
SNAPSHOT: Final = "SELECT pg_current_snapshot()::text"
SCOPES: Final = "SELECT dataset_id, number, organization_id FROM tag_scope"
TAGS: Final = 'SELECT id, organization_id, category, name FROM tag ORDER BY category COLLATE "C", name COLLATE "C"'
# archived ones keep their place in the order: restored, they need not be moved in between
# by a byte of the id: so no single value is megabytes, which would be copied at once
IMAGES: Final = """
SELECT CASE WHEN archived_at IS NULL THEN number ELSE 0 END, get_byte(uuid_send(id), 15),
       string_agg(timestamptz_send(created_at) || uuid_send(id)
                  || int8send(CASE WHEN archived_at IS NULL THEN folder_id ELSE 0 END), '')
FROM image JOIN tag_scope USING (dataset_id) GROUP BY 1, 2"""
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
        scopes = await fetch_in_turns(connection, SCOPES)
        tags = await fetch_in_turns(connection, TAGS)
        return await asyncio.to_thread(cls.of, scopes, tags)

    @classmethod
    def of(cls, scopes: Sequence[Any], tags: Sequence[Any]) -> Names:
        """From the rows of `SCOPES` and `TAGS`."""
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
        order = await asyncio.to_thread(order_of, await fetch_in_turns(connection, IMAGES))
        bitmaps = await asyncio.to_thread(TagBitmaps.of_order, order)
        places = await asyncio.to_thread(Places, order)
        async for tag, images in connection.cursor(binary=True).stream(LISTS.encode()):
            await asyncio.to_thread(lambda: bitmaps.add_tag(tag, places.of(images)))  # noqa: B023 awaited here
    return TagMemory(bitmaps, names, seen)


async def fetch_in_turns(connection: Connection, statement: str, values: dict[str, object] | None = None) -> list[Any]:
    """Every row, some at a time, so that making objects of many does not stop other requests."""
    rows: list[Any] = []
    async with connection.cursor(binary=True) as cursor:
        await cursor.execute(statement.encode(), values)
        while part := await cursor.fetchmany(ROWS_AT_ONCE):
            rows += part
            await asyncio.sleep(0)
    return rows


def order_of(rows: Sequence[tuple[int, int, bytes]]) -> Order:
    images = [np.frombuffer(images, IMAGE) for *_, images in rows]
    numbers = [np.full(len(part), number, np.int32) for part, (number, *_) in zip(images, rows, strict=True)]
    return Order(np.concatenate([np.empty(0, IMAGE), *images]), np.concatenate([np.empty(0, np.int32), *numbers]))


class ManyChanges(Exception):
    """More than can be applied while others wait: `catch_up_beside` does it."""


async def catch_up(connection: Connection, memory: TagMemory, since: float) -> None:
    """Brings the copy to what was committed at `since`, or later. Raises TooLate, or ManyChanges."""
    async with memory.reading:
        if memory.read_at >= since:
            return  # another question waited for the same
        read_at = time.monotonic()
        news = await read_news(connection, memory, CHANGES_AT_ONCE)
        if not memory.bitmaps.is_quick(news.changed):
            raise ManyChanges
        memory.bitmaps.apply(news.changed)
        memory.seen = news.seen
        if connection.info.transaction_status == TransactionStatus.IDLE:  # else it looked at the start of a transaction
            memory.read_at = read_at


async def catch_up_beside(database: Database, memory: TagMemory) -> None:
    """As `catch_up`, to now, for many changes, in a thread: the copy must not be used meanwhile. Raises TooLate."""
    async with memory.reading, database.connection() as connection:
        try:
            news = await read_news(connection, memory, MAX_CHANGES)
        except ManyChanges as error:
            raise TooLate from error
        await asyncio.to_thread(memory.bitmaps.apply, news.changed)
        memory.seen = news.seen


@dataclass(frozen=True, slots=True)
class News:
    """What has changed, and the snapshot in which that was read."""

    seen: str
    changed: list[ImageTags]


async def read_news(connection: Connection, memory: TagMemory, at_most: int) -> News:
    """The changes since the last reading; the names of all that is in them are known afterwards.

    Raises TooLate if they are not noted any more, ManyChanges if there are more.
    """
    rows = await fetch_in_turns(connection, CHANGES, {"seen": memory.seen, "limit": at_most + 1})
    seen, is_complete, *_ = rows[0]
    if not is_complete:
        raise TooLate
    if len(rows) > at_most:
        raise ManyChanges
    changed = await asyncio.to_thread(changed_images, rows)
    if not all(map(memory.names.has, changed)):
        memory.names = await Names.load(connection)
    return News(seen, changed)


def changed_images(rows: Sequence[Any]) -> list[ImageTags]:
    """From the rows of `CHANGES`; without changes there is one, which names none."""
    return [changed_image(*row) for _, _, *row in rows if row[0] is not None]


def changed_image(
    time: bytes, image: bytes, dataset: int | None, folder: int | None, tags: list[int] | None
) -> ImageTags:
    key = Key.of(int.from_bytes(time, "big", signed=True), image)
    return ImageTags(key, dataset or 0, folder or 0, tags or [])
