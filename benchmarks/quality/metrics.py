"""The formulas. Pure: arrays in, numbers out; unit-tested on cases small enough to count by hand."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from pictograph.encode.protocol import FloatArray

BoolArray = npt.NDArray[np.bool_]


def share(truths: Any) -> float | None:
    """The mean of booleans, 3 decimals; None of nothing."""
    values = np.asarray(truths)
    return round(float(values.mean()), 3) if values.size else None


def ratio(part: float, whole: float) -> float | None:
    """3 decimals; None if the whole is nothing."""
    return round(part / whole, 3) if whole else None


@dataclass(frozen=True)
class AtK:
    """Of the k nearest of each picture."""

    precision: float | None
    """The share that is related, mean over the pictures that have a related one."""
    recall: float | None
    """The share of the related ones that is among them, likewise."""
    best_precision: float | None
    """What a perfect order would reach: a picture with 2 relatives cannot have 5 among its 5 nearest."""


def nearest(vectors: FloatArray) -> npt.NDArray[np.intp]:
    """(N, N - 1): the other pictures, nearest first; ties by place, as the search breaks them by id."""
    cosines = vectors @ vectors.T
    np.fill_diagonal(cosines, -np.inf)
    order: npt.NDArray[np.intp] = np.argsort(-cosines, axis=1, kind="stable")
    return order[:, :-1]


def at_k(order: npt.NDArray[np.intp], related: BoolArray, k: int) -> AtK:
    """Precision and recall of the first k of each row of `order`. related: (N, N), the diagonal does not count."""
    relatives = related & ~np.eye(len(related), dtype=bool)
    asked = relatives.any(axis=1)
    if not asked.any():
        return AtK(None, None, None)
    hits = np.take_along_axis(relatives, order, axis=1)[asked, :k].sum(axis=1)
    there = relatives[asked].sum(axis=1)
    shown = min(k, order.shape[1])
    return AtK(share(hits / shown), share(hits / there), share(np.minimum(there, shown) / shown))


def roc_area(positive: npt.NDArray[Any], negative: npt.NDArray[Any]) -> float | None:
    """How often one of `positive` is larger than one of `negative`; ties count half. None if either is empty."""
    if not positive.size or not negative.size:
        return None
    ordered = np.sort(negative)
    below = np.searchsorted(ordered, positive, "left") + np.searchsorted(ordered, positive, "right")
    return round(float(below.mean() / 2 / ordered.size), 3)


def ranks(scores: FloatArray, truth: npt.NDArray[np.intp]) -> FloatArray:
    """float32 (N,): how many candidates stand before the right one; ties count half. scores: (N, candidates)."""
    own = np.take_along_axis(scores, truth[:, np.newaxis], axis=1)
    ahead: FloatArray = (scores > own).sum(axis=1) + ((scores == own).sum(axis=1) - 1) / np.float32(2)
    return ahead.astype(np.float32)


def average_precision(scores: FloatArray, right: BoolArray) -> float:
    """Mean, over the right answers, of the precision at each one's place."""
    ordered = right[np.argsort(-scores, kind="stable")]
    return float((np.cumsum(ordered)[ordered] / (np.flatnonzero(ordered) + 1)).mean())


@dataclass
class TagCounts:
    """Right, wrong and missed tags, by label."""

    right: Counter[str] = field(default_factory=Counter)
    wrong: Counter[str] = field(default_factory=Counter)
    missed: Counter[str] = field(default_factory=Counter)

    def add(self, given: Iterable[str], true: Iterable[str], open_: Iterable[str] = ()) -> None:
        """One picture. What is in `open_` is neither right nor wrong nor missed."""
        given, true = set(given) - set(open_), set(true) - set(open_)
        self.right.update(given & true)
        self.wrong.update(given - true)
        self.missed.update(true - given)

    @property
    def labels(self) -> list[str]:
        """Every label that was given or true, in alphabetical order."""
        return sorted({*self.right, *self.wrong, *self.missed})

    def micro(self) -> dict[str, Any]:
        """Every tag counts the same."""
        right, wrong, missed = (counter.total() for counter in (self.right, self.wrong, self.missed))
        return {
            "precision": ratio(right, right + wrong),
            "recall": ratio(right, right + missed),
            "right": right,
            "wrong": wrong,
            "missed": missed,
        }

    def macro(self) -> dict[str, Any]:
        """Every label counts the same: precision over those given at all, recall over those true at all."""
        given = [label for label in self.labels if self.right[label] + self.wrong[label]]
        true = [label for label in self.labels if self.right[label] + self.missed[label]]
        precisions = [self.right[label] / (self.right[label] + self.wrong[label]) for label in given]
        recalls = [self.right[label] / (self.right[label] + self.missed[label]) for label in true]
        return {
            "precision": share(precisions),
            "labels_given": len(given),
            "recall": share(recalls),
            "labels_true": len(true),
        }

    def of(self, labels: Sequence[str]) -> list[int]:
        """[right, wrong, missed] of these labels together."""
        return [sum(counter[label] for label in labels) for counter in (self.right, self.wrong, self.missed)]
