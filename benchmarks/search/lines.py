"""The JSON lines of a run, read back: one result for each cell, the median where a cell was measured more than once."""

from __future__ import annotations

import json
import math
import statistics
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pictograph.errors import ConfigurationError

MEASURED = ("recall", "rows", "p50_ms", "p99_ms", "qps", "build_s", "memory_mb", "disk_mb", "says_exact")


@dataclass(frozen=True)
class Result:
    """What one contestant did in one cell."""

    contestant: str
    data: str
    size: int
    kind: str
    scope: int | None
    limit: int
    clients: int
    rows_wanted: int
    recall: float
    rows: float
    p50_ms: float
    p99_ms: float
    qps: float
    build_s: float
    memory_mb: float
    disk_mb: float | None
    says_exact: float | None


@dataclass(frozen=True)
class Run:
    """Everything a file says."""

    results: Sequence[Result]
    unavailable: Sequence[str]
    """Contestants that were not installed."""
    commits: Sequence[str]
    dates: Sequence[str]
    machine: str
    loads: tuple[float, float]
    """Least and greatest load average of a minute while it ran."""

    def of(self, **wanted: Any) -> list[Result]:
        """The results with these values."""
        return [result for result in self.results if all(getattr(result, key) == wanted[key] for key in wanted)]

    def one(self, **wanted: Any) -> Result | None:
        """The only result with these values; None if that was not measured."""
        return next(iter(self.of(**wanted)), None)

    def values(self, field: str, **wanted: Any) -> list[Any]:
        """What occurs in a field, in the order of the file; for scopes None, everything, comes last."""
        found = list(dict.fromkeys(getattr(result, field) for result in self.of(**wanted)))
        return sorted(found, key=lambda scope: scope or math.inf) if field == "scope" else found


def read_lines(path: Path) -> Run:
    """Raises ConfigurationError if the file has no results."""
    try:
        entries = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"{path} holds no JSON lines of `benchmarks search`: {error}") from error
    found = [entry for entry in entries if "recall" in entry]
    if not found:
        raise ConfigurationError(f"{path} holds no results: run `python -m benchmarks search --lines {path}` first.")
    loads = [entry["machine"]["load_1min"] for entry in found]
    machine = found[0]["machine"]
    return Run(
        results=merged(found),
        unavailable=sorted({entry["contestant"] for entry in entries if "unavailable" in entry}),
        commits=unique(entry["commit"] for entry in found),
        dates=unique(entry["date"] for entry in found),
        machine=f"{machine['cpu']}, {machine['cores']} cores",
        loads=(min(loads), max(loads)),
    )


def unique(values: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(values))


def merged(entries: Sequence[dict[str, Any]]) -> list[Result]:
    """One result for each cell: medians."""
    keys = ("contestant", "data", "size", "kind", "scope", "limit", "clients", "rows_wanted")
    cells: dict[tuple[Any, ...], list[dict[str, Any]]] = defaultdict(list)
    for entry in entries:
        cells[tuple(entry[key] for key in keys)].append(entry)
    results = []
    for cell, group in cells.items():
        values: dict[str, Any] = dict(zip(keys, cell, strict=True)) | {name: middle(name, group) for name in MEASURED}
        results.append(Result(**values))
    return results


def middle(name: str, entries: Sequence[dict[str, Any]]) -> float | None:
    given = [entry[name] for entry in entries if entry.get(name) is not None]
    return statistics.median(given) if given else None
