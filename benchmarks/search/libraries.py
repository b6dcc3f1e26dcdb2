"""Search libraries in this process. Each is left out, with a line, where it is not installed.

pip install faiss-cpu usearch hnswlib lancedb
"""

from __future__ import annotations

import shutil
import tempfile
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.search.contestant import Answer, Search, always, anonymous_mb
from benchmarks.search.data import ALL, CHUNK, Data, Question

M, EF_CONSTRUCTION, EF_SEARCH = 16, 128, 200
"""The HNSW graphs of all libraries; at search time the limit where that is more."""
OVERFETCH = 10
"""How many times the limit a library without a filter is asked for, before its rows are filtered."""
TRAINING_ROWS = 50_000


class Library:
    """What the libraries share: they live in this process, and on no disk."""

    def __init__(self) -> None:
        self._own_mb = anonymous_mb()
        self._bands: np.ndarray = np.empty(0)

    def build(self, data: Data) -> None:
        self._bands = data.bands
        self._make(data)
        for start in range(0, data.size, CHUNK):
            self._add(start, np.ascontiguousarray(data.vectors[start : start + CHUNK]))

    def client(self) -> AbstractContextManager[Search]:
        return always(self._search)

    def memory_mb(self) -> int:
        return max(0, anonymous_mb() - self._own_mb)

    def disk_mb(self) -> int | None:
        return None

    def close(self) -> None:
        """Nothing to end."""

    def _make(self, data: Data) -> None:
        raise NotImplementedError

    def _add(self, start: int, vectors: np.ndarray) -> None:
        raise NotImplementedError

    def _search(self, question: Question) -> Answer:
        raise NotImplementedError


class Faiss(Library):
    """factory: as for `faiss.index_factory`. Filters go into the index, as a bitmap made beforehand."""

    def __init__(self, factory: str) -> None:
        import faiss  # noqa: PLC0415

        super().__init__()
        self._faiss: Any = faiss
        self._factory = factory
        self._selectors: dict[str, Any] = {}

    def _make(self, data: Data) -> None:
        index = self._faiss.index_factory(data.vectors.shape[1], self._factory, self._faiss.METRIC_INNER_PRODUCT)
        if self._factory.startswith("HNSW"):
            index.hnsw.efConstruction = EF_CONSTRUCTION
        if not index.is_trained:
            index.train(np.ascontiguousarray(data.vectors[:: max(1, data.size // TRAINING_ROWS)]))
        self._index = index
        for path, scope in data.scopes.items():
            if path != ALL:
                chosen = np.zeros(data.size, bool)
                chosen[scope.rows] = True
                bitmap = np.packbits(chosen, bitorder="little")
                self._selectors[path] = self._faiss.IDSelectorBitmap(bitmap)

    def build(self, data: Data) -> None:
        super().build(data)
        self._faiss.omp_set_num_threads(1)  # a client is a thread; building takes them all

    def _add(self, start: int, vectors: np.ndarray) -> None:
        del start
        self._index.add(vectors)

    def _search(self, question: Question) -> Answer:
        parameters = self._parameters(self._selectors.get(question.scope.path), question.limit)
        _, rows = self._index.search(question.vector[None], question.limit, params=parameters)
        return Answer([int(row) for row in rows[0] if row >= 0])

    def _parameters(self, selector: Any, limit: int) -> Any:
        if self._factory.startswith("HNSW"):
            return self._faiss.SearchParametersHNSW(sel=selector, efSearch=max(EF_SEARCH, limit))
        if self._factory.startswith("RaBitQ"):
            base = self._faiss.RaBitQSearchParameters(sel=selector, qb=8)
            return self._faiss.IndexRefineSearchParameters(k_factor=10, base_index_params=base)
        return self._faiss.SearchParameters(sel=selector)


class Usearch(Library):
    """HNSW in float16. Its Python layer has no filter: ten times the limit is fetched, and filtered here."""

    def __init__(self) -> None:
        from usearch.index import Index  # noqa: PLC0415

        super().__init__()
        self._new_index: Any = Index

    def _make(self, data: Data) -> None:
        self._index = self._new_index(
            ndim=data.vectors.shape[1],
            metric="cos",
            dtype="f16",
            connectivity=M,
            expansion_add=EF_CONSTRUCTION,
            expansion_search=EF_SEARCH,
        )

    def _add(self, start: int, vectors: np.ndarray) -> None:
        self._index.add(np.arange(start, start + len(vectors)), vectors)

    def _search(self, question: Question) -> Answer:
        everywhere = question.scope.path == ALL
        keys = self._index.search(question.vector, question.limit * (1 if everywhere else OVERFETCH), threads=1).keys
        found = keys if everywhere else keys[np.isin(self._bands[keys.astype(np.int64)], question.scope.bands)]
        return Answer([int(key) for key in found[: question.limit]])


class Hnswlib(Library):
    """HNSW in float32. Its filter is a Python function, called for each candidate."""

    def __init__(self) -> None:
        import hnswlib  # noqa: PLC0415

        super().__init__()
        self._hnswlib: Any = hnswlib

    def _make(self, data: Data) -> None:
        self._index = self._hnswlib.Index(space="ip", dim=data.vectors.shape[1])
        self._index.init_index(max_elements=data.size, ef_construction=EF_CONSTRUCTION, M=M)

    def _add(self, start: int, vectors: np.ndarray) -> None:
        self._index.add_items(vectors, np.arange(start, start + len(vectors)))

    def _search(self, question: Question) -> Answer:
        if max(EF_SEARCH, question.limit) != self._index.ef:
            self._index.set_ef(max(EF_SEARCH, question.limit))
        options = {}
        if question.scope.path != ALL:
            bands, chosen = self._bands, frozenset(question.scope.bands)
            options["filter"] = lambda row: int(bands[row]) in chosen
        limit = min(question.limit, question.scope.size)
        while limit:
            try:
                rows, _ = self._index.knn_query(question.vector, k=limit, num_threads=1, **options)
                return Answer(rows[0].tolist())
            except RuntimeError:  # it found fewer than it was asked for, and gives none of them
                limit //= 2
        return Answer([])


class Lancedb(Library):
    """A table on disk without a vector index, which is what its documentation advises below 100 k rows."""

    def __init__(self) -> None:
        import lancedb  # noqa: PLC0415

        super().__init__()
        self._folder = Path(tempfile.mkdtemp())
        self._database: Any = lancedb.connect(self._folder)
        self._table: Any = None

    def _make(self, data: Data) -> None:
        del data

    def _add(self, start: int, vectors: np.ndarray) -> None:
        import pyarrow  # noqa: PLC0415

        flat = pyarrow.array(vectors.astype(np.float16).ravel())
        columns = {
            "id": np.arange(start, start + len(vectors)),
            "folder": self._bands[start : start + len(vectors)].astype(np.int32),
            "vector": pyarrow.FixedSizeListArray.from_arrays(flat, vectors.shape[1]),
        }
        rows = pyarrow.table(columns)
        if self._table is None:
            self._table = self._database.create_table("items", rows)
        else:
            self._table.add(rows)

    def build(self, data: Data) -> None:
        super().build(data)
        self._table.create_scalar_index("folder", index_type="BITMAP")

    def _search(self, question: Question) -> Answer:
        query = self._table.search(question.vector.astype(np.float16)).distance_type("cosine").limit(question.limit)
        if question.scope.path != ALL:
            folders = ", ".join(map(str, question.scope.bands))
            query = query.where(f"folder IN ({folders})", prefilter=True)
        return Answer(query.select(["id", "_distance"]).to_arrow().column("id").to_pylist())

    def disk_mb(self) -> int | None:
        return sum(path.stat().st_size for path in self._folder.rglob("*") if path.is_file()) >> 20

    def close(self) -> None:
        shutil.rmtree(self._folder)
