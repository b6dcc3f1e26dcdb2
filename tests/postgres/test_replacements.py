"""New bytes for an image: its id stays, the old ones answer until the new ones are ready, and then they go."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from pictograph.encode.noop import SPEC
from pictograph.encode.protocol import EncoderSpec
from pictograph.jobs.queue import Backlog, Queue
from pictograph.pipeline import Intake
from pictograph.spaces.encodings import Encoding, fail_images, finish_images, save_encodings
from pictograph.spaces.registry import lock_rules
from pictograph.spaces.reindex import Reindex
from pictograph.store.blobs import BlobStore
from pictograph.store.datasets import Dataset, Datasets
from pictograph.store.images import Image, Images, Place
from pictograph.store.tickets import Tickets
from pictograph.types import ImageId, ImageState, Sha256, SpaceId, empty_tags
from pictograph.upload.limits import PictureLimits
from support.engines import engine_of
from support.pictures import picture_bytes
from support.planting import Garden, direction


@pytest.fixture
def blobs(tmp_path: Path) -> BlobStore:
    return BlobStore.open(tmp_path / "blobs")


@pytest.fixture
def intake(garden: Garden, blobs: BlobStore) -> Intake:
    return Intake(garden.database, blobs, Images(garden.database), Tickets(garden.database), PictureLimits())


@pytest.fixture
async def street(garden: Garden) -> Dataset:
    return await garden.dataset()


async def rows(garden: Garden, statement: str, *values: Any) -> list[tuple[Any, ...]]:
    async with garden.database.connection() as connection:
        cursor = await connection.execute(statement.encode(), values)
        return await cursor.fetchall() if cursor.description else []


async def put(garden: Garden, intake: Intake, street: Dataset, seed: int, *, replace: bool = False) -> Image:
    place = Place(street.id, "/", "a.jpg")
    return await intake.receive(garden.organization, place, picture_bytes(seed), replace=replace)


async def finish(garden: Garden, sha256: Sha256, cosine: float, space: SpaceId | None = None) -> None:
    """As a worker would: the bytes are encoded, and every image that waits for them is made findable."""
    encoding = Encoding(sha256, direction(cosine), "planted", empty_tags() | {"objects": ["car"]}, {})
    async with garden.database.transaction() as connection:
        rules = await lock_rules(connection, space or garden.space)
        await save_encodings(connection, rules.id, [encoding])
        await finish_images(connection, rules, uuid4(), [sha256])


async def waiting_bytes(garden: Garden) -> list[bytes]:
    return [row[0] for row in await rows(garden, "SELECT sha256 FROM job ORDER BY sha256")]


async def similarity(garden: Garden, image: ImageId) -> float | None:
    """To `direction(1.0)`, as searches see it; None if they do not."""
    found = await rows(garden, "SELECT vector FROM image_embedding WHERE image_id = %s", image)
    return round(float(found[0][0].to_numpy()[0]), 2) if found else None


async def get(garden: Garden, image: ImageId) -> Image:
    return await Images(garden.database).get(garden.organization, image)


async def test_the_old_bytes_answer_until_the_new_ones_are_ready_and_then_go(
    garden: Garden, intake: Intake, street: Dataset, blobs: BlobStore
) -> None:
    old = await put(garden, intake, street, 1)
    await finish(garden, old.sha256, 0.9)
    waiting = await put(garden, intake, street, 2, replace=True)
    assert (waiting.id, waiting.sha256, waiting.state) == (old.id, old.sha256, ImageState.TAGGED)
    replacement = await Images(garden.database).replacement(old.id)
    assert replacement is not None
    assert replacement.sha256 is not None
    assert replacement.reason is None
    assert await similarity(garden, old.id) == 0.9
    assert await Datasets(garden.database).replacing(street.id) == (1, 0)
    assert await intake.sweep() == 0
    assert await blobs.get(replacement.sha256) == picture_bytes(2)
    assert await waiting_bytes(garden) == [replacement.sha256]
    await finish(garden, replacement.sha256, 0.5)
    new = await get(garden, old.id)
    assert (new.sha256, new.file_size, new.state) == (replacement.sha256, len(picture_bytes(2)), ImageState.TAGGED)
    assert (new.created_at, new.tags["objects"]) == (old.created_at, ["car"])
    assert await similarity(garden, old.id) == 0.5
    assert await Images(garden.database).replacement(old.id) is None
    assert await Datasets(garden.database).replacing(street.id) == (0, 0)
    assert await intake.sweep() == 1
    assert await rows(garden, "SELECT sha256 FROM blob") == [(new.sha256,)]
    assert await rows(garden, "SELECT sha256 FROM encoding") == [(new.sha256,)]
    actions = await rows(garden, "SELECT action FROM write_history WHERE about = %s ORDER BY id", old.id)
    assert [action for (action,) in actions] == ["uploaded", "replacing", "replaced"]


async def test_bytes_that_fail_leave_the_old_ones_and_say_so(garden: Garden, intake: Intake, street: Dataset) -> None:
    old = await put(garden, intake, street, 1)
    await finish(garden, old.sha256, 0.9)
    await put(garden, intake, street, 2, replace=True)
    (broken,) = await waiting_bytes(garden)
    async with garden.database.transaction() as connection:
        await fail_images(connection, await lock_rules(connection, garden.space), uuid4(), Sha256(broken), "cut short")
    kept = await get(garden, old.id)
    assert (kept.sha256, kept.state, kept.reason) == (old.sha256, ImageState.TAGGED, None)
    replacement = await Images(garden.database).replacement(old.id)
    assert replacement is not None
    assert (replacement.sha256, replacement.reason) == (None, "cut short")
    assert await Datasets(garden.database).replacing(street.id) == (0, 1)
    assert await rows(garden, "SELECT * FROM failure") == []
    assert await similarity(garden, old.id) == 0.9
    assert await intake.sweep() == 1
    await put(garden, intake, street, 3, replace=True)
    (better,) = await waiting_bytes(garden)
    await finish(garden, Sha256(better), 0.4)
    assert (await get(garden, old.id)).sha256 == better
    assert await Images(garden.database).replacement(old.id) is None


async def test_the_last_bytes_count_and_the_same_ones_call_it_off(
    garden: Garden, intake: Intake, street: Dataset
) -> None:
    old = await put(garden, intake, street, 1)
    await finish(garden, old.sha256, 0.9)
    await put(garden, intake, street, 2, replace=True)
    (second,) = await waiting_bytes(garden)
    await put(garden, intake, street, 3, replace=True)
    (third,) = await waiting_bytes(garden)
    assert third != second
    await finish(garden, Sha256(second), 0.1)  # a worker that had begun with the second
    assert (await get(garden, old.id)).sha256 == old.sha256
    await put(garden, intake, street, 1, replace=True)
    assert await waiting_bytes(garden) == []
    assert await Images(garden.database).replacement(old.id) is None
    assert (await get(garden, old.id)).sha256 == old.sha256
    assert await similarity(garden, old.id) == 0.9


async def test_an_image_that_nobody_finds_takes_the_bytes_at_once(
    garden: Garden, intake: Intake, street: Dataset
) -> None:
    first = await put(garden, intake, street, 1)
    second = await put(garden, intake, street, 2, replace=True)  # the first was not processed yet
    assert (second.id, second.state) == (first.id, ImageState.RECEIVED)
    assert second.sha256 != first.sha256
    assert await waiting_bytes(garden) == [second.sha256]
    await finish(garden, second.sha256, 0.9)
    await intake.archive(first.id)
    third = await put(garden, intake, street, 3, replace=True)
    assert (third.id, third.archived_at, third.state) == (first.id, None, ImageState.RECEIVED)
    assert await waiting_bytes(garden) == [third.sha256]
    await finish(garden, third.sha256, 0.7)
    await intake.archive(first.id)
    same = await put(garden, intake, street, 3, replace=True)
    assert (same.id, same.archived_at, same.sha256) == (first.id, None, third.sha256)


async def test_an_image_that_is_archived_while_its_bytes_wait_comes_back_with_them(
    garden: Garden, intake: Intake, street: Dataset
) -> None:
    old = await put(garden, intake, street, 1)
    await finish(garden, old.sha256, 0.9)
    await put(garden, intake, street, 2, replace=True)
    await intake.archive(old.id)
    await intake.restore(old.id)
    back = await get(garden, old.id)
    assert await waiting_bytes(garden) == [back.sha256]
    assert back.sha256 != old.sha256
    await finish(garden, back.sha256, 0.5)
    assert (await get(garden, old.id)).state == ImageState.TAGGED
    assert await similarity(garden, old.id) == 0.5


async def test_a_free_place_gets_a_new_image(garden: Garden, intake: Intake, street: Dataset) -> None:
    made = await put(garden, intake, street, 1, replace=True)
    assert (made.state, await waiting_bytes(garden)) == (ImageState.RECEIVED, [made.sha256])


async def test_a_reindex_finds_the_new_bytes_whenever_it_switches(
    garden: Garden, intake: Intake, street: Dataset
) -> None:
    old = await put(garden, intake, street, 1)
    await finish(garden, old.sha256, 0.9)
    reindex = Reindex(garden.database)
    other = EncoderSpec("other", SPEC.revision, SPEC.dimension, SPEC.input_px, has_text=False)
    building = await reindex.start(other, "other")
    await reindex.advance()
    await finish(garden, old.sha256, 0.8, building.id)
    await put(garden, intake, street, 2, replace=True)
    replacement = await Images(garden.database).replacement(old.id)
    assert replacement is not None
    assert replacement.sha256 is not None
    switched = await reindex.advance()
    assert switched is not None
    assert await Backlog(garden.database).depth() == (1, 0)  # in the new space
    assert len((await Queue(garden.database, switched.id).claim(1)).jobs) == 1
    await rows(garden, "UPDATE job SET claim = NULL")
    await finish(garden, replacement.sha256, 0.3, switched.id)
    assert (await get(garden, old.id)).sha256 == replacement.sha256
    vectors = await rows(garden, "SELECT space_id FROM image_embedding WHERE image_id = %s", old.id)
    assert vectors == [(switched.id,)]  # what the old space made of the old bytes is gone
    assert engine_of(garden)
