"""What everybody searches: one corpus, its folders, the questions, and the right answers; made once, kept in a folder.

Rows lie in the order of their folders, and each scope is a range of rows:

    [0, P)     content: rows of whole clusters, one cluster after the other   a folder of one place, one camera, one day
    [P, 2P)    mixed: rows of all other clusters                              a folder that somebody filled at random
    [2P, N)    the rest

P is the largest scope. Scopes are nested folders: `/corpus/mixed/10000/1000/100` holds 100 rows, its parent 1000.

Questions of kind `mixed` and `text` look into mixed folders and into everything; `in` and `out` look into content
folders, from inside and from outside of what these show.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.search.mixture import SOURCES, Clusters, Source, Vectors, text_like
from pictograph.types import DIMENSION

VERSION = 2
SCOPES = (10, 100, 1_000, 5_000, 20_000, 100_000)
QUERIES = 100
DEEPEST = 500
"""Right answers that are known for each question: the most that is ever asked for."""
CHUNK = 50_000
ALL = "/corpus"

Rows = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Scope:
    """A folder with everything below it."""

    path: str
    size: int
    start: int
    bands: tuple[int, ...]
    """The numbers of its folders: a row's folder is `Data.bands[row]`."""

    @property
    def rows(self) -> slice:
        return slice(self.start, self.start + self.size)


@dataclass(frozen=True)
class Question:
    """One query: which vector, in which scope, and how many rows."""

    name: str
    """Of the query's vector: `mixed-17`."""
    vector: Vectors
    """float32 (1152,), of length 1."""
    scope: Scope
    limit: int


@dataclass(frozen=True)
class Data:
    """All of it; the vectors stay on disk until they are read."""

    kind: str
    vectors: Vectors
    """float32 (N, 1152), of length 1, mapped from a file."""
    bands: npt.NDArray[np.int16]
    """int16 (N,): the folder of each row."""
    folders: tuple[str, ...]
    """The path of each band."""
    scopes: dict[str, Scope]
    """By path."""
    queries: dict[str, Vectors]
    """By kind, float32 (100, 1152); those of kind `in` by scope: `in-1000`."""
    folder: Path

    @property
    def size(self) -> int:
        return len(self.vectors)

    def scope_of(self, kind: str, size: int | None) -> Scope:
        """Where a kind of question looks; size None: everywhere."""
        if size is None:
            return self.scopes[ALL]
        part = "content" if kind in ("in", "out") else "mixed"
        return next(scope for path, scope in self.scopes.items() if f"/{part}/" in path and scope.size == size)

    def questions(self, kind: str, size: int | None, limit: int) -> list[Question]:
        """Every question of one cell."""
        name = {"in": f"in-{size}", "out": "mixed"}.get(kind, kind)
        scope = self.scope_of(kind, size)
        return [Question(f"{name}-{number}", vector, scope, limit) for number, vector in enumerate(self.queries[name])]

    def truth(self, questions: list[Question]) -> Rows:
        """int64 (Q, K): the right rows, nearest first; K is the limit, or the scope's size if that is less."""
        name, scope, limit = questions[0].name.rsplit("-", 1)[0], questions[0].scope, questions[0].limit
        path = self.folder / f"truth-{name}-{scope.path.strip('/').replace('/', '_')}.npy"
        if not path.exists():
            np.save(path, nearest(self.vectors[scope.rows], self.queries[name], DEEPEST) + scope.start)
        return np.asarray(np.load(path)[:, :limit])


def nearest(vectors: Vectors, queries: Vectors, count: int) -> Rows:
    """int64 (Q, count or N): rows by falling cosine, by brute force in float32; the nearest ones again in float64."""
    best_cosines = np.empty((len(queries), 0), np.float32)
    best_rows = np.empty((len(queries), 0), np.int64)
    wanted = min(count + 100, len(vectors))
    for start in range(0, len(vectors), CHUNK):
        cosines = queries @ np.asarray(vectors[start : start + CHUNK]).T
        rows = np.broadcast_to(np.arange(start, start + cosines.shape[1]), cosines.shape)
        best_cosines = np.concatenate([best_cosines, cosines], axis=1)
        best_rows = np.concatenate([best_rows, rows], axis=1)
        kept = np.argpartition(-best_cosines, min(wanted, best_cosines.shape[1]) - 1, axis=1)[:, :wanted]
        best_cosines = np.take_along_axis(best_cosines, kept, axis=1)
        best_rows = np.take_along_axis(best_rows, kept, axis=1)
    exact = np.stack([vectors[rows].astype(np.float64) @ query for rows, query in zip(best_rows, queries, strict=True)])
    order = np.lexsort((best_rows, -exact), axis=1)[:, :count]
    return np.take_along_axis(best_rows, order, axis=1)


def recall(found: list[list[int]], truth: Rows) -> float:
    """Share of the right rows that were returned."""
    hits = sum(len(set(rows) & set(right.tolist())) for rows, right in zip(found, truth, strict=True))
    return hits / truth.size


def prepare(kind: str, size: int, cache: Path, seed: int = 0) -> Data:
    """The data of this kind and size, made if it is not in the cache."""
    folder = cache / f"{kind}-{size}-{seed}-v{VERSION}"
    if not (folder / "done").exists():
        folder.mkdir(parents=True, exist_ok=True)
        make(SOURCES[kind](seed), size, folder, seed)
        (folder / "done").touch()
    facts = json.loads((folder / "facts.json").read_text())
    with np.load(folder / "queries.npz") as stored:
        queries = dict(stored)
    return Data(
        kind,
        np.load(folder / "vectors.npy", mmap_mode="r"),
        np.load(folder / "bands.npy"),
        tuple(facts["folders"]),
        {path: Scope(path, entry[0], entry[1], tuple(entry[2])) for path, entry in facts["scopes"].items()},
        queries,
        folder,
    )


def make(source: Source, size: int, folder: Path, seed: int) -> None:
    """Writes vectors, folders and queries."""
    random = np.random.default_rng((seed, 100))
    sizes = [scope for scope in SCOPES if 2 * scope <= size]
    clusters = arranged(source, size, sizes[-1], random)
    vectors = np.lib.format.open_memmap(folder / "vectors.npy", "w+", np.float32, (size, DIMENSION))
    for cluster, rows in by_cluster(clusters):
        for start in range(0, len(rows), CHUNK):
            part = rows[start : start + CHUNK]
            vectors[part] = source.sample(cluster, len(part), random)
    vectors.flush()
    bands, folders, scopes = laid_out(size, sizes)
    np.save(folder / "bands.npy", bands)
    facts = {"folders": folders, "scopes": {scope.path: [scope.size, scope.start, scope.bands] for scope in scopes}}
    (folder / "facts.json").write_text(json.dumps(facts))
    queries: dict[str, Any] = asked(source, clusters, sizes, seed, random)
    np.savez(folder / "queries.npz", **queries)


def arranged(source: Source, size: int, part: int, random: np.random.Generator) -> Clusters:
    """int64 (N,): the cluster of each row; the first `part` rows one cluster after the other, the others mixed."""
    counts = random.multinomial(size, source.weights())
    order = random.permutation(source.clusters)
    clusters = np.repeat(order, counts[order])
    return np.concatenate([clusters[:part], random.permutation(clusters[part:])])


def by_cluster(clusters: Clusters) -> list[tuple[int, Rows]]:
    order = np.argsort(clusters, kind="stable")
    found, starts = np.unique(clusters[order], return_index=True)
    return [(int(cluster), rows) for cluster, rows in zip(found, np.split(order, starts[1:]), strict=True)]


def laid_out(size: int, sizes: list[int]) -> tuple[npt.NDArray[np.int16], list[str], list[Scope]]:
    """Bands, folder paths, scopes: the smallest scope is the innermost folder."""
    bands = np.empty(size, np.int16)
    folders: list[str] = []
    scopes: list[Scope] = []
    for part, first in (("content", 0), ("mixed", sizes[-1])):
        for number, scope in enumerate(sizes):
            inner = sizes[number - 1] if number else 0
            bands[first + inner : first + scope] = len(folders)
            folders.append("/".join([ALL, part, *map(str, reversed(sizes[number:]))]))
            own = range(len(folders) - number - 1, len(folders))
            scopes.append(Scope(folders[-1], scope, first, tuple(own)))
    bands[2 * sizes[-1] :] = len(folders)
    folders.append(f"{ALL}/rest")
    scopes.append(Scope(ALL, size, 0, tuple(range(len(folders)))))
    return bands, folders, scopes


def asked(
    source: Source, clusters: Clusters, sizes: list[int], seed: int, random: np.random.Generator
) -> dict[str, Vectors]:
    """The queries: held-out vectors, of the clusters that a kind looks at."""

    def held_out(chosen: Clusters) -> Vectors:
        return np.concatenate([source.sample(int(cluster), 1, random) for cluster in chosen])

    elsewhere = clusters[sizes[-1] :]
    queries = {"mixed": held_out(random.choice(elsewhere, QUERIES))}
    queries["text"] = text_like(held_out(random.choice(elsewhere, QUERIES)), seed, random)
    for size in sizes:
        queries[f"in-{size}"] = held_out(random.choice(clusters[:size], QUERIES))
    return queries
