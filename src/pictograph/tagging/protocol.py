"""What a tagger is: each encoder that can tag brings one."""

from __future__ import annotations

from typing import Protocol

from pictograph.encode.protocol import Encoded, FloatArray


class Tagger(Protocol):
    """Judges how well each label fits a batch of encoded pictures; `Assigner` makes tags of that. Thread-safe."""

    @property
    def version(self) -> str:
        """Names taxonomy and method: `taxonomy-1+offline-2`. Another version may judge otherwise."""
        ...

    def scores(self, encoded: Encoded, measures: FloatArray) -> FloatArray:
        """float32 (N, labels), 0 to 1, in the order of the taxonomy; 0 for labels that cannot be judged.

        measures: float32 (N, len(MEASURE_NAMES)) as `tagging.measures.measure_picture` gives for each picture.
        """
        ...
