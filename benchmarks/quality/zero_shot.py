"""Do words name what is on a picture? Every class's name becomes a prompt; the nearest prompt is the answer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from benchmarks.quality.classes import PhotoClass
from benchmarks.quality.metrics import ranks, share
from pictograph.encode.protocol import Encoder, FloatArray

TEMPLATES = (
    "this is a photo of a {}.",
    "a photo of a {}.",
    "a photo of the {}.",
    "a close-up photo of a {}.",
    "a good photo of a {}.",
    "a picture that shows a {}.",
)
"""Lower case and with a full stop, as SigLIP was trained; the class's vector is the mean of them all."""
BARE = ("{}",)
TEXT_BATCH = 64


def zero_shot(
    encoder: Encoder, vectors: FloatArray, classes: Sequence[PhotoClass], all_names: Sequence[str]
) -> dict[str, Any]:
    """Top 1 and top 5 among the folder's classes, and among the 1000 of ImageNet if all of them are.

    classes: one for each photograph. all_names: the 1000 classes' names, by index.
    """
    rows = [row for row, entry in enumerate(classes) if entry.words]
    names = list(dict.fromkeys(str(classes[row].words) for row in rows))
    truth = np.array([names.index(str(classes[row].words)) for row in rows], dtype=np.intp)
    answer: dict[str, Any] = {
        "asked": len(rows),
        "without_a_name": sorted({entry.name for entry in classes if not entry.words}),
        "templates": len(TEMPLATES),
    }
    if len(names) > 1:
        answer["of_the_folder"] = _both(encoder, vectors[rows], names, truth)
    if all(entry.image_class for entry in classes):
        indices = np.array([entry.image_class.index for entry in classes if entry.image_class], dtype=np.intp)
        answer["of_imagenet"] = _both(encoder, vectors, all_names, indices)
    return answer


def _both(encoder: Encoder, vectors: FloatArray, names: Sequence[str], truth: Any) -> dict[str, Any]:
    prompts = _top(vectors @ prompt_vectors(encoder, names, TEMPLATES).T, truth)
    bare = _top(vectors @ prompt_vectors(encoder, names, BARE).T, truth)
    return {"classes": len(names), "chance": round(1 / len(names), 3), "prompts": prompts, "bare_names": bare}


def _top(scores: FloatArray, truth: Any) -> dict[str, Any]:
    ahead = ranks(scores, truth)
    return {"top1": share(ahead < 1), "top5": share(ahead < 5)}


def prompt_vectors(encoder: Encoder, names: Sequence[str], templates: Sequence[str]) -> FloatArray:
    """float32 (N, 1152), unit rows: the mean of each name's prompts."""
    texts = [template.format(name.lower()) for name in names for template in templates]
    parts = [encoder.encode_texts(texts[start : start + TEXT_BATCH]) for start in range(0, len(texts), TEXT_BATCH)]
    means: FloatArray = np.concatenate(parts).reshape(len(names), len(templates), -1).mean(axis=1)
    lengths = np.linalg.norm(means, axis=1, keepdims=True)
    unit: FloatArray = means / np.maximum(lengths, np.float32(1e-12))
    return unit
