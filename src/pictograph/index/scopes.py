"""How large a scope is, without counting it: triggers note every change (migration 0005), and their sum is the size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from pictograph.db.pool import Connection, Database
from pictograph.db.rows import fetch_tuple, fetch_value
from pictograph.db.sums import add_up
from pictograph.errors import NotFoundError
from pictograph.index.nearest import IN_FOLDER, Scope
from pictograph.types import DatasetId

# A folder's rows count what is below it too, so this reads one folder of each dataset, however many folders there are.
SIZE: Final = """
SELECT coalesce(sum(images), 0)::bigint FROM scope_count
WHERE space_id = %(space)s AND folder_id = ANY(
    ARRAY(SELECT id FROM folder WHERE dataset_id = ANY(%(datasets)s) AND path = %(folder)s))"""
# Rows that another server adds up at this moment are left to it.
ADD_UP: Final = """
WITH crowded AS (
    SELECT folder_id, space_id FROM scope_count GROUP BY folder_id, space_id
    HAVING count(*) > 1 OR NOT EXISTS (SELECT FROM folder WHERE folder.id = folder_id)
    LIMIT %(limit)s
), taken AS (
    SELECT c.ctid FROM scope_count c JOIN crowded USING (folder_id, space_id) FOR UPDATE OF c SKIP LOCKED
), gone AS (
    DELETE FROM scope_count WHERE ctid = ANY(ARRAY(SELECT ctid FROM taken))
    RETURNING space_id, dataset_id, folder_id, images
), kept AS (
    INSERT INTO scope_count
    SELECT space_id, dataset_id, folder_id, sum(images) FROM gone
    WHERE EXISTS (SELECT FROM folder WHERE folder.id = gone.folder_id)
    GROUP BY 1, 2, 3 HAVING sum(images) <> 0
)
SELECT count(*) FROM gone"""
# A folder comes with the folders above it and stays when its images go, so it need not be looked for below.
FOLDER_EXISTS: Final = """
SELECT EXISTS (SELECT FROM folder WHERE dataset_id = ANY(%(datasets)s) AND path = %(folder)s)"""
PLACE: Final = f"SELECT ({SIZE}) AS size, CASE WHEN %(folder)s <> '/' THEN ARRAY({IN_FOLDER}) END AS folder_ids"
AT_A_TIME: Final = 1000
"""Folders that one transaction adds up."""


async def scope_size(connection: Connection, scope: Scope) -> int:
    """Findable images in the scope, `scope.left_out` counted too: exact, at the moment of the connection's snapshot."""
    return int(await fetch_value(connection, SIZE, place_of(scope)))


async def require_folder(connection: Connection, datasets: Sequence[DatasetId], folder_path: str | None) -> None:
    """Raises NotFoundError if none of the datasets has, or ever had, an image in the folder or below; `/` is there."""
    if folder_path in (None, "/"):
        return
    values = {"datasets": list(datasets), "folder": folder_path}
    if not await fetch_value(connection, FOLDER_EXISTS, values):
        raise no_folder(str(folder_path))


def no_folder(folder_path: str) -> NotFoundError:
    """For a folder that no image is in, or ever was."""
    return NotFoundError(f"There is no folder {folder_path!r} here. A folder is written from the top: /cars/red.")


@dataclass(frozen=True, slots=True)
class Place:
    """How large a scope is, and where it lies."""

    size: int
    """As `scope_size`."""
    folder_ids: Sequence[int] | None
    """The scope's folders, those below included; None for all of its datasets' folders."""


async def find_place(connection: Connection, scope: Scope) -> Place:
    """Size and folders at one moment."""
    row = await fetch_tuple(connection, PLACE, place_of(scope))
    return Place(int(row[0]), row[1]) if row else Place(0, [])


def place_of(scope: Scope) -> dict[str, object]:
    """The scope as the statements name it."""
    return {
        "space": scope.space_id,
        "datasets": list(scope.datasets),
        "folder": scope.folder_path,
        "below": scope.folder_path.rstrip("/") + "/",
    }


class ScopeCounts:
    """Keeps sizes quick to read. Whether and when it runs changes no size."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add_up(self) -> int:
        """Replaces the changes of each folder by their sum; how many rows that took. Safe beside any writer."""
        return await add_up(self._database, ADD_UP, AT_A_TIME)
