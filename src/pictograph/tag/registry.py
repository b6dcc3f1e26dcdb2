"""Which tagger belongs to which encoder."""

from __future__ import annotations

from pictograph.encode.protocol import EncoderSpec
from pictograph.tag.offline import OfflineTagger
from pictograph.tag.protocol import Tagger
from pictograph.tag.taxonomy import Taxonomy


def tagger_for(spec: EncoderSpec, taxonomy: Taxonomy) -> Tagger | None:
    """The tagger that reads this encoder's evidence; None if it has none, and pictures then get no tags."""
    return OfflineTagger(taxonomy) if spec.name == "offline" else None
