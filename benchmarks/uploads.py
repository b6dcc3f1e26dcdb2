"""How long does an upload take through HTTP, with 1, 8 and 32 clients at the same time?

A real service with the offline encoder; every client is a thread with a connection of its own. Uploads go on while the
worker encodes the ones before, as in real life.
"""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from benchmarks.common import distinct_photos, percentiles_ms, report
from pictograph.client import Client
from pictograph.errors import PictographError
from pictograph.services import running_database
from pictograph.settings import Settings

CLIENTS = (1, 8, 32)
UPLOADS = 200


def measure(clients: int, total: int, call: Callable[[int], object]) -> dict[str, float]:
    """Latency and throughput of `total` calls from `clients` threads."""
    elapsed: list[float] = []
    lock = threading.Lock()
    numbers = itertools.count()

    def work() -> None:
        while (number := next(numbers)) < total:
            started = time.perf_counter()
            call(number)
            with lock:
                elapsed.append(time.perf_counter() - started)

    started = time.perf_counter()
    with ThreadPoolExecutor(clients) as pool:
        for future in [pool.submit(work) for _ in range(clients)]:
            future.result()
    return percentiles_ms(elapsed) | {"per_s": round(total / (time.perf_counter() - started), 1)}


def run(client: Client) -> dict[str, Any]:
    files = distinct_photos(UPLOADS * len(CLIENTS))
    client.datasets.create("uploads")

    def upload(number: int) -> object:
        return client.images.upload("uploads", files[number], filename=f"{number}.jpg")

    return {
        "upload": {
            clients: measure(clients, UPLOADS, lambda number, first=turn * UPLOADS: upload(first + number))  # type: ignore[misc]
            for turn, clients in enumerate(CLIENTS)
        },
    }


@contextmanager
def served(settings: Settings, conninfo: str) -> Iterator[Client]:
    """A service in a process of its own, on a database that this process can look into."""
    command = [sys.executable, "-m", "pictograph", "serve", "--exit-with-parent", "--port", "0"]
    environment = settings.environment() | {"PICTOGRAPH_DATABASE_URL": conninfo, "PICTOGRAPH_LOG_LEVEL": "warning"}
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, env={**os.environ, **environment}
    ) as process:
        try:
            yield ready_client()
        finally:
            if process.stdin:
                process.stdin.close()
            process.wait()


def ready_client() -> Client:
    while True:
        time.sleep(0.1)
        with suppress(PictographError):
            client = Client(max_retries=0, timeout=60)
            if client.ready().workers:
                return client


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ["PICTOGRAPH_HOME"] = str(folder / "home")
        settings = Settings.load({"data_dir": folder / "data"}, {})
        with running_database(settings) as conninfo, served(settings, conninfo) as client:
            result = run(client)
    report("uploads through HTTP from 1, 8 and 32 clients", **result)


if __name__ == "__main__":
    main()
