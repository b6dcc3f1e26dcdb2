"""Plain pgvector as its README shows it: one table, `vector(1152)`, one HNSW index over everything, a WHERE clause.

https://github.com/pgvector/pgvector#filtering (0.8): an index on the column that filters, and one on the vectors; the
planner chooses. `hnsw.ef_search` is 100, or the limit where that is more. The PostgreSQL is the one that Pictograph
embeds, with the settings that Pictograph gives it.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np
import psycopg
from pgvector import Vector
from pgvector.psycopg import register_vector

from benchmarks.common import descendants
from benchmarks.search.contestant import Answer, Search
from benchmarks.search.data import ALL, Data, Question
from benchmarks.search.service import share_mb
from pictograph.db.embedded import EmbeddedPostgres
from pictograph.types import DIMENSION

M, EF_CONSTRUCTION = 16, 64
EF_SEARCH = 100
SETUP = f"""
CREATE EXTENSION vector;
CREATE TABLE items (id bigint PRIMARY KEY, folder integer NOT NULL, embedding vector({DIMENSION}) NOT NULL)"""
COPY = "COPY items (id, folder, embedding) FROM STDIN WITH (FORMAT BINARY)"
INDEXES = f"""
CREATE INDEX ON items USING hnsw (embedding vector_cosine_ops) WITH (m = {M}, ef_construction = {EF_CONSTRUCTION});
CREATE INDEX ON items (folder)"""
SETTLED = (b"VACUUM ANALYZE items", b"CHECKPOINT")
EVERYWHERE = "SELECT id FROM items ORDER BY embedding <=> %(vector)s LIMIT %(limit)s"
FILTERED = "SELECT id FROM items WHERE folder = ANY(%(folders)s) ORDER BY embedding <=> %(vector)s LIMIT %(limit)s"


class Pgvector:
    """iterative_scan: `off` (the default) or `relaxed_order`."""

    def __init__(self, iterative_scan: str) -> None:
        self._iterative_scan = iterative_scan
        self._exits = ExitStack()
        folder = Path(self._exits.enter_context(tempfile.TemporaryDirectory()))
        self._server = EmbeddedPostgres.start(folder)
        self._exits.callback(self._server.stop)

    def build(self, data: Data) -> None:
        with self._connection() as connection:
            connection.execute(SETUP.encode())
            register_vector(connection)
            with connection.cursor().copy(COPY) as copy:
                copy.set_types(["int8", "int4", "vector"])
                for row, (folder, vector) in enumerate(zip(data.bands, data.vectors, strict=True)):
                    copy.write_row((row, int(folder), Vector(np.asarray(vector))))
            connection.execute(INDEXES.encode())
            for statement in SETTLED:
                connection.execute(statement)

    @contextmanager
    def client(self) -> Iterator[Search]:
        with self._connection() as connection:
            register_vector(connection)
            connection.execute(f"SET hnsw.iterative_scan = {self._iterative_scan}".encode())

            def search(question: Question) -> Answer:
                values = {"vector": Vector(question.vector), "limit": question.limit}
                statement = EVERYWHERE
                if question.scope.path != ALL:
                    statement, values = FILTERED, values | {"folders": list(question.scope.bands)}
                connection.execute(f"SET hnsw.ef_search = {max(EF_SEARCH, question.limit)}".encode())
                return Answer([row[0] for row in connection.execute(statement.encode(), values).fetchall()])

            yield search

    def memory_mb(self) -> int:
        return sum(share_mb(pid) for pid, _ in descendants(os.getpid()))

    def disk_mb(self) -> int | None:
        with self._connection() as connection:
            row = connection.execute("SELECT pg_total_relation_size('items')").fetchone()
        return int(row[0]) >> 20 if row else 0

    def close(self) -> None:
        self._exits.close()

    @contextmanager
    def _connection(self) -> Iterator[psycopg.Connection]:
        options = "-c plan_cache_mode=force_custom_plan -c jit=off"
        with psycopg.connect(self._server.conninfo, autocommit=True, options=options) as connection:
            yield connection
