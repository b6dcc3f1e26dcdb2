"""What does a search take in the engine, through HTTP, and with the SDK: in turns, in one run?

The same questions are asked of the engine in this process, of a service through a bare socket, and of that service with
httpx and with the SDK, a few of each in turns, so that whatever else the machine does meets all of them. `cpu_ms` is
processor time of a request: in the service's own process, and in this one. `around` is HTTP less the engine: what the
service adds; its processor time says the same on a busy machine, where waiting for a core is most of p50. Then 1, 2 and
8 clients, each a process of its own. Every answer of `by_similarity` here is exact; that it has as many rows as were
asked for is checked.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import re
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AsyncExitStack, ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any, Final, TypeAlias
from urllib.parse import urlencode, urlsplit
from uuid import UUID, uuid4

import httpx
import numpy as np
import numpy.typing as npt
import psycopg
import pyarrow as pa
import uvloop

from benchmarks.common import median, percentiles_ms, report
from pictograph.client import Client
from pictograph.client.config import ClientConfig, resolve_config
from pictograph.encode.noop import SPEC
from pictograph.errors import PictographError
from pictograph.search.query import SimilarQuery, TagQuery
from pictograph.services import open_services, running_database
from pictograph.settings import Settings
from pictograph.tagging.taxonomy import load_taxonomy
from pictograph.types import DIMENSION, TAG_CATEGORIES, ImageId, OrganizationId, Tags
from pictograph.wire import API_PREFIX

SIZES: Final = (1_000, 5_000)
CLIENTS: Final = (1, 2, 8)
LIMIT: Final = 50
TAG: Final = "dog"
ROUNDS: Final = 25
AT_A_TIME: Final = 15
"""Requests of one kind before it is the next one's turn."""
SECONDS: Final = 3.0

Ask: TypeAlias = Callable[[int], int]
"""Asks the question of that number; how many rows came."""


@dataclass(frozen=True)
class Question:
    """One kind of question; its references differ."""

    name: str
    dataset: str
    references: Sequence[str] = ()
    """Images to search by; none asks for a tag."""

    def reference(self, number: int) -> str:
        return self.references[number % len(self.references)]

    def path(self, number: int) -> str:
        """Of the request."""
        if self.references:
            values = {"image_id": self.reference(number), "threshold": 0, "limit": LIMIT, "directory_path": "/"}
            return f"{API_PREFIX}/search/similar?{urlencode(values)}"
        return (
            f"{API_PREFIX}/search/by-tags?{urlencode({'objects': TAG, 'dataset_name': self.dataset, 'limit': LIMIT})}"
        )


@dataclass(frozen=True)
class Library:
    """What is asked, and where it is."""

    settings: Settings
    conninfo: str
    organization: OrganizationId
    questions: Sequence[Question]


@dataclass
class Measured:
    """What requests of one kind took."""

    seconds: list[float] = field(default_factory=list)
    service_cpu_ms: list[float] = field(default_factory=list)
    """Of a request, the mean of each turn."""
    own_cpu_ms: list[float] = field(default_factory=list)

    def summary(self) -> dict[str, float]:
        cpu = {"service_cpu_ms": median(self.service_cpu_ms), "own_cpu_ms": median(self.own_cpu_ms)}
        return percentiles_ms(self.seconds) | cpu


def random_vectors(count: int) -> npt.NDArray[np.float16]:
    """float16 (count, 1152), of length 1, in clusters."""
    random = np.random.default_rng(count)
    vectors = random.standard_normal((20, DIMENSION))[random.integers(0, 20, count)]
    vectors += random.standard_normal((count, DIMENSION))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors.astype(np.float16)


def random_tags(count: int) -> list[Tags]:
    """A handful for each image, as photographs have; every fourth carries TAG."""
    random, taxonomy = np.random.default_rng(1), load_taxonomy()
    names = {category: [name for name in taxonomy.names(category) if name != TAG] for category in TAG_CATEGORIES}
    made: list[Tags] = [
        {
            category: [str(name) for name in random.choice(names[category], 3, replace=False)]
            for category in TAG_CATEGORIES
        }
        for _ in range(count)
    ]
    for tags in made[::4]:
        tags["objects"].append(TAG)
    return made


def rows_of(count: int) -> Any:
    """A pyarrow Table with ids of ours, as `import_vectors` takes it."""
    tags = random_tags(count)
    columns: dict[str, Any] = {
        "id": [str(uuid4()) for _ in range(count)],
        "folder_path": ["/2026/holidays"] * count,
        "filename": [f"IMG_{number:06}.jpg" for number in range(count)],
        "vector": pa.FixedSizeListArray.from_arrays(pa.array(random_vectors(count).ravel()), DIMENSION),
    } | {category: [one[category] for one in tags] for category in TAG_CATEGORIES}
    return pa.table(columns)


def make_library(settings: Settings, conninfo: str) -> Library:
    """One dataset of each size, imported through the service, and the questions to ask."""
    questions = []
    with Client(timeout=60) as client:
        for size in SIZES:
            name, rows = f"images-{size}", rows_of(size)
            client.datasets.import_vectors(name, rows, encoder=client.ready().fingerprint)
            references = rows["id"].to_pylist()[:: size // 100]
            questions.append(Question(f"by_similarity in {size}", name, references))
        organization = OrganizationId(UUID(client.datasets.get(name).organization_id))
    questions.append(Question(f"by_tag in {SIZES[0]}", f"images-{SIZES[0]}"))
    with psycopg.connect(conninfo, autocommit=True) as connection:
        connection.execute("ANALYZE")
    return Library(settings, conninfo, organization, questions)


@contextmanager
def engine(library: Library, question: Question) -> Iterator[Ask]:
    """The search itself, in this process, on the event loop that the service has: SQL and planning, no HTTP."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        exits = AsyncExitStack()
        opening = open_services(replace(library.settings, max_connections=1), library.conninfo)
        services = runner.run(exits.enter_async_context(opening))

        async def search(number: int) -> int:
            if question.references:
                query = SimilarQuery(ImageId(UUID(question.reference(number))), 0.0, LIMIT, "/")
                return len((await services.search.by_similarity(library.organization, query)).rows)
            wanted = TagQuery(objects=[TAG], dataset=question.dataset, limit=LIMIT)
            return len((await services.search.by_tag(library.organization, wanted)).rows)

        yield lambda number: runner.run(search(number))
        runner.run(exits.aclose())


@contextmanager
def http(_: Library, question: Question) -> Iterator[Ask]:
    """A bare socket that stays open: as little as a client can do."""
    config = configured()
    address = urlsplit(config.base_url)
    with socket.create_connection((address.hostname, address.port or 80)) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

        def ask(number: int) -> int:
            path = question.path(number)
            head = f"GET {path} HTTP/1.1\r\nHost: {address.netloc}\r\nX-API-Key: {config.api_key}\r\n\r\n"
            connection.sendall(head.encode())
            return answered(connection).count(b'"image_id"')

        yield ask


def answered(connection: socket.socket) -> bytes:
    """The body of a 200 that tells its length."""
    received = connection.recv(1 << 20)
    while b"\r\n\r\n" not in received:
        received += connection.recv(1 << 20)
    head, _, body = received.partition(b"\r\n\r\n")
    length = re.search(rb"content-length: (\d+)", head)
    if not head.startswith(b"HTTP/1.1 200") or not length:
        raise SystemExit(f"The service answered {head.decode()}")
    while len(body) < int(length[1]):
        body += connection.recv(1 << 20)
    return body


@contextmanager
def bare_httpx(_: Library, question: Question) -> Iterator[Ask]:
    """The library under the SDK, and nothing of the answer read: what the SDK cannot be faster than."""
    config = configured()
    with httpx.Client(base_url=config.base_url, headers={"X-API-Key": config.api_key}) as client:
        yield lambda number: client.get(question.path(number)).raise_for_status().content.count(b'"image_id"')


@contextmanager
def sdk(_: Library, question: Question) -> Iterator[Ask]:
    """`Client`, as people use it."""
    with Client(max_retries=0, timeout=60) as client:

        def ask(number: int) -> int:
            if question.references:
                reference = question.reference(number)
                return len(client.search.by_similarity(reference, threshold=0, limit=LIMIT, folder_path="/"))
            return len(client.search.by_tag(objects=[TAG], dataset_name=question.dataset, limit=LIMIT))

        yield ask


FACES: Final = {"engine": engine, "http": http, "httpx": bare_httpx, "sdk": sdk}


def configured() -> ClientConfig:
    return resolve_config(None, None, 60, 0)


def thread_cpu_ms(pid: int) -> float:
    """Processor time of a process and its threads, to the nanosecond where the kernel tells."""
    spent = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        with suppress(OSError):
            spent += int((task / "schedstat").read_text().split()[0])
    return spent / 1e6


def in_turns(library: Library, question: Question, service: int) -> dict[str, Any]:
    """One question by every face, a few requests each, round after round."""
    measured = {name: Measured() for name in FACES}
    with ExitStack() as exits:
        asks = {name: exits.enter_context(face(library, question)) for name, face in FACES.items()}
        for ask in asks.values():
            for number in range(AT_A_TIME):
                require_rows(ask(number))
        for turn in range(ROUNDS):
            for name, ask in asks.items():
                take_turn(ask, turn * AT_A_TIME, measured[name], service)
    rows = {name: kind.summary() for name, kind in measured.items()}
    around = {
        "p50_ms": round(rows["http"]["p50_ms"] - rows["engine"]["p50_ms"], 2),
        "sdk_p50_ms": round(rows["sdk"]["p50_ms"] - rows["engine"]["p50_ms"], 2),
        "service_cpu_ms": round(rows["http"]["service_cpu_ms"] - rows["engine"]["own_cpu_ms"], 3),
    }
    return rows | {"around": around}


def take_turn(ask: Ask, first: int, measured: Measured, service: int) -> None:
    before, own_before = thread_cpu_ms(service), time.process_time()
    for number in range(first, first + AT_A_TIME):
        started = time.perf_counter()
        rows = ask(number)
        measured.seconds.append(time.perf_counter() - started)
        require_rows(rows)
    measured.own_cpu_ms.append((time.process_time() - own_before) * 1000 / AT_A_TIME)
    measured.service_cpu_ms.append((thread_cpu_ms(service) - before) / AT_A_TIME)


def require_rows(rows: int) -> None:
    if rows != LIMIT:
        raise SystemExit(f"{LIMIT} rows were asked for, {rows} came.")


def many_clients(face: str, clients: int, library: Library, question: Question, service: int) -> dict[str, float]:
    """So many processes ask as fast as they can."""
    context = multiprocessing.get_context("spawn")
    barrier: Barrier = context.Barrier(clients + 1)
    answers: multiprocessing.Queue[list[float]] = context.Queue()
    processes = [
        context.Process(target=one_client, args=(face, library, question, barrier, answers)) for _ in range(clients)
    ]
    for process in processes:
        process.start()
    barrier.wait()
    before, started = thread_cpu_ms(service), time.perf_counter()
    seconds = [second for _ in processes for second in answers.get()]
    per_s = len(seconds) / (time.perf_counter() - started)
    service_cpu_ms = (thread_cpu_ms(service) - before) / len(seconds)
    for process in processes:
        process.join()
    return percentiles_ms(seconds) | {"per_s": round(per_s, 1), "service_cpu_ms": round(service_cpu_ms, 3)}


def one_client(
    face: str, library: Library, question: Question, barrier: Barrier, answers: multiprocessing.Queue[list[float]]
) -> None:
    with FACES[face](library, question) as ask:
        for number in range(AT_A_TIME):
            ask(number)
        barrier.wait()
        deadline = time.perf_counter() + SECONDS
        seconds: list[float] = []
        while (started := time.perf_counter()) < deadline:
            require_rows(ask(len(seconds)))
            seconds.append(time.perf_counter() - started)
    answers.put(seconds)


@contextmanager
def served(settings: Settings, conninfo: str) -> Iterator[int]:
    """A service in a process of its own, on a database that this process can look into; its pid."""
    command = [sys.executable, "-m", "pictograph", "serve", "--exit-with-parent", "--port", "0"]
    own = {"PICTOGRAPH_DATABASE_URL": conninfo, "PICTOGRAPH_LOG_LEVEL": "warning"}
    environment = {**os.environ, **settings.environment(), **own}
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, env=environment) as process:
        try:
            while not answers_now():
                if process.poll() is not None:
                    raise SystemExit(f"pictograph serve ended with {process.returncode}")
                time.sleep(0.1)
            yield process.pid
        finally:
            if process.stdin:
                process.stdin.close()
            process.wait()


def answers_now() -> bool:
    with suppress(PictographError), Client(max_retries=0, timeout=5) as client:
        return client.ready().status is not None
    return False


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ["PICTOGRAPH_HOME"] = str(folder / "home")
        settings = Settings.load({"data_dir": folder / "data", "encoder": SPEC.name, "workers": 0}, {})
        with running_database(settings) as conninfo, served(settings, conninfo) as service:
            library = make_library(settings, conninfo)
            for question in library.questions:
                report(f"latency of {question.name}", limit=LIMIT, **in_turns(library, question, service))
            busy = library.questions[0]
            for face in ("engine", "http", "sdk"):
                rows = {n: many_clients(face, n, library, busy, service) for n in CLIENTS}
                report(f"clients that ask {busy.name}, each a process", face=face, clients=rows)


if __name__ == "__main__":
    main()
