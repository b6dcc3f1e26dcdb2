"""Lists, counters and the copy in memory: they say what `image_auto_tags` says, whoever writes and whatever happens."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any
from uuid import UUID

import psycopg
import pytest
from psycopg.types.json import Jsonb
from uuid_utils.compat import uuid7

from pictograph.db.migrate import CREATE_LEDGER, apply_missing, migrate, packaged_migrations
from pictograph.db.pool import Connection, Database
from pictograph.db.rows import fetch_all
from pictograph.errors import Unavailable
from pictograph.index import tags
from pictograph.index.tag_facets import Facets
from pictograph.index.tag_memory import TagMemory, catch_up
from pictograph.index.tag_query import After, Question, TagHit, groups_of
from pictograph.index.tag_view import count_in_memory
from pictograph.index.tags import TagIndex, datasets_of, facet_counts, find_by_tags
from pictograph.store.datasets import Dataset, Datasets
from pictograph.types import DatasetId, TagCategory, TagMatch
from support.containment import find_by_containment
from support.databases import fresh_database
from support.planting import Garden

LABELS: dict[TagCategory, list[str]] = {
    "objects": ["car", "truck", "dog", "person", "unicycle"],
    "scenes": ["outdoor", "indoor", "car"],
    "attributes": ["dark", "blurry"],
}
TRUE_ROWS = """
SELECT tag.id, scope.number, i.created_at, i.id
FROM image i JOIN tag_scope scope USING (dataset_id) JOIN tag USING (organization_id)
WHERE i.archived_at IS NULL
  AND i.image_auto_tags @> jsonb_build_object(tag.category, jsonb_build_array(tag.name))"""
LISTED = "SELECT tag_id, dataset, created_at, image_id FROM image_tag"
COUNTED = """
SELECT dataset, tag_id, sum(images)::int FROM (
    SELECT dataset, tag_id, images FROM tag_count WHERE dataset <> 0 UNION ALL SELECT * FROM tag_delta
) AS n GROUP BY 1, 2 HAVING sum(images) <> 0"""
COUNTED_WHOLE = """
SELECT tag_id, sum(images)::int FROM (
    SELECT tag_id, images FROM tag_count WHERE dataset = 0 UNION ALL SELECT tag_id, images FROM tag_delta
    WHERE tag_id <> 0
) AS n GROUP BY 1 HAVING sum(images) <> 0"""
IMAGES = (
    "SELECT number, count(*)::int FROM image JOIN tag_scope USING (dataset_id) WHERE archived_at IS NULL GROUP BY 1"
)
INSERT = """
INSERT INTO image (id, dataset_id, folder_id, filename, sha256, content_type, width, height, file_size, image_auto_tags,
                   created_at)
SELECT %s, f.dataset_id, f.id, %s, sha256('x'), 'image/jpeg', 1, 1, 1, %s,
       '2026-01-01'::timestamptz + %s * interval '1 s'
FROM folder f WHERE f.dataset_id = %s AND f.path = %s"""

RETAG = """
UPDATE image SET image_auto_tags = jsonb_build_object('objects', jsonb_build_array('car', %s::text))
WHERE id IN (SELECT id FROM image WHERE filename LIKE %s ORDER BY id LIMIT 3)"""
MANY = """
INSERT INTO image (id, dataset_id, folder_id, filename, sha256, content_type, width, height, file_size, image_auto_tags,
                   created_at)
SELECT gen_random_uuid(), f.dataset_id, f.id, n, sha256('x'), 'image/jpeg', 1, 1, 1,
       jsonb_build_object('objects', jsonb_build_array((ARRAY['car', 'dog', 'truck'])[n % 3 + 1])),
       '2026-01-01'::timestamptz + n * interval '1 s'
FROM folder f, generate_series(1, 2000) AS n WHERE f.path = '/'"""


async def rows(connection: Connection, statement: str) -> list[tuple[Any, ...]]:
    return await (await connection.execute(statement.encode())).fetchall()


async def require_truth(connection: Connection) -> None:
    """Lists and counters, against what the documents say."""
    listed = await rows(connection, LISTED)
    assert Counter(listed) == Counter(await rows(connection, TRUE_ROWS))
    images = {(number, 0): count for number, count in await rows(connection, IMAGES)}
    counted = {(dataset, tag): count for dataset, tag, count in await rows(connection, COUNTED)}
    assert counted == Counter((dataset, tag) for tag, dataset, _, _ in listed) | Counter(images)
    assert dict(await rows(connection, COUNTED_WHOLE)) == Counter(tag for tag, *_ in listed)


def some_tags(rng: random.Random) -> dict[str, Any]:
    return {category: rng.sample(labels, rng.randint(0, len(labels) - 1)) for category, labels in LABELS.items()}


class Library:
    """Datasets that change at random, by plain statements as any present or future writer may use."""

    def __init__(self, connection: Connection, datasets: Sequence[Dataset], seed: int) -> None:
        self.connection = connection
        self.datasets = list(datasets)
        self.rng = random.Random(seed)

    async def begin(self) -> None:
        await self.connection.execute("INSERT INTO blob (sha256, size_bytes) VALUES (sha256('x'), 1)")
        for dataset in self.datasets:
            await self.connection.execute(
                "INSERT INTO folder (dataset_id, path) VALUES (%s, '/'), (%s, '/a'), (%s, '/a/b'), (%s, '/ab')",
                [dataset.id] * 4,
            )

    async def insert(self, count: int = 5) -> None:
        """Created at one of few moments, old and new: there are ties, and latecomers."""
        moments = [self.rng.choice([self.rng.randint(0, 30), self.rng.randint(0, 3000)]) for _ in range(count)]
        async with self.connection.cursor() as cursor:
            await cursor.executemany(INSERT, [self._row(moment) for moment in moments])

    def _row(self, moment: int) -> list[object]:
        image, dataset = uuid7(), self.rng.choice(self.datasets)
        tags = Jsonb(some_tags(self.rng))
        return [image, f"{image}.jpg", tags, moment, dataset.id, self.rng.choice(["/", "/a", "/a/b", "/ab"])]

    async def change(self) -> None:
        """Something, to some images."""
        some = "id IN (SELECT id FROM image WHERE random() < 0.2)"
        await self.connection.execute(
            self.rng.choice(
                [
                    f"UPDATE image SET archived_at = now() WHERE {some}",
                    f"UPDATE image SET archived_at = NULL WHERE {some}",
                    f"UPDATE image SET state = 'tagged', updated_at = now() WHERE {some}",
                    f'UPDATE image SET archived_at = now(), image_auto_tags = \'{{"objects": ["owl"]}}\' WHERE {some}',
                    f"DELETE FROM image WHERE {some}",
                    "UPDATE image i SET folder_id = (SELECT max(id) FROM folder f WHERE f.dataset_id = i.dataset_id)"
                    f" WHERE {some}",
                    # to another dataset
                    "UPDATE image SET dataset_id = f.dataset_id, folder_id = f.id FROM (SELECT * FROM folder LIMIT 1) f"
                    f" WHERE image.{some}",
                    # odd documents: duplicates, numbers, no array, a category of its own
                    'UPDATE image SET image_auto_tags = \'{"objects": ["car", "car", 1, null], "scenes": "car",'
                    f' "more": ["x"]}}\' WHERE {some}',
                ]
            ).encode()
        )
        await self.connection.execute("UPDATE image SET image_auto_tags = %s WHERE random() < 0.2", [self._tags()])

    def _tags(self) -> Jsonb:
        return Jsonb(some_tags(self.rng))


@pytest.fixture
async def datasets(garden: Garden) -> list[Dataset]:
    return [await garden.dataset(name) for name in ("street", "park", "lake")]


@pytest.mark.parametrize("seed", range(4))
async def test_lists_and_counters_say_what_the_documents_say_whatever_is_done(
    garden: Garden, datasets: list[Dataset], seed: int
) -> None:
    async with garden.database.connection() as connection:
        library = Library(connection, datasets, seed)
        await library.begin()
        for step in range(25):
            await library.insert()
            await library.change()
            if step % 7 == 3:
                await connection.execute("SELECT fold_tag_deltas()")
            await require_truth(connection)


async def test_changes_of_many_images_at_once_are_told_as_truly_as_those_of_few(
    garden: Garden, datasets: list[Dataset]
) -> None:
    async with garden.database.connection() as connection:
        await Library(connection, datasets, 0).begin()
        for statement in (
            MANY,
            'UPDATE image SET image_auto_tags = image_auto_tags || \'{"scenes": ["indoor", "indoor", "fog"]}\'',
            "UPDATE image SET archived_at = now() WHERE filename LIKE '%3'",
            "UPDATE image SET archived_at = NULL, image_auto_tags = '{\"objects\": [\"dog\"]}' WHERE filename < '5'",
            "DELETE FROM image WHERE filename LIKE '%7'",
        ):
            await connection.execute(statement.encode())
            await require_truth(connection)


async def test_a_dataset_takes_its_lists_along_however_it_is_deleted(garden: Garden, datasets: list[Dataset]) -> None:
    async with garden.database.connection() as connection:
        library = Library(connection, datasets, 1)
        await library.begin()
        await library.insert(60)
        await Datasets(garden.database).delete(garden.organization, "street")
        await require_truth(connection)
        assert await rows(connection, LISTED)
        await connection.execute("DELETE FROM dataset WHERE name = 'park'")
        await require_truth(connection)
        assert await rows(connection, LISTED)
        await connection.execute("DELETE FROM organization WHERE id = %s", [garden.organization])
        await connection.execute("SELECT fold_tag_deltas()")
        for table in ("image_tag", "tag_count", "tag_delta", "tag", "tag_scope"):
            assert await rows(connection, f"SELECT * FROM {table}") == [], table


async def test_a_rollback_leaves_no_trace(garden: Garden, datasets: list[Dataset]) -> None:
    async with garden.database.connection() as connection:
        library = Library(connection, datasets, 2)
        await library.begin()
        await library.insert(20)
        before = await rows(connection, LISTED), await rows(connection, COUNTED)
        async with connection.transaction(force_rollback=True):
            await library.insert(20)
            await library.change()
        assert (await rows(connection, LISTED), await rows(connection, COUNTED)) == before


async def test_emptying_the_table_of_images_empties_the_lists(garden: Garden, datasets: list[Dataset]) -> None:
    async with garden.database.connection() as connection:
        library = Library(connection, datasets, 3)
        await library.begin()
        await library.insert(20)
        await connection.execute("TRUNCATE image CASCADE")
        await require_truth(connection)


async def test_a_dataset_cannot_change_its_organization_behind_its_lists(
    garden: Garden, datasets: list[Dataset]
) -> None:
    others = await Garden.open(garden.database, "others")
    async with garden.database.connection() as connection:
        with pytest.raises(psycopg.errors.RaiseException, match="stays in its organization"):
            await connection.execute("UPDATE dataset SET organization_id = %s", [others.organization])


async def test_writers_at_the_same_time_neither_deadlock_nor_miscount(garden: Garden, datasets: list[Dataset]) -> None:
    """Transactions of several statements each, on the same hot tags, which bring new labels in different orders."""

    async def write(number: int) -> None:
        rng = random.Random(number)
        for turn in range(12):
            async with garden.database.transaction() as connection:
                library = Library(connection, datasets, number * 100 + turn)
                for _ in range(3):
                    await library.insert(4)
                    label = f"new {rng.randint(0, 40)}"
                    await connection.execute(RETAG, [label, f"%{number}.jpg"])
                await connection.execute("SELECT fold_tag_deltas()")

    async with garden.database.connection() as connection:
        await Library(connection, datasets, 0).begin()
        await asyncio.gather(*(write(number) for number in range(6)))
        await require_truth(connection)


def a_question(rng: random.Random) -> dict[str, Any]:
    categories = rng.sample(list(LABELS), rng.randint(1, 3))
    filters: Mapping[TagCategory, Sequence[str]] = {
        category: rng.sample([*LABELS[category], "unknown"], rng.choice([1, 1, 1, 2, 3])) for category in categories
    }
    match: TagMatch = rng.choice(["any", "any", "all"])
    return {"filters": filters, "match": match, "limit": rng.choice([1, 3, 50]), "offset": rng.choice([0, 0, 2, 9])}


def a_place(rng: random.Random, found: Sequence[TagHit]) -> After | None:
    """Behind a row, or behind one that is no more."""
    if not found or rng.random() < 0.4:
        return None
    row = rng.choice(found)
    return After(row.created_at, row.id if rng.random() < 0.7 else UUID(int=rng.getrandbits(128)))  # type: ignore[arg-type]


def by_hand(found: Sequence[TagHit]) -> Facets:
    counts = Counter((c, label) for hit in found for c, labels in hit.tags.items() for label in set(labels))
    labels: dict[str, list[tuple[str, int]]] = {}
    for (category, name), images in sorted(counts.items(), key=lambda item: (item[0][0], -item[1], item[0][1])):
        labels.setdefault(category, []).append((name, images))
    return Facets(len(found), labels)


def ids_in(carriers: bytes | None) -> list[UUID]:
    assert carriers is not None
    return sorted(UUID(bytes=carriers[start : start + 16]) for start in range(0, len(carriers), 16))


async def no_memory(database: Database) -> TagMemory:
    raise Unavailable("The memory is not filled in this test.")


async def index_without_memory(garden: Garden, monkeypatch: pytest.MonkeyPatch) -> TagIndex:
    monkeypatch.setattr(tags, "load_memory", no_memory)
    return TagIndex(garden.database)


@pytest.mark.parametrize("seed", range(6))
async def test_every_way_answers_as_containment_does(
    garden: Garden, datasets: list[Dataset], seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = random.Random(seed)
    others = await Garden.open(garden.database, "others")
    theirs = await others.dataset("street")
    index = TagIndex(garden.database)
    async with garden.database.connection() as connection:
        library = Library(connection, [*datasets, theirs], seed)
        await library.begin()
        await library.insert(30)
        await index.load()
        empty_handed = await index_without_memory(garden, monkeypatch)
        ours = await datasets_of(connection, garden.organization)
        scopes: list[list[DatasetId]] = [ours, ours[:1], ours[1:], [theirs.id], [*ours, theirs.id], [], [uuid7()]]  # type: ignore[list-item]
        for turn in range(12):
            await library.insert(rng.randint(0, 8))
            if rng.random() < 0.4:
                await library.change()
                # only well-formed documents can be read back as tags
                await connection.execute("DELETE FROM image WHERE image_auto_tags ? 'more'")
            if turn == 6:  # a folder that the memory has not heard of
                await connection.execute("INSERT INTO folder (dataset_id, path) SELECT id, '/a/new' FROM dataset")
                await connection.execute(
                    "UPDATE image i SET folder_id = f.id FROM folder f"
                    " WHERE f.dataset_id = i.dataset_id AND f.path = '/a/new' AND random() < 0.3"
                )
            for scope in scopes:
                question = a_question(rng)
                folder = question["folder_path"] = rng.choice([None, None, "/", "/a", "/a/b", "/nowhere"])
                whole = await find_by_containment(connection, scope, **question | {"limit": 1000, "offset": 0})
                question["after"] = a_place(rng, whole)
                expected = await find_by_containment(connection, scope, **question)
                if folder is None:
                    del question["folder_path"]
                    assert await find_by_tags(connection, scope, **question) == expected, question
                page = await index.find(connection, scope, **question)
                assert (page.hits, page.total, page.way) == (expected, len(whole), "memory"), question
                page = await empty_handed.find(connection, scope, **question)
                in_folder = folder not in (None, "/")
                assert (page.hits, page.way) == (expected, "containment" if in_folder else "lists"), question
                assert page.total in (None, len(whole))
                asked = {"filters": question["filters"], "match": question["match"], "folder_path": folder}
                assert await index.count(connection, scope, **asked) == len(whole)
                assert ids_in(await index.carriers(connection, scope, **asked)) == sorted(hit.id for hit in whole)
                assert await facet_counts(connection, scope, **asked) == by_hand(whole)
                assert await index.facet_counts(connection, scope, **asked) == by_hand(whole)


async def all_images(connection: Connection, scope: Sequence[DatasetId], folder: str | None) -> list[TagHit]:
    statement = (
        "SELECT i.id, filename, path AS folder_path, i.dataset_id, image_auto_tags AS tags, i.created_at"
        " FROM image i JOIN folder f ON f.id = folder_id"
        " WHERE archived_at IS NULL AND i.dataset_id = ANY(%s) AND (path = %s OR starts_with(path, %s))"
    )
    return await fetch_all(
        connection, TagHit, statement, [list(scope), folder or "/", (folder or "").rstrip("/") + "/"]
    )


@pytest.mark.parametrize("seed", range(3))
async def test_unfiltered_facets_count_every_image_exactly(garden: Garden, datasets: list[Dataset], seed: int) -> None:
    index = TagIndex(garden.database)
    async with garden.database.connection() as connection:
        library = Library(connection, datasets, seed)
        await library.begin()
        ours = await datasets_of(connection, garden.organization)
        for turn in range(8):
            await library.insert(20)
            await library.change()
            await connection.execute("DELETE FROM image WHERE image_auto_tags ? 'more'")
            if turn % 3 == 1:
                await connection.execute("SELECT fold_tag_deltas()")
            for scope in (ours, ours[:1], ours[1:], []):
                for folder in (None, "/", "/a"):
                    expected = by_hand(await all_images(connection, scope, folder))
                    assert await facet_counts(connection, scope, folder) == expected
                    assert await index.facet_counts(connection, scope, folder) == expected


async def test_memory_sees_what_was_committed_before_the_question_and_nothing_that_was_not(
    garden: Garden, datasets: list[Dataset]
) -> None:
    index = TagIndex(garden.database)
    question: dict[str, Any] = {"filters": {"objects": ["late"]}, "match": "any", "limit": 9}
    late = Jsonb({"objects": ["late"]})
    ours = [dataset.id for dataset in datasets]
    async with garden.database.connection() as reader, garden.database.connection() as writer:
        await Library(writer, datasets, 0).begin()
        # a label that is new is held by whoever brings it, until that is committed
        await writer.execute(INSERT, [uuid7(), "first.jpg", late, 0, ours[0], "/"])
        await index.load()
        async with writer.transaction():
            await writer.execute(INSERT, [uuid7(), "early.jpg", late, 1, ours[0], "/"])
            # another transaction begins later and ends earlier
            async with garden.database.transaction() as quick:
                await quick.execute(INSERT, [uuid7(), "quick.jpg", late, 2, ours[0], "/"])
            page = await index.find(reader, ours, **question)
            assert [hit.filename for hit in page.hits] == ["quick.jpg", "first.jpg"]
            assert (page.total, page.way) == (2, "memory")
        page = await index.find(reader, ours, **question)
        assert [hit.filename for hit in page.hits] == ["quick.jpg", "early.jpg", "first.jpg"]
        assert (page.total, page.way) == (3, "memory")


async def test_memory_that_has_missed_what_is_no_longer_noted_is_not_asked(
    garden: Garden, datasets: list[Dataset]
) -> None:
    index = TagIndex(garden.database)
    ours = [dataset.id for dataset in datasets]
    async with garden.database.connection() as connection:
        library = Library(connection, datasets, 0)
        await library.begin()
        await index.load()
        await library.insert(20)
        for _ in range(2):  # the second time forgets what the first time saw
            await connection.execute("UPDATE tag_change_horizon SET at = now() - interval '2 hours'")
            await connection.execute("SELECT fold_tag_deltas()")
        question: dict[str, Any] = {"filters": {"objects": ["car", "dog"]}, "match": "any", "limit": 99}
        expected = await find_by_containment(connection, ours, **question)
        assert expected
        was = index._memory
        page = await index.find(connection, ours, **question)
        assert (page.hits, page.total) == (expected, len(expected))
        assert index._memory is not was


async def test_memory_works_after_a_restore_from_a_server_that_had_counted_further(
    garden: Garden, datasets: list[Dataset]
) -> None:
    index = TagIndex(garden.database)
    ours = [dataset.id for dataset in datasets]
    question: dict[str, Any] = {"filters": {"objects": ["car", "dog"]}, "match": "any"}
    async with garden.database.connection() as connection:
        library = Library(connection, datasets, 0)
        await library.begin()
        await library.insert(20)
        await connection.execute("UPDATE tag_change SET changed_in = '99999999999'")
        await connection.execute("UPDATE tag_change_horizon SET pruned = '99999999990', next = '99999999995'")
        await index.load()
        await library.insert(20)
        expected = await find_by_containment(connection, ours, **question, limit=99)
        assert await index.count(connection, ours, **question) == len(expected) > 20


async def test_the_first_question_fills_the_memory_and_of_a_small_library_waits_for_it(
    garden: Garden, datasets: list[Dataset]
) -> None:
    index = TagIndex(garden.database)
    ours = [dataset.id for dataset in datasets]
    async with garden.database.connection() as connection:
        library = Library(connection, datasets, 0)
        await library.begin()
        await library.insert(40)
        pages = [await index.find(connection, ours, {"objects": ["car"]}, match="any", limit=5)]
        while pages[-1].way != "memory":  # a busy machine may take more than the first question waits
            assert pages[-1].way == "lists"
            await asyncio.sleep(0.01)
            pages.append(await index.find(connection, ours, {"objects": ["car"]}, match="any", limit=5))
        expected = await find_by_containment(connection, ours, {"objects": ["car"]}, match="any", limit=500)
        assert pages[-1].total == len(expected) > 5
        assert all(page.hits == expected[:5] for page in pages)


async def test_a_quiet_library_is_asked_once_for_a_page_and_never_for_what_has_not_changed(
    garden: Garden, datasets: list[Dataset], monkeypatch: pytest.MonkeyPatch
) -> None:
    index = TagIndex(garden.database)
    ours = [dataset.id for dataset in datasets]
    statements: list[str] = []
    async with garden.database.connection() as connection:
        library = Library(connection, datasets, 0)
        await library.begin()
        await library.insert(40)
        await index.load()
        execute = connection.execute

        async def noted(statement: Any, *values: Any, **options: Any) -> Any:
            statements.append(statement.decode())
            return await execute(statement, *values, **options)

        monkeypatch.setattr(connection, "execute", noted)
        for folder, expected in ((None, [1, 1]), ("/a", [2, 1])):  # a new folder has to be found first
            for number in expected:
                statements.clear()
                page = await index.find(
                    connection, ours, {"objects": ["car", "dog"]}, match="any", limit=5, folder_path=folder
                )
                assert page.hits
                assert page.way == "memory"
                assert len(statements) == number, statements
        statements.clear()
        await index.facet_counts(connection, ours)
        await index.count(connection, ours, {"objects": ["car"]}, match="any", folder_path="/a")
        assert len(statements) == 2
        assert not any(" image " in statement for statement in statements)


async def test_questions_at_once_answer_truly_while_others_write(garden: Garden, datasets: list[Dataset]) -> None:
    """Every answer has what was committed before it was asked: images only come here, so numbers only rise."""
    index = TagIndex(garden.database)
    ours = [dataset.id for dataset in datasets]
    written = 0
    answers = 0

    async def write() -> None:
        nonlocal written
        for number in range(60):
            async with garden.database.transaction() as connection:
                new = Jsonb({"objects": ["new", f"label {number}"], "scenes": [], "attributes": []})
                await connection.execute(INSERT, [uuid7(), f"{number}.jpg", new, number, ours[0], "/a"])
            written += 1

    async def ask(folder: str | None) -> None:
        nonlocal answers
        async with garden.database.connection() as connection:
            while written < 60:
                before = written
                page = await index.find(
                    connection, ours, {"objects": ["new"]}, match="any", limit=500, folder_path=folder
                )
                assert before <= len(page.hits) <= written + 1
                assert page.total in (None, len(page.hits))
                facets = await index.facet_counts(connection, ours, folder)
                assert before <= facets.images <= written + 1
                answers += page.way == "memory"

    async with garden.database.connection() as connection:
        await Library(connection, datasets, 0).begin()
    await index.load()
    await asyncio.gather(write(), *(ask(folder) for folder in (None, None, "/a", "/a", "/")))
    assert answers > 5


async def test_a_transaction_that_looks_at_an_older_moment_takes_nothing_from_the_others(
    garden: Garden, datasets: list[Dataset]
) -> None:
    index = TagIndex(garden.database)
    ours = [dataset.id for dataset in datasets]
    question: dict[str, Any] = {"filters": {"objects": ["new"]}, "match": "any"}

    async def insert(connection: Connection, number: int) -> None:
        new = Jsonb({"objects": ["new"], "scenes": [], "attributes": []})
        await connection.execute(INSERT, [uuid7(), f"{number}.jpg", new, number, ours[0], "/"])

    async with garden.database.connection() as connection:
        await Library(connection, datasets, 0).begin()
        await index.load()
        await insert(connection, 0)
        async with garden.database.snapshot() as older:
            await older.execute("SELECT FROM image")
            await insert(connection, 1)
            # both ask at once; the older one is the first to read, and the other waited for that
            asked_at, memory = time.monotonic(), index._memory
            assert memory is not None
            await catch_up(older, memory, asked_at)
            await catch_up(connection, memory, asked_at)
            whole = Question(ours, groups_of({"objects": ["new"]}, "any") or [])
            assert count_in_memory(memory, whole) == 2
            for number in (3, 4):
                await index.find(older, ours, **question, limit=9)
                await insert(connection, number)
                await index.find(older, ours, **question, limit=9)
                assert await index.count(connection, ours, **question) == number


@pytest.mark.parametrize("in_memory", [False, True])
async def test_cursor_pages_neither_skip_nor_repeat_while_writers_work(
    garden: Garden, datasets: list[Dataset], in_memory: bool
) -> None:
    index = TagIndex(garden.database)
    ours = [dataset.id for dataset in datasets]
    stop = asyncio.Event()

    async def write() -> None:
        turn = 0
        while not stop.is_set():
            async with garden.database.transaction() as connection:
                library = Library(connection, datasets, turn := turn + 1)
                await library.insert(5)
                await connection.execute("UPDATE image SET archived_at = now() WHERE random() < 0.02")

    async with garden.database.connection() as connection:
        library = Library(connection, datasets, 9)
        await library.begin()
        await library.insert(150)
        if in_memory:
            await index.load()
        start = {hit.id for hit in await find_by_tags(connection, ours, {"objects": ["car"]}, match="any", limit=500)}
        writer = asyncio.create_task(write())
        seen: list[TagHit] = []
        page: list[TagHit] = []
        while not seen or page:
            after = After(seen[-1].created_at, seen[-1].id) if seen else None
            asked: dict[str, Any] = {"filters": {"objects": ["car"]}, "match": "any", "limit": 4, "after": after}
            if in_memory:
                page = (await index.find(connection, ours, **asked)).hits
            else:
                page = await find_by_tags(connection, ours, **asked)
            seen += page
        stop.set()
        await writer
        end = {hit.id for hit in await find_by_tags(connection, ours, {"objects": ["car"]}, match="any", limit=500)}
    assert len({hit.id for hit in seen}) == len(seen)
    assert start & end <= {hit.id for hit in seen}
    assert [(-hit.created_at.timestamp(), hit.id) for hit in seen] == sorted(
        (-hit.created_at.timestamp(), hit.id) for hit in seen
    )


@pytest.mark.parametrize(
    ("datasets_asked", "index_used"), [(1, "image_tag_of_dataset"), (3, "image_tag_of_organization")]
)
@pytest.mark.parametrize("objects", [["car"], ["car", "dog"]])
async def test_a_page_is_walked_in_order_of_an_index_and_reads_no_more_rows_than_it_returns(
    garden: Garden, datasets: list[Dataset], datasets_asked: int, index_used: str, objects: list[str]
) -> None:
    ours = [dataset.id for dataset in datasets][:datasets_asked]
    async with garden.database.connection() as connection:
        library = Library(connection, datasets, 4)
        await library.begin()
        await connection.execute(MANY)
        await connection.execute("VACUUM ANALYZE image, image_tag")
        plan = await explained(
            connection, lambda c: find_by_tags(c, ours, {"objects": objects}, match="any", limit=5, offset=2)
        )
    (walk,) = (line for line in plan.splitlines() if " on image_tag t " in line)
    assert f"Index Only Scan using {index_used} on image_tag t" in walk, plan
    assert f"(actual rows=7.00 loops={len(objects)})" in walk, plan


async def explained(connection: Connection, search: Callable[[Connection], Awaitable[Any]]) -> str:
    """What PostgreSQL itself says it did for the last statement of the search."""
    notices: list[str] = []
    connection.add_notice_handler(lambda notice: notices.append(notice.message_primary or ""))
    try:
        await connection.execute("LOAD 'auto_explain'")
    except psycopg.Error as error:
        pytest.skip(f"this server has no auto_explain: {error}")
    for setting in ("log_analyze = on", "log_timing = off", "log_level = notice", "log_min_duration = 0"):
        await connection.execute(f"SET auto_explain.{setting}".encode())
    await search(connection)
    return notices[-1]


async def test_the_migration_fills_the_lists_of_a_library_that_is_there(postgres: str) -> None:
    with fresh_database(postgres) as url:
        with psycopg.connect(url) as connection:
            connection.execute("CREATE EXTENSION vector")
            connection.execute(CREATE_LEDGER)
            apply_missing(connection, [one for one in packaged_migrations() if one.number < 4])
            connection.execute("INSERT INTO organization (id, name) VALUES (gen_random_uuid(), 'a')")
            connection.execute(
                "INSERT INTO dataset (id, organization_id, name)"
                " SELECT gen_random_uuid(), id, 'set ' || n FROM organization, generate_series(1, 3) n"
            )
            connection.execute("INSERT INTO folder (dataset_id, path) SELECT id, '/' FROM dataset")
            connection.execute("INSERT INTO blob (sha256, size_bytes) VALUES (sha256('x'), 1)")
            connection.execute(MANY)
            connection.execute("UPDATE image SET archived_at = now() WHERE random() < 0.1")
        migrate(url)
        database = Database(url, max_connections=1)
        await database.open()
        async with database.connection() as after:
            assert await rows(after, LISTED)
            await require_truth(after)
        await database.close()
