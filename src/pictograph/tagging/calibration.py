"""Calibration of a space: from what vectors a text-image model's cosines get a meaning. Pure functions of vectors."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Final

import numpy as np

from pictograph.encode.protocol import FloatArray
from pictograph.tagging.taxonomy import Taxonomy
from pictograph.types import DEFAULT_THRESHOLD

LEAST_PICTURES: Final = 8
"""Fewer background pictures say nothing about what is ordinary; 60 are shipped."""
MAD_TO_DEVIATION: Final = 1.4826
"""A normal distribution's standard deviation is this many median absolute deviations."""
UNRELATED_DEVIATIONS: Final = 2.0
"""Of the pairs of unrelated pictures, 97.7 % lie below their median plus this many deviations."""
LEAST_STRETCH: Final = 0.25
MOST_STRETCH: Final = 10.0
"""For a space whose pictures nearly coincide: more would show the rounding of stored vectors (4e-4 of a cosine)."""


@dataclass(frozen=True, slots=True)
class Calibration:
    """What a tagger by prompts stands on, of one space and one version of the taxonomy."""

    label_vectors: FloatArray
    """float32 (labels, 1152), unit rows, in the order of the taxonomy."""
    background: FloatArray
    """float32 (B, 1152), unit rows: mixed pictures, B >= LEAST_PICTURES."""
    logit_scale: float
    """The model's own: logit = scale * cosine + bias, whose sigmoid is its probability that words and picture match."""
    logit_bias: float

    @property
    def digest(self) -> str:
        """8 hex digits that change when anything of it does."""
        numbers = np.array([self.logit_scale, self.logit_bias], np.float32)
        parts = (self.label_vectors.astype(np.float16), self.background.astype(np.float16), numbers)
        return hashlib.sha256(b"".join(part.tobytes() for part in parts)).hexdigest()[:8]


def prompts_of(taxonomy: Taxonomy) -> list[str]:
    """Returns every label's prompts, label after label."""
    return [prompt for label in taxonomy.labels for prompt in label.prompts]


def label_vectors_of(taxonomy: Taxonomy, prompt_vectors: FloatArray) -> FloatArray:
    """Returns for each label the mean of its prompts' vectors, made a unit vector again: float32 (labels, 1152).

    prompt_vectors: float32 (prompts, 1152), unit rows, in the order of `prompts_of`. Raises ValueError if their number
    is another.
    Source: prompt ensembling, arXiv:2103.00020 (CLIP), section 3.1.4.
    """
    counts = [len(label.prompts) for label in taxonomy.labels]
    if len(prompt_vectors) != sum(counts):
        raise ValueError(f"need the vectors of {sum(counts)} prompts, not {len(prompt_vectors)}")
    sums = np.add.reduceat(prompt_vectors, np.cumsum([0, *counts[:-1]]), axis=0)
    return np.asarray(sums / np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), 1e-6), np.float32)


def as_kept(vectors: FloatArray) -> FloatArray:
    """The vectors as the tables give them back (float16): judged so at once, they are judged the same ever after."""
    return vectors.astype(np.float16).astype(np.float32)


def stretch_of(background: FloatArray) -> float:
    """Returns what brings the upper end of unrelated pairs to 0.6, for similarity = 1 - stretch * (1 - cosine).

    background: float32 (B, 1152), unit rows of pictures most of which have nothing to do with each other; the median
    and the MAD do not feel the few pairs that have. Unrelated pairs up to a cosine of 0.7: 0.4 / 0.3 = 1.33.
    Raises ValueError if there are too few pictures, or a value is not finite.
    """
    require_background(background)
    cosines = (background @ background.T)[np.triu_indices(len(background), 1)]
    centre, deviation = centre_and_deviation(cosines[:, np.newaxis])
    level = float(centre[0] + UNRELATED_DEVIATIONS * deviation[0])
    room = max(1.0 - level, 1e-6)
    return float(np.clip((1.0 - DEFAULT_THRESHOLD) / room, LEAST_STRETCH, MOST_STRETCH))


def centre_and_deviation(values: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Median, and standard deviation by the MAD, of each column; up to half of the values may be of another kind."""
    centre: FloatArray = np.median(values, axis=0)
    deviation: FloatArray = np.median(np.abs(values - centre), axis=0) * np.float32(MAD_TO_DEVIATION)
    return centre, deviation


def require_background(background: FloatArray) -> None:
    """Raises ValueError unless these vectors can serve as a background."""
    if len(background) < LEAST_PICTURES:
        raise ValueError(f"a background needs at least {LEAST_PICTURES} pictures, not {len(background)}")
    if not np.isfinite(background).all():
        raise ValueError("a background vector is not finite: its picture cannot be used with this model")
