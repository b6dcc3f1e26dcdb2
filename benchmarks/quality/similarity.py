"""Are the nearest pictures alike, and what does a threshold keep?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from benchmarks.quality.metrics import at_k, nearest, roc_area, share
from benchmarks.quality.related import Relation
from pictograph.encode.protocol import FloatArray
from pictograph.types import DEFAULT_THRESHOLD

THRESHOLDS = (0.4, 0.45, 0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9)


def similarity(vectors: FloatArray, relation: Relation, ks: Sequence[int]) -> dict[str, Any]:
    """Precision and recall of the k nearest, beside chance and the best that could be, and the ROC area of pairs."""
    relatives = relation.related & ~np.eye(len(vectors), dtype=bool)
    asked = relatives.any(axis=1)
    order = nearest(vectors)
    cosines, related, unrelated = relation.pairs(vectors @ vectors.T)
    return {
        "related_by": relation.definition,
        "asked": int(asked.sum()),
        "chance": share(relatives[asked].sum(axis=1) / max(1, len(vectors) - 1)),
        **dict(_each_k(order, relation, ks)),
        "roc_area": roc_area(cosines[related], cosines[unrelated]),
        "related_pairs": int(related.sum()),
        "unrelated_pairs": int(unrelated.sum()),
    }


def _each_k(order: Any, relation: Relation, ks: Sequence[int]) -> Iterator[tuple[str, Any]]:
    for k in sorted({1, *ks}):
        result = at_k(order, relation.related, k)
        yield f"precision_at_{k}", result.precision
        yield f"best_precision_at_{k}", result.best_precision
        yield f"recall_at_{k}", result.recall


def threshold(vectors: FloatArray, relation: Relation, stretch: float = 1.0) -> dict[str, Any]:
    """What every threshold keeps of all pairs of pictures, and of that, what is related.

    stretch: similarity = 1 - stretch * (1 - cosine), as in the encoder's space.
    """
    cosines, related, unrelated = relation.pairs(1 - stretch * (1 - vectors @ vectors.T))
    rows = {f"{at:.2f}": _kept(cosines >= at, related, unrelated) for at in THRESHOLDS}
    return {
        "related_by": relation.definition,
        "pairs": len(cosines),
        "related_pairs": int(related.sum()),
        "unrelated_pairs": int(unrelated.sum()),
        "stretch": stretch,
        "default": DEFAULT_THRESHOLD,
        "unrelated_at_default": share((cosines >= DEFAULT_THRESHOLD)[unrelated]),
        "related_percentiles_5_50_95": _percentiles(cosines[related]),
        "unrelated_percentiles_5_50_95": _percentiles(cosines[unrelated]),
        "at": rows,
    }


def _kept(above: Any, related: Any, unrelated: Any) -> dict[str, Any]:
    return {
        "kept": share(above),
        "related_of_kept": share(related[above]),
        "related_found": share(above[related]),
        "unrelated_kept": share(above[unrelated]),
    }


def _percentiles(cosines: Any) -> list[float] | None:
    return np.percentile(cosines, [5, 50, 95]).round(3).tolist() if cosines.size else None
