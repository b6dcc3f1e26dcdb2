"""The short page docs/benchmarks.md, and a folder with all tables, pictures and JSON lines of a run."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks.search.lines import Result, Run, read_lines

PAGE = Path(__file__).with_name("page.md")
"""The short page; names in braces are filled in."""
RESULTS = Path("benchmarks/results")
LINES = "search.jsonl"
TABLES = "search.md"
HNSW = ("pictograph", "pgvector", "pgvector-iterative", "faiss-hnsw", "hnswlib", "usearch")
SERVICE = ("pictograph", "pictograph-http-raw", "pictograph-http")
SHORT = ("pictograph-http-raw", "faiss-rabitq", "faiss-flat", "pgvector", "pgvector-iterative", "lancedb")
SHORT_SCOPES = (1_000, 20_000, 100_000, None)
"""What the short page shows of a run."""
MILLION = 1_000_000
EXACT: dict[float | None, str] = {1.0: " exact", 0.0: " approximate"}
"""What every answer of a cell said of itself; nothing where they differ, or said nothing."""


def write_report(lines: Path, results: Path | None, short_page: Path, note: str = "") -> None:
    """Writes the lines, all tables and the pictures into a folder, and the page that people read first.

    results: the folder; None is one for the day of the run, beside those of other runs.
    """
    run = read_lines(lines)
    results = results or RESULTS / run.dates[-1]
    results.mkdir(parents=True, exist_ok=True)
    if (results / LINES).resolve() != lines.resolve():
        shutil.copy(lines, results / LINES)
    (results / TABLES).write_text(tables(run, note, drawn(run, results)), encoding="utf-8")
    folder = Path(os.path.relpath(results, short_page.parent)).as_posix()
    short_page.parent.mkdir(parents=True, exist_ok=True)
    short_page.write_text(page(run, folder, note), encoding="utf-8")


def drawn(run: Run, folder: Path) -> list[str]:
    """Names of the pictures; none where matplotlib is not installed."""
    try:
        from benchmarks.search.plots import draw  # noqa: PLC0415
    except ImportError:
        print("matplotlib is not installed: the report has no pictures.", file=sys.stderr)
        return []
    return draw(run, folder)


def page(run: Run, results: str, note: str = "") -> str:
    """The short page as Markdown. results: where its folder lies, as seen from the page."""
    limit = min(run.values("limit"))
    short = [
        f"\n### {size:,} images, {data}\n\n"
        + by_scope(part, "mixed", limit, recall_and_p50, SHORT, columns=SHORT_SCOPES)
        for (data, size), part in parts(run).items()
    ]
    return PAGE.read_text(encoding="utf-8").format(
        tables_file=f"{results}/{TABLES}",
        lines=f"{results}/{LINES}",
        measured=measured(run, note),
        limit=limit,
        tables="\n".join(short) + "\n",
        unavailable=f"\nNot installed, and so not here: {', '.join(run.unavailable)}.\n" if run.unavailable else "",
    )


def tables(run: Run, note: str = "", pictures: Sequence[str] = ()) -> str:
    """Everything that was measured, as Markdown."""
    head = f"# `python -m benchmarks search`, all tables\n\n{measured(run, note)}\n"
    return head + "".join(section(part, data, size, pictures) for (data, size), part in parts(run).items())


def measured(run: Run, note: str) -> str:
    """Says when, where and beside what the run was measured."""
    marked = f"**{note}** " if note else ""
    return (
        f"{marked}Measured {' and '.join(run.dates)} at commit {', '.join(run.commits)} on {run.machine}; load average "
        f"while it ran {run.loads[0]} to {run.loads[1]}."
    )


def parts(run: Run) -> dict[tuple[str, int], Run]:
    """The run by corpus: kind of data and number of images."""
    corpora = dict.fromkeys((result.data, result.size) for result in run.results)
    return {(data, size): Run(run.of(data=data, size=size), (), (), (), "", (0, 0)) for data, size in corpora}


def section(part: Run, data: str, size: int, pictures: Sequence[str]) -> str:
    """One corpus."""
    limit = min(part.values("limit"))
    blocks = [
        f"## {size:,} images, {data}",
        *(f"![p50 and recall by scope]({name})" for name in pictures if name.startswith(f"{data}-{size}-")),
        f"### Recall and p50 by scope\n\n`mixed` questions, {limit} rows wanted, one client: recall, p50 in ms.",
        by_scope(part, "mixed", limit, recall_and_p50),
        filter_story(part, limit),
        *text_story(part, limit),
        *deep_story(part, limit),
        *service_story(part, limit),
        *clients_story(part, limit),
        f"### Build, memory, disk\n\nOf {size:,} images, and for a million in proportion.",
        cost_table(part),
    ]
    return "\n" + "\n\n".join(blocks) + "\n"


def by_scope(
    part: Run,
    kind: str,
    limit: int,
    shown: Callable[[Result], str],
    who: Sequence[str] = (),
    *,
    columns: Sequence[int | None] = (),
) -> str:
    """A table: a row for each contestant, a column for each scope. who, columns: only these, if any are named."""
    scopes = part.values("scope", kind=kind, limit=limit, clients=1)
    scopes = [scope for scope in scopes if not columns or scope in columns]
    rows = []
    for contestant in who or part.values("contestant"):
        cells = [part.one(contestant=contestant, kind=kind, scope=scope, limit=limit, clients=1) for scope in scopes]
        if any(cells):
            rows.append([contestant, *(shown(cell) if cell else "" for cell in cells)])
    return table(["", *(scope_name(scope) for scope in scopes)], rows)


def recall_and_p50(result: Result) -> str:
    """`0.983, 1.24`; `1.000 exact, 1.24` if the answers say so; `0.104, 1.24 (5 of 50 rows)` if rows are missing."""
    lacking = f" ({result.rows:g} of {result.rows_wanted} rows)" if result.rows < result.rows_wanted else ""
    return f"{result.recall:.3f}{EXACT.get(result.says_exact, '')}, {milliseconds(result.p50_ms)}{lacking}"


def filter_story(part: Run, limit: int) -> str:
    """What becomes of one HNSW behind a filter."""
    who = [name for name in HNSW if part.of(contestant=name)]
    blocks = [
        "### A filter behind one HNSW\n\nA graph over everything is walked first and filtered then. Where the scope is "
        "small, or far from the reference, most of what the walk meets is thrown away."
    ]
    worst = worst_filtered(part, limit)
    if worst:
        blocks.append(
            f"The worst of plain pgvector here: {worst.kind} questions to {scope_name(worst.scope)} came back with "
            f"{worst.rows:g} of {worst.rows_wanted} rows (recall {worst.recall:.3f})."
        )
    for kind in ("in", "out"):
        if part.of(kind=kind):
            blocks.append(f"`{kind}`: recall, p50 in ms.")
            blocks.append(by_scope(part, kind, limit, recall_and_p50, who))
    return "\n\n".join(blocks)


def worst_filtered(part: Run, limit: int) -> Result | None:
    found = [result for result in part.of(contestant="pgvector", limit=limit, clients=1) if result.scope]
    return min(found, key=lambda result: result.recall, default=None)


def text_story(part: Run, limit: int) -> list[str]:
    if not part.of(kind="text"):
        return []
    title = "### Questions of words\n\nFar from every picture, where graphs lose their way: recall, p50 in ms."
    return [title, by_scope(part, "text", limit, recall_and_p50)]


def deep_story(part: Run, limit: int) -> list[str]:
    deeper = [other for other in part.values("limit") if other > limit]
    return [
        block
        for other in deeper
        for block in (
            f"### {other} rows\n\n`mixed` questions: recall, p50 in ms.",
            by_scope(part, "mixed", other, recall_and_p50),
        )
    ]


def service_story(part: Run, limit: int) -> list[str]:
    """What HTTP and the SDK add to the search itself."""
    if not all(part.of(contestant=name) for name in SERVICE):
        return []
    title = "### What the service adds\n\nThe same question inside, through HTTP, and through the SDK: p50 in ms (p99)."
    shown = by_scope(part, "mixed", limit, lambda r: f"{milliseconds(r.p50_ms)} ({milliseconds(r.p99_ms)})", SERVICE)
    return [title, shown]


def clients_story(part: Run, limit: int) -> list[str]:
    numbers = sorted(part.values("clients"))
    if len(numbers) < 2:
        return []
    scopes = part.values("scope", kind="mixed", limit=limit, clients=numbers[-1])
    columns = [(scope, number) for scope in scopes for number in numbers]
    rows = []
    for contestant in part.values("contestant"):
        cells = [
            part.one(contestant=contestant, kind="mixed", scope=scope, limit=limit, clients=number)
            for scope, number in columns
        ]
        rows.append([contestant, *(f"{cell.qps:,.0f} ({milliseconds(cell.p99_ms)})" if cell else "" for cell in cells)])
    head = ["", *(f"{scope_name(scope)}, {number} client{'s' * (number > 1)}" for scope, number in columns)]
    title = "### Several clients\n\nQuestions a second (p99 in ms); clients are threads of one Python process."
    return [title, table(head, rows)]


def cost_table(part: Run) -> str:
    """Seconds to load and index, MiB of memory and disk; what a million would take if all grew alike."""
    rows = []
    for contestant in part.values("contestant"):
        result = part.of(contestant=contestant)[0]
        scale = MILLION / result.size / 1024
        disk = "none" if result.disk_mb is None else f"{result.disk_mb:,.0f}"
        disk_million = "" if result.disk_mb is None else f"{result.disk_mb * scale:.1f}"
        per_million = [f"{result.memory_mb * scale:.1f}", disk_million]
        rows.append([contestant, f"{result.build_s:,.1f}", f"{result.memory_mb:,.0f}", disk, *per_million])
    return table(["", "build s", "memory MiB", "disk MiB", "memory GiB / million", "disk GiB / million"], rows)


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] + ["---:"] * (len(head) - 1), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def scope_name(scope: int | None) -> str:
    return "everything" if scope is None else f"{scope:,}"


def milliseconds(value: float) -> str:
    """`0.12`, `1.24`, `12.4`, `124`."""
    digits = 2 if value < 10 else 1 if value < 100 else 0
    return f"{value:.{digits}f}"
