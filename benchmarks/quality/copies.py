"""Is a changed copy of a picture found again?"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from benchmarks.quality.changes import (
    Change,
    brightness,
    changed,
    cut,
    gaussian,
    jpeg,
    mirrored,
    saturation,
    scaled,
    turned,
)
from benchmarks.quality.encoding import Seen, changed_vectors
from benchmarks.quality.metrics import share
from pictograph.encode.protocol import Encoder, FloatArray
from pictograph.types import DEFAULT_THRESHOLD

CHANGES: dict[str, Change] = {
    "mirrored": mirrored,
    "middle 80 %": cut(0.8, 0.5, 0.5),
    "corner 70 %": cut(0.7, 0, 0),
    "middle 50 %": cut(0.5, 0.5, 0.5),
    "brighter x 1.4": brightness(1.4),
    "darker x 0.6": brightness(0.6),
    "JPEG quality 30": jpeg(30),
    "grey": saturation(0),
    "blurred, radius 2": gaussian(2),
    "half size": scaled(0.5),
    "turned 15 degrees": turned(15),
}


def copies(encoder: Encoder, seen: Seen) -> dict[str, Any]:
    """For each change: how often the copy finds its original first, and how often above the default threshold."""
    changes = ((name, partial(changed, change=change)) for name, change in CHANGES.items())
    return {
        "changes": {
            name: _found(changed_vectors(encoder, seen.photos, change), seen.vectors) for name, change in changes
        }
    }


def _found(copied: FloatArray, originals: FloatArray) -> dict[str, Any]:
    cosines = copied @ originals.T
    own = np.diagonal(cosines)
    return {
        "first": share(cosines.argmax(axis=1) == np.arange(len(originals))),
        "above_default": share(own >= DEFAULT_THRESHOLD),
        "percentiles_1_50": np.percentile(own, [1, 50]).round(3).tolist(),
    }
