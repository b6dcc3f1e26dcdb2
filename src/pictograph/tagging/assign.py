"""Scores of labels -> the tags of a picture: thresholds, implied parents, exclusive sets, order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from pictograph.encode.protocol import FloatArray
from pictograph.tagging.taxonomy import Label, Taxonomy
from pictograph.types import Tags, empty_tags

NEAR = 0.2
"""A score of at least this share of its label's threshold is kept, so that a threshold can be lowered later."""


@dataclass(frozen=True, slots=True)
class Tagged:
    """The tags of one picture, and why."""

    tags: Tags
    """Labels at or above their threshold, best first; only labels of the taxonomy."""
    scores: dict[str, float]
    """`"objects/car" -> 0.93`: every label near or above its threshold, 0 to 1, so that thresholds can change later."""


def lowest_threshold(label: Label) -> float:
    """Lower scores of this label are not kept, so no lower threshold can be answered from what is kept."""
    return NEAR * label.threshold


class Assigner:
    """Decides which labels a picture gets, by the rules of one taxonomy, whatever made the scores. Thread-safe."""

    def __init__(self, taxonomy: Taxonomy, thresholds: Mapping[str, float] | None = None) -> None:
        """thresholds: `{"objects/dog": 0.31}`, where they differ from the taxonomy's own; unknown keys do nothing."""
        chosen = thresholds or {}
        index_of = taxonomy.index_of
        self._index_of = index_of
        self._labels = taxonomy.labels
        self._keys = [label.key for label in taxonomy.labels]
        self._floors = np.array([lowest_threshold(label) for label in taxonomy.labels], dtype=np.float32)
        self._thresholds = [chosen.get(label.key, label.threshold) for label in taxonomy.labels]
        self._ancestors = [frozenset(index_of[key] for key in taxonomy.ancestors(label)) for label in taxonomy.labels]
        self._exclusive = [frozenset(index_of[key] for key in rivals) for rivals in taxonomy.exclusive]

    def tagged(self, scores: FloatArray) -> list[Tagged]:
        """One result per row. scores: float32 (N, labels), 0 to 1, in the order of the taxonomy."""
        return [Tagged(self.tags(near), near) for near in self.near(scores)]

    def near(self, scores: FloatArray) -> list[dict[str, float]]:
        """The scores worth keeping, per row: those near or above the taxonomy's own threshold, whatever ours is."""
        return [self._near_row(row) for row in scores]

    def _near_row(self, scores: FloatArray) -> dict[str, float]:
        found = np.flatnonzero((scores >= self._floors) & (scores > 0)).tolist()
        return {self._keys[index]: round(min(float(scores[index]), 1.0), 4) for index in found}

    def tags(self, scores: Mapping[str, float]) -> Tags:
        """The labels at or above their threshold, best first, each with its ancestors; only labels of the taxonomy.

        scores: `{"objects/car": 0.93}`. A label brings its ancestors, which then count as no less sure than it. Of an
        exclusive set the best stays, and what implies a label that had to go, goes too.
        """
        sure = {self._index_of[key]: score for key, score in scores.items() if key in self._index_of}
        assigned = {index for index, score in sure.items() if score >= self._thresholds[index]}
        self._add_ancestors(assigned, sure)
        self._settle_rivalries(assigned, sure)
        return self._in_order(assigned, sure)

    def _add_ancestors(self, assigned: set[int], sure: dict[int, float]) -> None:
        for index in list(assigned):
            for ancestor in self._ancestors[index]:
                sure[ancestor] = max(sure.get(ancestor, 0.0), sure[index])
                assigned.add(ancestor)

    def _settle_rivalries(self, assigned: set[int], sure: dict[int, float]) -> None:
        for rivals in self._exclusive:
            present = sorted(rivals & assigned)
            losers = set(present) - {max(present, key=sure.__getitem__)} if len(present) > 1 else set()
            assigned -= losers | {index for index in assigned if self._ancestors[index] & losers}

    def _in_order(self, assigned: set[int], sure: dict[int, float]) -> Tags:
        """Best first; what a label implies stands behind it, however sure it is: dog 0.93, animal 0.99."""
        rank = {index: sure[index] for index in assigned}
        implied = frozenset[int]().union(*(self._ancestors[index] for index in assigned))
        for ancestor in implied:
            rank[ancestor] = max(sure[index] for index in assigned - implied if ancestor in self._ancestors[index])
        tags = empty_tags()
        for index in sorted(assigned, key=lambda i: (-rank[i], -len(self._ancestors[i]), i)):
            label = self._labels[index]
            tags[label.category].append(label.name)
        return tags
