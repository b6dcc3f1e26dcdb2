"""Are the tags right? Objects are held against the classes; nothing here knows the truth of scenes and attributes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from benchmarks.quality.classes import PhotoClass
from benchmarks.quality.metrics import TagCounts, share
from pictograph.tagging.assign import Tagged
from pictograph.tagging.taxonomy import Taxonomy
from pictograph.types import TAG_CATEGORIES

SCORES = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)


def tags(tagged: Sequence[Tagged], classes: Sequence[PhotoClass], taxonomy: Taxonomy) -> dict[str, Any]:
    """Precision and recall of object tags, and how many tags there are. classes: one for each photograph."""
    judged = [(row, entry) for row, entry in zip(tagged, classes, strict=True) if entry.is_judged]
    counts = counted(tagged, classes)
    answer = {
        "judged_photos": len(judged),
        "not_judged_classes": sorted({entry.name for entry in classes if not entry.is_judged}),
        "per_photo": {category: _numbers(tagged, category) for category in TAG_CATEGORIES},
        "scores_kept_per_photo": round(float(np.mean([len(row.scores) for row in tagged])), 2),
        "not_judged": "scenes and attributes: a class says nothing of them",
    }
    if not judged:
        return answer
    return answer | {
        "wrong_means": "not what the class implies, even where it is in the picture: precision is a lower bound",
        "objects_micro": counts.micro(),
        "objects_macro": counts.macro(),
        "wrong_per_photo": round(counts.wrong.total() / len(judged), 3),
        "photos_with_a_wrong_one": share([bool(verdict(row, entry).wrong) for row, entry in judged]),
        "objects_at_score": {str(at): _at_score(judged, at) for at in SCORES},
        "right_wrong_missed_by_group": _by_group(counts, taxonomy),
        "right_wrong_missed_by_label": {label.removeprefix("objects/"): counts.of([label]) for label in counts.labels},
    }


def counted(tagged: Sequence[Tagged], classes: Sequence[PhotoClass]) -> TagCounts:
    """Right, wrong and missed object tags of all photographs that can be judged."""
    counts = TagCounts()
    for row, entry in zip(tagged, classes, strict=True):
        if entry.is_judged:
            counts.add(object_keys(row), entry.true, entry.open)
    return counts


def verdict(row: Tagged, entry: PhotoClass) -> TagCounts:
    """Right, wrong and missed object tags of one photograph; all empty if its class says nothing."""
    return counted([row], [entry])


def object_keys(row: Tagged) -> list[str]:
    """The object tags as keys, best first."""
    return [f"objects/{name}" for name in row.tags["objects"]]


def _numbers(tagged: Sequence[Tagged], category: Any) -> dict[str, Any]:
    numbers = [len(row.tags[category]) for row in tagged]
    return {"tags": round(float(np.mean(numbers)), 2), "photos_with_any": share([number > 0 for number in numbers])}


def _at_score(judged: Sequence[tuple[Tagged, PhotoClass]], at: float) -> dict[str, Any]:
    """As if every label's threshold were `at`; the kept scores reach far below the thresholds."""
    counts = TagCounts()
    for row, entry in judged:
        given = [key for key, score in row.scores.items() if score >= at and key.startswith("objects/")]
        counts.add(given, entry.true, entry.open)
    micro = counts.micro()
    return {name: micro[name] for name in ("precision", "recall")}


def _by_group(counts: TagCounts, taxonomy: Taxonomy) -> dict[str, list[int]]:
    groups: dict[str, list[str]] = {}
    for label in taxonomy.labels:
        if label.key in counts.labels:
            groups.setdefault(label.group, []).append(label.key)
    return {group: counts.of(keys) for group, keys in groups.items()}
