"""The index has what the tables have, up to its watermark; in doubt it is made anew, and says that there is none."""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import sys
import time
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import numpy as np
import psycopg
import pytest
from pgvector import HalfVector
from pgvector.psycopg import register_vector_async

from pictograph.encode.protocol import EncoderSpec
from pictograph.search.memory import builder as building
from pictograph.search.memory.index import WORTH_IT_FROM
from pictograph.search.memory.manifest import Manifest
from pictograph.search.memory.segment import UNKNOWN_TIME
from pictograph.search.memory.view import View
from pictograph.spaces.reindex import Reindex
from pictograph.store.changes import prune_changes
from pictograph.store.datasets import Dataset
from pictograph.types import DIMENSION, SpaceId
from support.index import MANY, TestIndex
from support.planting import Garden

TRUTH = """
SELECT i.id, i.dataset_id, i.folder_id, i.filename, i.created_at, i.width, i.height, i.file_size, i.content_type,
       i.state, i.archived_at IS NOT NULL AS archived, i.image_auto_tags AS tags, e.vector, i.taken_at, i.camera,
       i.sharpness, i.brightness, i.contrast, i.average_color, i.perceptual_hash, i.facts_version > 0 AS looked
FROM image i LEFT JOIN image_embedding e ON e.image_id = i.id AND e.space_id = %s"""
INSERT_FOLDER = """
INSERT INTO folder (dataset_id, path) VALUES (%s, %s) ON CONFLICT (dataset_id, path) DO NOTHING"""
FOLDER = "SELECT id FROM folder WHERE dataset_id = %s AND path = %s"
INSERT_IMAGE = """
INSERT INTO image (id, dataset_id, folder_id, filename, sha256, content_type, width, height, file_size, state,
                   image_auto_tags)
VALUES (%(id)s, %(dataset)s, %(folder)s, %(id)s::text || '-ä.jpg', sha256('x'), %(type)s, 4, 3, 9, 'tagged',
        %(tags)s)"""
INSERT_EMBEDDING = """
INSERT INTO image_embedding (space_id, image_id, dataset_id, folder_id, vector)
SELECT %s, id, dataset_id, folder_id, %s FROM image WHERE id = %s"""
MOVE = """
WITH moved AS (UPDATE image SET folder_id = %(folder)s WHERE id = %(image)s)
UPDATE image_embedding SET folder_id = %(folder)s WHERE image_id = %(image)s"""
TAGS = [
    '{"objects": ["car", "dog", "car"], "scenes": [], "attributes": ["dark"]}',
    '{"objects": ["dog"], "scenes": ["street"], "attributes": []}',
    '{"objects": [], "scenes": [], "attributes": []}',
    '{"objects": "no list", "own": ["label \\" ü"], "scenes": [1, null, "street"]}',
    "[]",
]
ACTIONS = (
    "plant",
    "plant",
    "receive",
    "move",
    "tag",
    "vector",
    "look",
    "archive",
    "restore",
    "delete",
    "rename",
    "step",
    "new",
)
FACTS: tuple[tuple[str, tuple[Any, ...]], ...] = (
    ("taken_at", (None, datetime(2024, 5, 17, 12, 0, 0, 250_000, tzinfo=UTC), datetime(1850, 1, 1, tzinfo=UTC))),
    ("camera", (None, "Canon EOS 5D", "Apple iPhone")),
    ("sharpness", (None, 0.25, -0.5)),
    ("brightness", (None, 0.0, 0.75)),
    ("contrast", (None, 0.5)),
    ("average_color", (None, 0, 0xFFFFFF)),
    ("perceptual_hash", (0, -1, 2**63 - 1, -(2**63))),
    ("facts_version", (0, 1)),
)
ALWAYS = "ENABLE ALWAYS TRIGGER image_change_updated"


def unit(seed: int) -> np.ndarray[Any, np.dtype[np.float32]]:
    vector = np.random.default_rng(seed).standard_normal(DIMENSION).astype(np.float32)
    return vector / np.linalg.norm(vector)  # type: ignore[no-any-return]


class Field:
    """A database to write to past the service, with an index beside it."""

    def __init__(
        self, garden: Garden, index: TestIndex, connection: psycopg.AsyncConnection[Any], street: Dataset
    ) -> None:
        self.garden, self.index, self.connection, self.street = garden, index, connection, street
        self._seed = 0

    async def run(self, statement: str, values: Any = None) -> None:
        await self.connection.execute(statement.encode(), values)

    async def folder(self, path: str = "/") -> int:
        await self.connection.execute(INSERT_FOLDER, [self.street.id, path])
        row = await (await self.connection.execute(FOLDER, [self.street.id, path])).fetchone()
        return int(row[0])  # type: ignore[index]

    async def receive(self, count: int = 1, folder: str = "/", connection: Any = None) -> list[UUID]:
        """Images without vectors."""
        place, images = await self.folder(folder), [uuid4() for _ in range(count)]
        await self.run("INSERT INTO blob VALUES (sha256('x'), 1) ON CONFLICT DO NOTHING")
        for number, image in enumerate(images):
            values = {"id": image, "dataset": self.street.id, "folder": place, "tags": TAGS[number % len(TAGS)]}
            values["type"] = f"image/{number % 3}"
            await (connection or self.connection).execute(INSERT_IMAGE, values)
        return images

    async def plant(self, count: int = 1, folder: str = "/", connection: Any = None) -> list[UUID]:
        """Images with vectors."""
        images = await self.receive(count, folder, connection)
        for image in images:
            await self.embed(image, connection)
        return images

    async def embed(self, image: UUID, connection: Any = None) -> None:
        self._seed += 1
        values = [self.garden.space, HalfVector(unit(self._seed)), image]
        await (connection or self.connection).execute(INSERT_EMBEDDING, values)

    async def differences(self, view: View) -> list[str]:
        """What the index has otherwise than the tables, if it is to be up to date."""
        space = self.garden.space
        async with self.connection.cursor(row_factory=psycopg.rows.dict_row) as cursor:
            truth = {row["id"]: row for row in await (await cursor.execute(TRUTH.encode(), [space])).fetchall()}
        seen: dict[UUID, dict[str, Any]] = {}
        problems: list[str] = []
        for held in self.index.builder._state.segments:  # type: ignore[union-attr]
            segment = held.segment
            for row in np.flatnonzero(~held.dead).tolist():
                image = UUID(bytes=segment.facts.ids[row].tobytes())
                problems += [f"{image} is there twice"] if image in seen else []
                seen[image] = row_of(segment, row, space)
        shown = {UUID(bytes=ids.tobytes()) for ids in ids_shown(view)}
        problems += [
            f"the view lacks or has {image}" for image in shown ^ {i for i in truth if not truth[i]["archived"]}
        ]
        for image in seen.keys() | truth.keys():
            if image not in seen or image not in truth:
                problems.append(f"{image} is only in {'the index' if image in seen else 'the tables'}")
                continue
            was = truth[image]
            expected = was | {
                "created_at": round(was["created_at"].timestamp() * 1_000_000),
                "tags": set(labels(was["tags"])),
                "taken_at": None if was["taken_at"] is None else round(was["taken_at"].timestamp() * 1_000_000),
                "perceptual_hash": was["perceptual_hash"] or 0,
                "vector": None if was["vector"] is None else tuple(was["vector"].to_list()),
            }
            problems += [f"{image}: {name}" for name, value in expected.items() if seen[image][name] != value]
        return problems


def labels(tags: Any) -> list[tuple[str, str]]:
    if not isinstance(tags, dict):
        return []
    lists = {category: names for category, names in tags.items() if isinstance(names, list)}
    return [(category, name) for category, names in lists.items() for name in names if isinstance(name, str)]


def row_of(segment: Any, row: int, space: SpaceId) -> dict[str, Any]:
    facts, tags, vectors = segment.facts, segment.tags, segment.vectors[space]
    carried = tags.row_labels[tags.row_starts[row] : tags.row_starts[row + 1]]
    return {
        "id": UUID(bytes=facts.ids[row].tobytes()),
        "dataset_id": UUID(bytes=facts.dataset[row].tobytes()),
        "folder_id": int(facts.folder[row]),
        "filename": segment.filename(row),
        "created_at": int(facts.created[row]),
        "width": int(facts.width[row]),
        "height": int(facts.height[row]),
        "file_size": int(facts.file_size[row]),
        "content_type": segment.formats[facts.format[row]],
        "state": building.rows.STATES[facts.state[row]],
        "archived": bool(facts.archived[row]),
        "tags": {tags.labels[number] for number in carried},
        "taken_at": None if facts.taken[row] == UNKNOWN_TIME else int(facts.taken[row]),
        "camera": segment.cameras[facts.camera[row]] or None,
        **{name: told(getattr(facts, name)[row]) for name in ("sharpness", "brightness", "contrast")},
        "average_color": None if facts.average_color[row] < 0 else int(facts.average_color[row]),
        "perceptual_hash": int(facts.perceptual_hash[row]),
        "looked": bool(facts.looked[row]),
        "vector": tuple(vectors.float16[row].astype(float).tolist()) if vectors.has[row] else None,
    }


def told(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def ids_shown(view: View) -> list[Any]:
    return [ids for kept in view.kept for ids in kept.segment.facts.ids[kept.shown]]


@pytest.fixture
async def field(garden: Garden, database_url: str, tmp_path: Path) -> AsyncIterator[Field]:
    index = TestIndex(database_url, tmp_path / "index", segment_rows=40)
    async with await psycopg.AsyncConnection.connect(database_url, autocommit=True) as connection:
        await register_vector_async(connection)
        field = Field(garden, index, connection, await garden.dataset())
        yield field
    await field.index.close()


def restarted(field: Field, **options: Any) -> TestIndex:
    """The index in another process: a builder and a reader that know only the files."""
    field.index.builder.close()
    index = TestIndex(field.garden.database.conninfo, field.index.folder, **({"segment_rows": 40} | options))
    field.index = index
    return index


async def test_it_has_what_the_tables_have(field: Field) -> None:
    await field.plant(25, "/a")
    await field.receive(7, "/b")
    assert await field.differences(await field.index.up_to_date()) == []


async def test_an_empty_library_has_an_index_too(field: Field) -> None:
    view = await field.index.up_to_date()
    assert view.rows == 0
    assert view.covers(field.garden.space)


@pytest.mark.parametrize("seed", range(4))
async def test_any_order_of_writes_rounds_and_restarts_ends_at_the_truth(
    field: Field, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(building, "BLOCK_ROWS", 8)
    chance = random.Random(seed)
    alive = await field.plant(30)
    if seed % 2:
        await field.index.up_to_date()
    for step in range(60):
        action, folder = chance.choice(ACTIONS), chance.choice(["/", "/a", "/b"])
        image = chance.choice(alive)
        if action == "plant":
            alive += await field.plant(chance.randint(1, 12), folder)
        elif action == "receive":
            alive += await field.receive(2, folder)
        elif action == "move":
            await field.run(MOVE, {"folder": await field.folder(folder), "image": image})
        elif action == "tag":
            await field.run("UPDATE image SET image_auto_tags = %s WHERE id = %s", [chance.choice(TAGS), image])
        elif action == "look":  # one column, so that each of them has to be noted
            column, values = chance.choice(FACTS)
            await field.run(f"UPDATE image SET {column} = %s WHERE id = %s", [chance.choice(values), image])
        elif action == "vector":
            vector = HalfVector(unit(1000 + step))
            await field.run("UPDATE image_embedding SET vector = %s WHERE image_id = %s", [vector, image])
        elif action == "archive":
            await field.run("UPDATE image SET archived_at = now() WHERE id = %s", [image])
            await field.run("DELETE FROM image_embedding WHERE image_id = %s", [image])
        elif action == "restore":
            await field.run("UPDATE image SET archived_at = NULL WHERE id = %s", [image])
        elif action == "delete" and len(alive) > 5:
            gone = {chance.choice(alive) for _ in range(3)}
            await field.run("DELETE FROM image WHERE id = ANY(%s)", [list(gone)])
            alive = [one for one in alive if one not in gone]
        elif action == "rename":
            await field.run("UPDATE image SET filename = %s WHERE id = %s", [f"{step}.png", image])
        elif action == "step":
            await field.index.step()
        elif action == "new":
            restarted(field)
    assert await field.differences(await field.index.up_to_date()) == []
    segments = field.index.builder._state.segments  # type: ignore[union-attr]
    assert len(segments) <= 12
    assert all(len(held.dead) <= 60 for held in segments)


async def test_a_round_without_changes_writes_nothing(field: Field) -> None:
    await field.plant(5)
    await field.index.up_to_date()
    before = Manifest.read(field.index.folder)
    await field.index.step()
    assert Manifest.read(field.index.folder) == before


async def test_only_what_an_index_holds_is_noted(field: Field) -> None:
    (image,) = await field.plant()
    view = await field.index.up_to_date()
    await field.run("UPDATE image SET updated_at = now(), reason = 'x' WHERE id = %s", [image])
    assert await changed_since(field, view) == 0
    await field.run("UPDATE image SET filename = 'other' WHERE id = %s", [image])
    assert await changed_since(field, view) == 1


async def changed_since(field: Field, view: View) -> int:
    count = "SELECT count(DISTINCT image_id) FROM image_change WHERE changed_in >= %s::text::xid8"
    row = await (await field.connection.execute(count, [str(view.watermark)])).fetchone()
    return int(row[0])  # type: ignore[index]


async def test_a_transaction_that_is_open_during_a_round_is_above_its_watermark(field: Field) -> None:
    await field.plant(10)
    late = [await psycopg.AsyncConnection.connect(field.garden.database.conninfo) for _ in range(4)]
    try:
        ids = []
        for connection in late:
            await register_vector_async(connection)
            await field.folder("/")
            ids += await field.plant(1, connection=connection)
            await field.plant(1)  # commits meanwhile, with a higher number
        view = await field.index.up_to_date()
        for number in (3, 0, 2, 1):  # they commit out of order, with rounds in between
            await late[number].commit()
            fresh = {row[0] for row in await fresh_since(field, view)}
            missing = set(ids[:4]) - {UUID(bytes=one.tobytes()) for one in ids_shown(view)}
            committed = {ids[one] for one in (3, 0, 2, 1)[: (3, 0, 2, 1).index(number) + 1]}
            assert missing & committed <= fresh
            view = await field.index.up_to_date()
        assert await field.differences(view) == []
    finally:
        for connection in late:
            await connection.close()


async def fresh_since(field: Field, view: View) -> list[Any]:
    noted = "SELECT image_id FROM image_change WHERE changed_in >= %s::text::xid8"
    return await (await field.connection.execute(noted, [str(view.watermark)])).fetchall()


async def test_a_transaction_that_rolls_back_leaves_nothing(field: Field) -> None:
    await field.plant(10)
    async with field.connection.transaction(force_rollback=True):
        await field.run("DELETE FROM image")
        await field.index.up_to_date()
    assert await field.differences(await field.index.up_to_date()) == []


async def test_another_process_goes_on_with_the_same_files(field: Field) -> None:
    await field.plant(20)
    await field.index.up_to_date()
    before = Manifest.read(field.index.folder)
    await field.plant(3)
    view = await restarted(field).up_to_date()
    after = Manifest.read(field.index.folder)
    assert before is not None
    assert after is not None
    assert after.follower == before.follower
    assert await field.differences(view) == []


async def followed(field: Field, spoil: Callable[[], Any]) -> bool:
    """Whether the index outlives what happens to it."""
    before = Manifest.read(field.index.folder)
    await spoil()
    view = await restarted(field).up_to_date()
    after = Manifest.read(field.index.folder)
    assert await field.differences(view) == []
    assert before is not None
    assert after is not None
    return before.follower == after.follower


async def test_a_crash_between_the_token_and_the_manifest_loses_nothing(field: Field) -> None:
    await field.plant(20)
    await field.index.up_to_date()
    kept = (field.index.folder / "manifest.json").read_bytes()
    segments = field.index.folder / "segments"
    shutil.copytree(segments, field.index.folder / "kept")

    async def crash() -> None:
        await field.plant(3)
        await field.index.up_to_date()
        (field.index.folder / "manifest.json").write_bytes(kept)
        shutil.rmtree(segments)
        (field.index.folder / "kept").rename(segments)

    assert await followed(field, crash)


async def test_a_restart_of_the_server_keeps_the_index(field: Field) -> None:
    await field.plant(20)
    await field.index.up_to_date()
    manifest = Manifest.read(field.index.folder)
    assert manifest is not None
    Manifest(
        manifest.follower,
        manifest.token,
        f"12345.6/{manifest.era.partition('/')[2]}",
        manifest.watermark,
        manifest.spaces,
        manifest.segments,
    ).write(field.index.folder)

    async def nothing() -> None:
        await field.plant(2)

    assert await followed(field, nothing)
    after = Manifest.read(field.index.folder)
    assert after is not None
    assert after.era == manifest.era


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE index_follower SET token = gen_random_uuid(), token_before = NULL",
        "DELETE FROM index_follower",
        "UPDATE image_change_horizon SET pruned = pg_current_xact_id()",
        "UPDATE index_follower SET watermark = '0'; VACUUM FULL image_embedding",
        "VACUUM FULL image",
        "TRUNCATE image CASCADE",
        f"ALTER TABLE image DISABLE TRIGGER image_change_updated; ALTER TABLE image {ALWAYS}",
    ],
)
async def test_an_index_of_another_database_or_past_is_made_anew(field: Field, statement: str) -> None:
    await field.plant(20)
    await field.index.up_to_date()

    async def happen() -> None:
        for part in statement.split(";"):
            await field.run(part)

    assert not await followed(field, happen)


async def test_without_its_triggers_there_is_no_index(field: Field) -> None:
    (image, *_) = await field.plant(20)
    await field.index.up_to_date()
    await field.run("ALTER TABLE image DISABLE TRIGGER image_change_updated")
    await field.index.step()
    assert field.index.memory.view() is None
    await field.index.step()
    assert field.index.memory.view() is None
    await field.run("UPDATE image SET filename = 'unnoticed' WHERE id = %s", [image])
    await field.run(f"ALTER TABLE image {ALWAYS}")
    assert await field.differences(await field.index.up_to_date()) == []


SEGMENT_FILES = [f"segments/*/{name}" for name in ("columns.bin", "float16-*.bin", "coarse-*.faiss", "space-*.bin")]


@pytest.mark.parametrize("name", [*SEGMENT_FILES, "segments/*/about.json", "dead/*", "quantisers/*", "manifest.json"])
async def test_a_damaged_file_is_found_and_the_index_made_anew(field: Field, name: str) -> None:
    (image, *_) = await field.plant(20)
    await field.index.up_to_date()
    await field.run("DELETE FROM image WHERE id = %s", [image])
    await field.index.up_to_date()

    async def damage() -> None:
        path = next(field.index.folder.glob(name))
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 0x15
        path.write_bytes(data)

    assert not await followed(field, damage)


@pytest.mark.parametrize("name", ["", "segments"])
async def test_an_index_that_is_deleted_while_it_is_used_is_made_anew(field: Field, name: str) -> None:
    await field.plant(20)
    view = await field.index.up_to_date()
    shutil.rmtree(field.index.folder / name)
    await field.plant(1)
    await field.index.memory.refresh()
    assert len(ids_shown(view)) == 20  # questions that have it go on
    assert await field.differences(await field.index.up_to_date()) == []


async def test_the_log_keeps_what_an_index_has_not_read(field: Field) -> None:
    await field.plant(20)
    await field.index.up_to_date()
    await field.plant(3)
    async with field.garden.database.transaction() as connection:
        await prune_changes(connection)

    async def nothing() -> None:
        pass

    assert await followed(field, nothing)


async def test_notes_leave_the_log_once_an_index_has_read_them(field: Field) -> None:
    await field.plant(20)
    await field.index.up_to_date()
    field.index.builder._known_at = -1e9
    await field.index.step()
    async with field.garden.database.transaction() as connection:
        await prune_changes(connection)
    assert await (await field.connection.execute("SELECT count(*) FROM image_change")).fetchone() == (0,)


async def test_images_deleted_for_good_leave_the_files(field: Field, monkeypatch: pytest.MonkeyPatch) -> None:
    images = await field.plant(30)
    await field.index.up_to_date()
    await field.run("DELETE FROM image WHERE id = %s", [images[0]])
    await field.index.up_to_date()
    held = any(images[0].bytes in path.read_bytes() for path in field.index.folder.glob("segments/*/columns.bin"))
    assert held  # one of thirty is no reason to write all of them again at once
    now = time.time()
    monkeypatch.setattr(building.time, "time", lambda: now + building.DELETED_S + 1)
    view = await field.index.up_to_date()
    assert not any(images[0].bytes in path.read_bytes() for path in field.index.folder.rglob("*") if path.is_file())
    assert await field.differences(view) == []


async def test_segments_with_many_tombstones_are_written_again(field: Field) -> None:
    images = await field.plant(30)
    await field.index.up_to_date()
    await field.run("UPDATE image SET filename = id::text WHERE id = ANY(%s)", [images[:10]])
    view = await field.index.up_to_date()
    assert view.rows == 30
    assert await field.differences(view) == []


async def test_a_reindex_brings_the_new_space_and_drops_the_old(field: Field) -> None:
    await field.plant(20)
    old = field.garden.space
    await field.index.up_to_date()
    new = (await Reindex(field.garden.database).start(EncoderSpec("next", "1", DIMENSION, 64, False), "next")).id
    assert (await field.index.up_to_date()).covers(new)
    copied = "INSERT INTO image_embedding SELECT %s, image_id, dataset_id, folder_id, vector FROM image_embedding"
    await field.run(copied, [new])
    view = await field.index.up_to_date()
    assert view.covers(old)
    assert await field.differences(view) == []
    field.garden.space = SpaceId(new)
    assert await field.differences(view) == []
    await field.run("UPDATE space SET active = false WHERE id = %s", [old])
    await field.run("UPDATE space SET active = true, building = false WHERE id = %s", [new])
    view = await field.index.up_to_date()
    assert not view.covers(old)
    assert await field.differences(view) == []
    assert not list(field.index.folder.glob(f"segments/*/*-{old}.*"))


async def test_a_space_that_was_filled_before_the_index_saw_it_is_read(field: Field) -> None:
    await field.plant(20)
    await field.index.up_to_date()
    new = (await Reindex(field.garden.database).start(EncoderSpec("next", "1", DIMENSION, 64, False), "next")).id
    copied = "INSERT INTO image_embedding SELECT %s, image_id, dataset_id, folder_id, vector FROM image_embedding"
    await field.run(copied, [new])
    view = await field.index.up_to_date()
    field.garden.space = SpaceId(new)
    assert await field.differences(view) == []


async def test_codes_are_made_again_when_a_space_has_outgrown_its_sample(
    field: Field, monkeypatch: pytest.MonkeyPatch
) -> None:
    await field.plant(30)
    await field.index.up_to_date()
    before = Manifest.read(field.index.folder)
    monkeypatch.setattr(building, "LEAST_CENTRED", 1)
    await field.plant(130)
    view = await field.index.up_to_date()
    after = Manifest.read(field.index.folder)
    assert before is not None
    assert after is not None
    assert after.spaces[field.garden.space].centred_on == 160
    assert after.spaces[field.garden.space].quantiser != before.spaces[field.garden.space].quantiser
    assert await field.differences(view) == []
    quantiser = view.quantisers[field.garden.space]
    for kept in view.kept:
        vectors = kept.segment.vectors[field.garden.space]
        codes = quantiser.codes(vectors.float16[vectors.has].astype(np.float32))
        same = codes[0] == vectors.coarse_codes[vectors.has]
        assert same.mean() > 0.99  # how many are made together decides the last bit of their factors


async def test_too_many_vectors_leave_likeness_to_the_table_and_tags_to_the_index(field: Field) -> None:
    await field.plant(20)
    index = restarted(field, most_bytes=19 * building.CODE_BYTES)
    view = await index.up_to_date()
    assert view.rows == 20
    assert not view.covers(field.garden.space)
    assert "index_bytes" in str(index.builder._too_large)
    assert (await restarted(field, most_bytes=20 * building.CODE_BYTES).up_to_date()).covers(field.garden.space)


async def test_a_small_library_has_no_index(field: Field) -> None:
    await field.plant(20)
    index = restarted(field, worth_it_from=21)
    await index.step()
    assert index.memory.view() is None
    await field.plant(1)
    assert await field.differences(await index.up_to_date()) == []


async def test_a_reader_swaps_what_it_has_when_there_is_something_new(field: Field) -> None:
    await field.plant(20)
    await field.index.up_to_date()
    before = field.index.memory.view()
    await field.index.memory.open()
    assert before is not None
    await field.run("DELETE FROM image")
    field.index.builder.step()
    deadline = time.monotonic() + 20
    while field.index.memory.view() is before:
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)
    assert len(ids_shown(before)) == 20  # a question that began with it can go on, though the files are gone
    after = field.index.memory.view()
    assert after is not None
    assert len(ids_shown(after)) == 0


async def test_a_process_that_is_killed_again_and_again_loses_nothing(field: Field, database_url: str) -> None:
    await field.run("INSERT INTO blob VALUES (sha256('x'), 1)")
    values = {"dataset": field.street.id, "folder": await field.folder(), "space": field.garden.space}
    await field.run(MANY, values | {"count": WORTH_IT_FROM})
    command = [sys.executable, "-m", "pictograph", "index", "--exit-with-parent"]
    settings = {"DATABASE_URL": database_url, "INDEX_DIR": str(field.index.folder), "DATA_DIR": str(field.index.folder)}
    environment = os.environ | {f"PICTOGRAPH_{name}": text for name, text in settings.items()}
    chance, followers = random.Random(1), set()
    for _ in range(4):
        process = await asyncio.create_subprocess_exec(*command, stdin=asyncio.subprocess.PIPE, env=environment)
        try:
            async with asyncio.timeout(120):
                while (manifest := Manifest.read(field.index.folder)) is None:  # noqa: ASYNC110 - files
                    await asyncio.sleep(0.02)
            followers.add(manifest.follower)
            for _ in range(3):
                await field.run(MANY, values | {"count": chance.randint(1, 60)})
                await field.run("DELETE FROM image WHERE id IN (SELECT id FROM image LIMIT 5)")
                await asyncio.sleep(chance.random())
        finally:
            process.kill()
            await process.wait()
    assert len(followers) == 1
    await field.index.memory.refresh()
    assert field.index.memory.view() is not None  # whatever it was at, what readers find is whole
    assert await field.differences(await restarted(field, worth_it_from=WORTH_IT_FROM).up_to_date()) == []
