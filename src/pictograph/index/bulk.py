"""Loads images that come with their vectors: many rows at once, by binary COPY, under the constraints of an upload.

For libraries that were embedded elsewhere by the very encoder of the space, and for measurements. The bytes of the
pictures are the caller's: put them into the blob store before, or their thumbnails and downloads are missing.

    folder_ids = await make_folders(connection, dataset, paths)
    await bulk_load(connection, space, dataset, BulkImages(new_ids(len(paths)), folder_ids, filenames, ...))
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from typing import Final
from uuid import UUID

import numpy as np
import numpy.typing as npt
import psycopg

from pictograph.db.binary_copy import Column, constant, copy_rows, halfvecs, integers, ragged, raw
from pictograph.db.pool import KEEP_PLANS, Connection
from pictograph.db.rows import fetch_column
from pictograph.errors import ConflictError, NotFoundError, SpaceMismatch
from pictograph.index.bulk_images import BulkImages, Bytes, Integers, check
from pictograph.index.writer import known_encodings
from pictograph.spaces.registry import lock_rules
from pictograph.store.images import MAKE_FOLDERS
from pictograph.store.names import canonical_folder, folder_and_ancestors
from pictograph.types import DatasetId, Sha256, SpaceId, Tags

FOLDERS: Final = "SELECT id, path FROM folder WHERE dataset_id = %s AND path = ANY(%s)"
FOLDERS_ELSEWHERE: Final = """
SELECT given.id FROM unnest(%s::bigint[]) AS given (id)
WHERE NOT EXISTS (SELECT FROM folder WHERE folder.id = given.id AND folder.dataset_id = %s) LIMIT 1"""
# In the order of the hashes, so that two that load the same bytes do not wait for each other in a circle.
HOLD_KNOWN_BLOBS: Final = """
UPDATE blob SET touched_at = now()
WHERE sha256 IN (SELECT sha256 FROM blob WHERE sha256 = ANY(%b) ORDER BY sha256 FOR NO KEY UPDATE) RETURNING sha256"""
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


async def bulk_load(connection: Connection, space: SpaceId, dataset: DatasetId, images: BulkImages) -> None:
    """Stores one chunk in ONE transaction: its images are found as uploaded ones are, or none of them is there.

    Written by folder, so that a scope is read together: load folder after folder. Bytes that the space knows already
    keep the vector and the tags they have. `space` must be the active one; a reindex that runs fetches the rest itself.
    Raises ValidationError (a shape, a type, a name, a length), ConflictError (a place or an id is taken),
    NotFoundError (dataset or folder), SpaceMismatch.
    """
    check(images)
    images = images.in_one_spelling()
    images = images.rows(np.argsort(images.folder_ids, kind="stable"))
    digests = [Sha256(row.tobytes()) for row in images.sha256s]
    first = first_of_each(images.sha256s)
    async with our_errors(), connection.transaction():
        await connection.execute(KEEP_PLANS)
        if not (await lock_rules(connection, space)).active:
            raise SpaceMismatch(f"Space {space} is not the active one, and images are loaded into that one only.")
        await require_folders(connection, dataset, images.folder_ids)
        held: list[Sha256] = await fetch_column(connection, HOLD_KNOWN_BLOBS, [digests])
        unheld = images.rows(np.flatnonzero(first & ~are_in(digests, held)))
        await copy_rows(connection, "blob", len(unheld.ids), lambda part: blob_columns(unheld.rows(part)))
        await copy_rows(connection, "image", len(images.ids), lambda part: image_columns(dataset, images.rows(part)))
        is_new = first & ~are_in(digests, await known_encodings(connection, space, digests))
        await write_vectors(connection, space, dataset, images.rows(np.flatnonzero(is_new)))
        if not is_new.all():
            others = [UUID(bytes=row.tobytes()) for row in images.ids[~is_new]]
            await connection.execute(PLACE_KNOWN, {"space": space, "images": others})


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


async def write_vectors(connection: Connection, space: SpaceId, dataset: DatasetId, images: BulkImages) -> None:
    """What only bytes that were never seen before need."""
    count = len(images.ids)
    await copy_rows(connection, "encoding", count, lambda part: encoding_columns(space, images.rows(part)))
    await copy_rows(
        connection, "image_embedding", count, lambda part: embedding_columns(space, dataset, images.rows(part))
    )


def blob_columns(images: BulkImages) -> list[Column]:
    return [raw("sha256", images.sha256s), integers("size_bytes", images.sizes_bytes, "bigint")]


def image_columns(dataset: DatasetId, images: BulkImages) -> list[Column]:
    count = len(images.ids)
    return [
        raw("id", images.ids),
        constant("dataset_id", dataset.bytes, count),
        integers("folder_id", images.folder_ids, "bigint"),
        ragged("filename", [name.encode() for name in images.filenames]),
        raw("sha256", images.sha256s),
        constant("content_type", images.content_type.encode(), count),
        integers("width", images.widths_px, "integer"),
        integers("height", images.heights_px, "integer"),
        integers("file_size", images.sizes_bytes, "bigint"),
        constant("state", b"embedded" if images.tags is None else b"tagged", count),
        *tag_columns("image_auto_tags", images.tags),
    ]


def encoding_columns(space: SpaceId, images: BulkImages) -> list[Column]:
    count = len(images.ids)
    return [
        constant("space_id", space.to_bytes(4, "big"), count),
        raw("sha256", images.sha256s),
        halfvecs("vector", images.vectors),
        *tag_columns("tags", images.tags),
        *([constant("tagger", images.tagger.encode(), count)] if images.tags is not None else []),
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


def tag_columns(name: str, tags: Sequence[Tags] | None) -> list[Column]:
    """None: the column has its default."""
    return [] if tags is None else [ragged(name, [b"\1" + json.dumps(given).encode() for given in tags])]


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
        raise ConflictError(
            f"Nothing was loaded: {error.diag.message_detail} Leave that image out, or give it another place or id. "
            "If it is a sha256 that exists, somebody uploaded the same bytes just now: load this chunk again."
        ) from error
