"""Sizes of scopes: always what counting would say, whoever writes, and nobody waits for anybody."""

from __future__ import annotations

import asyncio
import random
from uuid import uuid4

import pytest
from uuid_utils.compat import uuid7

from pictograph.db.pool import Connection, Database
from pictograph.encode.protocol import EncoderSpec
from pictograph.index.nearest import Scope
from pictograph.index.scopes import ScopeCounts, find_place, scope_size
from pictograph.index.writer import finish_images, remove_from_index
from pictograph.jobs.queue import enqueue
from pictograph.spaces.registry import lock_rules
from pictograph.spaces.reindex import Reindex
from pictograph.store.datasets import Dataset, Datasets
from pictograph.store.images import archive_image, delete_image, restore_image
from pictograph.types import ImageId, SpaceId
from support.planting import Garden

FOLDERS = ["/", "/a", "/a/b", "/a/b/c", "/ab", "/z"]
OTHER = EncoderSpec("other", "1", 1152, 8, has_text=False)
TRUTH = """
SELECT count(*) FROM image_embedding m JOIN folder f ON f.id = m.folder_id
WHERE m.space_id = %s AND m.dataset_id = ANY(%s) AND (f.path = %s OR starts_with(f.path, %s))"""


async def check(garden: Garden, datasets: list[Dataset], spaces: list[SpaceId]) -> int:
    """Compares every scope with the truth; the sum of all sizes."""
    ids = [dataset.id for dataset in datasets]
    total = 0
    async with garden.database.connection() as connection:
        for space in spaces:
            for folder in FOLDERS:
                for chosen in ([one] for one in ids) if len(ids) > 1 else [ids]:
                    total += await equal(connection, Scope(space, chosen, folder))
                total += await equal(connection, Scope(space, ids, folder))
    return total


async def equal(connection: Connection, scope: Scope) -> int:
    below = scope.folder_path.rstrip("/") + "/"
    row = await (
        await connection.execute(TRUTH, [scope.space_id, list(scope.datasets), scope.folder_path, below])
    ).fetchone()
    assert row is not None
    assert await scope_size(connection, scope) == row[0], scope
    return int(row[0])


class Life:
    """Random things that happen to a library."""

    def __init__(self, garden: Garden, seed: int) -> None:
        self.garden = garden
        self.random = random.Random(seed)
        self.datasets: list[Dataset] = []
        self.images: dict[ImageId, Dataset] = {}
        self.archived: set[ImageId] = set()

    async def step(self) -> None:
        acts = [self.plant] * 6 + [self.archive, self.restore, self.delete, self.move, self.add_up, self.begin]
        await self.random.choice(acts)()
        if self.random.random() < 0.03 and len(self.datasets) > 1:
            await self.drop()

    async def begin(self) -> None:
        if len(self.datasets) < 3:
            self.datasets.append(await self.garden.dataset(f"dataset {uuid4().hex}"))

    async def plant(self) -> None:
        if self.datasets:
            dataset = self.random.choice(self.datasets)
            name, folder = f"{uuid4().hex}.jpg", self.random.choice(FOLDERS)
            self.images[await self.garden.plant(dataset, name, folder=folder)] = dataset

    def some(self, *, archived: bool) -> ImageId | None:
        those = [image for image in self.images if (image in self.archived) == archived]
        return self.random.choice(those) if those else None

    async def archive(self) -> None:
        if image := self.some(archived=False):
            async with self.garden.database.transaction() as connection:
                await archive_image(connection, image)
                await remove_from_index(connection, image)
            self.archived.add(image)

    async def restore(self) -> None:
        if image := self.some(archived=True):
            async with self.garden.database.transaction() as connection:
                await restore_image(connection, image)
                await enqueue(connection, image)
            await self.finish([image])
            self.archived.discard(image)

    async def finish(self, images: list[ImageId]) -> None:
        async with self.garden.database.transaction() as connection:
            rows = await (
                await connection.execute("SELECT DISTINCT sha256 FROM image WHERE id = ANY(%s)", [images])
            ).fetchall()
            rules = await lock_rules(connection, self.garden.space)
            await finish_images(connection, rules, uuid7(), [sha256 for (sha256,) in rows])

    async def delete(self) -> None:
        if image := self.some(archived=self.random.random() < 0.5):
            async with self.garden.database.transaction() as connection:
                await delete_image(connection, image)
            del self.images[image]

    async def move(self) -> None:
        """No API moves an image, but a writer may."""
        statement = """
            UPDATE image_embedding m SET folder_id = f.id FROM folder f
            WHERE f.dataset_id = m.dataset_id AND f.path = %s AND abs(hashtext(m.image_id::text)) %% 3 = 0"""
        async with self.garden.database.transaction() as connection:
            await connection.execute(statement, [self.random.choice(FOLDERS)])

    async def add_up(self) -> None:
        await ScopeCounts(self.garden.database).add_up()

    async def drop(self) -> None:
        gone = self.datasets.pop(self.random.randrange(len(self.datasets)))
        await Datasets(self.garden.database).delete(self.garden.organization, str(gone.id))
        self.images = {image: dataset for image, dataset in self.images.items() if dataset is not gone}


@pytest.mark.parametrize("seed", range(4))
async def test_sizes_are_what_counting_says_whatever_happens(garden: Garden, seed: int) -> None:
    life = Life(garden, seed)
    await life.begin()
    largest = 0
    for _ in range(12):
        for _ in range(10):
            await life.step()
        largest = max(largest, await check(garden, life.datasets, [garden.space]))
    assert largest > 50


async def rows_of(database: Database) -> list[tuple[int, int]]:
    async with database.connection() as connection:
        found = await connection.execute("SELECT space_id, images FROM scope_count ORDER BY 1, 2")
        return [(space, images) for space, images in await found.fetchall()]


async def test_sizes_follow_a_reindex_its_switch_and_the_end_of_the_old_space(garden: Garden) -> None:
    street = await garden.dataset()
    for number in range(5):
        await garden.plant(street, f"{number}.jpg", folder="/a/b")
    reindex, counts = Reindex(garden.database), ScopeCounts(garden.database)
    new = await reindex.start(OTHER, "other")
    await reindex.advance()
    async with garden.database.transaction() as connection:
        await connection.execute(
            "INSERT INTO encoding (space_id, sha256, vector, tags) SELECT %s, sha256, vector, tags FROM encoding",
            [new.id],
        )
        rows = await (await connection.execute("SELECT sha256 FROM encoding WHERE space_id = %s", [new.id])).fetchall()
        await finish_images(connection, await lock_rules(connection, new.id), uuid4(), [sha256 for (sha256,) in rows])
    assert await check(garden, [street], [garden.space, new.id]) == 2 * 2 * 3 * 5
    assert await reindex.advance() is not None
    await check(garden, [street], [garden.space, new.id])
    await counts.add_up()
    assert await rows_of(garden.database) == [(garden.space, 5)] * 3 + [(new.id, 5)] * 3
    assert await reindex.forget_previous() == 1
    await check(garden, [street], [garden.space, new.id])
    await counts.add_up()
    assert await rows_of(garden.database) == [(new.id, 5)] * 3


async def test_nothing_is_left_of_a_deleted_dataset(garden: Garden) -> None:
    street = await garden.dataset()
    for folder in FOLDERS:
        await garden.plant(street, "x.jpg", folder=folder)
    await Datasets(garden.database).delete(garden.organization, street.name)
    await ScopeCounts(garden.database).add_up()
    assert await rows_of(garden.database) == []


async def test_a_truncated_table_has_no_images(garden: Garden) -> None:
    await garden.plant(await garden.dataset(), "x.jpg")
    async with garden.database.connection() as connection:
        await connection.execute("TRUNCATE image_embedding")
    assert await rows_of(garden.database) == []


async def test_writers_that_touch_the_same_folders_in_opposite_order_never_wait_for_each_other(garden: Garden) -> None:
    street = await garden.dataset()
    for folder in ("/a", "/b"):
        for number in range(2):
            await garden.plant(street, f"{number}.jpg", folder=folder)
    remove = """
        DELETE FROM image_embedding m USING image i JOIN folder f ON f.id = i.folder_id
        WHERE i.id = m.image_id AND f.path = %s AND i.filename = %s"""
    async with garden.database.transaction() as first, garden.database.transaction() as second:
        await first.execute(remove, ["/a", "0.jpg"])
        await second.execute(remove, ["/b", "1.jpg"])
        async with asyncio.timeout(5):
            await first.execute(remove, ["/b", "0.jpg"])
            await second.execute(remove, ["/a", "1.jpg"])
            await ScopeCounts(garden.database).add_up()
    assert await check(garden, [street], [garden.space]) == 0


async def test_adding_up_beside_writers_loses_nothing(garden: Garden) -> None:
    street = await garden.dataset()

    async def write(lane: int) -> None:
        for number in range(15):
            image = await garden.plant(street, f"{lane}-{number}.jpg", folder=FOLDERS[number % 3])
            if number % 4 == 0:
                async with garden.database.transaction() as connection:
                    await delete_image(connection, image)

    async def add_up() -> None:
        for _ in range(20):
            await ScopeCounts(garden.database).add_up()

    await asyncio.gather(*(write(lane) for lane in range(3)), add_up(), add_up())
    await check(garden, [street], [garden.space])
    await ScopeCounts(garden.database).add_up()
    assert await check(garden, [street], [garden.space]) > 0


async def test_the_folders_of_a_scope_are_those_at_and_below_its_path(garden: Garden) -> None:
    street = await garden.dataset()
    for folder in FOLDERS:
        await garden.plant(street, "x.jpg", folder=folder)
    async with garden.database.connection() as connection:
        assert (await find_place(connection, Scope(garden.space, [street.id], "/"))).folder_ids is None
        assert len((await find_place(connection, Scope(garden.space, [street.id], "/a"))).folder_ids or ()) == 3
        assert len((await find_place(connection, Scope(garden.space, [street.id], "/nowhere"))).folder_ids or ()) == 0
