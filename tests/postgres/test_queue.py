"""The queue: nothing is lost, nothing is done by two workers at once."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from datetime import timedelta
from typing import Any
from uuid import uuid4

import psycopg
import pytest

from pictograph.db.pool import Database
from pictograph.errors import Unavailable
from pictograph.jobs.queue import SUSPECT_ATTEMPTS, URGENT, Backlog, Claim, Job, Queue, enqueue, retry_later
from pictograph.jobs.worker import Worker
from pictograph.store.datasets import Dataset
from pictograph.store.images import delete_image
from pictograph.types import ImageId
from support.planting import Garden

HOUR = timedelta(hours=1)
NOW = timedelta(0)


async def execute(database: Database, statement: str, *values: Any) -> list[tuple[Any, ...]]:
    async with database.connection() as connection:
        cursor = await connection.execute(statement.encode(), values)
        return await cursor.fetchall() if cursor.description else []


async def finish(database: Database, claim: Claim) -> None:
    """Ends the claim's jobs as the pipeline does, without any search rows."""
    await execute(database, "DELETE FROM job WHERE claim = %s", claim.id)


@pytest.fixture
async def street(garden: Garden) -> Dataset:
    return await garden.dataset()


async def received(garden: Garden, street: Dataset, count: int) -> list[ImageId]:
    return [await garden.receive(street, f"{uuid4().hex}.jpg") for _ in range(count)]


async def queue_rows(garden: Garden, street: Dataset, count: int) -> None:
    """Many jobs, quickly."""
    await received(garden, street, 1)
    await execute(
        garden.database,
        """WITH numbers AS (SELECT n, sha256(n::text::bytea) AS sha256 FROM generate_series(2, %s) n),
        blobs AS (INSERT INTO blob (sha256, size_bytes) SELECT sha256, 1 FROM numbers RETURNING sha256),
        images AS (
            INSERT INTO image (id, dataset_id, folder_id, filename, sha256, content_type, width, height, file_size)
            SELECT gen_random_uuid(), f.dataset_id, f.id, n::text, sha256, 'image/jpeg', 1, 1, 1
            FROM numbers, folder f RETURNING id, sha256)
        INSERT INTO job (image_id, space_id, sha256) SELECT id, %s, sha256 FROM images""",
        count,
        garden.space,
    )


async def test_two_workers_racing_on_500_jobs_claim_each_once_and_leave_none(garden: Garden, street: Dataset) -> None:
    await queue_rows(garden, street, 500)
    claimed: Counter[ImageId] = Counter()
    attempts: set[int] = set()
    held: set[bytes] = set()

    async def race(queue: Queue) -> None:
        idle = 0
        while idle < 3:
            claim = await queue.claim(13)
            idle = 0 if claim.jobs else idle + 1
            hashes = {job.sha256 for job in claim.jobs}
            assert not hashes & held
            held.update(hashes)
            claimed.update(job.image_id for job in claim.jobs)
            attempts.update(job.attempts for job in claim.jobs)
            await asyncio.sleep(0)
            held.difference_update(hashes)
            await finish(garden.database, claim)

    await asyncio.gather(*(race(Queue(garden.database, garden.space, HOUR)) for _ in range(2)))
    assert len(claimed) == 500
    assert set(claimed.values()) == {1}
    assert attempts == {1}
    assert await Backlog(garden.database).depth() == (0, 0)


async def test_workers_racing_for_copies_of_few_pictures_never_hold_the_same_bytes(
    garden: Garden, street: Dataset
) -> None:
    for number in range(60):
        await garden.receive(street, f"{number}.jpg", content=bytes([number % 5]))
    held: set[bytes] = set()
    passes: Counter[bytes] = Counter()

    async def race() -> None:
        for _ in range(40):
            claim = await Queue(garden.database, garden.space, HOUR).claim(4)
            hashes = [job.sha256 for job in claim.jobs]
            assert len(hashes) == len(set(hashes))
            assert not held & set(hashes)
            held.update(hashes)
            passes.update(hashes)
            await asyncio.sleep(0.001)
            held.difference_update(hashes)
            await finish(garden.database, claim)

    await asyncio.gather(*(race() for _ in range(4)))
    assert sum(passes.values()) == 60


async def test_the_database_itself_refuses_a_second_claim_on_the_same_bytes(garden: Garden, street: Dataset) -> None:
    for name in ("one.jpg", "two.jpg"):
        await garden.receive(street, name, content=b"same")
    with pytest.raises(psycopg.errors.UniqueViolation):
        await execute(garden.database, "UPDATE job SET claim = gen_random_uuid()")


async def test_copies_of_claimed_bytes_wait_for_the_claim(garden: Garden, street: Dataset) -> None:
    for name in ("one.jpg", "two.jpg", "three.jpg"):
        await garden.receive(street, name, content=b"same")
    queue = Queue(garden.database, garden.space, HOUR)
    first = await queue.claim(10)
    assert len(first.jobs) == 1
    assert (await queue.claim(10)).jobs == []
    assert await Backlog(garden.database).depth() == (3, 1)
    await queue.release(first)
    assert len((await queue.claim(10)).jobs) == 1


async def test_a_claim_takes_at_most_its_limit_oldest_first(garden: Garden, street: Dataset) -> None:
    images = await received(garden, street, 5)
    queue = Queue(garden.database, garden.space, HOUR)
    assert {job.image_id for job in (await queue.claim(3)).jobs} == set(images[:3])
    assert {job.image_id for job in (await queue.claim(3)).jobs} == set(images[3:])
    assert (await queue.claim(3)).jobs == []


async def test_a_claim_of_a_dead_worker_can_be_claimed_again_after_the_lease_and_counts_as_an_attempt(
    garden: Garden, street: Dataset
) -> None:
    (image,) = await received(garden, street, 1)
    dead = Queue(garden.database, garden.space, timedelta(milliseconds=50))
    first = await dead.claim(10)
    assert (await Queue(garden.database, garden.space, HOUR).claim(10)).jobs == []
    await asyncio.sleep(0.06)
    again = await Queue(garden.database, garden.space, HOUR).claim(10)
    assert [(job.image_id, job.attempts) for job in again.jobs] == [(image, 2)]
    assert first.id != again.id


async def test_a_heartbeat_prolongs_the_lease(garden: Garden, street: Dataset) -> None:
    await received(garden, street, 2)
    queue = Queue(garden.database, garden.space, timedelta(milliseconds=50))
    claim = await queue.claim(10)
    queue.lease = HOUR
    await queue.heartbeat(claim)
    await asyncio.sleep(0.06)
    assert (await queue.claim(10)).jobs == []
    assert len(claim.jobs) == 2


async def test_a_heartbeat_does_not_take_back_what_another_worker_claimed_meanwhile(
    garden: Garden, street: Dataset
) -> None:
    await received(garden, street, 1)
    slow = await Queue(garden.database, garden.space, NOW).claim(1)
    other = await Queue(garden.database, garden.space, NOW).claim(1)
    assert other.jobs
    await Queue(garden.database, garden.space, HOUR).heartbeat(slow)
    await Queue(garden.database, garden.space).release(slow)
    rows = await execute(garden.database, "SELECT claim, attempts, ready_at <= now() FROM job")
    assert rows == [(other.id, 2, True)]


async def test_a_job_put_off_comes_back_after_its_delay_and_not_before(garden: Garden, street: Dataset) -> None:
    (image,) = await received(garden, street, 1)
    queue = Queue(garden.database, garden.space, HOUR)
    claim = await queue.claim(1)
    async with garden.database.transaction() as connection:
        await retry_later(connection, claim, claim.jobs[0], timedelta(milliseconds=80))
    assert (await queue.claim(1)).jobs == []
    await asyncio.sleep(0.1)
    assert [(job.image_id, job.attempts) for job in (await queue.claim(1)).jobs] == [(image, 2)]


async def test_a_job_that_was_lost_to_another_worker_is_not_put_off(garden: Garden, street: Dataset) -> None:
    await received(garden, street, 1)
    lost = await Queue(garden.database, garden.space, NOW).claim(1)
    held = await Queue(garden.database, garden.space, HOUR).claim(1)
    async with garden.database.transaction() as connection:
        await retry_later(connection, lost, lost.jobs[0], HOUR)
    assert await execute(garden.database, "SELECT claim FROM job") == [(held.id,)]


async def lose_worker(garden: Garden, times: int) -> None:
    for _ in range(times):
        claim = await Queue(garden.database, garden.space, NOW).claim(10)
        assert claim.jobs


async def test_after_two_attempts_a_job_is_a_suspect_and_comes_alone(garden: Garden, street: Dataset) -> None:
    suspects = await received(garden, street, 2)
    await lose_worker(garden, 2)
    (healthy,) = await received(garden, street, 1)
    queue = Queue(garden.database, garden.space, HOUR)
    assert [job.image_id for job in (await queue.claim(10)).jobs] == [healthy]
    alone = [await queue.claim_suspect(), await queue.claim_suspect()]
    assert [len(claim.jobs) for claim in alone] == [1, 1]
    assert {claim.jobs[0].image_id for claim in alone} == set(suspects)
    assert {claim.jobs[0].attempts for claim in alone} == {3}
    assert (await queue.claim_suspect()).jobs == []


async def test_two_workers_never_claim_the_same_suspect(garden: Garden, street: Dataset) -> None:
    await received(garden, street, 20)
    await lose_worker(garden, 4)
    claims = await asyncio.gather(*(Queue(garden.database, garden.space, HOUR).claim_suspect() for _ in range(30)))
    taken = [job.image_id for claim in claims for job in claim.jobs]
    assert len(taken) == len(set(taken))


async def test_a_suspect_of_the_same_bytes_as_a_claimed_job_waits(garden: Garden, street: Dataset) -> None:
    await garden.receive(street, "one.jpg", content=b"same")
    await lose_worker(garden, 2)
    await garden.receive(street, "two.jpg", content=b"same")
    queue = Queue(garden.database, garden.space, HOUR)
    await execute(garden.database, "UPDATE job SET claim = NULL")
    assert len((await queue.claim(10)).jobs) == 1
    assert (await queue.claim_suspect()).jobs == []


async def test_an_image_that_somebody_waits_for_comes_first(garden: Garden, street: Dataset) -> None:
    images = await received(garden, street, 5)
    queue = Queue(garden.database, garden.space, HOUR)
    await Backlog(garden.database).hurry(images[3])
    assert [job.image_id for job in (await queue.claim(1)).jobs] == [images[3]]
    assert [job.image_id for job in (await queue.claim(1)).jobs] == [images[0]]


async def test_hurry_leaves_a_claimed_job_with_its_worker(garden: Garden, street: Dataset) -> None:
    (image,) = await received(garden, street, 1)
    queue = Queue(garden.database, garden.space, HOUR)
    claim = await queue.claim(1)
    await Backlog(garden.database).hurry(image)
    assert await execute(garden.database, "SELECT claim, priority FROM job") == [(claim.id, 0)]


async def test_hurry_does_nothing_for_an_image_that_is_done(garden: Garden, street: Dataset) -> None:
    image = await garden.plant(street, "done.jpg")
    await Backlog(garden.database).hurry(image)
    assert await Backlog(garden.database).depth() == (0, 0)


async def test_urgent_jobs_come_before_older_ones(garden: Garden, street: Dataset) -> None:
    images = await received(garden, street, 3)
    await execute(garden.database, "UPDATE job SET priority = %s WHERE image_id = %s", URGENT, images[2])
    claim = await Queue(garden.database, garden.space, HOUR).claim(1)
    assert [job.image_id for job in claim.jobs] == [images[2]]


async def test_released_jobs_are_ready_at_once_and_the_attempt_does_not_count(garden: Garden, street: Dataset) -> None:
    await received(garden, street, 2)
    queue = Queue(garden.database, garden.space, HOUR)
    await queue.release(await queue.claim(10))
    assert {job.attempts for job in (await queue.claim(10)).jobs} == {1}


async def test_queueing_an_image_again_starts_its_attempts_anew(garden: Garden, street: Dataset) -> None:
    (image,) = await received(garden, street, 1)
    await lose_worker(garden, 2)
    async with garden.database.transaction() as connection:
        await enqueue(connection, image)
    assert [job.attempts for job in (await Queue(garden.database, garden.space, HOUR).claim(1)).jobs] == [1]


async def test_a_deleted_image_takes_its_job_along(garden: Garden, street: Dataset) -> None:
    (image,) = await received(garden, street, 1)
    async with garden.database.transaction() as connection:
        await delete_image(connection, image)
    assert await Backlog(garden.database).depth() == (0, 0)


async def test_a_job_of_a_rolled_back_upload_was_never_there(garden: Garden, street: Dataset) -> None:
    image = await garden.plant(street, "done.jpg")
    with contextlib.suppress(RuntimeError):
        async with garden.database.transaction() as connection:
            await enqueue(connection, image)
            raise RuntimeError
    assert await Backlog(garden.database).depth() == (0, 0)


async def work(garden: Garden, handler: Any, *, lease: timedelta = HOUR, until: Any) -> None:
    """A worker that runs until `until()` is true."""
    stop = asyncio.Event()
    worker = Worker(garden.database, Queue(garden.database, garden.space, lease), handler, batch=4)
    running = asyncio.create_task(worker.run(stop))
    async with asyncio.timeout(20):
        while not until():  # noqa: ASYNC110 - what is waited for is different in each test
            await asyncio.sleep(0.01)
        stop.set()
        await running


async def test_a_worker_does_every_job_and_is_woken_by_new_ones(garden: Garden, street: Dataset) -> None:
    done: list[ImageId] = []

    async def handle(claim: Claim) -> None:
        done.extend(job.image_id for job in claim.jobs)
        await finish(garden.database, claim)

    async def upload() -> list[ImageId]:
        early = await received(garden, street, 10)
        await asyncio.sleep(0.3)
        return early + await received(garden, street, 3)

    uploading = asyncio.create_task(upload())
    await work(garden, handle, until=lambda: len(done) == 13)
    assert sorted(done) == sorted(await uploading)


async def test_a_slow_batch_keeps_its_claim_by_heartbeats(garden: Garden, street: Dataset) -> None:
    await received(garden, street, 1)
    seen: list[Job] = []
    finished: list[Claim] = []

    async def handle(claim: Claim) -> None:
        seen.extend(claim.jobs)
        await asyncio.sleep(1.2)
        await finish(garden.database, claim)
        finished.append(claim)

    await work(garden, handle, lease=timedelta(seconds=0.4), until=lambda: finished)
    assert [job.attempts for job in seen] == [1]


async def test_a_suspect_is_claimed_only_when_its_turn_has_come(garden: Garden, street: Dataset) -> None:
    """Claimed early, it would wait without heartbeats, and a crash of the batch before it would count against it."""
    await received(garden, street, 1)
    await lose_worker(garden, 2)
    await received(garden, street, 2)
    claimed_while_working: list[int] = []

    async def handle(claim: Claim) -> None:
        held = await execute(garden.database, "SELECT 1 FROM job WHERE claim IS NOT NULL AND ready_at > now()")
        claimed_while_working.append(len(held) - len(claim.jobs))
        await finish(garden.database, claim)

    worker = Worker(garden.database, Queue(garden.database, garden.space, HOUR), handle, batch=4)
    assert await worker.work_once()
    assert claimed_while_working == [0, 0]
    assert not await worker.work_once()


async def test_while_one_lane_has_a_suspect_the_other_goes_on_and_takes_no_second_one(
    garden: Garden, street: Dataset
) -> None:
    await received(garden, street, 2)
    await lose_worker(garden, 2)
    begun, go_on, handled = asyncio.Event(), asyncio.Event(), 0

    async def handle(claim: Claim) -> None:
        nonlocal handled
        handled += 1
        if claim.jobs[0].attempts > SUSPECT_ATTEMPTS and not begun.is_set():
            begun.set()
            await go_on.wait()
        await finish(garden.database, claim)

    worker = Worker(garden.database, Queue(garden.database, garden.space, HOUR), handle, batch=1)
    slow = asyncio.create_task(worker.work_once())
    await begun.wait()
    await received(garden, street, 1)
    assert await worker.work_once()
    assert not await worker.work_once()
    assert handled == 2
    go_on.set()
    assert await slow
    assert await worker.work_once()
    assert handled == 3


async def test_a_cancelled_worker_gives_its_jobs_back(garden: Garden, street: Dataset) -> None:
    await received(garden, street, 2)
    started = asyncio.Event()

    async def handle(claim: Claim) -> None:
        started.set()
        await asyncio.sleep(60)

    worker = Worker(garden.database, Queue(garden.database, garden.space, HOUR), handle, batch=4)
    working = asyncio.create_task(worker.work_once())
    await started.wait()
    working.cancel()
    with pytest.raises(asyncio.CancelledError):
        await working
    assert {job.attempts for job in (await Queue(garden.database, garden.space, HOUR).claim(10)).jobs} == {1}


async def test_a_worker_outlives_the_loss_of_all_its_connections(garden: Garden, street: Dataset) -> None:
    done: list[ImageId] = []

    async def handle(claim: Claim) -> None:
        done.extend(job.image_id for job in claim.jobs)
        await finish(garden.database, claim)

    async def cut_and_upload() -> None:
        await asyncio.sleep(0.2)
        # with a timeout, the server answers only when each of them has ended
        ended = await execute(
            garden.database,
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()",
        )
        assert len(ended) > 1
        images: list[ImageId] = []
        while len(images) < 3:
            with contextlib.suppress(Unavailable):  # whoever touches a dead connection is told to try again
                images += await received(garden, street, 1)

    cutting = asyncio.create_task(cut_and_upload())
    await work(garden, handle, until=lambda: len(done) >= 3)
    await cutting


# A clock that is set back

TWO_HOURS = timedelta(hours=2)


async def set_clock_back(garden: Garden, by: timedelta) -> None:
    """Rows as they are when the clock is set back after they were written: all their times lie further ahead."""
    await execute(garden.database, "UPDATE job SET ready_at = ready_at + %s", by)


async def test_images_that_wait_when_the_clock_is_set_back_are_taken_at_once_in_their_order(
    garden: Garden, street: Dataset
) -> None:
    before = await received(garden, street, 3)
    await set_clock_back(garden, TWO_HOURS)
    after = await received(garden, street, 1)
    queue = Queue(garden.database, garden.space, HOUR)
    taken = [{job.image_id for job in (await queue.claim(2)).jobs} for _ in range(2)]
    assert taken == [set(before[:2]), {before[2], *after}]


async def test_a_dead_workers_claim_and_a_retry_wait_no_longer_than_they_may_after_the_clock_was_set_back(
    garden: Garden, street: Dataset
) -> None:
    claimed, failed = await received(garden, street, 2)
    queue = Queue(garden.database, garden.space, timedelta(seconds=60))
    claim = await queue.claim(2)
    async with garden.database.connection() as connection:
        job = next(job for job in claim.jobs if job.image_id == failed)
        await retry_later(connection, claim, job, timedelta(seconds=30))
    assert (await queue.claim(2)).jobs == []
    await set_clock_back(garden, TWO_HOURS)
    assert {job.image_id for job in (await queue.claim(2)).jobs} == {claimed, failed}


async def test_a_living_workers_claim_is_not_taken_for_one_from_before_a_clock_was_set_back(
    garden: Garden, street: Dataset
) -> None:
    """Whatever lease the others have, and however the clocks of transactions differ by seconds."""
    await received(garden, street, 1)
    long, short = (Queue(garden.database, garden.space, lease) for lease in (HOUR, timedelta(seconds=1)))
    claim = await long.claim(1)
    await set_clock_back(garden, timedelta(seconds=30))
    assert (await short.claim(1)).jobs == []
    await long.heartbeat(claim)
    assert (await short.claim(1)).jobs == []


async def test_a_suspect_does_not_wait_for_a_clock_that_was_set_back_either(garden: Garden, street: Dataset) -> None:
    (image,) = await received(garden, street, 1)
    await execute(garden.database, "UPDATE job SET attempts = 3, ready_at = now(), waits = '8 seconds'")
    await set_clock_back(garden, TWO_HOURS)
    queue = Queue(garden.database, garden.space, HOUR)
    assert [job.image_id for job in (await queue.claim_suspect()).jobs] == [image]


async def test_a_batch_that_never_ends_loses_its_lease_and_shows_that_it_hangs(
    garden: Garden, street: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pictograph.jobs.worker.STUCK_AFTER_S", 0.0)
    await received(garden, street, 1)
    hangs = asyncio.Event()

    async def handle(claim: Claim) -> None:
        hangs.set()
        await asyncio.Event().wait()

    queue = Queue(garden.database, garden.space, timedelta(milliseconds=200))
    worker = Worker(garden.database, queue, handle, batch=1)
    assert not worker.is_stuck
    working = asyncio.create_task(worker.work_once())
    await hangs.wait()
    await asyncio.sleep(0)
    assert worker.is_stuck
    async with asyncio.timeout(20):
        while not (await queue.claim(1)).jobs:  # noqa: ASYNC110 - the lease ends in the database
            await asyncio.sleep(0.05)
    working.cancel()
    await asyncio.gather(working, return_exceptions=True)
    assert not worker.is_stuck
