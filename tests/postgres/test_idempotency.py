"""First answers in the database: kept once, with the writes they tell of; claims of the dead are taken over."""

from __future__ import annotations

import asyncio
from contextvars import copy_context
from typing import Any
from uuid import UUID, uuid4

import pytest
from cryptography.exceptions import InvalidTag

from pictograph.db.pool import Database
from pictograph.errors import ConflictError, IdempotencyConflict, StillRunning
from pictograph.store.datasets import Datasets
from pictograph.store.idempotency import Answer, AnsweredRequests, Claim, RequestKey, fingerprint_of, opened, sealed
from support.planting import Garden

API_KEY = uuid4()
FIRST = fingerprint_of([b"POST", b"/x", b"one body"])
OTHER = fingerprint_of([b"POST", b"/x", b"another body"])
MADE = Answer(201, b'{"made": "it"}')


def key(text: str = "k1", api_key: UUID = API_KEY) -> RequestKey:
    return RequestKey(text, api_key)


@pytest.fixture
def requests(database: Database) -> AnsweredRequests:
    """One server; its claims hold as long as the test runs, and a twin is told at once."""
    return AnsweredRequests(database, wait_s=0.0, busy_s=600)


async def rows(database: Database, statement: str, *values: Any) -> list[tuple[Any, ...]]:
    async with database.connection() as connection:
        cursor = await connection.execute(statement.encode(), values)
        return await cursor.fetchall() if cursor.description else []


async def claimed(requests: AnsweredRequests, asked: RequestKey | None = None, fingerprint: bytes = FIRST) -> Claim:
    claim = await requests.claim(asked or key(), fingerprint)
    assert isinstance(claim, Claim)
    return claim


async def test_the_first_answer_is_given_again_to_the_same_request_alone(requests: AnsweredRequests) -> None:
    await requests.answer(await claimed(requests), MADE, None, None)
    assert await requests.claim(key(), FIRST) == MADE
    with pytest.raises(IdempotencyConflict):
        await requests.claim(key(), OTHER)
    for stranger in (key("k2"), key(api_key=uuid4())):
        assert isinstance(await requests.claim(stranger, OTHER), Claim)


async def test_another_server_gives_the_same_answer(requests: AnsweredRequests, database: Database) -> None:
    await requests.answer(await claimed(requests), MADE, None, None)
    assert await AnsweredRequests(database).claim(key(), FIRST) == MADE


async def test_a_twin_waits_for_the_first(requests: AnsweredRequests, database: Database) -> None:
    first = await claimed(requests)
    twin = asyncio.create_task(AnsweredRequests(database, wait_s=60).claim(key(), FIRST))
    await asyncio.sleep(0.15)
    assert not twin.done()
    await requests.answer(first, MADE, None, None)
    assert await twin == MADE


async def test_a_twin_that_waited_long_enough_is_told_to_come_back(requests: AnsweredRequests) -> None:
    await claimed(requests)
    with pytest.raises(StillRunning) as caught:
        await requests.claim(key(), FIRST)
    assert caught.value.status_code == 429
    assert caught.value.retry_after_s


async def test_the_claim_of_a_server_that_was_killed_is_taken_over_and_one_kept_alive_is_not(
    database: Database,
) -> None:
    dying, other = (AnsweredRequests(database, wait_s=0.0, busy_s=600) for _ in range(2))
    claim = await claimed(dying)
    await rows(database, "UPDATE answered_request SET busy_until = now() - interval '1 second'")
    await dying.keep_alive()
    with pytest.raises(StillRunning):
        await other.claim(key(), FIRST)
    await rows(database, "UPDATE answered_request SET busy_until = now() - interval '1 second'")
    with pytest.raises(IdempotencyConflict):
        await other.claim(key(), OTHER)
    await claimed(other)
    with pytest.raises(StillRunning, match="took over"):
        await dying.answer(claim, MADE, None, None)


async def test_of_many_twins_at_once_one_does_the_work(database: Database) -> None:
    worked: list[int] = []

    async def twin(number: int) -> Answer:
        requests = AnsweredRequests(database, wait_s=60)
        found = await requests.claim(key(), FIRST)
        if isinstance(found, Answer):
            return found
        worked.append(number)
        answer = Answer(200, str(number).encode())
        await requests.answer(found, answer, None, None)
        return answer

    answers = await asyncio.gather(*(twin(number) for number in range(10)))
    assert len(worked) == 1
    assert {answer.body for answer in answers} == {str(worked[0]).encode()}


async def test_what_was_released_is_as_if_it_had_never_been_asked(requests: AnsweredRequests) -> None:
    await requests.release(await claimed(requests))
    await claimed(requests, fingerprint=OTHER)


async def test_answers_are_forgotten_after_a_day(requests: AnsweredRequests, database: Database) -> None:
    await requests.answer(await claimed(requests), MADE, None, None)
    await rows(database, "UPDATE answered_request SET created_at = now() - interval '23 hours'")
    assert await requests.sweep() == 0
    assert await requests.claim(key(), FIRST) == MADE
    await rows(database, "UPDATE answered_request SET created_at = now() - interval '25 hours'")
    await requests.answer(await claimed(requests, fingerprint=OTHER), MADE, None, None)  # before the sweep, too
    await rows(database, "UPDATE answered_request SET created_at = now() - interval '25 hours'")
    assert await requests.sweep() == 1
    assert await rows(database, "SELECT 1 FROM answered_request") == []


async def test_neither_key_nor_body_nor_answer_can_be_read_from_the_database(
    requests: AnsweredRequests, database: Database
) -> None:
    asked = key("the Idempotency-Key itself")
    await requests.answer(await claimed(requests, asked), Answer(201, b'{"api_key": "pk_live_secret"}'), None, None)
    ((stored,),) = await rows(database, "SELECT answered_request::text FROM answered_request")
    for text in ("Idempotency-Key itself", "one body", "pk_live_secret", "api_key"):
        assert text not in stored
        assert text.encode().hex() not in stored
    box = sealed(asked, b"answer")
    assert opened(asked, box) == b"answer"
    with pytest.raises(InvalidTag):
        opened(key("another"), box)


# Together with what it tells of


@pytest.fixture
def datasets(garden: Garden) -> Datasets:
    return Datasets(garden.database)


async def names(garden: Garden) -> list[str]:
    return [row.name for row in (await Datasets(garden.database).list(garden.organization, limit=9)).rows]


async def test_a_crash_before_the_commit_leaves_neither_answer_nor_write(garden: Garden, datasets: Datasets) -> None:
    requests = AnsweredRequests(garden.database, wait_s=0.0, busy_s=600)
    claim = await claimed(requests)

    async def begin() -> None:
        async with garden.database.atomically() as unit:
            await datasets.create(garden.organization, "a")
            assert await names(garden) == ["a"]
            await requests.answer(claim, MADE, None, unit.connection)
            raise RuntimeError("the server is killed here")

    with pytest.raises(RuntimeError):
        await begin()
    assert await names(garden) == []
    await requests.release(claim)
    async with garden.database.atomically() as unit:
        await datasets.create(garden.organization, "a")
        await requests.answer(await claimed(requests), MADE, None, unit.connection)
    assert await names(garden) == ["a"]
    assert await requests.claim(key(), FIRST) == MADE


async def test_who_lost_the_claim_writes_nothing(garden: Garden, datasets: Datasets) -> None:
    requests = AnsweredRequests(garden.database, wait_s=0.0, busy_s=600)
    claim = await claimed(requests)
    await rows(garden.database, "UPDATE answered_request SET busy_until = now() - interval '1 second'")
    await claimed(requests)

    async def be_late() -> None:
        async with garden.database.atomically() as unit:
            await datasets.create(garden.organization, "a")
            await requests.answer(claim, MADE, None, unit.connection)

    with pytest.raises(StillRunning):
        await be_late()
    assert await names(garden) == []


async def test_in_a_unit_a_step_that_fails_is_undone_alone(garden: Garden, datasets: Datasets) -> None:
    async with garden.database.atomically():
        await datasets.create(garden.organization, "a")
        with pytest.raises(ConflictError):
            await datasets.create(garden.organization, "a")
        await datasets.create(garden.organization, "b")
    assert sorted(await names(garden)) == ["a", "b"]


async def test_other_tasks_and_other_databases_stay_outside_a_unit(garden: Garden, datasets: Datasets) -> None:
    async with garden.database.atomically():
        await datasets.create(garden.organization, "a")
        assert await names(garden) == ["a"]
        assert await asyncio.create_task(names(garden), context=copy_context()) == []
    assert await names(garden) == ["a"]


async def test_what_waits_for_the_commit_is_called_after_it_and_never_without(
    garden: Garden, datasets: Datasets
) -> None:
    called: list[str] = []
    garden.database.when_committed(lambda: called.append("at once"))
    async with garden.database.atomically():
        await datasets.create(garden.organization, "a")
        garden.database.when_committed(lambda: called.append("committed"))
        assert called == ["at once"]

    async def fail() -> None:
        async with garden.database.atomically():
            garden.database.when_committed(lambda: called.append("never"))
            raise RuntimeError

    with pytest.raises(RuntimeError):
        await fail()
    assert called == ["at once", "committed"]
