"""How many images carry each label: from the counters, or by reading rows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, TypeAlias

from pictograph.db.pool import Connection
from pictograph.db.rows import fetch_column
from pictograph.index.nearest import IN_FOLDER
from pictograph.index.tag_lists import CONTAINS, scope_of
from pictograph.index.tag_query import Group
from pictograph.types import DatasetId

Facets: TypeAlias = dict[str, list[tuple[str, int]]]
"""(label, images that carry it) for each category that has any, the most frequent first, then by name."""

COUNTERS: Final = """
SELECT tag.category, tag.name, sum(n.images)::bigint
FROM (
    SELECT tag_id, images FROM tag_count WHERE dataset = ANY(%(counted)s) AND tag_id <> 0
    UNION ALL
    SELECT tag_id, images FROM tag_delta WHERE dataset = ANY(%(numbers)s) AND tag_id <> 0
) AS n JOIN tag ON tag.id = n.tag_id
WHERE tag.organization_id = ANY(%(organizations)s)
GROUP BY tag.category, tag.name HAVING sum(n.images) > 0"""
IN_ROWS: Final = """
SELECT label.category, label.name, count(*)
FROM image i, labels_of(i.image_auto_tags) AS label
WHERE i.dataset_id = ANY(%(datasets)s) AND i.archived_at IS NULL {conditions}
GROUP BY label.category, label.name"""
FOLDER: Final = f" AND i.folder_id = ANY(ARRAY({IN_FOLDER}))"


async def count_whole(connection: Connection, datasets: Sequence[DatasetId]) -> Facets:
    """Every label of these datasets, from the counters, exact."""
    scope = await scope_of(connection, datasets)
    values = {"counted": scope.counted, "numbers": scope.numbers, "organizations": scope.organizations}
    return sorted_facets(await (await connection.execute(COUNTERS.encode(), values)).fetchall())


async def count_in_rows(
    connection: Connection, datasets: Sequence[DatasetId], folder_path: str | None, groups: Sequence[Group]
) -> Facets:
    """Labels of the images that satisfy every group, in this folder and below."""
    values: dict[str, object] = {"datasets": list(datasets)} | folder_values(folder_path or "/")
    conditions = "" if folder_path in (None, "/") else FOLDER
    for number, group in enumerate(groups):
        names = {f"group_{number}_{place}": document for place, document in enumerate(group.documents)}
        conditions += f" AND ({' OR '.join(CONTAINS.format(name=name) for name in names)})"
        values |= names
    statement = IN_ROWS.format(conditions=conditions)
    return sorted_facets(await (await connection.execute(statement.encode(), values)).fetchall())


async def folders_below(connection: Connection, datasets: Sequence[DatasetId], folder_path: str) -> list[int]:
    """This folder of each dataset, and all below it."""
    return await fetch_column(connection, IN_FOLDER, {"datasets": list(datasets)} | folder_values(folder_path))


def folder_values(folder_path: str) -> dict[str, object]:
    return {"folder": folder_path, "below": folder_path.rstrip("/") + "/"}


def sorted_facets(counts: Iterable[tuple[str, str, int]]) -> Facets:
    """The most frequent first, then by name, in each category."""
    facets: Facets = {}
    for category, name, images in sorted(counts, key=lambda row: (row[0], -row[2], row[1])):
        facets.setdefault(category, []).append((name, images))
    return facets
