"""Measures what people feel, one JSON line each.

python -m benchmarks felt --scale 100000                     everything; a million takes 5 GB of cache and 10 of disk
python -m benchmarks felt --scale 20000 --only rows start    some of it

lag        how late the event loop is while images come in, and how long others wait for an answer meanwhile
resume     an upload of a directory that is sent again
rows       50 and 500 rows at every scope: p50, p95, p99, and recall beside; FAISS RaBitQ + float16 refine as the peer
start      from the start to the usual speed, after an orderly end and after kill -9
processes  questions/s by how many processes serve, and how many clients ask
memory     of each kind of process: anonymous, mapped from files, shared

Needs the extra `vectors` (pyarrow); the peer needs faiss-cpu. All of it goes through the public interface.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks.felt import library, writing
from benchmarks.search.data import prepare
from benchmarks.search.mixture import SOURCES

PARTS = ("lag", "resume", "rows", "start", "processes", "memory")
OF_A_LIBRARY = frozenset(PARTS[2:])
SMALLEST = 2_000
DEFAULT_CACHE = Path(tempfile.gettempdir()) / "pictograph-benchmarks"


def parsed(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks felt", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--scale", type=int, default=100_000, help="images in the library")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS, help="what to measure")
    parser.add_argument("--data", choices=SOURCES, default="clustered", help="see benchmarks/search/mixture.py")
    parser.add_argument("--processes", type=int, nargs="+", default=[1, 2], help="serving processes, one after another")
    parser.add_argument("--seconds", type=float, default=5.0, help="how long each cell is asked")
    parser.add_argument("--cache", type=Path, default=DEFAULT_CACHE, help="folder for corpora: 4.6 GB per million")
    parser.add_argument(
        "--library", type=Path, help="folder of a library that is kept for the next run (default: none)"
    )
    options = parser.parse_args(arguments)
    if options.scale < SMALLEST:
        parser.error(f"--scale from {SMALLEST} on")
    return options


def main(arguments: Sequence[str]) -> int:
    options = parsed(arguments)
    parts = set(options.only)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if "lag" in parts:
            writing.lag(folder / "lag", min(3_000, max(40, options.scale // 50)))
        if "resume" in parts:
            writing.resume(folder / "resume", min(20_000, max(200, options.scale // 10)))
        if parts & OF_A_LIBRARY:
            data = prepare(options.data, options.scale, options.cache)
            library.measure(data, options.library or folder / "library", parts, options.processes, options.seconds)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
