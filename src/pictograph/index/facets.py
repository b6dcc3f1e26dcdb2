"""Which tags the images of a scope carry, and how often."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from pictograph.db.pool import Connection
from pictograph.index.nearest import IN_FOLDER
from pictograph.types import TAG_CATEGORIES, DatasetId, TagCategory

# Reads every image of the scope: its cost grows with their number. `TagIndex.facet_counts` gives the same counts of
# labels from counters and from memory; this gives way to it once that counts the images of a folder too.
COUNT: Final = """
WITH scope AS MATERIALIZED (
    SELECT image_auto_tags FROM image
    WHERE dataset_id = ANY(%(datasets)s) AND archived_at IS NULL{in_folder}
)
SELECT NULL AS category, NULL AS label, count(*) AS images FROM scope
UNION ALL
(SELECT of.category, given.label, count(*) AS images
 FROM scope, jsonb_each(image_auto_tags) AS of (category, labels), jsonb_array_elements_text(of.labels) AS given (label)
 GROUP BY of.category, given.label
 ORDER BY images DESC, given.label COLLATE "C")"""
COUNT_ALL: Final = COUNT.format(in_folder="")
COUNT_FOLDER: Final = COUNT.format(in_folder=f" AND folder_id = ANY(ARRAY({IN_FOLDER}))")


@dataclass(frozen=True, slots=True)
class TagCounts:
    """How often each tag is given."""

    images: int = 0
    """Images that were counted, with tags or without."""
    labels: dict[TagCategory, list[tuple[str, int]]] = field(
        default_factory=lambda: {category: [] for category in TAG_CATEGORIES}
    )
    """(label, images that carry it) for each category, the most frequent first, then by name."""


async def count_tags(connection: Connection, datasets: Sequence[DatasetId], folder_path: str = "/") -> TagCounts:
    """Counts over the images of these datasets, archived ones left out.

    folder_path: only this folder of each dataset, with everything below it.
    """
    values = {"datasets": list(datasets), "folder": folder_path, "below": folder_path.rstrip("/") + "/"}
    statement = COUNT_ALL if folder_path == "/" else COUNT_FOLDER
    (_, _, images), *rows = await (await connection.execute(statement.encode(), values)).fetchall()
    counts = TagCounts(images)
    for category, label, count in rows:
        counts.labels[category].append((label, count))
    return counts
