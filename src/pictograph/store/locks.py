"""The one order in which rows are locked: who follows it may wait for others, but never in a circle with them.

1  spaces, by id                        spaces/registry.py, tagging/library/tables.py, spaces/reindex.py
2  the table of jobs as a whole         spaces/reindex.py
3  datasets, by id                      here; deleting one locks it against everything below
4  images, by id                        here
5  what hangs on an image: jobs, failures, search rows, tag rows
6  blobs, by SHA-256, and the encodings of their bytes

Imports of vectors take the turn of their dataset (`take_turn`) before everything else. A transaction that writes rows
of several images takes 3 and 4 before it touches any of 5. Rows of one image alone need only the image. What still
meets (the database's own uniqueness checks wait too) is begun again by `Database.write`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from pictograph.db.pool import Connection
from pictograph.db.rows import fetch_column
from pictograph.types import DatasetId, ImageId

# KEY SHARE is what an image row itself takes on its dataset: it stops nothing but the dataset's deletion and renaming.
DATASETS: Final = "SELECT id FROM dataset ORDER BY id FOR KEY SHARE"
DATASETS_OF: Final = """
SELECT id FROM dataset WHERE id IN (SELECT dataset_id FROM image WHERE id = ANY(%s)) ORDER BY id FOR KEY SHARE"""
DATASET_TO_DELETE: Final = "SELECT id FROM dataset WHERE id = %s FOR UPDATE"
IMAGES: Final = """
SELECT id FROM image WHERE id = ANY(%s) AND dataset_id = ANY(%s) ORDER BY id FOR NO KEY UPDATE"""

# The letters `imp`, and the dataset: two that share a hash only wait for each other.
TURN: Final = "SELECT pg_advisory_xact_lock_shared(x'696d70'::integer, hashtext(%s))"
TURN_ALONE: Final = "SELECT pg_advisory_xact_lock(x'696d70'::integer, hashtext(%s))"


async def take_turn(connection: Connection, dataset: DatasetId, *, alone: bool) -> None:
    """An import into the dataset goes on beside others until its transaction ends, or alone: then no other import is
    halfway. Whoever was overtaken by others comes to an end so."""
    await connection.execute(TURN_ALONE if alone else TURN, [str(dataset)])


async def keep_datasets(connection: Connection) -> None:
    """No dataset is deleted until the transaction ends; for those who write images of whichever dataset."""
    await fetch_column(connection, DATASETS)


async def keep_dataset_to_ourselves(connection: Connection, dataset: DatasetId) -> None:
    """Nothing new refers to the dataset from here on: an upload that comes later waits, and then finds it gone.

    Transactions that hold rows of its images have ended by then.
    """
    await fetch_column(connection, DATASET_TO_DELETE, [dataset])


async def lock_images(connection: Connection, images: Sequence[ImageId]) -> Sequence[ImageId]:
    """Those of the images that are there, by id: no other transaction changes or deletes them until this one ends."""
    datasets = await fetch_column(connection, DATASETS_OF, [list(images)])
    return await fetch_column(connection, IMAGES, [list(images), list(datasets)])
