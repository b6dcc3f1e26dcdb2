"""What a picture tells of itself -> the facts that its images carry."""

from __future__ import annotations

from typing import Final

from PIL import Image

from pictograph.encode.protocol import FloatArray
from pictograph.store.facts import Facts
from pictograph.tagging.measures import LEAST_DETAIL_PX, MEASURE_NAMES
from pictograph.types import Sha256
from pictograph.upload.perceptual_hash import perceptual_hash
from pictograph.upload.picture import Picture

BLURRED: Final = -3.0
CRISP: Final = -1.0
"""Of the measure `sharpness`, a logarithm: these become 0 and 1, and what lies beyond them stays beyond."""
DECIMALS: Final = 4
"""More say nothing."""
PLACES: Final = {name: place for place, name in enumerate(MEASURE_NAMES)}


def facts_of(sha256: Sha256, picture: Picture, measures: FloatArray) -> Facts:
    """measures: what `measure_picture` gives of the picture, float32 (len(MEASURE_NAMES),)."""
    said = {name: float(measures[place]) for name, place in PLACES.items()}
    is_fine = said["detail_px"] >= LEAST_DETAIL_PX
    return Facts(
        sha256,
        taken_at=picture.facts.taken_at,
        camera=picture.facts.camera,
        sharpness=round((said["sharpness"] - BLURRED) / (CRISP - BLURRED), DECIMALS) if is_fine else None,
        brightness=round(said["luminance_mean"], DECIMALS),
        contrast=round(said["contrast_rms"], DECIMALS),
        average_color=average_color(picture),
        perceptual_hash=perceptual_hash(picture.pixels),
    )


def average_color(picture: Picture) -> int:
    """0xRRGGBB: the mean of each channel, as the pixels lie, in sRGB."""
    mean = Image.fromarray(picture.pixels).resize((1, 1), Image.Resampling.BOX)
    return int.from_bytes(mean.tobytes(), "big")
