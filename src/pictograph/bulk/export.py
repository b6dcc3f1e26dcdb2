"""The way out for vectors: pages of the columns that an import takes, each a whole Arrow stream."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from io import BytesIO
from typing import Any, Final

import numpy as np
import pyarrow as pa

from pictograph.db.pool import Connection, Database
from pictograph.db.rows import fetch_all, fetch_column, fetch_tuple
from pictograph.errors import ConflictError, NotFoundError
from pictograph.search.filter import Filter
from pictograph.search.where import Where, where
from pictograph.spaces.registry import Space, Spaces, fingerprint_of
from pictograph.store.pages import After, cursor_after, page_of, question_key, read_after
from pictograph.types import TAG_CATEGORIES, ImageId, Tags
from pictograph.wire.vectors import FINGERPRINT

FOLDERS: Final = """
SELECT id FROM folder
WHERE dataset_id = %(dataset)s AND (path = %(folder)s OR starts_with(path, %(below)s))"""
MEANT: Final = """
FROM image r JOIN folder f ON f.id = r.folder_id
LEFT JOIN image_embedding m ON m.space_id = %(space)s AND m.image_id = r.id
WHERE r.archived_at IS NULL AND {place} AND {facts}"""
COUNT: Final = f"SELECT count(m.image_id), count(*) - count(m.image_id) {MEANT}"
COLUMNS: Final = """
SELECT r.id, f.path AS folder_path, r.filename, m.vector, r.image_auto_tags AS tags, r.width, r.height, r.file_size,
       r.content_type, r.created_at"""
FIRST_PAGE: Final = f"{COLUMNS} {MEANT} AND m.image_id IS NOT NULL ORDER BY r.created_at DESC, r.id LIMIT %(limit)s"
# In two parts, each a range of the index: an import makes thousands of images at one moment, and none is read twice.
NEXT_PAGE: Final = f"""
SELECT * FROM (
    ({COLUMNS} {MEANT} AND m.image_id IS NOT NULL AND r.created_at = %(after_time)s AND r.id > %(after_id)s
     ORDER BY r.id LIMIT %(limit)s)
    UNION ALL
    ({COLUMNS} {MEANT} AND m.image_id IS NOT NULL AND r.created_at < %(after_time)s
     ORDER BY r.created_at DESC, r.id LIMIT %(limit)s)
) page
ORDER BY created_at DESC, id LIMIT %(limit)s"""


@dataclass(frozen=True, slots=True)
class Row:
    """One image with its vector."""

    id: ImageId
    folder_path: str
    filename: str
    vector: Any
    tags: Tags
    width: int
    height: int
    file_size: int
    content_type: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Page:
    """Some rows as an Arrow stream."""

    body: bytes
    next_cursor: str | None
    rows: int
    total: int | None
    """In all pages; counted for the first one."""
    left_out: int | None
    """Images that are meant but have no vector: they wait, or failed. Counted for the first page."""


class VectorExport:
    """Reads what an import would take again."""

    def __init__(self, database: Database, spaces: Spaces) -> None:
        self._database = database
        self._spaces = spaces

    async def page(self, wanted: Filter, *, limit: int, cursor: str | None = None) -> Page:
        """The next rows, newest first; images that come or go meanwhile make none come twice or be left out.

        wanted: of one dataset. Raises NotFoundError (no such folder), ValidationError for a cursor of another question,
        or of another encoder.
        """
        space = await self._spaces.active()
        if space is None:
            raise ConflictError("There is no library here yet.")
        place = wanted.place
        question = question_key("vectors", place.datasets, place.folder_path, asdict(wanted.conditions), space.id)
        after = read_after(cursor, question) if cursor is not None else None
        async with self._database.connection() as connection:
            conditions = where(wanted, await folders_of(connection, wanted), "image")
            values = conditions.values | {
                "space": space.id,
                "limit": limit + 1,  # one more tells whether others follow
                "after_time": after and after.created_at,
                "after_id": after and after.id,
            }
            counts: tuple[int | None, int | None] = (None, None)
            if after is None:
                counts = await fetch_tuple(connection, of(COUNT, conditions), values) or (0, 0)
            statement = of(NEXT_PAGE if after else FIRST_PAGE, conditions)
            found = await fetch_all(connection, Row, statement, values, binary=True)
        rows, last = page_of(found, limit)
        body = await asyncio.to_thread(stream_of, rows, space)
        next_cursor = cursor_after(After(last.created_at, last.id), question) if last else None
        return Page(body, next_cursor, len(rows), *counts)


def of(statement: str, conditions: Where) -> str:
    return statement.format(place=conditions.place, facts=conditions.facts)


async def folders_of(connection: Connection, wanted: Filter) -> list[int] | None:
    """Ids of the filter's folders; None for all of its dataset. Raises NotFoundError for a folder that is not there."""
    folder = wanted.place.folder_path
    if folder == "/":
        return None
    (dataset,) = wanted.place.datasets
    values = {"dataset": dataset, "folder": folder, "below": folder.rstrip("/") + "/"}
    found = await fetch_column(connection, FOLDERS, values)
    if not found:
        raise NotFoundError(f"There is no folder {folder!r} in this dataset. Write it from the top: /cars/red.")
    return found


def stream_of(rows: Sequence[Row], space: Space) -> bytes:
    schema = schema_of(space)
    vectors = np.zeros((len(rows), space.dimension), np.float16)
    for number, row in enumerate(rows):
        vectors[number] = row.vector.to_numpy()[: space.dimension]
    columns: dict[str, Any] = {
        "id": [str(row.id) for row in rows],
        "folder_path": [row.folder_path for row in rows],
        "filename": [row.filename for row in rows],
        "vector": pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), type=schema.field("vector").type),
        **{category: [row.tags.get(category, []) for row in rows] for category in TAG_CATEGORIES},
        "width": [row.width or None for row in rows],
        "height": [row.height or None for row in rows],
        "file_size": [row.file_size for row in rows],
        "content_type": [row.content_type for row in rows],
        "created_at": [row.created_at for row in rows],
    }
    table = pa.table({field.name: pa.array(columns[field.name], field.type) for field in schema}, schema=schema)
    sink = BytesIO()
    with pa.ipc.new_stream(sink, schema) as writer:
        writer.write_table(table)
    return sink.getvalue()


def schema_of(space: Space) -> Any:
    """The columns of an export, in their order, and in its own metadata who made the vectors."""
    vector = pa.list_(pa.field("item", pa.float16(), nullable=False), space.dimension)
    return pa.schema(
        [
            ("id", pa.string()),
            ("folder_path", pa.string()),
            pa.field("filename", pa.string(), nullable=False),
            pa.field("vector", vector, nullable=False),
            *((category, pa.list_(pa.string())) for category in TAG_CATEGORIES),
            ("width", pa.int32()),
            ("height", pa.int32()),
            ("file_size", pa.int64()),
            ("content_type", pa.string()),
            ("created_at", pa.timestamp("us", "UTC")),
        ],
        metadata={FINGERPRINT: fingerprint_of(space).encode()},
    )
