"""Pixel measures -> how well each label's conditions hold."""

from __future__ import annotations

import numpy as np

from pictograph.encode.protocol import FloatArray
from pictograph.tagging.measures import MEASURE_NAMES
from pictograph.tagging.taxonomy import Condition, Taxonomy


class PixelJudge:
    """The conditions of a taxonomy as arrays, so that a batch costs a few NumPy calls. Thread-safe."""

    def __init__(self, taxonomy: Taxonomy) -> None:
        """taxonomy: its labels give the columns of `scores`, in their order."""
        rules = [(index, rule) for index, label in enumerate(taxonomy.labels) for rule in label.conditions]
        self._label_count = len(taxonomy.labels)
        self._label_of_rule = np.array([index for index, _ in rules], dtype=np.intp)  # [rules], rising
        self._columns = np.array([MEASURE_NAMES.index(rule.measure) for _, rule in rules], dtype=np.intp)
        self._at = np.array([rule.at for _, rule in rules], dtype=np.float32)
        self._slope = np.array([_slope(rule) for _, rule in rules], dtype=np.float32)

    def scores(self, measures: FloatArray) -> FloatArray:
        """float32 (N, labels), 0 to 1: the worst of a label's conditions, each a logistic; 1 where it has none.

        measures: float32 (N, len(MEASURE_NAMES)). A condition scores 0.5 at its threshold, on the scale of
        probabilities, so that pixel tags and class tags share one threshold.
        """
        scores = np.ones((len(measures), self._label_count), dtype=np.float32)
        if self._columns.size:
            steps = (measures[:, self._columns] - self._at) * self._slope
            held = 1 / (1 + np.exp(-np.clip(steps, -30, 30)))  # [N, rules]
            labels, firsts = np.unique(self._label_of_rule, return_index=True)
            scores[:, labels] = np.minimum.reduceat(held, firsts, axis=1)
        return scores


def _slope(condition: Condition) -> float:
    return (1 if condition.side == "above" else -1) / condition.width
