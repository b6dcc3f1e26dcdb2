"""Stores each space's calibration, which its first worker computes, so that all workers and servers judge alike."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

import numpy as np
from pgvector import HalfVector

from pictograph.db.pool import Connection
from pictograph.db.rows import fetch_column, fetch_tuple, fetch_value
from pictograph.encode.protocol import FloatArray
from pictograph.spaces.registry import lock_rules
from pictograph.tagging.calibration import Calibration, stretch_of
from pictograph.tagging.taxonomy import Taxonomy
from pictograph.types import DIMENSION, SpaceId

LOGITS: Final = "SELECT logit_scale, logit_bias FROM space WHERE id = %s AND logit_scale IS NOT NULL"
BACKGROUND: Final = "SELECT vector FROM background_vector WHERE space_id = %s ORDER BY position"
LABELS: Final = "SELECT label, vector FROM label_vector WHERE space_id = %s AND taxonomy = %s"
FORGET_LABELS: Final = "DELETE FROM label_vector WHERE space_id = %s AND taxonomy = %s"
ADD_LABEL: Final = "INSERT INTO label_vector (space_id, taxonomy, label, vector) VALUES (%s, %s, %s, %s)"
ADD_BACKGROUND: Final = "INSERT INTO background_vector (space_id, position, vector) VALUES (%s, %s, %s)"
CALIBRATE: Final = "UPDATE space SET logit_scale = %s, logit_bias = %s, stretch = %s WHERE id = %s"
LOCK_CLASS: Final = 0x6C61_6E64
"""The first half of our advisory locks, the letters `land`; the second is the space's id."""
TRY_LOCK: Final = "SELECT pg_try_advisory_lock(%s, %s)"
LOCK: Final = "SELECT pg_advisory_lock(%s, %s)"
UNLOCK: Final = "SELECT pg_advisory_unlock(%s, %s)"


async def find_calibration(connection: Connection, space: SpaceId, taxonomy: Taxonomy) -> Calibration | None:
    """Reads the calibration of this space and this version of the taxonomy; None if it is missing or incomplete."""
    logits = await fetch_tuple(connection, LOGITS, [space])
    background = await find_background(connection, space)
    labels = await _find_labels(connection, space, taxonomy)
    if logits is None or background is None or labels is None:
        return None
    return Calibration(labels, background, *logits)


async def find_background(connection: Connection, space: SpaceId) -> FloatArray | None:
    """float32 (B, 1152) in their order; None if the space has none yet."""
    vectors = await fetch_column(connection, BACKGROUND, [space])
    return _matrix(vectors) if vectors else None


async def _find_labels(connection: Connection, space: SpaceId, taxonomy: Taxonomy) -> FloatArray | None:
    cursor = await connection.execute(LABELS, [space, taxonomy.version])
    stored: dict[str, Any] = dict(await cursor.fetchall())
    if stored.keys() != taxonomy.index_of.keys():
        return None
    return _matrix([stored[label.key] for label in taxonomy.labels])


async def save_calibration(
    connection: Connection, space: SpaceId, taxonomy: Taxonomy, calibration: Calibration
) -> None:
    """Stores it, all or nothing. A background that is there already stays, and with it the space's stretch.

    Call it under `calibration_lock`. Raises SpaceMismatch if the space was dropped meanwhile, ValueError if
    the background cannot be one.
    """
    async with connection.transaction(), connection.cursor() as cursor:
        await lock_rules(connection, space)
        await cursor.execute(FORGET_LABELS, [space, taxonomy.version])
        rows = zip(taxonomy.labels, calibration.label_vectors, strict=True)
        await cursor.executemany(
            ADD_LABEL, [(space, taxonomy.version, label.key, HalfVector(vector)) for label, vector in rows]
        )
        if await find_background(connection, space) is None:
            numbered = enumerate(calibration.background)
            await cursor.executemany(ADD_BACKGROUND, [(space, place, HalfVector(vector)) for place, vector in numbered])
            stretch = stretch_of(calibration.background)
            await cursor.execute(CALIBRATE, [calibration.logit_scale, calibration.logit_bias, stretch, space])


@asynccontextmanager
async def calibration_lock(connection: Connection, space: SpaceId) -> AsyncIterator[None]:
    """Lets one worker at a time make the calibration of a space; a process that ends releases the lock.

    The lock belongs to the connection, not to a transaction, which would stay open for minutes.
    """
    key = [LOCK_CLASS, space]
    if not await fetch_value(connection, TRY_LOCK, key):
        await connection.execute(LOCK, key)
    try:
        yield
    finally:
        if not connection.closed:
            await connection.execute(UNLOCK, key)


def _matrix(vectors: list[Any]) -> FloatArray:
    """vectors: HalfVector (1152,), one a row."""
    return np.stack([vector.to_numpy() for vector in vectors]).astype(np.float32).reshape(-1, DIMENSION)
