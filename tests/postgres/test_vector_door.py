"""Images that came as vectors through the rest of their life: archived, deleted, replaced, reindexed, moved."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from uuid import uuid4

import pyarrow as pa
import pytest

from pictograph.bulk import door as door_module
from pictograph.bulk.door import VectorDoor, Verdicts
from pictograph.db.pool import Connection
from pictograph.encode.protocol import EncoderSpec
from pictograph.errors import NotFoundError, ValidationError
from pictograph.ingest.sweep import FORGOTTEN_AFTER_SWEEPS
from pictograph.pipeline import Intake
from pictograph.spaces.registry import Spaces
from pictograph.spaces.reindex import Reindex
from pictograph.store.blobs import BlobStore
from pictograph.store.datasets import Dataset, Datasets
from pictograph.store.images import Image, ImageFilter, Images
from pictograph.store.library import require_own_blobs
from pictograph.store.tickets import Tickets
from pictograph.types import DatasetId, ImageId
from pictograph.upload.limits import PictureLimits
from support.planting import Garden
from support.vectors import ENCODER, stream_of, vector_table

TAGS = {"objects": [["car"], ["person"]]}


@pytest.fixture
async def street(garden: Garden) -> Dataset:
    return await garden.dataset()


@pytest.fixture
def door(garden: Garden) -> VectorDoor:
    return VectorDoor(garden.database, Spaces(garden.database), lambda _category, _label: True)


@pytest.fixture
def blobs(tmp_path: Path) -> BlobStore:
    return BlobStore.open(tmp_path / "blobs")


@pytest.fixture
def intake(garden: Garden, blobs: BlobStore) -> Intake:
    database = garden.database
    return Intake(database, blobs, Images(database), Tickets(database), PictureLimits())


async def brought(door: VectorDoor, garden: Garden, dataset: DatasetId, table: Any, **options: Any) -> Verdicts:
    space, rows = await door.read(stream_of(table), ENCODER)
    return await door.store(garden.organization, dataset, space, rows, **options)


async def images_of(garden: Garden, dataset: Dataset) -> dict[str, Image]:
    listed = await Images(garden.database).list(
        garden.organization, dataset.id, ImageFilter(include_archived=True), limit=100
    )
    return {image.filename: image for image in listed.rows}


async def test_an_archived_one_comes_again_at_once_or_by_a_worker(
    garden: Garden, street: Dataset, door: VectorDoor, intake: Intake
) -> None:
    table = vector_table([1.0, 0.9], **TAGS)
    await brought(door, garden, street.id, table)
    image = (await images_of(garden, street))["0.9.jpg"]
    await intake.archive(image.id)
    again = await brought(door, garden, street.id, table)
    assert (again.skipped, list(again.restored.values())) == ([0], [image.id])
    back = (await images_of(garden, street))["0.9.jpg"]
    assert (back.archived_at, back.state, back.tags["objects"]) == (None, "tagged", ["person"])
    async with garden.database.connection() as connection:
        found = await (await connection.execute("SELECT count(*) FROM image_embedding")).fetchone()
    assert found == (2,)


async def test_deleted_for_good_leaves_nothing_and_asks_for_no_file(
    garden: Garden, street: Dataset, door: VectorDoor, intake: Intake, tmp_path: Path
) -> None:
    await brought(door, garden, street.id, vector_table([1.0, 0.9], **TAGS))
    images = await images_of(garden, street)
    gone = images["0.9.jpg"]
    await intake.delete(gone.id)
    assert [await intake.sweep() for _ in range(FORGOTTEN_AFTER_SWEEPS + 1)] == [0] * (FORGOTTEN_AFTER_SWEEPS + 1)
    async with garden.database.connection() as connection:
        for table in ("blob", "encoding"):
            rows = await (await connection.execute(f"SELECT sha256 FROM {table}".encode())).fetchall()
            assert [row[0] for row in rows] == [images["1.0.jpg"].sha256]


async def test_a_move_of_the_files_does_not_look_for_what_is_not_there(
    garden: Garden, street: Dataset, door: VectorDoor, blobs: BlobStore
) -> None:
    await brought(door, garden, street.id, vector_table([1.0, 0.9]))
    told: list[tuple[int, int]] = []
    await require_own_blobs(garden.database, blobs, "here", adopt=lambda *seen: told.append(seen))
    assert told == [(0, 0)]


async def test_a_reindex_that_would_leave_them_behind_says_how_many(
    garden: Garden, street: Dataset, door: VectorDoor
) -> None:
    await brought(door, garden, street.id, vector_table([1.0, 0.9]))
    images = await images_of(garden, street)
    new = await Reindex(garden.database).start(EncoderSpec("new", "1", 1152, 224, has_text=False), "new")
    await Reindex(garden.database).advance()
    async with garden.database.transaction() as connection:  # what a worker does: test_processor
        await connection.execute(
            "INSERT INTO failure (image_id, space_id, reason) SELECT image_id, space_id, 'no picture' FROM job"
        )
        await connection.execute("DELETE FROM job")
    seen = await Reindex(garden.database).progress(garden.organization)
    assert (seen.new_failures, seen.left_behind, seen.needs_decision) == (2, 2, True)
    await Reindex(garden.database).accept_failures()
    assert (await Reindex(garden.database).advance() or new).id == new.id
    assert {image.state for image in (await images_of(garden, street)).values()} == {"failed"}
    with pytest.raises(ValidationError, match="new@1"):
        await brought(door, garden, street.id, vector_table([1.0]))
    space, rows = await door.read(stream_of(vector_table([0.8], filename=["1.0.jpg"])), "new@1")
    verdicts = await door.store(garden.organization, street.id, space, rows, replace=True)
    assert list(verdicts.replaced.values()) == [images["1.0.jpg"].id]
    assert (await images_of(garden, street))["1.0.jpg"].state == "tagged"


async def test_rows_that_were_read_before_a_switch_are_not_stored_behind_it(
    garden: Garden, street: Dataset, door: VectorDoor
) -> None:
    space, rows = await door.read(stream_of(vector_table([1.0])), ENCODER)
    await Reindex(garden.database).start(EncoderSpec("new", "1", 1152, 224, has_text=False), "new")
    await Reindex(garden.database).advance()
    with pytest.raises(ValidationError, match="new@1"):
        await door.store(garden.organization, street.id, space, rows)
    assert await images_of(garden, street) == {}


async def test_a_dataset_that_is_deleted_meanwhile_gets_nothing(
    garden: Garden, street: Dataset, door: VectorDoor
) -> None:
    await Datasets(garden.database).delete(garden.organization, street.name)
    with pytest.raises(NotFoundError):
        await brought(door, garden, street.id, vector_table([1.0]))
    with pytest.raises(NotFoundError):
        await brought(door, garden, DatasetId(uuid4()), vector_table([1.0]))


async def test_the_same_rows_at_the_same_moment_become_each_one_image(
    garden: Garden, street: Dataset, door: VectorDoor
) -> None:
    table = vector_table([1.0, 0.9, 0.8], folder_path=["/a", "/b", "/a/c"])
    both = await asyncio.gather(*(brought(door, garden, street.id, table) for _ in range(4)))
    assert sorted(len(one.new) for one in both) == [0, 0, 0, 3]
    assert sorted(len(one.skipped) for one in both) == [0, 3, 3, 3]
    assert len(await images_of(garden, street)) == 3


async def test_an_import_that_others_overtake_again_and_again_comes_to_an_end(
    garden: Garden, street: Dataset, door: VectorDoor, monkeypatch: pytest.MonkeyPatch
) -> None:
    places = [f"{number}.jpg" for number in range(10)]
    await brought(door, garden, street.id, vector_table([0.5], filename=places[:1]))
    others, overtakers = iter(places[1:]), set[asyncio.Task[Verdicts]]()
    lock = door_module.lock_in_parts

    async def lock_and_be_overtaken(connection: Connection, images: Sequence[ImageId]) -> set[ImageId]:
        locked = await lock(connection, images)
        if asyncio.current_task() not in overtakers:
            other = vector_table([0.6], filename=[next(others)])
            overtakers.add(asyncio.create_task(brought(door, garden, street.id, other)))
            await asyncio.wait(overtakers, timeout=0.5)
        return locked

    monkeypatch.setattr(door_module, "lock_in_parts", lock_and_be_overtaken)
    verdicts = await brought(door, garden, street.id, vector_table([0.9] * 10, filename=places), replace=True)
    await asyncio.gather(*overtakers)
    assert len(verdicts.new) + len(verdicts.replaced) == 10
    assert len(await images_of(garden, street)) == 10


async def test_a_new_image_and_one_that_is_replaced_may_have_the_same_vector(
    garden: Garden, street: Dataset, door: VectorDoor
) -> None:
    await brought(door, garden, street.id, vector_table([0.5], filename=["old.jpg"]))
    verdicts = await brought(
        door, garden, street.id, vector_table([0.9, 0.9], filename=["new.jpg", "old.jpg"]), replace=True
    )
    assert (verdicts.new, list(verdicts.replaced)) == ([0], [1])


async def test_two_organizations_with_the_same_rows_have_nothing_in_common(
    garden: Garden, street: Dataset, door: VectorDoor
) -> None:
    other = await Garden.open(garden.database, "other")
    await brought(door, garden, street.id, vector_table([1.0]))
    await brought(door, other, (await other.dataset()).id, vector_table([1.0]))
    async with garden.database.connection() as connection:
        counted = await (await connection.execute("SELECT count(DISTINCT sha256) FROM encoding")).fetchone()
    assert counted == (2,)


async def test_facts_and_moments_are_those_of_the_rows(garden: Garden, street: Dataset, door: VectorDoor) -> None:

    moments = pa.array([1_600_000_000_000_000, None], pa.timestamp("us", "UTC"))
    facts = {"width": [640, None], "height": [480, None], "file_size": [1234, None]}
    await brought(door, garden, street.id, vector_table([1.0, 0.9], created_at=moments, **facts))
    images = await images_of(garden, street)
    first, second = images["1.0.jpg"], images["0.9.jpg"]
    assert (first.width, first.height, first.file_size, first.created_at.year) == (640, 480, 1234, 2020)
    assert (second.width, second.created_at.year >= 2025) == (0, True)
    assert first.has_bytes is False
