"""Counts what other tags would mean. Pure."""

from __future__ import annotations

from collections import Counter
from heapq import nsmallest
from typing import Final

from pictograph.tagging.taxonomy import Label
from pictograph.types import Sha256, Tags

EXAMPLES: Final = 10
"""Shown of those that gain a tag, and of those that lose it."""


class Changes:
    """What a threshold would change: counts of images, and some of them."""

    def __init__(self, label: Label, threshold: float) -> None:
        self._label = label
        self._threshold = threshold
        self._examples: dict[bool, list[tuple[Sha256, float]]] = {True: [], False: []}
        self.images = 0
        """Images whose tags would be others."""
        self.gains: Counter[str] = Counter()
        """`"objects/dog" -> 3`: images that would get the tag."""
        self.losses: Counter[str] = Counter()

    def add(self, sha256: Sha256, before: Tags, after: Tags, score: float, images: int) -> None:
        """Counts `images` images with the same bytes. score: that of the label whose threshold changes."""
        old, new = keys(before), keys(after)
        if before == after:
            return
        self.images += images
        self.gains.update(dict.fromkeys(new - old, images))
        self.losses.update(dict.fromkeys(old - new, images))
        if self._label.key in new ^ old:
            self._remember(self._label.key in new, sha256, score)

    def _remember(self, gained: bool, sha256: Sha256, score: float) -> None:
        kept = [*self._examples[gained], (sha256, score)]
        self._examples[gained] = nsmallest(EXAMPLES, kept, key=lambda item: abs(item[1] - self._threshold))

    def gained_examples(self) -> list[tuple[Sha256, float]]:
        """Bytes that would get the label, with their scores: those next to the threshold, which tell most about it."""
        return self._examples[True]

    def lost_examples(self) -> list[tuple[Sha256, float]]:
        """Bytes that would lose the label, with their scores: those next to the threshold first."""
        return self._examples[False]

    @property
    def gained(self) -> int:
        """Images that would get the label itself."""
        return self.gains[self._label.key]

    @property
    def lost(self) -> int:
        """Images that would lose the label itself."""
        return self.losses[self._label.key]

    def others(self) -> list[tuple[str, int, int]]:
        """(key, gained, lost) of the tags that change along, through parents and rivals; the most changed first."""
        along = (self.gains.keys() | self.losses.keys()) - {self._label.key}
        rows = [(key, self.gains[key], self.losses[key]) for key in along]
        return sorted(rows, key=lambda row: (-row[1] - row[2], row[0]))


def keys(tags: Tags) -> set[str]:
    return {f"{category}/{label}" for category, labels in tags.items() for label in labels}
