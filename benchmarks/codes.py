"""How much must codes look at, so that nothing is missed? (docs/decisions/0006-codes.md)

    python -m benchmarks codes [ROWS ...]        default: 100000; a million take 5 GB of disk and some minutes

The data and the questions of `python -m benchmarks search`, on one thread. First ways to scan codes of one bit a
dimension: which share of the true nearest 50 and 500 is among the first so many, and the milliseconds a question takes.
Then what the fine codes do with a shortlist of `index/candidates.py`, by bits. Last, `Held.nearest` as a whole.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import faiss
import numpy as np
import numpy.typing as npt

from benchmarks.common import median, report
from benchmarks.search.__main__ import DEFAULT_CACHE
from benchmarks.search.data import Data, prepare
from benchmarks.search.mixture import SOURCES, Vectors
from pictograph.index.candidates import QueryKind, over_fetch, shortlist
from pictograph.index.code_segments import Coded, CodeScope, Held, Quantiser, Segment
from pictograph.types import DIMENSION, DatasetId

KINDS: dict[QueryKind, str] = {"image": "mixed", "text": "text"}
LIMITS = (50, 500)
COARSE_AMONG = (100, 200, 400, 800, 1600, 4000, 13_000)
FINE_AMONG = (50, 75, 100, 125, 150, 600, 800, 1050)
FINE = {4: faiss.ScalarQuantizer.QT_4bit, 6: faiss.ScalarQuantizer.QT_6bit, 8: faiss.ScalarQuantizer.QT_8bit}
FINE_OF = 2000
SAMPLE = 5000
CHUNK = 20_000
SEGMENT = 50_000
TIMED = 20
Rows = npt.NDArray[np.int64]
Shortlists = dict[QueryKind, list[Rows]]
"""For each kind of question, the rows that the coarse codes lead to, best first."""
Search = Callable[[Vectors, int], Rows]
"""A query, float32 (1152,), and how many rows; gives them, best first."""


def sample_of(data: Data) -> Vectors:
    step = max(1, data.size // SAMPLE)
    return np.asarray(data.vectors[::step][:SAMPLE])


def chunks(data: Data) -> list[Vectors]:
    return [np.asarray(data.vectors[at : at + CHUNK]) for at in range(0, data.size, CHUNK)]


def coarse_ways(data: Data, quantiser: Quantiser) -> dict[str, tuple[float, int, Search, Search]]:
    """Seconds to build, bytes an image, how to ask for pictures, and for words."""
    ours, plain = quantiser.empty_index(), faiss.IndexRaBitQFastScan(DIMENSION, faiss.METRIC_L2)
    signs = faiss.IndexBinaryFlat(DIMENSION)
    plain.train(quantiser.rotate(sample_of(data)))
    seconds = dict.fromkeys(("RaBitQ", "RaBitQFastScan", "BinaryFlat"), 0.0)
    for vectors in chunks(data):
        steps: dict[str, Callable[[Vectors], None]] = {
            "RaBitQ": lambda part: ours.add(quantiser.rotate(part)),
            "RaBitQFastScan": lambda part: plain.add(quantiser.rotate(part)),
            "BinaryFlat": lambda part: signs.add(np.packbits(part > 0, axis=1)),
        }
        for name, step in steps.items():
            started = time.thread_time()
            step(vectors)
            seconds[name] += time.thread_time() - started

    def asked(kind: QueryKind) -> Search:
        return lambda query, count: ours.search(quantiser.query(query, kind).coarse, count)[1][0]

    def rotated(query: Vectors, count: int) -> Rows:
        found: Rows = plain.search(quantiser.rotate(query[None]), count)[1][0]
        return found

    def by_signs(query: Vectors, count: int) -> Rows:
        found: Rows = signs.search(np.packbits(query[None] > 0, axis=1), count)[1][0]
        return found

    def as_it_is(query: Vectors, count: int) -> Rows:
        found: Rows = ours.search(quantiser.rotate(query[None]), count)[1][0]
        return found

    return {
        "RaBitQ, words by their likely part": (seconds["RaBitQ"], int(ours.code_size), asked("image"), asked("text")),
        "RaBitQ": (seconds["RaBitQ"], int(ours.code_size), as_it_is, as_it_is),
        "RaBitQFastScan": (seconds["RaBitQFastScan"], int(plain.code_size), rotated, rotated),
        "BinaryFlat": (seconds["BinaryFlat"], DIMENSION // 8, by_signs, by_signs),
    }


def shares(found: list[Rows], truth: Rows, among: tuple[int, ...]) -> dict[str, dict[int, float]]:
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


def timed(search: Search, queries: Vectors, count: int) -> float:
    """Median processor milliseconds, which other work disturbs less than the clock."""
    taken = []
    for query in queries[:TIMED]:
        started = time.thread_time()
        search(query, count)
        taken.append((time.thread_time() - started) * 1000)
    return median(taken)


def truth_of(data: Data, kind: QueryKind) -> Rows:
    return data.truth(data.questions(KINDS[kind], None, max(LIMITS)))


def coarse(data: Data, quantiser: Quantiser) -> Shortlists:
    """The shortlists of the first way."""
    shortlists: Shortlists = {}
    for way, (build_s, size, by_picture, by_words) in coarse_ways(data, quantiser).items():
        result: dict[str, Any] = {}
        for kind, search in (("image", by_picture), ("text", by_words)):
            queries, truth = data.queries[KINDS[kind]], truth_of(data, kind)  # type: ignore[index,arg-type]
            found = [search(query, max(COARSE_AMONG)) for query in queries]
            times = {f"ms_for_{count}": timed(search, queries, count) for count in (800, 13_000)}
            result[kind] = shares(found, truth, COARSE_AMONG) | times
            shortlists.setdefault(kind, found)  # type: ignore[arg-type]
        report(
            "codes: coarse", way=way, data=data.kind, rows=data.size, build_s=round(build_s, 1), bytes=size, **result
        )
    return shortlists


def fine(data: Data, quantiser: Quantiser, shortlists: Shortlists) -> None:
    """The true nearest are put on each shortlist: what is lost here, the fine codes lose."""
    sample = quantiser.rotate(sample_of(data))
    for bits, quantizer_type in FINE.items():
        index = faiss.IndexScalarQuantizer(DIMENSION, quantizer_type, faiss.METRIC_INNER_PRODUCT)
        if bits == min(FINE):
            index.sq.rangestat, index.sq.rangestat_arg = faiss.ScalarQuantizer.RS_meanstd, 2.5
        index.train(sample - sample.mean(0))
        result: dict[str, Any] = {}
        for kind in KINDS:
            found: list[Rows] = []
            for query, true, listed in zip(
                data.queries[KINDS[kind]], truth_of(data, kind), shortlists[kind], strict=True
            ):
                rows = np.union1d(true, listed[:FINE_OF])
                index.reset()
                index.add(quantiser.rotate(np.asarray(data.vectors[rows])) - sample.mean(0))
                order = index.search(quantiser.rotate(query[None]), min(max(FINE_AMONG), len(rows)))[1][0]
                found.append(rows[order])
            result[kind] = shares(found, truth_of(data, kind), FINE_AMONG)
        report("codes: fine", bits=bits, data=data.kind, rows=data.size, bytes=int(index.code_size), **result)


def whole(data: Data, quantiser: Quantiser) -> None:
    """What `Codes` does in its thread, without a helper."""
    dataset = DatasetId(uuid4())
    held, build_s = held_of(data, quantiser, dataset)
    for kind in KINDS:
        queries = data.queries[KINDS[kind]]
        for limit in LIMITS:
            count = over_fetch(limit, kind)

            def search(query: Vectors, wanted: int, kind: QueryKind = kind) -> Rows:
                packed = held.nearest(query, CodeScope([dataset]), wanted, kind).packed_ids
                return np.frombuffer(packed, ">u8")[1::2].astype(np.int64)

            found = [search(query, count) for query in queries]
            facts = {"limit": limit, "candidates": count, "shortlist": shortlist(count, kind)}
            recall = round(mean_share(found, truth_of(data, kind)[:, :limit]), 4)
            times = {"ms": timed(search, queries, count), "build_s": round(build_s, 1)}
            corpus = {"data": data.kind, "rows": data.size, "bytes": held.memory_bytes // data.size}
            report("codes: both steps", **corpus, kind=kind, **facts, recall=recall, **times)


def held_of(data: Data, quantiser: Quantiser, dataset: DatasetId) -> tuple[Held, float]:
    """All codes, an image's id being its row; and the processor seconds they took."""
    name = np.frombuffer(dataset.bytes, "S16")
    segments, seconds = [], 0.0
    for start in range(0, data.size, SEGMENT):
        vectors = np.asarray(data.vectors[start : start + SEGMENT])
        rows = np.arange(start, start + len(vectors))
        ids = np.zeros((len(rows), 2), ">u8")
        ids[:, 0], ids[:, 1] = 1 << 63, rows
        started = time.thread_time()
        codes = quantiser.codes(vectors)
        part = Coded(ids.view("S16").ravel(), np.repeat(name, len(rows)), data.bands[rows].astype(np.int64), *codes)
        segments.append(Segment(quantiser, part))
        seconds += time.thread_time() - started
    return Held(quantiser, tuple(segments), 1, "", frozenset(), data.size), seconds


def main(sizes: list[int]) -> None:
    faiss.omp_set_num_threads(1)
    for rows in sizes:
        for source in SOURCES:
            data = prepare(source, rows, DEFAULT_CACHE)
            quantiser = Quantiser(sample_of(data))
            fine(data, quantiser, coarse(data, quantiser))
            whole(data, quantiser)


if __name__ == "__main__":
    main([int(size) for size in sys.argv[1:]] or [100_000])
