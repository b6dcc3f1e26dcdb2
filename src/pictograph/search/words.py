"""Words -> vectors for searches: one model in this process, opened by the first search that needs it."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from pictograph.encode.protocol import Encoder, EncoderSpec, FloatArray
from pictograph.errors import ValidationError
from pictograph.types import SpaceId

REMEMBERED: Final = 1000
"""Texts whose vectors are kept: 4.6 kB each."""


class WordReader:
    """Turns texts into vectors of one encoder's space. One at a time: a text takes milliseconds, its model memory."""

    def __init__(self, spec: EncoderSpec, space_id: SpaceId, load: Callable[[], Encoder]) -> None:
        self.space_id = space_id
        """Where its vectors can be compared with those of pictures."""
        self._spec = spec
        self._load = load
        self._encoder: Encoder | None = None
        self._thread = ThreadPoolExecutor(1, "words")
        self._remembered: OrderedDict[str, FloatArray] = OrderedDict()

    async def vector_of(self, text: str) -> FloatArray:
        """float32 (1152,), unit length. Raises ValidationError if the encoder cannot read."""
        if not self._spec.has_text:
            raise ValidationError(
                f"The encoder {self._spec.name} has no text side, so words find nothing here. Search by likeness or by "
                "tag, or start the service with an encoder that reads."
            )
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
            self._encoder = self._load()
        row: FloatArray = self._encoder.encode_texts([words])[0]
        return row

    def _remember(self, words: str, vector: FloatArray) -> None:
        self._remembered[words] = vector
        while len(self._remembered) > REMEMBERED:
            self._remembered.popitem(last=False)
