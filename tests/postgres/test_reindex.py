"""Moving to another space: searches see the old one until the new one lacks nothing, and then the new one alone."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any
from uuid import uuid4

import numpy as np
import numpy.typing as npt
import pytest

from pictograph.encode.noop import SPEC
from pictograph.errors import ConflictError, SpaceMismatch
from pictograph.jobs.queue import Claim, Queue
from pictograph.search.query import SimilarQuery, TagQuery
from pictograph.spaces.encodings import Encoding, fail_images, finish_images, known_encodings, save_encodings
from pictograph.spaces.registry import Space, Spaces, lock_rules
from pictograph.spaces.reindex import Progress, Reindex, lacking_images
from pictograph.store.datasets import Dataset
from pictograph.store.images import Images, Place, archive_image
from pictograph.types import ImageId, SpaceId
from support.engines import engine_of
from support.planting import Garden, direction

NEW = replace(SPEC, name="new", revision="1")
THIRD = replace(SPEC, name="third", revision="1")


@pytest.fixture
async def street(garden: Garden) -> Dataset:
    return await garden.dataset()


def seen_by_new(filename: str) -> npt.NDArray[np.float32]:
    """The new encoder finds `near.jpg` near, whatever the old one thought."""
    return direction({"reference.jpg": 1.0, "near.jpg": 0.9}.get(filename, 0.3), axis=5)


async def work(garden: Garden, space: SpaceId, *, failing: frozenset[str] = frozenset(), limit: int = 100) -> int:
    """What workers of the space do with all jobs there are; how many."""
    done = 0
    while (claim := await Queue(garden.database, space).claim(limit)).jobs:
        await finish(garden, space, claim, failing)
        done += len(claim.jobs)
    return done


async def finish(garden: Garden, space: SpaceId, claim: Claim, failing: frozenset[str] = frozenset()) -> None:
    names = {
        job.sha256: (await Images(garden.database).get(garden.organization, job.image_id)).filename
        for job in claim.jobs
    }
    async with garden.database.transaction() as connection:
        rules = await lock_rules(connection, space)
        known = await known_encodings(connection, space, list(names))
        good = [sha256 for sha256, name in names.items() if name not in failing]
        made = [
            Encoding(
                s,
                seen_by_new(names[s]),
                "new-1",
                {"objects": ["dog"], "scenes": [], "attributes": []},
                {"objects/dog": 0.9},
            )
            for s in good
            if s not in known
        ]
        await save_encodings(connection, space, made)
        await finish_images(connection, rules, claim.id, good)
        for sha256 in names.keys() - set(good):
            await fail_images(connection, rules, claim.id, sha256, "too strange")


async def to_the_end(garden: Garden, space: SpaceId) -> Space:
    for _ in range(10):
        if switched := await Reindex(garden.database).advance():
            return switched
        await work(garden, space)
    raise AssertionError("it never switched")


async def similar(garden: Garden, image: ImageId) -> list[str]:
    answer = await engine_of(garden).by_similarity(garden.organization, SimilarQuery(image, threshold=0.0))
    return [row.filename for row in answer.rows]


async def tagged(garden: Garden, label: str) -> set[str]:
    answer = await engine_of(garden).by_tag(garden.organization, TagQuery(objects=[label]))
    return {row.filename for row in answer.rows}


async def progress(garden: Garden) -> Progress:
    return await Reindex(garden.database).progress(garden.organization)


async def state_of(garden: Garden, image: ImageId) -> tuple[str, str | None]:
    found = await Images(garden.database).get(garden.organization, image)
    return str(found.state), found.reason


async def planted(garden: Garden, street: Dataset) -> ImageId:
    reference = await garden.plant(street, "reference.jpg", direction(1.0), tags={"objects": ["cat"]})  # type: ignore[typeddict-item]
    await garden.plant(street, "far.jpg", direction(0.9), tags={"objects": ["cat"]})  # type: ignore[typeddict-item]
    await garden.plant(street, "near.jpg", direction(0.2))
    return reference


async def test_searches_see_the_old_space_until_the_switch_and_then_the_new_one_alone(
    garden: Garden, street: Dataset
) -> None:
    reference = await planted(garden, street)
    reindex = Reindex(garden.database)
    new = await reindex.start(NEW, "new")
    assert await reindex.advance() is None
    await work(garden, new.id, limit=2)
    assert await similar(garden, reference) == ["far.jpg", "near.jpg"]
    assert await tagged(garden, "cat") == {"reference.jpg", "far.jpg"}
    assert await tagged(garden, "dog") == set()
    switched = await reindex.advance()
    assert switched is not None
    assert (switched.encoder, switched.active) == ("new", True)
    assert await similar(garden, reference) == ["near.jpg", "far.jpg"]
    assert await tagged(garden, "dog") == {"reference.jpg", "far.jpg", "near.jpg"}
    assert await tagged(garden, "cat") == set()
    assert await reindex.advance() is None


async def test_the_way_back_embeds_only_what_came_since(garden: Garden, street: Dataset) -> None:
    reference = await planted(garden, street)
    reindex = Reindex(garden.database)
    await to_the_end(garden, (await reindex.start(NEW, "new")).id)
    late = await garden.receive(street, "late.jpg")
    await work(garden, (await progress(garden)).active.id)
    back = await reindex.start(SPEC, "noop")
    assert back.id == garden.space
    assert await reindex.advance() is None
    async with garden.database.connection() as connection:
        waiting = [row[0] for row in await (await connection.execute("SELECT image_id FROM job")).fetchall()]
    assert waiting == [late]
    await to_the_end(garden, garden.space)
    assert set(await similar(garden, reference)) == {"far.jpg", "near.jpg", "late.jpg"}
    assert await tagged(garden, "cat") == {"reference.jpg", "far.jpg"}


async def test_uploads_meanwhile_go_into_both(garden: Garden, street: Dataset) -> None:
    await planted(garden, street)
    reindex = Reindex(garden.database)
    new = await reindex.start(NEW, "new")
    await reindex.advance()
    await work(garden, new.id)
    late = await garden.receive(street, "late.jpg")
    assert await reindex.advance() is None  # the late one waits in the new space too
    await work(garden, garden.space)
    assert await state_of(garden, late) == ("tagged", None)
    await to_the_end(garden, new.id)
    assert "late.jpg" in await tagged(garden, "dog")


async def test_an_upload_that_is_under_way_as_it_starts_is_not_forgotten(garden: Garden, street: Dataset) -> None:
    """Its transaction saw one space; the start waits for it."""
    reindex = Reindex(garden.database)
    image = await garden.receive(street, "slow.jpg")
    async with garden.database.transaction() as slow:
        await slow.execute("DELETE FROM job")
        await slow.execute(
            "INSERT INTO job (image_id, space_id, sha256) SELECT id, %s, sha256 FROM image WHERE id = %s",
            [garden.space, image],
        )
        starting = asyncio.create_task(reindex.start(NEW, "new"))
        await asyncio.sleep(0.2)
        assert not starting.done()
    new = await starting
    await reindex.advance()
    claim = await Queue(garden.database, new.id).claim(10)
    assert [job.image_id for job in claim.jobs] == [image]


async def test_images_that_only_the_new_encoder_cannot_take_stop_the_switch_until_accepted(
    garden: Garden, street: Dataset
) -> None:
    await planted(garden, street)
    reindex = Reindex(garden.database)
    new = await reindex.start(NEW, "new")
    await reindex.advance()
    await work(garden, new.id, failing=frozenset({"far.jpg"}))
    assert await reindex.advance() is None
    stands = await progress(garden)
    assert (stands.images, stands.done, stands.failed, stands.new_failures, stands.needs_decision) == (3, 2, 1, 1, True)
    assert [(row.filename, row.reason) for row in stands.examples] == [("far.jpg", "too strange")]
    other = await Garden.open(garden.database, "other")
    assert (await Reindex(garden.database).progress(other.organization)).examples == []
    await reindex.accept_failures()
    assert await reindex.advance() is not None
    assert await tagged(garden, "dog") == {"reference.jpg", "near.jpg"}


async def test_starting_again_tries_the_failed_ones_once_more(garden: Garden, street: Dataset) -> None:
    await planted(garden, street)
    reindex = Reindex(garden.database)
    new = await reindex.start(NEW, "new")
    await reindex.advance()
    await work(garden, new.id, failing=frozenset({"far.jpg"}))
    assert (await reindex.start(NEW, "new", 0.5)).id == new.id
    await to_the_end(garden, new.id)
    assert await tagged(garden, "dog") == {"reference.jpg", "far.jpg", "near.jpg"}


async def test_images_that_failed_before_do_not_hold_it_up_and_may_succeed(garden: Garden, street: Dataset) -> None:
    broken, strange = await garden.receive(street, "broken.jpg"), await garden.receive(street, "strange.jpg")
    await work(garden, garden.space, failing=frozenset({"broken.jpg", "strange.jpg"}))
    reindex = Reindex(garden.database)
    new = await reindex.start(NEW, "new")
    await reindex.advance()
    await work(garden, new.id, failing=frozenset({"broken.jpg"}))
    assert await reindex.advance() is not None
    assert await state_of(garden, broken) == ("failed", "too strange")
    assert await state_of(garden, strange) == ("tagged", None)


async def test_archived_images_come_along_unseen(garden: Garden, street: Dataset) -> None:
    reference = await planted(garden, street)
    hidden = await garden.plant(street, "hidden.jpg")
    async with garden.database.transaction() as connection:
        await archive_image(connection, hidden)
        await connection.execute("DELETE FROM image_embedding WHERE image_id = %s", [hidden])
    await to_the_end(garden, (await Reindex(garden.database).start(NEW, "new")).id)
    assert "hidden.jpg" not in await similar(garden, reference)
    assert set(await similar(garden, hidden)) == {"reference.jpg", "far.jpg", "near.jpg"}


async def test_an_image_archived_while_it_is_written_stays_hidden(garden: Garden, street: Dataset) -> None:
    reference = await planted(garden, street)
    new = await Reindex(garden.database).start(NEW, "new")
    await Reindex(garden.database).advance()
    async with garden.database.transaction() as archiving:
        near = await Images(garden.database).find(garden.organization, Place(street.id, "/", "near.jpg"))
        await archive_image(archiving, near.id)
        writing = asyncio.create_task(work(garden, new.id))
        await asyncio.sleep(0.2)
        await archiving.execute("DELETE FROM image_embedding WHERE image_id = %s", [near.id])
    await writing
    await to_the_end(garden, new.id)
    assert await similar(garden, reference) == ["far.jpg"]


async def test_cancelling_leaves_everything_and_keeps_what_was_encoded(garden: Garden, street: Dataset) -> None:
    reference = await planted(garden, street)
    reindex = Reindex(garden.database)
    new = await reindex.start(NEW, "new")
    await reindex.advance()
    await finish(garden, new.id, await Queue(garden.database, new.id).claim(2))
    await reindex.cancel()
    stands = await progress(garden)
    assert (stands.active.id, stands.building, stands.previous) == (garden.space, None, None)
    assert await similar(garden, reference) == ["far.jpg", "near.jpg"]
    assert (await Queue(garden.database, new.id).claim(9)).jobs == []
    await reindex.start(NEW, "new")
    await reindex.advance()
    assert len((await Queue(garden.database, new.id).claim(9)).jobs) == 1
    with pytest.raises(ConflictError, match="No reindex is running"):
        await asyncio.gather(reindex.cancel(), reindex.cancel())


async def test_what_makes_no_sense_is_refused(garden: Garden) -> None:
    reindex = Reindex(garden.database)
    with pytest.raises(ConflictError, match="embedded by noop already"):
        await reindex.start(SPEC, "noop")
    with pytest.raises(ConflictError, match="No reindex is running"):
        await reindex.accept_failures()
    await reindex.start(NEW, "new")
    with pytest.raises(ConflictError, match="on its way to new"):
        await reindex.start(THIRD, "third")


async def test_workers_join_a_space_while_it_is_filled_and_no_other(garden: Garden) -> None:
    spaces, reindex = Spaces(garden.database), Reindex(garden.database)
    with pytest.raises(SpaceMismatch, match="pictograph reindex --encoder new"):
        await spaces.join(NEW, "new")
    new = await reindex.start(NEW, "new")
    assert (await spaces.join(NEW, "new")).id == new.id
    assert (await spaces.join(SPEC, "noop")).id == garden.space
    await to_the_end(garden, new.id)
    with pytest.raises(SpaceMismatch):
        await spaces.join(SPEC, "noop")


async def test_forgetting_frees_what_is_not_in_use_and_nothing_else(garden: Garden, street: Dataset) -> None:
    reference = await planted(garden, street)
    reindex = Reindex(garden.database)
    assert await reindex.forget_previous() == 0
    await to_the_end(garden, (await reindex.start(NEW, "new")).id)
    assert await reindex.forget_previous() == 1
    assert (await progress(garden)).previous is None
    assert set(await similar(garden, reference)) == {"near.jpg", "far.jpg"}
    async with garden.database.connection() as connection:
        counts = await (await connection.execute("SELECT count(DISTINCT space_id) FROM encoding")).fetchone()
    assert counts == (1,)


async def test_two_servers_advancing_together_switch_once_and_queue_nothing_twice(
    garden: Garden, street: Dataset
) -> None:
    await planted(garden, street)
    reindex = Reindex(garden.database)
    new = await reindex.start(NEW, "new")
    await asyncio.gather(*(reindex.advance() for _ in range(6)))
    claim = await Queue(garden.database, new.id).claim(10)
    assert len(claim.jobs) == 3
    await asyncio.gather(*(reindex.advance() for _ in range(6)))
    assert (await Queue(garden.database, new.id).claim(10)).jobs == []
    await finish(garden, new.id, claim)
    switched = await asyncio.gather(*(reindex.advance() for _ in range(6)))
    assert sum(space is not None for space in switched) == 1


async def test_results_that_are_being_written_as_it_switches_are_in_the_right_space(
    garden: Garden, street: Dataset
) -> None:
    """A worker of the old space holds its rules; the switch waits for it, and the row then shows the new space."""
    await planted(garden, street)
    reindex = Reindex(garden.database)
    new = await reindex.start(NEW, "new")
    await reindex.advance()
    late = await garden.receive(street, "late.jpg")
    await work(garden, new.id)
    claim = await Queue(garden.database, garden.space).claim(10)
    writing = asyncio.Event()

    async def write_slowly() -> None:
        async with garden.database.transaction() as connection:
            rules = await lock_rules(connection, garden.space)
            writing.set()
            await asyncio.sleep(0.3)
            await save_encodings(connection, garden.space, [Encoding(claim.jobs[0].sha256, direction(0.5))])
            await finish_images(connection, rules, claim.id, [claim.jobs[0].sha256])

    slow = asyncio.create_task(write_slowly())
    await writing.wait()
    assert (await reindex.advance()) is not None
    await slow
    assert await state_of(garden, late) == ("tagged", None)
    assert "late.jpg" in await tagged(garden, "dog")


async def test_an_empty_library_switches_at_once(garden: Garden) -> None:
    reindex = Reindex(garden.database)
    new = await reindex.start(NEW, "new")
    switched = await reindex.advance()
    assert switched is not None
    assert switched.id == new.id


async def test_a_claim_is_of_one_space(garden: Garden, street: Dataset) -> None:
    reindex = Reindex(garden.database)
    new = await reindex.start(NEW, "new")
    image = await garden.receive(street, f"{uuid4().hex}.jpg")
    old_claim = await Queue(garden.database, garden.space).claim(10)
    new_claim = await Queue(garden.database, new.id).claim(10)
    assert [job.image_id for job in (*old_claim.jobs, *new_claim.jobs)] == [image, image]


async def test_while_failures_wait_for_a_decision_nothing_is_looked_through_and_no_worker_is_kept_waiting(
    garden: Garden, street: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    await planted(garden, street)
    reindex = Reindex(garden.database)
    new = await reindex.start(NEW, "new")
    await reindex.advance()
    await work(garden, new.id, failing=frozenset({"near.jpg"}))
    looks = 0

    async def looked(*arguments: Any, **options: Any) -> Any:
        nonlocal looks
        looks += 1
        return await lacking_images(*arguments, **options)

    monkeypatch.setattr("pictograph.spaces.reindex.lacking_images", looked)
    assert await reindex.advance() is None
    assert looks == 1
    async with garden.database.transaction() as connection:
        await lock_rules(connection, new.id)  # a worker writes results
        await lock_rules(connection, garden.space)
        async with asyncio.timeout(20):
            for _ in range(5):
                assert await reindex.advance() is None
    assert looks == 1
    assert (await progress(garden)).needs_decision
    await reindex.accept_failures()
    assert await reindex.advance() is not None


async def test_while_jobs_wait_it_is_not_looked_again_and_again_what_is_lacking(
    garden: Garden, street: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    await planted(garden, street)
    reindex = Reindex(garden.database)
    new = await reindex.start(NEW, "new")
    looks = 0

    async def looked(*arguments: Any, **options: Any) -> Any:
        nonlocal looks
        looks += 1
        return await lacking_images(*arguments, **options)

    monkeypatch.setattr("pictograph.spaces.reindex.lacking_images", looked)
    for _ in range(6):
        assert await reindex.advance() is None
    assert looks == 2  # one that queued, one that found nothing
    await work(garden, new.id)
    assert await reindex.advance() is not None
