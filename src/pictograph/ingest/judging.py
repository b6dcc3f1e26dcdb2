"""What the network saw of pictures -> encodings with their scores and tags."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from pictograph.encode.batching import joined
from pictograph.encode.protocol import Encoded, Encoder
from pictograph.ingest.pictures import Ready
from pictograph.spaces.encodings import Encoding
from pictograph.tagging.assign import Assigner
from pictograph.tagging.protocol import Tagger
from pictograph.tagging.taxonomy import Taxonomy
from pictograph.types import Sha256, SpaceId


@dataclass(frozen=True, slots=True)
class Model:
    """What processing needs beside the database; worker.py makes it once."""

    encoder: Encoder
    tagger: Tagger | None
    taxonomy: Taxonomy
    space: SpaceId


class TagRules:
    """The taxonomy's assigner, and the one for the thresholds that people chose; made again when they change."""

    def __init__(self, taxonomy: Taxonomy) -> None:
        self._taxonomy = taxonomy
        self.standard = Assigner(taxonomy)
        self._chosen: tuple[dict[str, float], Assigner] = ({}, self.standard)

    def assigner(self, thresholds: dict[str, float]) -> Assigner:
        """The one for these thresholds, `{"objects/dog": 0.31}`."""
        if thresholds != self._chosen[0]:
            self._chosen = (thresholds, Assigner(self._taxonomy, thresholds))
        return self._chosen[1]


def describe(
    seen: Sequence[tuple[Sha256, Ready, Encoded]], tagger: Tagger | None, assigner: Assigner
) -> list[Encoding]:
    """Encodings of what the network has seen (batches of one), with scores if the encoder brings a tagger."""
    if tagger is None or not seen:
        return [Encoding(sha256, encoded.vectors[0], facts=item.facts) for sha256, item, encoded in seen]
    measures = np.stack([item.measures for _, item, _ in seen])
    batch = joined([encoded for _, _, encoded in seen])
    near = assigner.near(tagger.scores(batch, measures))
    return [
        Encoding(
            sha256,
            encoded.vectors[0],
            tagger=tagger.version,
            tag_scores=scores,
            measures=item.measures,
            evidence=encoded.evidence[0],
            facts=item.facts,
        )
        for (sha256, item, encoded), scores in zip(seen, near, strict=True)
    ]


def tagged(encoding: Encoding, assigner: Assigner) -> Encoding:
    """The encoding with the tags that its scores deserve; unchanged if it has none."""
    if encoding.tag_scores is None:
        return encoding
    return replace(encoding, tags=assigner.tags(encoding.tag_scores))
