"""Collections: sets of images by name, across the datasets of an organization.

An image is in it until it is taken out or deleted for good; while it is archived, no list and no count has it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

import psycopg
from uuid_utils.compat import uuid7

from pictograph.db.pool import Connection, Database
from pictograph.db.rows import fetch_all, fetch_column, fetch_one, fetch_value
from pictograph.errors import ConflictError, NotFoundError
from pictograph.store.datasets import as_uuid
from pictograph.store.images import COLUMNS as IMAGE_COLUMNS
from pictograph.store.images import Image
from pictograph.store.locks import lock_images
from pictograph.store.names import checked_segment, one_spelling, storable
from pictograph.store.pages import After, Listed, cursor_after, page_of, question_key, read_after
from pictograph.types import ImageId, OrganizationId

SELECT: Final = """
SELECT c.id, c.name, c.created_at, c.updated_at,
       (SELECT count(*) FROM collection_image m JOIN image i ON i.id = m.image_id AND i.archived_at IS NULL
        WHERE m.collection_id = c.id) AS image_count
FROM ({collections}) c ORDER BY c.created_at DESC, c.id"""
BY_ID: Final = SELECT.format(collections="SELECT * FROM collection WHERE id = %s")
PAGE: Final = SELECT.format(
    collections="""
    SELECT * FROM collection
    WHERE organization_id = %(organization)s
      AND (%(after_time)s::timestamptz IS NULL OR created_at < %(after_time)s
           OR (created_at = %(after_time)s AND id > %(after_id)s))
    ORDER BY created_at DESC, id LIMIT %(limit)s"""
)
COUNT: Final = "SELECT count(*) FROM collection WHERE organization_id = %s"
ID_BY_ID: Final = "SELECT id FROM collection WHERE organization_id = %(organization)s AND id = %(id)s"
ID_BY_NAME: Final = "SELECT id FROM collection WHERE organization_id = %(organization)s AND name = %(name)s"
VERSION: Final = "SELECT version FROM collection WHERE id = %s"
IDS: Final = """
SELECT coalesce(string_agg(uuid_send(image_id), ''), '') FROM collection_image WHERE collection_id = %s"""
CREATE: Final = "INSERT INTO collection (id, organization_id, name) VALUES (%s, %s, %s)"
RENAME: Final = "UPDATE collection SET name = %s, updated_at = now() WHERE id = %s"
DELETE: Final = "DELETE FROM collection WHERE id = %s"
# Whoever changes its images waits for who does, and for its deletion.
LOCK: Final = "SELECT id FROM collection WHERE id = %s FOR NO KEY UPDATE"
CHANGED: Final = "UPDATE collection SET version = gen_random_uuid(), updated_at = now() WHERE id = %s"
OWN: Final = """
SELECT i.id FROM image i JOIN dataset d ON d.id = i.dataset_id
WHERE i.id = ANY(%s) AND d.organization_id = %s"""
ADD: Final = """
INSERT INTO collection_image (collection_id, image_id) SELECT %s, unnest(%s::uuid[]) ON CONFLICT DO NOTHING"""
REMOVE: Final = "DELETE FROM collection_image WHERE collection_id = %s AND image_id = ANY(%s)"
COUNT_IMAGES: Final = """
SELECT count(*) FROM collection_image m JOIN image i ON i.id = m.image_id AND i.archived_at IS NULL
WHERE m.collection_id = %s"""
IMAGES: Final = f"""
SELECT {IMAGE_COLUMNS}, m.added_at FROM collection_image m
JOIN image i ON i.id = m.image_id AND i.archived_at IS NULL
JOIN folder f ON f.id = i.folder_id JOIN blob b ON b.sha256 = i.sha256
WHERE m.collection_id = %(collection)s
  AND (%(after_time)s::timestamptz IS NULL OR m.added_at < %(after_time)s
       OR (m.added_at = %(after_time)s AND m.image_id > %(after_id)s))
ORDER BY m.added_at DESC, m.image_id LIMIT %(limit)s"""
NAMED_IN_ERRORS: Final = 5


@dataclass(frozen=True, slots=True)
class Collection:
    """A named set of images."""

    id: UUID
    name: str
    created_at: datetime
    updated_at: datetime
    """When it was renamed, or its images last changed."""
    image_count: int
    """Archived ones not counted."""


@dataclass(frozen=True, slots=True)
class Member(Image):
    """An image of a collection."""

    added_at: datetime


class Collections:
    """Everything about collections that needs the database. An organization sees only its own."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def create(self, organization: OrganizationId, name: str) -> Collection:
        """Makes an empty one. Raises ConflictError if the name is taken, or is the id of one."""
        new, called = uuid7(), checked_name(name)
        async with self._database.writing() as connection:
            await check_is_no_id(connection, organization, called)
            try:
                await connection.execute(CREATE, [new, organization, called])
            except psycopg.errors.UniqueViolation as error:
                raise name_taken(called) from error
            return await fetch_collection(connection, new)

    async def get(self, organization: OrganizationId, reference: str) -> Collection:
        """By name or id. Raises NotFoundError."""
        async with self._database.connection() as connection:
            return await fetch_collection(connection, await resolve_collection(connection, organization, reference))

    async def list(self, organization: OrganizationId, *, limit: int, cursor: str | None = None) -> Listed[Collection]:
        """One page, newest first. Raises ValidationError for a cursor of another question."""
        question = question_key("collections", organization)
        after = read_after(cursor, question) if cursor is not None else None
        values = {"organization": organization, **page_values(after, limit)}
        async with self._database.connection() as connection:
            rows, last = page_of(await fetch_all(connection, Collection, PAGE, values), limit)
            total = await fetch_value(connection, COUNT, [organization])
        return Listed(rows, total, cursor_after(After(last.created_at, last.id), question) if last else None)

    async def rename(self, organization: OrganizationId, reference: str, new_name: str) -> Collection:
        """Gives it another name. Raises NotFoundError, ConflictError if the name is taken."""
        called = checked_name(new_name)
        async with self._database.writing() as connection:
            collection = await resolve_collection(connection, organization, reference)
            await check_is_no_id(connection, organization, called)
            try:
                await connection.execute(RENAME, [called, collection])
            except psycopg.errors.UniqueViolation as error:
                raise name_taken(called) from error
            return await fetch_collection(connection, collection)

    async def delete(self, organization: OrganizationId, reference: str) -> Collection:
        """Removes the collection, not its images, and returns what it was. Raises NotFoundError."""
        async with self._database.writing() as connection:
            collection = await resolve_collection(connection, organization, reference)
            was = await fetch_collection(connection, collection)
            await connection.execute(DELETE, [collection])
            return was

    async def add(self, organization: OrganizationId, reference: str, images: Sequence[ImageId]) -> int:
        """How many of the images were not in it. Raises NotFoundError, with nothing added, if one does not exist."""

        async def step(connection: Connection) -> int:
            collection = await resolve_collection(connection, organization, reference)
            own = set(await fetch_column(connection, OWN, [list(images), organization]))
            there = [image for image in await lock_images(connection, list(images)) if image in own]
            require_all(images, there)
            await lock_collection(connection, collection, reference)
            added = (await connection.execute(ADD, [collection, there])).rowcount
            if added:
                await connection.execute(CHANGED, [collection])
            return added

        return await self._database.write(step)

    async def remove(self, organization: OrganizationId, reference: str, images: Sequence[ImageId]) -> int:
        """How many of the images were in it. Raises NotFoundError for the collection; images need not exist."""

        async def step(connection: Connection) -> int:
            collection = await resolve_collection(connection, organization, reference)
            await lock_collection(connection, collection, reference)
            removed = (await connection.execute(REMOVE, [collection, list(images)])).rowcount
            if removed:
                await connection.execute(CHANGED, [collection])
            return removed

        return await self._database.write(step)

    async def images(
        self, organization: OrganizationId, reference: str, *, limit: int, cursor: str | None = None
    ) -> Listed[Member]:
        """One page of its images, the last added first. Raises NotFoundError, ValidationError for a wrong cursor."""
        async with self._database.connection() as connection:
            collection = await resolve_collection(connection, organization, reference)
            question = question_key("images of a collection", collection)
            after = read_after(cursor, question) if cursor is not None else None
            values = {"collection": collection, **page_values(after, limit)}
            rows, last = page_of(await fetch_all(connection, Member, IMAGES, values), limit)
            total = await fetch_value(connection, COUNT_IMAGES, [collection])
        return Listed(rows, total, cursor_after(After(last.added_at, last.id), question) if last else None)


async def find_version(connection: Connection, organization: OrganizationId, reference: str) -> tuple[UUID, UUID]:
    """Id and version of the collection with this id or name. Raises NotFoundError."""
    collection = await resolve_collection(connection, organization, reference)
    version: UUID | None = await fetch_value(connection, VERSION, [collection])
    if version is None:
        raise no_collection(reference)
    return collection, version


async def ids_of_members(connection: Connection, collection: UUID) -> bytes:
    """The ids of its images, archived ones too: 16 bytes each, in no promised order."""
    return bytes(await fetch_value(connection, IDS, [collection]))


async def resolve_collection(connection: Connection, organization: OrganizationId, reference: str) -> UUID:
    """Id of the collection with this id or name. Raises NotFoundError."""
    values = {"organization": organization, "id": as_uuid(reference), "name": one_spelling(reference)}
    if storable(reference):
        for statement in [ID_BY_ID, ID_BY_NAME] if values["id"] else [ID_BY_NAME]:
            found: UUID | None = await fetch_value(connection, statement, values)
            if found:
                return found
    raise no_collection(reference)


async def fetch_collection(connection: Connection, collection: UUID) -> Collection:
    found = await fetch_one(connection, Collection, BY_ID, [collection])
    if found is None:
        raise no_collection(str(collection))
    return found


async def lock_collection(connection: Connection, collection: UUID, reference: str) -> None:
    """Raises NotFoundError if it was deleted meanwhile."""
    if await fetch_value(connection, LOCK, [collection]) is None:
        raise no_collection(reference)


async def check_is_no_id(connection: Connection, organization: OrganizationId, name: str) -> None:
    """Raises ConflictError for a name that is the id of a collection: in a request it means that one."""
    id_ = as_uuid(name)
    if id_ and await fetch_value(connection, ID_BY_ID, {"organization": organization, "id": id_}):
        raise ConflictError(f"{name!r} is the id of a collection, and names that one. Choose another name.")


def require_all(asked: Sequence[ImageId], there: Sequence[ImageId]) -> None:
    """Raises NotFoundError that names the first few that are missing."""
    missing = list(dict.fromkeys(image for image in asked if image not in set(there)))
    if missing:
        named = ", ".join(map(str, missing[:NAMED_IN_ERRORS]))
        more = f" and {len(missing) - NAMED_IN_ERRORS} more" if len(missing) > NAMED_IN_ERRORS else ""
        raise NotFoundError(f"There is no image {named}{more}; nothing was added.")


def page_values(after: After | None, limit: int) -> dict[str, object]:
    """limit: one more is fetched, which tells whether others follow."""
    return {"limit": limit + 1, "after_time": after and after.created_at, "after_id": after and after.id}


def checked_name(name: str) -> str:
    return checked_segment(name, field="name", what="A collection's name")


def no_collection(reference: str) -> NotFoundError:
    return NotFoundError(f"There is no collection {reference!r}.")


def name_taken(name: str) -> ConflictError:
    return ConflictError(f"There is already a collection named {name!r}. Choose another name, or use that one.")
