"""Folders of datasets: which there are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from pictograph.db.pool import Connection
from pictograph.db.rows import fetch_value
from pictograph.errors import NotFoundError
from pictograph.types import DatasetId

# A folder comes with the folders above it and stays when its images go, so it need not be looked for below.
FOLDER_EXISTS: Final = """
SELECT EXISTS (SELECT FROM folder WHERE dataset_id = ANY(%(datasets)s) AND path = %(folder)s)"""


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
