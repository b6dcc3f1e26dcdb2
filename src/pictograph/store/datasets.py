"""Datasets: named sets of images, each in one organization."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

import psycopg
from uuid_utils.compat import uuid7

from pictograph.db.pool import Connection, Database
from pictograph.db.rows import fetch_all, fetch_column, fetch_one, fetch_value
from pictograph.errors import ConflictError, NotFoundError
from pictograph.store.counts import count_by_state, count_waiting
from pictograph.store.locks import keep_dataset_to_ourselves
from pictograph.store.names import checked_dataset_name, checked_text, one_spelling, storable
from pictograph.store.pages import After, Listed, cursor_after, page_of, question_key, read_after
from pictograph.types import MAX_DESCRIPTION, DatasetId, ImageState, OrganizationId

# Sums of what triggers noted (store/counts.py): no image is counted.
SELECT_DATASET: Final = """
SELECT d.id, d.organization_id, d.name, {description}, d.created_at, d.updated_at,
       n.image_count, n.archived_image_count, n.total_size
FROM ({datasets}) d
CROSS JOIN LATERAL (
    SELECT coalesce(sum(images) FILTER (WHERE NOT archived), 0)::bigint AS image_count,
           coalesce(sum(images) FILTER (WHERE archived), 0)::bigint AS archived_image_count,
           coalesce(sum(bytes), 0)::bigint AS total_size
    FROM image_count WHERE dataset_id = d.id AND folder_id = 0
) n
ORDER BY d.created_at DESC, d.id"""
BY_ID: Final = SELECT_DATASET.format(
    description="d.description, false AS description_is_cut",
    datasets="SELECT * FROM dataset WHERE organization_id = %(organization)s AND id = %(id)s",
)
# A description from before there was a cap must not make every list as large as itself.
LIST: Final = SELECT_DATASET.format(
    description=f"""left(d.description, {MAX_DESCRIPTION}) AS description,
       coalesce(char_length(d.description) > {MAX_DESCRIPTION}, false) AS description_is_cut""",
    datasets="""
    SELECT * FROM dataset
    WHERE organization_id = %(organization)s
      AND (%(after_time)s::timestamptz IS NULL OR created_at < %(after_time)s
           OR (created_at = %(after_time)s AND id > %(after_id)s))
    ORDER BY created_at DESC, id LIMIT %(limit)s OFFSET %(offset)s""",
)
COUNT: Final = "SELECT count(*) FROM dataset WHERE organization_id = %s"
IDS: Final = "SELECT id FROM dataset WHERE organization_id = %s"
ID_BY_NAME: Final = "SELECT id FROM dataset WHERE organization_id = %(organization)s AND name = %(name)s"
ID_BY_ID: Final = "SELECT id FROM dataset WHERE organization_id = %(organization)s AND id = %(id)s"
CREATE: Final = """
INSERT INTO dataset (id, organization_id, name, description)
VALUES (%(id)s, %(organization)s, %(name)s, %(description)s)"""
UPDATE: Final = """
UPDATE dataset
SET name = coalesce(%(name)s, name), description = coalesce(%(description)s, description), updated_at = now()
WHERE id = %(id)s"""
# Images before folders, which they refer to; search rows, jobs and folders follow by themselves.
DELETE_IMAGES: Final = "DELETE FROM image WHERE dataset_id = %s"
DELETE: Final = "DELETE FROM dataset WHERE id = %s"


@dataclass(frozen=True, slots=True)
class Dataset:
    """A named set of images."""

    id: DatasetId
    organization_id: OrganizationId
    name: str
    description: str | None
    description_is_cut: bool
    """True if only the first MAX_DESCRIPTION characters are here."""
    created_at: datetime
    updated_at: datetime
    image_count: int
    archived_image_count: int
    total_size: int
    """Bytes of all files, archived ones included."""


@dataclass(frozen=True, slots=True)
class DeletedDataset:
    """What was deleted with a dataset."""

    id: DatasetId
    name: str
    images_deleted: int


class Datasets:
    """Everything about datasets that needs the database. An organization sees only its own."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def create(self, organization: OrganizationId, name: str, description: str | None = None) -> Dataset:
        """Makes an empty dataset. Raises ConflictError if the name is taken."""
        values = {
            "id": uuid7(),
            "organization": organization,
            "name": checked_dataset_name(name),
            "description": checked_description(description),
        }
        async with self._database.writing() as connection:
            await check_names_no_other(connection, organization, name)
            try:
                await connection.execute(CREATE, values)
            except psycopg.errors.UniqueViolation as error:
                raise name_taken(name) from error
            return await fetch_dataset(connection, organization, str(values["id"]))

    async def get(self, organization: OrganizationId, reference: str) -> Dataset:
        """By id or by name. Raises NotFoundError."""
        async with self._database.connection() as connection:
            return await fetch_dataset(connection, organization, reference)

    async def id_of(self, organization: OrganizationId, reference: str) -> DatasetId:
        """The id alone, without counting images. Raises NotFoundError."""
        async with self._database.connection() as connection:
            return await resolve_dataset(connection, organization, reference)

    async def list(
        self, organization: OrganizationId, *, limit: int, offset: int = 0, cursor: str | None = None
    ) -> Listed[Dataset]:
        """One page, newest first; datasets that come or go meanwhile make the next one neither skip nor repeat.

        Raises ValidationError for a cursor of another question.
        """
        question = question_key("datasets", organization)
        after = read_after(cursor, question) if cursor is not None else None
        values = {
            "organization": organization,
            "limit": limit + 1,  # one more tells whether others follow
            "offset": offset,
            "after_time": after and after.created_at,
            "after_id": after and after.id,
        }
        async with self._database.connection() as connection:
            rows, last = page_of(await fetch_all(connection, Dataset, LIST, values), limit)
            total = await fetch_value(connection, COUNT, [organization])
        return Listed(rows, total, cursor_after(After(last.created_at, last.id), question) if last else None)

    async def update(
        self, organization: OrganizationId, reference: str, *, name: str | None = None, description: str | None = None
    ) -> Dataset:
        """Renames or describes; None leaves as is. Raises ConflictError if the new name is taken."""
        new_name = checked_dataset_name(name) if name is not None else None
        text = checked_description(description)
        async with self._database.writing() as connection:
            dataset = await resolve_dataset(connection, organization, reference)
            if new_name is not None:
                await check_names_no_other(connection, organization, new_name)
            try:
                await connection.execute(UPDATE, {"id": dataset, "name": new_name, "description": text})
            except psycopg.errors.UniqueViolation as error:
                raise name_taken(name or "") from error
            return await fetch_dataset(connection, organization, str(dataset))

    async def delete(self, organization: OrganizationId, reference: str) -> DeletedDataset:
        """The dataset, its images and their search rows. Blobs that nothing else uses are swept later."""

        async def step(connection: Connection) -> DeletedDataset:
            await keep_dataset_to_ourselves(connection, await resolve_dataset(connection, organization, reference))
            dataset = await fetch_dataset(connection, organization, reference)
            images = await connection.execute(DELETE_IMAGES, [dataset.id])
            await connection.execute(DELETE, [dataset.id])
            return DeletedDataset(dataset.id, dataset.name, images.rowcount)

        return await self._database.write(step)

    async def progress(self, dataset: DatasetId) -> dict[ImageState, int]:
        """How many images are in each state; every state is a key."""
        async with self._database.connection() as connection:
            return await count_by_state(connection, dataset)

    async def replacing(self, dataset: DatasetId) -> tuple[int, int]:
        """Images whose new bytes are not ready yet, and those whose new bytes failed: their old ones answer."""
        async with self._database.connection() as connection:
            return await count_waiting(connection, dataset)

    async def count_states(self) -> dict[ImageState, int]:
        """Images of all organizations in each state; every state is a key."""
        async with self._database.connection() as connection:
            return await count_by_state(connection)


def checked_description(description: str | None) -> str | None:
    return None if description is None else checked_text(description, field="description")


def as_uuid(reference: str) -> UUID | None:
    """The id, if the text has the shape 8-4-4-4-12; else it is a name."""
    try:
        return UUID(reference) if len(reference) == 36 else None
    except ValueError:
        return None


async def datasets_of(connection: Connection, organization: UUID) -> list[DatasetId]:
    """All datasets an organization sees."""
    return await fetch_column(connection, IDS, [organization])


async def resolve_dataset(connection: Connection, organization: OrganizationId, reference: str) -> DatasetId:
    """Id of the dataset with this id or name. Raises NotFoundError."""
    values = {"organization": organization, "id": as_uuid(reference), "name": one_spelling(reference)}
    if storable(reference):
        for statement in [ID_BY_ID, ID_BY_NAME] if values["id"] else [ID_BY_NAME]:
            found = await fetch_value(connection, statement, values)
            if found:
                return DatasetId(found)
    raise NotFoundError(f"There is no dataset {reference!r}.")


async def fetch_dataset(connection: Connection, organization: OrganizationId, reference: str) -> Dataset:
    dataset = await resolve_dataset(connection, organization, reference)
    found = await fetch_one(connection, Dataset, BY_ID, {"organization": organization, "id": dataset})
    if found is None:
        raise NotFoundError(f"There is no dataset {reference!r}.")
    return found


async def check_names_no_other(connection: Connection, organization: OrganizationId, name: str) -> None:
    """Raises ConflictError for a name that is the id of a dataset: in a request it means that one."""
    id_ = as_uuid(name)
    if id_ and await fetch_value(connection, ID_BY_ID, {"organization": organization, "id": id_}):
        raise ConflictError(f"{name!r} is the id of a dataset, and names that one. Choose another name.")


def name_taken(name: str) -> ConflictError:
    return ConflictError(f"There is already a dataset named {name!r}. Choose another name, or use that one.")
