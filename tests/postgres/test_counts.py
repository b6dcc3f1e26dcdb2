"""Counts of images are kept, not made: whatever writes, they are what counting would give."""

from __future__ import annotations

import asyncio
import random
import re
from typing import Any

import pytest

from pictograph.pipeline import Intake
from pictograph.store import counts as counts_module
from pictograph.store import datasets as datasets_module
from pictograph.store.blobs import BlobStore
from pictograph.store.counts import ImageCounts, count_by_state
from pictograph.store.datasets import Dataset, Datasets
from pictograph.store.images import ImageFilter, Images, delete_image
from pictograph.store.tickets import Tickets
from pictograph.types import ImageId, ImageState
from pictograph.upload.limits import PictureLimits
from support.planting import Garden

KEPT = """
SELECT dataset_id, folder_id, state, archived, sum(images)::bigint, sum(bytes)::bigint FROM image_count
GROUP BY 1, 2, 3, 4 HAVING sum(images) <> 0 OR sum(bytes) <> 0 ORDER BY 1, 2, 3, 4"""
COUNTED = """
SELECT dataset_id, folder, state, archived_at IS NOT NULL, count(*), sum(file_size)::bigint
FROM image, LATERAL (VALUES (0::bigint), (folder_id)) AS level (folder) GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4"""


async def rows(garden: Garden, statement: str) -> list[tuple[Any, ...]]:
    async with garden.database.connection() as connection:
        cursor = await connection.execute(statement.encode())
        return await cursor.fetchall() if cursor.description else []


async def test_counts_are_what_counting_gives_after_any_writes(garden: Garden) -> None:
    rng = random.Random(1)
    intake = Intake(
        garden.database, BlobStore.open("memory://"), Images(garden.database), Tickets(garden.database), PictureLimits()
    )
    datasets = [await garden.dataset(name) for name in ("a", "b")]
    images: list[ImageId] = []
    for number in range(60):
        act = rng.choice(["receive", "plant", "plant", "archive", "restore", "delete", "fail", "move", "add up"])
        image = rng.choice(images) if images else None
        if act in ("receive", "plant"):
            plant = garden.receive if act == "receive" else garden.plant
            images.append(await plant(rng.choice(datasets), f"{number}", folder=rng.choice(["/", "/x", "/x/y"])))
        elif act == "add up":
            await ImageCounts(garden.database).add_up()
        elif image is None:
            continue
        elif act == "archive":
            await intake.archive(image)
        elif act == "restore":
            await intake.restore(image)
        elif act == "delete":
            async with garden.database.transaction() as connection:
                await delete_image(connection, image)
            images.remove(image)
        elif act == "fail":
            await rows(garden, f"UPDATE image SET state = 'failed' WHERE id = '{image}'")
        elif act == "move":
            await rows(
                garden,
                "UPDATE image SET file_size = file_size + 1, folder_id = (SELECT max(id) FROM folder "
                f"WHERE folder.dataset_id = image.dataset_id) WHERE id = '{image}'",
            )
        assert await rows(garden, KEPT) == await rows(garden, COUNTED), act
    await Datasets(garden.database).delete(garden.organization, "a")
    await ImageCounts(garden.database).add_up()
    assert await rows(garden, KEPT) == await rows(garden, COUNTED)
    assert await rows(garden, f"SELECT * FROM image_count WHERE dataset_id = '{datasets[0].id}'") == []
    await rows(garden, "TRUNCATE image CASCADE")
    assert await rows(garden, KEPT) == []


async def test_counts_are_added_up_beside_writers_without_losing_any(garden: Garden) -> None:
    street = await garden.dataset()
    counts = ImageCounts(garden.database)

    async def write(lane: int) -> None:
        for number in range(10):
            await garden.receive(street, f"{lane}-{number}", folder=f"/{lane}")

    await asyncio.gather(*(write(lane) for lane in range(3)), counts.add_up(), counts.add_up())
    await counts.add_up()
    assert await rows(garden, KEPT) == await rows(garden, COUNTED)
    assert await counts.add_up() == 0
    assert await rows(garden, "SELECT count(*) FROM image_count") == [(4,)]  # the dataset and three folders


@pytest.mark.parametrize("statement", [datasets_module.LIST, datasets_module.BY_ID, counts_module.COUNT])
async def test_no_image_is_read_to_list_datasets_or_to_count(garden: Garden, statement: str) -> None:
    values: dict[str, object] = dict.fromkeys(("after_time", "after_id", "limit", "state"))
    values |= {"organization": garden.organization, "id": garden.organization, "dataset": garden.organization}
    values |= {"folder": 0, "archived": True, "offset": 0}
    async with garden.database.connection() as connection:
        cursor = await connection.execute(f"EXPLAIN {statement}".encode(), values)
        plan = "\n".join(row[0] for row in await cursor.fetchall())
    assert re.search(r" on image_count\b", plan)
    assert not re.search(r" on image\b", plan)


async def deep(garden: Garden, street: Dataset, wanted: ImageFilter, limit: int) -> list[str]:
    names, cursor = [], None
    while True:
        page = await Images(garden.database).list(garden.organization, street.id, wanted, limit=limit, cursor=cursor)
        names += [row.filename for row in page.rows]
        if (cursor := page.next_cursor) is None:
            return names


async def test_pages_join_to_the_whole_across_images_of_one_moment_and_every_filter(garden: Garden) -> None:
    street = await garden.dataset()
    for number in range(12):
        await garden.receive(street, f"{number:02}", folder="/a" if number % 3 else "/")
    await rows(garden, "UPDATE image SET created_at = date_trunc('hour', created_at) WHERE filename < '09'")
    await rows(garden, "UPDATE image SET state = 'failed' WHERE filename IN ('01', '02', '07', '10')")
    await rows(garden, "UPDATE image SET archived_at = now() WHERE filename IN ('03', '10')")
    for wanted in (
        ImageFilter(),
        ImageFilter(include_archived=True),
        ImageFilter(folder_path="/a"),
        ImageFilter(state=ImageState.FAILED),
        ImageFilter(folder_path="/a", state=ImageState.FAILED, include_archived=True),
        ImageFilter(filename="07"),
    ):
        whole = await Images(garden.database).list(garden.organization, street.id, wanted, limit=100)
        assert whole.total == len(whole.rows) > 0
        for limit in (1, 2, 5):
            assert await deep(garden, street, wanted, limit) == [row.filename for row in whole.rows]


async def test_every_state_is_counted(garden: Garden) -> None:
    street = await garden.dataset()
    await garden.receive(street, "a")
    async with garden.database.connection() as connection:
        assert await count_by_state(connection, street.id) == dict.fromkeys(ImageState, 0) | {ImageState.RECEIVED: 1}
