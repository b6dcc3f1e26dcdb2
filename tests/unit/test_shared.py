"""Who asks the same at the same time gets one answer, made once."""

from __future__ import annotations

import asyncio

import pytest

from pictograph.shared import Shared


async def test_an_answer_is_made_once_for_all_who_wait_and_anew_for_who_comes_later() -> None:
    made = 0
    go_on = asyncio.Event()

    async def make() -> int:
        nonlocal made
        made += 1
        await go_on.wait()
        return made

    shared = Shared[int]()
    asking = [asyncio.create_task(shared.of(make)) for _ in range(20)]
    await asyncio.sleep(0)
    go_on.set()
    assert await asyncio.gather(*asking) == [1] * 20
    assert await shared.of(make) == 2


async def test_who_gives_up_leaves_the_answer_to_the_others() -> None:
    go_on = asyncio.Event()

    async def make() -> str:
        await go_on.wait()
        return "made"

    shared = Shared[str]()
    patient = asyncio.create_task(shared.of(make))
    with pytest.raises(TimeoutError):
        await shared.of(make, within_s=0.01)
    go_on.set()
    assert await patient == "made"


async def test_a_failure_is_told_to_all_and_not_kept() -> None:
    shared = Shared[str]()

    async def fail() -> str:
        raise ValueError("no")

    async def make() -> str:
        return "made"

    told = await asyncio.gather(shared.of(fail), shared.of(fail), return_exceptions=True)
    assert [str(error) for error in told] == ["no", "no"]
    assert await shared.of(make) == "made"
