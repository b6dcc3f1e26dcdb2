"""How long until the service takes requests, and how much memory does it hold?

Cold: an empty data folder (initdb, schema, first key). Warm: the same folder again. Crash: after kill -9 of everything.
Ready means `/ready` says so; `first_image_found_s` is from an upload right then until it is found, networks loaded.
Memory is the proportional share (PSS) of each kind of process, at rest and after a few hundred images.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

from benchmarks.common import descendants, distinct_photos, median, memory_mb, report
from pictograph.client import Client
from pictograph.errors import PictographError

ROUNDS = 5
IMAGES = 300


def start() -> tuple[subprocess.Popen[bytes], float]:
    """A service on the folder that PICTOGRAPH_HOME names, and the seconds until it is ready."""
    started = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "pictograph", "serve", "--port", "0", "--log-level", "warning"],
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    )
    while not is_ready(process.pid):
        time.sleep(0.01)
    return process, time.perf_counter() - started


def is_ready(pid: int) -> bool:
    """True once this very process answers; the config file may still be the last one's."""
    with suppress(PictographError), Client(max_retries=0, timeout=5) as client:
        return client.ready().status == "ok" and bool(descendants(pid))
    return False


def stop(process: subprocess.Popen[bytes]) -> float:
    started = time.perf_counter()
    process.terminate()
    process.wait()
    return time.perf_counter() - started


def kill_everything(process: subprocess.Popen[bytes]) -> None:
    for pid in [process.pid, *(pid for pid, _ in descendants(process.pid))]:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    process.wait()


def first_image_s(data: bytes) -> float:
    """From an upload right after the start to the image being found."""
    started = time.perf_counter()
    with Client() as client:
        name = f"first {started}"
        client.datasets.create(name)
        client.images.upload(name, data, filename="first.jpg")
        client.datasets.wait_until_processed(name)
    return time.perf_counter() - started


def memory(pid: int) -> dict[str, int]:
    """MiB by kind of process."""
    kinds: dict[str, int] = {"server": memory_mb(pid), "worker": 0, "postgres": 0}
    for child, command in descendants(pid):
        kind = "worker" if " worker" in command and "postgres" not in command else "postgres"
        with suppress(OSError, StopIteration):
            kinds[kind] += memory_mb(child)
    return kinds | {"all": sum(kinds.values())}


def main() -> None:
    files = distinct_photos(IMAGES + 2 * ROUNDS)
    cold, warm, crash, stops, first = [], [], [], [], []
    at_rest = busy = {}
    for number in range(ROUNDS):
        with tempfile.TemporaryDirectory() as folder:
            os.environ["PICTOGRAPH_HOME"] = folder
            process, seconds = start()
            cold.append(seconds)
            first.append(first_image_s(files[number]))
            stops.append(stop(process))
            process, seconds = start()
            warm.append(seconds)
            if number == ROUNDS - 1:
                first_image_s(files[-1])
                at_rest = memory(process.pid)
                busy = memory_after_images(process.pid, files[ROUNDS : ROUNDS + IMAGES], Path(folder))
            kill_everything(process)
            process, seconds = start()
            crash.append(seconds)
            stop(process)
    report(
        "start-up time and memory",
        rounds=ROUNDS,
        cold_s=median(cold),
        warm_s=median(warm),
        after_kill_9_s=median(crash),
        stop_s=median(stops),
        first_image_found_s=median(first),
        memory_at_rest_mib=at_rest,
        images=IMAGES,
        memory_after_images_mib=busy,
    )


def memory_after_images(pid: int, files: list[bytes], folder: Path) -> dict[str, int]:
    pictures = folder / "pictures"
    pictures.mkdir()
    for number, data in enumerate(files):
        (pictures / f"{number}.jpg").write_bytes(data)
    with Client() as client:
        client.images.upload_from_directory("many", pictures)
        client.datasets.wait_until_processed("many")
    return memory(pid)


if __name__ == "__main__":
    main()
