"""Does a library grow when datasets come and go? Sizes after the first and the last of many rounds of load
and delete, and the largest there were.

Beside a dataset that stays, one of the same tags is loaded and deleted again and again; autovacuum is left to itself.
`defaults` does it with PostgreSQL's own autovacuum settings for every table.

python -m benchmarks.churn [--rounds 20] [--images 10000] [--pause-s 5] [--defaults]
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np

from benchmarks.common import measured, median, report
from benchmarks.made_up import FOLDERS, random_images
from pictograph.bulk.load import bulk_load, make_folders
from pictograph.db.embedded import EmbeddedPostgres
from pictograph.db.migrate import migrate
from pictograph.db.pool import Connection, Database
from pictograph.encode.noop import SPEC
from pictograph.spaces.registry import Spaces
from pictograph.store.changes import prune_changes
from pictograph.store.counts import ImageCounts
from pictograph.store.datasets import Datasets
from pictograph.store.keys import Keys
from pictograph.types import DatasetId, OrganizationId, SpaceId

TABLES: Final = ("image", "image_embedding", "image_count", "image_change")
SETTINGS: Final = ("vacuum_scale_factor", "vacuum_threshold", "analyze_scale_factor")
SIZE: Final = "SELECT relname, pg_table_size(oid), pg_indexes_size(oid) FROM pg_class WHERE relname = ANY(%s)"


async def sizes_mb(connection: Connection) -> dict[str, list[float]]:
    """Table and indexes of each, in MiB."""
    rows = await (await connection.execute(SIZE, [list(TABLES)])).fetchall()
    return {name: [round(size / 2**20, 1) for size in sizes] for name, *sizes in sorted(rows)}


async def load(
    connection: Connection, space: SpaceId, dataset: DatasetId, count: int, random: np.random.Generator
) -> None:
    paths = [f"/{folder:03}" for folder in range(FOLDERS)]
    folders = np.sort(np.resize(await make_folders(connection, dataset, paths), count))
    await bulk_load(connection, space, dataset, random_images(folders, random))


async def churn(database: Database, organization: OrganizationId, options: argparse.Namespace) -> None:
    space = (await Spaces(database).open(SPEC, SPEC.name)).id
    random, datasets, counts = np.random.default_rng(0), Datasets(database), ImageCounts(database)
    async with database.connection() as connection:
        if options.defaults:
            for table in TABLES:
                names = ", ".join(f"autovacuum_{name}" for name in SETTINGS)
                await connection.execute(f"ALTER TABLE {table} RESET ({names})".encode())
        await load(connection, space, (await datasets.create(organization, "stays")).id, options.images, random)
        sizes: list[dict[str, list[float]]] = []
        deletions = []
        for _ in range(options.rounds):
            passing = await datasets.create(organization, "passing")
            await load(connection, space, passing.id, options.images, random)
            sizes.append(await sizes_mb(connection))
            with measured(options.images) as rate:
                await datasets.delete(organization, "passing")
            deletions.append(options.images / rate.images_per_s)
            await counts.add_up()
            await prune_changes(connection)
            await asyncio.sleep(options.pause_s)
        report(
            "sizes in MiB [table, indexes] when a dataset is loaded and deleted again and again",
            images=options.images,
            rounds=options.rounds,
            autovacuum="PostgreSQL's defaults" if options.defaults else "as migrated",
            first=sizes[0],
            last=sizes[-1],
            largest={name: [max(size[name][part] for size in sizes) for part in (0, 1)] for name in TABLES},
            delete_s=median(deletions),
        )


async def run(conninfo: str, options: argparse.Namespace) -> None:
    database = Database(conninfo, max_connections=3)
    await database.open()
    try:
        await churn(database, await Keys(database).ensure_organization(), options)
    finally:
        await database.close()


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.churn", description="Load and delete, many times.")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--pause-s", type=float, default=5.0)
    parser.add_argument("--defaults", action="store_true", help="PostgreSQL's own autovacuum settings")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        server = EmbeddedPostgres.start(Path(folder))
        try:
            migrate(server.conninfo)
            asyncio.run(run(server.conninfo, options))
        finally:
            server.stop()


if __name__ == "__main__":
    main(sys.argv[1:])
