"""What the lines of `python -m benchmarks felt` are made of."""

from __future__ import annotations

import math

import numpy as np
import pytest
from benchmarks.felt.__main__ import PARTS, parsed
from benchmarks.felt.asking import times_ms
from benchmarks.felt.library import kind_of, scopes_of
from benchmarks.felt.service import QUERY_FOLDER, reader
from benchmarks.felt.writing import lag_summary
from benchmarks.search.data import Data, Scope

from pictograph.types import DIMENSION


def test_percentiles_are_of_all_times() -> None:
    assert times_ms([0.001 * number for number in range(101)]) == {
        "p50_ms": 50.0, "p95_ms": 95.0, "p99_ms": 99.0, "max_ms": 100.0,
    }  # fmt: skip
    assert times_ms([0.25])["p99_ms"] == 250.0


def test_lag_is_the_bound_below_which_so_many_looks_were() -> None:
    before = {0.001: 5.0, 0.01: 5.0, math.inf: 5.0}
    after = {0.001: 65.0, 0.01: 104.0, math.inf: 105.0}
    assert lag_summary(before, after) == {"p50_ms": 1.0, "p99_ms": 10.0, "max_ms": None, "looks": 100}


@pytest.mark.parametrize(
    ("command", "kind"),
    [
        ("/venv/bin/python -m pictograph serve --port 0", "server"),
        ("/venv/bin/python -m pictograph serve-http --listener 3", "serving"),
        ("/venv/bin/python -m pictograph worker --exit-with-parent", "worker"),
        ("/venv/bin/python -m pictograph index --data-dir /x", "index builder"),
        ("/venv/lib/python3.11/site-packages/postgresql/bin/postgres -D /x/data/postgres", "postgres"),
        ("postgres: autovacuum launcher", "postgres"),
        ("/venv/bin/python /src/pictograph/db/guard.py guard", "guard and decoders"),
    ],
)
def test_memory_is_told_by_what_a_process_is(command: str, kind: str) -> None:
    assert kind_of(command) == kind


def test_everything_is_measured_unless_some_of_it_is_named() -> None:
    assert tuple(parsed([]).only) == PARTS
    assert parsed(["--only", "rows"]).only == ["rows"]
    with pytest.raises(SystemExit):
        parsed(["--scale", "10"])


def test_corpus_and_queries_go_in_as_rows_with_their_folders(tmp_path: object) -> None:
    vectors = np.eye(3, DIMENSION, dtype=np.float32)
    whole = Scope("/corpus", 3, 0, (0, 1))
    data = Data(
        "clustered", vectors, np.array([0, 0, 1], np.int16), ("/corpus/a", "/corpus/b"), {whole.path: whole},
        {"mixed": vectors[:2]}, tmp_path,  # type: ignore[arg-type]
    )  # fmt: skip
    table = reader(data).read_all()
    assert table["folder_path"].to_pylist() == ["/corpus/a", "/corpus/a", "/corpus/b", QUERY_FOLDER, QUERY_FOLDER]
    assert table["filename"].to_pylist() == ["0", "1", "2", "mixed-0", "mixed-1"]
    assert np.array_equal(np.array(table["vector"].to_pylist())[:3], vectors)
    assert scopes_of(data) == [None]
