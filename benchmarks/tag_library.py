"""A made-up library for benchmarks/tags.py: rows only, with tags as lopsided in frequency and in time as real ones.

About 4.5 of 2,000 objects, 2 of 400 scenes and 2 of 300 attributes an image, Zipf within 40 latent topics; 60 datasets,
Zipf; and one tag, `skewed`, that only the oldest tenth of the images carries (half of it: 5 % of all). Fixed seed.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

import numpy as np
import psycopg

SEED: Final = 11
CHUNK: Final = 100_000
DATASETS: Final = 60
WORDS: Final = {"objects": (2000, 4.5, 0.45), "scenes": (400, 2.0, 0.20), "attributes": (300, 2.0, 0.20)}
"""Labels, mean number on an image, share of images that carry the most frequent one."""
TOPICS: Final = 40
OLDEST: Final = datetime(2020, 1, 1, tzinfo=UTC)
SKEWED: Final = "skewed"
ORGANIZATION: Final = UUID(int=1)
COLUMNS: Final = (
    "id, dataset_id, folder_id, filename, sha256, content_type, width, height, file_size, state, image_auto_tags, "
    "created_at"
)


def dataset_id(number: int) -> UUID:
    return UUID(int=1000 + number)


def label(category: str, rank: int) -> str:
    """The label of that frequency rank, 0 is the most frequent."""
    return f"{category[:-1]}-{rank:04}"


INDEXES: Final = """
SELECT indexrelid::regclass::text, pg_get_indexdef(indexrelid) FROM pg_index
WHERE indrelid = 'image'::regclass AND NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = indexrelid)"""
NAMES_ARE_UNIQUE: Final = "image_folder_id_filename_key"


@contextmanager
def bulk_load(connection: psycopg.Connection[Any]) -> Iterator[None]:
    """Rows come without foreign keys, and without triggers but those of the log; other indexes are made at the end."""
    indexes = connection.execute(INDEXES).fetchall()
    connection.execute("SET session_replication_role = replica")
    connection.execute(f"ALTER TABLE image DROP CONSTRAINT {NAMES_ARE_UNIQUE}".encode())
    for name, _ in indexes:
        connection.execute(f"DROP INDEX {name}".encode())
    yield
    for _, definition in indexes:
        connection.execute(definition.encode())
    connection.execute(f"ALTER TABLE image ADD CONSTRAINT {NAMES_ARE_UNIQUE} UNIQUE (folder_id, filename)".encode())
    connection.execute("SET session_replication_role = DEFAULT")


def fill(connection: psycopg.Connection[Any], images: int) -> None:
    """Writes organization, datasets, folders and images, newest last."""
    connection.execute("INSERT INTO organization (id, name) VALUES (%s, 'bench')", [ORGANIZATION])
    connection.execute("INSERT INTO blob (sha256, size_bytes) VALUES (sha256('x'), 1)")
    for number in range(DATASETS):
        row = [dataset_id(number), ORGANIZATION, f"dataset {number}"]
        connection.execute("INSERT INTO dataset (id, organization_id, name) VALUES (%s, %s, %s)", row)
        connection.execute("INSERT INTO folder (dataset_id, path) VALUES (%s, '/'), (%s, '/a')", [row[0], row[0]])
    rows = connection.execute("SELECT dataset_id, array_agg(id ORDER BY path) FROM folder GROUP BY 1").fetchall()
    folders = dict(rows)
    with bulk_load(connection), ProcessPoolExecutor(1) as ahead:
        starts = range(0, images, CHUNK)
        chunk = ahead.submit(text_of, 0, images, folders)
        for following in [*starts[1:], None]:  # one chunk is made ahead while another is written
            text = chunk.result()
            if following is not None:
                chunk = ahead.submit(text_of, following, images, folders)
            with connection.cursor().copy(f"COPY image ({COLUMNS}) FROM STDIN".encode()) as copy:
                copy.write(text)


def text_of(first: int, images: int, folders: dict[UUID, list[int]]) -> str:
    """A chunk as COPY reads it."""
    return "".join(lines(first, min(CHUNK, images - first), images, folders))


def lines(first: int, count: int, images: int, folders: dict[UUID, list[int]]) -> Iterator[str]:
    rng = np.random.default_rng([SEED, first])
    weights = 1 / np.arange(1, DATASETS + 1)
    datasets = rng.choice(DATASETS, count, p=weights / weights.sum())
    documents = tag_documents(rng, first, count, images)
    for row in range(count):
        number = first + row
        created_at = OLDEST + timedelta(seconds=number)
        image = UUID(int=(int(created_at.timestamp() * 1000) << 80) | (7 << 76) | (2 << 62) | number)
        dataset = dataset_id(datasets[row])
        folder = folders[dataset][number % 8 == 0]
        yield (
            f"{image}\t{dataset}\t{folder}\t{number}.jpg\t\\\\x2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a"
            f"4881\timage/jpeg\t640\t480\t1000\ttagged\t{documents[row]}\t{created_at.isoformat()}\n"
        )


def tag_documents(rng: np.random.Generator, first: int, count: int, images: int) -> list[str]:
    topics = rng.integers(0, TOPICS, count)
    drawn = {category: ranks_of(rng, topics, *sizes) for category, sizes in WORDS.items()}
    is_old = np.arange(first, first + count) < images // 10
    is_skewed = is_old & (rng.random(count) < 0.5)
    documents = []
    for row in range(count):
        tags = {category: [label(category, rank) for rank in dict.fromkeys(drawn[category][row])] for category in WORDS}
        if is_skewed[row]:
            tags["objects"].append(SKEWED)
        documents.append(json.dumps(tags))
    return documents


def ranks_of(
    rng: np.random.Generator, topics: np.ndarray[Any, Any], labels: int, mean: float, top: float
) -> list[list[int]]:
    """Frequency ranks of each image's labels: rank 0 by itself, the others by Zipf, half of them from its topic."""
    count = len(topics)
    wanted = rng.poisson(mean - top, count)
    weights = 1 / np.arange(2, labels + 1) ** 1.05
    ranks = 1 + rng.choice(labels - 1, int(wanted.sum()), p=weights / weights.sum())
    owner = np.repeat(topics, wanted)
    of_topic = rng.random(len(ranks)) < 0.5
    ranks = np.where(of_topic, 1 + (ranks // TOPICS * TOPICS + owner) % (labels - 1), ranks)
    pieces = [piece.tolist() for piece in np.split(ranks, np.cumsum(wanted)[:-1])]
    has_top = rng.random(count) < top
    return [[0, *piece] if first else piece for first, piece in zip(has_top, pieces, strict=True)]
