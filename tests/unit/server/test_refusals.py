"""Refusals are spaced, so that whoever tries keys is slow and nobody else is."""

from __future__ import annotations

import asyncio

import pytest

from pictograph.server import refusals
from pictograph.server.refusals import Refusals


@pytest.fixture
def slept(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long every refusal waited; nobody waits really, and no time passes."""
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(round(seconds, 3))

    monkeypatch.setattr("pictograph.server.refusals.asyncio.sleep", sleep)
    monkeypatch.setattr("pictograph.server.refusals.time.monotonic", lambda: 1000.0)
    return waits


async def test_a_few_are_refused_at_once_and_of_many_10_a_second(slept: list[float]) -> None:
    spaced = Refusals()
    for _ in range(refusals.BURST + 41):
        await spaced.turn()
    assert slept == [0.0] * (refusals.BURST + 1) + [round(n / refusals.PER_S, 3) for n in range(1, 41)]


async def test_of_two_processes_each_refuses_half_as_many(slept: list[float]) -> None:
    spaced = Refusals(processes=2)
    for _ in range(refusals.BURST // 2 + 41):
        await spaced.turn()
    assert slept == [0.0] * (refusals.BURST // 2 + 1) + [round(2 * n / refusals.PER_S, 3) for n in range(1, 41)]


async def test_nobody_waits_longer_than_the_bound(slept: list[float]) -> None:
    spaced = Refusals()
    for _ in range(10_000):
        await spaced.turn()
    assert refusals.LONGEST_WAIT_S - 0.1 < max(slept) <= refusals.LONGEST_WAIT_S


async def test_time_that_passes_is_credited() -> None:
    spaced = Refusals()
    await asyncio.gather(*(spaced.turn() for _ in range(refusals.BURST)))
    await asyncio.wait_for(spaced.turn(), 5)
