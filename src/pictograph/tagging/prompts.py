"""The tagger of text-image models: how much better a label's words fit a picture than they fit just any picture.

Every constant is here. None has been checked with real weights yet; docs/siglip.md says how to.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import numpy as np

from pictograph.encode.protocol import Encoded, FloatArray
from pictograph.tagging.attributes import PixelJudge
from pictograph.tagging.calibration import Calibration, as_kept, centre_and_deviation, require_background
from pictograph.tagging.measures import MEASURE_NAMES
from pictograph.tagging.taxonomy import Condition, Label, Taxonomy

METHOD: Final = "prompts-1"
"""Raise it with every change of how scores are made, these constants included."""
SURE_AT: Final = 3.0
"""Deviations above the background at which a score is 0.5. SigLIP gives wrong labels about 1e-8 to 1e-4 and right ones
1e-3 to 0.4 (big_vision#180, PictoPy#1388): with 4 deviations across the wrong ones, 1e-3 lies 3 above their middle."""
SLOPE: Final = 3.0
"""Logits of the score per deviation: 0.1, the least that is kept, at 2.3 deviations; 0.95 at 4."""
LEAST_LOGIT: Final = float(np.log(1e-5))
"""Whatever the background says, no label passes below this probability of the model's own: wrong ones lie there."""
LEAST_DEVIATION: Final = 0.5
"""In logits; for backgrounds of nearly equal pictures. Real ones should give about 2."""
WHITE_BORDER: Final = "border_white"
WHITE_PLACES: Final = frozenset({"scenes/snowy", "scenes/ski slope", "scenes/ice rink"})
"""Places that are white up to the edge, as product photos are."""


class PromptTagger:
    """Tags from vectors alone, by the calibration of their space. Implements `Tagger`.

        tagger = PromptTagger(taxonomy, calibration)
        scores = tagger.scores(encoder.encode_prepared(prepared), measures)  # float32 (N, labels)

    A label's score is the greater of two: how far its logit stands above the median of the background pictures, and the
    model's own probability. The first takes away that some words fit everything a little; the second lets a label that
    most background pictures deserve (outdoor) be given all the same. Attributes of the pixels are judged by pixels.
    """

    def __init__(self, taxonomy: Taxonomy, calibration: Calibration) -> None:
        """Raises ValueError if the calibration is not of this taxonomy, or its background is too small."""
        if len(calibration.label_vectors) != len(taxonomy.labels):
            raise ValueError(f"need {len(taxonomy.labels)} label vectors, not {len(calibration.label_vectors)}")
        require_background(calibration.background)
        self._version = f"taxonomy-{taxonomy.version}+{METHOD}-{calibration.digest}"
        self._labels = as_kept(calibration.label_vectors).T
        self._scale, self._bias = np.float32(calibration.logit_scale), np.float32(calibration.logit_bias)
        self._centres, deviations = centre_and_deviation(self._logits(calibration.background))
        self._deviation = np.float32(common_deviation(deviations))
        self._by_pixels_alone = np.array([is_judged_by_pixels(label) for label in taxonomy.labels])
        labels = tuple(replace(label, conditions=conditions_beside_words(label)) for label in taxonomy.labels)
        self._pixels = PixelJudge(replace(taxonomy, labels=labels))

    @property
    def version(self) -> str:
        """`taxonomy-1+prompts-1-0f3a99c2`: the last part names the calibration."""
        return self._version

    def scores(self, encoded: Encoded, measures: FloatArray) -> FloatArray:
        """float32 (N, labels), 0 to 1, in the order of the taxonomy.

        encoded: only its vectors are read, float32 (N, 1152), rounded as they are kept (float16), so that the same
        scores come of the tables. measures: float32 (N, len(MEASURE_NAMES)).
        Raises ValueError if the shapes do not fit.
        """
        count, width = len(encoded.vectors), len(self._labels)
        if encoded.vectors.shape != (count, width) or measures.shape != (count, len(MEASURE_NAMES)):
            raise ValueError(
                f"need ({count}, {width}) vectors and ({count}, {len(MEASURE_NAMES)}) measures, "
                f"not {encoded.vectors.shape} and {measures.shape}"
            )
        by_words = self._by_words(self._logits(encoded.vectors))
        by_words[:, self._by_pixels_alone] = 1
        return np.minimum(by_words, self._pixels.scores(measures))

    def _logits(self, vectors: FloatArray) -> FloatArray:
        cosines: FloatArray = as_kept(vectors) @ self._labels
        return self._scale * cosines + self._bias

    def _by_words(self, logits: FloatArray) -> FloatArray:
        above = (logits - self._centres) / self._deviation
        outstanding = np.minimum(SLOPE * (above - SURE_AT), logits - np.float32(LEAST_LOGIT))
        return sigmoid(np.maximum(outstanding, logits))


class FitJudge:
    """From which cosine on pictures show what words say, by the same rule as labels are given. Of one space."""

    def __init__(self, calibration: Calibration) -> None:
        self._scale, self._bias = calibration.logit_scale, calibration.logit_bias
        self._background = as_kept(calibration.background)
        labels = self._logits(as_kept(calibration.label_vectors).T)
        self._deviation = common_deviation(centre_and_deviation(labels)[1])

    def least_cosine(self, words: FloatArray) -> float:
        """The cosine at which a label of these words would have the score 0.5. words: float32 (1152,)."""
        centre = float(np.median(self._logits(words[:, np.newaxis])))
        logit = min(max(centre + SURE_AT * self._deviation, LEAST_LOGIT), 0.0)
        return (logit - self._bias) / self._scale

    def _logits(self, words: FloatArray) -> FloatArray:
        logits: FloatArray = np.float32(self._scale) * (self._background @ words) + np.float32(self._bias)
        return logits


def common_deviation(deviations: FloatArray) -> float:
    """One for all labels: measured on 60 pictures, each label's own is mostly chance (docs/taxonomy.md)."""
    return max(float(np.median(deviations)), LEAST_DEVIATION)


def is_judged_by_pixels(label: Label) -> bool:
    """Attributes with conditions are properties of the pixels (blurry, red, panoramic): words would only guess."""
    return label.category == "attributes" and bool(label.conditions)


def conditions_beside_words(label: Label) -> tuple[Condition, ...]:
    """Returns what pixels must say besides the words.

    A white border means a thing cut out of its place, whoever judges: a stove on white is no kitchen, except where
    places are white themselves. Other conditions of scenes stand in for what the offline classifier cannot see
    (`daytime` by brightness), and a text-image model sees it.
    """
    if is_judged_by_pixels(label):
        return label.conditions
    if label.key in WHITE_PLACES:
        return ()
    return tuple(condition for condition in label.conditions if condition.measure == WHITE_BORDER)


def sigmoid(logits: FloatArray) -> FloatArray:
    """float32, 0 to 1."""
    return np.asarray(1 / (1 + np.exp(-np.clip(logits, -30, 30))), np.float32)
