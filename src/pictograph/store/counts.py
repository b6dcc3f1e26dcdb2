"""How many images there are, without counting them: triggers note every change, and their sum is the count."""

from __future__ import annotations

from typing import Final

from pictograph.db.pool import Connection, Database
from pictograph.db.rows import fetch_tuple, fetch_value
from pictograph.db.sums import add_up
from pictograph.types import DatasetId, ImageState

COUNT: Final = """
SELECT coalesce(sum(images), 0)::bigint FROM image_count
WHERE dataset_id = %(dataset)s AND folder_id = %(folder)s
  AND (%(state)s::text IS NULL OR state = %(state)s) AND (%(archived)s OR NOT archived)"""
STATES: Final = "SELECT state, sum(images)::bigint FROM image_count WHERE folder_id = 0 GROUP BY state"
PROGRESS: Final = """
SELECT state, sum(images)::bigint FROM image_count WHERE dataset_id = %s AND folder_id = 0 GROUP BY state"""
WAITING_IN: Final = """
SELECT count(r.sha256), count(*) - count(r.sha256) FROM replacement r JOIN image i ON i.id = r.image_id
WHERE i.dataset_id = %s"""
# Rows that another server adds up at this moment are left to it.
ADD_UP: Final = """
WITH crowded AS (
    SELECT folder_id, dataset_id, state, archived FROM image_count GROUP BY folder_id, dataset_id, state, archived
    HAVING count(*) > 1 LIMIT %(limit)s
), taken AS (
    SELECT c.ctid FROM image_count c JOIN crowded USING (folder_id, dataset_id, state, archived)
    FOR UPDATE OF c SKIP LOCKED
), gone AS (
    DELETE FROM image_count WHERE ctid = ANY(ARRAY(SELECT ctid FROM taken))
    RETURNING dataset_id, folder_id, state, archived, images, bytes
), kept AS (
    INSERT INTO image_count
    SELECT dataset_id, folder_id, state, archived, sum(images), sum(bytes) FROM gone
    GROUP BY 1, 2, 3, 4 HAVING sum(images) <> 0 OR sum(bytes) <> 0
)
SELECT count(*) FROM gone"""
AT_LEAST: Final = "SELECT count(*) FROM (SELECT FROM image LIMIT %s) limited"
AT_A_TIME: Final = 1000
"""Sums that one transaction makes."""
WHOLE_DATASET: Final = 0
"""As `folder_id`: all folders of the dataset."""


async def count_images(
    connection: Connection, dataset: DatasetId, folder: int = WHOLE_DATASET, *, state: str | None, archived: bool
) -> int:
    """Images of a dataset, or of exactly one folder of it. archived: count archived ones too."""
    values = {"dataset": dataset, "folder": folder, "state": state, "archived": archived}
    return int(await fetch_value(connection, COUNT, values))


async def count_by_state(connection: Connection, dataset: DatasetId | None = None) -> dict[ImageState, int]:
    """Images of a dataset (None: of all organizations) in each state, archived ones too; every state is a key."""
    cursor = await connection.execute(*((PROGRESS, [dataset]) if dataset else (STATES,)))
    return dict.fromkeys(ImageState, 0) | {ImageState(state): count for state, count in await cursor.fetchall()}


async def count_waiting(connection: Connection, dataset: DatasetId) -> tuple[int, int]:
    """Images of the dataset whose new bytes are not ready yet, and those whose new bytes failed."""
    waiting, failed = await fetch_tuple(connection, WAITING_IN, [dataset]) or (0, 0)
    return waiting, failed


class ImageCounts:
    """Keeps the counts quick to read. Whether and when it runs changes no count."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add_up(self) -> int:
        """Replaces the changes of each folder by their sum; how many rows that took. Safe beside any writer."""
        return await add_up(self._database, ADD_UP, AT_A_TIME)

    async def has_at_least(self, images: int) -> bool:
        """Whether all organizations together have so many."""
        async with self._database.connection() as connection:
            return int(await fetch_value(connection, AT_LEAST, [images])) >= images
