"""Pictograph: its search engine in this process, and the real service through HTTP, on its embedded PostgreSQL."""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from uuid import UUID

import httpx
import numpy as np

from benchmarks.common import descendants, memory_mb
from benchmarks.search.contestant import Answer, Search, anonymous_mb
from benchmarks.search.data import CHUNK, Data, Question
from pictograph.bulk.images import BulkImages, Halves, new_ids
from pictograph.bulk.load import bulk_load, make_folders
from pictograph.client import Client
from pictograph.client.config import resolve_config
from pictograph.db.pool import Connection, Database
from pictograph.encode.noop import SPEC
from pictograph.errors import PictographError
from pictograph.search.engine import SearchEngine
from pictograph.search.memory.index import WORTH_IT_FROM
from pictograph.search.query import SimilarQuery
from pictograph.services import Services, open_blobs, open_services, running_database
from pictograph.settings import Settings
from pictograph.spaces.registry import Spaces
from pictograph.store.datasets import Datasets
from pictograph.store.keys import Keys
from pictograph.types import DatasetId, ImageId, OrganizationId, SpaceId

QUERY_FOLDER = "/queries"
SETTLED = (b"VACUUM ANALYZE", b"CHECKPOINT")
"""Else autovacuum does it while the first questions are timed."""
INDEX_WITHIN_S = 1800
"""Making one for a million images takes minutes."""
IMAGES_IN_INDEX = re.compile(r"^pictograph_index_images (\S+)", re.MULTILINE)
DISK = """
SELECT sum(pg_total_relation_size(oid)) FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"""


def images_of(names: list[str], folder_ids: np.ndarray, vectors: Halves) -> BulkImages:
    """Rows that differ in what a search reads, and nowhere else."""
    count = len(names)
    digests = b"".join(hashlib.sha256(name.encode()).digest() for name in names)
    return BulkImages(
        ids=new_ids(count),
        folder_ids=folder_ids,
        filenames=names,
        sha256s=np.frombuffer(digests, np.uint8).reshape(count, 32),
        sizes_bytes=np.full(count, 200_000),
        widths_px=np.full(count, 1024),
        heights_px=np.full(count, 768),
        vectors=vectors,
    )


async def load(connection: Connection, space: SpaceId, dataset: DatasetId, data: Data) -> dict[str, ImageId]:
    """Corpus and queries, in folder order, and the image of each query by its name."""
    by_band = await make_folders(connection, dataset, data.folders)
    for start in range(0, data.size, CHUNK):
        stop = min(start + CHUNK, data.size)
        vectors = np.asarray(data.vectors[start:stop]).astype(np.float16)
        names = [str(row) for row in range(start, stop)]
        await bulk_load(connection, space, dataset, images_of(names, by_band[data.bands[start:stop]], vectors))
    names = [f"{kind}-{number}" for kind, vectors in data.queries.items() for number in range(len(vectors))]
    folder_ids = await make_folders(connection, dataset, [QUERY_FOLDER] * len(names))
    images = images_of(names, folder_ids, np.concatenate(list(data.queries.values())).astype(np.float16))
    await bulk_load(connection, space, dataset, images)
    for statement in SETTLED:
        await connection.execute(statement)
    return {name: ImageId(UUID(bytes=row.tobytes())) for name, row in zip(names, images.ids, strict=True)}


class Inside:
    """`SearchEngine.by_similarity` in this process: SQL and planning, no HTTP."""

    def __init__(self) -> None:
        self._exits = ExitStack()
        self._folder = Path(self._exits.enter_context(tempfile.TemporaryDirectory()))
        os.environ["PICTOGRAPH_HOME"] = str(self._folder / "home")
        self._settings = Settings.load({"data_dir": self._folder / "data", "encoder": SPEC.name, "workers": 0}, {})
        self._conninfo = self._exits.enter_context(running_database(self._settings))
        self._own_mb = anonymous_mb()
        self._references: dict[str, ImageId] = {}
        self._organization: OrganizationId | None = None
        self._running: tuple[asyncio.AbstractEventLoop, Services] | None = None
        self._indexed = 0
        """Images that the index has once it is built."""

    def build(self, data: Data) -> None:
        asyncio.run(self._build(data))
        images = data.size + len(self._references)
        self._indexed = images if images >= WORTH_IT_FROM else 0

    async def _build(self, data: Data) -> None:
        database = Database(self._conninfo, max_connections=2)
        await database.open()
        await open_blobs(self._settings, database)  # before there are images whose files nobody has
        space = (await Spaces(database).open(SPEC, SPEC.name)).id
        self._organization = await Keys(database).ensure_organization()
        dataset = (await Datasets(database).create(self._organization, "corpus")).id
        async with database.connection() as connection:
            self._references = await load(connection, space, dataset, data)
        await database.close()

    def parts(self) -> tuple[SearchEngine, OrganizationId, asyncio.AbstractEventLoop, dict[str, ImageId]]:
        """The engine, whose library it asks, the loop that it runs on, and the image of each query by its name."""
        loop, services = self._started()
        if self._organization is None:
            raise AssertionError("built before it is asked")
        return services.search, self._organization, loop, self._references

    @contextmanager
    def client(self) -> Iterator[Search]:
        loop, services = self._started()

        def search(question: Question) -> Answer:
            query = SimilarQuery(self._references[question.name], 0.0, question.limit, question.scope.path)
            asking = services.search.by_similarity(self._organization, query)  # type: ignore[arg-type]
            answer = asyncio.run_coroutine_threadsafe(asking, loop).result()
            return Answer([int(row.filename) for row in answer.rows], answer.found.exact)

        yield search

    def _started(self) -> tuple[asyncio.AbstractEventLoop, Services]:
        """The services that all clients share, on a thread of their own, once their index is built."""
        if self._running is None:
            ready: Future[tuple[asyncio.AbstractEventLoop, Services]] = Future()
            stop = asyncio.Event()
            thread = threading.Thread(target=lambda: asyncio.run(self._serve(ready, stop)), daemon=True)
            thread.start()
            self._running = ready.result()
            self._exits.callback(thread.join)
            self._exits.callback(self._running[0].call_soon_threadsafe, stop.set)
        return self._running

    async def _serve(self, ready: Future[tuple[asyncio.AbstractEventLoop, Services]], stop: asyncio.Event) -> None:
        async with open_services(self._settings, self._conninfo) as services:
            with self._child("index"):
                await self._await_index(services)
            ready.set_result((asyncio.get_running_loop(), services))
            await stop.wait()

    @contextmanager
    def _child(self, *command: str) -> Iterator[subprocess.Popen[bytes]]:
        """A process of the command, on this database and data folder; it ends with the block, or with us."""
        own = {"PICTOGRAPH_DATABASE_URL": self._conninfo, "PICTOGRAPH_LOG_LEVEL": "warning"}
        whole = [sys.executable, "-m", "pictograph", *command, "--exit-with-parent"]
        environment = {**os.environ, **self._settings.environment(), **own}
        with subprocess.Popen(whole, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, env=environment) as process:
            try:
                yield process
            finally:
                if process.stdin:
                    process.stdin.close()
                process.wait()

    async def _await_index(self, services: Services) -> None:
        """Until the index is built, and in these services' memory."""
        async with asyncio.timeout(INDEX_WITHIN_S):
            while services.index.status().rows < self._indexed:  # noqa: ASYNC110 - a thread opens it
                await asyncio.sleep(0.2)

    def memory_mb(self) -> int:
        """PostgreSQL's processes, shared memory counted once, and what this process grew by."""
        servers = sum(share_mb(pid) for pid, _ in descendants(os.getpid()))
        return servers + max(0, anonymous_mb() - self._own_mb)

    def disk_mb(self) -> int | None:
        return asyncio.run(self._disk_mb())

    async def _disk_mb(self) -> int:
        database = Database(self._conninfo, max_connections=1)
        await database.open()
        async with database.connection() as connection:
            row = await (await connection.execute(DISK.encode())).fetchone()
        await database.close()
        index = sum(file.stat().st_size for file in self._settings.index_folder.rglob("*") if file.is_file())
        return (int(row[0]) + index) >> 20 if row else 0

    def close(self) -> None:
        self._exits.close()


class OverHttp(Inside):
    """The service in a process of its own, as `pictograph serve` starts it; asked with the SDK."""

    def build(self, data: Data) -> None:
        super().build(data)
        self._exits.enter_context(self._served())

    @contextmanager
    def _served(self) -> Iterator[None]:
        with self._child("serve", "--port", "0") as process:
            while not answers(process):
                time.sleep(0.1)
            self._await_served_index()
            yield

    @contextmanager
    def client(self) -> Iterator[Search]:
        with Client(max_retries=0, timeout=120) as client:

            def search(question: Question) -> Answer:
                rows = client.search.by_similarity(
                    str(self._references[question.name]),
                    threshold=0,
                    limit=question.limit,
                    folder_path=question.scope.path,
                )
                return Answer([int(row.filename) for row in rows], getattr(rows, "exact", None))

            yield search

    def _await_served_index(self) -> None:
        """Until the index is built, and in the service's memory."""
        config, deadline = resolve_config(None, None, 120, 0), time.monotonic() + INDEX_WITHIN_S
        with httpx.Client(base_url=config.base_url, headers={"X-API-Key": config.api_key}) as client:
            while in_index(client.get("/metrics").raise_for_status().text) < self._indexed:
                if time.monotonic() > deadline:
                    raise SystemExit(f"The service has no whole index after {INDEX_WITHIN_S} s.")
                time.sleep(0.2)


class OverRawHttp(OverHttp):
    """The same, asked with httpx alone and the answer's JSON parsed: what is left is the service itself."""

    @contextmanager
    def client(self) -> Iterator[Search]:
        config = resolve_config(None, None, 120, 0)
        headers = {"X-API-Key": config.api_key}
        with httpx.Client(base_url=config.base_url, headers=headers, timeout=120) as client:

            def search(question: Question) -> Answer:
                values: dict[str, str | int] = {
                    "image_id": str(self._references[question.name]),
                    "threshold": 0,
                    "limit": question.limit,
                    "directory_path": question.scope.path,
                }
                answer = client.get("/api/v1/developer/search/similar", params=values).raise_for_status().json()
                return Answer([int(row["filename"]) for row in answer["results"]], answer.get("exact"))

            yield search


def answers(process: subprocess.Popen[bytes]) -> bool:
    if process.poll() is not None:
        raise SystemExit(f"pictograph serve ended with {process.returncode}")
    with suppress(PictographError), Client(max_retries=0, timeout=5) as client:
        return client.ready().status is not None
    return False


def in_index(metrics: str) -> int:
    """How many images the index has, as /metrics says."""
    found = IMAGES_IN_INDEX.search(metrics)
    return int(float(found[1])) if found else 0


def share_mb(pid: int) -> int:
    """PSS of a process; 0 once it is gone."""
    with suppress(OSError, StopIteration):
        return memory_mb(pid)
    return 0
