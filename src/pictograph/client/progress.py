"""A bar for long calls: what `progress=True` shows, in a terminal as in a notebook, without another library."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any, Final, TextIO, TypeVar

Told = TypeVar("Told", bound=Callable[..., None])

EVERY_S: Final = 0.1
"""Between two drawings."""
WIDTH: Final = 24


class Bar:
    """One line on standard error: `Uploading 1,200/5,000  24% ######------------------ 310/s, 12 s left`.

    Call it as any `progress` of the SDK is called: with numbers done and in all, or with a report that has them.
    """

    def __init__(self, what: str, stream: TextIO | None = None) -> None:
        self._what = what
        self._stream = stream or sys.stderr
        self._started = time.monotonic()
        self._drawn = -EVERY_S
        self._length = 0
        self._ended = False

    def __call__(self, *told: Any) -> None:
        """Draws how far it is, ten times a second at most, and always the end."""
        done, total = measured(*told)
        now = time.monotonic() - self._started
        is_end = total is not None and done >= total
        if self._ended or (not is_end and (now - self._drawn < EVERY_S or not rewrites(self._stream))):
            return
        self._drawn, self._ended = now, is_end
        line = f"{self._what} {drawn(done, total, now)}"
        self._stream.write(f"\r{line.ljust(self._length)}" if rewrites(self._stream) else line)
        self._stream.write("\n" if is_end else "")
        self._stream.flush()
        self._length = len(line)


def rewrites(stream: TextIO) -> bool:
    """Whether a line can be written over: a terminal, or what a notebook gives its cells; not a file."""
    return stream.isatty() or type(stream).__module__.startswith("ipykernel")


def measured(*told: Any) -> tuple[int, int | None]:
    """How many are done, and of how many: of whatever a long call tells.

    (done, total, ...) of uploads and exports, an ImportReport, the Progress of a dataset, a TagUpdate.
    """
    first = told[0]
    if isinstance(first, int):
        return first, told[1]
    if hasattr(first, "received"):
        return first.total - first.received, first.total
    if hasattr(first, "remaining"):
        return first.updated, first.updated + first.remaining
    return first.done, first.rows


def drawn(done: int, total: int | None, seconds: float) -> str:
    """`1,200/5,000  24% ######------------------ 310/s, 12 s left`."""
    pace = done / seconds if seconds > 0 else 0.0
    if not total:
        return f"{done:,} {pace:,.0f}/s"
    share = min(1.0, done / total)
    bar = "#" * int(share * WIDTH)
    left = f", {(total - done) / pace:,.0f} s left" if pace and done < total else f", {seconds:,.1f} s"
    return f"{done:,}/{total:,} {share:4.0%} {bar:-<{WIDTH}} {pace:,.0f}/s{left}"


def told(progress: Told | bool | None, what: str) -> Told | Bar | None:
    """Whom a long call tells how far it is: a bar for True, nobody for False, else `progress` itself."""
    if isinstance(progress, bool):
        return Bar(what) if progress else None
    return progress
