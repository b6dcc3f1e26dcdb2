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
from collections.abc import Sequence
from pathlib import Path
from uuid import uuid4

import numpy as np

from benchmarks.common import Rate, measured, median, report
from pictograph.bulk.images import BulkImages, new_ids, tag_documents
from pictograph.bulk.load import bulk_load, embedding_columns, make_folders
from pictograph.db.binary_copy import SLICE, copy_rows, laid_out
from pictograph.db.embedded import EmbeddedPostgres
from pictograph.db.migrate import migrate
from pictograph.db.pool import Connection, Database
from pictograph.encode.noop import SPEC
from pictograph.spaces.registry import Spaces
from pictograph.store.datasets import Datasets
from pictograph.store.keys import Keys
from pictograph.types import DIMENSION, DatasetId, SpaceId, Tags

CHUNK = 50_000
FOLDERS = 100
TAGS: list[Tags] = [
    {"objects": ["car", "truck"], "scenes": ["street"], "attributes": ["sharp"]},
    {"objects": [], "scenes": ["indoor", "kitchen", "room"], "attributes": []},
]
BARE = "CREATE TABLE bare (LIKE image_embedding INCLUDING STORAGE INCLUDING DEFAULTS)"


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
        tags=tag_documents([TAGS[number % len(TAGS)] for number in range(count)]),
    )


def lay_out(space: SpaceId, dataset: DatasetId, images: BulkImages) -> Rate:
    with measured(len(images.ids)) as rate:
        for start in range(0, len(images.ids), SLICE):
            laid_out(embedding_columns(space, dataset, images.rows(slice(start, start + SLICE))))
    return rate


async def load_table(connection: Connection, space: SpaceId, dataset: DatasetId, images: BulkImages) -> Rate:
    await connection.execute(BARE)
    with measured(len(images.ids)) as rate:
        await copy_rows(
            connection, "bare", len(images.ids), lambda part: embedding_columns(space, dataset, images.rows(part))
        )
    await connection.execute("DROP TABLE bare")
    return rate


async def load_whole(connection: Connection, space: SpaceId, dataset: DatasetId, chunks: Sequence[BulkImages]) -> Rate:
    with measured(sum(len(images.ids) for images in chunks)) as rate:
        for images in chunks:
            await bulk_load(connection, space, dataset, images)
    return rate


async def run(conninfo: str, count: int, rounds: int) -> dict[str, list[Rate]]:
    """Every way in turn, `rounds` times."""
    database = Database(conninfo, max_connections=2)
    await database.open()
    space = (await Spaces(database).open(SPEC, SPEC.name)).id
    organization = await Keys(database).ensure_organization()
    rates: dict[str, list[Rate]] = {"laid_out": [], "table": [], "whole": [], "delete": []}
    random = np.random.default_rng(0)
    for turn in range(rounds):
        dataset = await Datasets(database).create(organization, f"round {turn}")
        async with database.connection() as connection:
            paths = [f"/{folder:03}" for folder in range(FOLDERS)]
            folders = np.sort(np.resize(await make_folders(connection, dataset.id, paths), count))
            chunks = [random_images(folders[start : start + CHUNK], random) for start in range(0, count, CHUNK)]
            rates["laid_out"].append(lay_out(space, dataset.id, chunks[0]))
            rates["table"].append(await load_table(connection, space, dataset.id, chunks[0]))
            rates["whole"].append(await load_whole(connection, space, dataset.id, chunks))
        with measured(count) as rate:
            await Datasets(database).delete(organization, dataset.name)
        rates["delete"].append(rate)
    await database.close()
    return rates


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks bulk", description="Bulk load and deletion.")
    parser.add_argument("--images", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        server = EmbeddedPostgres.start(Path(folder))
        try:
            migrate(server.conninfo)
            rates = asyncio.run(run(server.conninfo, options.images, options.rounds))
        finally:
            server.stop()
    report(
        "vectors/s of a bulk load, and seconds to delete the dataset",
        images=options.images,
        rounds=options.rounds,
        chunk=CHUNK,
        vectors_per_s={
            "laid_out": round(median([rate.images_per_s for rate in rates["laid_out"]])),
            "table": round(median([rate.images_per_s for rate in rates["table"]])),
            "whole": round(median([rate.images_per_s for rate in rates["whole"]])),
        },
        delete_s=median([options.images / rate.images_per_s for rate in rates["delete"]]),
        cpu_ms_per_image={name: median([rate.cpu_ms for rate in given]) for name, given in rates.items()},
    )


if __name__ == "__main__":
    main(sys.argv[1:])
