"""One contestant, in this process: builds it, asks every cell of the plan, prints a JSON line for each."""

from __future__ import annotations

import itertools
import statistics
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from typing import Any

from benchmarks.common import percentiles_ms, report
from benchmarks.search.contestant import Answer, Contestant, Search
from benchmarks.search.data import Data, Question, recall
from benchmarks.search.libraries import Faiss, Hnswlib, Lancedb, Usearch
from benchmarks.search.plain_pgvector import Pgvector
from benchmarks.search.service import Inside, OverHttp, OverRawHttp

QUESTION = "search: recall and latency"
CONTESTANTS: dict[str, Callable[[], Contestant]] = {
    "pictograph": Inside,
    "pictograph-http": OverHttp,
    "pictograph-http-raw": OverRawHttp,
    "pgvector": lambda: Pgvector("off"),
    "pgvector-iterative": lambda: Pgvector("relaxed_order"),
    "faiss-flat": lambda: Faiss("Flat"),
    "faiss-hnsw": lambda: Faiss("HNSW16,Flat"),
    "faiss-rabitq": lambda: Faiss("RaBitQ,Refine(SQfp16)"),
    "usearch": Usearch,
    "hnswlib": Hnswlib,
    "lancedb": Lancedb,
}
FEWEST = 10
"""Questions a cell asks however slow they are: p99 is then the slowest."""


@dataclass(frozen=True)
class Cell:
    """What one line tells of."""

    kind: str
    """How the reference lies to the scope: mixed, in, out or text."""
    scope: int | None
    """Images in the folder; None is all of them."""
    limit: int
    clients: int


def plan(scopes: Sequence[int], kinds: Sequence[str], limits: Sequence[int], clients: Sequence[int]) -> list[Cell]:
    """The cells: every scope and kind at the first limit with one client; then more limits, then more clients.

    Content folders hold whole clusters; "everything" is no folder, so `in` and `out` do not ask it.
    """
    everything = [
        (kind, scope) for scope in (*scopes, None) for kind in kinds if scope is not None or kind in ("mixed", "text")
    ]
    cells = [Cell(kind, scope, limits[0], 1) for kind, scope in everything]
    cells += [Cell(kind, scope, limit, 1) for limit in limits[1:] for kind, scope in everything if kind != "in"]
    busy = [scope for scope in (1_000, None) if scope is None or scope in scopes]
    cells += [Cell("mixed", scope, limits[0], number) for number in clients if number > 1 for scope in busy]
    return cells


def run(name: str, data: Data, cells: Sequence[Cell], seconds: float) -> None:
    """Prints the lines of one contestant, an `unavailable` line if it is not installed."""
    try:
        contestant = CONTESTANTS[name]()
    except ImportError as error:
        report(QUESTION, contestant=name, unavailable=f"{error.name} is not installed")
        return
    try:
        started = time.perf_counter()
        contestant.build(data)
        build_s = round(time.perf_counter() - started, 2)
        with contestant.client() as search:
            search(data.questions("mixed", None, 1)[0])  # has seen everything once, as in use
            facts = {"build_s": build_s, "memory_mb": contestant.memory_mb(), "disk_mb": contestant.disk_mb()}
        for cell in cells:
            questions = data.questions(cell.kind, cell.scope, cell.limit)
            truth = data.truth(questions)
            result = measured(contestant, questions, truth, cell.clients, seconds)
            corpus = {"contestant": name, "data": data.kind, "size": data.size}
            report(QUESTION, **corpus, **asdict(cell), **result, **facts)
    finally:
        contestant.close()


def measured(
    contestant: Contestant, questions: Sequence[Question], truth: Any, clients: int, seconds: float
) -> dict[str, Any]:
    """Each question once, or as many as fit in the time; then on and on until the time is over."""
    answers: dict[int, Answer] = {}
    times: list[float] = []
    lock = threading.Lock()
    with ExitStack() as exits:
        searches = [exits.enter_context(client) for client in (contestant.client() for _ in range(clients))]
        for number, search in enumerate(searches):
            search(questions[number % len(questions)])  # plans, caches, connections
        numbers = itertools.count()
        started = time.perf_counter()

        def ask(search: Search) -> None:
            for number in until(numbers, started + seconds):
                before = time.perf_counter()
                answer = search(questions[number % len(questions)])
                elapsed = time.perf_counter() - before
                with lock:
                    times.append(elapsed)
                    answers.setdefault(number % len(questions), answer)

        threads = [threading.Thread(target=ask, args=(search,)) for search in searches]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        elapsed = time.perf_counter() - started
    asked = sorted(answers)
    return {
        "recall": round(recall([answers[number].rows for number in asked], truth[asked]), 4),
        "rows": round(statistics.mean(len(answers[number].rows) for number in asked), 1),
        "rows_wanted": truth.shape[1],
        "says_exact": share([answers[number].exact for number in asked]),
        **percentiles_ms(times),
        "qps": round(len(times) / elapsed, 1),
        "questions": len(asked),
    }


def until(numbers: Iterator[int], deadline: float) -> Iterator[int]:
    for number in numbers:
        if number >= FEWEST and time.perf_counter() > deadline:
            return
        yield number


def share(said: Sequence[bool | None]) -> float | None:
    """How many of the answers say that they are exact; None if none says anything."""
    given = [bool(value) for value in said if value is not None]
    return round(statistics.mean(given), 3) if given else None
