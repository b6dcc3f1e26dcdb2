"""How long do a search and an upload take through HTTP, with 1, 8 and 32 clients at the same time?

A real service with the offline encoder; every client is a thread with a connection of its own. Searches are exact, so
their recall is 1 by construction; it is checked against numpy in the same run. Uploads go on while the worker encodes
the ones before, as in real life. `search_engine_ms` is the same search without HTTP, for the service's own share.
"""

from __future__ import annotations

import asyncio
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
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
import psycopg
from pgvector.psycopg import register_vector

from benchmarks.common import distinct_photos, percentiles_ms, report
from pictograph.client import Client
from pictograph.errors import PictographError
from pictograph.search.query import SimilarQuery
from pictograph.services import open_services, running_database
from pictograph.settings import Settings
from pictograph.types import ImageId

IMAGES = 1000
CLIENTS = (1, 8, 32)
SEARCHES = 400
UPLOADS = 200
LIMIT = 50
WARM_UPS = 20


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


def recall(client: Client, vectors: dict[str, np.ndarray], ids: list[str]) -> float:
    """Share of the true nearest images, by numpy over the stored vectors, that a search returns."""
    matrix = np.stack([vectors[image] for image in vectors]).astype(np.float32)
    matrix /= np.linalg.norm(matrix, axis=1, keepdims=True)
    names = list(vectors)
    found = wanted = 0
    for image in ids:
        cosines = matrix @ matrix[names.index(image)]
        order = [names[row] for row in np.argsort(-cosines) if names[row] != image][:LIMIT]
        rows = {row.image_id for row in client.search.by_similarity(image, threshold=0, limit=LIMIT, folder_path="/")}
        found += len(rows & set(order))
        wanted += len(order)
    return round(found / wanted, 4)


def stored_vectors(conninfo: str) -> dict[str, np.ndarray]:
    with psycopg.connect(conninfo) as connection:
        register_vector(connection)
        rows = connection.execute("SELECT image_id, vector FROM image_embedding").fetchall()
    return {str(image): vector.to_numpy() for image, vector in rows}


async def engine_ms(settings: Settings, conninfo: str, ids: list[str]) -> dict[str, float]:
    """The search itself: SQL and planning, no HTTP."""
    elapsed = []
    async with open_services(replace(settings, max_connections=1), conninfo) as services:
        organization = await services.keys.ensure_organization()
        for image in (ids * (SEARCHES // len(ids) + 1))[:SEARCHES]:
            query = SimilarQuery(ImageId(UUID(image)), 0.0, LIMIT, "/")
            started = time.perf_counter()
            await services.search.by_similarity(organization, query)
            elapsed.append(time.perf_counter() - started)
    return percentiles_ms(elapsed[WARM_UPS:])


def run(client: Client, settings: Settings, conninfo: str, folder: Path) -> dict[str, Any]:
    pictures = folder / "pictures"
    pictures.mkdir()
    files = distinct_photos(IMAGES + UPLOADS * len(CLIENTS))
    for number, data in enumerate(files[:IMAGES]):
        (pictures / f"{number}.jpg").write_bytes(data)
    client.images.upload_from_directory("bench", pictures)
    client.datasets.wait_until_processed("bench")
    ids = [image.id for image in client.images.iterate("bench")]
    references = ids[:: IMAGES // 40]
    common_tag = max(("animal", "car", "food"), key=lambda tag: len(client.search.by_tag(objects=[tag], limit=500)))

    def similar(number: int) -> object:
        return client.search.by_similarity(ids[number % len(ids)], threshold=0, limit=LIMIT, folder_path="/")

    def tagged(_number: int) -> object:
        return client.search.by_tag(objects=[common_tag], dataset_name="bench", limit=LIMIT)

    def upload(number: int) -> object:
        return client.images.upload("uploads", files[number], filename=f"{number}.jpg")

    for number in range(WARM_UPS):
        similar(number)
        tagged(number)
    client.datasets.create("uploads")
    return {
        "scope": len(ids),
        "limit": LIMIT,
        "recall": recall(client, stored_vectors(conninfo), references),
        "search_engine_ms": asyncio.run(engine_ms(settings, conninfo, references)),
        "by_similarity": {n: measure(n, SEARCHES, similar) for n in CLIENTS},
        "by_tag": {n: measure(n, SEARCHES, tagged) for n in CLIENTS},
        "upload": {
            clients: measure(clients, UPLOADS, lambda number, first=IMAGES + turn * UPLOADS: upload(first + number))  # type: ignore[misc]
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
            result = run(client, settings, conninfo, folder)
    report("latency through HTTP at 1, 8 and 32 clients", **result)


if __name__ == "__main__":
    main()
