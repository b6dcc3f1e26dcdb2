"""Decoding once for all that is wanted of a file: what the child does, without the process around it."""

from __future__ import annotations

from io import BytesIO

from pictograph.upload.bounded.wanted import Made, Wanted
from pictograph.upload.decode import decode_opened
from pictograph.upload.limits import PictureLimits
from pictograph.upload.opening import open_picture
from pictograph.upload.thumbnail import fitted, thumbnail_of


def make(source: bytes, wanted: Wanted, limits: PictureLimits) -> Made:
    """Everything `wanted` of a file. Raises as `decode_picture` does."""
    opened = open_picture(BytesIO(source), limits)
    facts = opened.facts
    sides = [min(fitted((facts.width, facts.height), side_px)) for side_px in wanted.thumbnails_px]
    if wanted.short_side_px is not None:
        sides.append(wanted.short_side_px)
    if not sides:
        return Made(facts, None, {})
    picture = decode_opened(opened, source, max(sides))
    return Made(
        picture.facts,
        picture if wanted.short_side_px is not None else None,
        {side_px: thumbnail_of(picture, side_px, as_webp=wanted.as_webp) for side_px in wanted.thumbnails_px},
    )
