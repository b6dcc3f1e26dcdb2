"""The way out: pages of everything that is known of the images that a query finds, with their vectors or without.

An export is one walk through a query's answer, page by page, whatever changes on the way. It began at one moment, which
its cursor carries: images that were uploaded later are not in it. An image is in it as it is when its page is read; the
page says how many changed after that moment, and how many were deleted while it was made.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from io import BytesIO
from typing import Any, Final, Literal, TypeAlias

import numpy as np
import pyarrow as pa

from pictograph.db.pool import Database
from pictograph.db.rows import fetch_all, fetch_value
from pictograph.errors import ConflictError, wrong_value
from pictograph.search.filter import Filter
from pictograph.search.found import Hit
from pictograph.search.where import where
from pictograph.spaces.registry import Space, Spaces, fingerprint_of
from pictograph.types import MAX_LIMIT, TAG_CATEGORIES, DatasetId, ImageId, ImageState, Sha256, Tags
from pictograph.wire.vectors import FINGERPRINT

NOW: Final = "SELECT clock_timestamp()"
# By primary key, in the order of the walk.
DETAILS: Final = """
SELECT i.id, i.dataset_id, d.name AS dataset_name, f.path AS folder_path, i.filename,
       named.original AS original_filename, placed.original AS original_folder_path, i.state, i.content_type,
       nullif(i.width, 0) AS width, nullif(i.height, 0) AS height, i.file_size, b.has_bytes, i.sha256,
       i.image_auto_tags AS tags, i.created_at, i.updated_at, i.taken_at, i.camera, i.sharpness,
       i.brightness, i.contrast, i.average_color, i.perceptual_hash, i.facts_version > 0 AS facts_known, {vector}
FROM unnest(%(images)s::uuid[]) WITH ORDINALITY AS asked (id, position)
JOIN image i ON i.id = asked.id AND i.archived_at IS NULL
JOIN folder f ON f.id = i.folder_id
JOIN dataset d ON d.id = i.dataset_id
JOIN blob b ON b.sha256 = i.sha256
{vectors}
LEFT JOIN name_change named ON named.kind = 'image' AND named.dataset_id = i.dataset_id AND named.object_id = i.id::text
LEFT JOIN name_change placed
       ON placed.kind = 'folder' AND placed.dataset_id = i.dataset_id AND placed.object_id = f.id::text
ORDER BY asked.position"""
WITHOUT_VECTORS: Final = DETAILS.format(vector="NULL AS vector", vectors="")
WITH_VECTORS: Final = DETAILS.format(
    vector="m.vector", vectors="JOIN image_embedding m ON m.space_id = %(space)s AND m.image_id = i.id"
)
NOT_FOUND_YET: Final = """
SELECT count(*) FROM image r JOIN folder f ON f.id = r.folder_id
LEFT JOIN image_embedding m ON m.space_id = %(space)s AND m.image_id = r.id
WHERE r.archived_at IS NULL AND m.image_id IS NULL AND {place} AND {facts}
  AND (f.path = %(folder)s OR (%(recursive)s AND starts_with(f.path, %(below)s)))"""
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND: Final = timedelta(microseconds=1)
AMONG_CURSORS: Final = "."
"""Between the parts of an export's cursor; no cursor of a query has one."""


@dataclass(frozen=True, slots=True)
class Answered:
    """One page of a query's answer."""

    rows: Sequence[Hit]
    next_cursor: str | None
    total: int | None
    total_is: Literal["exact", "estimate"] | None
    cut_off: bool
    """Whether more images passed the threshold than a fact puts in order."""


Ask: TypeAlias = Callable[[str | None, int], Awaitable[Answered]]
"""Asks the query for the page at a cursor, of so many rows."""


@dataclass(frozen=True, slots=True)
class Details:
    """Everything about one image but its bytes."""

    id: ImageId
    dataset_id: DatasetId
    dataset_name: str
    folder_path: str
    filename: str
    original_filename: str | None
    original_folder_path: str | None
    state: ImageState
    content_type: str
    width: int | None
    height: int | None
    file_size: int
    has_bytes: bool
    sha256: Sha256
    tags: Tags
    created_at: datetime
    updated_at: datetime
    taken_at: datetime | None
    camera: str | None
    sharpness: float | None
    brightness: float | None
    contrast: float | None
    average_color: int | None
    perceptual_hash: int | None
    facts_known: bool
    vector: Any


@dataclass(frozen=True, slots=True)
class ExportRow:
    """One image, and how well it answers the query."""

    image: Details
    score: float | None
    similarity: float | None


@dataclass(frozen=True, slots=True)
class ExportPage:
    """Some rows of the walk."""

    rows: Sequence[ExportRow]
    next_cursor: str | None
    started_at: datetime
    total: int | None
    total_is: Literal["exact", "estimate"] | None
    left_out: int | None
    """Images of the place and the filter that no search finds yet; counted for the first page."""
    changed: int
    vanished: int
    cut_off: bool
    space: Space


class Export:
    """Walks through the answers of queries."""

    def __init__(self, database: Database, spaces: Spaces) -> None:
        self._database = database
        self._spaces = spaces

    async def page(
        self, ask: Ask, wanted: Filter, *, limit: int, cursor: str | None = None, vectors: bool = False
    ) -> ExportPage:
        """The next rows. wanted: the query's place and filter.

        Raises ValidationError for a cursor of another query, or after a move to another encoder, and what `ask` raises.
        """
        space = await self._spaces.active()
        if space is None:
            raise ConflictError("There is no library here yet.")
        if cursor is None:
            started_at, place = await self._now(), None
        else:
            started_at, place = read_cursor(cursor, space)
        found, following, first = await self._walk(ask, place, limit)
        images = await self._details([row.id for row in found], space, vectors=vectors)
        rows = [
            ExportRow(images[row.id], getattr(row, "score", None), getattr(row, "similarity", None))
            for row in found
            if row.id in images and row.created_at <= started_at
        ]
        return ExportPage(
            rows=rows,
            next_cursor=written_cursor(started_at, space, following) if following is not None else None,
            started_at=started_at,
            total=first.total,
            total_is=first.total_is,
            left_out=await self._not_found_yet(wanted, space) if cursor is None else None,
            changed=sum(row.image.updated_at > started_at for row in rows),
            vanished=sum(row.id not in images for row in found),
            cut_off=first.cut_off,
            space=space,
        )

    async def _walk(self, ask: Ask, cursor: str | None, limit: int) -> tuple[list[Hit], str | None, Answered]:
        """The next rows, where the ones after them begin, and the first answer. A query's page is smaller than ours."""
        first = answered = await ask(cursor, min(limit, MAX_LIMIT))
        rows = list(answered.rows)
        while answered.next_cursor is not None and len(rows) < limit:
            answered = await ask(answered.next_cursor, min(limit - len(rows), MAX_LIMIT))
            rows += answered.rows
        return rows, answered.next_cursor, first

    async def _now(self) -> datetime:
        async with self._database.connection() as connection:
            moment: datetime = await fetch_value(connection, NOW)
        return moment.astimezone(UTC)

    async def _details(self, ids: Sequence[ImageId], space: Space, *, vectors: bool) -> Mapping[ImageId, Details]:
        """In the order of the ids; without those that are gone."""
        if not ids:
            return {}
        statement = WITH_VECTORS if vectors else WITHOUT_VECTORS
        async with self._database.connection() as connection:
            values = {"images": list(ids), "space": space.id}
            found = await fetch_all(connection, Details, statement, values, binary=True)
        return {image.id: image for image in found}

    async def _not_found_yet(self, wanted: Filter, space: Space) -> int:
        folder = wanted.place.folder_path
        conditions = where(wanted, None, "image")
        values = conditions.values | {
            "space": space.id,
            "folder": folder,
            "below": folder.rstrip("/") + "/",
            "recursive": wanted.place.recursive,
        }
        statement = NOT_FOUND_YET.format(place=conditions.place, facts=conditions.facts)
        async with self._database.connection() as connection:
            return int(await fetch_value(connection, statement, values))


def written_cursor(started_at: datetime, space: Space, place: str) -> str:
    """When the walk began, in which space, and where it is."""
    return AMONG_CURSORS.join((f"{(started_at - EPOCH) // MICROSECOND:x}", f"{space.id:x}", place))


def read_cursor(cursor: str, space: Space) -> tuple[datetime, str]:
    """What `written_cursor` wrote. Raises ValidationError for what it did not write, or in another space."""
    try:
        moment, number, place = cursor.split(AMONG_CURSORS, 2)
        started_at = EPOCH + int(moment, 16) * MICROSECOND
        same = int(number, 16) == space.id
    except (ValueError, OverflowError) as error:
        raise wrong_value(
            "cursor", "This is no cursor of an export. Pass the `next_cursor` of the page before, unchanged."
        ) from error
    if not same:
        raise wrong_value("cursor", "The library moved to another encoder meanwhile. Begin the export again.")
    return started_at, place


def stream_of(rows: Sequence[ExportRow], space: Space, *, added: bool) -> bytes:
    """The rows as an Arrow stream. added: with the columns that an import does not take."""
    schema = schema_of(space, added=added)
    images = [row.image for row in rows]
    vectors = np.zeros((len(rows), space.dimension), np.float16)
    for number, image in enumerate(images):
        vectors[number] = image.vector.to_numpy()[: space.dimension]
    columns: dict[str, Any] = {
        "id": [str(image.id) for image in images],
        "vector": pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), type=schema.field("vector").type),
        **{category: [image.tags.get(category, []) for image in images] for category in TAG_CATEGORIES},
        "path": [f"{it.dataset_name}{it.folder_path.rstrip('/')}/{it.filename}" for it in images] if added else [],
        "sha256": [image.sha256.hex() if image.has_bytes else None for image in images],
        "score": [row.score for row in rows],
        "similarity": [row.similarity for row in rows],
    }
    arrays = {
        field.name: pa.array(columns.get(field.name) or [getattr(image, field.name) for image in images], field.type)
        if field.name != "vector"
        else columns["vector"]
        for field in schema
    }
    sink = BytesIO()
    with pa.ipc.new_stream(sink, schema) as writer:
        writer.write_table(pa.table(arrays, schema=schema))
    return sink.getvalue()


async def streamed(page: ExportPage, *, added: bool) -> bytes:
    """The page's rows, made in a thread."""
    return await asyncio.to_thread(stream_of, page.rows, page.space, added=added)


def schema_of(space: Space, *, added: bool) -> Any:
    """The columns of an export, in their order, and in its own metadata who made the vectors."""
    vector = pa.list_(pa.field("item", pa.float16(), nullable=False), space.dimension)
    others = [
        ("path", pa.string()),
        ("dataset_name", pa.string()),
        ("sha256", pa.string()),
        ("original_filename", pa.string()),
        ("taken_at", pa.timestamp("us", "UTC")),
        ("camera", pa.string()),
        ("sharpness", pa.float32()),
        ("brightness", pa.float32()),
        ("contrast", pa.float32()),
        ("average_color", pa.int32()),
        ("perceptual_hash", pa.int64()),
        ("score", pa.float64()),
        ("similarity", pa.float64()),
    ]
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
            *(others if added else ()),
        ],
        metadata={FINGERPRINT: fingerprint_of(space).encode()},
    )
