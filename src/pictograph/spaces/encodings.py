"""Writes what the encoder and the tagger found, and ends the jobs, in ONE transaction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from pgvector import HalfVector
from psycopg.types.json import Jsonb

from pictograph.db.pool import Connection
from pictograph.db.rows import fetch_column
from pictograph.encode.evidence import packed
from pictograph.encode.protocol import FloatArray
from pictograph.spaces.registry import SpaceRules
from pictograph.store.facts import Facts
from pictograph.store.locks import lock_images
from pictograph.types import DIMENSION, ImageId, Sha256, SpaceId, Tags

KNOWN: Final = "SELECT sha256 FROM encoding WHERE space_id = %s AND sha256 = ANY(%b)"
SAVE: Final = """
INSERT INTO encoding (space_id, sha256, vector, tagger, tags, tag_scores, measures, evidence)
SELECT %s, %s, %s, %s, %s, %s, %s, %s
WHERE EXISTS (SELECT FROM image WHERE sha256 = %s) OR EXISTS (SELECT FROM replacement WHERE sha256 = %s)
ON CONFLICT (space_id, sha256) DO NOTHING"""
WAITING: Final = "SELECT image_id FROM job WHERE space_id = %s AND sha256 = ANY(%b)"
# Every waiting job of the same bytes ends here too: the encoding serves all of them. A job that another worker claimed
# meanwhile (our lease ran out) is left to that worker. Images are locked before (store/locks.py), so that an image
# archived at the same time is seen either before or after, never in between, and that one deleted is not written for.
# A job whose encoding is not there (the bytes were deleted for good and came again) stays, and is claimed once more.
FINISH: Final = """
WITH ended AS (
    DELETE FROM job
    WHERE space_id = %(space)s AND image_id = ANY(%(images)s) AND sha256 = ANY(%(sha256s)s)
      AND (claim = %(claim)s OR claim IS NULL)
      AND EXISTS (SELECT FROM encoding e WHERE e.space_id = %(space)s AND e.sha256 = job.sha256)
    RETURNING image_id
), forgiven AS (
    DELETE FROM failure USING ended WHERE failure.image_id = ended.image_id AND failure.space_id = %(space)s
), done AS (
{done}
), placed AS (
    INSERT INTO image_embedding (space_id, image_id, dataset_id, folder_id, vector)
    SELECT %(space)s, id, dataset_id, folder_id, vector FROM done WHERE archived_at IS NULL
    ORDER BY dataset_id, folder_id
    ON CONFLICT (space_id, image_id) DO UPDATE SET folder_id = excluded.folder_id, vector = excluded.vector
)
SELECT count(*) FROM done"""
# In the active space, the image's row tells of it;
SHOWN: Final = """
    UPDATE image SET state = CASE WHEN encoding.tags IS NULL THEN 'embedded' ELSE 'tagged' END, reason = NULL,
        image_auto_tags = coalesce(encoding.tags, image_auto_tags), updated_at = now()
    FROM ended, encoding
    WHERE image.id = ended.image_id AND encoding.space_id = %(space)s AND encoding.sha256 = image.sha256
    RETURNING image.id, image.dataset_id, image.folder_id, image.archived_at, encoding.vector"""
# in any other, nobody sees it yet.
UNSEEN: Final = """
    SELECT image.id, image.dataset_id, image.folder_id, image.archived_at, encoding.vector
    FROM ended JOIN image ON image.id = ended.image_id
    JOIN encoding ON encoding.space_id = %(space)s AND encoding.sha256 = image.sha256
    FOR SHARE OF image"""
# Before that, images whose new bytes are ready take them; what other spaces made of the old ones is of no use any more.
EXCHANGE: Final = """
WITH ready AS (
    SELECT r.* FROM replacement r JOIN job ON job.image_id = r.image_id AND job.sha256 = r.sha256
    WHERE job.space_id = %(space)s AND r.image_id = ANY(%(images)s) AND r.sha256 = ANY(%(sha256s)s)
      AND (job.claim = %(claim)s OR job.claim IS NULL)
      AND EXISTS (SELECT FROM encoding e WHERE e.space_id = %(space)s AND e.sha256 = r.sha256)
), exchanged AS (
    UPDATE image SET sha256 = ready.sha256, content_type = ready.content_type, width = ready.width,
        height = ready.height, file_size = ready.file_size
    FROM ready WHERE image.id = ready.image_id RETURNING image.id
), gone AS (
    DELETE FROM replacement USING exchanged WHERE image_id = exchanged.id
), stale AS (
    DELETE FROM image_embedding USING exchanged WHERE image_id = exchanged.id AND space_id <> %(space)s
)
DELETE FROM failure USING exchanged WHERE image_id = exchanged.id AND space_id <> %(space)s"""
FINISH_ACTIVE: Final = FINISH.format(done=SHOWN)
FINISH_BUILDING: Final = FINISH.format(done=UNSEEN)
FAIL: Final = """
WITH ended AS (
    DELETE FROM job
    WHERE space_id = %(space)s AND image_id = ANY(%(images)s) AND sha256 = %(sha256)s
      AND (claim = %(claim)s OR claim IS NULL) RETURNING image_id
), kept AS (
    UPDATE replacement SET sha256 = NULL, reason = %(reason)s
    FROM ended WHERE replacement.image_id = ended.image_id AND replacement.sha256 = %(sha256)s AND %(active)s
    RETURNING replacement.image_id
), noted AS (
    INSERT INTO failure (image_id, space_id, reason) SELECT image_id, %(space)s, %(reason)s FROM ended
    WHERE image_id NOT IN (SELECT image_id FROM kept)
    ON CONFLICT (image_id, space_id) DO UPDATE SET reason = excluded.reason, created_at = now()
)
UPDATE image SET state = 'failed', reason = %(reason)s, updated_at = now()
FROM ended WHERE image.id = ended.image_id AND %(active)s AND image.id NOT IN (SELECT image_id FROM kept)"""
REMOVE: Final = "DELETE FROM image_embedding WHERE image_id = %s"


@dataclass(frozen=True, slots=True)
class Encoding:
    """What a model made of some bytes: the same for every image that has them."""

    sha256: Sha256
    vector: FloatArray
    """float32 (1152,), length 1; stored as float16."""
    tagger: str | None = None
    """Which taxonomy and method gave the scores; None if the encoder brings no tagger."""
    tags: Tags | None = None
    tag_scores: dict[str, float] | None = None
    measures: FloatArray | None = None
    """float32 (len(MEASURE_NAMES),): with the evidence and the vector, what the scores were made of."""
    evidence: FloatArray | None = None
    """float32 (E,), E may be 0; stored as E bytes."""
    facts: Facts | None = None
    """What the picture tells of itself; kept with the images, not here."""


async def known_encodings(connection: Connection, space: SpaceId, sha256s: Sequence[Sha256]) -> set[Sha256]:
    """Those of these bytes that never have to be encoded again."""
    return set(await fetch_column(connection, KNOWN, [space, list(sha256s)]))


async def save_encodings(connection: Connection, space: SpaceId, encodings: Sequence[Encoding]) -> None:
    """Keeps new encodings of bytes that images have; ones that are there already stay as they are.

    The caller holds the images (`lock_waiting`): what belongs to none is not kept, so that deleted is deleted.
    """
    async with connection.cursor() as cursor:
        await cursor.executemany(
            SAVE, [encoding_values(space, encoding) for encoding in sorted(encodings, key=lambda one: one.sha256)]
        )


def encoding_values(space: SpaceId, encoding: Encoding) -> list[object]:
    if encoding.vector.shape != (DIMENSION,):
        raise ValueError(f"an encoding has shape ({DIMENSION},), not {encoding.vector.shape}")
    return [
        space,
        encoding.sha256,
        HalfVector(encoding.vector),
        encoding.tagger,
        Jsonb(encoding.tags) if encoding.tags is not None else None,
        Jsonb(encoding.tag_scores) if encoding.tag_scores is not None else None,
        encoding.measures.tolist() if encoding.measures is not None else None,
        packed(encoding.evidence) if encoding.evidence is not None and encoding.evidence.size else None,
        encoding.sha256,
        encoding.sha256,
    ]


async def lock_waiting(connection: Connection, space: SpaceId, sha256s: Sequence[Sha256]) -> Sequence[ImageId]:
    """The images that wait in the space with these bytes; they stay as they are until the transaction ends."""
    return await lock_images(connection, await fetch_column(connection, WAITING, [space, list(sha256s)]))


async def finish_images(
    connection: Connection,
    space: SpaceRules,
    claim: UUID,
    sha256s: Sequence[Sha256],
    *,
    locked: Sequence[ImageId] | None = None,
) -> int:
    """Makes every image with these bytes findable in the space and ends its job there; how many there were.

    locked: what `lock_waiting` gave, in a transaction that also does something else; images that came to wait after it
    are for the next claim, since locking them now would be out of order.
    """
    images = await lock_waiting(connection, space.id, sha256s) if locked is None else locked
    values = {"space": space.id, "claim": claim, "sha256s": list(sha256s), "images": list(images)}
    statement = FINISH_ACTIVE if space.active else FINISH_BUILDING
    if space.active:
        await connection.execute(EXCHANGE, values)
    # Not prepared, so that it is planned for these images and the tables of this moment, whatever else keeps its plans.
    cursor = await connection.execute(statement.encode(), values, prepare=False)
    row = await cursor.fetchone()
    return int(row[0]) if row else 0


async def fail_images(
    connection: Connection,
    space: SpaceRules,
    claim: UUID,
    sha256: Sha256,
    reason: str,
    *,
    locked: Sequence[ImageId] | None = None,
) -> None:
    """Gives up every image with these bytes, with the reason a person will read. locked: as for `finish_images`."""
    images = await lock_waiting(connection, space.id, [sha256]) if locked is None else locked
    values = {
        "space": space.id,
        "active": space.active,
        "claim": claim,
        "sha256": sha256,
        "reason": reason,
        "images": list(images),
    }
    await connection.execute(FAIL, values)


async def remove_from_index(connection: Connection, image: ImageId) -> None:
    """The image is found no more; its encoding is kept."""
    await connection.execute(REMOVE, [image])
