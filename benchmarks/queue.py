"""How fast do jobs go from claim to done, in the ways one could build the queue? (docs/decisions/0002-queue.md)

Every way does the same work for each image in the same batches on the same server, with a no-op encoder: claim it,
write its vector and tags, mark it done, durably. Two worker tasks share two cores with PostgreSQL.

    table        a narrow job table beside the images: what pictograph does, through its own code
    row          the image row is the job: state, lease and attempts are columns of it
    procrastinate   a job library for PostgreSQL, one job an image; left out where it is not installed
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import tempfile
import time
from collections.abc import Callable, Coroutine, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import psycopg
from psycopg.conninfo import make_conninfo

from benchmarks.common import median, report
from pictograph.db.embedded import EmbeddedPostgres
from pictograph.db.migrate import migrate
from pictograph.db.pool import Database
from pictograph.encode.noop import SPEC
from pictograph.jobs.queue import Claim, Queue
from pictograph.jobs.worker import Worker
from pictograph.spaces.encodings import Encoding, finish_images, save_encodings
from pictograph.spaces.registry import Spaces, lock_rules
from pictograph.types import DIMENSION, Sha256, SpaceId, Tags

IMAGES = 6000
ROUNDS = 3
BATCH = 32
LANES = 2
TAGS: Tags = {"objects": ["car", "truck"], "scenes": ["street"], "attributes": ["sharp"]}
VECTOR = np.full(DIMENSION, 1 / np.sqrt(DIMENSION), np.float32)

FILL = """
WITH o AS (INSERT INTO organization (id, name) VALUES (gen_random_uuid(), 'bench') RETURNING id),
d AS (INSERT INTO dataset (id, organization_id, name) SELECT gen_random_uuid(), id, 'bench' FROM o RETURNING id),
f AS (INSERT INTO folder (dataset_id, path) SELECT id, '/' FROM d RETURNING id, dataset_id),
b AS (INSERT INTO blob (sha256, size_bytes) SELECT sha256(n::text::bytea), 1 FROM generate_series(1, %(n)s) n
      RETURNING sha256)
INSERT INTO image (id, dataset_id, folder_id, filename, sha256, content_type, width, height, file_size)
SELECT gen_random_uuid(), f.dataset_id, f.id, encode(b.sha256, 'hex'), b.sha256, 'image/jpeg', 1, 1, 1 FROM f, b"""
QUEUE_ALL = "INSERT INTO job (image_id, space_id, sha256) SELECT image.id, space.id, sha256 FROM image, space"

ROW_COLUMNS = """
ALTER TABLE image ADD COLUMN ready_at timestamptz DEFAULT now(), ADD COLUMN attempts smallint DEFAULT 0,
    ADD COLUMN claim uuid;
CREATE INDEX image_next ON image (ready_at) WHERE state = 'received'"""
ROW_CLAIM = """
UPDATE image SET claim = %s, attempts = attempts + 1, ready_at = now() + interval '1 minute'
WHERE id IN (SELECT id FROM image WHERE state = 'received' AND ready_at <= now()
             ORDER BY ready_at LIMIT %s FOR UPDATE SKIP LOCKED)
RETURNING sha256"""
ROW_FINISH = """
WITH done AS (
    UPDATE image SET state = 'tagged', image_auto_tags = e.tags, updated_at = now(), claim = NULL FROM encoding e
    WHERE image.claim = %(claim)s AND e.sha256 = image.sha256 AND e.space_id = %(space)s
    RETURNING image.id, image.dataset_id, image.folder_id, e.vector)
INSERT INTO image_embedding (space_id, image_id, dataset_id, folder_id, vector)
SELECT %(space)s, id, dataset_id, folder_id, vector FROM done"""


async def fill(conninfo: str, *statements: str) -> None:
    async with await psycopg.AsyncConnection.connect(conninfo) as connection:
        await connection.execute(FILL, {"n": IMAGES})
        for statement in statements:
            await connection.execute(statement)
        await connection.execute("ANALYZE")


def encodings(sha256s: Sequence[bytes]) -> list[Encoding]:
    return [Encoding(Sha256(sha256), VECTOR, "noop", TAGS, {}) for sha256 in sha256s]


async def table_rate(conninfo: str) -> float:
    """pictograph's own queue and worker."""
    database = Database(conninfo, max_connections=LANES + 2)
    await database.open()
    space = (await Spaces(database).open(SPEC, SPEC.name)).id
    await fill(conninfo, QUEUE_ALL)
    stop, done = asyncio.Event(), 0

    async def handle(claim: Claim) -> None:
        nonlocal done
        sha256s = [job.sha256 for job in claim.jobs]
        async with database.writing() as connection:
            await save_encodings(connection, space, encodings(sha256s))
            finished = await finish_images(connection, await lock_rules(connection, space), claim.id, sha256s)
        done += finished
        if done >= IMAGES:
            stop.set()

    worker = Worker(database, Queue(database, space), handle, batch=BATCH, lanes=LANES)
    started = time.perf_counter()
    await worker.run(stop)
    elapsed = time.perf_counter() - started
    await database.close()
    return IMAGES / elapsed


async def row_rate(conninfo: str) -> float:
    """The image row as the job."""
    await fill(conninfo, *ROW_COLUMNS.split(";"))
    database = Database(conninfo, max_connections=LANES)
    await database.open()
    space = (await Spaces(database).open(SPEC, SPEC.name)).id

    async def lane() -> None:
        while True:
            claim = uuid4()
            async with database.connection() as connection:
                rows = await (await connection.execute(ROW_CLAIM, [claim, BATCH])).fetchall()
            if not rows:
                return
            async with database.transaction() as connection:
                await save_encodings(connection, space, encodings([row[0] for row in rows]))
                await connection.execute(ROW_FINISH, {"claim": claim, "space": space})

    started = time.perf_counter()
    await asyncio.gather(*(lane() for _ in range(LANES)))
    elapsed = time.perf_counter() - started
    await database.close()
    return IMAGES / elapsed


async def write_one(database: Database, space: SpaceId, sha256: bytes) -> None:
    """What a job of a library does: libraries hand out one job at a time."""
    async with database.transaction() as connection:
        await save_encodings(connection, space, encodings([sha256]))
        await finish_images(connection, await lock_rules(connection, space), uuid4(), [Sha256(sha256)])


async def procrastinate_rate(conninfo: str) -> float:
    """One procrastinate job an image."""
    import procrastinate  # noqa: PLC0415 - only where it is installed

    database = Database(conninfo, max_connections=LANES)
    await database.open()
    space = (await Spaces(database).open(SPEC, SPEC.name)).id
    await fill(conninfo, QUEUE_ALL)
    app = procrastinate.App(connector=procrastinate.PsycopgConnector(conninfo=conninfo))
    async with app.open_async():
        await app.schema_manager.apply_schema_async()

        @app.task(name="process")  # type: ignore[untyped-decorator]
        async def process(sha256: str) -> None:
            await write_one(database, space, bytes.fromhex(sha256))

        names = [hashlib.sha256(str(n).encode()).hexdigest() for n in range(1, IMAGES + 1)]
        await process.batch_defer_async(*({"sha256": name} for name in names))
        started = time.perf_counter()
        await app.run_worker_async(wait=False, concurrency=LANES, install_signal_handlers=False, listen_notify=False)
        elapsed = time.perf_counter() - started
    await database.close()
    return IMAGES / elapsed


WAYS: dict[str, Callable[[str], Coroutine[Any, Any, float]]] = {"table": table_rate, "row": row_rate}
if find_spec("procrastinate"):
    WAYS["procrastinate"] = procrastinate_rate


def main() -> None:
    logging.disable(logging.WARNING)
    rates: dict[str, list[float]] = {name: [] for name in WAYS}
    with tempfile.TemporaryDirectory() as folder:
        server = EmbeddedPostgres.start(Path(folder))
        for number in range(ROUNDS):
            for name, measure in WAYS.items():
                database = f"{name}_{number}"
                with psycopg.connect(server.conninfo, autocommit=True) as connection:
                    connection.execute(f"CREATE DATABASE {database}".encode())
                conninfo = make_conninfo(server.conninfo, dbname=database)
                migrate(conninfo)
                rates[name].append(asyncio.run(measure(conninfo)))
        server.stop()
    report(
        "claim to done with a no-op encoder",
        images=IMAGES,
        rounds=ROUNDS,
        batch=BATCH,
        images_per_s={name: round(median(values)) for name, values in rates.items()},
    )


if __name__ == "__main__":
    main()
