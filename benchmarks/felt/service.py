"""The real service on a folder of its own: started, filled through the door for vectors, killed, started again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np

from benchmarks.common import descendants
from benchmarks.search.data import CHUNK, Data, Question
from pictograph.client import Client
from pictograph.localconfig import read_config

DATASET = "corpus"
QUERY_FOLDER = "/queries"
ROWS_AT_A_TIME = 5_000


@dataclass(frozen=True)
class Service:
    """One that runs."""

    process: subprocess.Popen[str]
    address: str
    key: str
    ready_s: float
    """From the start of its process."""

    def client(self) -> Client:
        """The SDK, which fails at once."""
        return Client(self.key, base_url=self.address, max_retries=0, timeout=120)

    def kill_everything(self) -> None:
        """`kill -9` of all its processes at once, PostgreSQL's too."""
        for pid in [self.process.pid, *(pid for pid, _ in descendants(self.process.pid))]:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait()


@contextmanager
def serving(folder: Path, *, processes: int = 1, encoder: str = "noop", workers: int = 0) -> Iterator[Service]:
    """A service on this folder, which keeps what it holds for the next one.

    The number of processes goes by a variable: a version without the setting serves with one, and warns.
    """
    os.environ["PICTOGRAPH_HOME"] = str(folder / "home")
    command = [sys.executable, "-m", "pictograph", "serve", "--port", "0", "--exit-with-parent", "--encoder", encoder]
    own = {"PICTOGRAPH_HTTP_WORKERS": str(processes), "PICTOGRAPH_LOG_LEVEL": "warning"}
    started = time.perf_counter()
    with subprocess.Popen(
        [*command, "--workers", str(workers)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, **own},
        start_new_session=True,
    ) as process:
        try:
            address = announced(process)
            yield Service(process, address, str(read_config().api_key), time.perf_counter() - started)
        finally:
            if process.stdin:
                process.stdin.close()
            for _ in process.stdout or ():
                pass
            process.wait()


def announced(process: subprocess.Popen[str]) -> str:
    """The address, once requests are taken."""
    for line in process.stdout or ():
        if "Pictograph is ready at " in line:
            return line.split("Pictograph is ready at ")[1].split()[0]
    raise SystemExit(f"pictograph serve ended with {process.wait()}")


def fill(service: Service, data: Data) -> float:
    """Imports corpus and queries; how many rows a second."""
    started = time.perf_counter()
    with service.client() as client:
        rows = reader(data)
        report = client.datasets.import_vectors(DATASET, [rows], encoder=client.ready().fingerprint)
    return report.imported / (time.perf_counter() - started)


def reader(data: Data) -> Any:
    """A reader of pyarrow: rows of the corpus by number, in their folders, and the queries in one of their own."""
    import pyarrow as pa  # noqa: PLC0415 - the extra `vectors`

    schema = pa.schema(
        [
            ("folder_path", pa.string()),
            ("filename", pa.string()),
            ("vector", pa.list_(pa.float16(), data.vectors.shape[1])),
        ]
    )

    def batch(folders: Sequence[str], names: Sequence[str], vectors: np.ndarray) -> Any:
        flat = pa.array(np.ascontiguousarray(vectors, np.float16).ravel(), pa.float16())
        return pa.record_batch(
            [
                pa.array(folders),
                pa.array(names),
                pa.FixedSizeListArray.from_arrays(flat, vectors.shape[1]),
            ],
            schema=schema,
        )

    def batches() -> Iterator[Any]:
        for start in range(0, data.size, min(CHUNK, ROWS_AT_A_TIME)):
            stop = min(start + ROWS_AT_A_TIME, data.size)
            folders = [data.folders[band] for band in data.bands[start:stop]]
            yield batch(folders, [str(row) for row in range(start, stop)], np.asarray(data.vectors[start:stop]))
        for kind, vectors in data.queries.items():
            yield batch([QUERY_FOLDER] * len(vectors), [f"{kind}-{number}" for number in range(len(vectors))], vectors)

    return pa.RecordBatchReader.from_batches(schema, batches())


def references(service: Service) -> dict[str, UUID]:
    """The image of each query, by the query's name."""
    with service.client() as client:
        return {image.filename: UUID(image.id) for image in client.images.iterate(DATASET, folder_path=QUERY_FOLDER)}


def query_of(question: Question, images: dict[str, UUID]) -> dict[str, str | int]:
    """The question as the search route takes it."""
    return {
        "image_id": str(images[question.name]),
        "threshold": 0,
        "limit": question.limit,
        "directory_path": question.scope.path,
    }
