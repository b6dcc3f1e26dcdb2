"""Standard output and error that cannot end in a traceback: of another encoding, closed, full, or not there at all."""

from __future__ import annotations

import io
import os
import sys
from typing import TYPE_CHECKING, Final, TextIO

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

EXIT_OUTPUT_CLOSED: Final = 141
"""As of a program that SIGPIPE ended: the reader went away."""


class OutputLost(Exception):
    """What this run has to say cannot be written; nothing more will be."""

    def __init__(self, error: OSError) -> None:
        super().__init__(error.strerror or str(error))
        self.closed = isinstance(error, BrokenPipeError)
        """True if the reader went away, as `| head` does."""


class Sink(io.FileIO):
    """A file descriptor that says once that it cannot be written, and takes everything in silence from then on."""

    def __init__(self, descriptor: int, *, must_arrive: bool) -> None:
        super().__init__(descriptor, "w", closefd=False)
        self._must_arrive = must_arrive
        self._lost = False

    def write(self, data: ReadableBuffer, /) -> int:
        """Writes. Raises OutputLost the first time that this fails, if what is written must arrive."""
        if not self._lost:
            try:
                return super().write(data)
            except OSError as error:
                self._lost = True
                if self._must_arrive:
                    raise OutputLost(error) from error
        return memoryview(data).nbytes


def set_up_streams() -> None:
    """Makes `sys.stdout` and `sys.stderr` such streams, unless something else than this process's own is there."""
    occupy_closed_descriptors()
    if sys.stdout is sys.__stdout__:
        sys.stdout = stream_to(1, sys.stdout, must_arrive=True)
    if sys.stderr is sys.__stderr__:
        sys.stderr = stream_to(2, sys.stderr, must_arrive=False)


def occupy_closed_descriptors() -> None:
    """Opens nothing in the place of what the caller closed: else the first connection would be standard output."""
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest free number, which is this one


def stream_to(descriptor: int, like: TextIO | None, *, must_arrive: bool) -> TextIO:
    """A text stream that writes what the encoding has no letter for as `\\xe9`."""
    return io.TextIOWrapper(
        io.BufferedWriter(Sink(descriptor, must_arrive=must_arrive)),
        encoding=like.encoding if like else "utf-8",
        errors="backslashreplace",
        line_buffering=not must_arrive or os.isatty(descriptor),
    )


def is_unicode(stream: TextIO) -> bool:
    """True if the stream has every letter."""
    return (getattr(stream, "encoding", None) or "utf-8").lower().replace("-", "").startswith("utf")
