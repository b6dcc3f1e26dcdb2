"""How long do searches by tag, counts and facets take, whatever the tag's frequency and place in time, and what do the
lists cost to keep?

`python -m benchmarks tags [IMAGES]`, a million by default (2 GB of disk, some ten minutes; 10000000 is ten of each).
A library that is made up (benchmarks/tag_library.py) on the embedded PostgreSQL: bulk load, the migration that makes
the lists, then every question to the documented containment query, to the lists and to the memory, in turns. One JSON
line per question; `equal` says that all answered the same. `bare statement` is `SELECT 1` in the same turns: what
the way to the database and the machine's other work take by themselves.
"""

from __future__ import annotations

import asyncio
import os
import resource
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import numpy as np
import psycopg
from psycopg.types.json import Jsonb
from tests.support.containment import find_by_containment

from benchmarks.common import median, memory_mb, percentiles_ms, report
from benchmarks.tag_library import COLUMNS, DATASETS, SKEWED, dataset_id, fill, label
from pictograph.db.embedded import EmbeddedPostgres
from pictograph.db.migrate import CREATE_LEDGER, apply_missing, migrate, packaged_migrations
from pictograph.db.pool import Connection, Database
from pictograph.encode.noop import SPEC
from pictograph.index.tags import TagHit, TagIndex, facet_counts, find_by_tags
from pictograph.index.writer import Encoding, finish_images, save_encodings
from pictograph.spaces.registry import Spaces, lock_rules
from pictograph.types import DIMENSION, DatasetId, Sha256

IMAGES: Final = 1_000_000
REPEATS: Final = 100
SLOW_REPEATS: Final = 3
"""Of ways that take longer than SLOW_S."""
SLOW_S: Final = 0.1
BATCH: Final = 32
BATCHES: Final = 12
LISTS: Final = 4
"""The migration that makes the lists."""
SIZES: Final = """
SELECT relname, pg_relation_size(oid) FROM pg_class
WHERE relname IN ('image', 'image_by_tags', 'image_tag', 'image_tag_of_dataset', 'image_tag_of_organization',
                  'tag_count')"""

Question = dict[str, Any]
Way = Callable[[], Awaitable[Any]]


def objects(*ranks: int) -> list[str]:
    return [label("objects", rank) for rank in ranks]


def scenes(*ranks: int) -> list[str]:
    return [label("scenes", rank) for rank in ranks]


WIDE: Final = {
    "objects": objects(*range(5, 25)),
    "scenes": scenes(*range(1, 6)),
    "attributes": [label("attributes", 1), label("attributes", 2)],
}
SEARCHES: Final[dict[str, Question]] = {
    "one tag, 45 %": {"filters": {"objects": objects(0)}},
    "one tag, about 1 %": {"filters": {"objects": objects(40)}},
    "one rare tag": {"filters": {"objects": objects(1990)}},
    "one tag, 5 %, all old": {"filters": {"objects": [SKEWED]}},
    "any of 20": {"filters": {"objects": objects(*range(20))}},
    "all of 3": {"filters": {"objects": objects(0, 1, 2)}, "match": "all"},
    "common AND common": {"filters": {"objects": objects(0), "scenes": scenes(0)}},
    "common AND rare": {"filters": {"objects": objects(0), "scenes": scenes(390)}},
    "1 % AND 1 %": {"filters": {"objects": objects(40), "scenes": scenes(40)}},
    "all old AND 45 %": {"filters": {"objects": [SKEWED], "scenes": scenes(0)}},
    "any 20 AND any 5 AND any 2": {"filters": WIDE},
    "45 %, offset 10,000": {"filters": {"objects": objects(0)}, "offset": 10_000},
    "45 %, offset 100,000": {"filters": {"objects": objects(0)}, "offset": 100_000},
    "any of 20, offset 100,000": {"filters": {"objects": objects(*range(20))}, "offset": 100_000},
    "45 %, in folder /a": {"filters": {"objects": objects(0)}, "folder_path": "/a"},
    "about 1 %, in folder /a": {"filters": {"objects": objects(40)}, "folder_path": "/a"},
}
FACETS: Final[dict[str, Question]] = {
    "all": {},
    "under the 45 % tag": {"filters": {"objects": objects(0)}},
    "under a 1 % tag": {"filters": {"objects": objects(40)}},
    "folder /a": {"folder_path": "/a"},
}
BARE: Final = "bare statement"


def main() -> None:
    images = int(sys.argv[1]) if len(sys.argv) > 1 else IMAGES
    with tempfile.TemporaryDirectory() as name:
        server = EmbeddedPostgres.start(Path(name))
        try:
            prepare(server.conninfo, images)
            asyncio.run(measure(server.conninfo, images))
        finally:
            server.stop()


def prepare(conninfo: str, images: int) -> None:
    """The library as it was before the lists, and then their making."""
    with psycopg.connect(conninfo) as connection:
        connection.execute("CREATE EXTENSION IF NOT EXISTS vector")
        connection.execute(CREATE_LEDGER)
        apply_missing(connection, [one for one in packaged_migrations() if one.number < LISTS])
        started = time.perf_counter()
        fill(connection, images)
        connection.commit()
        filled_s = time.perf_counter() - started
        connection.autocommit = True
        connection.execute("ALTER TABLE image ALTER image_auto_tags SET STATISTICS 1000")  # at its best
        connection.execute("VACUUM ANALYZE image")
        started = time.perf_counter()
        migrate(conninfo)
        migrated_s = time.perf_counter() - started
        connection.execute("VACUUM ANALYZE")
        sizes = {name: round(size / 2**20, 1) for name, size in connection.execute(SIZES).fetchall()}
        rows = connection.execute("SELECT count(*) FROM image_tag").fetchone()
    report(
        "making the tag lists of an existing library",
        images=images,
        tags_per_image=round((rows or [0])[0] / images, 2),
        bulk_load_s=round(filled_s, 1),
        migration_s=round(migrated_s, 1),
        sizes_mb=sizes,
    )


async def measure(conninfo: str, images: int) -> None:
    database = Database(conninfo, max_connections=8)
    await database.open()
    index = TagIndex(database)
    resident_mb = memory_mb(os.getpid())
    before_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    started = time.perf_counter()
    await index.load()
    peak_mb = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kb) / 1024
    load_s = round(time.perf_counter() - started, 1)
    grown_mb = memory_mb(os.getpid()) - resident_mb
    report("filling the memory", images=images, load_s=load_s, peak_mb=round(peak_mb), grown_mb=grown_mb)
    everywhere = [DatasetId(dataset_id(number)) for number in range(DATASETS)]
    scopes = {
        "organization": everywhere,
        "largest dataset": everywhere[:1],
        "smallest dataset": everywhere[-1:],
        "five datasets": everywhere[2:7],
    }
    async with database.connection() as connection:
        for scope, datasets in scopes.items():
            for name, question in SEARCHES.items():
                await compare_searches(f"{name}; {scope}", connection, index, datasets, question)
            for name, question in FACETS.items():
                await compare_facets(f"facets: {name}; {scope}", connection, index, datasets, question)
        await compare_depths(connection, index, everywhere)
    await measure_writing(database)
    await database.close()


async def compare_depths(connection: Connection, index: TagIndex, datasets: Sequence[DatasetId]) -> None:
    """Page one and a deep page of the same answer, in turns, from memory; their rows differ."""
    asked: Question = {"filters": {"objects": objects(0)}, "match": "any", "limit": 51}
    results = await timed(
        {
            "page one": lambda: index.find(connection, datasets, **asked),
            "offset 100,000": lambda: index.find(connection, datasets, **asked, offset=100_000),
        }
    )
    del results["equal"]
    report("does depth cost anything? (45 % tag, organization, memory)", **results)


async def compare_searches(
    name: str, connection: Connection, index: TagIndex, datasets: Sequence[DatasetId], question: Question
) -> None:
    asked: Question = {"match": "any", "limit": 51} | question
    ways: dict[str, Way] = {
        BARE: lambda: connection.execute("SELECT 1"),
        "containment": lambda: find_by_containment(connection, datasets, **asked),
        "lists": lambda: find_by_tags(connection, datasets, **asked),
        "memory": lambda: rows_from_memory(index, connection, datasets, asked),
    }
    if "folder_path" in asked:  # the lists know no folders
        del ways["lists"]
    results = await timed(ways)
    report(name, images_found=(await index.find(connection, datasets, **asked)).total, **results)


async def rows_from_memory(
    index: TagIndex, connection: Connection, datasets: Sequence[DatasetId], asked: Question
) -> list[TagHit]:
    page = await index.find(connection, datasets, **asked)
    if page.way != "memory":
        raise RuntimeError(f"{asked} was answered by {page.way}.")
    return page.hits


async def compare_facets(
    name: str, connection: Connection, index: TagIndex, datasets: Sequence[DatasetId], question: Question
) -> None:
    ways: dict[str, Way] = {
        BARE: lambda: connection.execute("SELECT 1"),
        "rows or counters": lambda: facet_counts(connection, datasets, **question),
        "memory": lambda: index.facet_counts(connection, datasets, **question),
    }
    report(name, **await timed(ways))


async def timed(ways: dict[str, Way]) -> dict[str, Any]:
    """The ways in turns, so that what else the machine does meets all of them."""
    elapsed: dict[str, list[float]] = {name: [] for name in ways}
    answers = {}
    for turn in range(REPEATS):
        for name, way in ways.items():
            is_slow = turn > 0 and elapsed[name][0] > SLOW_S
            if is_slow and turn >= SLOW_REPEATS:
                continue
            started = time.perf_counter()
            answers[name] = await way()
            elapsed[name].append(time.perf_counter() - started)
    first, *others = (answer for name, answer in answers.items() if name != BARE)
    return {name: percentiles_ms(seconds) for name, seconds in elapsed.items()} | {
        "equal": all(other == first for other in others)
    }


async def measure_writing(database: Database) -> None:
    """Finishing batches with the triggers and without, by 1, 2 and 4 workers, in turns."""
    space = (await Spaces(database).open(SPEC, SPEC.name)).id
    for workers in (1, 2, 4):
        rates: dict[str, list[float]] = {"with": [], "without": []}
        for turn in range(BATCHES):
            for mode in ("with", "without") if turn % 2 else ("without", "with"):
                rates[mode].append(await finishing_rate(database, space, workers, triggers=mode == "with"))
        report(
            f"finishing batches of {BATCH} images by {workers} workers",
            images_per_s={mode: round(median(values), 1) for mode, values in rates.items()},
            ratio=median([a / b for a, b in zip(rates["with"], rates["without"], strict=True)]),
            of_that_ms_per_image=round(1000 * (1 / median(rates["with"]) - 1 / median(rates["without"])), 3),
        )


async def finishing_rate(database: Database, space: Any, workers: int, *, triggers: bool) -> float:
    batches = [await waiting_batch(database, space) for _ in range(workers)]
    async with database.connection() as connection:
        await connection.execute(f"ALTER TABLE image {'ENABLE' if triggers else 'DISABLE'} TRIGGER USER".encode())

    async def finish(batch: list[Encoding]) -> None:
        async with database.writing() as connection:
            rules = await lock_rules(connection, space)
            await save_encodings(connection, space, batch)
            await finish_images(connection, rules, uuid4(), [encoding.sha256 for encoding in batch])

    started = time.perf_counter()
    await asyncio.gather(*(finish(batch) for batch in batches))
    rate = workers * BATCH / (time.perf_counter() - started)
    async with database.connection() as connection:
        await connection.execute("ALTER TABLE image ENABLE TRIGGER USER")
    return rate


async def waiting_batch(database: Database, space: Any) -> list[Encoding]:
    """Images with jobs, and what a worker would have found out about them."""
    rng = np.random.default_rng()
    vector = np.zeros(DIMENSION, np.float32)
    vector[0] = 1
    encodings = []
    async with database.transaction() as connection:
        for _ in range(BATCH):
            sha256 = Sha256(uuid4().bytes * 2)
            tags = {
                "objects": sorted(set(objects(*rng.geometric(0.03, 5) % 2000))),
                "scenes": sorted(set(scenes(*rng.geometric(0.05, 2) % 400))),
                "attributes": sorted({label("attributes", rank) for rank in rng.geometric(0.05, 2) % 300}),
            }
            encodings.append(Encoding(sha256, vector, "bench", tags, {}))  # type: ignore[arg-type]
            await connection.execute("INSERT INTO blob (sha256, size_bytes) VALUES (%s, 1)", [sha256])
            image = uuid4()
            await connection.execute(
                f"INSERT INTO image ({COLUMNS}) SELECT %s, dataset_id, id, %s, %s, 'image/jpeg', 1, 1, 1, 'received',"
                " %s, now() FROM folder WHERE dataset_id = %s AND path = '/'".encode(),
                [image, f"{image}.jpg", sha256, Jsonb({}), dataset_id(0)],
            )
            job = "INSERT INTO job (image_id, sha256, space_id) VALUES (%s, %s, %s)"
            await connection.execute(job, [image, sha256, space])
    return encodings


if __name__ == "__main__":
    main()
