"""A search whose reference image has no vector yet: moved to the front, waited for, and told apart from failures."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from uuid import uuid4

import pytest

from pictograph.errors import EmbeddingFailed, EmbeddingPending, NotFoundError
from pictograph.jobs.queue import URGENT, Backlog, Queue
from pictograph.search import examples as module
from pictograph.search.query import Example, Query, SimilarQuery
from pictograph.spaces.encodings import Encoding, fail_images, finish_images, save_encodings
from pictograph.spaces.registry import lock_rules
from pictograph.store.images import Images, archive_image, delete_image
from pictograph.types import ImageId
from support.engines import engine_of
from support.planting import Garden, direction

HOUR = timedelta(hours=1)


async def search(garden: Garden, image: ImageId) -> list[str]:
    answer = await engine_of(garden).by_similarity(garden.organization, SimilarQuery(image))
    return [row.filename for row in answer.rows]


async def process(garden: Garden) -> None:
    """What a worker does with the next job."""
    claim = await Queue(garden.database, garden.space, HOUR).claim(1)
    async with garden.database.transaction() as connection:
        await save_encodings(connection, garden.space, [Encoding(job.sha256, direction(1.0)) for job in claim.jobs])
        rules = await lock_rules(connection, garden.space)
        await finish_images(connection, rules, claim.id, [job.sha256 for job in claim.jobs])


async def test_a_search_waits_until_its_reference_is_embedded(garden: Garden) -> None:
    street = await garden.dataset()
    await garden.plant(street, "twin.jpg")
    reference = await garden.receive(street, "reference.jpg")
    searching = asyncio.create_task(search(garden, reference))
    await asyncio.sleep(0.2)
    assert not searching.done()
    await process(garden)
    assert await searching == ["twin.jpg"]


async def test_the_image_that_is_searched_with_is_processed_before_older_ones(garden: Garden) -> None:
    street = await garden.dataset()
    for n in range(3):
        await garden.receive(street, f"{n}.jpg")
    reference = await garden.receive(street, "reference.jpg")
    searching = asyncio.create_task(search(garden, reference))
    await asyncio.sleep(0.2)
    async with garden.database.connection() as connection:
        cursor = await connection.execute("SELECT image_id FROM job WHERE priority = %s", [URGENT])
        assert await cursor.fetchall() == [(reference,)]
    await process(garden)
    assert await searching == []
    assert await Backlog(garden.database).depth() == (3, 0)


async def test_past_the_wait_the_search_says_when_to_come_back(garden: Garden, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PENDING_WAIT_S", 0.2)
    reference = await garden.receive(await garden.dataset(), "reference.jpg")
    with pytest.raises(EmbeddingPending, match="still waiting") as caught:
        await search(garden, reference)
    assert (caught.value.status, caught.value.code, caught.value.retryable) == (503, "embedding_pending", True)
    assert caught.value.retry_after_s
    assert str(reference) in caught.value.message


async def test_a_query_waits_for_all_its_examples_and_hurries_them(
    garden: Garden, monkeypatch: pytest.MonkeyPatch
) -> None:
    street = await garden.dataset()
    ready = await garden.plant(street, "ready.jpg")
    await garden.plant(street, "twin.jpg")
    pending = [await garden.receive(street, f"{n}.jpg") for n in range(2)]
    query = Query([Example(ready), *map(Example, pending)], limit=5)
    asking = asyncio.create_task(engine_of(garden).query(garden.organization, query))
    await asyncio.sleep(0.2)
    async with garden.database.connection() as connection:
        cursor = await connection.execute("SELECT image_id FROM job WHERE priority = %s", [URGENT])
        assert set(await cursor.fetchall()) == {(image,) for image in pending}
    await process(garden)
    await asyncio.sleep(0.2)
    assert not asking.done()
    await process(garden)
    assert [row.filename for row in (await asking).rows] == ["twin.jpg"]
    late = await garden.receive(street, "late.jpg")
    monkeypatch.setattr(module, "PENDING_WAIT_S", 0.2)
    with pytest.raises(EmbeddingPending, match=str(late)):
        await engine_of(garden).query(garden.organization, Query([Example(ready), Example(late, negative=True)]))
    await fail(garden, "It is cut short.")
    with pytest.raises(EmbeddingFailed, match="It is cut short"):
        await engine_of(garden).query(garden.organization, Query([Example(ready), Example(late, negative=True)]))


def test_the_wait_is_ten_seconds_as_promised() -> None:
    assert module.PENDING_WAIT_S == 10


async def fail(garden: Garden, reason: str) -> None:
    claim = await Queue(garden.database, garden.space, HOUR).claim(1)
    async with garden.database.transaction() as connection:
        await fail_images(
            connection, await lock_rules(connection, garden.space), claim.id, claim.jobs[0].sha256, reason
        )


async def test_a_reference_that_could_not_be_embedded_is_a_conflict_with_the_reason(garden: Garden) -> None:
    reference = await garden.receive(await garden.dataset(), "reference.jpg")
    await fail(garden, "It is cut short.")
    with pytest.raises(EmbeddingFailed, match="It is cut short") as caught:
        await search(garden, reference)
    assert (caught.value.status, caught.value.code, caught.value.retryable) == (409, "embedding_failed", False)


async def test_a_reference_that_fails_while_it_is_waited_for_ends_the_wait(garden: Garden) -> None:
    reference = await garden.receive(await garden.dataset(), "reference.jpg")
    searching = asyncio.create_task(search(garden, reference))
    await asyncio.sleep(0.1)
    await fail(garden, "No.")
    with pytest.raises(EmbeddingFailed):
        await searching


async def test_a_reference_deleted_while_it_is_waited_for_is_not_found(garden: Garden) -> None:
    reference = await garden.receive(await garden.dataset(), "reference.jpg")
    searching = asyncio.create_task(search(garden, reference))
    await asyncio.sleep(0.1)
    async with garden.database.transaction() as connection:
        await delete_image(connection, reference)
    with pytest.raises(NotFoundError):
        await searching


async def test_an_unknown_reference_and_one_of_another_organization_look_the_same(garden: Garden) -> None:
    others = await Garden.open(garden.database, "others")
    theirs = await others.plant(await others.dataset(), "theirs.jpg")
    unknown = ImageId(uuid4())
    messages = []
    for image in (theirs, unknown):
        with pytest.raises(NotFoundError) as caught:
            await search(garden, image)
        messages.append(caught.value.message.replace(str(image), "ID"))
    assert messages[0] == messages[1]


async def test_an_archived_image_is_in_no_answer_but_can_still_be_searched_with(garden: Garden) -> None:
    street = await garden.dataset()
    kept = await garden.plant(street, "kept.jpg")
    archived = await garden.plant(street, "archived.jpg")
    async with garden.database.transaction() as connection:
        await archive_image(connection, archived)
        await connection.execute("DELETE FROM image_embedding WHERE image_id = %s", [archived])
    assert await search(garden, kept) == []
    assert await search(garden, archived) == ["kept.jpg"]


async def test_bytes_that_were_embedded_before_are_searched_with_at_once(garden: Garden) -> None:
    street = await garden.dataset()
    await garden.plant(street, "first.jpg", content=b"same")
    again = await garden.receive(street, "again.jpg", content=b"same")
    assert (await Images(garden.database).get(garden.organization, again)).state == "received"
    assert await search(garden, again) == ["first.jpg"]
