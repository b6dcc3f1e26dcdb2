"""Scores of all labels -> the tags of a picture: thresholds, implied parents, exclusive sets, order."""

from __future__ import annotations

import numpy as np

from pictograph.encode.protocol import FloatArray
from pictograph.tag.protocol import Tagged
from pictograph.tag.taxonomy import Taxonomy
from pictograph.types import Tags, empty_tags

NEAR = 0.2
"""A score of at least this share of its label's threshold is kept, so that a threshold can be lowered later."""


class Assigner:
    """Decides which labels a picture gets, by the rules of one taxonomy, whatever made the scores. Thread-safe."""

    def __init__(self, taxonomy: Taxonomy) -> None:
        """taxonomy: its labels give the columns of the scores, in their order."""
        index_of = taxonomy.index_of
        self._labels = taxonomy.labels
        self._keys = [label.key for label in taxonomy.labels]
        self._thresholds = np.array([label.threshold for label in taxonomy.labels], dtype=np.float32)
        self._ancestors = [frozenset(index_of[key] for key in taxonomy.ancestors(label)) for label in taxonomy.labels]
        self._exclusive = [frozenset(index_of[key] for key in rivals) for rivals in taxonomy.exclusive]

    def tagged(self, scores: FloatArray) -> list[Tagged]:
        """One result per row. scores: float32 (N, labels), 0 to 1.

        A label is assigned from its threshold on. It brings its ancestors, whose score is then at least its own. Of
        an exclusive set the best stays, and what implies a label that had to go, goes too.
        """
        return [self._tagged_row(row) for row in scores]

    def _tagged_row(self, scores: FloatArray) -> Tagged:
        candidates = np.flatnonzero((scores >= NEAR * self._thresholds) & (scores > 0)).tolist()
        near = {index: min(float(scores[index]), 1.0) for index in candidates}
        assigned = {index for index in candidates if scores[index] >= self._thresholds[index]}
        self._add_ancestors(assigned, near)
        self._settle_rivalries(assigned, near)
        return Tagged(self._tags(assigned, near), {self._keys[index]: round(near[index], 4) for index in sorted(near)})

    def _add_ancestors(self, assigned: set[int], near: dict[int, float]) -> None:
        for index in list(assigned):
            for ancestor in self._ancestors[index]:
                near[ancestor] = max(near.get(ancestor, 0.0), near[index])
                assigned.add(ancestor)

    def _settle_rivalries(self, assigned: set[int], near: dict[int, float]) -> None:
        for rivals in self._exclusive:
            present = sorted(rivals & assigned)
            losers = set(present) - {max(present, key=near.__getitem__)} if len(present) > 1 else set()
            assigned -= losers | {index for index in assigned if self._ancestors[index] & losers}

    def _tags(self, assigned: set[int], near: dict[int, float]) -> Tags:
        """Best first; what a label implies stands behind it, however sure it is: dog 0.93, animal 0.99."""
        rank = {index: near[index] for index in assigned}
        implied = frozenset[int]().union(*(self._ancestors[index] for index in assigned))
        for ancestor in implied:
            rank[ancestor] = max(near[index] for index in assigned - implied if ancestor in self._ancestors[index])
        tags = empty_tags()
        for index in sorted(assigned, key=lambda i: (-rank[i], -len(self._ancestors[i]), i)):
            label = self._labels[index]
            tags[label.category].append(label.name)
        return tags
