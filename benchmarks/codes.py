"""How fast, and how right, is a scan of codes with a ranking by the table behind it? (decisions/0006-codes.md)

    python -m benchmarks codes [ROWS ...]        default: 20000 100000

First the ways to scan, each alone on one thread: recall of the nearest 50 and 500 among so many candidates, and the
time for 200 and 2000 of them. Then pictograph's own path on a real PostgreSQL, scan and ranking, and its exact scan.
"""

from __future__ import annotations

import asyncio
import struct
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from uuid import UUID

import faiss
import numpy as np
import psycopg

from benchmarks.common import median, report
from benchmarks.vectors import Questions, Vectors, clustered, manifold
from pictograph.db.embedded import EmbeddedPostgres
from pictograph.db.migrate import migrate
from pictograph.db.pool import Database
from pictograph.index.candidates import QueryKind, over_fetch
from pictograph.index.code_rows import ROW
from pictograph.index.code_segments import rotation
from pictograph.index.codes import Codes
from pictograph.index.nearest import Scope, as_stored, nearest_exact
from pictograph.index.ranked import nearest_by_codes
from pictograph.types import DIMENSION, DatasetId, SpaceId

KINDS: tuple[QueryKind, ...] = ("image", "text")
DATA: dict[str, Callable[[int], Questions]] = {"clustered": clustered, "manifold": manifold}
LIMITS = (50, 500)
AMONG = (100, 200, 500, 1000, 1100, 1550, 2000, 4250)
TIMED = 30
MULTI_BIT_ROWS = 20_000
"""More bits take 100 to 500 microseconds an image to make: only tried on few."""
Search = Callable[[Vectors, int], Any]

FILL = """
WITH o AS (INSERT INTO organization (id, name) VALUES (gen_random_uuid(), 'bench') RETURNING id),
d AS (INSERT INTO dataset (id, organization_id, name) SELECT gen_random_uuid(), id, 'bench' FROM o RETURNING id),
f AS (INSERT INTO folder (dataset_id, path) SELECT id, '/' FROM d RETURNING id, dataset_id),
s AS (INSERT INTO space (encoder, revision, dimension, active) VALUES ('bench', '1', 1152, true)),
b AS (INSERT INTO blob VALUES (sha256('x'), 1) RETURNING sha256)
INSERT INTO image (id, dataset_id, folder_id, filename, sha256, content_type, width, height, file_size)
SELECT gen_random_uuid(), f.dataset_id, f.id, n::text, b.sha256, 'image/jpeg', 1, 1, 1
FROM f, b, generate_series(1, %s) n"""
COPY_IN = "COPY loaded FROM STDIN (FORMAT BINARY)"
LOADED = "CREATE TEMP TABLE loaded (image_id uuid, dataset_id uuid, folder_id bigint, vector halfvec(1152))"
INDEX_THEM = """
INSERT INTO image_embedding (space_id, image_id, dataset_id, folder_id, vector)
SELECT space.id, image_id, dataset_id, folder_id, vector FROM loaded, space"""


def ways(base: Vectors) -> dict[str, tuple[float, int, Search]]:
    """Seconds to build, bytes an image, and how to ask."""
    rotated = rotation().apply(base)
    made: dict[str, tuple[float, int, Search]] = {}

    def rabitq(name: str, index: Any) -> None:
        started = time.perf_counter()
        index.train(rotated)
        index.add(rotated)
        index.qb = 4
        seconds = time.perf_counter() - started
        made[name] = (seconds, int(index.code_size), lambda q, k: index.search(rotation().apply(q), k)[1])

    def signs(vectors: Vectors) -> Any:
        return np.packbits(vectors > 0, axis=1)

    rabitq("faiss RaBitQ", faiss.IndexRaBitQ(DIMENSION, faiss.METRIC_L2))
    rabitq("faiss RaBitQFastScan", faiss.IndexRaBitQFastScan(DIMENSION, faiss.METRIC_L2))
    if len(base) <= MULTI_BIT_ROWS:
        for bits in (2, 3):
            rabitq(f"faiss RaBitQ, {bits} bits", faiss.IndexRaBitQ(DIMENSION, faiss.METRIC_L2, bits))
    binary = faiss.IndexBinaryFlat(DIMENSION)
    binary.add(signs(base))
    made["faiss BinaryFlat"] = (0.0, DIMENSION // 8, lambda q, k: binary.search(signs(q), k)[1])
    if find_spec("usearch"):
        from usearch.index import MetricKind  # noqa: PLC0415 - only where it is installed
        from usearch.index import search as usearch  # noqa: PLC0415

        bits_of_base = signs(base)
        made["usearch exact b1"] = (
            0.0,
            DIMENSION // 8,
            lambda q, k: np.atleast_2d(
                usearch(bits_of_base, signs(q), k, MetricKind.Hamming, exact=True, threads=1).keys
            ),
        )
    return made


def truth_of(base: Vectors, queries: Vectors) -> Any:
    """The nearest 500, best first."""
    scores = queries @ base.T
    near = np.argpartition(-scores, LIMITS[-1], axis=1)[:, : LIMITS[-1]]
    return np.take_along_axis(near, np.argsort(-np.take_along_axis(scores, near, 1), axis=1), 1)


def shared(found: Any, truth: Any) -> float:
    return float(
        np.mean([len(np.intersect1d(one, other)) / len(other) for one, other in zip(found, truth, strict=True)])
    )


def asked(search: Search, queries: Vectors, truth: Any) -> dict[str, Any]:
    found = np.concatenate([search(query[None], max(AMONG)) for query in queries])
    recall = {
        f"recall@{limit}": {
            among: round(shared(found[:, :among], truth[:, :limit]), 4) for among in AMONG if among >= limit
        }
        for limit in LIMITS
    }
    return recall | {f"ms_for_{k}": timed(partial(found_by, search, k), queries) for k in (200, 2000)}


def found_by(search: Search, count: int, query: Vectors) -> object:
    return search(query[None], count)


def timed(call: Callable[[Vectors], object], queries: Vectors) -> float:
    elapsed = []
    for query in queries[:TIMED]:
        started = time.perf_counter()
        call(query)
        elapsed.append((time.perf_counter() - started) * 1000)
    return median(elapsed)


def fill(conninfo: str, base: Vectors) -> list[UUID]:
    """An image for each vector; their ids in the same order."""
    with psycopg.connect(conninfo, autocommit=True) as connection:
        connection.execute(FILL, [len(base)])
        found = connection.execute("SELECT id, dataset_id, folder_id FROM image").fetchall()
        connection.execute(LOADED)
        with connection.cursor().copy(COPY_IN) as copy:
            copy.write(b"PGCOPY\n\xff\r\n\0" + struct.pack(">ii", 0, 0))
            for at in range(0, len(base), 5000):
                copy.write(packed(found[at : at + 5000], base[at : at + 5000]))
            copy.write(struct.pack(">h", -1))
        connection.execute(INDEX_THEM)
        connection.execute("VACUUM ANALYZE image_embedding")
    return [row[0] for row in found]


def packed(found: list[Any], vectors: Vectors) -> bytes:
    rows = np.zeros(len(found), ROW)
    rows["fields"], rows["dimension"], rows["folder"], rows["vector"] = 4, DIMENSION, found[0][2], vectors
    rows["n1"], rows["n2"], rows["n3"], rows["n4"] = 16, 16, 8, 2 * DIMENSION + 4
    rows["image"] = np.frombuffer(b"".join(row[0].bytes for row in found), "S16")
    rows["dataset"] = np.frombuffer(found[0][1].bytes, "S16")
    return rows.tobytes()


async def whole_path(conninfo: str, ids: list[UUID], questions: Questions) -> dict[str, Any]:
    """Codes, then the ranking by the table; and the exact scan."""
    database = Database(conninfo)
    await database.open()
    codes = Codes(database)
    started = time.perf_counter()
    await codes.refresh()
    result: dict[str, Any] = {
        "build_s": round(time.perf_counter() - started, 1),
        "bytes_per_image": round(codes.memory_bytes / len(ids)),
    }
    async with database.connection() as connection:
        row = await (await connection.execute("SELECT s.id, d.id FROM space s, dataset d")).fetchone()
        space, dataset = SpaceId(row[0]), DatasetId(row[1])  # type: ignore[index]
        scope = Scope(space, [dataset])
        for kind in KINDS:
            queries: Vectors = getattr(questions, kind)[:TIMED]
            for limit in LIMITS:
                scan, rank, exact, shares = [], [], [], []
                for query in queries:
                    begun = time.perf_counter()
                    candidates = await codes.candidates(
                        space, [dataset], None, query, over_fetch(limit, kind), kind=kind
                    )
                    scanned = time.perf_counter()
                    assert candidates is not None
                    vector = as_stored(query)
                    found = await nearest_by_codes(connection, scope, vector, candidates, threshold=0, limit=limit)
                    ranked = time.perf_counter()
                    true = await nearest_exact(connection, scope, vector, threshold=0, limit=limit)
                    exact.append((time.perf_counter() - ranked) * 1000)
                    scan.append((scanned - begun) * 1000)
                    rank.append((ranked - scanned) * 1000)
                    assert found is not None
                    shares.append(len({row.id for row in found} & {row.id for row in true}) / limit)
                result[f"{kind} {limit}"] = {
                    "candidates": over_fetch(limit, kind),
                    "recall": round(float(np.mean(shares)), 4),
                    "scan_ms": median(scan),
                    "rank_ms": median(rank),
                    "exact_ms": median(exact),
                }
    await codes.close()
    await database.close()
    return result


def main(sizes: list[int]) -> None:
    faiss.omp_set_num_threads(1)
    for rows in sizes:
        for name, make in DATA.items():
            questions = make(rows)
            questions.base = questions.base.astype(np.float16).astype(np.float32)
            truths = {kind: truth_of(questions.base, getattr(questions, kind)) for kind in KINDS}
            for way, (build_s, code_bytes, search) in ways(questions.base).items():
                answers = {kind: asked(search, getattr(questions, kind), truths[kind]) for kind in KINDS}
                report("scan", way=way, data=name, rows=rows, build_s=round(build_s, 1), bytes=code_bytes, **answers)
            with tempfile.TemporaryDirectory() as folder:
                server = EmbeddedPostgres.start(Path(folder))
                migrate(server.conninfo)
                ids = fill(server.conninfo, questions.base)
                report(
                    "codes and table", data=name, rows=rows, **asyncio.run(whole_path(server.conninfo, ids, questions))
                )
                server.stop()


if __name__ == "__main__":
    main([int(argument) for argument in sys.argv[1:]] or [20_000, 100_000])
