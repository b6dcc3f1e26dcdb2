"""What is in flight is bounded by what it weighs."""

from __future__ import annotations

import asyncio

import pytest

from pictograph.jobs.budget import ByteBudget


async def settled() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


class Holder:
    """Holds some bytes until it is told to let go."""

    def __init__(self, budget: ByteBudget, size_bytes: int) -> None:
        self.holds = False
        self._let_go = asyncio.Event()
        self.task = asyncio.create_task(self._hold(budget, size_bytes))

    async def _hold(self, budget: ByteBudget, size_bytes: int) -> None:
        async with budget.hold(size_bytes):
            self.holds = True
            await self._let_go.wait()
        self.holds = False

    async def let_go(self) -> None:
        self._let_go.set()
        await self.task
        await settled()


async def test_no_more_is_held_than_there_is() -> None:
    budget = ByteBudget(100)
    first, second, third = (Holder(budget, 40) for _ in range(3))
    await settled()
    assert (first.holds, second.holds, third.holds, budget.in_use) == (True, True, False, 80)
    await first.let_go()
    assert third.holds
    for holder in (second, third):
        await holder.let_go()
    assert budget.in_use == 0


async def test_what_weighs_more_than_there_is_goes_alone() -> None:
    budget = ByteBudget(100)
    small = Holder(budget, 1)
    await settled()
    huge = Holder(budget, 10_000)
    await settled()
    assert (small.holds, huge.holds) == (True, False)
    await small.let_go()
    assert huge.holds
    await huge.let_go()


async def test_the_light_do_not_pass_the_heavy() -> None:
    budget = ByteBudget(100)
    first = Holder(budget, 60)
    await settled()
    heavy, light = Holder(budget, 90), Holder(budget, 1)
    await settled()
    assert (heavy.holds, light.holds) == (False, False)
    await first.let_go()
    assert (heavy.holds, light.holds) == (True, True)
    await heavy.let_go()
    await light.let_go()


async def test_who_gives_up_waiting_leaves_the_others_their_turn() -> None:
    budget = ByteBudget(100)
    first = Holder(budget, 60)
    await settled()
    heavy, light = Holder(budget, 90), Holder(budget, 40)
    await settled()
    heavy.task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await heavy.task
    await settled()
    assert light.holds
    await first.let_go()
    await light.let_go()
    assert budget.in_use == 0


async def test_who_is_cancelled_at_its_turn_gives_the_bytes_back() -> None:
    budget = ByteBudget(100)
    first = Holder(budget, 100)
    await settled()
    second = Holder(budget, 100)
    await settled()
    first._let_go.set()
    await first.task
    second.task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await second.task
    assert budget.in_use == 0
