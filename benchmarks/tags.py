"""How long do searches by tag, counts and facets take, whatever a tag's frequency and place in time, and what does the
index cost whoever finishes images?

`python -m benchmarks tags [IMAGES]`, a million by default (2 GB of disk, some ten minutes; 10000000 is ten of each).
A library that is made up (benchmarks/tag_library.py, no vectors) on the embedded PostgreSQL: bulk load, the building of
the index by a process of its own, then every question to the documented containment query, to the pipeline without an
index (`table`, which also counts) and to the pipeline with one (`index`), in turns. One JSON line per question; `equal`
says that all answered the same. `bare statement` is `SELECT 1` in the same turns: what the way to the database and the
machine's other work take by themselves. Then as many questions put together by chance, which only the index is asked;
`longest_hold_ms` says how long the event loop did nothing else at most. Last, finishing batches with and without the
triggers of the log that the index follows, and with and without the process that follows it.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import random
import resource
import signal
import sys
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, Final, TypeAlias
from uuid import uuid4

import numpy as np
import psycopg
from psycopg.types.json import Jsonb
from tests.support.containment import find_by_containment

from benchmarks.common import median, memory_mb, percentiles_ms, report
from benchmarks.tag_library import COLUMNS, DATASETS, SKEWED, WORDS, dataset_id, fill, label
from pictograph.db.embedded import EmbeddedPostgres
from pictograph.db.migrate import migrate
from pictograph.db.pool import Database
from pictograph.encode.noop import SPEC
from pictograph.search.filter import Conditions, Filter, Place, TagFilter
from pictograph.search.found import Hit, Window
from pictograph.search.memory.builder import DEFAULT_BYTES, Builder
from pictograph.search.memory.index import MemoryIndex
from pictograph.search.memory.process import keep_index
from pictograph.search.pipeline import Pipeline
from pictograph.spaces.encodings import Encoding, finish_images, save_encodings
from pictograph.spaces.registry import Spaces, lock_rules
from pictograph.types import DIMENSION, DatasetId, Sha256, SpaceId, TagCategory, TagMatch, Tags

IMAGES: Final = 1_000_000
LIMIT: Final = 51
REPEATS: Final = 100
SLOW_REPEATS: Final = 3
"""Of ways that take longer than SLOW_S."""
SLOW_S: Final = 0.1
ONCE_S: Final = 3.0
"""Ways that take longer are asked once."""
BY_CHANCE: Final = 1000
FACETS_BY_CHANCE: Final = 200
BATCH: Final = 32
BATCHES: Final = 12
"""Of each worker in a turn: some seconds' worth, as the index is renewed once a second."""
TURNS: Final = 8
WORKERS: Final = (1, 2, 4)
BARE: Final = "bare statement"
LOG_TRIGGERS: Final = """
SELECT tgrelid::regclass::text, tgname FROM pg_trigger
WHERE tgrelid IN ('image'::regclass, 'image_embedding'::regclass) AND tgname LIKE 'image\\_change\\_%'"""
SIZES: Final = """
SELECT relname, pg_total_relation_size(oid) FROM pg_class WHERE relname IN ('image', 'image_by_tags', 'image_change')"""

Way: TypeAlias = Callable[[], Awaitable[Any]]
Switch: TypeAlias = Callable[[bool], AbstractAsyncContextManager[None]]
"""Switches something on or off while the block takes."""


@dataclass(frozen=True)
class Question:
    """What is asked of some datasets."""

    labels: Mapping[TagCategory, Sequence[str]] = field(default_factory=dict)
    match: TagMatch = "any"
    offset: int = 0
    folder_path: str = "/"

    def filter(self, datasets: Sequence[DatasetId]) -> Filter:
        return Filter(Place(datasets, self.folder_path), Conditions(TagFilter(self.labels, self.match)))


def objects(*ranks: int) -> list[str]:
    return [label("objects", rank) for rank in ranks]


def scenes(*ranks: int) -> list[str]:
    return [label("scenes", rank) for rank in ranks]


WIDE: Final[dict[TagCategory, list[str]]] = {
    "objects": objects(*range(5, 25)),
    "scenes": scenes(*range(1, 6)),
    "attributes": [label("attributes", 1), label("attributes", 2)],
}
SEARCHES: Final[dict[str, Question]] = {
    "one tag, 45 %": Question({"objects": objects(0)}),
    "one tag, about 1 %": Question({"objects": objects(40)}),
    "one rare tag": Question({"objects": objects(1990)}),
    "one tag, 5 %, all old": Question({"objects": [SKEWED]}),
    "any of 20": Question({"objects": objects(*range(20))}),
    "all of 3": Question({"objects": objects(0, 1, 2)}, match="all"),
    "common AND common": Question({"objects": objects(0), "scenes": scenes(0)}),
    "common AND rare": Question({"objects": objects(0), "scenes": scenes(390)}),
    "1 % AND 1 %": Question({"objects": objects(40), "scenes": scenes(40)}),
    "all old AND 45 %": Question({"objects": [SKEWED], "scenes": scenes(0)}),
    "any 20 AND any 5 AND any 2": Question(WIDE),
    "45 %, offset 10,000": Question({"objects": objects(0)}, offset=10_000),
    "45 %, offset 100,000": Question({"objects": objects(0)}, offset=100_000),
    "any of 20, offset 100,000": Question({"objects": objects(*range(20))}, offset=100_000),
    "45 %, in folder /a": Question({"objects": objects(0)}, folder_path="/a"),
    "about 1 %, in folder /a": Question({"objects": objects(40)}, folder_path="/a"),
}
FACETS: Final[dict[str, Question]] = {
    "all": Question(),
    "under the 45 % tag": Question({"objects": objects(0)}),
    "under a 1 % tag": Question({"objects": objects(40)}),
    "any of 20": Question({"objects": objects(*range(20))}),
    "folder /a": Question(folder_path="/a"),
}
EVERYWHERE: Final = [DatasetId(dataset_id(number)) for number in range(DATASETS)]
SCOPES: Final[dict[str, list[DatasetId]]] = {
    "organization": EVERYWHERE,
    "largest dataset": EVERYWHERE[:1],
    "smallest dataset": EVERYWHERE[-1:],
    "five datasets": EVERYWHERE[2:7],
}


def main() -> None:
    images = int(sys.argv[1]) if len(sys.argv) > 1 else IMAGES
    with tempfile.TemporaryDirectory() as name:
        server = EmbeddedPostgres.start(Path(name) / "postgres")
        try:
            prepare(server.conninfo, images)
            folder = Path(name) / "index"
            build(server.conninfo, folder, images)
            asyncio.run(measure(server.conninfo, folder, images))
        finally:
            server.stop()


def prepare(conninfo: str, images: int) -> None:
    """The library."""
    migrate(conninfo)
    with psycopg.connect(conninfo) as connection:
        started = time.perf_counter()
        fill(connection, images)
        connection.commit()
        filled_s = time.perf_counter() - started
        connection.autocommit = True
        connection.execute("ALTER TABLE image ALTER image_auto_tags SET STATISTICS 1000")  # containment at its best
        connection.execute("VACUUM ANALYZE")
        sizes = {name: round(size / 2**20, 1) for name, size in connection.execute(SIZES).fetchall()}
    report("tags: the library", images=images, bulk_load_s=round(filled_s, 1), sizes_mb=sizes)


def build(conninfo: str, folder: Path, images: int) -> None:
    """The index, by a process of its own, as the service has one."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as process:
        build_s, peak_mb = process.submit(built, conninfo, folder).result()
    size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    report(
        "tags: building the index", images=images, build_s=round(build_s, 1), peak_mb=peak_mb,
        index_mb=round(size / 2**20, 1),
    )  # fmt: skip


def built(conninfo: str, folder: Path) -> tuple[float, int]:
    """Seconds, and the MiB that the process had at most."""
    started = time.perf_counter()
    builder = Builder(conninfo, folder, worth_it_from=0)
    while builder.step():
        pass
    builder.close()
    return time.perf_counter() - started, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10


async def measure(conninfo: str, folder: Path, images: int) -> None:
    database = Database(conninfo, max_connections=8)
    await database.open()
    before_mb = memory_mb(os.getpid())
    started = time.perf_counter()
    index = MemoryIndex(folder)
    await index.open()
    open_ms = round((time.perf_counter() - started) * 1000, 1)
    report(
        "tags: opening the index", images=images, open_ms=open_ms, grown_mb=memory_mb(os.getpid()) - before_mb,
        segments=index.status().segments, rows=index.status().rows,
    )  # fmt: skip
    asked = Asked(database, Pipeline(database), Pipeline(database, index))
    for scope, datasets in SCOPES.items():
        for name, question in SEARCHES.items():
            await compare_searches(f"{name}; {scope}", asked, datasets, question)
        for name, question in FACETS.items():
            await compare_facets(f"facets: {name}; {scope}", asked, datasets, question)
    await compare_depths(asked)
    await ask_by_chance(asked, images)
    await measure_writing(database, folder)
    for pipeline in (asked.table, asked.index):
        pipeline.close()
    await index.close()
    await database.close()


# Reading.


@dataclass(frozen=True)
class Asked:
    """Who answers."""

    database: Database
    table: Pipeline
    index: Pipeline

    async def bare(self) -> None:
        """The way to the database and back."""
        async with self.database.connection() as connection:
            await connection.execute("SELECT 1")

    async def contained(self, datasets: Sequence[DatasetId], question: Question) -> list[Hit]:
        """By the documented query."""
        folder_path = None if question.folder_path == "/" else question.folder_path
        async with self.database.connection() as connection:
            return await find_by_containment(
                connection, datasets, question.labels, match=question.match, limit=LIMIT, offset=question.offset,
                folder_path=folder_path,
            )  # fmt: skip

    async def rows_of(self, pipeline: Pipeline, datasets: Sequence[DatasetId], question: Question) -> list[Hit]:
        page = await pipeline.newest(question.filter(datasets), Window(LIMIT, question.offset))
        return page.rows


async def compare_searches(name: str, asked: Asked, datasets: Sequence[DatasetId], question: Question) -> None:
    ways: dict[str, Way] = {
        BARE: asked.bare,
        "containment": lambda: asked.contained(datasets, question),
        "table": lambda: asked.rows_of(asked.table, datasets, question),
        "index": lambda: asked.rows_of(asked.index, datasets, question),
    }
    found = await asked.index.newest(question.filter(datasets), Window(LIMIT))
    report(f"tags: {name}", images_found=found.total, **await timed(ways))


async def compare_facets(name: str, asked: Asked, datasets: Sequence[DatasetId], question: Question) -> None:
    wanted = question.filter(datasets)
    ways: dict[str, Way] = {
        BARE: asked.bare,
        "table": lambda: asked.table.facets(wanted),
        "index": lambda: asked.index.facets(wanted),
    }
    report(f"tags: {name}", **await timed(ways))


async def compare_depths(asked: Asked) -> None:
    """Page one and a deep page of the same answer, in turns; their rows differ."""
    pages = {"page one": Question({"objects": objects(0)}), "offset 100,000": SEARCHES["45 %, offset 100,000"]}

    def way(question: Question) -> Way:
        return lambda: asked.rows_of(asked.index, EVERYWHERE, question)

    results = await timed({name: way(question) for name, question in pages.items()})
    del results["equal"]
    report("tags: does depth cost anything? (45 % tag, organization, index)", **results)


async def timed(ways: Mapping[str, Way]) -> dict[str, Any]:
    """The ways in turns, so that what else the machine does meets all of them."""
    elapsed: dict[str, list[float]] = {name: [] for name in ways}
    answers = {}
    for turn in range(REPEATS):
        for name, way in ways.items():
            if turn and turn >= repeats(elapsed[name][0]):
                continue
            started = time.perf_counter()
            answers[name] = await way()
            elapsed[name].append(time.perf_counter() - started)
    first, *others = (answer for name, answer in answers.items() if name != BARE)
    return {name: percentiles_ms(seconds) for name, seconds in elapsed.items()} | {
        "equal": all(other == first for other in others)
    }


def repeats(seconds: float) -> int:
    """How often a way is asked that took so long the first time."""
    return 1 if seconds > ONCE_S else SLOW_REPEATS if seconds > SLOW_S else REPEATS


async def ask_by_chance(asked: Asked, images: int) -> None:
    """Any combination: the percentiles are of different questions, each asked once."""
    chance = random.Random(7)
    scopes = list(SCOPES.values())
    searches = [(chance.choice(scopes), by_chance(chance)) for _ in range(BY_CHANCE)]
    async with held() as hold:
        took = [await seconds_of(asked.rows_of(asked.index, *one)) for one in searches]
    report(
        "tags: any combination, index", images=images, questions=BY_CHANCE, **percentiles_ms(took),
        longest_ms=round(max(took) * 1000, 1), longest_hold_ms=hold.longest_ms,
    )  # fmt: skip
    async with held() as hold:
        took = [await seconds_of(asked.index.facets(one.filter(where))) for where, one in searches[:FACETS_BY_CHANCE]]
    report(
        "tags: facets under any filter, index", images=images, questions=FACETS_BY_CHANCE, **percentiles_ms(took),
        longest_ms=round(max(took) * 1000, 1), longest_hold_ms=hold.longest_ms,
    )  # fmt: skip


def by_chance(chance: random.Random) -> Question:
    """One to three categories of one to twenty labels each, common ones more often; some deep, some in a folder."""
    categories: list[TagCategory] = ["objects", "scenes", "attributes"]
    labels: dict[TagCategory, Sequence[str]] = {}
    for category in chance.sample(categories, chance.randint(1, 3)):
        ranks = {int(WORDS[category][0] * chance.random() ** 3) for _ in range(chance.choice([1, 1, 2, 5, 20]))}
        labels[category] = [label(category, rank) for rank in sorted(ranks)]
    match: TagMatch = "all" if chance.random() < 0.25 else "any"
    return Question(labels, match, chance.choice([0, 0, 0, 1000, 100_000]), chance.choice(["/", "/", "/", "/a"]))


async def seconds_of(answering: Awaitable[Any]) -> float:
    started = time.perf_counter()
    await answering
    return time.perf_counter() - started


@dataclass
class Hold:
    """How long the event loop did nothing else, at most, beyond a millisecond's sleep."""

    longest_ms: float = 0.0


@asynccontextmanager
async def held() -> AsyncIterator[Hold]:
    """Watches the event loop."""
    hold = Hold()

    async def watch() -> None:
        while True:
            started = time.perf_counter()
            await asyncio.sleep(0.001)
            late_ms = (time.perf_counter() - started) * 1000 - 1
            hold.longest_ms = max(hold.longest_ms, round(late_ms, 2))

    watching = asyncio.create_task(watch())
    await asyncio.sleep(0)
    try:
        yield hold
    finally:
        watching.cancel()
        with suppress(asyncio.CancelledError):
            await watching


# Writing.


async def measure_writing(database: Database, folder: Path) -> None:
    """What the log's triggers take from whoever finishes images, and what the process that follows the log takes."""
    space = (await Spaces(database).open(SPEC, SPEC.name)).id
    for workers in WORKERS:
        await report_shares(database, space, workers, ("without the log", "with it"), triggers(database))
    with following(database.conninfo, folder) as process:  # only now: the index is made anew after triggers were off
        for workers in WORKERS:
            await report_shares(database, space, workers, ("with the log", "and with the index"), awake(process))


async def report_shares(
    database: Database, space: SpaceId, workers: int, modes: tuple[str, str], switch: Switch
) -> None:
    """The rates with the switch off and on, in turns, and the share that is left of the first one's."""
    rates: dict[str, list[float]] = {mode: [] for mode in modes}
    without, with_it = modes
    for turn in range(TURNS):
        for mode in modes[:: 1 if turn % 2 else -1]:
            async with switch(mode == with_it):
                rates[mode].append(await finishing_rate(database, space, workers))
    report(
        f"tags: finishing batches of {BATCH} images by {workers} workers",
        images_per_s={mode: round(median(values), 1) for mode, values in rates.items()},
        share=median([a / b for a, b in zip(rates[with_it], rates[without], strict=True)]),
        cost_ms_per_image=round(1000 * (1 / median(rates[with_it]) - 1 / median(rates[without])), 3),
    )


def triggers(database: Database) -> Switch:
    """Switches the triggers of the log off."""

    @asynccontextmanager
    async def switched(on: bool) -> AsyncIterator[None]:
        if on:
            yield
            return
        await alter_triggers(database, "DISABLE")
        yield
        await alter_triggers(database, "ENABLE ALWAYS")

    return switched


def awake(process: BaseProcess) -> Switch:
    """Stops the process that keeps the index, and lets it go on."""

    @asynccontextmanager
    async def switched(on: bool) -> AsyncIterator[None]:
        if on:
            yield
            return
        os.kill(process.pid or 0, signal.SIGSTOP)
        yield
        os.kill(process.pid or 0, signal.SIGCONT)

    return switched


@contextmanager
def following(conninfo: str, folder: Path) -> Iterator[BaseProcess]:
    """A process that keeps the index up to date, as the service has one; begins once it has caught up."""
    context = multiprocessing.get_context("spawn")
    ready = context.Event()
    process = context.Process(target=follow, args=(conninfo, folder, ready), daemon=True)
    process.start()
    try:
        while not ready.wait(1):
            if not process.is_alive():
                raise SystemExit(f"The process that keeps the index ended with {process.exitcode}")
        yield process
    finally:
        process.terminate()
        process.join()


def follow(conninfo: str, folder: Path, ready: Any) -> None:
    """In a process: brings the index up to date, says so, and goes on."""
    built(conninfo, folder)
    ready.set()
    keep_index(conninfo, folder, DEFAULT_BYTES, threading.Event(), 0)


async def finishing_rate(database: Database, space: SpaceId, workers: int) -> float:
    """Images a second; each worker finishes some batches one after the other."""
    batches = [[await waiting_batch(database, space) for _ in range(BATCHES)] for _ in range(workers)]

    async def finish(own: list[list[Encoding]]) -> None:
        for batch in own:
            async with database.writing() as connection:
                rules = await lock_rules(connection, space)
                await save_encodings(connection, space, batch)
                await finish_images(connection, rules, uuid4(), [encoding.sha256 for encoding in batch])

    started = time.perf_counter()
    await asyncio.gather(*(finish(own) for own in batches))
    return workers * BATCHES * BATCH / (time.perf_counter() - started)


async def alter_triggers(database: Database, how: str) -> None:
    async with database.transaction() as connection:
        for table, name in await (await connection.execute(LOG_TRIGGERS)).fetchall():
            await connection.execute(f"ALTER TABLE {table} {how} TRIGGER {name}".encode())


async def waiting_batch(database: Database, space: SpaceId) -> list[Encoding]:
    """Images with jobs, and what a worker would have found out about them."""
    rng = np.random.default_rng()
    vector = np.zeros(DIMENSION, np.float32)
    vector[0] = 1
    sha256s = [Sha256(uuid4().bytes * 2) for _ in range(BATCH)]
    images = [uuid4() for _ in range(BATCH)]
    async with database.transaction() as connection, connection.cursor() as cursor:
        await cursor.executemany(
            "INSERT INTO blob (sha256, size_bytes) VALUES (%s, 1)", [[sha256] for sha256 in sha256s]
        )
        await cursor.executemany(
            f"INSERT INTO image ({COLUMNS}) SELECT %s, dataset_id, id, %s, %s, 'image/jpeg', 1, 1, 1, 'received',"
            " %s, now() FROM folder WHERE dataset_id = %s AND path = '/'".encode(),
            [
                [image, f"{image}.jpg", sha256, Jsonb({}), dataset_id(0)]
                for image, sha256 in zip(images, sha256s, strict=True)
            ],
        )
        await cursor.executemany(
            "INSERT INTO job (image_id, sha256, space_id) VALUES (%s, %s, %s)",
            [[image, sha256, space] for image, sha256 in zip(images, sha256s, strict=True)],
        )
    return [Encoding(sha256, vector, "bench", tags_by_chance(rng), {}) for sha256 in sha256s]


def tags_by_chance(rng: np.random.Generator) -> Tags:
    """As many as photographs have."""
    return {
        "objects": sorted(set(objects(*rng.geometric(0.03, 5) % 2000))),
        "scenes": sorted(set(scenes(*rng.geometric(0.05, 2) % 400))),
        "attributes": sorted({label("attributes", rank) for rank in rng.geometric(0.05, 2) % 300}),
    }


if __name__ == "__main__":
    main()
