"""What is a space's calibration worth: how is it stretched, and how do labels judged by their prompts come out?

The offline encoder, though it brings another tagger, can be asked too: it is the only text-image encoder that can be
had without a download. Its cosines have no logits, so the model's own probability takes no part.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import numpy as np

from benchmarks.quality.classes import PhotoClass
from benchmarks.quality.metrics import average_precision
from pictograph.encode.offline import OfflineEncoder
from pictograph.encode.protocol import Encoder, FloatArray, PairEncoder
from pictograph.errors import ConfigurationError
from pictograph.tagging.calibration import Calibration, as_kept, centre_and_deviation, stretch_of
from pictograph.tagging.library.taggers import make_calibration
from pictograph.tagging.prompts import LEAST_DEVIATION, LEAST_LOGIT, is_judged_by_pixels
from pictograph.tagging.taxonomy import Taxonomy

DEVIATIONS = (2.0, 2.5, 3.0, 3.5, 4.0)


class OfflinePairs(OfflineEncoder):
    """The offline encoder with the scale of SigLIP, and a bias that makes nothing impossible."""

    logit_scale, logit_bias = 110.0, 0.0

    def forget_words(self) -> None:
        """Nothing to give back."""


def calibration_of(encoder: Encoder, taxonomy: Taxonomy) -> Calibration | None:
    """The calibration that the first worker of a space with this encoder would make; None if it needs none."""
    return asyncio.run(make_calibration(encoder, taxonomy)) if isinstance(encoder, PairEncoder) else None


def judged_by_prompts(
    encoder: Encoder,
    calibration: Calibration | None,
    vectors: FloatArray,
    classes: Sequence[PhotoClass],
    taxonomy: Taxonomy,
) -> dict[str, Any]:
    """Raises ConfigurationError unless every photograph is of an ImageNet class and the encoder reads words."""
    truth = [entry.image_class.index for entry in classes if entry.image_class]
    if len(truth) < len(classes):
        raise ConfigurationError(
            "The question calibration needs a folder of ImageNet classes only, named by WordNet id."
        )
    made = calibration or calibration_of(paired(encoder), taxonomy)
    if made is None:
        raise ConfigurationError(f"The encoder {encoder.spec.name} compares no words with pictures.")
    return {
        "stretch_by_background": stretch_of(made.background),
        "stretch_by_photos": stretch_of(vectors),
        **objects(taxonomy, made, vectors, truth),
    }


def paired(encoder: Encoder) -> Encoder:
    """The encoder itself, or the offline one dressed up as one that has logits."""
    return OfflinePairs(encoder.assets) if isinstance(encoder, OfflineEncoder) else encoder


def objects(taxonomy: Taxonomy, calibration: Calibration, vectors: FloatArray, truth: Sequence[int]) -> dict[str, Any]:
    """The labels that ImageNet classes can check, by prompts alone, for each way to scale their logits."""
    shown = np.array([[one in label.imagenet_classes for label in taxonomy.labels] for one in truth])
    checked = np.array([label.category == "objects" and bool(label.imagenet_classes) for label in taxonomy.labels])
    by_words = np.array([not is_judged_by_pixels(label) for label in taxonomy.labels])
    ordinary, logits = (logits_of(calibration, part) for part in (calibration.background, vectors))
    centres, own = centre_and_deviation(ordinary)
    shared = np.full_like(own, max(float(np.median(own)), LEAST_DEVIATION))
    ways = {"centred, one deviation for all": (centres, shared), "centred, each its own deviation": (centres, own)}
    ways["not centred"] = (np.full_like(own, np.median(ordinary)), np.full_like(own, ordinary.std()))
    answer: dict[str, Any] = {"labels": int(checked.sum())}
    for way, (centre, deviation) in ways.items():
        above = np.where(logits >= LEAST_LOGIT, (logits - centre) / deviation, -np.inf)
        precision = average_precision(above[:, checked].ravel(), shown[:, checked].ravel())
        at = {str(least): hits((above >= least) & by_words, shown, checked) for least in DEVIATIONS}
        answer[way] = {"deviation": float(deviation.mean()), "average_precision": round(precision, 3), "at": at}
    return answer


def logits_of(calibration: Calibration, vectors: FloatArray) -> FloatArray:
    """float32 (N, labels)."""
    cosines: FloatArray = as_kept(vectors) @ as_kept(calibration.label_vectors).T
    return calibration.logit_scale * cosines + calibration.logit_bias


def hits(found: Any, shown: Any, checked: Any) -> dict[str, float]:
    """How right, how complete and how many the tags are."""
    right = int((found & shown)[:, checked].sum())
    return {
        "precision": round(right / max(1, int(found[:, checked].sum())), 2),
        "recall": round(right / max(1, int(shown[:, checked].sum())), 2),
        "tags_by_words": round(float(found.sum(axis=1).mean()), 1),
    }
