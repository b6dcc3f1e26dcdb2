"""Words -> vectors for searches: one model in this process, opened by the first search that needs it."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final, TypeVar

import numpy as np

from pictograph.encode.protocol import Encoder, FloatArray, SightedEncoder
from pictograph.errors import ValidationError
from pictograph.spaces.registry import Space, names, other_encoder
from pictograph.types import SpaceId

KEPT_AFTER_SWITCH_S: Final = 30.0
"""The reader of the space before: for searches that began before a switch."""
REMEMBERED: Final = 1000
"""Texts whose vectors are kept: 4.6 kB each."""
LEAST_LETTERS: Final = 3
"""Of a word that is looked at by itself: not `a`, not `on`."""
MOST_PARTS: Final = 12
"""Words of a text that are looked at by themselves."""


Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Reach:
    """How near some words come to what their encoder has a sight of."""

    cosine: float
    """The highest that a picture of one thing would have with them."""
    is_known: bool
    """Whether they, or one word of them, name something that it has a sight of."""
    known_from: float
    """The cosine from which that is so."""


class WordReaders:
    """The reader of whatever space is active: after a reindex, the next search opens the new encoder's words."""

    def __init__(self, load: Callable[[str], Encoder]) -> None:
        """load: makes an encoder from a space's `source`, to be asked for words alone."""
        self._load = load
        self._readers: OrderedDict[SpaceId, WordReader] = OrderedDict()
        """Asked last at the end. More than one only in the moments after a switch."""

    def of(self, space: Space) -> WordReader:
        """The reader that makes vectors of this space.

        That of the space before is kept for half a minute: searches that began before the switch still ask it.
        """
        if space.id not in self._readers:
            self._readers[space.id] = WordReader(space, lambda: self._load(space.source))
            if len(self._readers) > 1:
                asyncio.get_running_loop().call_later(KEPT_AFTER_SWITCH_S, self.retire_others)
        self._readers.move_to_end(space.id)
        return self._readers[space.id]

    def retire_others(self) -> None:
        """Lets go of all but the reader asked last; each ends when those who wait for it have their vectors."""
        while len(self._readers) > 1:
            _, reader = self._readers.popitem(last=False)
            reader.retire()

    def close(self) -> None:
        """Ends the threads."""
        for reader in self._readers.values():
            reader.close()


class WordReader:
    """Turns texts into vectors of one encoder's space. One at a time: a text takes milliseconds, its model memory."""

    def __init__(self, space: Space, load: Callable[[], Encoder]) -> None:
        self.space = space
        """Where its vectors can be compared with those of pictures."""
        self._load = load
        self._encoder: Encoder | None = None
        self._thread = ThreadPoolExecutor(1, "words")
        self._remembered: OrderedDict[str, FloatArray] = OrderedDict()
        self._reaches: OrderedDict[str, Reach | None] = OrderedDict()
        self._waiting = 0
        self._is_retired = False

    async def vector_of(self, text: str) -> FloatArray:
        """float32 (1152,), unit length.

        Raises ValidationError if the encoder cannot read, SpaceMismatch if its files are no longer those of the space.
        """
        words = plain(text)
        vector = self._remembered.get(words)
        if vector is None:
            vector = (await self.vectors_of([words]))[0]
            remember(self._remembered, words, vector)
        self._remembered.move_to_end(words)
        return vector

    async def vectors_of(self, texts: Sequence[str]) -> FloatArray:
        """float32 (N, 1152), unit rows. Raises as `vector_of` does."""
        return await self._in_thread(lambda: self._opened().encode_texts(texts))

    async def reach_of(self, text: str) -> Reach | None:
        """How near the words come to what the encoder has a sight of; None if it does not say.

        Raises as `vector_of` does.
        """
        words = plain(text)
        if words not in self._reaches:
            vector = await self.vector_of(words)
            reach = await self._in_thread(lambda: reach_of(self._opened(), words, vector))
            remember(self._reaches, words, reach)
        self._reaches.move_to_end(words)
        return self._reaches[words]

    async def _in_thread(self, call: Callable[[], Result]) -> Result:
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, call)
        finally:
            self._waiting -= 1
            self._end_if_unused()

    def retire(self) -> None:
        """Ends the thread once no question waits for it."""
        self._is_retired = True
        self._end_if_unused()

    def _end_if_unused(self) -> None:
        if self._is_retired and not self._waiting:
            self.close()

    def close(self) -> None:
        """Ends the thread."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _opened(self) -> Encoder:
        if self._encoder is None:
            self._encoder = self._open()
        return self._encoder

    def _open(self) -> Encoder:
        encoder = self._load()
        if not names(self.space, encoder.spec):
            raise other_encoder(self.space, encoder.spec, self.space.source)
        if not encoder.spec.has_text:
            raise ValidationError(
                f"The encoder {encoder.spec.name} has no text side, so words find nothing here. Search by likeness or "
                "by tag, or move the library to an encoder that reads (pictograph reindex)."
            )
        return encoder


def reach_of(encoder: Encoder, words: str, vector: FloatArray) -> Reach | None:
    """None for an encoder that does not say. words: as `plain` has them; vector: theirs, float32 (1152,)."""
    if not isinstance(encoder, SightedEncoder):
        return None
    cosine = float(encoder.reach(vector[np.newaxis])[0])
    known = cosine >= encoder.known_from
    parts = [part for part in words.split() if len(part) >= LEAST_LETTERS][:MOST_PARTS]
    if not known and len(parts) > 1:  # a dog on grass is none of the things, but a dog is
        known = bool((encoder.reach(encoder.encode_texts(parts)) >= encoder.known_from).any())
    return Reach(cosine, known, encoder.known_from)


def plain(text: str) -> str:
    """The text as encoders are asked it: one blank between words, lower case."""
    return " ".join(text.split()).lower()


def remember(memory: OrderedDict[str, Result], words: str, value: Result) -> None:
    """Keeps the value; the one asked longest ago gives way."""
    memory[words] = value
    while len(memory) > REMEMBERED:
        memory.popitem(last=False)
