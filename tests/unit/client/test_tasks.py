from __future__ import annotations

import asyncio
import threading
from contextlib import aclosing

from pictograph.client.patience import Patience
from pictograph.client.tasks import pause, run_blocking, side_by_side


async def test_every_item_has_its_outcome_and_no_more_are_at_work_than_allowed() -> None:
    at_work, most, both = 0, 0, asyncio.Event()

    async def work(item: int) -> int:
        nonlocal at_work, most
        at_work += 1
        most = max(most, at_work)
        if at_work == 2:
            both.set()
        await both.wait()
        at_work -= 1
        if item == 3:
            raise ValueError("three")
        return item * 10

    async with aclosing(side_by_side(work, range(7), 2, threading.Event())) as outcomes:
        found = {item: outcome async for item, outcome in outcomes}
    assert isinstance(found.pop(3), ValueError)
    assert found == {item: item * 10 for item in (0, 1, 2, 4, 5, 6)}
    assert most == 2


async def test_who_leaves_early_ends_what_is_under_way() -> None:
    ended: list[int] = []
    begun: list[int] = []
    stopped = threading.Event()

    async def work(item: int) -> int:
        begun.append(item)
        try:
            await asyncio.sleep(3600 if item else 0)
        except asyncio.CancelledError:
            ended.append(item)
            raise
        return item

    async with aclosing(side_by_side(work, range(50), 3, stopped)) as outcomes:
        assert await anext(outcomes) == (0, 0)
    assert stopped.is_set()
    assert sorted(ended) == sorted(set(begun) - {0})
    assert len(begun) < 10


async def test_nothing_to_do_is_done_at_once() -> None:
    async def work(item: int) -> int:
        return item

    assert [outcome async for outcome in side_by_side(work, [], 4, threading.Event())] == []


async def test_a_pause_says_whether_it_was_in_vain() -> None:
    patience = Patience()
    assert not await pause(0)
    assert not await pause(0, patience)
    patience.stopped.set()
    assert await pause(0, patience)


async def test_what_blocks_runs_beside_the_loop() -> None:
    assert await run_blocking(threading.get_ident) != threading.get_ident()
