"""Do pixel attributes follow what is done to a picture? Photographs are spoilt on purpose, and the tags asked again."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from benchmarks.quality.changes import (
    Change,
    both,
    changed,
    contrast,
    exposure,
    gaussian,
    motion,
    noise,
    saturation,
    toned,
)
from benchmarks.quality.encoding import decoded
from benchmarks.quality.folder import Photo
from benchmarks.quality.metrics import roc_area, share
from pictograph.encode.protocol import FloatArray
from pictograph.tagging.attributes import PixelJudge
from pictograph.tagging.measures import MEASURE_NAMES, measure_picture
from pictograph.tagging.taxonomy import Taxonomy
from pictograph.upload.picture import Picture

CHANGES: dict[str, Change] = {
    "blur 1 px": gaussian(1),
    "blur 2 px": gaussian(2),
    "blur 4 px": gaussian(4),
    "motion 9 px": motion(9),
    "motion 15 px": motion(15),
    "motion 15 px, 45 degrees": motion(15, 45),
    "blur 2 px + noise 5": both(gaussian(2), noise(5)),
    "blur 2 px + noise 10": both(gaussian(2), noise(10)),
    "blur 2 px, -3 EV": both(gaussian(2), exposure(-3)),
    "-3 EV": exposure(-3),
    "-4 EV": exposure(-4),
    "+2 EV": exposure(2),
    "+3 EV": exposure(3),
    "contrast x 0.4": contrast(0.4),
    "contrast x 2": contrast(2),
    "grey": saturation(0),
    "saturation x 0.4": saturation(0.4),
    "saturation x 1.8": saturation(1.8),
    "sepia": toned,
    "noise 10": noise(10),
    "noise 20": noise(20),
}
EXPECTED = {
    "blurry": [name for name in CHANGES if name.startswith(("blur", "motion"))],
    "dark": ["-3 EV", "-4 EV"],
    "underexposed": ["-3 EV", "-4 EV"],
    "low-light": ["-3 EV", "-4 EV"],
    "bright": ["+2 EV", "+3 EV"],
    "overexposed": ["+2 EV", "+3 EV"],
    "low-contrast": ["contrast x 0.4"],
    "high-contrast": ["contrast x 2"],
    "grayscale": ["grey"],
    "sepia": ["sepia"],
    "muted-colors": ["saturation x 0.4"],
    "colorful": ["saturation x 1.8"],
    "noisy": ["noise 10", "noise 20"],
}
"""Attribute -> the changes that should bring it."""

MEASURE_OF = {
    "blurry": ("sharpness", -1),
    "dark": ("luminance_p95", -1),
    "underexposed": ("luminance_p95", -1),
    "low-light": ("luminance_p95", -1),
    "bright": ("luminance_p50", 1),
    "overexposed": ("clipped_white", 1),
    "low-contrast": ("luminance_spread", -1),
    "high-contrast": ("contrast_rms", 1),
    "grayscale": ("chroma", -1),
    "sepia": ("hue_focus", 1),
    "muted-colors": ("colourfulness", -1),
    "colorful": ("colourfulness", 1),
    "noisy": ("noise", 1),
}
"""Attribute -> its leading measure, whose area under the ROC curve is printed, and the sign of it."""


def attributes(photos: Sequence[Photo], taxonomy: Taxonomy, side_px: int) -> dict[str, Any]:
    """For each attribute: how many photographs have it untouched, and how many after each change that should bring it.

    Beside each share the area under the ROC curve of its leading measure, changed against untouched.
    """
    judge = PixelJudge(taxonomy)
    pictures = [decoded(photo.path.read_bytes(), side_px) for photo in photos]
    untouched, median_ms = timed_measures(pictures)
    after = {name: measures_of([changed(picture, change) for picture in pictures]) for name, change in CHANGES.items()}
    rows = {}
    for attribute, names in EXPECTED.items():
        label = taxonomy.labels[taxonomy.index_of[f"attributes/{attribute}"]]
        column = taxonomy.index_of[label.key]
        measure, sign = MEASURE_OF[attribute]
        place = MEASURE_NAMES.index(measure)
        rows[attribute] = {
            "measure": measure,
            "as_they_are": share(judge.scores(untouched)[:, column] >= label.threshold),
            "changed_share_and_roc_area": {
                name: [
                    share(judge.scores(after[name])[:, column] >= label.threshold),
                    roc_area(sign * after[name][:, place], sign * untouched[:, place]),
                ]
                for name in names
            },
        }
    return {"measure_ms_median": median_ms, "attributes": rows}


def measures_of(pictures: Sequence[Picture]) -> FloatArray:
    """float32 (N, M)."""
    return np.stack([measure_picture(picture) for picture in pictures])


def timed_measures(pictures: Sequence[Picture]) -> tuple[FloatArray, float]:
    """The measures, and the median of the milliseconds that one picture took."""
    rows, milliseconds = [], []
    for picture in pictures:
        started = time.perf_counter()
        rows.append(measure_picture(picture))
        milliseconds.append(1000 * (time.perf_counter() - started))
    return np.stack(rows), round(statistics.median(milliseconds), 2)
