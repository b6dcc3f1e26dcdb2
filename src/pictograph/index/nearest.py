"""Nearest neighbours by an exact scan of the scope."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from pgvector import HalfVector

from pictograph.db.pool import Connection
from pictograph.db.rows import fetch_all, fetch_one
from pictograph.encode.protocol import FloatArray
from pictograph.store.pages import Beyond
from pictograph.types import DatasetId, ImageId, SpaceId, Tags

IN_FOLDER: Final = """
SELECT id FROM folder WHERE dataset_id = ANY(%(datasets)s) AND (path = %(folder)s OR starts_with(path, %(below)s))"""
# OFFSET 0 keeps the distance from being computed twice; MATERIALIZED ends the scan with `limit` rows before anything is
# joined to them; ARRAY finds the folders once, also while new tables have no statistics. The query vector is a
# parameter: read from its table inside the statement, it would be detoasted once per row.
# Order follows the distance, also where similarity is clamped.
SIMILARITY: Final = "greatest(0, least(1, 1 - %(stretch)s * distance))"
# Of every page but the first: rows behind the last one of the page before, told apart to the last bit of the distance,
# which the same vectors always give.
BEHIND: Final = "AND (distance, image_id) > (%(distance)s::float8, %(behind)s::uuid)"
RANKED_FROM: Final = f"""
WITH nearest AS MATERIALIZED (
    SELECT image_id, distance, {SIMILARITY} AS similarity FROM (
        SELECT image_id, vector <=> %(vector)s AS distance
        FROM image_embedding
        WHERE space_id = %(space)s AND dataset_id = ANY(%(datasets)s) AND folder_id = ANY(ARRAY({IN_FOLDER}))
          AND image_id IS DISTINCT FROM %(left_out)s
        OFFSET 0
    ) scored
    WHERE {SIMILARITY} >= %(threshold)s {{behind}}
    ORDER BY distance, image_id
    LIMIT %(limit)s
)
SELECT i.id, i.filename, f.path AS folder_path, i.dataset_id, i.image_auto_tags AS tags, nearest.similarity,
       nearest.distance
FROM nearest JOIN image i ON i.id = nearest.image_id JOIN folder f ON f.id = i.folder_id"""
RANKED: Final = RANKED_FROM.format(behind="")
RANKED_BEHIND: Final = RANKED_FROM.format(behind=BEHIND)
NEAREST: Final = f"""
SELECT id, filename, folder_path, dataset_id, tags, similarity, distance FROM ({RANKED}) ranked ORDER BY distance, id"""
# Any restart, restore, truncation or rewrite begins another era, in which an older watermark means nothing.
ERA: Final = """extract(epoch FROM pg_postmaster_start_time())::text || '/' || 'image_embedding'::regclass::oid || '/'
    || pg_relation_filenode('image_embedding'::regclass)"""
# The vector comes from `encoding`, so that an archived image can still be a reference. Size and folders of the scope
# come along: asking for them apart would take longer than finding them.
REFERENCE: Final = """
SELECT i.id, i.dataset_id, asked.folder_path, i.state, i.reason, s.id AS space_id, s.stretch, e.vector,
       (SELECT coalesce(sum(images), 0)::bigint FROM scope_count
        WHERE space_id = s.id AND folder_id = ANY(
            ARRAY(SELECT id FROM folder WHERE dataset_id = i.dataset_id AND path = asked.folder_path))) AS scope_size,
       CASE WHEN asked.folder_path <> '/' THEN ARRAY(
            SELECT id FROM folder WHERE dataset_id = i.dataset_id
            AND (path = asked.folder_path OR starts_with(path, rtrim(asked.folder_path, '/') || '/'))) END AS folder_ids
FROM image i JOIN folder f ON f.id = i.folder_id JOIN dataset d ON d.id = i.dataset_id
CROSS JOIN LATERAL (SELECT coalesce(%(folder)s, f.path) AS folder_path) asked
LEFT JOIN space s ON s.active LEFT JOIN encoding e ON e.sha256 = i.sha256 AND e.space_id = s.id
WHERE d.organization_id = %(organization)s AND i.id = %(image)s"""


@dataclass(frozen=True, slots=True)
class Embedding:
    """An image's place in a space."""

    space_id: SpaceId
    stretch: float
    """How the space's cosines become similarities: see `Space.stretch`."""
    vector: HalfVector
    """float16 (1152,), unit length."""


@dataclass(frozen=True, slots=True)
class Reference:
    """The image that a search starts from."""

    id: ImageId
    dataset_id: DatasetId
    folder_path: str
    """The scope: the folder that was asked for, or else its own."""
    state: str
    reason: str | None
    space_id: SpaceId | None
    """The active space."""
    stretch: float | None
    vector: HalfVector | None
    """Its vector in that space, float16 (1152,); None as long as it has none."""
    scope_size: int
    """Findable images in the scope."""
    folder_ids: Sequence[int] | None
    """The scope's folders, those below included; None for all of its dataset's folders."""

    @property
    def embedding(self) -> Embedding | None:
        """Its place in the active space; None as long as it waits to be embedded."""
        if self.space_id is None or self.stretch is None or self.vector is None:
            return None
        return Embedding(self.space_id, self.stretch, self.vector)


@dataclass(frozen=True, slots=True)
class Neighbour:
    """One found image."""

    id: ImageId
    filename: str
    folder_path: str
    dataset_id: DatasetId
    tags: Tags
    similarity: float
    """Cosine of the two unit vectors on the space's scale (`Scope.stretch`), clamped to [0, 1]."""
    distance: float
    """Cosine distance: what orders the rows, also where similarity is clamped."""


def as_stored(vector: FloatArray) -> HalfVector:
    """A vector that comes from outside the tables, float32 (1152,), as the tables hold it."""
    return HalfVector(vector)


async def find_reference(
    connection: Connection, organization: UUID, image: ImageId, folder_path: str | None = None
) -> Reference | None:
    """The image, if this organization has it. folder_path: where it is to be compared; None: in its own."""
    values = {"organization": organization, "image": image, "folder": folder_path}
    return await fetch_one(connection, Reference, REFERENCE, values, binary=True)


@dataclass(frozen=True, slots=True)
class Scope:
    """The images a likeness search looks at."""

    space_id: SpaceId
    datasets: Sequence[DatasetId]
    folder_path: str = "/"
    """This folder, with everything below it, of each dataset."""
    stretch: float = 1.0
    """similarity = 1 - stretch * (1 - cosine); 1 between words and pictures, whose cosines have no common scale."""
    left_out: ImageId | None = None
    """An image that is never a row: the reference."""


async def nearest_exact(
    connection: Connection, scope: Scope, vector: HalfVector, *, threshold: float, limit: int
) -> list[Neighbour]:
    """The images of the scope by falling similarity to `vector` (float16 (1152,), of the scope's space); ties by id."""
    return await fetch_all(connection, Neighbour, NEAREST, search_values(scope, vector, threshold, limit))


def place_behind(beyond: Beyond | None) -> dict[str, object]:
    """Values of `BEHIND`."""
    return {} if beyond is None else {"distance": beyond.distance, "behind": beyond.id}


def search_values(scope: Scope, vector: HalfVector, threshold: float, limit: int) -> dict[str, object]:
    return {
        "space": scope.space_id,
        "vector": vector,
        "stretch": scope.stretch,
        "datasets": list(scope.datasets),
        "left_out": scope.left_out,
        "folder": scope.folder_path,
        "below": scope.folder_path.rstrip("/") + "/",
        "threshold": threshold,
        "limit": limit,
    }
