"""What the settings allow one picture."""

from __future__ import annotations

from pictograph.settings import Settings
from pictograph.upload.bounded.wanted import DecodeBudget
from pictograph.upload.limits import PictureLimits


def limits_of(settings: Settings) -> PictureLimits:
    """What one file may cost."""
    return PictureLimits(max_bytes=settings.max_bytes, max_pixels=settings.max_pixels)


def budget_of(settings: Settings) -> DecodeBudget:
    """What decoding one picture may take."""
    return DecodeBudget(memory_bytes=settings.decode_memory_bytes, seconds=settings.decode_seconds)
