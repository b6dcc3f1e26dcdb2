"""Who gets a place: shares for organizations and keys, and nobody who stalls keeps others out."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from uuid import UUID

import pytest
from starlette.types import Message

from pictograph.errors import RateLimitError, SlowSender
from pictograph.server import admission
from pictograph.server.admission import Admission, Owner
from pictograph.server.pace import Pace

ANNA, BERT, CARL = (Owner(UUID(int=n), UUID(int=n)) for n in (1, 2, 3))
OTHER_KEY_OF_ANNA = Owner(UUID(int=1), UUID(int=9))


async def nothing_comes() -> Message:
    await asyncio.Event().wait()
    raise AssertionError


@asynccontextmanager
async def sending(places: Admission, owner: Owner) -> AsyncIterator[asyncio.Task[Message]]:
    """An upload inside that waits for bytes which do not come; the task tells why it ended."""
    pace = Pace()
    gone = asyncio.Event()

    async def upload() -> Message:
        async with places.place(owner, pace):
            inside.set()
            return await pace.next_part(nothing_comes)

    inside = asyncio.Event()
    task = asyncio.create_task(upload())
    await inside.wait()
    try:
        yield task
    finally:
        gone.set()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def enter(places: Admission, owner: Owner, entered: list[Owner], leave: asyncio.Event) -> None:
    async with places.place(owner):
        entered.append(owner)
        await leave.wait()


async def test_one_alone_may_have_every_place_and_not_one_more() -> None:
    places = Admission(1, 3)
    async with AsyncExitStack() as held:
        for _ in range(4):
            await held.enter_async_context(places.place(ANNA))
        assert places.inside == 4
        with pytest.raises(RateLimitError, match="max_uploads"):
            await held.enter_async_context(places.place(ANNA))
    assert places.inside == 0


async def test_a_place_that_comes_free_goes_to_whose_organization_and_key_have_the_fewest() -> None:
    places, leave, entered = Admission(1, 3), asyncio.Event(), list[Owner]()
    async with AsyncExitStack() as held:
        first = [AsyncExitStack() for _ in range(4)]
        for one in first:
            await one.enter_async_context(places.place(ANNA))
        wanting = [ANNA, OTHER_KEY_OF_ANNA, BERT, CARL]
        tasks = []
        for owner in wanting:
            tasks.append(asyncio.create_task(enter(places, owner, entered, leave)))
            await asyncio.sleep(0)
        for one in first:
            await one.aclose()
            await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert set(entered[:2]) == {BERT, CARL}
        assert entered[2:] == [OTHER_KEY_OF_ANNA, ANNA]
        leave.set()
        await asyncio.gather(*tasks)
        await held.aclose()
    assert places.inside == 0


async def test_who_stalls_loses_the_place_to_who_waits_even_with_the_same_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admission, "STALLED_S", 0.2)
    places = Admission(1, 1)
    async with sending(places, ANNA) as one, sending(places, ANNA) as other:
        async with places.place(ANNA):
            ended = [task for task in (one, other) if task.done()]
        assert len(ended) == 1  # one place was wanted
        with pytest.raises(SlowSender, match="others waited"):
            await ended[0]


async def test_who_stalls_keeps_the_place_while_nobody_wants_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admission, "STALLED_S", 0.0)
    places = Admission(1, 1)
    async with sending(places, ANNA) as one, places.place(BERT):
        await asyncio.sleep(0.3)
        assert not one.done()


async def test_the_slowest_of_an_organization_above_its_share_makes_room_for_another(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(admission, "STALLED_S", 0.2)
    monkeypatch.setattr(admission, "LONGEST_WAIT_S", 1.0)
    monkeypatch.setattr(Admission, "_give_up_stalled", lambda *_: None)  # they send, only not fast
    places = Admission(1, 1)
    async with sending(places, ANNA) as one, sending(places, ANNA) as other, places.place(BERT):
        assert sorted([one.done(), other.done()]) == [False, True]
        with pytest.raises(RateLimitError):
            await (one if one.done() else other)
        with pytest.raises(RateLimitError):  # each has its share now
            async with places.place(ANNA):
                pass


async def test_who_gives_up_waiting_leaves_nothing_behind() -> None:
    places = Admission(1, 0)
    async with places.place(ANNA):
        waiting = asyncio.create_task(enter(places, BERT, [], asyncio.Event()))
        await asyncio.sleep(0.05)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
    assert places.inside == 0
    async with places.place(CARL):
        assert places.inside == 1


async def test_the_line_is_not_endless(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admission, "MOST_IN_LINE", 0)
    places = Admission(1, 0)
    async with places.place(ANNA):
        with pytest.raises(RateLimitError):
            async with places.place(BERT):
                pass
