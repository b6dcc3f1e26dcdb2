"""A search engine on a planted database, with an encoder that reads a few words."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from pictograph.encode.noop import SPEC, NoopEncoder
from pictograph.encode.protocol import EncoderSpec, FloatArray
from pictograph.jobs.queue import Backlog
from pictograph.search.engine import SearchEngine
from pictograph.search.ground import Index
from pictograph.search.words import WordReaders
from pictograph.spaces.registry import Spaces
from pictograph.types import TagCategory
from support.planting import Garden, direction

READING_SPEC = EncoderSpec(SPEC.name, SPEC.revision, SPEC.dimension, SPEC.input_px, has_text=True)


class ReadingEncoder(NoopEncoder):
    """`along 0.8` is the direction with that cosine to `direction(1.0)`; counts what it was asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    @property
    def spec(self) -> EncoderSpec:
        return READING_SPEC

    def encode_texts(self, texts: Sequence[str]) -> FloatArray:
        self.asked += texts
        return np.stack([direction(float(text.split()[-1])) for text in texts])


def engine_of(
    garden: Garden,
    is_label: Callable[[TagCategory, str], bool] = lambda _category, _label: True,
    encoder: NoopEncoder | None = None,
    index: Index | None = None,
    ordinary_words: Sequence[str] = (),
) -> SearchEngine:
    chosen = encoder or NoopEncoder()
    words = WordReaders(lambda _source: chosen)
    return SearchEngine(
        garden.database,
        Backlog(garden.database),
        Spaces(garden.database),
        words,
        is_label,
        index=index,
        ordinary_words=ordinary_words,
    )
