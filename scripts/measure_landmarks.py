"""Measures what a space's landmarks are worth on a folder of ImageNet photographs, one JSON line per question.

    python scripts/measure_landmarks.py PHOTOS [--encoder siglip2-base-patch16-224] [--wordnet data.noun]

PHOTOS: files whose names start with a WordNet id (n02504458_0001.JPEG). WordNet: Debian's wordnet-base.
stretch     how the formula stretches the encoder's cosines, by the shipped background and by PHOTOS themselves
threshold   which part of related and of unrelated pairs then reaches 0.6
objects     the labels with ImageNet classes, judged by their prompts alone: ranking, and tags at rising deviations

The offline encoder, though it brings another tagger, is judged by prompts here too: the only text-image encoder that
can be had without a download. Its cosines have no logits, so the model's own probability takes no part.
"""

from __future__ import annotations

import argparse
import asyncio
import re
from pathlib import Path
from typing import Any

import numpy as np
from measure_offline_encoder import Tree, average_precision, encode, report, threshold
from offline_encoder.wordnet import read_nouns
from PIL import Image

from pictograph.encode.offline import OfflineEncoder
from pictograph.encode.protocol import FloatArray, PairEncoder
from pictograph.encode.registry import load_encoder
from pictograph.index.taggers import make_landmarks
from pictograph.tag.landmarks import Landmarks, as_kept, centre_and_deviation, stretch_of
from pictograph.tag.prompts import LEAST_DEVIATION, LEAST_LOGIT, is_judged_by_pixels
from pictograph.tag.taxonomy import Taxonomy, load_taxonomy

DEVIATIONS = (2.0, 2.5, 3.0, 3.5, 4.0)


class OfflinePairs(OfflineEncoder):
    """The offline encoder with the scale of SigLIP, and a bias that makes nothing impossible."""

    logit_scale, logit_bias = 110.0, 0.0

    def forget_words(self) -> None:
        """Nothing to give back."""


def main() -> None:
    """Prints one line per question."""
    options = _options()
    taxonomy = load_taxonomy()
    encoder = OfflinePairs.load() if options.encoder == "offline" else load_encoder(options.encoder)
    if not isinstance(encoder, PairEncoder):
        raise SystemExit(f"{options.encoder} compares no words with pictures.")
    landmarks = asyncio.run(make_landmarks(encoder, taxonomy))
    paths = sorted(path for path in options.photos.iterdir() if re.match(r"n\d{8}", path.name))
    vectors = encode(encoder, [Image.open(path).convert("RGB") for path in paths]).vectors
    classes = {entry.wnid: entry.index for entry in OfflineEncoder.load().assets.classes()}
    truth = np.array([classes[path.name[:9]] for path in paths])
    stretch = stretch_of(landmarks.background)
    report("stretch", encoder=encoder.spec.name, by_background=stretch, by_photos=stretch_of(vectors))
    tree = Tree(read_nouns(options.wordnet), list(classes))
    report("threshold", **threshold(vectors, truth, tree, stretch))
    for line in objects(taxonomy, landmarks, vectors, truth):
        report("objects", **line)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Measures landmarks.")
    parser.add_argument("photos", type=Path, help="folder of ImageNet photographs")
    parser.add_argument("--encoder", default="offline", help="as for pictograph serve")
    parser.add_argument("--wordnet", type=Path, default=Path("/usr/share/wordnet/data.noun"), help="data.noun, 3.0")
    return parser.parse_args()


def objects(taxonomy: Taxonomy, landmarks: Landmarks, vectors: FloatArray, truth: FloatArray) -> list[dict[str, Any]]:
    """How the labels that ImageNet classes can check come out, for each way to scale their logits."""
    shown = np.array([[one in label.imagenet_classes for label in taxonomy.labels] for one in truth])
    checked = np.array([label.category == "objects" and bool(label.imagenet_classes) for label in taxonomy.labels])
    by_words = np.array([not is_judged_by_pixels(label) for label in taxonomy.labels])
    ordinary, logits = (_logits(landmarks, part) for part in (landmarks.background, vectors))
    centres, own = centre_and_deviation(ordinary)
    shared = np.full_like(own, max(float(np.median(own)), LEAST_DEVIATION))
    ways = {"centred, one deviation for all": (centres, shared), "centred, each its own deviation": (centres, own)}
    ways["not centred"] = (np.full_like(own, np.median(ordinary)), np.full_like(own, ordinary.std()))
    lines = []
    for way, (centre, deviation) in ways.items():
        above = np.where(logits >= LEAST_LOGIT, (logits - centre) / deviation, -np.inf)
        mean_precision = average_precision(above[:, checked].ravel(), shown[:, checked].ravel())
        at = {str(least): _hits((above >= least) & by_words, shown, checked) for least in DEVIATIONS}
        lines.append(
            {
                "way": way,
                "deviation": float(deviation.mean()),
                "labels": int(checked.sum()),
                "micro_ap": round(mean_precision, 3),
                "at": at,
            }
        )
    return lines


def _logits(landmarks: Landmarks, vectors: FloatArray) -> FloatArray:
    cosines: FloatArray = as_kept(vectors) @ as_kept(landmarks.label_vectors).T
    return landmarks.logit_scale * cosines + landmarks.logit_bias


def _hits(found: Any, shown: Any, checked: Any) -> dict[str, float]:
    right = int((found & shown)[:, checked].sum())
    return {
        "precision": round(right / max(1, int(found[:, checked].sum())), 2),
        "recall": round(right / int(shown[:, checked].sum()), 2),
        "tags_by_words": round(float(found.sum(axis=1).mean()), 1),
    }


if __name__ == "__main__":
    main()
