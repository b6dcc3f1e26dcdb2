"""What everybody who is compared must be able to do."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeAlias

from benchmarks.search.data import Data, Question


@dataclass(frozen=True)
class Answer:
    """Rows of the corpus, best first."""

    rows: list[int]
    exact: bool | None = None
    """Whether the answer itself says that it is exact; None if it says nothing."""


Search: TypeAlias = Callable[[Question], Answer]


class Contestant(Protocol):
    """One engine, set up one way. Lives in a process of its own, so that memory is its own."""

    def build(self, data: Data) -> None:
        """Takes the corpus and makes every index; afterwards questions can be asked."""

    def client(self) -> AbstractContextManager[Search]:
        """What one client asks with; each client is a thread, and uses its own."""

    def memory_mb(self) -> int:
        """Resident memory, MiB, once everything was searched: of the servers, or what this process grew by."""

    def disk_mb(self) -> int | None:
        """What the corpus and its indexes take on disk, MiB; None if it lives in memory alone."""

    def close(self) -> None:
        """Ends servers and removes files."""


@contextmanager
def always(search: Search) -> Iterator[Search]:
    """A client of a library: nothing to open."""
    yield search


def anonymous_mb() -> int:
    """Memory of this process that no file stands behind, MiB: the corpus that it reads from a file is not its own."""
    rollup = Path("/proc/self/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in rollup if line.startswith("Anonymous:")) >> 10
