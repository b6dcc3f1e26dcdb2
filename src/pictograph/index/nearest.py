"""Nearest neighbours by an exact scan of the scope: right at every size, fast while scopes are small."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final
from uuid import UUID

from pictograph.db.pool import Connection
from pictograph.db.rows import fetch_all, fetch_one
from pictograph.types import DatasetId, ImageId, Tags

IN_FOLDER: Final = """
SELECT id FROM folder WHERE dataset_id = %(dataset)s AND (path = %(folder)s OR starts_with(path, %(below)s))"""
# The reference's own vector comes from `encoding`, so that an archived image can still be a reference.
# MATERIALIZED: the scan ends with `limit` rows before anything else is joined to them.
NEAREST: Final = f"""
WITH query AS MATERIALIZED (
    SELECT e.space_id, e.vector FROM encoding e JOIN space s ON s.id = e.space_id AND s.active
    WHERE e.sha256 = %(sha256)s
), nearest AS MATERIALIZED (
    SELECT e.image_id, greatest(0, least(1, 1 - (e.vector <=> query.vector))) AS similarity
    FROM image_embedding e, query
    WHERE e.space_id = query.space_id AND e.dataset_id = %(dataset)s AND e.folder_id IN ({IN_FOLDER})
      AND e.image_id <> %(image)s
      AND greatest(0, least(1, 1 - (e.vector <=> query.vector))) >= %(threshold)s
    ORDER BY similarity DESC, e.image_id
    LIMIT %(limit)s
)
SELECT i.id, i.filename, f.path AS folder_path, i.dataset_id, i.image_auto_tags AS tags, nearest.similarity
FROM nearest JOIN image i ON i.id = nearest.image_id JOIN folder f ON f.id = i.folder_id
ORDER BY nearest.similarity DESC, i.id"""
REFERENCE: Final = """
SELECT i.id, i.dataset_id, i.sha256, f.path AS folder_path, i.state, i.reason,
       EXISTS (SELECT FROM encoding e JOIN space s ON s.id = e.space_id AND s.active
               WHERE e.sha256 = i.sha256) AS embedded
FROM image i JOIN folder f ON f.id = i.folder_id JOIN dataset d ON d.id = i.dataset_id
WHERE d.organization_id = %s AND i.id = %s"""


@dataclass(frozen=True, slots=True)
class Reference:
    """The image that a search starts from."""

    id: ImageId
    dataset_id: DatasetId
    sha256: bytes
    folder_path: str
    state: str
    reason: str | None
    embedded: bool
    """True if the active space has its vector."""


@dataclass(frozen=True, slots=True)
class Neighbour:
    """One found image."""

    id: ImageId
    filename: str
    folder_path: str
    dataset_id: DatasetId
    tags: Tags
    similarity: float
    """Cosine of the two unit vectors, clamped to [0, 1]."""


async def find_reference(connection: Connection, organization: UUID, image: ImageId) -> Reference | None:
    """The image, if this organization has it."""
    return await fetch_one(connection, Reference, REFERENCE, [organization, image])


async def nearest_exact(
    connection: Connection, reference: Reference, folder_path: str, *, threshold: float, limit: int
) -> list[Neighbour]:
    """The images of the reference's dataset, in `folder_path` and below, by falling similarity; ties by id."""
    values = {
        "sha256": reference.sha256,
        "dataset": reference.dataset_id,
        "image": reference.id,
        "folder": folder_path,
        "below": folder_path.rstrip("/") + "/",
        "threshold": threshold,
        "limit": limit,
    }
    return await fetch_all(connection, Neighbour, NEAREST, values)
