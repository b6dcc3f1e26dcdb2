"""What one feels while images come in: how late everybody else is answered, and how fast a stopped upload goes on."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx
import numpy as np
from PIL import Image
from prometheus_client.parser import text_string_to_metric_families

from benchmarks.common import distinct_photos, report
from benchmarks.felt.asking import asking, times_ms
from benchmarks.felt.service import Service, serving
from pictograph.wire import API_PREFIX

LAG = "pictograph_event_loop_lag_seconds"
ASK_EVERY_S = 0.02
NEW_SHARE = 100
"""Of the files of a resumed upload, one in so many is new."""
FILES_PER_FOLDER = 1_000


def lag(folder: Path, images: int) -> None:
    """A directory of photographs goes in, with the offline encoder; meanwhile somebody asks."""
    pictures = folder / "pictures"
    pictures.mkdir(parents=True)
    for number, photo in enumerate(distinct_photos(images)):
        (pictures / f"{number:06}.jpg").write_bytes(photo)
    with serving(folder, encoder="offline", workers=1) as service, service.client() as client:
        client.datasets.create("street")
        before = lag_buckets(service)
        paths = {
            "health": "/health",
            "by_tag": f"{API_PREFIX}/search/by-tags?{urlencode({'objects': 'dog', 'dataset_name': 'street'})}",
        }
        started = time.perf_counter()
        with asked_meanwhile(service, paths) as took:
            client.images.upload_from_directory("street", pictures)
            uploaded_s = time.perf_counter() - started
            client.datasets.wait_until_processed("street")
        elapsed = time.perf_counter() - started
        report(
            "felt: event loop lag during ingest",
            images=images,
            images_per_s=round(images / elapsed, 1),
            uploads_per_s=round(images / uploaded_s, 1),
            lag=lag_summary(before, lag_buckets(service)),
            meanwhile={name: times_ms(seconds) for name, seconds in took.items()},
        )


@contextmanager
def asked_meanwhile(service: Service, paths: dict[str, str]) -> Iterator[dict[str, list[float]]]:
    """While the block runs, one client for each path asks for it again and again; how long each answer took."""
    took: dict[str, list[float]] = {name: [] for name in paths}
    over = threading.Event()

    def ask(name: str, path: str) -> None:
        with asking(service.address, service.key) as asker:
            while not over.wait(ASK_EVERY_S):
                started = time.perf_counter()
                asker.get(path)
                took[name].append(time.perf_counter() - started)

    threads = [threading.Thread(target=ask, args=item) for item in paths.items()]
    for thread in threads:
        thread.start()
    try:
        yield took
    finally:
        over.set()
        for thread in threads:
            thread.join()


def lag_buckets(service: Service) -> dict[float, float]:
    """How often the loop was at most so many seconds late, since the service began."""
    text = httpx.get(f"{service.address}/metrics", timeout=60).text
    samples = (sample for family in text_string_to_metric_families(text) for sample in family.samples)
    return {float(one.labels["le"]): one.value for one in samples if one.name == f"{LAG}_bucket"}


def lag_summary(before: dict[float, float], after: dict[float, float]) -> dict[str, Any]:
    """Bounds of the metric's buckets, in ms: so late at most were half, 99 of 100, and all looks at the loop."""
    grown = {bound: after[bound] - before.get(bound, 0) for bound in sorted(after)}
    looks = max(grown.values())

    def bound_of(share: float) -> float | None:
        bound = next((bound for bound, count in grown.items() if count >= share * looks), float("inf"))
        return None if bound == float("inf") else bound * 1000

    return {"p50_ms": bound_of(0.5), "p99_ms": bound_of(0.99), "max_ms": bound_of(1.0), "looks": int(looks)}


def resume(folder: Path, files: int) -> None:
    """A directory of small pictures goes in; again, when all are there; and again with a few new ones."""
    pictures = folder / "pictures"
    write_small(pictures, range(files))
    with serving(folder) as service, service.client() as client:

        def uploaded() -> float:
            started = time.perf_counter()
            client.images.upload_from_directory("street", pictures)
            return time.perf_counter() - started

        first, again = uploaded(), uploaded()
        new = max(1, files // NEW_SHARE)
        write_small(pictures, range(files, files + new))
        with_new = uploaded()
    report(
        "felt: resume of an upload",
        files=files,
        first_s=round(first, 2),
        nothing_new_s=round(again, 2),
        new_files=new,
        few_new_s=round(with_new, 2),
        seen_per_s=round(files / again),
    )


def write_small(folder: Path, numbers: range) -> None:
    """Distinct pictures of 16 x 16, a thousand in a folder."""
    for number in numbers:
        path = folder / str(number // FILES_PER_FOLDER) / f"{number:08}.png"
        os.makedirs(path.parent, exist_ok=True)
        pixels = np.random.default_rng(number).integers(0, 256, (16, 16, 3), np.uint8)
        Image.fromarray(pixels).save(path)
