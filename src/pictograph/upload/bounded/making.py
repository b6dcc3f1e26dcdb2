"""Decoding once for all that is wanted of a file: what the child does, without the process around it."""

from __future__ import annotations

from io import BytesIO

from pictograph.upload.bounded.wanted import Made, Wanted
from pictograph.upload.decode import cut_out, decode_opened
from pictograph.upload.limits import PictureLimits
from pictograph.upload.opening import OpenPicture, open_picture
from pictograph.upload.picture import Picture
from pictograph.upload.thumbnail import fitted, thumbnail_of


def make(source: bytes, wanted: Wanted, limits: PictureLimits) -> Made:
    """Everything `wanted` of a file. Raises as `decode_picture` does, and ValidationError for a box outside."""
    opened = open_picture(BytesIO(source), limits)
    picture = picture_of(opened, source, wanted)
    if picture is None:
        return Made(opened.facts, None, {})
    return Made(
        picture.facts,
        picture if wanted.short_side_px is not None else None,
        {side_px: thumbnail_of(picture, side_px, as_webp=wanted.as_webp) for side_px in wanted.thumbnails_px},
    )


def picture_of(opened: OpenPicture, source: bytes, wanted: Wanted) -> Picture | None:
    """No larger than what is wanted needs; None if that is no pixels."""
    if wanted.box is not None:
        return cut_out(opened, source, wanted.box, wanted.short_side_px)
    size = opened.facts.width, opened.facts.height
    sides = [min(fitted(size, side_px)) for side_px in wanted.thumbnails_px]
    if wanted.short_side_px is not None:
        sides.append(wanted.short_side_px)
    return decode_opened(opened, source, max(sides)) if sides else None
