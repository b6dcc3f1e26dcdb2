"""Questions to a library of vectors: rows at every scope, more processes, the first seconds, and memory."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import UUID

from benchmarks.common import descendants, report
from benchmarks.felt.asking import asking, full_speed_s, many_clients, times_ms, until_settled, usual_s
from benchmarks.felt.service import Service, fill, query_of, references, serving
from benchmarks.search.contestant import Answer
from benchmarks.search.data import SCOPES, Data, Question, recall

LIMITS = (50, 500)
CLIENTS = (1, 2, 8)
FEWEST = 20
BUSY_SCOPE = 1_000
KIB = 1024
PARTS = {"Pss_Anon": "anonymous", "Pss_File": "mapped", "Pss_Shmem": "shared"}

Ask = Callable[[Question], tuple[float, Answer]]


def measure(data: Data, folder: Path, parts: set[str], processes: list[int], seconds: float) -> None:
    """Prints a line for each question that is asked for."""
    images = filled(data, folder)
    everything = [query_of(question, images) for question in data.questions("mixed", None, LIMITS[0])]
    with serving(folder) as service:
        until_settled(service, everything[0], data.size)
        usual = usual_s(service, everything)
        if "memory" in parts:
            report("felt: memory by part, MiB, before questions", size=data.size, processes=1, **memory(service))
        if "rows" in parts:
            ask_over_http(data, images, service, seconds)
            report("felt: memory by part, MiB, after questions", size=data.size, processes=1, **memory(service))
    if "rows" in parts:
        ask_faiss(data, seconds)
    if "start" in parts:
        start(data, folder, everything, usual)
    if "processes" in parts:
        for count in processes:
            many(data, folder, images, count, seconds)


def filled(data: Data, folder: Path) -> dict[str, UUID]:
    """The library with the corpus in it, made unless it is there, and the images of its queries."""
    made = folder / f"{data.kind}-{data.size}"
    with serving(folder) as service:
        if not made.exists():
            per_s = fill(service, data)
            report("felt: import of vectors, rows/s", size=data.size, rows_per_s=round(per_s))
            made.touch()
        return references(service)


def scopes_of(data: Data) -> list[int | None]:
    return [*(scope for scope in SCOPES if scope >= BUSY_SCOPE and 2 * scope <= data.size), None]


def ask_over_http(data: Data, images: dict[str, UUID], service: Service, seconds: float) -> None:
    with asking(service.address, service.key) as asker:

        def ask(question: Question) -> tuple[float, Answer]:
            took, answer = asker.similar(query_of(question, images))
            rows = [int(row["filename"]) for row in answer["results"] if row["filename"].isdigit()]
            return took, Answer(rows, answer.get("exact"))

        ask_every_scope(data, "pictograph-http-raw", ask, seconds)


def ask_faiss(data: Data, seconds: float) -> None:
    """The peer: RaBitQ and a float16 refine, in the process that asks; no line where faiss is not installed."""
    try:
        from benchmarks.search.libraries import Faiss  # noqa: PLC0415

        peer = Faiss("RaBitQ,Refine(SQfp16)")
    except ImportError as error:
        report("felt: rows at a scope", asked="faiss-rabitq", unavailable=f"{error.name} is not installed")
        return
    peer.build(data)
    with peer.client() as search:

        def ask(question: Question) -> tuple[float, Answer]:
            started = time.perf_counter()
            answer = search(question)
            return time.perf_counter() - started, answer

        ask_every_scope(data, "faiss-rabitq", ask, seconds)


def ask_every_scope(data: Data, asked: str, ask: Ask, seconds: float) -> None:
    for scope, limit in itertools.product(scopes_of(data), LIMITS):
        questions = data.questions("mixed", scope, limit)
        truth = data.truth(questions)
        for question in questions[:5]:
            ask(question)
        answers: dict[int, Answer] = {}
        took: list[float] = []
        deadline = time.perf_counter() + seconds
        while time.perf_counter() < deadline or len(took) < FEWEST:
            number = len(took) % len(questions)
            elapsed, answers[number] = ask(questions[number])
            took.append(elapsed)
        report(
            "felt: rows at a scope",
            asked=asked,
            size=data.size,
            data=data.kind,
            scope=scope or "everything",
            limit=limit,
            **times_ms(took),
            recall=round(recall([answer.rows for answer in answers.values()], truth[list(answers)]), 4),
            questions=len(took),
            answers=len(answers),
        )


def start(data: Data, folder: Path, queries: list[dict[str, str | int]], usual: float) -> None:
    """After an orderly end, and after `kill -9` of everything."""
    for after in ("an orderly end", "kill -9 of everything"):
        with serving(folder) as service:
            if after != "an orderly end":
                until_settled(service, queries[0], data.size)
                service.kill_everything()
        with serving(folder) as service:
            full = full_speed_s(service, queries, usual)
            report(
                "felt: start to full speed",
                size=data.size,
                after=after,
                ready_s=round(service.ready_s, 2),
                full_speed_after_ready_s=None if full is None else round(full, 2),
                usual_p50_ms=round(usual * 1000, 2),
            )


def many(data: Data, folder: Path, images: dict[str, UUID], processes: int, seconds: float) -> None:
    """Questions a second by how many processes serve and how many ask."""
    queries = [query_of(question, images) for question in data.questions("mixed", BUSY_SCOPE, LIMITS[0])]
    everything = query_of(data.questions("mixed", None, LIMITS[0])[0], images)
    with serving(folder, processes=processes) as service:
        until_settled(service, everything, data.size)
        for clients in CLIENTS:
            report(
                "felt: questions/s",
                size=data.size,
                scope=BUSY_SCOPE,
                processes=processes,
                clients=clients,
                **many_clients(service, clients, queries, seconds),
            )
        report("felt: memory by part, MiB, after questions", size=data.size, processes=processes, **memory(service))


def memory(service: Service) -> dict[str, Any]:
    """MiB of each kind of process: anonymous, mapped from files, shared memory; each page counted once in all."""
    kinds: dict[str, dict[str, int]] = {}
    mine = [(service.process.pid, "python serve"), *descendants(service.process.pid)]
    for pid, command in mine:
        kind = kinds.setdefault(kind_of(command), dict.fromkeys(("processes", *PARTS.values()), 0))
        with suppress(OSError):
            lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
            kind["processes"] += 1
            for line in lines:
                name, _, rest = line.partition(":")
                if name in PARTS:
                    kind[PARTS[name]] += int(rest.split()[0])
    for kind in kinds.values():
        kind.update({part: kind[part] // KIB for part in PARTS.values()})
    return {"kinds": kinds, "all": {part: sum(kind[part] for kind in kinds.values()) for part in PARTS.values()}}


def kind_of(command: str) -> str:
    """What a process is, by its command line."""
    program, *words = command.split()
    if not Path(program).name.startswith("python"):
        return "postgres"
    names = {"serve-http": "serving", "serve": "server", "worker": "worker", "index": "index builder"}
    return next((kind for word, kind in names.items() if word in words), "guard and decoders")
