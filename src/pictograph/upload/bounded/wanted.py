"""What is asked of a file, what comes back, and what it may cost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pictograph.upload.box import Box
from pictograph.upload.picture import Picture, PictureFacts

OUT_OF_MEMORY = "out_of_memory"
UNEXPECTED = "unexpected"
"""Codes by which the child says what is no refusal of the picture's."""
WALL_FACTOR = 3
"""Seconds on the clock for each second of processor time: a busy machine is no fault of the picture."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to make of a file; it is decoded once, no larger than the largest of these needs."""

    short_side_px: int | None = None
    """How long the shorter side of the pixels must stay (see `decode_picture`); None: no pixels are wanted."""
    thumbnails_px: tuple[int, ...] = ()
    """The longer side of each thumbnail."""
    as_webp: bool = False
    """Thumbnails are WebP, else JPEG."""
    box: Box | None = None
    """Only this part of the upright picture, as if it had been cut out of the file before."""


@dataclass(frozen=True, slots=True)
class Made:
    """What was made of a file."""

    facts: PictureFacts
    picture: Picture | None
    """None if no pixels were wanted."""
    thumbnails: Mapping[int, bytes]
    """A JPEG, or WebP, for each side that was wanted."""


@dataclass(frozen=True, slots=True)
class DecodeBudget:
    """What one picture may cost to decode before it is given up, by name."""

    memory_bytes: int = 2_000_000_000
    """Address space beyond what the empty process has."""
    seconds: float = 15.0
    """Of processor time; WALL_FACTOR times as long on the clock."""
