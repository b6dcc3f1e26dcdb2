"""What a serving process is told by the one that started it, and what it does when it is told nothing."""

from __future__ import annotations

import asyncio
import os
import time
from dataclasses import asdict
from uuid import UUID, uuid4

import pytest

from pictograph.server import told
from pictograph.server.told import Crew, Told, ToldVersions, line_of, lines_of, told_reading
from pictograph.store.key_memory import Reading
from pictograph.types import SpaceId


class Own:
    """Reads when it is asked, and counts how often that is."""

    def __init__(self) -> None:
        self.readings = 0

    async def since(self, moment: float) -> Reading:
        self.readings += 1
        return Reading(max(moment, time.monotonic()), uuid4())


async def test_a_reading_that_is_told_answers_everybody_who_asked_before_it() -> None:
    wishes: list[float] = []
    own = Own()
    versions = ToldVersions(lambda: wishes.append(time.monotonic()), own)
    asking = [asyncio.create_task(versions.since(float(moment))) for moment in range(3)]
    await asyncio.sleep(0)
    reading = Reading(5.0, uuid4())
    versions.hear(reading)
    assert await asyncio.gather(*asking) == [reading] * 3
    assert await versions.since(4.0) == reading  # without a wish
    assert (len(wishes), own.readings) == (3, 0)


async def test_an_older_reading_is_not_enough() -> None:
    versions = ToldVersions(lambda: None, Own())
    asking = asyncio.create_task(versions.since(5.0))
    await asyncio.sleep(0)
    versions.hear(Reading(4.0, uuid4()))
    await asyncio.sleep(0.01)
    assert not asking.done()
    new = Reading(6.0, uuid4())
    versions.hear(new)
    assert await asking == new


async def test_who_is_told_nothing_or_that_nothing_can_be_read_reads_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    own = Own()
    versions = ToldVersions(lambda: None, own)
    asking = asyncio.create_task(versions.since(1.0))
    await asyncio.sleep(0)
    versions.hear(None)
    await asking
    assert own.readings == 1
    monkeypatch.setattr(told, "PATIENCE_S", 0.01)
    await versions.since(2.0)
    assert own.readings == 2
    monkeypatch.setattr(told, "PATIENCE_S", 1e6)
    await versions.since(3.0)  # at once: it is alone for a while
    versions.hear(reading := Reading(5.0, uuid4()))
    assert await versions.since(4.0) == reading
    assert own.readings == 3


async def test_news_travel_through_a_pipe_whole_and_its_end_is_noticed() -> None:
    readable, writable = os.pipe()
    crew = Crew(2, {"7": 2}, [], ["1 of 2 serving processes do not answer"])
    reading = Reading(12.5, UUID(int=3))
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    hearing = Told(Crew(), signs=-1)
    hearing.listen(lines_of(readable), then=lambda: loop.call_soon_threadsafe(ended.set))
    sent = line_of({"crew": asdict(crew)}) + line_of({"keys": told_reading(reading)})
    for start in range(0, len(sent), 10):
        os.write(writable, sent[start : start + 10])
    os.close(writable)
    async with asyncio.timeout(10):
        await ended.wait()
    os.close(readable)
    assert hearing.crew == crew
    assert hearing.crew.alive_for(SpaceId(7)) == 2
    assert hearing.crew.alive_for(SpaceId(8)) == 0
