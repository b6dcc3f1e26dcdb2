"""What a tagger is: each encoder that can tag brings one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from pictograph.encode.protocol import Encoded, FloatArray
from pictograph.types import Tags


@dataclass(frozen=True, slots=True)
class Tagged:
    """The tags of one picture, and why."""

    tags: Tags
    """Labels at or above their threshold, best first; only labels of the taxonomy."""
    scores: dict[str, float]
    """`"objects/car" -> 0.93`: every label near or above its threshold, 0 to 1, so that thresholds can change later."""


class Tagger(Protocol):
    """Turns a batch of encoded pictures into tags. Thread-safe."""

    @property
    def version(self) -> str:
        """Names taxonomy, thresholds and method: `taxonomy-1+offline-1`. Another version may tag otherwise."""
        ...

    def tag(self, encoded: Encoded, measures: FloatArray) -> list[Tagged]:
        """One result per row.

        measures: float32 (N, len(MEASURE_NAMES)) as `tag.measures.measure_picture` gives for each picture.
        """
        ...
