"""What the database itself is asked in a search: everything, where there is no index, and always what is new to it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt
from pgvector import HalfVector

from pictograph.db.pool import Connection
from pictograph.db.rows import fetch_all
from pictograph.search.filter import Filter
from pictograph.search.found import Facets, Likeness, Listing, Undecided, Window
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
from pictograph.search.memory.values import Values
from pictograph.search.orders import Order
from pictograph.search.sql import statement
from pictograph.search.where import where
from pictograph.types import DIMENSION, DatasetId, ImageId, SpaceId, Tags

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
    left_out: int = 0
    """Of those that were compared, the examples themselves."""

    @classmethod
    def nothing(cls) -> Compared:
        """No image at all."""
        return cls(NO_IDS, np.zeros(0), 0, 0)


@dataclass(frozen=True, slots=True)
class Sample:
    """Some images of a place."""

    vectors: npt.NDArray[np.float16]
    """float16 (N, 1152)."""
    of: int
    """How many the place has."""


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
    """The `ask.limit` nearest, and as many more as there are examples, by comparing every vector.

    More rows than that are fetched until the last one is certainly behind, whichever way the distances are computed.
    """
    wanted = ask.limit + len(ask.left_out)
    conditions = where(ask.wanted, folders, "image_embedding")
    values: dict[str, Any] = conditions.values | {
        "space": ask.space,
        "vector": HalfVector(ask.vector),
        "floor": ask.beyond.distance - CLOSE if ask.beyond else -3.0,
        "left_out": list(ask.left_out),
    }
    fetch = wanted + SLACK
    while True:
        rows = await fetched(connection, conditions.into("nearest"), values | {"limit": fetch})
        scope_size, meant, left_out = map(int, rows[0][:3])
        found = [(image, vector) for *_, image, vector in rows if image is not None]
        ids, distances = await asyncio.to_thread(compared, found, ask.vector)
        last = float(distances[-1]) if len(found) == fetch else None
        nearest, best = nearest_first(ids, distances, wanted, ask.beyond)
        if last is None or (len(best) == wanted and best[-1] + 2 * CLOSE < last):
            return Compared(nearest, best, scope_size, meant, left_out)
        fetch *= DEEPER


@dataclass(frozen=True, slots=True)
class Counted:
    """How many images are near enough."""

    count: int
    """The examples not counted."""
    scope_size: int
    scanned: int
    left_out: int
    """Of those that were compared, the examples themselves."""


async def count_in_table(connection: Connection, ask: Likeness, folders: Sequence[int] | None) -> Counted:
    """By comparing every vector; those close to the threshold once more, as the index would."""
    conditions = where(ask.wanted, folders, "image_embedding")
    farthest = min(ask.farthest, 3.0)
    values: dict[str, Any] = conditions.values | {
        "space": ask.space,
        "vector": HalfVector(ask.vector),
        "sure": farthest - CLOSE,
        "ceiling": farthest + CLOSE,
        "left_out": list(ask.left_out),
    }
    rows = await fetched(connection, conditions.into("count"), values)
    scope_size, meant, left_out, sure = map(int, rows[0][:4])
    _, distances = compared([(image, vector) for *_, image, vector in rows if image is not None], ask.vector)
    close = int((ask.scores(distances) >= ask.threshold).sum())
    return Counted(sure + close, scope_size, meant, left_out)


async def sample_in_table(
    connection: Connection, wanted: Filter, folders: Sequence[int] | None, space: SpaceId, count: int
) -> Sample:
    """Vectors of `count` images that are meant, or of all; always the same of the same images."""
    conditions = where(wanted, folders, "image_embedding")
    rows = await fetched(connection, conditions.into("sample"), conditions.values | {"space": space, "count": count})
    return Sample(vectors_of([vector for _, vector in rows]), int(rows[0][0]) if rows else 0)


async def fresh_vectors(connection: Connection, ask: Likeness, ground: Ground) -> Compared:
    """The images of the place that the index has not seen as they are, and the distances of those that are meant."""
    conditions = where(ask.wanted, ground.folders, "image_embedding")
    values = conditions.values | {"space": ask.space, "fresh": uuid_array(ground.fresh)}
    rows = await fetched(connection, conditions.into("fresh_vectors"), values)
    found = [(image, vector) for image, vector in rows if vector is not None]
    ids, distances = await asyncio.to_thread(compared, found, ask.vector)
    examples = {image.bytes for image in ask.left_out}
    return Compared(ids, distances, len(rows), len(found), sum(image in examples for image, _ in found))


async def similarities_of(connection: Connection, ask: Likeness, ids: Bytes) -> list[float]:
    """Of each image, the similarity to the nearest of the question's positive examples; 0 of one without a vector."""
    values = {"space": ask.space, "images": uuid_array(ids)}
    rows = await fetched(connection, statement("vectors"), values)
    if not rows:
        return [0.0] * len(ids)

    def best() -> list[float]:
        scores = [1 - one.stretch * compared(rows, one.vector)[1] for one in ask.positives]
        of = dict(zip((image for image, _ in rows), np.clip(np.max(scores, axis=0), 0, 1).tolist(), strict=True))
        packed = ids.tobytes()
        return [of.get(packed[at : at + 16], 0.0) for at in range(0, len(packed), 16)]

    return await asyncio.to_thread(best)


def compared(rows: Sequence[tuple[bytes, bytes]], query: FloatArray) -> tuple[Bytes, Distances]:
    """Ids and cosine distances of (id, vector), each as PostgreSQL sends it."""
    vectors = vectors_of([vector for _, vector in rows])
    return bytes_of(b"".join(image for image, _ in rows)), cosine_distances(vectors, query)


def vectors_of(sent: Sequence[bytes]) -> npt.NDArray[np.float16]:
    """float16 (N, 1152) from vectors as PostgreSQL sends them."""
    return np.frombuffer(b"".join(sent), SENT)["vector"].astype(np.float16)


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


@dataclass(frozen=True, slots=True)
class Ordered:
    """Images in the order of a fact, and how many there are in all."""

    ids: Bytes
    values: Values
    total: int
    unknown: int
    """Of the total, those of which the fact is not known."""
    scope_size: int
    """Images of the place, whatever the filter says."""

    @classmethod
    def nothing(cls) -> Ordered:
        """No image at all."""
        return cls(NO_IDS, np.zeros(0), 0, 0, 0)


async def ordered_in_table(
    connection: Connection, wanted: Filter, folders: Sequence[int] | None, listing: Listing
) -> Ordered:
    """A page of the images that are meant, by reading the rows of all of them."""
    conditions = where(wanted, folders, "image")
    values = conditions.values | {
        "limit": listing.limit,
        "sign": -1.0 if listing.descending else 1.0,
        "after_value": listing.after.value if listing.after else None,
        "after_id": listing.after.id if listing.after else None,
    }
    rows = await fetched(connection, conditions.in_order("ordered", listing.order.sql), values)
    scope_size, total, unknown = map(int, rows[0][:3])
    found = [(image, value) for *_, image, value in rows if image is not None]
    return Ordered(*valued(found), total, unknown, scope_size)


async def fresh_values(connection: Connection, wanted: Filter, ground: Ground, listing: Listing) -> Ordered:
    """The images that are meant and that the index has not seen as they are, in no order."""
    conditions = where(wanted, ground.folders, "image")
    values = conditions.values | {"fresh": uuid_array(ground.fresh)}
    rows = await fetched(connection, conditions.in_order("fresh_values", listing.order.sql), values)
    ids, facts = valued([(image, value) for image, meant, value in rows if meant])
    return Ordered(ids, facts, len(ids), int(np.isnan(facts).sum()), len(rows))


async def values_of(connection: Connection, ids: Bytes, order: Order) -> Values:
    """A fact of each image, in the order of the ids; fewer, if some are gone."""
    text = statement("values").format(value=order.sql)
    found = dict(await fetched(connection, text, {"images": uuid_array(ids)}))
    packed = ids.tobytes()
    images = (packed[at : at + 16] for at in range(0, len(packed), 16))
    return np.array([np.nan if found[one] is None else found[one] for one in images if one in found], np.float64)


def valued(rows: Sequence[tuple[Any, ...]]) -> tuple[Bytes, Values]:
    values = np.array([np.nan if value is None else value for _, value in rows], np.float64)
    return bytes_of(b"".join(image for image, _ in rows)), values


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


async def undecided_in_table(
    connection: Connection,
    wanted: Filter,
    folders: Sequence[int] | None,
    space: SpaceId | None,
    fresh: Bytes | None = None,
) -> Undecided:
    """How many images a filter cannot judge. space: of those with a vector in it. fresh: of those, uint8 (N, 16)."""
    conditions = where(wanted, folders, "image" if space is None else "image_embedding")
    values = conditions.values | {"space": space, "fresh": None if fresh is None else uuid_array(fresh)}
    name = "undecided" if space is None else "undecided_vectors"
    ((images, waiting),) = await fetched(connection, conditions.into(name), values)
    return Undecided(int(images), int(waiting))


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
