"""Nearest neighbours: by an exact scan of the scope, or among candidates of the codes and whatever changed since."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from pgvector import HalfVector

from pictograph.db.pool import Connection
from pictograph.db.rows import fetch_all, fetch_one
from pictograph.encode.protocol import FloatArray
from pictograph.index.candidates import Candidates
from pictograph.types import DatasetId, ImageId, SpaceId, Tags

LEAST_ALIVE: Final = 0.5
IN_FOLDER: Final = """
SELECT id FROM folder WHERE dataset_id = ANY(%(datasets)s) AND (path = %(folder)s OR starts_with(path, %(below)s))"""
# OFFSET 0 keeps the distance from being computed twice; MATERIALIZED ends the scan with `limit` rows before anything is
# joined to them; ARRAY finds the folders once, also while new tables have no statistics. The query vector is a
# parameter: read from its table inside the statement, it would be detoasted once per row.
# Order follows the distance, also where similarity is clamped.
SIMILARITY: Final = "greatest(0, least(1, 1 - %(stretch)s * distance))"
RANKED: Final = f"""
WITH nearest AS MATERIALIZED (
    SELECT image_id, distance, {SIMILARITY} AS similarity FROM (
        SELECT image_id, vector <=> %(vector)s AS distance
        FROM image_embedding
        WHERE space_id = %(space)s AND dataset_id = ANY(%(datasets)s) AND folder_id = ANY(ARRAY({IN_FOLDER}))
          AND image_id IS DISTINCT FROM %(left_out)s
        OFFSET 0
    ) scored
    WHERE {SIMILARITY} >= %(threshold)s
    ORDER BY distance, image_id
    LIMIT %(limit)s
)
SELECT i.id, i.filename, f.path AS folder_path, i.dataset_id, i.image_auto_tags AS tags, nearest.similarity,
       nearest.distance
FROM nearest JOIN image i ON i.id = nearest.image_id JOIN folder f ON f.id = i.folder_id"""
NEAREST: Final = f"""
SELECT id, filename, folder_path, dataset_id, tags, similarity FROM ({RANKED}) ranked ORDER BY distance, id"""
# Any restart, restore, truncation or rewrite begins another era, in which an older watermark means nothing.
ERA: Final = """extract(epoch FROM pg_postmaster_start_time())::text || '/' || 'image_embedding'::regclass::oid || '/'
    || pg_relation_filenode('image_embedding'::regclass)"""
# Every visible row is either below the watermark, and its code was asked, or changed since, and it is scanned here. A
# number that no transaction of this cluster can have came with a restore, before any code was made: code_rows.py.
BY_CODES: Final = f"""
WITH now AS MATERIALIZED (SELECT pg_snapshot_xmax(pg_current_snapshot()) AS ahead),
in_scope AS NOT MATERIALIZED (
    SELECT image_id, changed, vector <=> %(vector)s AS distance
    FROM image_embedding
    WHERE space_id = %(space)s AND dataset_id = ANY(%(datasets)s) AND folder_id = ANY(ARRAY({IN_FOLDER}))
      AND image_id IS DISTINCT FROM %(left_out)s
), known AS MATERIALIZED (
    SELECT image_id, distance FROM in_scope
    WHERE image_id = ANY(%(candidates)s::text::uuid[])
      AND (changed < %(watermark)s::text::xid8 OR changed >= (SELECT ahead FROM now))
), fresh AS MATERIALIZED (
    SELECT image_id, distance FROM in_scope
    WHERE changed >= %(watermark)s::text::xid8 AND changed < (SELECT ahead FROM now)
), nearest AS MATERIALIZED (
    SELECT image_id, distance, {SIMILARITY} AS similarity
    FROM (TABLE known UNION ALL TABLE fresh) every
    WHERE {SIMILARITY} >= %(threshold)s
    ORDER BY distance, image_id
    LIMIT %(limit)s
)
SELECT {ERA} = %(era)s AS same_era, (SELECT count(*) FROM known) AS alive,
       i.id, i.filename, f.path AS folder_path, i.dataset_id, i.image_auto_tags AS tags, nearest.similarity
FROM now LEFT JOIN (nearest JOIN image i ON i.id = nearest.image_id JOIN folder f ON f.id = i.folder_id) ON true
ORDER BY nearest.distance, i.id"""
# The vector comes from `encoding`, so that an archived image can still be a reference.
REFERENCE: Final = """
SELECT i.id, i.dataset_id, f.path AS folder_path, i.state, i.reason, s.id AS space_id, s.stretch, e.vector
FROM image i JOIN folder f ON f.id = i.folder_id JOIN dataset d ON d.id = i.dataset_id
LEFT JOIN space s ON s.active LEFT JOIN encoding e ON e.sha256 = i.sha256 AND e.space_id = s.id
WHERE d.organization_id = %s AND i.id = %s"""


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
    state: str
    reason: str | None
    space_id: SpaceId | None
    """The active space."""
    stretch: float | None
    vector: HalfVector | None
    """Its vector in that space, float16 (1152,); None as long as it has none."""

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


def as_stored(vector: FloatArray) -> HalfVector:
    """A vector that comes from outside the tables, float32 (1152,), as the tables hold it."""
    return HalfVector(vector)


async def find_reference(connection: Connection, organization: UUID, image: ImageId) -> Reference | None:
    """The image, if this organization has it."""
    return await fetch_one(connection, Reference, REFERENCE, [organization, image], binary=True)


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


async def nearest_by_codes(
    connection: Connection, scope: Scope, vector: HalfVector, candidates: Candidates, *, threshold: float, limit: int
) -> list[Neighbour] | None:
    """The nearest of the candidates, and of all rows that the codes have not seen, as `nearest_exact` gives them.

    None if the candidates are not good enough: the table was restored or rewritten since, or so many of them are gone
    that fewer than `limit`, or than half of them, are left while the scope has more. Then ask exactly, or for more.
    Rows of the table always decide, in one statement. Not inside a transaction that has read or written before.
    """
    values = search_values(scope, vector, threshold, limit) | {
        "candidates": candidates.array_literal,
        "watermark": str(candidates.watermark),
        "era": candidates.era,
    }
    rows = await (await connection.execute(BY_CODES.encode(), values)).fetchall()
    same_era, alive = rows[0][:2]
    enough = candidates.exhausted or alive >= max(limit, len(candidates) * LEAST_ALIVE)
    if not same_era or not enough:
        return None
    return [Neighbour(*row[2:]) for row in rows if row[2] is not None]


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
