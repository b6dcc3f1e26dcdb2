"""New bytes for an image that keeps its id, and with it whatever people said of it.

An image that is found goes on answering with its old bytes until a worker has finished the new ones, which then
exchanges them (spaces/encodings.py). One that no search finds (archived, failed, not processed yet) takes them at once.
"""

from __future__ import annotations

from typing import Final, Literal, TypeAlias

from psycopg.types.json import Jsonb

from pictograph.db.pool import Connection
from pictograph.db.rows import fetch_one
from pictograph.store.images import TAKEN_IMAGE, Place, TakenImage, Upload, place_values
from pictograph.store.locks import lock_images
from pictograph.types import ImageId, empty_tags

WAIT: Final = """
INSERT INTO replacement (image_id, sha256, content_type, width, height, file_size)
VALUES (%(image)s, %(sha256)s, %(content_type)s, %(width)s, %(height)s, %(file_size)s)
ON CONFLICT (image_id) DO UPDATE SET sha256 = excluded.sha256, content_type = excluded.content_type,
    width = excluded.width, height = excluded.height, file_size = excluded.file_size,
    reason = NULL, created_at = now()"""
FORGET: Final = """
WITH gone AS (DELETE FROM replacement WHERE image_id = %(image)s)
DELETE FROM job USING image WHERE job.image_id = %(image)s AND image.id = job.image_id AND job.sha256 <> image.sha256"""
TAKE: Final = """
UPDATE image SET sha256 = %(sha256)s, content_type = %(content_type)s, width = %(width)s, height = %(height)s,
    file_size = %(file_size)s, state = 'received', reason = NULL, image_auto_tags = %(tags)s, archived_at = NULL,
    updated_at = now()
WHERE id = %(image)s"""
TAKE_WAITING: Final = """
WITH waiting AS (DELETE FROM replacement WHERE image_id = %(image)s AND sha256 IS NOT NULL RETURNING *)
UPDATE image SET sha256 = waiting.sha256, content_type = waiting.content_type, width = waiting.width,
    height = waiting.height, file_size = waiting.file_size, updated_at = now()
FROM waiting WHERE image.id = waiting.image_id"""
UNDO: Final = """
WITH unplaced AS (DELETE FROM image_embedding WHERE image_id = %(image)s)
DELETE FROM failure WHERE image_id = %(image)s"""
Outcome: TypeAlias = Literal["same", "archived", "waiting", "taken"]
"""What is to be done: nothing; to restore it; to process its replacement; to process it again."""


async def lock_image_at(connection: Connection, place: Place) -> TakenImage | None:
    """The image at this place, which no other transaction changes until this one ends; None if the place is free."""
    taken = await fetch_one(connection, TakenImage, TAKEN_IMAGE, place_values(place))
    if taken is None or not await lock_images(connection, [taken.id]):
        return None
    return await fetch_one(connection, TakenImage, TAKEN_IMAGE, place_values(place))


async def replace_bytes(connection: Connection, image: TakenImage, upload: Upload) -> Outcome:
    """Gives the image these bytes: now, or when they are ready. The caller has locked it."""
    values = {
        "image": image.id,
        "sha256": upload.sha256,
        "content_type": upload.facts.content_type,
        "width": upload.facts.width,
        "height": upload.facts.height,
        "file_size": upload.size_bytes,
        "tags": Jsonb(empty_tags()),
    }
    if image.sha256 == upload.sha256:
        await connection.execute(FORGET, values)
        return "archived" if image.is_archived else "same"
    if image.is_found:
        await connection.execute(WAIT, values)
        return "waiting"
    await connection.execute(FORGET, values)
    await connection.execute(UNDO, values)
    await connection.execute(TAKE, values)
    return "taken"


async def take_waiting_bytes(connection: Connection, image: ImageId) -> None:
    """The image, which no search finds now, takes at once the bytes that wait for it, if any do."""
    await connection.execute(TAKE_WAITING, {"image": image})
