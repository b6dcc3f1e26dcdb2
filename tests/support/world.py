"""A library after many kinds of change, its rows as the tables have them, and an engine that answers from it."""

from __future__ import annotations

import random
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import psycopg

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
    facts: dict[str, Any]
    """Columns of its row by name."""

    def lies_in(self, folder: str) -> bool:
        return folder == "/" or self.folder == folder or self.folder.startswith(f"{folder}/")


async def rows_of(garden: Garden) -> list[Row]:
    """Every image that is not archived, with its vector if it can be found by likeness."""
    async with garden.database.connection() as connection:
        found = await (
            await connection.execute(
                "SELECT i.id, i.dataset_id, f.path, i.image_auto_tags, i.created_at, e.vector, to_jsonb(i), i.taken_at"
                " FROM image i"
                " JOIN folder f ON f.id = i.folder_id"
                " LEFT JOIN image_embedding e ON e.image_id = i.id AND e.space_id = %s WHERE i.archived_at IS NULL",
                [garden.space],
            )
        ).fetchall()
    return [
        Row(*row[:5], None if row[5] is None else row[5].to_numpy().astype(np.float32), row[6] | {"taken_at": row[7]})
        for row in found
    ]


def value_of(row: Row, fact: str) -> Any:
    """A fact by its name in `FACTS`; None where it is not known: sizes of 0 are not."""
    if fact == "created_at":
        return row.created_at
    if fact == "aspect":
        return row.facts["width"] / row.facts["height"] if row.facts["width"] and row.facts["height"] else None
    value = row.facts[fact]
    return None if fact in ("width", "height", "file_size") and not value else value


async def size_anew(garden: Garden) -> None:
    """Gives all images sizes with many ties, some of them unknown."""
    async with garden.database.connection() as connection:
        await connection.execute(
            "UPDATE image SET width = abs(hashtext(filename)) % 5 * 100,"
            " height = abs(hashtext(filename)) % 3 * 90 + 10, file_size = abs(hashtext(filename)) % 7 * 1000"
            " WHERE width = 640"
        )


NEW_YEAR = datetime(2024, 1, 1, tzinfo=UTC)
NAMES = ["IMG_7.jpg", "img_8.JPG", "100%_a.png", "Ü [1].png", "ü [2].PNG", "a\\b.jpg", "IMG 9.jpeg", "𝒳.jpg", "*.jpg"]
COLUMNS: dict[str, list[Any]] = {
    "taken_at": [None, NEW_YEAR, NEW_YEAR + timedelta(days=1), NEW_YEAR.replace(year=1850)],
    "camera": [None, "Canon EOS 5D", "CANON", "Apple iPhone", "_"],
    "sharpness": [None, 0.1, 0.5, -0.25, 1.4],
    "brightness": [None, 0.0, 0.3, 0.7],
    "contrast": [0.1, 0.2],
    "width": [0, 480, 640, 1919],
    "height": [0, 480, 640, 1080],
    "file_size": [0, 1, 5_000_000_000],
    "content_type": ["image/jpeg", "image/png", "image/heic", "image/heif"],
    "state": ["tagged", "tagged", "embedded"],
    "facts_version": [1],
}


async def give_facts(garden: Garden, rng: random.Random) -> None:
    """Facts of all kinds for most of the images, and names that patterns stumble over."""
    async with garden.database.connection() as connection:
        images = await (await connection.execute("SELECT id FROM image ORDER BY id")).fetchall()
        for number, (image,) in enumerate(images):
            if number % 5:
                values = {name: rng.choice(choices) for name, choices in COLUMNS.items()}
                values["filename"] = f"{number if number > 20 else ''}{NAMES[number % len(NAMES)]}"
                assignments = ", ".join(f"{name} = %({name})s" for name in values)
                with suppress(psycopg.errors.UniqueViolation):
                    statement = f"UPDATE image SET {assignments} WHERE id = %(id)s"
                    await connection.execute(statement.encode(), values | {"id": image})


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
