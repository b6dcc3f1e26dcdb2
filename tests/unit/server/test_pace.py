"""Until when a body is waited for."""

from __future__ import annotations

import asyncio

import pytest
from starlette.types import Message, Receive

from pictograph.errors import SlowSender
from pictograph.server import pace
from pictograph.server.pace import Pace


def sender(size: int, pause_s: float, parts: int = 1000) -> Receive:
    """Sends `size` bytes after each pause, and the last of them after so many parts."""
    sent = 0

    async def receive() -> Message:
        nonlocal sent
        await asyncio.sleep(pause_s)
        sent += 1
        return {"type": "http.request", "body": bytes(size), "more_body": sent < parts}

    return receive


async def all_parts(receive: Receive) -> int:
    body = Pace()
    while (await body.next_part(receive))["more_body"]:
        pass
    return body.received


async def test_a_byte_now_and_then_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pace, "WINDOW_S", 0.1)
    with pytest.raises(SlowSender, match="too slowly"):
        await all_parts(sender(1, 0.01))


async def test_nothing_at_all_ends_at_the_end_of_the_window_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pace, "WINDOW_S", 0.1)
    with pytest.raises(SlowSender, match="too slowly"):
        await all_parts(sender(1, 10))


async def test_silence_ends_it_although_much_came_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pace, "SILENCE_S", 0.1)
    with pytest.raises(SlowSender, match="No more"):
        await all_parts(sender(10_000_000, 10))


async def test_who_sends_enough_is_heard_to_the_end_however_long_it_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pace, "WINDOW_S", 0.05)
    assert await all_parts(sender(10_000, 0.01, parts=30)) == 300_000


async def test_time_in_which_we_do_not_listen_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pace, "WINDOW_S", 0.1)
    body, receive = Pace(), sender(1, 0)
    for _ in range(3):
        await body.next_part(receive)
        assert body.silent_s(1e12) == 0.0
        await asyncio.sleep(0.06)


async def test_what_is_given_up_ends_at_once_or_the_next_time() -> None:
    body = Pace()
    waiting = asyncio.create_task(body.next_part(sender(1, 100)))
    await asyncio.sleep(0.01)
    assert body.silent_s(1e12) > 0
    body.give_up(SlowSender("others waited"))
    with pytest.raises(SlowSender, match="others waited"):
        await waiting
    with pytest.raises(SlowSender, match="others waited"):
        await body.next_part(sender(1, 0))
