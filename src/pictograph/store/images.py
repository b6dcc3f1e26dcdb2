"""Image rows: what is known of each picture, apart from its bytes and its vector."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final
from uuid import UUID, uuid4

import psycopg
from psycopg.types.json import Jsonb
from uuid_utils.compat import uuid7

from pictograph.db.pool import Connection, Database
from pictograph.db.rows import fetch_all, fetch_column, fetch_one, fetch_value
from pictograph.errors import ConflictError, NoBytes, NotFoundError, PictographError
from pictograph.store.counts import WHOLE_DATASET, count_images
from pictograph.store.leftovers import hold_bytes, release_bytes
from pictograph.store.locks import lock_images
from pictograph.store.names import folder_and_ancestors, one_spelling, storable
from pictograph.store.pages import After, Listed, cursor_after, page_of, question_key, read_after
from pictograph.types import DatasetId, ImageId, ImageState, OrganizationId, Sha256, Tags, empty_tags
from pictograph.upload.picture import PictureFacts

COLUMNS: Final = """
i.id, i.dataset_id, f.path AS folder_path, i.filename, i.sha256, i.content_type, i.width, i.height, i.file_size,
b.has_bytes, i.state, i.reason, i.image_auto_tags AS tags, i.created_at, i.updated_at, i.archived_at,
i.taken_at, i.camera, i.sharpness, i.brightness, i.contrast, i.average_color, i.perceptual_hash,
i.facts_version > 0 AS facts_known"""
SELECT: Final = f"""
SELECT {COLUMNS} FROM image i JOIN folder f ON f.id = i.folder_id JOIN dataset d ON d.id = i.dataset_id
JOIN blob b ON b.sha256 = i.sha256
WHERE d.organization_id = %(organization)s"""
BY_ID: Final = SELECT + " AND i.id = %(id)s"
BY_PATH: Final = SELECT + " AND i.dataset_id = %(dataset)s AND f.path = %(folder)s AND i.filename = %(filename)s"
# What an ImageFilter asks for, each part with an index that gives its rows in order.
IN_DATASET: Final = " AND i.dataset_id = %(dataset)s"
IN_FOLDER: Final = " AND i.folder_id = %(folder)s"
NAMED: Final = " AND i.filename = %(filename)s"
IN_STATE: Final = " AND i.state = %(state)s"
SHOWN: Final = " AND i.archived_at IS NULL"
FIRST_PAGE: Final = "{matching} ORDER BY i.created_at DESC, i.id LIMIT %(limit)s OFFSET %(offset)s"
# In two parts, each a range of the index: a bulk load makes thousands of images at one moment, and none is read twice.
NEXT_PAGE: Final = """
SELECT * FROM (
    ({matching} AND i.created_at = %(after_time)s AND i.id > %(after_id)s
     ORDER BY i.id LIMIT %(limit)s + %(offset)s)
    UNION ALL
    ({matching} AND i.created_at < %(after_time)s ORDER BY i.created_at DESC, i.id LIMIT %(limit)s + %(offset)s)
) page
ORDER BY created_at DESC, id LIMIT %(limit)s OFFSET %(offset)s"""
COUNT_NAMED: Final = "SELECT count(*) FROM ({matching}) named"
FOLDER: Final = "SELECT id FROM folder WHERE dataset_id = %s AND path = %s"
MAKE_FOLDERS: Final = """
INSERT INTO folder (dataset_id, path) SELECT %s, unnest(%s::text[]) ON CONFLICT (dataset_id, path) DO NOTHING"""
# Of the bytes that are asked for: an image's own, or those that wait to replace them.
SIZES: Final = """
SELECT image.id, coalesce(r.content_type, image.content_type) AS content_type,
       coalesce(r.file_size, image.file_size) AS size_bytes,
       coalesce(r.width::bigint * r.height, image.width::bigint * image.height) AS pixels, blob.has_bytes
FROM unnest(%s::uuid[], %b::bytea[]) AS wanted (id, sha256)
JOIN image ON image.id = wanted.id JOIN blob ON blob.sha256 = wanted.sha256
LEFT JOIN replacement r ON r.image_id = image.id AND r.sha256 = wanted.sha256"""
KNOWN_BLOBS: Final = "SELECT sha256 FROM blob WHERE sha256 = ANY(%b)"
INSERT: Final = """
INSERT INTO image (id, dataset_id, folder_id, filename, sha256, content_type, width, height, file_size, image_auto_tags)
VALUES (%(id)s, %(dataset)s, %(folder)s, %(filename)s, %(sha256)s, %(content_type)s, %(width)s, %(height)s,
        %(file_size)s, %(tags)s)
ON CONFLICT (folder_id, filename) DO NOTHING"""
TAKEN: Final = """
SELECT i.archived_at IS NOT NULL FROM image i JOIN folder f ON f.id = i.folder_id
WHERE f.dataset_id = %s AND f.path = %s AND i.filename = %s"""
# One look-up for each place, however many images there are.
WHICH_EXIST: Final = """
SELECT asked.position - 1 AS position, i.id, f.path AS folder_path, i.filename, i.sha256, b.has_bytes, i.file_size,
       i.state, i.archived_at IS NOT NULL AS is_archived, r.sha256 AS next_sha256, r.file_size AS next_file_size
FROM unnest(%(folders)s::text[], %(filenames)s::text[]) WITH ORDINALITY AS asked (folder, filename, position)
JOIN folder f ON f.dataset_id = %(dataset)s AND f.path = asked.folder
JOIN image i ON i.folder_id = f.id AND i.filename = asked.filename
JOIN blob b ON b.sha256 = i.sha256
LEFT JOIN replacement r ON r.image_id = i.id AND r.sha256 IS NOT NULL
ORDER BY asked.position"""
REPLACEMENT: Final = "SELECT sha256, reason, created_at FROM replacement WHERE image_id = %s"
TAKEN_IMAGE: Final = """
SELECT i.id, i.sha256, i.state, i.archived_at IS NOT NULL AS is_archived
FROM image i JOIN folder f ON f.id = i.folder_id
WHERE f.dataset_id = %s AND f.path = %s AND i.filename = %s"""
ARCHIVE: Final = "UPDATE image SET archived_at = now(), updated_at = now() WHERE id = %s AND archived_at IS NULL"
RESTORE: Final = """
UPDATE image SET archived_at = NULL, updated_at = now(), state = 'received', reason = NULL
WHERE id = %s AND archived_at IS NOT NULL"""
DELETE: Final = "DELETE FROM image WHERE id = %s"
FORGIVE: Final = """
UPDATE image SET state = 'received', reason = NULL, updated_at = now()
WHERE id = ANY(%s) AND state = 'failed' AND archived_at IS NULL RETURNING id"""
FAILED: Final = "SELECT id FROM image WHERE dataset_id = %s AND state = 'failed' AND archived_at IS NULL"
TAGGING: Final = """
SELECT e.tagger, e.tag_scores AS scores FROM encoding e JOIN space s ON s.id = e.space_id AND s.active
WHERE e.sha256 = %s AND e.tagger IS NOT NULL"""


@dataclass(frozen=True, slots=True)
class Place:
    """Where an image is to be: a dataset, a canonical folder path in it, and a name."""

    dataset_id: DatasetId
    folder_path: str
    filename: str


@dataclass(frozen=True, slots=True)
class PictureSize:
    """What is known of a picture before it is decoded again."""

    id: ImageId
    content_type: str
    size_bytes: int
    pixels: int
    has_bytes: bool


@dataclass(frozen=True, slots=True)
class Upload:
    """A checked file on its way to becoming an image."""

    place: Place
    sha256: Sha256
    size_bytes: int
    facts: PictureFacts
    id: ImageId = field(default_factory=lambda: ImageId(uuid7()))
    """The image that it becomes: known before it is one, so that it can be looked up when the answer is lost."""


@dataclass(frozen=True, slots=True)
class Image:
    """One row."""

    id: ImageId
    dataset_id: DatasetId
    folder_path: str
    filename: str
    sha256: Sha256
    """Of its bytes; if it has none, what stands in its place (bulk/addresses.py)."""
    content_type: str
    width: int
    height: int
    file_size: int
    has_bytes: bool
    """False for one that was imported as a vector."""
    state: ImageState
    reason: str | None
    tags: Tags
    created_at: datetime
    updated_at: datetime
    archived_at: datetime | None
    taken_at: datetime | None
    """This and what follows: store/facts.py."""
    camera: str | None
    sharpness: float | None
    brightness: float | None
    contrast: float | None
    average_color: int | None
    perceptual_hash: int | None
    facts_known: bool
    """False until somebody has looked at the picture."""


@dataclass(frozen=True, slots=True)
class Tagging:
    """What the tags of an image were decided by."""

    tagger: str
    """Taxonomy and method: `taxonomy-1+offline-2`."""
    scores: dict[str, float]
    """`{"objects/car": 0.93}`."""


@dataclass(frozen=True, slots=True)
class KnownImage:
    """The image at one of the places in the question."""

    position: int
    """Of the place in the question, from 0."""
    id: ImageId
    folder_path: str
    filename: str
    sha256: Sha256
    has_bytes: bool
    file_size: int
    state: ImageState
    is_archived: bool
    next_sha256: Sha256 | None
    """Of the bytes that replace these as soon as a worker has finished them."""
    next_file_size: int | None


@dataclass(frozen=True, slots=True)
class ImageFilter:
    """Which images of a dataset to list; None does not filter."""

    folder_path: str | None = None
    """Exactly this folder, not what is below it."""
    filename: str | None = None
    state: ImageState | None = None
    include_archived: bool = False


@dataclass(frozen=True, slots=True)
class TakenImage:
    """The image that has a place."""

    id: ImageId
    sha256: Sha256
    state: str
    is_archived: bool

    @property
    def is_found(self) -> bool:
        """Whether searches answer with it."""
        return not self.is_archived and self.state in (ImageState.EMBEDDED, ImageState.TAGGED)


@dataclass(frozen=True, slots=True)
class Replacement:
    """Bytes that are to replace those of an image, or that failed to."""

    sha256: Sha256 | None
    """None once they failed."""
    reason: str | None
    created_at: datetime


NOWHERE: Final = Place(DatasetId(UUID(int=0)), "", "")
"""No image is there: every path begins with a slash."""


class Images:
    """Everything about image rows that needs the database. An organization sees only its own."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def get(self, organization: OrganizationId, image: ImageId) -> Image:
        """Archived ones too. Raises NotFoundError."""
        async with self._database.connection() as connection:
            return await fetch_image(connection, organization, image)

    async def find(self, organization: OrganizationId, place: Place) -> Image:
        """The image at this place. Raises NotFoundError."""
        values = {
            "organization": organization,
            "dataset": place.dataset_id,
            "folder": place.folder_path,
            "filename": place.filename,
        }
        async with self._database.connection() as connection:
            found = await fetch_one(connection, Image, BY_PATH, values)
        if found is None:
            raise NotFoundError(
                f"There is no image {place.filename!r} in folder {place.folder_path!r} of this dataset."
            )
        return found

    async def list(
        self,
        organization: OrganizationId,
        dataset: DatasetId,
        wanted: ImageFilter,
        *,
        limit: int,
        offset: int = 0,
        cursor: str | None = None,
    ) -> Listed[Image]:
        """One page, newest first; images that come or go meanwhile make the next one neither skip nor repeat.

        offset: rows to pass over, from the cursor if there is one; not stable while the list changes.
        Raises ValidationError for a cursor of another question.
        """
        if wanted.filename is not None:
            wanted = replace(wanted, filename=one_spelling(wanted.filename))
        question = question_key("images", organization, dataset, wanted)
        after = read_after(cursor, question) if cursor is not None else None
        if wanted.filename is not None and not storable(wanted.filename):
            return Listed([], 0, None)
        async with self._database.connection() as connection:
            folder = None
            if wanted.folder_path is not None:
                folder = await fetch_value(connection, FOLDER, [dataset, wanted.folder_path])
                if folder is None:
                    return Listed([], 0, None)
            values = {
                "organization": organization,
                "dataset": dataset,
                "folder": folder,
                "filename": wanted.filename,
                "state": wanted.state,
                "limit": limit + 1,  # one more tells whether others follow
                "offset": offset,
                "after_time": after and after.created_at,
                "after_id": after and after.id,
            }
            matching = matching_images(wanted)
            statement = (NEXT_PAGE if after else FIRST_PAGE).format(matching=matching)
            rows, last = page_of(await fetch_all(connection, Image, statement, values), limit)
            if wanted.filename is not None:
                total = await fetch_value(connection, COUNT_NAMED.format(matching=matching), values)
            else:
                total = await count_images(
                    connection, dataset, folder or WHOLE_DATASET, state=wanted.state, archived=wanted.include_archived
                )
        return Listed(rows, total, cursor_after(After(last.created_at, last.id), question) if last else None)

    async def which_exist(self, places: Sequence[Place | None]) -> Sequence[KnownImage]:
        """What there is at these places of one dataset, archived images too; in their order, each with its position.

        None: a place that no image can have.
        """
        asked = [place or NOWHERE for place in places]
        values = {
            "dataset": next((place.dataset_id for place in places if place), None),
            "folders": [place.folder_path for place in asked],
            "filenames": [place.filename for place in asked],
        }
        async with self._database.connection("generic") as connection:
            return await fetch_all(connection, KnownImage, WHICH_EXIST, values)

    async def replacement(self, image: ImageId) -> Replacement | None:
        """Bytes that are to replace those of the image, or that last failed to."""
        async with self._database.connection() as connection:
            return await fetch_one(connection, Replacement, REPLACEMENT, [image])

    async def tagging(self, image: Image) -> Tagging | None:
        """What its tags were decided by; None if it has not been tagged."""
        async with self._database.connection() as connection:
            return await fetch_one(connection, Tagging, TAGGING, [image.sha256])

    async def require_free(self, place: Place) -> None:
        """Raises ConflictError if the place is taken."""
        async with self._database.connection() as connection:
            archived = await fetch_value(connection, TAKEN, place_values(place))
        if archived is not None:
            raise place_taken(place, archived=archived)

    @asynccontextmanager
    async def holding(self, sha256: Sha256, size_bytes: int) -> AsyncIterator[None]:
        """Keeps the sweep away from these bytes inside the block, which writes them and then refers to them.

        Whoever dies inside it holds them for as long as the sweep is patient.
        """
        hold = uuid4()
        async with self._database.connection() as connection:
            await hold_bytes(connection, hold, sha256, size_bytes)
        try:
            yield
        finally:
            with contextlib.suppress(PictographError):  # the database is away: the hold ends by its age
                async with self._database.connection() as connection:
                    await release_bytes(connection, hold)


def matching_images(wanted: ImageFilter) -> str:
    """The statement that finds them, without order."""
    parts = (
        (True, IN_DATASET),
        (wanted.folder_path is not None, IN_FOLDER),
        (wanted.filename is not None, NAMED),
        (wanted.state is not None, IN_STATE),
        (not wanted.include_archived, SHOWN),
    )
    return SELECT + "".join(part for is_asked, part in parts if is_asked)


def require_bytes(image: Image) -> Image:
    """The image. Raises NoBytes for one that was imported as a vector: there is nothing to show."""
    if not image.has_bytes:
        raise NoBytes(
            f"Image {image.id} was imported as a vector: its picture is not here. Upload a file of its folder and name "
            "with `replace` to give it one."
        )
    return image


async def fetch_image(connection: Connection, organization: OrganizationId, image: ImageId) -> Image:
    """The image, archived or not. Raises NotFoundError."""
    found = await fetch_one(connection, Image, BY_ID, {"organization": organization, "id": image})
    if found is None:
        raise NotFoundError(f"There is no image {image}.")
    return found


async def picture_sizes(connection: Connection, wanted: Mapping[ImageId, Sha256]) -> dict[ImageId, PictureSize]:
    """What the rows say of how large these pictures are; those that are gone are left out.

    wanted: which bytes of each image, its own or those that are to replace them.
    """
    found = await fetch_all(connection, PictureSize, SIZES, [list(wanted), list(wanted.values())])
    return {size.id: size for size in found}


async def forgotten_blobs(connection: Connection, sha256s: Sequence[Sha256]) -> set[Sha256]:
    """Which of these have no blob any more: they were deleted for good meanwhile."""
    known = set(await fetch_column(connection, KNOWN_BLOBS, [list(sha256s)]))
    return set(sha256s) - known


async def insert_image(connection: Connection, upload: Upload) -> ImageId:
    """The id of the new image at this place.

    Raises ConflictError if another call took the place, NotFoundError if the dataset is gone.
    """
    values = {
        "id": upload.id,
        "dataset": upload.place.dataset_id,
        "folder": await ensure_folder(connection, upload.place),
        "filename": upload.place.filename,
        "sha256": upload.sha256,
        "content_type": upload.facts.content_type,
        "width": upload.facts.width,
        "height": upload.facts.height,
        "file_size": upload.size_bytes,
        "tags": Jsonb(empty_tags()),
    }
    try:
        inserted = (await connection.execute(INSERT, values)).rowcount
    except psycopg.errors.ForeignKeyViolation as error:
        raise dataset_gone() from error
    if not inserted:
        archived = await fetch_value(connection, TAKEN, place_values(upload.place))
        raise place_taken(upload.place, archived=bool(archived))
    return upload.id


async def ensure_folder(connection: Connection, place: Place) -> int:
    """Id of the folder, made with its ancestors where missing."""
    key = [place.dataset_id, place.folder_path]
    folder = await fetch_value(connection, FOLDER, key)
    if folder is None:
        try:
            await connection.execute(MAKE_FOLDERS, [place.dataset_id, folder_and_ancestors(place.folder_path)])
        except psycopg.errors.ForeignKeyViolation as error:
            raise dataset_gone() from error
        folder = await fetch_value(connection, FOLDER, key)
    if folder is None:
        raise dataset_gone()
    return int(folder)


async def archive_image(connection: Connection, image: ImageId) -> bool:
    """Hides the image; False if it was hidden already."""
    return (await connection.execute(ARCHIVE, [image])).rowcount == 1


async def restore_image(connection: Connection, image: ImageId) -> bool:
    """Shows the image again, as one that is still to be processed; False if it was not hidden."""
    return (await connection.execute(RESTORE, [image])).rowcount == 1


async def forgive_failed_images(connection: Connection, dataset: DatasetId) -> Sequence[ImageId]:
    """Shows the failed images of the dataset as ones that are still to be processed; which they are."""
    failed = await lock_images(connection, await fetch_column(connection, FAILED, [dataset]))
    return await fetch_column(connection, FORGIVE, [list(failed)])


async def delete_image(connection: Connection, image: ImageId) -> None:
    """The row, and with it its job and its search rows. The bytes are swept later."""
    await connection.execute(DELETE, [image])


def place_values(place: Place) -> list[object]:
    return [place.dataset_id, place.folder_path, place.filename]


def dataset_gone() -> NotFoundError:
    return NotFoundError("The dataset was deleted during the upload.")


def place_taken(place: Place, *, archived: bool) -> ConflictError:
    what, way_out = "an image", "delete that image first"
    if archived:  # no list shows it unless asked, and deleting it once more changes nothing
        what, way_out = "an archived image", "restore that one or delete it for good (`permanent`)"
    return ConflictError(
        f"There is already {what} {place.filename!r} in folder {place.folder_path!r} of this dataset. "
        f"Use another filename or folder, {way_out}, or replace its bytes (`replace`)."
    )
