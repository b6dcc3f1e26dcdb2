"""Codes change how long a search takes, never what exists: whatever happens beside them, the table decides."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

import numpy as np
import numpy.typing as npt
import psycopg
import pytest
from pgvector import HalfVector
from pgvector.psycopg import register_vector_async

from pictograph.encode.protocol import EncoderSpec
from pictograph.errors import Unavailable
from pictograph.index import code_segments
from pictograph.index.candidates import QueryKind, over_fetch, shortlist, uuid_array
from pictograph.index.code_rows import ROW
from pictograph.index.codes import BYTES_PER_IMAGE, Codes
from pictograph.search.found import Neighbour, Scope, as_stored, nearest_exact, search_values
from pictograph.index.ranked import NEAREST_OF_ALL, nearest_by_codes
from pictograph.index.writer import remove_from_index
from pictograph.spaces.reindex import Reindex
from pictograph.store.datasets import Dataset
from pictograph.store.images import archive_image
from pictograph.types import DIMENSION, DatasetId, SpaceId
from support.planting import Garden

FOLDERS = ("/", "/day", "/day/rain", "/night")
ACTIONS = (
    *("plant", "plant", "move", "vector", "archive", "restore", "delete"),
    *("refresh", "other", "reload", "ghosts"),
)
SUBTREE = "SELECT id FROM folder WHERE dataset_id = ANY(%s) AND (path = %s OR starts_with(path, %s))"
INSERT_FOLDER = """
INSERT INTO folder (dataset_id, path) VALUES (%s, %s) ON CONFLICT (dataset_id, path) DO NOTHING"""
FOLDER = "SELECT id FROM folder WHERE dataset_id = %s AND path = %s"
INSERT_IMAGES = """
INSERT INTO image (id, dataset_id, folder_id, filename, sha256, content_type, width, height, file_size)
SELECT id, %s, %s, id::text, sha256('x'), 'image/jpeg', 1, 1, 1 FROM unnest(%s::uuid[]) id"""
INSERT_EMBEDDING = """
INSERT INTO image_embedding (space_id, image_id, dataset_id, folder_id, vector)
SELECT %s, id, dataset_id, folder_id, %s FROM image WHERE id = %s"""
PLANTED = """
CREATE TEMP TABLE IF NOT EXISTS planted (image_id uuid, dataset_id uuid, folder_id bigint, vector halfvec(1152));
TRUNCATE planted"""
PLACE = """
INSERT INTO image_embedding (space_id, image_id, dataset_id, folder_id, vector)
SELECT %s, image_id, dataset_id, folder_id, vector FROM planted"""
MOVE = """
WITH moved AS (UPDATE image SET folder_id = %(folder)s WHERE id = %(image)s)
UPDATE image_embedding SET folder_id = %(folder)s WHERE image_id = %(image)s"""
ARCHIVE = "DELETE FROM image_embedding WHERE image_id = %s"
DELETE = "DELETE FROM image WHERE id = %s"
NEW_VECTOR = "UPDATE image_embedding SET vector = %s WHERE image_id = %s"


def scattered(count: int, seed: int) -> npt.NDArray[np.float32]:
    """Unit vectors around some middles, with a common direction, as encoders make them."""
    chance = np.random.default_rng(seed)
    middles = chance.standard_normal((40, DIMENSION)) + chance.standard_normal(DIMENSION)
    basis = chance.standard_normal((30, DIMENSION))
    vectors = middles[chance.integers(0, 40, count)] + 0.2 * chance.standard_normal((count, 30)) @ basis
    vectors += 0.2 * chance.standard_normal((count, DIMENSION))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors.astype(np.float32)


@dataclass
class Field:
    """A database to plant in by the thousand, and codes beside it."""

    garden: Garden
    codes: Codes
    connection: psycopg.AsyncConnection[object]

    async def folder(self, dataset: Dataset, path: str) -> int:
        await self.connection.execute(INSERT_FOLDER, [dataset.id, path])
        row = await (await self.connection.execute(FOLDER, [dataset.id, path])).fetchone()
        return int(row[0])  # type: ignore[index]

    async def plant(self, dataset: Dataset, vectors: npt.NDArray[np.float32], folder: str = "/") -> list[UUID]:
        images = [uuid4() for _ in vectors]
        place = await self.folder(dataset, folder)
        await self.connection.execute("INSERT INTO blob VALUES (sha256('x'), 1) ON CONFLICT DO NOTHING")
        await self.connection.execute(INSERT_IMAGES, [dataset.id, place, images])
        copy_in = "COPY planted FROM STDIN (FORMAT BINARY)"
        await self.connection.execute(PLANTED)
        rows = np.zeros(len(images), ROW)
        rows["fields"], rows["dimension"], rows["folder"], rows["vector"] = 4, DIMENSION, place, vectors
        rows["n1"], rows["n2"], rows["n3"], rows["n4"] = 16, 16, 8, 2 * DIMENSION + 4
        rows["image"] = np.frombuffer(b"".join(image.bytes for image in images), "S16")
        rows["dataset"] = np.frombuffer(dataset.id.bytes, "S16")
        async with self.connection.cursor() as cursor, cursor.copy(copy_in) as copy:
            await copy.write(b"PGCOPY\n\xff\r\n\0" + bytes(8) + rows.tobytes() + b"\xff\xff")
        await self.connection.execute(PLACE, [self.garden.space])
        if len(images) > 1000:
            await self.connection.execute("ANALYZE image_embedding, image, folder")
        return images

    async def both(
        self, query: npt.NDArray[np.float32], datasets: list[DatasetId], folder: str = "/", *,
        limit: int = 50, threshold: float = 0.0, count: int | None = None, left_out: UUID | None = None,
        codes: Codes | None = None, kind: QueryKind = "image",
    ) -> tuple[list[Neighbour] | None, list[Neighbour]]:  # fmt: skip
        """What the codes lead to, and what is true."""
        async with self.garden.database.connection() as connection:
            below = folder.rstrip("/") + "/"
            found = await (await connection.execute(SUBTREE, [datasets, folder, below])).fetchall()
            folders = None if folder == "/" else [row[0] for row in found]
            candidates = await (codes or self.codes).candidates(
                self.garden.space,
                datasets,
                folders,
                query,
                over_fetch(limit, kind) if count is None else count,
                kind=kind,
            )
            assert candidates is not None
            assert len(set(candidates.image_ids)) == len(candidates)
            scope = Scope(self.garden.space, datasets, folder, left_out=left_out)  # type: ignore[arg-type]
            vector = as_stored(query)
            return (
                await nearest_by_codes(connection, scope, vector, candidates, threshold=threshold, limit=limit),
                await nearest_exact(connection, scope, vector, threshold=threshold, limit=limit),
            )


@pytest.fixture
async def field(garden: Garden) -> AsyncIterator[Field]:
    codes = Codes(garden.database, segment_rows=500)
    async with await psycopg.AsyncConnection.connect(garden.database.conninfo, autocommit=True) as connection:
        await register_vector_async(connection)
        yield Field(garden, codes, connection)
    await codes.close()


def recall(found: list[Neighbour] | None, truth: list[Neighbour]) -> float:
    assert found is not None
    return len({row.id for row in found} & {row.id for row in truth}) / max(len(truth), 1)


@pytest.mark.parametrize(
    ("rows", "floor"), [(10, 1.0), (200, 1.0), (3000, 0.99), pytest.param(20_000, 0.99, marks=pytest.mark.long)]
)
async def test_recall_at_50_is_99_percent_or_more_at_every_size(field: Field, rows: int, floor: float) -> None:
    street = await field.garden.dataset()
    vectors = scattered(rows + 20, seed=rows)
    await field.plant(street, vectors[20:])
    await field.codes.refresh()
    assert field.codes.covers(field.garden.space, [street.id]) == rows
    scores = [recall(*await field.both(query, [street.id])) for query in vectors[:20]]
    assert np.mean(scores) >= floor


def unlike(pictures: npt.NDArray[np.float32], seed: int) -> npt.NDArray[np.float32]:
    """Vectors as words have: along a direction of their own, with noise, and a weak trace of a picture."""
    chance = np.random.default_rng(seed)
    own, noise = chance.standard_normal(DIMENSION), chance.standard_normal(pictures.shape)
    noise /= np.linalg.norm(noise, axis=1, keepdims=True)
    vectors = 0.32 * pictures + 0.75 * own / np.linalg.norm(own) + 0.58 * noise
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


async def test_a_shortlist_that_is_too_short_is_made_longer(field: Field, monkeypatch: pytest.MonkeyPatch) -> None:
    street = await field.garden.dataset()
    vectors = scattered(5000, seed=8)
    await field.plant(street, vectors)
    await field.codes.refresh()
    monkeypatch.setattr(code_segments, "shortlist", lambda count, _kind: count)
    asked: list[int] = []
    scan = code_segments.Held._scan

    def counted(held: Any, query: Any, scope: Any, wanted: int, helpers: Any) -> Any:
        asked.append(wanted)
        return scan(held, query, scope, wanted, helpers)

    monkeypatch.setattr(code_segments.Held, "_scan", counted)
    scores = [recall(*await field.both(query, [street.id])) for query in unlike(vectors[:10], seed=4)]
    assert max(asked) >= 4 * min(asked)
    assert np.mean(scores) >= 0.98


@pytest.mark.parametrize("kind", ["text", pytest.param("image", marks=pytest.mark.long)])
@pytest.mark.parametrize("limit", [50, pytest.param(500, marks=pytest.mark.long)])
async def test_recall_of_words_and_of_pictures_as_far_away_is_98_percent_or_more(
    field: Field, kind: QueryKind, limit: int
) -> None:
    street = await field.garden.dataset()
    vectors = scattered(20_000, seed=3)
    await field.plant(street, vectors)
    await field.codes.refresh()
    queries = unlike(vectors[:10], seed=4)
    scores = [recall(*await field.both(query, [street.id], limit=limit, kind=kind)) for query in queries]
    assert np.mean(scores) >= 0.98


async def test_rows_are_exactly_those_of_the_exact_scan(field: Field) -> None:
    """With ties, a threshold, a scale, a folder and a reference that is no row."""
    street, shop = await field.garden.dataset("street"), await field.garden.dataset("shop")
    vectors = scattered(60, seed=1)
    planted = []
    for folder in FOLDERS:
        planted += await field.plant(street, np.concatenate([vectors, vectors]), folder)  # every vector twice
    await field.plant(shop, vectors)
    await field.codes.refresh()
    for folder in FOLDERS:
        for threshold in (0.0, 0.4, 0.9):
            found, truth = await field.both(
                vectors[0], [street.id], folder, threshold=threshold, left_out=planted[0], count=500
            )
            assert found == truth
    assert (await field.both(vectors[0], [street.id, shop.id], limit=500, count=2000))[0] is not None


async def test_new_moved_changed_archived_restored_and_deleted_images_are_right_without_a_refresh(field: Field) -> None:
    street = await field.garden.dataset()
    vectors = scattered(300, seed=2)
    images = await field.plant(street, vectors[:200], "/day")
    await field.codes.refresh()
    night = await field.folder(street, "/night")
    await field.plant(street, vectors[200:], "/night")
    for image in images[:40]:
        await field.connection.execute(MOVE, {"folder": night, "image": image})
    for image in images[40:60]:
        await field.connection.execute(ARCHIVE, [image])
    for image in images[60:80]:
        await field.connection.execute(DELETE, [image])
    for image in images[50:60]:
        await field.connection.execute(INSERT_EMBEDDING, [field.garden.space, HalfVector(vectors[0]), image])
    for image in images[80:90]:
        await field.connection.execute(NEW_VECTOR, [HalfVector(-vectors[0]), image])
    for _ in ("before a refresh", "after it", "and after another"):
        for folder in FOLDERS:
            for query in vectors[::60]:
                found, truth = await field.both(query, [street.id], folder, limit=100, count=1000)
                assert found == truth
        await field.codes.refresh()


async def test_a_transaction_that_began_before_the_load_and_commits_after_it_is_found(field: Field) -> None:
    street = await field.garden.dataset()
    vectors = scattered(105, seed=3)
    await field.plant(street, vectors[:100])
    late = [await psycopg.AsyncConnection.connect(field.garden.database.conninfo) for _ in range(5)]
    try:
        ids = []
        for number, connection in enumerate(late):  # five transactions are open at once, each with a number of its own
            await register_vector_async(connection)
            ids.append(uuid4())
            place = await field.folder(street, "/")
            await connection.execute(INSERT_IMAGES, [street.id, place, [ids[-1]]])
            values = [field.garden.space, HalfVector(vectors[100 + number]), ids[-1]]
            await connection.execute(INSERT_EMBEDDING, values)
            await field.plant(street, scattered(3, seed=100 + number))  # commits meanwhile, with a higher number
        await field.codes.refresh()
        for number in (3, 0, 4, 2, 1):  # and they commit out of order, with refreshes in between
            await late[number].commit()
            found, truth = await field.both(vectors[100 + number], [street.id], count=1000)
            assert found == truth
            assert found is not None
            assert found[0].id == ids[number]
            await field.codes.refresh()
            found, truth = await field.both(vectors[100 + number], [street.id], count=1000)
            assert found == truth
        assert field.codes.covers(field.garden.space, [street.id]) == 120
    finally:
        for connection in late:
            await connection.close()


async def test_a_transaction_that_rolls_back_leaves_nothing(field: Field) -> None:
    street = await field.garden.dataset()
    images = await field.plant(street, scattered(20, seed=4))
    async with field.connection.transaction(force_rollback=True):
        await field.connection.execute(ARCHIVE, [images[0]])
        await field.codes.refresh()
    found, truth = await field.both(scattered(1, seed=4)[0], [street.id])
    assert found == truth
    assert len(truth) == 20


@pytest.mark.parametrize("seed", range(6))
async def test_any_order_of_writes_refreshes_and_restarts_gives_the_exact_answer(field: Field, seed: int) -> None:
    chance = random.Random(seed)
    datasets = [await field.garden.dataset(name) for name in ("street", "shop")]
    alive: list[UUID] = []
    hidden: list[UUID] = []
    other = Codes(field.garden.database, segment_rows=40)  # another process
    field.codes._segment_rows = 30
    await field.codes.refresh()
    await other.refresh()
    for step in range(60):
        action = chance.choice(ACTIONS)
        vectors = scattered(chance.randint(1, 25), seed=seed * 1000 + step)
        if action == "plant":
            alive += await field.plant(chance.choice(datasets), vectors, chance.choice(FOLDERS))
        elif action == "refresh":
            await field.codes.refresh()
        elif action == "other":
            await other.refresh()
        elif action == "reload":
            await field.codes.close()
            field.codes = Codes(field.garden.database, segment_rows=30)
            await field.codes.refresh()
        elif action == "ghosts":
            field.codes._rounds = 29  # the round in which codes of deleted images go
            await field.codes.refresh()
        elif action == "restore" and hidden:
            image = hidden.pop()
            await field.connection.execute(INSERT_EMBEDDING, [field.garden.space, HalfVector(vectors[0]), image])
            alive.append(image)
        elif alive and action in ("move", "vector", "archive", "delete"):
            image = alive.pop(chance.randrange(len(alive)))
            if action == "move":
                place = await field.folder(datasets[0], chance.choice(FOLDERS))
                await field.connection.execute(
                    "UPDATE image SET dataset_id = %s, folder_id = %s WHERE id = %s", [datasets[0].id, place, image]
                )
                await field.connection.execute(
                    "UPDATE image_embedding SET dataset_id = %s, folder_id = %s WHERE image_id = %s",
                    [datasets[0].id, place, image],
                )
                alive.append(image)
            elif action == "vector":
                await field.connection.execute(NEW_VECTOR, [HalfVector(vectors[0]), image])
                alive.append(image)
            else:
                await field.connection.execute(ARCHIVE if action == "archive" else DELETE, [image])
                hidden += [image] if action == "archive" else []
        query = scattered(1, seed=seed * 7 + step)[0]
        for codes in (field.codes, other):
            scope = chance.choice([[datasets[0].id], [datasets[1].id], [one.id for one in datasets]])
            found, truth = await field.both(query, scope, chance.choice(FOLDERS), limit=500, count=100_000, codes=codes)
            assert found == truth, (step, action)
    await other.close()


async def test_deleted_images_leave_the_memory_in_the_end(field: Field) -> None:
    street = await field.garden.dataset()
    images = await field.plant(street, scattered(1000, seed=5))
    await field.codes.refresh()
    await field.connection.execute("DELETE FROM image WHERE id = ANY(%s)", [images[:400]])
    await field.codes.refresh()
    assert field.codes.covers(field.garden.space, [street.id]) == 1000
    field.codes._rounds = 29
    await field.codes.refresh()
    assert field.codes.covers(field.garden.space, [street.id]) == 600
    found, truth = await field.both(scattered(1, seed=5)[0], [street.id], count=1000)
    assert found == truth


async def test_too_many_ghosts_among_the_candidates_are_told(field: Field) -> None:
    street = await field.garden.dataset()
    images = await field.plant(street, scattered(400, seed=6))
    await field.codes.refresh()
    await field.connection.execute("DELETE FROM image WHERE id = ANY(%s)", [images[:390]])
    assert (await field.both(scattered(1, seed=6)[0], [street.id], limit=20))[0] is None
    found, truth = await field.both(scattered(1, seed=6)[0], [street.id], limit=20, count=400)
    assert found == truth  # nothing more can be had


async def test_the_largest_datasets_go_without_codes_when_memory_is_short(field: Field) -> None:
    small, large = await field.garden.dataset("small"), await field.garden.dataset("large")
    await field.plant(small, scattered(100, seed=7))
    await field.plant(large, scattered(300, seed=8))
    bounded = Codes(field.garden.database, max_bytes=350 * BYTES_PER_IMAGE)
    await bounded.refresh()
    space = field.garden.space
    assert bounded.covers(space, [small.id]) == 100
    assert bounded.covers(space, [large.id]) is None
    assert bounded.covers(space, [small.id, large.id]) is None
    assert await bounded.candidates(space, [large.id], None, scattered(1, seed=7)[0], 10, kind="image") is None
    await field.plant(small, scattered(270, seed=9))  # grows out of the bound
    await bounded.refresh()
    assert bounded.memory_bytes <= 350 * BYTES_PER_IMAGE
    assert bounded.covers(space, [small.id]) is None
    await field.connection.execute("DELETE FROM image WHERE dataset_id = %s", [large.id])
    await field.connection.execute(
        "DELETE FROM image WHERE id IN (SELECT id FROM image WHERE dataset_id = %s LIMIT 200)", [small.id]
    )
    bounded._rounds = 29
    await bounded.refresh()
    assert bounded.covers(space, [small.id]) == 170
    await bounded.close()


async def test_nothing_is_covered_before_the_codes_are_made(field: Field) -> None:
    street = await field.garden.dataset()
    assert field.codes.covers(field.garden.space, [street.id]) is None
    await field.codes.refresh()
    assert field.codes.covers(field.garden.space, [street.id]) == 0
    assert await field.both(scattered(1, seed=1)[0], [street.id]) == ([], [])


async def test_a_reindex_brings_the_codes_of_the_new_space_and_drops_the_old(field: Field) -> None:
    street = await field.garden.dataset()
    await field.plant(street, scattered(50, seed=10))
    await field.codes.refresh()
    old = field.garden.space
    new = (await Reindex(field.garden.database).start(EncoderSpec("next", "1", DIMENSION, 64, False), "next")).id
    copied = "INSERT INTO image_embedding SELECT %s, image_id, dataset_id, folder_id, vector FROM image_embedding"
    await field.connection.execute(copied, [new])
    await field.codes.refresh()
    assert field.codes.covers(new, [street.id]) == field.codes.covers(old, [street.id]) == 50
    await field.connection.execute("UPDATE space SET active = false WHERE id = %s", [old])
    await field.connection.execute("UPDATE space SET active = true, building = false WHERE id = %s", [new])
    await field.codes.refresh()
    assert field.codes.covers(old, [street.id]) is None
    field.garden.space = SpaceId(new)
    found, truth = await field.both(scattered(1, seed=10)[0], [street.id])
    assert found == truth


async def test_rows_with_transaction_numbers_of_another_cluster_are_found(field: Field) -> None:
    """As after a restore: numbers far above, and below, those of this cluster; the trigger comes after the rows."""
    street = await field.garden.dataset()
    await field.plant(street, scattered(30, seed=11))
    off, on = "DISABLE TRIGGER image_embedding_stamp_change", "ENABLE ALWAYS TRIGGER image_embedding_stamp_change"
    await field.connection.execute(f"ALTER TABLE image_embedding {off}")
    odd = """
        UPDATE image_embedding SET changed = %s::text::xid8
        WHERE image_id IN (SELECT image_id FROM image_embedding LIMIT %s)"""
    await field.connection.execute(odd, ["9000000000", 15])
    await field.codes.refresh()
    assert field.codes.covers(field.garden.space, [street.id]) is None  # no watermark is true while it is off
    await field.connection.execute(f"ALTER TABLE image_embedding {on}")
    for _ in range(3):
        await field.codes.refresh()
        found, truth = await field.both(scattered(1, seed=11)[0], [street.id])
        assert found == truth
        assert len(truth) == 30
    await field.connection.execute("UPDATE image_embedding SET changed = '9000000000'::xid8")  # the trigger mends it
    mended = await field.connection.execute("SELECT count(*) FROM image_embedding WHERE changed < '9000000000'::xid8")
    assert await mended.fetchone() == (30,)
    found, truth = await field.both(scattered(1, seed=11)[0], [street.id])
    assert found == truth


async def test_codes_of_a_table_that_was_rewritten_are_not_used(field: Field) -> None:
    street = await field.garden.dataset()
    await field.plant(street, scattered(30, seed=12))
    await field.codes.refresh()
    await field.connection.execute("VACUUM FULL image_embedding")
    assert (await field.both(scattered(1, seed=12)[0], [street.id]))[0] is None
    await field.codes.refresh()
    found, truth = await field.both(scattered(1, seed=12)[0], [street.id])
    assert found == truth


async def test_the_changed_rows_are_found_by_their_index(field: Field) -> None:
    street = await field.garden.dataset()
    await field.plant(street, scattered(5000, seed=13))
    await field.connection.execute("VACUUM ANALYZE image_embedding")
    await field.codes.refresh()
    await field.plant(street, scattered(50, seed=14))
    candidates = await field.codes.candidates(
        field.garden.space, [street.id], None, scattered(1, seed=1)[0], 200, kind="image"
    )
    assert candidates is not None
    values = search_values(Scope(field.garden.space, [street.id]), as_stored(scattered(1, seed=1)[0]), 0.0, 50)
    values |= {
        "candidates": uuid_array(candidates.packed_ids), "watermark": str(candidates.watermark), "era": candidates.era
    }  # fmt: skip
    async with field.garden.database.connection("generic") as connection:
        plan = await (await connection.execute(("EXPLAIN " + NEAREST_OF_ALL).encode(), values)).fetchall()
    told = "\n".join(line for (line,) in plan)
    assert "image_embedding_by_change" in told
    assert "Index Cond: ((space_id" in told or "image_embedding_by_image" in told
    assert "image_embedding_by_scope" not in told


async def test_codes_keep_themselves_fresh_and_a_failing_round_is_tried_again(
    field: Field, monkeypatch: pytest.MonkeyPatch
) -> None:
    street = await field.garden.dataset()
    failures = [Unavailable("The database is away."), psycopg.errors.UndefinedTable("restoring")]
    refresh = field.codes.refresh

    async def sometimes() -> None:
        if failures:
            raise failures.pop()
        await refresh()

    monkeypatch.setattr(field.codes, "refresh", sometimes)
    keeping = asyncio.create_task(field.codes.keep_fresh(pause_s=0.01))
    try:
        for number in range(1, 4):
            await field.plant(street, scattered(5, seed=number))
            async with asyncio.timeout(20):
                while field.codes.covers(field.garden.space, [street.id]) != 5 * number:  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
    finally:
        keeping.cancel()
        await asyncio.wait([keeping])
    assert field.codes.progress == {}


async def test_images_that_the_worker_writes_and_the_pipeline_archives_are_right(field: Field) -> None:
    """Through the code of the service, not through this file's own statements."""
    garden = field.garden
    street = await garden.dataset()
    vectors = scattered(6, seed=15)
    images = [await garden.plant(street, f"{n}.jpg", vector, folder="/day") for n, vector in enumerate(vectors)]
    await field.codes.refresh()
    async with garden.database.transaction() as connection:
        await archive_image(connection, images[0])
        await remove_from_index(connection, images[0])
    await garden.plant(street, "late.jpg", vectors[0], folder="/day/rain")
    found, truth = await field.both(vectors[0], [street.id], "/day")
    assert found == truth
    assert found is not None
    assert found[0].filename == "late.jpg"
    assert images[0] not in {row.id for row in found}


@pytest.mark.parametrize("kind", ["image", "text"])
def test_every_stage_looks_at_more_than_the_next_and_at_more_for_words(kind: QueryKind) -> None:
    for limit in (1, 50, 500):
        assert limit < over_fetch(limit, kind) < shortlist(over_fetch(limit, kind), kind)
    assert over_fetch(50, "text") > over_fetch(50, "image")
    assert shortlist(100, "text") > shortlist(100, "image")
