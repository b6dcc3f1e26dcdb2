"""What is kept of a picture -> its scores and tags. Pure: the picture itself is not needed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from pgvector import HalfVector

from pictograph.encode.evidence import unpacked
from pictograph.encode.protocol import Encoded
from pictograph.tagging.assign import Assigner
from pictograph.tagging.library.assigned import Retagged
from pictograph.tagging.protocol import Tagger
from pictograph.types import Sha256


@dataclass(frozen=True, slots=True)
class Kept:
    """What the tables hold of some bytes, enough to judge every label again."""

    sha256: Sha256
    vector: HalfVector
    """float16 (1152,)."""
    measures: list[float]
    """As `tagging.measures.measure_picture` gives them."""
    evidence: bytes | None
    """As `encode.evidence.packed` gives it; None if the encoder's tagger reads none."""


def rescored(kept: Sequence[Kept], tagger: Tagger, assigner: Assigner) -> list[Retagged]:
    """New scores and tags, in order; the same that a fresh upload of the same bytes would get."""
    if not kept:
        return []
    measures = np.array([item.measures for item in kept], dtype=np.float32)
    near = assigner.near(tagger.scores(rebuilt(kept), measures))
    return [Retagged(item.sha256, assigner.tags(scores), scores) for item, scores in zip(kept, near, strict=True)]


def rebuilt(kept: Sequence[Kept]) -> Encoded:
    """The batch as it left the encoder, as far as it is kept."""
    vectors = np.stack([item.vector.to_numpy() for item in kept]).astype(np.float32)
    return Encoded(vectors, np.stack([unpacked(item.evidence or b"") for item in kept]))
