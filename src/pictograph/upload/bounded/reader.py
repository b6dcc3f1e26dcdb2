"""One decoding process, seen from the side that asks."""

from __future__ import annotations

import contextlib
import json
import logging
import math
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import asdict, replace
from datetime import datetime
from typing import IO, Any, Final

import numpy as np

from pictograph.errors import ApiError, BadImage, TooCostly, TooLarge, Unavailable, UnsupportedFormat, ValidationError
from pictograph.upload.bounded.wanted import OUT_OF_MEMORY, UNEXPECTED, WALL_FACTOR, DecodeBudget, Made, Wanted
from pictograph.upload.limits import PictureLimits
from pictograph.upload.picture import Picture, PictureFacts

logger = logging.getLogger(__name__)

START_S: Final = 60.0
"""Added to the time of a process's first picture: it may still be loading the decoders."""
_REFUSALS: Final[dict[str, type[ApiError]]] = {
    kind.code: kind for kind in (BadImage, UnsupportedFormat, TooLarge, ValidationError)
}
_KEPT_VARIABLES: Final = ("PATH", "HOME", "TMPDIR", "TZ", "VIRTUAL_ENV", "LD_LIBRARY_PATH", "SYSTEMROOT")
_KEPT_PREFIXES: Final = ("PYTHON", "LANG", "LC_", "DYLD_")
_MODEST: Final = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "1"}


class Reader:
    """A process that decodes one picture at a time; it is started at once. For one thread at a time."""

    def __init__(self) -> None:
        self._exchange = exchange_file()
        descriptor = self._exchange.fileno()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "pictograph.upload.bounded.child", str(descriptor)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            pass_fds=[descriptor],
            env=few_variables(os.environ),
            start_new_session=True,  # Ctrl-C in the terminal is for the process that started us
        )
        self._is_fresh = True

    @property
    def process_id(self) -> int:
        """For tests and measurements."""
        return self._process.pid

    def read(self, source: bytes, wanted: Wanted, limits: PictureLimits, budget: DecodeBudget) -> Made:
        """Returns what is wanted of the file. After TooCostly and Unavailable, close it and use another.

        Raises TooCostly, BadImage, UnsupportedFormat, TooLarge, ValidationError for a box outside; Unavailable if the
        process was ended by others.
        """
        try:
            self._ask(source, wanted, limits, budget)
            answer = self._answer(budget)
        except OSError as error:
            raise self._ended(budget) from error
        code = answer.get("error")
        if code is None:
            return self._made(answer)
        if code == OUT_OF_MEMORY:
            raise out_of_memory(budget)
        if code == UNEXPECTED:
            logger.error("Decoding failed with an unexpected error: %s", answer["message"])
            raise BadImage(f"This picture could not be decoded: {answer['message']}.")
        raise _REFUSALS.get(code, BadImage)(answer["message"], details=answer["details"])

    def end(self) -> None:
        """Ends the process, whatever it is doing; a thread that waits for it gets Unavailable, and then closes."""
        self._process.kill()

    def close(self) -> None:
        """Ends the process and lets go of what belongs to it; only for the thread that used it last."""
        self._process.kill()
        self._process.wait()
        for file in (self._process.stdin, self._process.stdout, self._exchange):
            with contextlib.suppress(OSError):  # what was not sent any more
                if file:
                    file.close()

    def _ask(self, source: bytes, wanted: Wanted, limits: PictureLimits, budget: DecodeBudget) -> None:
        descriptor = self._exchange.fileno()
        os.ftruncate(descriptor, 0)
        view = memoryview(source)
        while view.nbytes:
            view = view[os.pwrite(descriptor, view, len(source) - len(view)) :]
        request = {**asdict(wanted), **asdict(budget), "size_bytes": len(source), "limits": asdict(limits)}
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(request).encode() + b"\n")
        self._process.stdin.flush()

    def _answer(self, budget: DecodeBudget) -> dict[str, Any]:
        """Returns the line it writes. Raises OSError if it ends first, TooCostly if it takes too long on the clock."""
        assert self._process.stdout is not None
        allowed_s = budget.seconds * WALL_FACTOR + (START_S if self._is_fresh else 0)
        deadline = time.monotonic() + allowed_s
        descriptor, line = self._process.stdout.fileno(), b""
        waiting = select.poll()
        waiting.register(descriptor, select.POLLIN)
        while not line.endswith(b"\n"):
            if not waiting.poll(max(0, math.ceil(1000 * (deadline - time.monotonic())))):
                raise out_of_time(budget, f"{allowed_s:.0f} s on the clock")
            part = os.read(descriptor, 65_536)
            if not part:
                raise OSError("the decoding process ended")
            line += part
        self._is_fresh = False
        answer: dict[str, Any] = json.loads(line)
        return answer

    def _made(self, answer: dict[str, Any]) -> Made:
        taken_at = datetime.fromisoformat(answer["taken_at"]) if answer["taken_at"] else None
        facts = replace(PictureFacts(*answer["facts"]), taken_at=taken_at, camera=answer["camera"])
        descriptor, at, picture = self._exchange.fileno(), 0, None
        if answer["shape"]:
            pixels = np.empty(answer["shape"], np.uint8)
            room = pixels.data.cast("B")
            while at < len(room):
                at += os.preadv(descriptor, [room[at:]], at)
            pixels.flags.writeable = False
            picture = Picture(pixels, facts)
        thumbnails = {}
        for side_px, size_bytes in answer["thumbnails"]:
            thumbnails[side_px] = os.pread(descriptor, size_bytes, at)
            at += size_bytes
        os.ftruncate(descriptor, 0)
        return Made(facts, picture, thumbnails)

    def _ended(self, budget: DecodeBudget) -> ApiError:
        """Why it ended: by its limits, by the picture, or by another process."""
        self._process.kill()
        number = -self._process.wait()
        if number == signal.SIGXCPU:
            return out_of_time(budget, f"{budget.seconds:g} s of processor time")
        if number in (signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS, signal.SIGFPE, signal.SIGILL):
            return TooCostly(
                f"The decoder broke down over this picture ({signal.Signals(number).name}), with "
                f"{budget.memory_bytes:,} bytes of memory to itself (setting decode_memory_bytes). Save it again."
            )
        return Unavailable("The process that decodes pictures was ended from outside.", retry_after_s=2)


def exchange_file() -> IO[bytes]:
    """Opens a file without a name, in memory where the system has such files."""
    if hasattr(os, "memfd_create"):
        return os.fdopen(os.memfd_create("pictograph-exchange"), "r+b")
    return tempfile.TemporaryFile()


def few_variables(environment: Mapping[str, str]) -> dict[str, str]:
    """Returns what the child needs and nothing secret: no key, no database, no credentials of a blob store."""
    kept = {
        name: value for name, value in environment.items() if name in _KEPT_VARIABLES or name.startswith(_KEPT_PREFIXES)
    }
    return {**kept, **_MODEST}


def out_of_memory(budget: DecodeBudget) -> TooCostly:
    return TooCostly(
        f"Decoding this picture needs more than {budget.memory_bytes:,} bytes of memory (setting "
        "decode_memory_bytes). Save it smaller or in another format, or raise the setting.",
        details={"limit": budget.memory_bytes, "setting": "decode_memory_bytes"},
    )


def out_of_time(budget: DecodeBudget, spent: str) -> TooCostly:
    return TooCostly(
        f"Decoding this picture takes more than {spent} (setting decode_seconds). "
        "Save it smaller or in another format, or raise the setting.",
        details={"limit": budget.seconds, "setting": "decode_seconds"},
    )
