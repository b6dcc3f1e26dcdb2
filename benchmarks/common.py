"""What the benchmarks share: pictures to work on, a service to ask, and the one line they print."""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image

from pictograph.settings import available_cores

ROOT = Path(__file__).parent.parent
PHOTOS = Path(os.environ.get("PHOTOS", ROOT / "examples" / "photos"))


def report(question: str, **result: Any) -> None:
    """One JSON line: the question, what was measured, and where."""
    line = {
        "question": question,
        **result,
        "commit": commit(),
        "date": datetime.now(UTC).date().isoformat(),
        "machine": {"cpu": cpu_model(), "cores": available_cores(), "load_1min": round(os.getloadavg()[0], 1)},
    }
    print(json.dumps(line), flush=True)


def commit() -> str:
    """Short hash of HEAD, with `+` if the tree differs from it."""
    described = subprocess.run(
        ["git", "describe", "--always", "--dirty=+"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return described.stdout.strip() or "unknown"


def cpu_model() -> str:
    """As the processor calls itself."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def distinct_photos(count: int) -> list[bytes]:
    """`count` JPEG files, no two alike: crops of the photographs in PHOTOS, 480 to 640 px on the long side."""
    sources = sorted(path for path in PHOTOS.rglob("*") if path.suffix.lower() in (".jpg", ".jpeg"))
    if not sources:
        raise SystemExit(f"{PHOTOS} has no JPEG photographs: set PHOTOS to a folder that has.")
    return [shifted_crop(sources[number % len(sources)], number // len(sources)) for number in range(count)]


def shifted_crop(path: Path, shift: int) -> bytes:
    with Image.open(path) as opened:
        image = opened.convert("RGB")
    image.thumbnail((640, 640))
    width, height = image.size
    left, top = shift * 7 % (width // 4), shift * 5 % (height // 4)
    file = BytesIO()
    image.crop((left, top, left + width * 3 // 4, top + height * 3 // 4)).save(file, "JPEG", quality=85)
    return file.getvalue()


@dataclass
class Rate:
    """How fast, and at what cost: other programs on the machine change the first much more than the second."""

    images_per_s: float = 0.0
    cpu_ms: float = 0.0
    """Milliseconds of processor time for one image, over all our processes and cores."""


def percentiles_ms(seconds: Sequence[float]) -> dict[str, float]:
    """p50 and p99 in milliseconds."""
    ranks = statistics.quantiles(seconds, n=100, method="inclusive") if len(seconds) > 1 else [seconds[0]] * 99
    return {"p50_ms": round(ranks[49] * 1000, 2), "p99_ms": round(ranks[98] * 1000, 2)}


def median(values: Sequence[float]) -> float:
    """Rounded to three digits."""
    return round(statistics.median(values), 3)


def memory_mb(pid: int) -> int:
    """Resident memory that is the process's own share (PSS), in MiB; children not included."""
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in rollup if line.startswith("Pss:")) // 1024


def cpu_s(pid: int) -> float:
    """Processor time this process and its ended children have used; 0 once it is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except OSError:
        return 0.0
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")


def family_cpu_s() -> float:
    """Processor time of this process and everything below it, PostgreSQL included."""
    return sum(cpu_s(pid) for pid in [os.getpid(), *(pid for pid, _ in descendants(os.getpid()))])


@contextmanager
def measured(images: int) -> Iterator[Rate]:
    """Wall and processor time of the block, for each image."""
    rate = Rate()
    cpu_before, started = family_cpu_s(), time.perf_counter()
    yield rate
    rate.images_per_s = images / (time.perf_counter() - started)
    rate.cpu_ms = (family_cpu_s() - cpu_before) * 1000 / images


def descendants(pid: int) -> list[tuple[int, str]]:
    """Pids and command lines of all processes below this one."""
    table = subprocess.run(["ps", "-e", "-o", "pid=,ppid=,args="], capture_output=True, text=True, check=True).stdout
    rows = [line.split(None, 2) for line in table.splitlines()]
    found: list[tuple[int, str]] = []
    waiting = [pid]
    while waiting:
        parent = waiting.pop()
        children = [(int(row[0]), row[2]) for row in rows if int(row[1]) == parent]
        found += children
        waiting += [child for child, _ in children]
    return found
