"""Who writes rows of several images waits for others, but never in a circle: PostgreSQL counts no deadlock at all."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from uuid import uuid4

import psycopg
import pytest

from pictograph.bulk.door import VectorDoor
from pictograph.db.pool import Connection, Database
from pictograph.encode.protocol import EncoderSpec
from pictograph.errors import ConflictError, NotFoundError
from pictograph.jobs.queue import Queue
from pictograph.pipeline import Intake
from pictograph.spaces.encodings import Encoding, fail_images, finish_images, lock_waiting, save_encodings
from pictograph.spaces.registry import Spaces, lock_rules
from pictograph.spaces.reindex import Reindex
from pictograph.store.blobs import BlobStore
from pictograph.store.datasets import Dataset, Datasets
from pictograph.store.images import Images, Place
from pictograph.store.tickets import Tickets
from pictograph.tagging.library.thresholds import Thresholds
from pictograph.tagging.taxonomy import load_taxonomy
from pictograph.types import ImageId, Sha256, SpaceId
from pictograph.upload.limits import PictureLimits
from support.pictures import picture_bytes
from support.planting import Garden, direction
from support.vectors import ENCODER, stream_of, vector_table

ROUNDS = 6
IMAGES = 40
LABEL = load_taxonomy().names("objects")[0]
SCORES = {f"objects/{LABEL}": 0.5}
NEXT = EncoderSpec("next", "1", 1152, 224, has_text=False)


def deadlocks(database_url: str) -> int:
    """What the server counted in this database; sessions tell it when they end."""
    with psycopg.connect(database_url) as connection:
        row = connection.execute("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()").fetchone()
    assert row is not None
    return int(row[0])


async def finish_some(garden: Garden, space: SpaceId, chance: random.Random) -> None:
    """What a worker does with a claim: most images are finished, some fail."""
    claim = await Queue(garden.database, space, timedelta(seconds=20)).claim(16)
    sha256s = [job.sha256 for job in claim.jobs]
    chance.shuffle(sha256s)
    failed: Sequence[Sha256] = sha256s[:2]
    good = sha256s[2:]

    async def step(connection: Connection) -> None:
        rules = await lock_rules(connection, space)
        locked = await lock_waiting(connection, space, sha256s)
        encodings = [
            Encoding(one, direction(1.0), "planted", {"objects": [LABEL], "scenes": [], "attributes": []}, SCORES)
            for one in good
        ]
        await save_encodings(connection, space, encodings)
        await finish_images(connection, rules, claim.id, good, locked=locked)
        for sha256 in failed:
            await fail_images(connection, rules, claim.id, sha256, "too strange", locked=locked)

    await garden.database.write(step)


@pytest.mark.parametrize("seed", [1, 2])
async def test_a_dataset_is_deleted_under_workers_and_everybody_else_who_writes_without_a_deadlock(
    database_url: str, seed: int, tmp_path: object
) -> None:
    chance = random.Random(seed)
    database = Database(database_url, max_connections=24)
    await database.open()
    garden = await Garden.open(database)
    datasets, reindex = Datasets(database), Reindex(database)
    intake = Intake(database, BlobStore.open(f"{tmp_path}/blobs"), Images(database), Tickets(database), PictureLimits())
    thresholds = Thresholds(database, load_taxonomy())
    building = await reindex.start(NEXT, "next")

    async def upload(dataset: Dataset, images: list[ImageId]) -> None:
        for number in range(IMAGES):
            images.append(
                await garden.receive(dataset, uuid4().hex, folder=f"/{number % 3}", content=bytes([seed, number % 25]))
            )

    async def replace_one(dataset: Dataset) -> None:
        """One of few images gets other bytes, or is made."""
        place = Place(dataset.id, "/replaced", f"{chance.randrange(5)}.jpg")
        await intake.receive(garden.organization, place, picture_bytes(chance.randrange(20)), replace=True)

    door = VectorDoor(database, Spaces(database), lambda _category, _label: True)

    async def bring(dataset: Dataset) -> None:
        """Some of few places, in any order: new ones, known ones, others than there are."""
        numbers = chance.sample(range(30), 12)
        cosines = [chance.choice([1.0, 0.9, 0.8, 0.7]) for _ in numbers]
        table = vector_table(
            cosines,
            filename=[f"{number}.jpg" for number in numbers],
            folder_path=[f"/brought/{number % 4}" for number in numbers],
        )
        space, rows = await door.read(stream_of(table), ENCODER)
        await door.store(garden.organization, dataset.id, space, rows, replace=chance.random() < 0.5)

    for round_ in range(ROUNDS):
        doomed, kept = await garden.dataset(f"doomed {round_}"), await garden.dataset(f"kept {round_}")
        images: list[ImageId] = []
        done = asyncio.Event()
        await asyncio.gather(upload(doomed, images), upload(kept, images))

        async def again_and_again(step: Callable[[], Awaitable[object]], done: asyncio.Event = done) -> None:
            while not done.is_set():
                with contextlib.suppress(ConflictError, NotFoundError):  # image or dataset are gone, as they shall be
                    await step()
                await asyncio.sleep(0)

        async def delete(doomed: Dataset = doomed, done: asyncio.Event = done) -> None:
            await asyncio.sleep(chance.uniform(0.05, 0.3))
            deleted = await datasets.delete(garden.organization, str(doomed.id))
            assert deleted.images_deleted >= 0
            await asyncio.sleep(0.05)
            done.set()

        writers: list[Callable[[], Awaitable[object]]] = [
            lambda: finish_some(garden, garden.space, chance),
            lambda: finish_some(garden, garden.space, chance),
            lambda: finish_some(garden, building.id, chance),
            lambda images=images: intake.archive(chance.choice(images)),  # type: ignore[misc]
            lambda images=images: intake.restore(chance.choice(images)),  # type: ignore[misc]
            lambda images=images: intake.delete(chance.choice(images)),  # type: ignore[misc]
            lambda doomed=doomed: replace_one(doomed),  # type: ignore[misc]
            lambda kept=kept: replace_one(kept),  # type: ignore[misc]
            *(lambda doomed=doomed: bring(doomed) for _ in range(2)),  # type: ignore[misc]
            *(lambda kept=kept: bring(kept) for _ in range(3)),  # type: ignore[misc]
            lambda doomed=doomed: intake.retry_failed(doomed.id),  # type: ignore[misc]
            lambda kept=kept: intake.retry_failed(kept.id),  # type: ignore[misc]
            reindex.advance,
            lambda: reindex.start(NEXT, "next", chance.uniform(0.1, 1)),
            lambda: thresholds.apply(garden.organization, LABEL, chance.choice([0.4, 0.6]), category="objects"),
        ]  # fmt: skip
        async with asyncio.timeout(60), asyncio.TaskGroup() as group:
            group.create_task(delete())
            for writer in writers:
                group.create_task(again_and_again(writer))
    await database.close()
    assert deadlocks(database_url) == 0
