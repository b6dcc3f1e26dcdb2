"""The process that builds the index: one for each data folder, until it is asked to stop."""

from __future__ import annotations

import fcntl
import json
import logging
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Final

from threadpoolctl import ThreadpoolController

from pictograph.errors import PictographError
from pictograph.search.memory.index import PROGRESS, WORTH_IT_FROM

if TYPE_CHECKING:
    from pictograph.search.memory.builder import Progress

logger = logging.getLogger(__name__)

PAUSE_S: Final = 1.0
TRY_AGAIN_S: Final = 10.0
"""How often a process looks whether the one that builds has ended."""
AFTER_FAILURE_S: Final = 5.0
TOLD_EVERY_S: Final = 1.0


@contextmanager
def only_one(folder: Path) -> Iterator[bool]:
    """Whether no other process builds in this folder; none does as long as the block takes."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True


def keep_index(
    conninfo: str, folder: Path, most_bytes: int, stop: threading.Event, worth_it_from: int = WORTH_IT_FROM
) -> None:
    """Builds and renews the index until `stop` is set. Whatever fails is tried again."""
    while not stop.is_set():
        with only_one(folder) as alone:
            if alone:
                keep_alone(conninfo, folder, most_bytes, stop, worth_it_from)
        stop.wait(TRY_AGAIN_S)


def keep_alone(conninfo: str, folder: Path, most_bytes: int, stop: threading.Event, worth_it_from: int) -> None:
    """As `keep_index`, while no other process builds in the folder."""
    building = import_module("pictograph.search.memory.builder")  # faiss: only where it is needed
    os.nice(5)  # requests and workers go first
    ThreadpoolController().limit(limits=1)  # BLAS threads wait for each other on busy cores
    builder = building.Builder(
        conninfo, folder, most_bytes=most_bytes, worth_it_from=worth_it_from, told=Told(folder).tell
    )
    try:
        while not stop.is_set():
            try:
                pause_s = 0.0 if builder.step() else PAUSE_S
            except (PictographError, OSError) as error:
                logger.warning("The index could not be renewed, searches go on with what it has: %s", error)
                pause_s = AFTER_FAILURE_S
            stop.wait(pause_s)
    finally:
        builder.close()


class Told:
    """Writes the progress where serving processes read it, once a second at most."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / PROGRESS
        self._last: Progress | None = None
        self._at = 0.0

    def tell(self, progress: Progress) -> None:
        """Notes it."""
        now = time.monotonic()
        if progress == self._last or (progress.total and now - self._at < TOLD_EVERY_S):
            return
        self._last, self._at = progress, now
        self._file.parent.mkdir(parents=True, exist_ok=True)  # somebody may have deleted it
        new = self._file.with_suffix(".new")
        text = {"done": progress.done, "total": progress.total, "problem": progress.problem}
        new.write_text(json.dumps(text), encoding="utf-8")
        new.replace(self._file)
