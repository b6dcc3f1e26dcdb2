"""The 1000 classes: their names, and a word vector for each."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .graph import Array
from .wordnet import Noun, hypernyms

HYPERNYMS = 4
DECAY = 0.85
"""Each step up the tree counts this much less. Measured: docs/offline-encoder.md, "Words"."""

TextEncoder = Callable[[Sequence[str]], Array]
"""Texts to float32 (N, 384) unit rows."""


@dataclass(frozen=True)
class ClassName:
    """One class of ImageNet-1k, as the network numbers them."""

    index: int
    wnid: str
    name: str


def read_classes(names_file: Path, wnids_file: Path) -> list[ClassName]:
    """All 1000, by index."""
    names = json.loads(names_file.read_text(encoding="utf-8"))
    wnids = json.loads(wnids_file.read_text(encoding="utf-8"))
    return [ClassName(index, wnids[str(index)], name) for index, name in enumerate(names)]


def class_vectors(classes: Sequence[ClassName], nouns: dict[str, Noun], encode: TextEncoder) -> Array:
    """float32 (1000, 384), unit rows: a class's name and what it is a kind of, each step up counting less.

    "goldfinch" = vec(goldfinch) + .85 vec(finch) + .72 vec(oscine) + .61 vec(passerine) + .52 vec(bird), normalised.
    """
    chains = [[entry.name, *hypernyms(nouns, entry.wnid[1:])[:HYPERNYMS]] for entry in classes]
    words = sorted({word for chain in chains for word in chain})
    vectors = dict(zip(words, encode(words), strict=True))
    rows = np.stack([sum(DECAY**step * vectors[word] for step, word in enumerate(chain)) for chain in chains])
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)
