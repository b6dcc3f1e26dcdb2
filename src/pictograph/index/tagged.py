"""Nearest neighbours among the images that carry some tags: exact, by whichever of two orders compares less.

Few images carry them: those are found first, and only their vectors are compared. Many do: all vectors are compared,
and tags are looked at from the best image down until there are enough rows. Measured: docs/search.md.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from pgvector import HalfVector

from pictograph.db.pool import Connection
from pictograph.db.rows import fetch_all, fetch_column
from pictograph.index.candidates import ID_BYTES, uuid_array
from pictograph.index.nearest import BEHIND, IN_FOLDER, SIMILARITY, Neighbour, Scope, place_behind
from pictograph.index.scopes import place_of
from pictograph.index.tag_containment import containment
from pictograph.store.pages import Beyond
from pictograph.types import ImageId, TagCategory, TagMatch, Tags

StoredVector: TypeAlias = HalfVector
"""float16 (1152,), unit length, as the tables hold it."""

FEW: Final = 1000
FEW_SHARE: Final = 25
"""Tags are rare if at most this many images, or one in so many of the scope, carry them."""

CARRIES: Final = "i.image_auto_tags @> %({name})s::jsonb"
CARRYING: Final = f"""
SELECT i.id FROM image i
WHERE i.dataset_id = ANY(%(datasets)s) AND i.folder_id = ANY(ARRAY({IN_FOLDER})) AND i.archived_at IS NULL
  AND {{carries}}
LIMIT %(most)s"""
DISTANCE: Final = "vector <=> %(vector)s AS distance"
ROWS: Final = """
SELECT i.id, i.filename, f.path AS folder_path, i.dataset_id, i.image_auto_tags AS tags, nearest.similarity,
       nearest.distance
FROM nearest JOIN image i ON i.id = nearest.image_id JOIN folder f ON f.id = i.folder_id
ORDER BY nearest.distance, i.id"""
AMONG_FROM: Final = f"""
WITH nearest AS MATERIALIZED (
    SELECT image_id, distance, {SIMILARITY} AS similarity FROM (
        SELECT image_id, {DISTANCE} FROM image_embedding
        WHERE space_id = %(space)s AND image_id = ANY(%(images)s::text::uuid[])
          AND image_id IS DISTINCT FROM %(left_out)s
        OFFSET 0
    ) scored
    WHERE {SIMILARITY} >= %(threshold)s {{behind}}
    ORDER BY distance, image_id LIMIT %(limit)s
) {ROWS}"""
AMONG: Final = AMONG_FROM.format(behind="")
AMONG_BEHIND: Final = AMONG_FROM.format(behind=BEHIND)
# A subquery, not a join: it is asked row by row from the best down, and the LIMIT ends it.
DOWNWARDS: Final = f"""
WITH nearest AS MATERIALIZED (
    SELECT image_id, distance, {SIMILARITY} AS similarity FROM (
        SELECT image_id, distance FROM (
            SELECT image_id, {DISTANCE} FROM image_embedding
            WHERE space_id = %(space)s AND dataset_id = ANY(%(datasets)s) AND folder_id = ANY(ARRAY({IN_FOLDER}))
              AND image_id IS DISTINCT FROM %(left_out)s
            OFFSET 0
        ) scored
        WHERE {SIMILARITY} >= %(threshold)s {{behind}}
        ORDER BY distance, image_id OFFSET 0
    ) ranked
    WHERE (SELECT {{carries}} FROM image i WHERE i.id = ranked.image_id)
    ORDER BY distance, image_id LIMIT %(limit)s
) {ROWS}"""


@dataclass(frozen=True, slots=True)
class TagFilter:
    """Tags an image must carry: OR inside a category (AND with `match="all"`), AND across categories."""

    labels: Mapping[TagCategory, Sequence[str]] = field(default_factory=dict)
    """The categories that filter; one with no labels matches nothing."""
    match: TagMatch = "any"

    def accepts(self, tags: Tags) -> bool:
        """As the database would decide, for a row that is here already."""
        wants = all if self.match == "all" else any
        return all(
            bool(labels) and wants(label in tags[category] for label in labels)
            for category, labels in self.labels.items()
        )


@dataclass(frozen=True, slots=True)
class TaggedNeighbours:
    """What was found, and how many vectors were compared for it."""

    rows: list[Neighbour]
    compared: int


async def images_carrying(connection: Connection, scope: Scope, tags: TagFilter, most: int) -> Sequence[ImageId]:
    """Images of the scope that carry the tags, in no order; `most` of them at most."""
    carries, documents = condition(tags)
    values = place_of(scope) | documents | {"most": most}
    return await fetch_column(connection, CARRYING.format(carries=carries), values)


async def nearest_tagged(
    connection: Connection,
    scope: Scope,
    size: int,
    vector: StoredVector,
    tags: TagFilter,
    *,
    threshold: float,
    limit: int,
    carriers: bytes | None = None,
    beyond: Beyond | None = None,
) -> TaggedNeighbours:
    """As `nearest_exact`, of the images that carry the tags. size: images in the scope.

    carriers: their ids, 16 bytes each, if they are known and few. beyond: only rows behind this place.
    """
    values = place_of(scope) | {
        "vector": vector,
        "stretch": scope.stretch,
        "left_out": scope.left_out,
        "threshold": threshold,
        "limit": limit,
        **place_behind(beyond),
    }
    if carriers is None:
        few = max(FEW, size // FEW_SHARE)
        images = await images_carrying(connection, scope, tags, few + 1)
        carriers = b"".join(image.bytes for image in images) if len(images) <= few else None
    if carriers is not None:
        among = values | {"images": uuid_array(carriers)}
        rows = await fetch_all(connection, Neighbour, AMONG_BEHIND if beyond else AMONG, among) if carriers else []
        return TaggedNeighbours(rows, len(carriers) // ID_BYTES)
    carries, documents = condition(tags)
    downwards = DOWNWARDS.format(carries=carries, behind=BEHIND if beyond else "")
    rows = await fetch_all(connection, Neighbour, downwards, values | documents)
    return TaggedNeighbours(rows, size)


def condition(tags: TagFilter) -> tuple[str, dict[str, object]]:
    """SQL over `image i`, and its values."""
    parts, values = [], dict[str, object]()
    for category, labels in tags.labels.items():
        documents = containment(category, labels, tags.match)
        names = {f"{category}_{number}": document for number, document in enumerate(documents)}
        parts.append(f"({' OR '.join(CARRIES.format(name=name) for name in names) or 'false'})")
        values |= names
    return " AND ".join(parts) or "true", values
