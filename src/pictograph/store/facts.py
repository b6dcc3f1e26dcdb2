"""What pictures tell of themselves, beside size and format: EXIF, and measures of their pixels.

Facts are of bytes: whatever images have them carry the same. A worker writes them with what the encoder saw; images
from before get them in the background (ingest/looking.py). With other bytes an image forgets them (migration 0023).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Final

from pictograph.db.pool import Connection
from pictograph.db.rows import fetch_column
from pictograph.store.locks import lock_images
from pictograph.types import ImageId, Sha256

VERSION: Final = 1
"""Of how facts are made; images with those of another version are looked at again. Migration 0023 says 1 too."""

COLUMNS: Final = "taken_at, camera, sharpness, brightness, contrast, average_color, perceptual_hash"
WRITE: Final = f"""
UPDATE image SET ({COLUMNS}, facts_version) =
    (new.taken_at, new.camera, new.sharpness, new.brightness, new.contrast, new.average_color, new.perceptual_hash,
     {VERSION})
FROM unnest(%(sha256)b::bytea[], %(taken_at)s::timestamptz[], %(camera)s::text[], %(sharpness)s::real[],
            %(brightness)s::real[], %(contrast)s::real[], %(average_color)s::integer[], %(perceptual_hash)s::bigint[])
    AS new (sha256, {COLUMNS})
WHERE image.id = ANY(%(images)s) AND image.sha256 = new.sha256 AND image.facts_version <> {VERSION}"""
# Of bytes that were known already, no picture is decoded: another image has their facts.
SHARE: Final = f"""
UPDATE image SET ({COLUMNS}, facts_version) =
    (twin.taken_at, twin.camera, twin.sharpness, twin.brightness, twin.contrast, twin.average_color,
     twin.perceptual_hash, {VERSION})
FROM (SELECT DISTINCT ON (sha256) sha256, {COLUMNS} FROM image
      WHERE sha256 = ANY(%(sha256s)b) AND facts_version = {VERSION}) twin
WHERE image.id = ANY(%(images)s) AND image.sha256 = twin.sha256 AND image.facts_version <> {VERSION}"""


WITHOUT: Final = """
SELECT DISTINCT ON (sha256) sha256 FROM image
WHERE facts_version = 0 AND state IN ('embedded', 'tagged') AND sha256 > %s ORDER BY sha256 LIMIT %s"""
LACKING: Final = "SELECT id FROM image WHERE sha256 = ANY(%b) AND facts_version = 0 LIMIT 1000"


@dataclass(frozen=True, slots=True)
class Facts:
    """Of the picture in some bytes; None where it does not say, or cannot be told."""

    sha256: Sha256
    taken_at: datetime | None = None
    """By EXIF, UTC."""
    camera: str | None = None
    """By EXIF: make and model."""
    sharpness: float | None = None
    """About 0 blurred to 1 crisp, logarithmic; may lie beyond. None below 48 px."""
    brightness: float | None = None
    """Mean luminance, 0 black to 1 white."""
    contrast: float | None = None
    """Standard deviation of the luminance, 0 to 0.5."""
    average_color: int | None = None
    """0xRRGGBB, sRGB."""
    perceptual_hash: int | None = None
    """64 bits as a signed integer: upload/perceptual_hash.py."""


async def write_facts(connection: Connection, facts: Sequence[Facts], images: Sequence[ImageId]) -> None:
    """Gives these images, which the caller has locked, the facts of their bytes, where they do not have them yet."""
    if not facts or not images:
        return
    values = {column.name: [getattr(one, column.name) for one in facts] for column in fields(Facts)}
    await connection.execute(WRITE.encode(), {**values, "images": list(images)})


async def bytes_without_facts(connection: Connection, after: bytes, limit: int) -> list[Sha256]:
    """Hashes of pictures at which nobody has looked, rising, behind `after`; not those that wait for a worker."""
    return await fetch_column(connection, WITHOUT, [after, limit])


async def write_lacking_facts(connection: Connection, facts: Sequence[Facts]) -> int:
    """Gives the facts to images that lack them, whichever have these bytes, a thousand at most; how many there were."""
    lacking = await fetch_column(connection, LACKING, [[one.sha256 for one in facts]])
    images = await lock_images(connection, lacking)
    await write_facts(connection, facts, images)
    return len(images)


async def share_facts(connection: Connection, sha256s: Sequence[Sha256], images: Sequence[ImageId]) -> None:
    """Gives these images, which the caller has locked, what another image with the same bytes has."""
    if sha256s and images:
        await connection.execute(SHARE.encode(), {"sha256s": list(sha256s), "images": list(images)})
