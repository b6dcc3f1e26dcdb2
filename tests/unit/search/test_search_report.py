"""The page that is drawn from JSON lines."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from benchmarks.search.lines import read_lines
from benchmarks.search.report import milliseconds, page, tables, write_report

from pictograph.errors import ConfigurationError

MACHINE = {"cpu": "Test CPU", "cores": 2, "load_1min": 1.5}


def line(contestant: str, scope: int | None, recall: float, p50_ms: float, **changes: Any) -> dict[str, Any]:
    return {
        "question": "search: recall and latency",
        "contestant": contestant,
        "data": "clustered",
        "size": 20_000,
        "kind": "mixed",
        "scope": scope,
        "limit": 50,
        "clients": 1,
        "recall": recall,
        "rows": 50,
        "rows_wanted": 50,
        "says_exact": None,
        "p50_ms": p50_ms,
        "p99_ms": 2 * p50_ms,
        "qps": 1000 / p50_ms,
        "questions": 100,
        "build_s": 2.0,
        "memory_mb": 200,
        "disk_mb": 100,
        "commit": "abc",
        "date": "2026-11-22",
        "machine": MACHINE,
        **changes,
    }


@pytest.fixture
def lines(tmp_path: Path) -> Path:
    path = tmp_path / "run.jsonl"
    entries = [
        line("pictograph", 1000, 1.0, 2.0),
        line("pictograph", None, 1.0, 20.0),
        line("pictograph", 1000, 1.0, 2.5, clients=8, qps=900.0),
        line("pictograph-http-raw", 1000, 1.0, 3.5),
        line("pictograph-http", 1000, 1.0, 4.25),
        line("pgvector", 1000, 0.1, 1.0, rows=5.2),
        line("pgvector", None, 0.95, 1.5),
        line("faiss-flat", 1000, 1.0, 0.5, disk_mb=None, machine=MACHINE | {"load_1min": 4.0}),
        {"question": "search: recall and latency", "contestant": "lancedb", "unavailable": "lancedb is not installed"},
    ]
    path.write_text("".join(json.dumps(entry) + "\n" for entry in entries))
    return path


def test_the_summary_has_a_row_for_each_contestant_and_says_which_rows_are_missing(lines: Path) -> None:
    rows = tables(read_lines(lines)).splitlines()
    assert "|  | 1,000 | everything |" in rows
    assert "| pictograph | 1.000, 2.00 | 1.000, 20.0 |" in rows
    assert "| pgvector | 0.100, 1.00 (5.2 of 50 rows) | 0.950, 1.50 |" in rows
    assert "| faiss-flat | 1.000, 0.50 |  |" in rows


def test_what_answers_say_of_themselves_stands_beside_their_recall(lines: Path) -> None:
    with lines.open("a") as file:
        for scope, said in ((10, 1.0), (100, 0.0), (10_000, 0.5)):
            file.write(json.dumps(line("pictograph", scope, 0.99, 1.0, says_exact=said)) + "\n")
    text = tables(read_lines(lines))
    assert "| 0.990 exact, 1.00 | 0.990 approximate, 1.00 | 1.000, 2.00 | 0.990, 1.00 | 1.000, 20.0 |" in text


def test_the_page_says_when_where_and_under_which_load_it_was_measured(lines: Path) -> None:
    text = page(read_lines(lines), "run", note="Provisional.")
    assert "**Provisional.** Measured 2026-11-22 at commit abc on Test CPU, 2 cores" in text
    assert "load average while it ran 1.5 to 4.0" in text
    assert "Not installed, and so not here: lancedb." in text
    assert "{" not in text


def test_the_page_tells_of_the_filter_the_service_the_clients_and_the_cost(lines: Path) -> None:
    text = tables(read_lines(lines))
    assert "mixed questions to 1,000 came back with 5.2 of 50 rows (recall 0.100)" in text
    assert "| pictograph-http | 4.25 (8.50) |" in text
    assert "| pictograph | 500 (4.00) | 900 (5.00) |" in text
    assert "| faiss-flat | 2.0 | 200 | none | 9.8 |  |" in text
    assert "| pgvector | 2.0 | 200 | 100 | 9.8 | 4.9 |" in text


def test_a_cell_measured_more_than_once_gives_the_median(lines: Path) -> None:
    with lines.open("a") as file:
        for p50_ms in (9.0, 4.0):
            file.write(json.dumps(line("pictograph", 1000, 1.0, p50_ms)) + "\n")
    assert read_lines(lines).of(contestant="pictograph", scope=1000, clients=1)[0].p50_ms == 4.0


def test_the_short_page_shows_few_scopes_and_who_is_no_neighbour_is_left_to_the_tables(lines: Path) -> None:
    with lines.open("a") as file:
        file.write(json.dumps(line("pictograph-http-raw", 5000, 1.0, 7.0)) + "\n")
        file.write(json.dumps(line("hnswlib", 1000, 1.0, 9.0)) + "\n")
    text = page(read_lines(lines), "run")
    assert "|  | 1,000 | everything |\n" in text
    assert "| pictograph-http-raw | 1.000, 3.50 |  |\n" in text
    assert "| hnswlib |" not in text


def test_the_report_keeps_its_lines_and_tables_apart_from_the_page_that_links_to_them(
    lines: Path, tmp_path: Path
) -> None:
    results, short_page = tmp_path / "benchmarks/results/2026-11-22", tmp_path / "docs/benchmarks.md"
    write_report(lines, results, short_page)
    assert (results / "search.jsonl").read_text() == lines.read_text()
    assert (results / "search.md").read_text().startswith("# ")
    for name in ("search.jsonl", "search.md"):
        assert f"](../benchmarks/results/2026-11-22/{name})" in short_page.read_text()
    assert sorted(path.name for path in short_page.parent.iterdir()) == ["benchmarks.md"]


@pytest.mark.parametrize("content", ["", "no JSON\n", '{"question": "another"}\n'])
def test_a_file_without_results_is_refused_with_a_reason(tmp_path: Path, content: str) -> None:
    path = tmp_path / "empty.jsonl"
    path.write_text(content)
    with pytest.raises(ConfigurationError, match=r"empty\.jsonl"):
        read_lines(path)


def test_milliseconds_have_about_three_digits() -> None:
    assert [milliseconds(value) for value in (0.123, 1.234, 12.34, 123.4)] == ["0.12", "1.23", "12.3", "123"]
