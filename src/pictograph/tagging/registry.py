"""Which tagger belongs to which encoder."""

from __future__ import annotations

from pictograph.encode.protocol import EncoderSpec
from pictograph.tagging.calibration import Calibration
from pictograph.tagging.offline import OfflineTagger
from pictograph.tagging.prompts import PromptTagger
from pictograph.tagging.protocol import Tagger
from pictograph.tagging.taxonomy import Taxonomy


def tagger_for(spec: EncoderSpec, taxonomy: Taxonomy, calibration: Calibration | None = None) -> Tagger | None:
    """Returns the tagger for what this encoder gives; None if there is none, and pictures then get no tags.

    calibration: of its space, where words are compared with pictures; the offline encoder needs none.
    """
    return tagger_named(spec.name, taxonomy, calibration)


def tagger_named(encoder: str, taxonomy: Taxonomy, calibration: Calibration | None = None) -> Tagger | None:
    """Returns the same by the encoder's name (`EncoderSpec.name`, `Space.encoder`)."""
    if encoder == "offline":
        return OfflineTagger(taxonomy)
    return PromptTagger(taxonomy, calibration) if calibration else None
