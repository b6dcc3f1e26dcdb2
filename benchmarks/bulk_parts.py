"""What does each part of a bulk load cost? One part is left away at a time, in a transaction that is undone.

Processor time of PostgreSQL's own process and of ours, in microseconds an image, by table: on a machine that does other
work too, the wall clock says little. Linux only (/proc).

python -m benchmarks.bulk_parts [--images 20000] [--rounds 3]
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final
from unittest.mock import patch

import numpy as np

from benchmarks.common import median, report
from benchmarks.made_up import FOLDERS, random_images
from pictograph.bulk import load as bulk
from pictograph.bulk.images import BulkImages
from pictograph.db.binary_copy import copy_rows
from pictograph.db.embedded import EmbeddedPostgres
from pictograph.db.migrate import migrate
from pictograph.db.pool import Connection, Database
from pictograph.encode.noop import SPEC
from pictograph.spaces.registry import Spaces
from pictograph.store.datasets import Datasets
from pictograph.store.keys import Keys
from pictograph.types import DatasetId, SpaceId

TRIGGERS: Final = "ALTER TABLE {} DISABLE TRIGGER {}"
LEFT_AWAY: Final[dict[str, tuple[str, ...]]] = {
    "nothing": (),
    "counts and the log of changes": tuple(TRIGGERS.format(table, "USER") for table in ("image", "image_embedding")),
    "these and foreign keys": tuple(
        TRIGGERS.format(table, "ALL") for table in ("image", "encoding", "image_embedding")
    ),
    "tag documents' GIN index": ("DROP INDEX image_by_tags",),
    "other indexes but keys": (
        "DROP INDEX image_newest_first, image_by_state, image_by_sha256",
        "DROP INDEX image_embedding_by_image, image_embedding_by_scope",
    ),
}
TICKS_PER_S: Final = os.sysconf("SC_CLK_TCK")


class Undone(Exception):
    """Ends a transaction without a trace."""


def seconds_of(process: int) -> float:
    """Processor time of a process so far."""
    fields = Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_PER_S


async def load_timed(
    connection: Connection, space: SpaceId, dataset: DatasetId, images: BulkImages, without: Sequence[str]
) -> dict[str, float]:
    """Microseconds an image: of the server in each table and in all, of this process in all."""
    server, count = connection.info.backend_pid, len(images.ids)
    spent: dict[str, float] = {}

    async def timed_copy(to: Connection, table: str, rows: int, columns_of: Callable[[slice], Any]) -> None:
        started = seconds_of(server)
        await copy_rows(to, table, rows, columns_of)
        spent[table] = seconds_of(server) - started

    try:
        async with connection.transaction():
            for statement in without:
                await connection.execute(statement.encode())
            started, started_here = seconds_of(server), time.process_time()
            with patch.object(bulk, "copy_rows", timed_copy):
                await bulk.bulk_load(connection, space, dataset, images)
            spent["server"] = seconds_of(server) - started
            spent["client"] = time.process_time() - started_here
            raise Undone
    except Undone:
        await connection.execute("VACUUM")
    return {name: 1e6 * seconds / count for name, seconds in spent.items()}


async def run(conninfo: str, count: int, rounds: int) -> dict[str, dict[str, float]]:
    database = Database(conninfo, max_connections=2)
    await database.open()
    space = (await Spaces(database).open(SPEC, SPEC.name)).id
    dataset = await Datasets(database).create(await Keys(database).ensure_organization(), "parts")
    spent: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    async with database.connection() as connection:
        paths = [f"/{folder:03}" for folder in range(FOLDERS)]
        folders = np.sort(np.resize(await bulk.make_folders(connection, dataset.id, paths), count))
        random = np.random.default_rng(0)
        await bulk.bulk_load(connection, space, dataset.id, random_images(folders, random))
        for _ in range(rounds):
            for name, without in LEFT_AWAY.items():
                images = random_images(folders, random)
                for part, micros in (await load_timed(connection, space, dataset.id, images, without)).items():
                    spent[name][part].append(micros)
    await database.close()
    return {name: {part: round(median(values), 1) for part, values in parts.items()} for name, parts in spent.items()}


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.bulk_parts", description="What each part costs.")
    parser.add_argument("--images", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        server = EmbeddedPostgres.start(Path(folder))
        try:
            migrate(server.conninfo)
            parts = asyncio.run(run(server.conninfo, options.images, options.rounds))
        finally:
            server.stop()
    report("microseconds an image of a bulk load, with one part left away", images=options.images, left_away=parts)


if __name__ == "__main__":
    main(sys.argv[1:])
