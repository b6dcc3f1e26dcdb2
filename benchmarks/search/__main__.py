"""Measures, or draws what was measured.

python -m benchmarks search --sizes 20000 100000 --lines search.jsonl          every contestant that is installed
python -m benchmarks search --sizes 20000 --peers pictograph pgvector --data clustered manifold
python -m benchmarks search --report search.jsonl    docs/benchmarks.md, and the whole run in benchmarks/results/DATE

Peers: pip install faiss-cpu usearch hnswlib lancedb; pictures: pip install matplotlib.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks.search.data import SCOPES, prepare
from benchmarks.search.measure import CONTESTANTS, plan, run
from benchmarks.search.mixture import SOURCES
from pictograph.errors import PictographError

KINDS = ("mixed", "in", "out", "text")
DEFAULT_CACHE = Path(tempfile.gettempdir()) / "pictograph-benchmarks"


def parsed(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks search", description="Recall and latency, side by side."
    )
    parser.add_argument("--sizes", type=int, nargs="+", default=[20_000, 100_000], help="images in the corpus")
    parser.add_argument("--data", nargs="+", choices=SOURCES, default=["clustered"], help="see mixture.py")
    parser.add_argument("--peers", nargs="+", choices=CONTESTANTS, default=list(CONTESTANTS), help="who takes part")
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=KINDS, help="how references lie to their scope")
    parser.add_argument("--limits", type=int, nargs="+", default=[50, 500], help="rows asked for, 1 to 500")
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 2, 8], help="at the same time")
    parser.add_argument("--seconds", type=float, default=2.0, help="how long each cell is asked")
    parser.add_argument("--rounds", type=int, default=1, help="everybody again, after everybody else; builds included")
    parser.add_argument("--cache", type=Path, default=DEFAULT_CACHE, help="folder for corpora: 4.6 GB per million")
    parser.add_argument("--lines", type=Path, help="also append the JSON lines to this file")
    parser.add_argument("--report", type=Path, metavar="LINES", help="measure nothing; draw these JSON lines")
    parser.add_argument("--results", type=Path, help="folder of all tables and pictures (benchmarks/results/DATE)")
    parser.add_argument("--page", type=Path, default=Path("docs/benchmarks.md"), help="the page with the short tables")
    parser.add_argument("--note", default="", help="a sentence for the head of the report")
    parser.add_argument("--only-here", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if min(options.sizes) < 2 * SCOPES[0] or not 1 <= min(options.limits) <= max(options.limits) <= 500:
        parser.error(f"--sizes from {2 * SCOPES[0]} on, --limits from 1 to 500")
    return options


def main(arguments: Sequence[str]) -> int:
    options = parsed(arguments)
    if options.report:
        from benchmarks.search.report import write_report  # noqa: PLC0415

        try:
            write_report(options.report, options.results, options.page, options.note)
        except PictographError as error:
            print(error, file=sys.stderr)
            return 2
        return 0
    if options.only_here:
        data = prepare(options.data[0], options.sizes[0], options.cache)
        sizes = [scope for scope in SCOPES if 2 * scope <= data.size]
        kinds = [kind for kind in options.kinds if data.kind == "clustered" or kind in ("mixed", "text")]
        run(options.peers[0], data, plan(sizes, kinds, options.limits, options.clients), options.seconds)
        return 0
    corpora = [(kind, size) for size in options.sizes for kind in options.data]
    turns = [(kind, size, peer) for kind, size in corpora for _ in range(options.rounds) for peer in options.peers]
    return max(abs(in_own_process(arguments, *turn, options.lines)) for turn in turns)


def in_own_process(arguments: Sequence[str], kind: str, size: int, peer: str, lines: Path | None) -> int:
    """One contestant on one corpus; its memory is its own, and its end is nobody else's."""
    command = [sys.executable, "-m", "benchmarks.search", *arguments, "--only-here"]
    command += ["--data", kind, "--sizes", str(size), "--peers", peer]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ}) as process:
        for line in process.stdout or ():
            print(line, end="", flush=True)
            if lines:
                with lines.open("a") as file:
                    file.write(line)
    return process.returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
