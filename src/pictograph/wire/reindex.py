"""Moving the library to another encoder."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from pictograph.types import MAX_ENCODER
from pictograph.wire.base import Body, Wire


class Space(Wire):
    """An encoder at one revision, and what it made of the library."""

    encoder: str
    revision: str
    dimension: int
    source: str
    """What `encoder` says when a reindex to it is started: a name, or a folder on the server."""


class FailedImage(Wire):
    """One that the new encoder could not take, though the old one could."""

    image_id: str
    filename: str
    reason: str


class Reindex(Wire):
    """Where the library is on its way to another encoder."""

    state: Literal["idle", "running", "needs_decision"]
    """`needs_decision`: all that is left failed in the new encoder alone; accept that, start again, or cancel."""
    active: Space
    """What searches ask."""
    building: Space | None
    """What is filled beside it."""
    previous: Space | None
    """What searches asked before; still there to go back to."""
    pace: float | None
    """Share of the time that workers spend on it."""
    workers: int
    """Worker processes of this service that fill it."""
    images: int
    done: int
    failed: int
    """Images of the new space that could not be encoded, for whatever reason."""
    new_failures: int
    """Those of them that the active space has: they would be lost."""
    left_behind: int = 0
    """Those of them that were imported as vectors: there is no picture to encode again."""
    examples: list[FailedImage]
    """Some of your new failures."""


class ReindexStart(Body):
    """What to move the library to."""

    encoder: Annotated[str, Field(min_length=1, max_length=MAX_ENCODER)]
    """As for `pictograph serve --encoder`: a name, or a folder on the server."""
    pace: float = Field(1.0, gt=0, le=1)
    """Share of the time that its workers work."""


class ForgottenSpaces(Wire):
    """What was deleted."""

    spaces: int
