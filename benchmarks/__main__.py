"""Runs the benchmarks that are named, or all of them, each in a process of its own.

One that is run on request comes alone, and what stands behind its name are its own arguments.
"""

from __future__ import annotations

import subprocess
import sys

QUESTIONS = ("startup", "ingest", "queue", "latency", "uploads", "bulk")
ON_REQUEST = (
    "bulk_parts",
    "churn",
    "duplicates",
    "encoders",
    "examples",
    "felt",
    "calibration",
    "quality",
    "quantized",
    "queries",
    "relevance",
    "runtimes",
    "search",
    "tags",
)
"""Need more than the service does: torch, and minutes without a GPU; patience; a folder of labelled photographs;
gigabytes."""


def main(wanted: list[str]) -> int:
    if wanted[0] in ON_REQUEST:
        return run(wanted[0], wanted[1:])
    unknown = [name for name in wanted if name not in QUESTIONS]
    if unknown:
        print(
            f"There is no benchmark {', '.join(unknown)}. Choose from: {', '.join(QUESTIONS)}; or one alone, with "
            f"arguments of its own: {', '.join(ON_REQUEST)}.",
            file=sys.stderr,
        )
        return 2
    return max(run(name, []) for name in wanted)


def run(name: str, arguments: list[str]) -> int:
    command = [sys.executable, "-m", f"benchmarks.{name}", *arguments]
    return subprocess.run(command, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:] or list(QUESTIONS)))
