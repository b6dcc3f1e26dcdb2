"""What runs beside requests ends with the service, whatever it does."""

from __future__ import annotations

import asyncio

import pytest

from pictograph.server import background
from pictograph.server.background import beside


async def test_a_step_that_loses_a_cancellation_is_cancelled_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(background, "CANCEL_AGAIN_S", 0.01)
    lost = []

    async def step() -> None:
        while True:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                lost.append(True)
                if len(lost) > 1:
                    raise

    async with asyncio.timeout(20):
        async with beside(step):
            await asyncio.sleep(0)
    assert len(lost) == 2
