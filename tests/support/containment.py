"""Tag search as it is documented, in one statement over `image_auto_tags`: what every faster way must equal."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from pictograph.db.pool import Connection
from pictograph.db.rows import fetch_all
from pictograph.search.found import Hit as TagHit
from pictograph.store.pages import After
from pictograph.types import DatasetId, TagCategory, TagMatch

SELECT = """
SELECT i.id, i.filename, f.path AS folder_path, i.dataset_id, i.image_auto_tags AS tags, i.created_at
FROM image i JOIN folder f ON f.id = i.folder_id
WHERE i.dataset_id = ANY(%(datasets)s) AND i.archived_at IS NULL"""
CONTAINS = "i.image_auto_tags @> %({name})s::jsonb"
AFTER = " AND (i.created_at, %(after_id)s::uuid) < (%(after_time)s::timestamptz, i.id)"
PAGE = " ORDER BY i.created_at DESC, i.id LIMIT %(limit)s OFFSET %(offset)s"


async def find_by_containment(
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
    statement = SELECT
    values: dict[str, object] = {"datasets": list(datasets), "limit": limit, "offset": offset}
    for category, labels in filters.items():
        names = {f"{category}_{number}": document for number, document in enumerate(documents(category, labels, match))}
        statement += f" AND ({' OR '.join(CONTAINS.format(name=name) for name in names) or 'false'})"
        values |= names
    if folder_path is not None:
        statement += " AND (f.path = %(folder)s OR starts_with(f.path, %(below)s))"
        values |= {"folder": folder_path, "below": folder_path.rstrip("/") + "/"}
    if after:
        statement += AFTER
        values |= {"after_time": after.created_at, "after_id": after.id}
    return await fetch_all(connection, TagHit, statement + PAGE, values)


def documents(category: TagCategory, labels: Sequence[str], match: TagMatch) -> list[str]:
    if match == "all":
        return [json.dumps({category: list(labels)})] if labels else []
    return [json.dumps({category: [label]}) for label in labels]
