"""Images by tag: JSONB containment over `image_auto_tags`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from pictograph.db.pool import Connection
from pictograph.db.rows import fetch_all, fetch_column
from pictograph.store.names import storable
from pictograph.types import DatasetId, ImageId, TagCategory, TagMatch, Tags

# One OR of containments per category, AND between them. Not `@> ANY (array)`: a GIN index cannot answer that.
SELECT: Final = """
SELECT i.id, i.filename, f.path AS folder_path, i.dataset_id, i.image_auto_tags AS tags, i.created_at
FROM image i JOIN folder f ON f.id = i.folder_id
WHERE i.dataset_id = ANY(%(datasets)s) AND i.archived_at IS NULL"""
IN_FOLDER: Final = """
  AND i.folder_id = ANY(ARRAY(
    SELECT id FROM folder
    WHERE dataset_id = ANY(%(datasets)s) AND (path = %(folder)s OR starts_with(path, %(below)s))))"""
CONTAINS: Final = "i.image_auto_tags @> %({name})s::jsonb"
# created_at falls and id rises, which one row comparison says with the two sides crossed over
AFTER: Final = " AND (i.created_at, %(after_id)s::uuid) < (%(after_time)s::timestamptz, i.id)"
PAGE: Final = " ORDER BY i.created_at DESC, i.id LIMIT %(limit)s OFFSET %(offset)s"
DATASETS: Final = "SELECT id FROM dataset WHERE organization_id = %s"


@dataclass(frozen=True, slots=True)
class TagHit:
    """One found image."""

    id: ImageId
    filename: str
    folder_path: str
    dataset_id: DatasetId
    tags: Tags
    created_at: datetime


@dataclass(frozen=True, slots=True)
class After:
    """The last row of the page before: the next page begins behind it, whatever was added meanwhile."""

    created_at: datetime
    id: ImageId


async def datasets_of(connection: Connection, organization: UUID) -> list[DatasetId]:
    """All datasets an organization sees."""
    return await fetch_column(connection, DATASETS, [organization])


async def find_by_tags(
    connection: Connection,
    datasets: Sequence[DatasetId],
    filters: Mapping[TagCategory, Sequence[str]],
    *,
    match: TagMatch,
    limit: int,
    offset: int = 0,
    after: After | None = None,
    folder_path: str | None = None,
) -> list[TagHit]:
    """Images that satisfy every category in `filters`, newest first, then by id. Archived ones are left out.

    A category with no labels matches nothing. folder_path: only this folder, with all below it.
    """
    statement = SELECT
    values: dict[str, object] = {"datasets": list(datasets), "limit": limit, "offset": offset}
    for category, labels in filters.items():
        documents = containment(category, labels, match)
        names = {f"{category}_{number}": document for number, document in enumerate(documents)}
        statement += f" AND ({' OR '.join(CONTAINS.format(name=name) for name in names) or 'false'})"
        values |= names
    if folder_path is not None:
        statement += IN_FOLDER
        values |= {"folder": folder_path, "below": folder_path.rstrip("/") + "/"}
    if after:
        statement += AFTER
        values |= {"after_time": after.created_at, "after_id": after.id}
    return await fetch_all(connection, TagHit, statement + PAGE, values)


def containment(category: TagCategory, labels: Sequence[str], match: TagMatch) -> list[str]:
    """Documents of which an image must contain one: `{"objects": ["car"]}` each, or one document with all labels."""
    possible = [label for label in labels if storable(label)]
    if match == "all":
        return [json.dumps({category: possible})] if labels and len(possible) == len(labels) else []
    return [json.dumps({category: [label]}) for label in possible]
