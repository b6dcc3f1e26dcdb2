"""The program that decodes one picture at a time under limits that the kernel keeps: `python -m ...child FD`.

A line of JSON on standard input asks; the file's bytes lie in the exchange file FD. A line of JSON on standard output
answers; pixels and thumbnails then lie in the exchange file instead. It ends when standard input closes, so also when
the process that started it is killed.
"""

from __future__ import annotations

import json
import math
import os
import resource
import sys
import time
from pathlib import Path
from typing import Any, BinaryIO

import pillow_heif
from PIL import AvifImagePlugin

from pictograph.errors import ApiError
from pictograph.upload.bounded.making import make
from pictograph.upload.bounded.victim import be_first_to_go
from pictograph.upload.bounded.wanted import OUT_OF_MEMORY, UNEXPECTED, Made, Wanted
from pictograph.upload.box import Box
from pictograph.upload.limits import PictureLimits


def main() -> None:
    """Answers until standard input closes."""
    exchange = int(sys.argv[1])
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # what a codec prints must not look like an answer
    be_modest()
    for line in sys.stdin.buffer:
        answer(json.loads(line), exchange, answers)


def be_modest() -> None:
    """One thread for each codec, since memory grows with threads, and first to go where the machine has none left."""
    be_first_to_go()
    pillow_heif.options.DECODE_THREADS = 1
    AvifImagePlugin.DEFAULT_MAX_THREADS = 1


def answer(request: dict[str, Any], exchange: int, answers: BinaryIO) -> None:
    """Reads the file, makes what is wanted, writes it back."""
    limit_costs(request["memory_bytes"], request["seconds"])
    reply: dict[str, Any]
    try:
        reply = kept(made(request, exchange), exchange)
    except ApiError as error:
        reply = {"error": error.code, "message": error.message, "details": error.details}
    except MemoryError:
        reply = {"error": OUT_OF_MEMORY}
    except Exception as error:  # noqa: BLE001 - the edge of the process: it goes to the log of who asked
        reply = {"error": UNEXPECTED, "message": f"{type(error).__name__}: {error}"}
    answers.write(json.dumps(reply).encode() + b"\n")
    answers.flush()


def made(request: dict[str, Any], exchange: int) -> Made:
    source = os.pread(exchange, request["size_bytes"], 0)
    box = Box(**request["box"]) if request["box"] else None
    wanted = Wanted(request["short_side_px"], tuple(request["thumbnails_px"]), request["as_webp"], box)
    return make(source, wanted, PictureLimits(**request["limits"]))


def kept(result: Made, exchange: int) -> dict[str, Any]:
    """Returns the parts laid end to end in the exchange file, and how long each is."""
    parts: list[Any] = [result.picture.pixels.data.cast("B")] if result.picture else []
    parts += result.thumbnails.values()
    os.ftruncate(exchange, 0)
    at = 0
    for part in parts:
        view = memoryview(part)
        while view.nbytes:
            written = os.pwrite(exchange, view, at)
            at, view = at + written, view[written:]
    facts = result.facts
    return {
        "facts": [facts.format, facts.content_type, facts.width, facts.height],
        "taken_at": facts.taken_at and facts.taken_at.isoformat(),
        "camera": facts.camera,
        "shape": list(result.picture.pixels.shape) if result.picture else None,
        "thumbnails": [[side_px, len(data)] for side_px, data in result.thumbnails.items()],
    }


def limit_costs(memory_bytes: int, seconds: float) -> None:
    """Counted from now: memory beyond what the process has, processor time beyond what it has used."""
    if sys.platform == "linux":  # elsewhere RLIMIT_AS is not kept, and only time is bounded
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        in_use = pages * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (in_use + memory_bytes, resource.RLIM_INFINITY))
    used_s = time.process_time()
    resource.setrlimit(resource.RLIMIT_CPU, (math.ceil(used_s + seconds), resource.RLIM_INFINITY))


if __name__ == "__main__":
    main()
