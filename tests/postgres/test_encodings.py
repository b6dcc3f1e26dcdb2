"""What the worker writes: all of it or nothing, for every image with the same bytes."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

import numpy as np
import numpy.typing as npt
import psycopg
import pytest

from pictograph.jobs.queue import Backlog, Claim, Queue, retry_later
from pictograph.jobs.retry import delay_before_retry
from pictograph.spaces.encodings import (
    Encoding,
    fail_images,
    finish_images,
    known_encodings,
    remove_from_index,
    save_encodings,
)
from pictograph.spaces.registry import lock_rules
from pictograph.store.datasets import Dataset
from pictograph.store.images import Images, Tagging, archive_image
from pictograph.types import ImageId, Sha256, SpaceId, Tags
from support.planting import Garden, direction

TAGS: Tags = {"objects": ["car"], "scenes": [], "attributes": ["dark"]}


@pytest.fixture
async def street(garden: Garden) -> Dataset:
    return await garden.dataset()


@pytest.fixture
async def space(garden: Garden) -> SpaceId:
    return garden.space


def encoding(sha256: Sha256, vector: npt.NDArray[np.float32] | None = None, tags: Tags | None = TAGS) -> Encoding:
    scores = {"objects/car": 0.9} if tags else None
    return Encoding(sha256, direction(1.0) if vector is None else vector, "tagger-1" if tags else None, tags, scores)


async def rows(garden: Garden, statement: str, *values: Any) -> list[tuple[Any, ...]]:
    async with garden.database.connection() as connection:
        return await (await connection.execute(statement.encode(), values)).fetchall()


async def finish(garden: Garden, space: SpaceId, claim: UUID, *encodings: Encoding) -> int:
    async with garden.database.transaction() as connection:
        await save_encodings(connection, space, encodings)
        return await finish_images(
            connection, await lock_rules(connection, space), claim, [item.sha256 for item in encodings]
        )


async def claimed(garden: Garden) -> Claim:
    return await Queue(garden.database, garden.space).claim(100)


async def state(garden: Garden, image: ImageId) -> tuple[str, str | None]:
    found = await Images(garden.database).get(garden.organization, image)
    return found.state, found.reason


async def indexed(garden: Garden) -> set[ImageId]:
    return {row[0] for row in await rows(garden, "SELECT image_id FROM image_embedding")}


async def test_finishing_makes_an_image_tagged_findable_and_ends_its_job(
    garden: Garden, street: Dataset, space: SpaceId
) -> None:
    image = await garden.receive(street, "a.jpg")
    claim = await claimed(garden)
    assert await finish(garden, space, claim.id, encoding(claim.jobs[0].sha256)) == 1
    found = await Images(garden.database).get(garden.organization, image)
    assert (found.state, found.tags) == ("tagged", TAGS)
    assert await Images(garden.database).tagging(found) == Tagging("tagger-1", {"objects/car": 0.9})
    assert await indexed(garden) == {image}
    assert await Backlog(garden.database).depth() == (0, 0)


async def test_without_a_tagger_an_image_is_embedded_and_keeps_empty_tags(
    garden: Garden, street: Dataset, space: SpaceId
) -> None:
    image = await garden.receive(street, "a.jpg")
    claim = await claimed(garden)
    await finish(garden, space, claim.id, encoding(claim.jobs[0].sha256, tags=None))
    found = await Images(garden.database).get(garden.organization, image)
    assert (found.state, found.tags) == ("embedded", {"objects": [], "scenes": [], "attributes": []})
    assert await indexed(garden) == {image}


async def test_a_failure_in_the_middle_leaves_nothing_behind(garden: Garden, street: Dataset, space: SpaceId) -> None:
    image = await garden.receive(street, "a.jpg")
    claim = await claimed(garden)

    async def interrupted() -> None:
        async with garden.database.transaction() as connection:
            await save_encodings(connection, space, [encoding(claim.jobs[0].sha256)])
            await finish_images(connection, await lock_rules(connection, space), claim.id, [claim.jobs[0].sha256])
            await connection.execute("SELECT 1/0")

    with pytest.raises(psycopg.errors.DivisionByZero):
        await interrupted()
    assert await state(garden, image) == ("received", None)
    assert await indexed(garden) == set()
    assert await rows(garden, "SELECT 1 FROM encoding") == []
    assert await Backlog(garden.database).depth() == (1, 1)


async def test_one_finish_ends_the_jobs_of_every_image_with_the_same_bytes(
    garden: Garden, street: Dataset, space: SpaceId
) -> None:
    others = await Garden.open(garden.database, "others")
    theirs = await others.dataset()
    images = [await garden.receive(street, f"{n}.jpg", content=b"same") for n in range(3)]
    foreign = await others.receive(theirs, "x.jpg", content=b"same")
    claim = await claimed(garden)
    assert len(claim.jobs) == 1
    assert await finish(garden, space, claim.id, encoding(claim.jobs[0].sha256)) == 4
    assert await indexed(garden) == {*images, foreign}
    assert await Backlog(garden.database).depth() == (0, 0)
    assert len(await rows(garden, "SELECT 1 FROM encoding")) == 1


async def test_a_job_that_another_worker_claimed_meanwhile_is_left_to_it(
    garden: Garden, street: Dataset, space: SpaceId
) -> None:
    image = await garden.receive(street, "a.jpg")
    claim = await claimed(garden)
    assert await finish(garden, space, uuid4(), encoding(claim.jobs[0].sha256)) == 0
    assert await state(garden, image) == ("received", None)
    assert await Backlog(garden.database).depth() == (1, 1)


async def test_finishing_twice_changes_nothing(garden: Garden, street: Dataset, space: SpaceId) -> None:
    image = await garden.receive(street, "a.jpg")
    claim = await claimed(garden)
    made = encoding(claim.jobs[0].sha256)
    assert await finish(garden, space, claim.id, made) == 1
    assert await finish(garden, space, claim.id, made) == 0
    assert await indexed(garden) == {image}


async def test_an_image_archived_before_it_was_processed_is_embedded_but_not_indexed(
    garden: Garden, street: Dataset, space: SpaceId
) -> None:
    image = await garden.receive(street, "a.jpg")
    claim = await claimed(garden)
    async with garden.database.transaction() as connection:
        await archive_image(connection, image)
        await remove_from_index(connection, image)
    await finish(garden, space, claim.id, encoding(claim.jobs[0].sha256))
    assert await state(garden, image) == ("tagged", None)
    assert await indexed(garden) == set()


async def test_an_image_archived_while_it_is_finished_is_not_indexed_whoever_comes_first(
    garden: Garden, street: Dataset, space: SpaceId
) -> None:
    image = await garden.receive(street, "a.jpg")
    claim = await claimed(garden)
    async with garden.database.transaction() as finishing:
        await save_encodings(finishing, space, [encoding(claim.jobs[0].sha256)])
        await finish_images(finishing, await lock_rules(finishing, space), claim.id, [claim.jobs[0].sha256])
        async with garden.database.connection() as archiving:
            await archiving.execute("SET lock_timeout = '200ms'")
            # the archive has to wait for the finish: it cannot slip in between state and index
            with pytest.raises(psycopg.errors.LockNotAvailable):
                await archive_image(archiving, image)
            await archiving.execute("RESET lock_timeout")
    async with garden.database.transaction() as connection:
        await archive_image(connection, image)
        await remove_from_index(connection, image)
    assert await indexed(garden) == set()


async def test_an_encoding_that_is_there_is_never_overwritten(garden: Garden, street: Dataset, space: SpaceId) -> None:
    await garden.receive(street, "a.jpg", content=b"same")
    claim = await claimed(garden)
    sha256 = claim.jobs[0].sha256
    await finish(garden, space, claim.id, encoding(sha256, direction(1.0)))
    await finish(garden, space, claim.id, encoding(sha256, direction(0.0), tags=None))
    (stored,) = await rows(garden, "SELECT vector, tagger FROM encoding")
    assert stored[0].to_numpy()[0] == 1.0
    assert stored[1] == "tagger-1"


async def test_known_encodings_are_those_of_this_space_alone(garden: Garden, street: Dataset, space: SpaceId) -> None:
    await garden.plant(street, "a.jpg", content=b"known")
    await garden.receive(street, "b.jpg", content=b"new")
    hashes = [Sha256(row[0]) for row in await rows(garden, "SELECT sha256 FROM blob")]
    async with garden.database.connection() as connection:
        known = await known_encodings(connection, space, hashes)
        assert len(known) == 1
        assert await known_encodings(connection, SpaceId(space + 1), hashes) == set()
        assert await known_encodings(connection, space, []) == set()


async def test_a_failure_reaches_every_image_with_these_bytes_and_says_why(garden: Garden, street: Dataset) -> None:
    images = [await garden.receive(street, f"{n}.jpg", content=b"broken") for n in range(3)]
    healthy = await garden.receive(street, "healthy.jpg")
    claim = await claimed(garden)
    broken = next(job for job in claim.jobs if job.image_id in images)
    async with garden.database.transaction() as connection:
        await fail_images(
            connection, await lock_rules(connection, garden.space), claim.id, broken.sha256, "It is cut short."
        )
    assert [await state(garden, image) for image in images] == [("failed", "It is cut short.")] * 3
    assert await state(garden, healthy) == ("received", None)
    assert await Backlog(garden.database).depth() == (1, 1)


async def test_an_image_that_failed_once_can_still_be_finished_later(
    garden: Garden, street: Dataset, space: SpaceId
) -> None:
    image = await garden.receive(street, "a.jpg")
    claim = await claimed(garden)
    async with garden.database.transaction() as connection:
        delay = delay_before_retry(OSError("disk"), claim.jobs[0].attempts, 0.0)
        assert delay is not None
        await retry_later(connection, claim, claim.jobs[0], delay * 0)
    again = await claimed(garden)
    await finish(garden, space, again.id, encoding(again.jobs[0].sha256))
    assert await state(garden, image) == ("tagged", None)


@pytest.mark.parametrize("shape", [(1151,), (1153,), (768,), (1, 1152), ()])
async def test_a_vector_of_another_shape_is_refused(garden: Garden, space: SpaceId, shape: tuple[int, ...]) -> None:
    wrong = encoding(Sha256(bytes(32)), np.zeros(shape, np.float32))
    async with garden.database.connection() as connection:
        with pytest.raises(ValueError, match="1152"):
            await save_encodings(connection, space, [wrong])


@pytest.mark.parametrize("value", [np.nan, np.inf])
async def test_the_database_refuses_a_vector_that_is_not_finite(garden: Garden, space: SpaceId, value: float) -> None:
    wrong = direction(1.0)
    wrong[5] = value
    async with garden.database.connection() as connection:
        with pytest.raises(psycopg.DataError):
            await save_encodings(connection, space, [encoding(Sha256(bytes(32)), wrong)])


async def test_a_vector_comes_back_within_half_precision_of_what_was_written(
    garden: Garden, street: Dataset, space: SpaceId
) -> None:
    """float16 keeps 11 bits: a relative error of 2**-11, and the cosine to the original within 1e-6 of 1."""
    vector = np.random.default_rng(0).standard_normal(1152, np.float32)
    vector /= np.linalg.norm(vector)
    await garden.receive(street, "a.jpg")
    claim = await claimed(garden)
    await finish(garden, space, claim.id, encoding(claim.jobs[0].sha256, vector))
    for table in ("encoding", "image_embedding"):
        ((stored,),) = await rows(garden, f"SELECT vector FROM {table}")
        back = stored.to_numpy().astype(np.float32)
        np.testing.assert_array_equal(back, vector.astype(np.float16).astype(np.float32))
        assert back @ vector / np.linalg.norm(back) == pytest.approx(1, abs=1e-6)
