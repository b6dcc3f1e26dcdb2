"""Readers of words: at a switch to another encoder, whoever waits for the old one gets their vector."""

from __future__ import annotations

import asyncio
import threading

import numpy as np
import pytest

from pictograph.encode.noop import SPEC
from pictograph.encode.protocol import EncoderSpec, FloatArray
from pictograph.search import words
from pictograph.search.words import WordReaders
from pictograph.spaces.registry import Space
from pictograph.types import SpaceId


class SlowWords:
    """An encoder that answers when it is told to."""

    def __init__(self, source: str, go: threading.Event) -> None:
        self.spec = EncoderSpec(source, SPEC.revision, SPEC.dimension, SPEC.input_px, has_text=True)
        self._go = go

    def encode_texts(self, texts: list[str]) -> FloatArray:
        assert self._go.wait(30)
        return np.full((len(texts), 1152), float(self.spec.name), np.float32)


def space(number: int) -> Space:
    return Space(SpaceId(number), str(number), SPEC.revision, SPEC.dimension, str(number), True, False, 1.0, 1.0)


def threads() -> int:
    return sum(thread.name.startswith("words") for thread in threading.enumerate())


async def until_no_threads(left: int) -> None:
    async with asyncio.timeout(30):
        while threads() > left:  # noqa: ASYNC110 - there is nothing to wait for but the thread itself
            await asyncio.sleep(0.01)


async def test_those_who_wait_at_a_switch_get_their_vectors_and_then_the_old_reader_ends(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(words, "KEPT_AFTER_SWITCH_S", 0.0)
    before, go = threads(), threading.Event()
    readers = WordReaders(lambda source: SlowWords(source, go))  # type: ignore[arg-type,return-value]
    asked = [asyncio.create_task(readers.of(space(1)).vector_of(f"words {number}")) for number in range(4)]
    await asyncio.sleep(0.05)
    new = asyncio.create_task(readers.of(space(2)).vector_of("words"))
    await asyncio.sleep(0.05)
    assert threads() == before + 2
    go.set()
    assert [vector[0] for vector in await asyncio.gather(*asked, new)] == [1, 1, 1, 1, 2]
    await until_no_threads(before + 1)
    readers.close()
    await until_no_threads(before)


async def test_a_search_that_read_the_old_space_before_the_switch_does_not_open_it_anew() -> None:
    loads: list[str] = []
    go = threading.Event()
    go.set()

    def load(source: str) -> SlowWords:
        loads.append(source)
        return SlowWords(source, go)

    readers = WordReaders(load)  # type: ignore[arg-type]
    for number in (1, 2, 1, 2, 1, 2):
        await readers.of(space(number)).vector_of("new words for each" * number)
    assert loads == ["1", "2"]
    readers.retire_others()
    assert (await readers.of(space(2)).vector_of("still there"))[0] == 2
    readers.close()


async def test_a_reader_that_was_let_go_serves_who_is_cancelled_and_who_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(words, "KEPT_AFTER_SWITCH_S", 0.0)
    go = threading.Event()
    readers = WordReaders(lambda source: SlowWords(source, go))  # type: ignore[arg-type,return-value]
    gone, stays = (asyncio.create_task(readers.of(space(1)).vector_of(text)) for text in ("gone", "stays"))
    await asyncio.sleep(0.05)
    readers.of(space(2))
    gone.cancel()
    await asyncio.sleep(0.05)
    go.set()
    assert (await stays)[0] == 1
    assert gone.cancelled()
    readers.close()
