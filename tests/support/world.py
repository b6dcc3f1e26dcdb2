"""A library after many kinds of change, its rows as the tables have them, and an engine that answers from it."""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from pictograph.encode.protocol import FloatArray
from pictograph.search.engine import SearchEngine
from pictograph.store.datasets import Dataset
from pictograph.types import DIMENSION, DatasetId, ImageId, Tags
from support.planting import Garden, direction

OBJECTS, SCENES = ["car", "truck", "dog", "unicycle"], ["outdoor", "indoor"]
FOLDERS = ["/", "/a", "/a/b", "/z"]
WAYS = ["table", "index", "lagging index"]


@dataclass
class Row:
    """An image as the tables have it."""

    id: ImageId
    dataset: DatasetId
    folder: str
    tags: Tags
    created_at: datetime
    vector: FloatArray | None
    width: int
    height: int
    file_size: int

    def lies_in(self, folder: str) -> bool:
        return folder == "/" or self.folder == folder or self.folder.startswith(f"{folder}/")


async def rows_of(garden: Garden) -> list[Row]:
    """Every image that is not archived, with its vector if it can be found by likeness."""
    async with garden.database.connection() as connection:
        found = await (
            await connection.execute(
                "SELECT i.id, i.dataset_id, f.path, i.image_auto_tags, i.created_at, e.vector,"
                " i.width, i.height, i.file_size FROM image i"
                " JOIN folder f ON f.id = i.folder_id"
                " LEFT JOIN image_embedding e ON e.image_id = i.id AND e.space_id = %s WHERE i.archived_at IS NULL",
                [garden.space],
            )
        ).fetchall()
    return [Row(*row[:5], None if row[5] is None else row[5].to_numpy().astype(np.float32), *row[6:]) for row in found]


async def size_anew(garden: Garden) -> None:
    """Gives all images sizes with many ties, some of them unknown."""
    async with garden.database.connection() as connection:
        await connection.execute(
            "UPDATE image SET width = abs(hashtext(filename)) % 5 * 100,"
            " height = abs(hashtext(filename)) % 3 * 90 + 10, file_size = abs(hashtext(filename)) % 7 * 1000"
            " WHERE width = 640"
        )


def someone(rng: random.Random, numbers: np.random.Generator) -> tuple[FloatArray, Tags]:
    vector = direction(0.3) + numbers.standard_normal(DIMENSION).astype(np.float32) * 0.02
    tags: Tags = {
        "objects": rng.sample(OBJECTS[:3], rng.randint(0, 2)) + (["unicycle"] if rng.random() < 0.05 else []),
        "scenes": rng.sample(SCENES, rng.randint(0, 1)),
        "attributes": [],
    }
    return (vector / np.linalg.norm(vector)).astype(np.float32), tags


@dataclass
class World:
    """A library after many kinds of change, and the engine that answers from it."""

    garden: Garden
    datasets: list[Dataset]
    engine: SearchEngine
    rows: list[Row]
    way: str
