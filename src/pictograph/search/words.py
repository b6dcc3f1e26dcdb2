"""Words -> vectors for searches: one model in this process, opened by the first search that needs it."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from pictograph.encode.protocol import Encoder, FloatArray
from pictograph.errors import ValidationError
from pictograph.index.spaces import Space, names, other_encoder

REMEMBERED: Final = 1000
"""Texts whose vectors are kept: 4.6 kB each."""


class WordReaders:
    """The reader of whatever space is active: after a reindex, the next search opens the new encoder's words."""

    def __init__(self, load: Callable[[str], Encoder]) -> None:
        """load: makes an encoder from a space's `source`, to be asked for words alone."""
        self._load = load
        self._current: WordReader | None = None

    def of(self, space: Space) -> WordReader:
        """The reader that makes vectors of this space; the one of the space before is closed."""
        if self._current is None or self._current.space.id != space.id:
            self.close()
            self._current = WordReader(space, lambda: self._load(space.source))
        return self._current

    def close(self) -> None:
        """Ends the thread."""
        if self._current is not None:
            self._current.close()


class WordReader:
    """Turns texts into vectors of one encoder's space. One at a time: a text takes milliseconds, its model memory."""

    def __init__(self, space: Space, load: Callable[[], Encoder]) -> None:
        self.space = space
        """Where its vectors can be compared with those of pictures."""
        self._load = load
        self._encoder: Encoder | None = None
        self._thread = ThreadPoolExecutor(1, "words")
        self._remembered: OrderedDict[str, FloatArray] = OrderedDict()

    async def vector_of(self, text: str) -> FloatArray:
        """float32 (1152,), unit length.

        Raises ValidationError if the encoder cannot read, SpaceMismatch if its files are no longer those of the space.
        """
        words = " ".join(text.split()).lower()
        if words not in self._remembered:
            self._remember(words, await asyncio.get_running_loop().run_in_executor(self._thread, self._encode, words))
        self._remembered.move_to_end(words)
        return self._remembered[words]

    def close(self) -> None:
        """Ends the thread."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _encode(self, words: str) -> FloatArray:
        if self._encoder is None:
            self._encoder = self._opened()
        row: FloatArray = self._encoder.encode_texts([words])[0]
        return row

    def _opened(self) -> Encoder:
        encoder = self._load()
        if not names(self.space, encoder.spec):
            raise other_encoder(self.space, encoder.spec, self.space.source)
        if not encoder.spec.has_text:
            raise ValidationError(
                f"The encoder {encoder.spec.name} has no text side, so words find nothing here. Search by likeness or "
                "by tag, or move the library to an encoder that reads (pictograph reindex)."
            )
        return encoder

    def _remember(self, words: str, vector: FloatArray) -> None:
        self._remembered[words] = vector
        while len(self._remembered) > REMEMBERED:
            self._remembered.popitem(last=False)
