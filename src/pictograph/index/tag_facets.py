"""How many images carry each label: from the counters, or by reading rows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Final

from pictograph.db.pool import Connection
from pictograph.index.nearest import IN_FOLDER
from pictograph.index.tag_lists import CONTAINS, scope_of
from pictograph.index.tag_query import Question
from pictograph.types import DatasetId

# first of all the images, which are counted as tag 0
COUNTERS: Final = """
SELECT NULL, NULL, coalesce(sum(images), 0)::bigint
FROM (
    SELECT images FROM tag_count WHERE dataset = ANY(%(numbers)s) AND tag_id = 0
    UNION ALL
    SELECT images FROM tag_delta WHERE dataset = ANY(%(numbers)s) AND tag_id = 0
) AS n
UNION ALL
SELECT tag.category, tag.name, sum(n.images)::bigint
FROM (
    SELECT tag_id, images FROM tag_count WHERE dataset = ANY(%(counted)s) AND tag_id <> 0
    UNION ALL
    SELECT tag_id, images FROM tag_delta WHERE dataset = ANY(%(numbers)s) AND tag_id <> 0
) AS n JOIN tag ON tag.id = n.tag_id
WHERE tag.organization_id = ANY(%(organizations)s)
GROUP BY tag.category, tag.name HAVING sum(n.images) > 0"""
IN_ROWS: Final = """
WITH found AS MATERIALIZED (
    SELECT image_auto_tags FROM image i
    WHERE i.dataset_id = ANY(%(datasets)s) AND i.archived_at IS NULL {conditions}
)
SELECT NULL, NULL, count(*) FROM found
UNION ALL
SELECT label.category, label.name, count(*) FROM found, labels_of(image_auto_tags) AS label
GROUP BY label.category, label.name"""
FOLDER: Final = f" AND i.folder_id = ANY(ARRAY({IN_FOLDER}))"


@dataclass(frozen=True, slots=True)
class Facets:
    """How often each label is carried by some images."""

    images: int = 0
    """Images that were counted, with tags or without; archived ones never are."""
    labels: dict[str, list[tuple[str, int]]] = field(default_factory=dict)
    """(label, images that carry it) for each category that has any, the most frequent first, then by name."""

    @classmethod
    def of(cls, images: int, counts: Iterable[tuple[str, str, int]]) -> Facets:
        """counts: (category, label, images), each pair once, none of them 0."""
        labels: dict[str, list[tuple[str, int]]] = {}
        for category, label, count in sorted(counts):
            labels.setdefault(category, []).append((label, count))
        for rows in labels.values():
            rows.sort(key=itemgetter(1), reverse=True)  # stable: equals stay in the order of their names
        return cls(images, labels)


async def count_whole(connection: Connection, datasets: Sequence[DatasetId]) -> Facets:
    """Every label of these datasets, from the counters, exact."""
    scope = await scope_of(connection, datasets)
    values = {"counted": scope.counted, "numbers": scope.numbers, "organizations": scope.organizations}
    return await fetch_facets(connection, COUNTERS, values)


async def count_in_rows(connection: Connection, question: Question) -> Facets:
    """Labels of the images that are meant."""
    values: dict[str, object] = {"datasets": list(question.datasets)}
    conditions = ""
    if question.folder_path is not None:
        conditions = FOLDER
        values |= {"folder": question.folder_path, "below": question.below}
    for number, group in enumerate(question.groups):
        names = {f"group_{number}_{place}": document for place, document in enumerate(group.documents)}
        conditions += f" AND ({' OR '.join(CONTAINS.format(name=name) for name in names)})"
        values |= names
    return await fetch_facets(connection, IN_ROWS.format(conditions=conditions), values)


async def fetch_facets(connection: Connection, statement: str, values: dict[str, object]) -> Facets:
    """The first row has the images, the others have (category, label, images)."""
    (_, _, images), *counts = await (await connection.execute(statement.encode(), values)).fetchall()
    return Facets.of(images, counts)
