"""An import that is killed, or whose service is killed, goes on when it is run again: nothing twice, nothing lost."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import psycopg
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from acceptance.processes import Place, Running, until
from pictograph.encode.noop import SPEC
from pictograph.types import DIMENSION
from pictograph.wire.vectors import FINGERPRINT

pytestmark = [pytest.mark.acceptance, pytest.mark.long]

ROWS = 4_000
IN_SMALL_REQUESTS = """
import sys
from pictograph.cli.main import run
from pictograph.client import vectors
vectors.ROWS_AT_ONCE = 100
sys.argv = ["pictograph", "import", sys.argv[1], "--dataset", "street", "--json"]
run()"""
COUNTS = """
SELECT (SELECT count(*) FROM image), (SELECT count(DISTINCT (folder_id, filename)) FROM image),
       (SELECT count(*) FROM image_embedding), (SELECT count(*) FROM encoding),
       (SELECT count(*) FROM blob WHERE NOT has_bytes)"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    random = np.random.default_rng(0).standard_normal((ROWS, DIMENSION), np.float32)
    vectors = (random / np.linalg.norm(random, axis=1, keepdims=True)).astype(np.float16)
    table = pa.table(
        {
            "filename": [f"{number}.jpg" for number in range(ROWS)],
            "folder_path": [f"/{number % 7}" for number in range(ROWS)],
            "vector": pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), DIMENSION),
        }
    ).replace_schema_metadata({FINGERPRINT: f"{SPEC.name}@{SPEC.revision}".encode()})
    path = tmp_path / "vectors.parquet"
    pq.write_table(table, path, use_dictionary=False)
    return path


def importing(place: Place, file: Path) -> Running:
    """The command, which has stored some rows on return, but not all."""
    command = place.start("-c", IN_SMALL_REQUESTS, str(file))
    with place.client() as client:
        until(lambda: command.ended or is_under_way(client), "some rows are stored")
    assert not command.ended, command.said
    return command


def is_under_way(client: Any) -> bool:
    return any(dataset.image_count for dataset in client.datasets.list())


def finished(place: Place, file: Path) -> dict[str, Any]:
    command = place.start("-c", IN_SMALL_REQUESTS, str(file))
    assert command.wait() == 0, command.said
    report: dict[str, Any] = json.loads(command.said[command.said.index("{") :])
    return report


def counts(place: Place) -> tuple[int, ...]:
    with psycopg.connect(place.conninfo) as connection:
        return connection.execute(COUNTS).fetchone() or ()


def test_a_killed_import_goes_on_when_it_is_run_again(place: Place, file: Path) -> None:
    place.serve_until_ready("--workers", "0")
    for _ in range(2):
        importing(place, file).send(signal.SIGKILL)
    report = finished(place, file)
    assert report["skipped"] > 0
    assert report["skipped"] + report["imported"] == ROWS
    assert counts(place) == (ROWS,) * 5


def test_after_a_power_cut_an_import_goes_on_when_it_is_run_again(place: Place, file: Path) -> None:
    place.serve_until_ready("--workers", "0")
    command = importing(place, file)
    command.send(signal.SIGKILL)
    place.kill_everything()
    place.serve_until_ready("--workers", "0")
    report = finished(place, file)
    assert report["skipped"] > 0
    assert report["skipped"] + report["imported"] == ROWS
    assert counts(place) == (ROWS,) * 5


def test_an_import_outlives_its_service(place: Place, file: Path) -> None:
    service = place.serve_until_ready("--workers", "0")
    port = str(urlsplit(service.address or "").port)
    command = importing(place, file)
    place.kill_everything()
    assert not command.ended, command.said
    place.serve_until_ready("--workers", "0", "--port", port)
    assert command.wait() == 0, command.said
    assert counts(place) == (ROWS,) * 5
