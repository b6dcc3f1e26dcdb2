"""What the database itself is asked in a search: everything, where there is no index, and always what is new to it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, TypeAlias

import numpy as np
from pgvector import HalfVector

from pictograph.db.pool import Connection
from pictograph.db.rows import fetch_all
from pictograph.search.filter import Filter
from pictograph.search.found import Facets, Likeness, Window
from pictograph.search.ground import Ground
from pictograph.search.memory.arrays import (
    NO_IDS,
    Bytes,
    Distances,
    FloatArray,
    bytes_of,
    cosine_distances,
    microseconds,
    nearest_first,
)
from pictograph.search.sql import statement
from pictograph.search.where import where
from pictograph.types import DIMENSION, DatasetId, ImageId, Tags

SLACK: Final = 8
"""Rows beyond the limit that are fetched at first, since the database's order may differ in the last digits."""
DEEPER: Final = 4
"""How many times as many, where those were too few."""
CLOSE: Final = 1e-6
"""PostgreSQL and numpy compute the same distance to within this."""
SENT: Final = np.dtype([("dimension", ">i2"), ("unused", ">i2"), ("vector", ">f2", DIMENSION)])
"""A vector in PostgreSQL's binary format."""
ROWS_AT_ONCE: Final = 500
"""Vectors that are read before others have their turn."""


@dataclass(frozen=True, slots=True)
class Compared:
    """Images whose vectors were compared, nearest first or in no order."""

    ids: Bytes
    distances: Distances
    scope_size: int
    """Findable images of the place among those that were looked at."""
    scanned: int

    @classmethod
    def nothing(cls) -> Compared:
        """No image at all."""
        return cls(NO_IDS, np.zeros(0), 0, 0)


@dataclass(frozen=True, slots=True)
class FreshImage:
    """An image that a filter means, and that the index has not seen as it is."""

    id: bytes
    created_at: datetime
    tags: Tags

    @property
    def created(self) -> int:
        """Microseconds since 1970."""
        return microseconds(self.created_at)


async def nearest_in_table(connection: Connection, ask: Likeness, folders: Sequence[int] | None) -> Compared:
    """The `ask.limit + 1` nearest by comparing every vector, to the last bit as the index has them.

    More rows than that are fetched until the last one is certainly behind, whichever way the distances are computed.
    """
    wanted = ask.limit + 1
    conditions = where(ask.wanted, folders, "image_embedding")
    values: dict[str, Any] = conditions.values | {
        "space": ask.space,
        "vector": HalfVector(ask.vector),
        "floor": ask.beyond.distance - CLOSE if ask.beyond else -3.0,
        "ceiling": (1 - ask.threshold) / ask.stretch + CLOSE if ask.threshold > 0 else 3.0,
    }
    fetch = wanted + SLACK
    while True:
        rows = await fetched(connection, conditions.into("nearest"), values | {"limit": fetch})
        scope_size, meant = int(rows[0][0]), int(rows[0][1])
        found = [(image, vector) for _, _, image, vector in rows if image is not None]
        ids, distances = await asyncio.to_thread(compared, found, ask.vector)
        last = float(distances[-1]) if len(found) == fetch else None
        nearest, best = nearest_first(ids, distances, wanted, ask.beyond)
        if last is None or (len(best) == wanted and best[-1] + 2 * CLOSE < last):
            return Compared(nearest, best, scope_size, meant)
        fetch *= DEEPER


async def fresh_vectors(connection: Connection, ask: Likeness, ground: Ground) -> Compared:
    """The images of the place that the index has not seen as they are, and the distances of those that are meant."""
    conditions = where(ask.wanted, ground.folders, "image_embedding")
    values = conditions.values | {"space": ask.space, "fresh": uuid_array(ground.fresh)}
    rows = await fetched(connection, conditions.into("fresh_vectors"), values)
    found = [(image, vector) for image, vector in rows if vector is not None]
    ids, distances = await asyncio.to_thread(compared, found, ask.vector)
    return Compared(ids, distances, len(rows), len(found))


def compared(rows: Sequence[tuple[bytes, bytes]], query: FloatArray) -> tuple[Bytes, Distances]:
    """Ids and cosine distances of (id, vector), each as PostgreSQL sends it."""
    vectors = np.frombuffer(b"".join(vector for _, vector in rows), SENT)["vector"].astype(np.float16)
    return bytes_of(b"".join(image for image, _ in rows)), cosine_distances(vectors, query)


async def fetched(connection: Connection, text: str, values: dict[str, Any]) -> list[tuple[Any, ...]]:
    """Every row, in binary."""
    async with connection.cursor(binary=True) as cursor:
        await cursor.execute(text.encode(), values)
        rows = part = await cursor.fetchmany(ROWS_AT_ONCE)
        while len(part) == ROWS_AT_ONCE:
            await asyncio.sleep(0)
            part = await cursor.fetchmany(ROWS_AT_ONCE)
            rows += part
        return rows


async def newest_in_table(
    connection: Connection, wanted: Filter, folders: Sequence[int] | None, window: Window
) -> tuple[Bytes, int]:
    """Ids, uint8 (N, 16), of the newest images that are meant, and how many are in all."""
    conditions = where(wanted, folders, "image")
    values = conditions.values | {
        "limit": window.limit,
        "offset": window.offset,
        "after_time": window.after.created_at if window.after else None,
        "after_id": window.after.id if window.after else None,
    }
    rows = await fetched(connection, conditions.into("newest"), values)
    return bytes_of(b"".join(image for _, image in rows if image is not None)), int(rows[0][0])


async def facets_in_table(connection: Connection, wanted: Filter, folders: Sequence[int] | None) -> Facets:
    """How many of the images that are meant carry each label, by reading their rows."""
    conditions = where(wanted, folders, "image")
    (_, _, images), *counts = await fetched(connection, conditions.into("facets"), conditions.values)
    return Facets.of(images, counts)


async def fresh_images(connection: Connection, wanted: Filter, ground: Ground) -> list[FreshImage]:
    """The images that are meant and that the index has not seen as they are."""
    conditions = where(wanted, ground.folders, "image")
    values = conditions.values | {"fresh": uuid_array(ground.fresh)}
    return await fetch_all(connection, FreshImage, conditions.into("fresh_images"), values)


Columns: TypeAlias = tuple[ImageId, str, str, DatasetId, Tags, datetime]
"""The fields of a `Hit`."""


async def fetch_rows(connection: Connection, ids: Bytes, snapshot: str) -> list[Columns] | None:
    """What a `Hit` is made of, of these images, in this order; None if one has changed since the snapshot."""
    values = {"images": uuid_array(ids), "snapshot": snapshot}
    rows = await fetched(connection, statement("rows"), values)
    if len(rows) < len(ids) or rows[0][-1]:
        return None
    by_id: dict[bytes, Columns] = {row[0].bytes: row[:6] for row in rows}
    packed = ids.tobytes()
    return [by_id[packed[at : at + 16]] for at in range(0, len(packed), 16)]


def uuid_array(ids: Bytes) -> str:
    """Ids as PostgreSQL reads a `uuid[]`: some thousand `UUID` objects would cost more than finding them."""
    digits = ids.tobytes().hex()
    return "{" + ",".join(digits[at : at + 32] for at in range(0, len(digits), 32)) + "}"
