"""Moving the library to another encoder."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from pictograph.types import MAX_ENCODER
from pictograph.wire.base import Body, Wire


class Space(Wire):
    """An encoder at one revision, and what it made of the library."""

    encoder: str
    """Its name."""
    revision: str
    """Which version of its files."""
    dimension: int
    """Numbers in one of its vectors."""
    source: str
    """What `encoder` says when a reindex to it is started: a name, or a folder on the server."""


class FailedImage(Wire):
    """An image that the new encoder could not process, though the old one could."""

    image_id: str
    """UUID of the image."""
    filename: str
    """Its name within its folder."""
    reason: str
    """Why the new encoder could not process it."""


class Reindex(Wire):
    """How far the library has moved to another encoder."""

    state: Literal["idle", "running", "needs_decision"]
    """`needs_decision`: only images that failed with the new encoder are left; accept that, start again, or cancel."""
    active: Space
    """The encoder that searches use."""
    building: Space | None
    """The encoder whose space is being filled."""
    previous: Space | None
    """The encoder that searches used before; its space is still there to go back to."""
    pace: float | None
    """Share of the time that workers spend on it."""
    workers: int
    """Worker processes of this service that fill it."""
    images: int
    """Images that the new space is to have."""
    done: int
    """Those that it has."""
    failed: int
    """Images of the new space that could not be encoded, for whatever reason."""
    new_failures: int
    """Those of them that the active space has: searches would no longer find them."""
    left_behind: int = 0
    """Those of them that were imported as vectors: there is no picture to encode again."""
    examples: list[FailedImage]
    """Some of your new failures."""


class ReindexStart(Body):
    """The encoder to move the library to."""

    encoder: Annotated[str, Field(min_length=1, max_length=MAX_ENCODER)]
    """As for `pictograph serve --encoder`: a name, or a folder on the server."""
    pace: float = Field(1.0, gt=0, le=1)
    """Share of the time that its workers work."""


class ForgottenSpaces(Wire):
    """What was deleted."""

    spaces: int
    """Encoders of which everything was deleted."""
