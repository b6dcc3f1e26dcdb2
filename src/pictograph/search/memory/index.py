"""The index as a serving process has it: the newest set of segments that was published, opened beside the requests."""

from __future__ import annotations

import asyncio
import json
import logging
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from pictograph.search.memory.opening import Opened
    from pictograph.search.memory.view import View

logger = logging.getLogger(__name__)

LOOK_S: Final = 0.2
WORTH_IT_FROM: Final = 2000
"""Images; with fewer, the database answers in a few milliseconds, and nothing is kept here."""
MANIFEST: Final = "manifest.json"
PROGRESS: Final = "progress.json"


@dataclass(frozen=True, slots=True)
class IndexStatus:
    """What people are told of the index."""

    rows: int = 0
    """Images in it, those included that were deleted or changed since."""
    segments: int = 0
    spaces: Sequence[int] = ()
    """Ids of the spaces whose vectors it has."""
    done: int = 0
    total: int = 0
    """Images that are being read into it; 0 when nothing is to be done."""
    problem: str | None = None
    """Why there is none, or one without vectors."""

    @property
    def sentence(self) -> str:
        """All of it, for people."""
        has = f"{self.rows:,} images" if self.segments else "none: the database answers, as fast for a small library"
        if self.total:
            return f"{has}; {self.done:,} of {self.total:,} read"
        return f"{has}. {self.problem}" if self.problem else has


class MemoryIndex:
    """What `Builder` has published in a folder, as a view to ask; nothing is loaded as long as there is none.

    A thread looks at the manifest five times a second, opens a new set and swaps it in; questions keep the one that
    they began with.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._opened: Opened | None = None
        self._seen: tuple[int, ...] | None = None
        self._warned = ""
        self._refreshing = threading.Lock()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    async def open(self) -> None:
        """Opens what is there, and follows it from then on."""
        await self.refresh()
        self._thread = threading.Thread(target=self._follow, daemon=True, name="index")
        self._thread.start()

    async def close(self) -> None:
        """Follows no longer; views that questions have stay readable."""
        self._stop.set()
        if self._thread is not None:
            await asyncio.to_thread(self._thread.join)
        self._opened = None

    def view(self) -> View | None:
        """The newest set; None as long as there is none."""
        return self._opened.view if self._opened is not None else None

    async def refresh(self) -> None:
        """Looks now."""
        await asyncio.to_thread(self._refresh)

    def status(self) -> IndexStatus:
        """What there is, and what the builder is at."""
        progress = self._progress()
        opened = self._opened
        if opened is None:
            return IndexStatus(**progress)
        return IndexStatus(opened.view.rows, opened.segments, sorted(opened.view.quantisers), **progress)

    def _progress(self) -> dict[str, Any]:
        try:
            kept = json.loads((self._folder / PROGRESS).read_text(encoding="utf-8"))
            return {"done": int(kept["done"]), "total": int(kept["total"]), "problem": kept["problem"]}
        except (OSError, ValueError, KeyError, TypeError):
            return {}

    def _follow(self) -> None:
        while not self._stop.wait(LOOK_S):
            self._refresh()

    def _refresh(self) -> None:
        with self._refreshing:
            try:
                status = (self._folder / MANIFEST).stat()
            except OSError:
                self._opened = self._seen = None
                return
            now = (status.st_ino, status.st_mtime_ns, status.st_size)
            if now == self._seen:
                return
            opening = import_module("pictograph.search.memory.opening")  # faiss: only where there is an index
            try:
                self._opened = opening.opened(self._folder, self._opened)
                self._seen, self._warned = now, ""
            except opening.Doubtful as error:
                # As a rule a newer set is there already, and its files instead of these; else the builder mends it.
                if str(error) != self._warned:
                    logger.warning("The index cannot be opened just now, questions use what they had: %s", error)
                self._warned = str(error)
