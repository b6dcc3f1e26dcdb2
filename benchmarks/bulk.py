"""How fast are images with ready vectors loaded, and how fast is a dataset of them deleted?

Laid out: NumPy makes the bytes of the COPY, nothing else runs. Table: the vectors alone, into a table like
`image_embedding` without its indexes and constraints. Whole: everything that `bulk_load` writes for an image (blob,
image, encoding, search row; indexes, foreign keys, triggers), a commit for each chunk. Delete: the dataset through
`Datasets.delete`, all that hangs on it included.

python -m benchmarks.bulk --images 100000 --rounds 3
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from uuid import uuid4

import numpy as np

from benchmarks.common import median, report
from pictograph.db.binary_copy import copy_rows, laid_out
from pictograph.db.embedded import EmbeddedPostgres
from pictograph.db.migrate import migrate
from pictograph.db.pool import Connection, Database
from pictograph.encode.noop import SPEC
from pictograph.index.bulk import bulk_load, embedding_columns, make_folders
from pictograph.index.bulk_images import BulkImages, new_ids
from pictograph.index.spaces import Spaces
from pictograph.store.datasets import Datasets
from pictograph.store.keys import Keys
from pictograph.types import DIMENSION, DatasetId, OrganizationId, SpaceId, Tags

CHUNK = 50_000
FOLDERS = 100
TAGS: list[Tags] = [
    {"objects": ["car", "truck"], "scenes": ["street"], "attributes": ["sharp"]},
    {"objects": [], "scenes": ["indoor", "kitchen", "room"], "attributes": []},
]
BARE = "CREATE TABLE bare (LIKE image_embedding INCLUDING STORAGE)"


def random_images(folder_ids: np.ndarray, random: np.random.Generator) -> BulkImages:
    count = len(folder_ids)
    vectors = random.standard_normal((count, DIMENSION), np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return BulkImages(
        ids=new_ids(count),
        folder_ids=folder_ids,
        filenames=[f"{uuid4().hex}.jpg" for _ in range(count)],
        sha256s=random.integers(0, 256, (count, 32), np.uint8),
        sizes_bytes=np.full(count, 200_000),
        widths_px=np.full(count, 1024),
        heights_px=np.full(count, 768),
        vectors=vectors.astype(np.float16),
        tags=[TAGS[number % len(TAGS)] for number in range(count)],
    )


def layout_rate(space: SpaceId, dataset: DatasetId, images: BulkImages) -> float:
    started = time.perf_counter()
    for start in range(0, len(images.ids), 1024):
        laid_out(embedding_columns(space, dataset, images.rows(slice(start, start + 1024))))
    return len(images.ids) / (time.perf_counter() - started)


async def table_rate(connection: Connection, space: SpaceId, dataset: DatasetId, images: BulkImages) -> float:
    await connection.execute(BARE)
    started = time.perf_counter()
    await copy_rows(
        connection, "bare", len(images.ids), lambda part: embedding_columns(space, dataset, images.rows(part))
    )
    elapsed = time.perf_counter() - started
    await connection.execute("DROP TABLE bare")
    return len(images.ids) / elapsed


async def whole_s(database: Database, space: SpaceId, dataset: DatasetId, chunks: Sequence[BulkImages]) -> float:
    started = time.perf_counter()
    async with database.connection() as connection:
        for images in chunks:
            await bulk_load(connection, space, dataset, images)
    return time.perf_counter() - started


async def delete_s(database: Database, organization: OrganizationId, name: str) -> float:
    started = time.perf_counter()
    await Datasets(database).delete(organization, name)
    return time.perf_counter() - started


async def rounds(conninfo: str, count: int, number: int) -> dict[str, list[float]]:
    """Every way in turn, `number` times."""
    database = Database(conninfo, max_connections=2)
    await database.open()
    space = (await Spaces(database).open(SPEC, SPEC.name)).id
    organization = await Keys(database).ensure_organization()
    times: dict[str, list[float]] = {"laid_out": [], "table": [], "whole": [], "delete": []}
    random = np.random.default_rng(0)
    for turn in range(number):
        dataset = await Datasets(database).create(organization, f"round {turn}")
        async with database.connection() as connection:
            paths = [f"/{folder:03}" for folder in range(FOLDERS)]
            folders = np.sort(np.resize(await make_folders(connection, dataset.id, paths), count))
            chunks = [random_images(folders[start : start + CHUNK], random) for start in range(0, count, CHUNK)]
            times["laid_out"].append(layout_rate(space, dataset.id, chunks[0]))
            times["table"].append(await table_rate(connection, space, dataset.id, chunks[0]))
        times["whole"].append(count / await whole_s(database, space, dataset.id, chunks))
        times["delete"].append(await delete_s(database, organization, dataset.name))
    await database.close()
    return times


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks bulk", description="Bulk load and deletion.")
    parser.add_argument("--images", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        server = EmbeddedPostgres.start(Path(folder))
        try:
            migrate(server.conninfo)
            times = asyncio.run(rounds(server.conninfo, options.images, options.rounds))
        finally:
            server.stop()
    report(
        "vectors/s of a bulk load, and seconds to delete the dataset",
        images=options.images,
        rounds=options.rounds,
        chunk=CHUNK,
        laid_out_vectors_per_s=round(median(times["laid_out"])),
        table_vectors_per_s=round(median(times["table"])),
        table_vectors_per_s_best=round(max(times["table"])),
        whole_images_per_s=round(median(times["whole"])),
        whole_images_per_s_best=round(max(times["whole"])),
        delete_s=median(times["delete"]),
        delete_s_best=round(min(times["delete"]), 3),
    )


if __name__ == "__main__":
    main(sys.argv[1:])
