"""Writes images that come with their vectors: many rows at once, by binary COPY, under the constraints of an upload.

folder_ids = await make_folders(connection, dataset, paths)
await bulk_load(connection, space, dataset, BulkImages(new_ids(len(paths)), folder_ids, filenames, ...))
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from typing import Final
from uuid import UUID

import numpy as np
import numpy.typing as npt
import psycopg

from pictograph.bulk.images import TAGGER, BulkImages, Bytes, Integers
from pictograph.db.binary_copy import Column, constant, copy_rows, halfvecs, integers, moments, ragged, raw
from pictograph.db.pool import KEEP_PLANS, Connection
from pictograph.db.rows import fetch_column
from pictograph.errors import NotFoundError, SpaceMismatch, WriteConflict
from pictograph.spaces.encodings import known_encodings
from pictograph.spaces.registry import lock_rules
from pictograph.store.facts import VERSION
from pictograph.store.images import MAKE_FOLDERS
from pictograph.store.names import canonical_folder, folder_and_ancestors
from pictograph.types import DatasetId, ImageId, Sha256, SpaceId

CAME_AS: Final = "SELECT set_config('pictograph.came_as', %s, true)"
"""What the history says of images that are added now: migration 0022."""
FOLDERS: Final = "SELECT id, path FROM folder WHERE dataset_id = %s AND path = ANY(%s)"
FOLDERS_ELSEWHERE: Final = """
SELECT given.id FROM unnest(%s::bigint[]) AS given (id)
WHERE NOT EXISTS (SELECT FROM folder WHERE folder.id = given.id AND folder.dataset_id = %s) LIMIT 1"""
# In the order of the hashes, so that two that load the same do not wait for each other in a circle. All hashes in one
# value, because psycopg takes microseconds for each entry of an array.
HOLD_KNOWN_BLOBS: Final = """
UPDATE blob SET touched_at = now()
WHERE sha256 IN (
    SELECT sha256 FROM blob WHERE sha256 = ANY(ARRAY(
        SELECT substring(%(all)b::bytea FROM 32 * number + 1 FOR 32) FROM generate_series(0, %(count)s - 1) AS number))
    ORDER BY sha256 FOR NO KEY UPDATE)
RETURNING sha256"""
# What an image of bytes that the space knows gets, as if a worker had just finished it.
PLACE_KNOWN: Final = """
WITH done AS (
    UPDATE image SET state = CASE WHEN e.tags IS NULL THEN 'embedded' ELSE 'tagged' END,
        image_auto_tags = coalesce(e.tags, '{"objects": [], "scenes": [], "attributes": []}')
    FROM encoding e
    WHERE image.id = ANY(%(images)s) AND e.space_id = %(space)s AND e.sha256 = image.sha256
    RETURNING image.id, image.dataset_id, image.folder_id, e.vector
)
INSERT INTO image_embedding (space_id, image_id, dataset_id, folder_id, vector)
SELECT %(space)s, id, dataset_id, folder_id, vector FROM done ORDER BY dataset_id, folder_id"""
FORGET_OLD: Final = """
WITH jobs AS (DELETE FROM job WHERE image_id = ANY(%(images)s)),
     failures AS (DELETE FROM failure WHERE image_id = ANY(%(images)s)),
     replacements AS (DELETE FROM replacement WHERE image_id = ANY(%(images)s))
DELETE FROM image_embedding WHERE image_id = ANY(%(images)s)"""
TAKE: Final = """
UPDATE image SET sha256 = new.sha256, content_type = new.content_type, width = new.width, height = new.height,
    file_size = new.file_size, reason = NULL, archived_at = NULL, updated_at = now()
FROM unnest(%(images)s::uuid[], %(sha256s)s::bytea[], %(content_types)s::text[], %(widths)s::integer[],
            %(heights)s::integer[], %(sizes)s::bigint[]) AS new (id, sha256, content_type, width, height, file_size)
WHERE image.id = new.id"""

REPLACED_AT_ONCE: Final = 500
"""Rows whose values go in one statement: few enough that the event loop goes on."""


async def bulk_load(
    connection: Connection,
    space: SpaceId,
    dataset: DatasetId,
    images: BulkImages,
    held: Collection[Sha256] | None = None,
) -> None:
    """Stores new images in ONE transaction: they are found as uploaded ones are, or none of them is there.

    Written by folder, so that a scope is read together. What the space knows already keeps the vector and the tags it
    has. `space` must be the active one; a reindex that runs sees these images as lacking. held: what `name_blobs` gave
    for these and all other images of the transaction; None calls it here.
    Raises WriteConflict (a place or an id was taken at this moment), NotFoundError (dataset or folder), SpaceMismatch.
    """
    images = await asyncio.to_thread(in_order, images)
    async with our_errors(), connection.transaction():
        await connection.execute(KEEP_PLANS)
        await connection.execute(CAME_AS, ["imported"])
        if not (await lock_rules(connection, space)).active:
            raise SpaceMismatch(f"Space {space} is not the active one, and images are loaded into that one only.")
        await require_folders(connection, dataset, images.folder_ids)
        held = await name_blobs(connection, images) if held is None else held
        await copy_rows(connection, "image", len(images.ids), lambda part: image_columns(dataset, images.rows(part)))
        is_new = await save_vectors(connection, space, held, images)
        await place_new(connection, space, dataset, images.rows(np.flatnonzero(is_new)))
        if not is_new.all():
            others = images.rows(np.flatnonzero(~is_new))
            for start in range(0, len(others.ids), REPLACED_AT_ONCE):
                part = others.rows(slice(start, start + REPLACED_AT_ONCE))
                await connection.execute(PLACE_KNOWN, {"space": space, "images": ids_of(part)})
        await connection.execute(CAME_AS, [""])


def in_order(images: BulkImages) -> BulkImages:
    """By folder, so that a scope is read together, and by name: two that load the same never wait in a circle."""
    folders = images.folder_ids.tolist()
    order = sorted(range(len(folders)), key=lambda row: (folders[row], images.filenames[row]))
    return images.rows(np.array(order, np.intp))


async def replace_vectors(connection: Connection, space: SpaceId, images: BulkImages, held: Collection[Sha256]) -> None:
    """Gives these images, which the caller has locked, other vectors, tags and facts; archived ones are found again.

    held: what `name_blobs` gave.
    """
    if not len(images.ids):
        return
    parts = [
        images.rows(slice(start, start + REPLACED_AT_ONCE)) for start in range(0, len(images.ids), REPLACED_AT_ONCE)
    ]
    async with our_errors(), connection.transaction():
        for part in parts:
            await take_rows(connection, part)
        await save_vectors(connection, space, held, images)
        for part in parts:
            await connection.execute(PLACE_KNOWN, {"space": space, "images": ids_of(part)})


async def take_rows(connection: Connection, images: BulkImages) -> None:
    """Gives the images their new facts; what hung on the old ones goes."""
    ids = ids_of(images)
    await connection.execute(FORGET_OLD, {"images": ids})
    await connection.execute(
        TAKE,
        {
            "images": ids,
            "sha256s": [row.tobytes() for row in images.sha256s],
            "content_types": kinds_of(images),
            "widths": images.widths_px.tolist(),
            "heights": images.heights_px.tolist(),
            "sizes": images.sizes_bytes.tolist(),
        },
    )


def ids_of(images: BulkImages) -> list[ImageId]:
    return [ImageId(UUID(bytes=row.tobytes())) for row in images.ids]


def kinds_of(images: BulkImages) -> list[str]:
    kinds = images.content_types
    return [kinds] * len(images.ids) if isinstance(kinds, str) else list(kinds)


async def name_blobs(connection: Connection, images: BulkImages) -> set[Sha256]:
    """Sees to it that there is a row of `blob` for each, and that no sweep takes it: once in a transaction, for all.

    Those of which there was a row: only of these can anything be known.
    """
    async with our_errors():
        given = {"all": images.sha256s.tobytes(), "count": len(images.ids)}
        held: set[Sha256] = set(await fetch_column(connection, HOLD_KNOWN_BLOBS, given))
        unheld = await asyncio.to_thread(by_hash, images, held)
        await copy_rows(connection, "blob", len(unheld.ids), lambda part: blob_columns(unheld.rows(part)))
    return held


def by_hash(images: BulkImages, without: Collection[Sha256]) -> BulkImages:
    """The first of each hash, but those; by hash, as everybody writes them, so that none wait in a circle."""
    digests = digests_of(images)
    rows = {digest: row for row, digest in reversed(list(enumerate(digests))) if digest not in without}
    return images.rows(np.array([rows[digest] for digest in sorted(rows)], np.intp))


def digests_of(images: BulkImages) -> list[Sha256]:
    return [Sha256(row.tobytes()) for row in images.sha256s]


async def save_vectors(
    connection: Connection, space: SpaceId, held: Collection[Sha256], images: BulkImages
) -> npt.NDArray[np.bool_]:
    """Keeps what the space did not know; True for the images whose vector was kept. held: see `name_blobs`."""
    digests = digests_of(images)
    asked = list({digest for digest in digests if digest in held})
    known = await known_encodings(connection, space, asked) if asked else set()
    is_new = first_of_each(images.sha256s) & ~are_in(digests, known)
    new = images.rows(np.flatnonzero(is_new))
    await copy_rows(connection, "encoding", len(new.ids), lambda part: encoding_columns(space, new.rows(part)))
    return is_new


async def place_new(connection: Connection, space: SpaceId, dataset: DatasetId, images: BulkImages) -> None:
    """Makes new images with vectors of their own findable."""
    await copy_rows(
        connection,
        "image_embedding",
        len(images.ids),
        lambda part: embedding_columns(space, dataset, images.rows(part)),
    )


async def make_folders(connection: Connection, dataset: DatasetId, paths: Sequence[str]) -> Integers:
    """int64 (N,): the folder of each path, made with its ancestors where missing.

    Raises ValidationError for a path that no folder can have, NotFoundError if there is no such dataset.
    """
    canonical = {path: canonical_folder(path) for path in set(paths)}
    wanted = sorted({folder for path in canonical.values() for folder in folder_and_ancestors(path)})
    async with our_errors():
        await connection.execute(MAKE_FOLDERS, [dataset, wanted])
    cursor = await connection.execute(FOLDERS, [dataset, wanted])
    ids = {path: folder for folder, path in await cursor.fetchall()}
    return np.array([ids[canonical[path]] for path in paths], np.int64)


async def require_folders(connection: Connection, dataset: DatasetId, folder_ids: Integers) -> None:
    strangers = await fetch_column(connection, FOLDERS_ELSEWHERE, [np.unique(folder_ids).tolist(), dataset])
    if strangers:
        raise NotFoundError(f"Folder {strangers[0]} is not in dataset {dataset}. Ask make_folders for its folders.")


def blob_columns(images: BulkImages) -> list[Column]:
    count = len(images.ids)
    return [raw("sha256", images.sha256s), constant("size_bytes", bytes(8), count), constant("has_bytes", b"\0", count)]


def image_columns(dataset: DatasetId, images: BulkImages) -> list[Column]:
    count = len(images.ids)
    return [
        raw("id", images.ids),
        constant("dataset_id", dataset.bytes, count),
        integers("folder_id", images.folder_ids, "bigint"),
        ragged("filename", [name.encode() for name in images.filenames]),
        raw("sha256", images.sha256s),
        texts("content_type", images.content_types, count),
        integers("width", images.widths_px, "integer"),
        integers("height", images.heights_px, "integer"),
        integers("file_size", images.sizes_bytes, "bigint"),
        constant("state", b"embedded" if images.tags is None else b"tagged", count),
        constant("facts_version", VERSION.to_bytes(2, "big"), count),  # there is no picture to look at
        *documents("image_auto_tags", images.tags),
        *([moments("created_at", images.created_us)] if images.created_us is not None else []),
    ]


def encoding_columns(space: SpaceId, images: BulkImages) -> list[Column]:
    count = len(images.ids)
    return [
        constant("space_id", space.to_bytes(4, "big"), count),
        raw("sha256", images.sha256s),
        halfvecs("vector", images.vectors),
        *documents("tags", images.tags),
        *([constant("tagger", TAGGER.encode(), count)] if images.tags is not None else []),
    ]


def embedding_columns(space: SpaceId, dataset: DatasetId, images: BulkImages) -> list[Column]:
    count = len(images.ids)
    return [
        constant("space_id", space.to_bytes(4, "big"), count),
        raw("image_id", images.ids),
        constant("dataset_id", dataset.bytes, count),
        integers("folder_id", images.folder_ids, "bigint"),
        halfvecs("vector", images.vectors),
    ]


def documents(name: str, given: Sequence[bytes] | None) -> list[Column]:
    """jsonb; None: the column has its default."""
    return [] if given is None else [ragged(name, [b"\1" + text for text in given])]


def texts(name: str, given: Sequence[str] | str, count: int) -> Column:
    """text; one for all rows, or one for each."""
    if isinstance(given, str):
        return constant(name, given.encode(), count)
    return ragged(name, [text.encode() for text in given])


def first_of_each(sha256s: Bytes) -> npt.NDArray[np.bool_]:
    """True where the same bytes do not come before."""
    _, rows = np.unique(np.ascontiguousarray(sha256s).view("S32").ravel(), return_index=True)
    first = np.zeros(len(sha256s), bool)
    first[rows] = True
    return first


def are_in(digests: Sequence[Sha256], known: Collection[Sha256]) -> npt.NDArray[np.bool_]:
    found = set(known)
    return np.fromiter((digest in found for digest in digests), bool, len(digests))


@asynccontextmanager
async def our_errors() -> AsyncIterator[None]:
    """Broken constraints become typed errors."""
    try:
        yield
    except psycopg.errors.ForeignKeyViolation as error:
        raise NotFoundError("There is no such dataset, or it was deleted meanwhile: nothing was loaded.") from error
    except psycopg.errors.UniqueViolation as error:
        raise WriteConflict(f"Another request stored the same at this moment: {error.diag.message_detail}") from error
