"""Runs the benchmarks that are named, or all of them, each in a process of its own."""

from __future__ import annotations

import subprocess
import sys

QUESTIONS = ("startup", "ingest", "queue", "latency")
ON_REQUEST = ("encoders", "landmarks")
"""Need more than the service does: torch, and minutes without a GPU."""


def main(wanted: list[str]) -> int:
    unknown = [name for name in wanted if name not in QUESTIONS + ON_REQUEST]
    if unknown:
        print(
            f"There is no benchmark {', '.join(unknown)}. Choose from: {', '.join(QUESTIONS + ON_REQUEST)}.",
            file=sys.stderr,
        )
        return 2
    codes = [subprocess.run([sys.executable, "-m", f"benchmarks.{name}"], check=False).returncode for name in wanted]
    return max(codes)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:] or list(QUESTIONS)))
