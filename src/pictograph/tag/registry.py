"""Which tagger belongs to which encoder."""

from __future__ import annotations

from pictograph.encode.protocol import EncoderSpec
from pictograph.tag.offline import OfflineTagger
from pictograph.tag.protocol import Tagger


def tagger_for(spec: EncoderSpec) -> Tagger | None:
    """The tagger that reads this encoder's evidence; None if it has none, and pictures then get no tags."""
    return OfflineTagger() if spec.name == "offline" else None
