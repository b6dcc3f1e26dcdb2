"""The tagger of the offline encoder: class probabilities and pixel measures -> tags."""

from __future__ import annotations

import numpy as np

from pictograph.encode.evidence import as_kept
from pictograph.encode.protocol import Encoded, FloatArray
from pictograph.tagging.attributes import PixelJudge
from pictograph.tagging.measures import MEASURE_NAMES
from pictograph.tagging.taxonomy import IMAGENET_CLASSES, Taxonomy, load_taxonomy

METHOD = "offline-2"
"""Raise it with every change of how scores are made; thresholds and classes belong to the taxonomy's version."""


class OfflineTagger:
    """Tags from an ImageNet-1k classifier's probabilities and from pixels.

    A label's score is the probability that any of its classes is shown (their sum: the classes exclude each other)
    and that its pixel conditions hold (the least of all). A label with neither is never assigned.
    """

    def __init__(self, taxonomy: Taxonomy | None = None) -> None:
        """taxonomy: the shipped one if None."""
        self._taxonomy = load_taxonomy() if taxonomy is None else taxonomy
        self._classes = _class_matrix(self._taxonomy)
        labels = self._taxonomy.labels
        self._by_pixels_alone = np.array([bool(label.conditions and not label.imagenet_classes) for label in labels])
        self._pixels = PixelJudge(self._taxonomy)

    @property
    def version(self) -> str:
        """`taxonomy-1+offline-2`: another version may tag otherwise."""
        return f"taxonomy-{self._taxonomy.version}+{METHOD}"

    def scores(self, encoded: Encoded, measures: FloatArray) -> FloatArray:
        """float32 (N, labels), 0 to 1, in the order of the taxonomy; 0 for labels that cannot be judged.

        encoded: its evidence must be softmax probabilities, float32 (N, 1000), over the ImageNet-1k classes in order
        of WordNet id; they are rounded as they are kept, so that the same scores come of the tables.
        measures: float32 (N, len(MEASURE_NAMES)).
        Raises ValueError if the shapes do not fit.
        """
        probabilities, count = as_kept(encoded.evidence), len(encoded.evidence)
        if probabilities.shape != (count, IMAGENET_CLASSES) or measures.shape != (count, len(MEASURE_NAMES)):
            raise ValueError(
                f"need ({count}, {IMAGENET_CLASSES}) probabilities and ({count}, {len(MEASURE_NAMES)}) measures, "
                f"not {probabilities.shape} and {measures.shape}"
            )
        by_class: FloatArray = probabilities @ self._classes  # [N, labels]
        by_class[:, self._by_pixels_alone] = 1
        return np.minimum(by_class, self._pixels.scores(measures)).clip(0, 1)


def _class_matrix(taxonomy: Taxonomy) -> FloatArray:
    """float32 (1000, labels): 1 where the class shows the label."""
    matrix = np.zeros((IMAGENET_CLASSES, len(taxonomy.labels)), dtype=np.float32)
    for column, label in enumerate(taxonomy.labels):
        matrix[list(label.imagenet_classes), column] = 1
    return matrix
