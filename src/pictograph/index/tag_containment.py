"""Images by what their JSONB column contains: what the tag index must equal, and how a folder is asked."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Final

from pictograph.db.pool import Connection
from pictograph.db.rows import fetch_all
from pictograph.index.tag_query import Page, TagHit
from pictograph.store.names import storable
from pictograph.types import DatasetId, TagCategory, TagMatch

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


async def find_contained(
    connection: Connection,
    datasets: Sequence[DatasetId],
    filters: Mapping[TagCategory, Sequence[str]],
    page: Page,
    *,
    match: TagMatch,
    folder_path: str | None = None,
) -> list[TagHit]:
    """Images that satisfy every category in `filters`, newest first, then by id. Archived ones are left out.

    A category with no labels matches nothing. folder_path: only this folder, with all below it.
    """
    statement = SELECT
    values: dict[str, object] = {"datasets": list(datasets), "limit": page.limit, "offset": page.offset}
    for category, labels in filters.items():
        documents = containment(category, labels, match)
        names = {f"{category}_{number}": document for number, document in enumerate(documents)}
        statement += f" AND ({' OR '.join(CONTAINS.format(name=name) for name in names) or 'false'})"
        values |= names
    if folder_path is not None:
        statement += IN_FOLDER
        values |= {"folder": folder_path, "below": folder_path.rstrip("/") + "/"}
    if page.after:
        statement += AFTER
        values |= {"after_time": page.after.created_at, "after_id": page.after.id}
    return await fetch_all(connection, TagHit, statement + PAGE, values)


def containment(category: TagCategory, labels: Sequence[str], match: TagMatch) -> list[str]:
    """Documents of which an image must contain one: `{"objects": ["car"]}` each, or one document with all labels."""
    possible = [label for label in labels if storable(label)]
    if match == "all":
        return [json.dumps({category: possible})] if labels and len(possible) == len(labels) else []
    return [json.dumps({category: [label]}) for label in possible]
