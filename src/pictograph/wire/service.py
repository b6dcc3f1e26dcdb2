"""The service itself: its health, and what it answers when something goes wrong."""

from __future__ import annotations

from typing import Any, Literal

from pictograph.wire.base import Wire


class Room(Wire):
    """A disk of the service's machine."""

    holds: str
    """`files`, `database`, or `files and database`."""
    free_bytes: int
    """Bytes that are free."""
    total_bytes: int
    """Bytes of the whole disk."""


class Health(Wire):
    """Answer of `/health` and `/ready`."""

    status: Literal["ok", "not_ready"]
    """`not_ready` if there are `problems`."""
    version: str
    """Of the service."""
    encoder: str | None = None
    """Which encoder's vectors searches compare."""
    fingerprint: str | None = None
    """That encoder with its revision, `offline@8c1f`: what a file of vectors must name to be imported."""
    queue: int | None = None
    """Images that wait for a worker or are being processed."""
    workers: int | None = None
    """Worker processes that this service runs."""
    problems: list[str] = []
    """What keeps the service from being ready."""
    warnings: list[str] = []
    """What will soon keep it from being ready: disks that are nearly full."""
    index: str | None = None
    """What the index is at: how many images it has, or why there is none."""
    storage: list[Room] = []
    """The disks on the service's machine that hold the library."""


class ErrorBody(Wire):
    """What went wrong."""

    code: str
    """Stable: test for this."""
    message: str
    """What went wrong and what to do, for people."""
    request_id: str | None = None
    """Names the request in the service's log; the header `X-Request-Id` has it too."""
    details: dict[str, Any] = {}
    """What a program can read of it: `{"errors": [{"loc", "msg"}]}` names each wrong value."""


class ErrorAnswer(Wire):
    """The shape of every answer that is not a success."""

    error: ErrorBody
    """What went wrong: a code for programs, a message for people."""
    detail: str
    """The message again, where older clients look for it."""
