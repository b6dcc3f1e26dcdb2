"""How much must a search by the quantized index look at, so that nothing is missed, and from how many images on is it
worth the detour?

    python -m benchmarks quantized [ROWS ...]    default: 100000; a million take 8 GB of disk and some minutes

The data and the questions of `python -m benchmarks search`, written as segments into a temporary folder, mapped, and
asked on one thread, without a database. One JSON line each for: what it takes to build and to open them; which share of
the true nearest 50 and 500 the coarse codes have among their first so many; which share the fine codes have, once all
of the nearest are on the shortlist; the rows of a search of everything; and exact beside quantized by the size of the
folder, which says where `search/planner.py` has to change from one to the other. Milliseconds are of the processor,
which other work disturbs less than the clock.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, TypeAlias
from uuid import UUID

import faiss
import numpy as np
import numpy.typing as npt

from benchmarks.common import median, report
from benchmarks.search.__main__ import DEFAULT_CACHE
from benchmarks.search.data import Data, prepare
from benchmarks.search.mixture import SOURCES, Vectors
from pictograph.search.filter import Place
from pictograph.search.found import PlanName
from pictograph.search.memory.arrays import Bytes
from pictograph.search.memory.masks import RowMask, count_of
from pictograph.search.memory.quantiser import Kind, Quantiser
from pictograph.search.memory.segment import UNKNOWN_TIME, Block, Facts, Ragged
from pictograph.search.memory.segment import Vectors as SpaceVectors
from pictograph.search.memory.segment_files import SegmentWriter, open_segment
from pictograph.search.memory.view import View, coarse_rows, over_fetch, shortlist
from pictograph.types import DatasetId, SpaceId

KINDS: Final[dict[Kind, str]] = {"image": "mixed", "text": "text"}
PLANS: Final[tuple[PlanName, ...]] = ("exact", "quantized")
LIMITS: Final = (50, 500)
COARSE_AMONG: Final = (100, 200, 400, 800, 1600, 4000, 13_000)
FINE_AMONG: Final = (50, 75, 100, 125, 150, 500, 600, 800, 1050)
FINE_OF: Final = 2000
SAMPLE: Final = 5000
SEGMENT: Final = 131_072
"""Rows; the builder's segments of a large library are as long."""
CHUNK: Final = 16_384
TIMED: Final = 20
SPACE: Final = SpaceId(1)
DATASET: Final = DatasetId(UUID(int=7 << 64))
SPREAD: Final = 0x9E3779B97F4A7C15
Rows: TypeAlias = npt.NDArray[np.int64]
Search: TypeAlias = Callable[[Vectors], Rows]
"""A query, float32 (1152,); gives rows of the corpus, best first."""


def main(sizes: Sequence[int]) -> None:
    faiss.omp_set_num_threads(1)
    for rows in sizes:
        for source in SOURCES:
            data = prepare(source, rows, DEFAULT_CACHE)
            with tempfile.TemporaryDirectory() as folder:
                measure(data, built(data, Path(folder)))


def measure(data: Data, view: View) -> None:
    everything = view.place(Place([DATASET]), None)
    coarse(data, view, everything)
    fine(data, view, everything)
    whole(data, view, everything)
    by_folder(data, view)


# The index of a corpus.


def built(data: Data, folder: Path) -> View:
    """Segments of the whole corpus, an image's row being the end of its id."""
    step = max(1, data.size // SAMPLE)
    started = time.process_time()
    quantiser = Quantiser.fitted(np.asarray(data.vectors[::step][:SAMPLE]))
    for start in range(0, data.size, SEGMENT):
        writer = SegmentWriter(folder / str(start), {SPACE: quantiser})
        for at in range(start, min(start + SEGMENT, data.size), CHUNK):
            writer.add(block_of(data, slice(at, min(at + CHUNK, start + SEGMENT, data.size)), quantiser))
        writer.finish()
    build_s = time.process_time() - started
    started = time.perf_counter()
    segments = [open_segment(folder / str(start), [SPACE]) for start in range(0, data.size, SEGMENT)]
    view = View.of(segments, [np.zeros(len(segment), bool) for segment in segments], {SPACE: quantiser}, 1, "")
    open_ms = (time.perf_counter() - started) * 1000
    size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    report(
        "quantized: building and opening", data=data.kind, rows=data.size, segments=len(segments),
        build_s=round(build_s, 1), open_ms=round(open_ms, 1), bytes=round(size / data.size),
    )  # fmt: skip
    return view


def block_of(data: Data, part: slice, quantiser: Quantiser) -> Block:
    """Some rows of the corpus, in the order that they have in a segment: by folder, then by time."""
    rows = np.arange(part.start, part.stop)
    count = len(rows)
    vectors = np.asarray(data.vectors[part]).astype(np.float16)
    coded = quantiser.codes(vectors.astype(np.float32))
    facts = Facts(
        ids=ids_of(rows),
        dataset=np.tile(np.frombuffer(DATASET.bytes, np.uint8), (count, 1)),
        folder=data.bands[part].astype(np.int64),
        created=rows * 1_000_000,
        width=np.full(count, 1024, np.int32),
        height=np.full(count, 768, np.int32),
        file_size=np.full(count, 200_000, np.int64),
        format=np.zeros(count, np.uint16),
        state=np.zeros(count, np.uint8),
        archived=np.zeros(count, bool),
        taken=np.full(count, UNKNOWN_TIME, np.int64),
        camera=np.zeros(count, np.uint32),
        sharpness=np.zeros(count, np.float32),
        brightness=np.zeros(count, np.float32),
        contrast=np.zeros(count, np.float32),
        average_color=np.zeros(count, np.int32),
        perceptual_hash=np.zeros(count, np.int64),
        looked=np.ones(count, bool),
    )
    nothing = Ragged.of(np.zeros(count, np.int64), np.zeros(0, np.uint8))
    named = {SPACE: SpaceVectors(np.ones(count, bool), *coded, vectors)}
    return Block(facts, ["image/jpeg"], [""], nothing, [], Ragged(nothing.starts, np.zeros(0, np.int64)), named)


def ids_of(rows: Rows) -> Bytes:
    """uint8 (N, 16): scattered as ids are, and the row at the end."""
    words = np.empty((len(rows), 2), ">u8")
    words[:, 0], words[:, 1] = rows.astype(np.uint64) * np.uint64(SPREAD), rows
    return words.view(np.uint8)


def rows_of(ids: Bytes) -> Rows:
    """The rows that `ids_of` wrote into ids."""
    return np.ascontiguousarray(ids).view(">u8")[:, 1].astype(np.int64)


# What each step finds.


def coarse(data: Data, view: View, everything: RowMask) -> None:
    """Which share of the true nearest is among the first so many, by their coarse codes."""
    result: dict[str, Any] = {}
    for kind, queries in questions(data).items():
        found = [rows_of(listed(view, everything, query, kind, max(COARSE_AMONG))[0]) for query in queries]
        result[kind] = shares(found, truth_of(data, kind), COARSE_AMONG)
    report("quantized: coarse codes", data=data.kind, rows=data.size, **result)


def fine(data: Data, view: View, everything: RowMask) -> None:
    """The true nearest are put on each shortlist: what is lost here, the fine codes lose."""
    quantiser = view.quantisers[SPACE]
    result: dict[str, Any] = {}
    for kind, queries in questions(data).items():
        found: list[Rows] = []
        for query, true in zip(queries, truth_of(data, kind), strict=True):
            ids, codes = listed(view, everything, query, kind, FINE_OF)
            missed = ids_of(np.setdiff1d(true, rows_of(ids)))
            ids, codes = np.concatenate([ids, missed]), np.concatenate([codes, codes_of(view, missed)])
            order = quantiser.refine(quantiser.query(query, kind), codes, max(FINE_AMONG))
            found.append(rows_of(ids[order]))
        result[kind] = shares(found, truth_of(data, kind), FINE_AMONG)
    report("quantized: fine codes", data=data.kind, rows=data.size, **result)


def listed(view: View, everything: RowMask, query: Vectors, kind: Kind, count: int) -> tuple[Bytes, Bytes]:
    """Ids, uint8 (N, 16), and fine codes of the first so many by their coarse codes, best first."""
    asked = view.quantisers[SPACE].query(query, kind)
    segments = [view.kept[part.number].segment for part in everything]
    found = [coarse_rows(one, part, SPACE, asked, count) for one, part in zip(segments, everything, strict=True)]
    order = np.argsort(np.concatenate([distances for distances, _ in found]), kind="stable")[:count]
    pairs = [(segment, rows) for segment, (_, rows) in zip(segments, found, strict=True)]
    ids = np.concatenate([segment.facts.ids[rows] for segment, rows in pairs])
    return ids[order], np.concatenate([segment.vectors[SPACE].fine[rows] for segment, rows in pairs])[order]


def codes_of(view: View, ids: Bytes) -> Bytes:
    """Fine codes of these images, in the order of the ids."""
    codes = np.empty((len(ids), view.kept[0].segment.vectors[SPACE].fine.shape[1]), np.uint8)
    for kept in view.kept:
        rows, places = kept.segment.places_of(ids)
        codes[places] = kept.segment.vectors[SPACE].fine[rows]
    return codes


def whole(data: Data, view: View, everything: RowMask) -> None:
    """A search of everything, both steps and the vectors, on one thread."""
    for kind, queries in questions(data).items():
        for limit in LIMITS:
            candidates = over_fetch(limit, kind)
            facts = {"limit": limit, "candidates": candidates, "shortlist": shortlist(candidates, kind)}
            search = searching(view, everything, limit, "quantized", kind)
            recall = mean_share([search(query) for query in queries], truth_of(data, kind)[:, :limit])
            times = {"recall": round(recall, 4), "ms": timed(search, queries)}
            report("quantized: everything", data=data.kind, rows=data.size, kind=kind, **facts, **times)


def by_folder(data: Data, view: View) -> None:
    """Exact and quantized in turns, in folders of rising size: where does the one become faster than the other?"""
    queries = data.queries["mixed"][:TIMED]
    sizes = [*sorted({scope.size for scope in data.scopes.values()} - {data.size}), None]
    for size in sizes:
        scope = data.scope_of("mixed", size)
        place, bands = Place([DATASET]), list(scope.bands)
        mask = view.place(place, bands)
        result: dict[str, Any] = {}
        for limit in (limit for limit in LIMITS if limit <= scope.size):
            ways = {plan: searching(view, mask, limit, plan, "image") for plan in PLANS}
            truth = data.truth(data.questions("mixed", size, limit))[: len(queries)]
            recall = {plan: mean_share([way(query) for query in queries], truth) for plan, way in ways.items()}
            result[f"{limit} rows"] = {
                plan: {"ms": timed(way, queries), "recall": round(recall[plan], 4)} for plan, way in ways.items()
            }
        place_ms = timed(lambda _: view.place(place, bands), queries)  # noqa: B023
        report(
            "exact or quantized?", data=data.kind, rows=data.size, folder=count_of(mask), place_ms=place_ms, **result
        )


def searching(view: View, mask: RowMask, limit: int, plan: PlanName, kind: Kind) -> Search:
    return lambda query: rows_of(view.nearest(mask, SPACE, query, limit, plan=plan, kind=kind).ids)


# What all of them share.


def questions(data: Data) -> dict[Kind, Vectors]:
    return {kind: data.queries[name] for kind, name in KINDS.items()}


def truth_of(data: Data, kind: Kind) -> Rows:
    return data.truth(data.questions(KINDS[kind], None, max(LIMITS)))


def shares(found: list[Rows], truth: Rows, among: Sequence[int]) -> dict[str, dict[int, float]]:
    """Which share of the nearest 50 and 500 is among the first so many."""
    return {
        f"recall@{limit}": {
            count: round(mean_share([rows[:count] for rows in found], truth[:, :limit]), 4)
            for count in among
            if limit <= count <= min(map(len, found))
        }
        for limit in LIMITS
    }


def mean_share(found: list[Rows], truth: Rows) -> float:
    return float(np.mean([len(np.intersect1d(one, true)) / len(true) for one, true in zip(found, truth, strict=True)]))


def timed(call: Callable[[Vectors], Any], queries: Vectors) -> float:
    """Median processor milliseconds of a call."""
    taken = []
    for query in queries[:TIMED]:
        started = time.thread_time()
        call(query)
        taken.append((time.thread_time() - started) * 1000)
    return median(taken)


if __name__ == "__main__":
    main([int(size) for size in sys.argv[1:]] or [100_000])
