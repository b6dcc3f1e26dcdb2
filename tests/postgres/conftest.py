"""What tests of searches share."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest

from pictograph.pipeline import Intake
from pictograph.store.blobs import BlobStore
from pictograph.store.images import Images
from pictograph.store.tickets import Tickets
from pictograph.types import ImageId
from pictograph.upload.limits import PictureLimits
from support.engines import ReadingEncoder, engine_of
from support.index import TestIndex
from support.planting import Garden
from support.world import FOLDERS, WAYS, World, give_facts, rows_of, size_anew, someone


@pytest.fixture(params=WAYS)
async def world(
    request: pytest.FixtureRequest, garden: Garden, database_url: str, tmp_path: Path
) -> AsyncIterator[World]:
    """120 images, then changes of every kind: new ones, deleted, archived, restored, other tags, other vectors."""
    rng, numbers = random.Random(7), np.random.default_rng(7)
    datasets = [await garden.dataset(name) for name in ("street", "shop")]
    twin, _ = someone(rng, numbers)

    async def plant(number: int) -> ImageId:
        vector, tags = someone(rng, numbers)
        dataset, folder = datasets[number % 3 == 0], rng.choice(FOLDERS)
        return await garden.plant(
            dataset, f"{number}.jpg", twin if number % 10 == 0 else vector, folder=folder, tags=tags
        )

    images = [await plant(number) for number in range(120)]
    await size_anew(garden)
    kept = TestIndex(database_url, tmp_path / "index")
    if request.param == "lagging index":
        await kept.up_to_date()
    intake = Intake(
        garden.database, BlobStore.open("memory://"), Images(garden.database), Tickets(garden.database), PictureLimits()
    )
    for image in images[3:60:9]:
        await intake.delete(image)
    for image in images[4:60:9]:
        await intake.archive(image)
    await intake.restore(images[13])
    async with garden.database.connection() as connection:
        for image in images[5:60:9]:
            await connection.execute(
                "UPDATE image SET image_auto_tags = %s::jsonb WHERE id = %s",
                ['{"objects": ["unicycle"], "scenes": ["indoor"], "attributes": []}', image],
            )
        for image in images[6:60:9]:
            await connection.execute(
                "UPDATE image_embedding SET vector = (SELECT vector FROM image_embedding WHERE image_id = %s LIMIT 1)"
                " WHERE image_id = %s",
                [images[100], image],
            )
    await give_facts(garden, rng)
    for number in range(120, 150):
        await plant(number)
    await garden.receive(datasets[0], "waiting.jpg")
    await size_anew(garden)
    if request.param == "index":
        await kept.up_to_date()
    engine = engine_of(garden, encoder=ReadingEncoder(), index=None if request.param == "table" else kept.memory)
    yield World(garden, datasets, engine, await rows_of(garden), request.param)
    engine.close()
    await kept.close()
