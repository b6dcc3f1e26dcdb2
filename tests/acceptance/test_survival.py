"""Killed at any moment and started again, the service gives the answers that the rows themselves give, and no others.

The truth is computed here, from images and encodings alone: nothing that is derived from them is asked.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid4

import numpy as np
import numpy.typing as npt
import psycopg
import pytest
from pgvector.psycopg import register_vector_async
from psycopg import AsyncConnection

from acceptance.processes import Place, send, until
from acceptance.test_crashes import SHORT_LEASE, database
from pictograph.bulk.images import BulkImages, new_ids, tag_documents
from pictograph.bulk.load import bulk_load, make_folders
from pictograph.client import Client
from pictograph.errors import ConflictError, PictographError
from pictograph.tagging.taxonomy import load_taxonomy
from pictograph.types import DIMENSION, TAG_CATEGORIES, Tags
from support.pictures import picture_bytes

pytestmark = [pytest.mark.acceptance, pytest.mark.long]

IMAGES = 21_000
"""Enough for the quantized index."""
FOLDERS = 21
CLUSTER = 100
"""Images that are near each other; fewer than the candidates for 50 rows, so that none is missed."""
LIMIT = 50
NEAR = 0.3
"""Images of one cluster have at least 0.5, others hardly 0.15: among these, codes may take one for another."""
ROUNDING = 2e-3
"""Similarities come from float16 numbers, added up in another order."""
LABELS = {category: load_taxonomy().names(category)[:4] for category in TAG_CATEGORIES}
QUESTIONS: list[dict[str, Any]] = [
    {"objects": LABELS["objects"][:1]},
    {"objects": LABELS["objects"][3:4]},
    {"objects": LABELS["objects"][:2], "scenes": LABELS["scenes"][:1]},
    {"objects": LABELS["objects"][:2], "match": "all"},
]
VECTORS = """
COPY (SELECT i.id, e.vector FROM image i JOIN encoding e ON e.sha256 = i.sha256 AND e.space_id = (
          SELECT id FROM space WHERE active)
      WHERE i.archived_at IS NULL AND i.state IN ('embedded', 'tagged') AND i.dataset_id = {dataset}
      ORDER BY i.id) TO STDOUT (FORMAT BINARY)"""
VECTOR_ROW = np.dtype(
    [("fields", ">i2"), ("n1", ">i4"), ("id", "S16"), ("n2", ">i4"), ("dimension", ">i2"), ("unused", ">i2"),
     ("vector", ">f2", DIMENSION)]
)  # fmt: skip
SHOWN = """
SELECT i.id, f.path, i.image_auto_tags FROM image i JOIN folder f ON f.id = i.folder_id
WHERE i.archived_at IS NULL AND i.dataset_id = %s ORDER BY i.created_at DESC, i.id"""
SPACE_AND_DATASET = "SELECT space.id, dataset.id FROM space, dataset WHERE active AND dataset.name = %s"
MOVE = """
WITH moved AS (
    UPDATE image SET folder_id = folder.id FROM folder
    WHERE folder.dataset_id = image.dataset_id AND folder.path = %s AND image.id = ANY(%s)
    RETURNING image.id, image.folder_id
)
UPDATE image_embedding SET folder_id = moved.folder_id FROM moved WHERE image_id = moved.id"""


def images_of(count: int, folder_ids: npt.NDArray[np.int64], seed: int) -> BulkImages:
    """Clusters far from each other; in each, some images are nearer to its middle and some farther."""
    chance = np.random.default_rng(seed)
    middles = np.repeat(chance.standard_normal((count // CLUSTER + 1, DIMENSION), np.float32), CLUSTER, axis=0)[:count]
    distances = np.resize(np.linspace(0.1, 1, CLUSTER, dtype=np.float32), count)[:, None]
    vectors = middles + distances * chance.standard_normal((count, DIMENSION), np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return BulkImages(
        ids=new_ids(count),
        folder_ids=folder_ids,
        filenames=[f"{uuid4().hex}.jpg" for _ in range(count)],
        sha256s=chance.integers(0, 256, (count, 32), np.uint8),
        sizes_bytes=np.full(count, 1000),
        widths_px=np.full(count, 640),
        heights_px=np.full(count, 480),
        vectors=vectors.astype(np.float16),
        tags=tag_documents([some_tags(number) for number in range(count)]),
    )


def some_tags(number: int) -> Tags:
    """The first object on half of the images, the last one on one in 500."""
    objects = [label for label, every in zip(LABELS["objects"], (2, 3, 7, 500), strict=True) if number % every == 0]
    return {"objects": objects, "scenes": LABELS["scenes"][: number % 3], "attributes": []}


async def load(place: Place, dataset_name: str, paths: list[str], seed: int) -> None:
    """An image for each path, in one transaction, as a program that loads its own vectors does it."""
    with place.client(max_retries=0) as client, contextlib.suppress(ConflictError):
        client.datasets.create(dataset_name)
    async with await AsyncConnection.connect(place.conninfo, autocommit=True, connect_timeout=10) as connection:
        await register_vector_async(connection)
        found = await connection.execute(SPACE_AND_DATASET, [dataset_name])
        row = await found.fetchone()
        if row is not None:
            folders = await make_folders(connection, row[1], paths)
            await bulk_load(connection, row[0], row[1], images_of(len(paths), folders, seed))


@dataclass
class Turmoil:
    """Everything that writes, at once, each in a thread of its own, whether the service is there or not."""

    place: Place
    chance: random.Random
    images: list[str]
    done: Counter[str] = field(default_factory=Counter)
    failed: list[BaseException] = field(default_factory=list)
    _stop: threading.Event = field(default_factory=threading.Event)

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        # most of all loads, so that some are in the middle when the end comes
        steps = [self.load, self.load, self.replace_dataset, self.upload, self.archive, self.delete, self.move]
        threads = [threading.Thread(target=self._again_and_again, args=[step]) for step in (*steps, self.search)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._stop.set()
            for thread in threads:
                thread.join()
            self._stop.clear()
        assert not self.failed, self.failed

    def _again_and_again(self, step: Callable[[], None]) -> None:
        while not self._stop.is_set():
            try:
                step()
                self.done[step.__name__] += 1
            except (PictographError, psycopg.Error, OSError):  # cut off, or it met what another step had removed
                time.sleep(0.05)
            except BaseException as error:  # noqa: BLE001 - told to the test, which runs in another thread
                self.failed.append(error)
                return

    def _client(self) -> Client:
        return self.place.client(max_retries=0)

    def _some(self, count: int) -> list[str]:
        return self.chance.sample(self.images, count)

    def upload(self) -> None:
        with self._client() as client:
            picture = picture_bytes(self.chance.randrange(2**30), format="PNG")
            client.images.upload("library", picture, filename=f"{uuid4().hex}.png", folder_path="/uploads")

    def load(self) -> None:
        folder = f"/loaded/{self.chance.randrange(8)}"
        asyncio.run(load(self.place, "library", [folder] * 1000, self.chance.randrange(2**30)))

    def replace_dataset(self) -> None:
        with self._client() as client:
            asyncio.run(load(self.place, "passing", ["/a", "/b"] * 100, self.chance.randrange(2**30)))
            client.datasets.delete("passing")

    def archive(self) -> None:
        with self._client() as client:
            hidden, shown = self._some(2)
            client.images.delete(hidden)
            client.images.restore(shown)

    def delete(self) -> None:
        with self._client() as client:
            client.images.delete(self._some(1)[0], permanent=True)

    def move(self) -> None:
        with database(self.place) as connection:
            connection.execute(MOVE, [f"/{self.chance.randrange(FOLDERS):02}", self._some(20)])

    def search(self) -> None:
        with self._client() as client:
            client.search.by_similarity(self._some(1)[0], folder_path="/", threshold=0, limit=LIMIT)
            client.search.by_tag(**self.chance.choice(QUESTIONS), dataset_name="library", limit=LIMIT)


@dataclass
class Truth:
    """What is in one dataset, by its rows."""

    ids: list[str]
    """Those that can be found by likeness, in the order of `vectors`."""
    vectors: npt.NDArray[np.float32]
    paths: dict[str, str]
    """Folder of every image that is shown, newest image first."""
    tags: dict[str, Tags]

    @classmethod
    def read(cls, place: Place) -> Truth:
        with database(place) as connection:
            row = connection.execute("SELECT id FROM dataset WHERE name = 'library'").fetchone()
            assert row is not None
            shown = connection.execute(SHOWN, row).fetchall()
            statement = psycopg.sql.SQL(VECTORS).format(dataset=psycopg.sql.Literal(row[0]))
            with connection.cursor().copy(statement) as copy:
                data = b"".join(copy)[19:-2]  # header, trailer
        rows = np.frombuffer(data, VECTOR_ROW)
        return cls(
            [str(UUID(bytes=image.ljust(16, b"\0"))) for image in rows["id"].tolist()],
            rows["vector"].astype(np.float32),
            {str(image): path for image, path, _ in shown},
            {str(image): tags for image, _, tags in shown},
        )

    def inside(self, folder: str) -> set[str]:
        below = folder.rstrip("/") + "/"
        return {image for image, path in self.paths.items() if path == folder or path.startswith(below)}

    def similarities(self, reference: str, folder: str) -> dict[str, float]:
        cosines = self.vectors @ self.vectors[self.ids.index(reference)]
        scope = self.inside(folder) - {reference}
        return {
            image: max(0.0, float(cosine)) for image, cosine in zip(self.ids, cosines, strict=True) if image in scope
        }

    def with_tags(self, match: str = "any", **wanted: list[str]) -> list[str]:
        some_or_all = all if match == "all" else any
        return [
            image
            for image, tags in self.tags.items()
            if all(some_or_all(label in tags[category] for label in labels) for category, labels in wanted.items())  # type: ignore[literal-required]
        ]

    def counts(self, folder: str) -> dict[str, Counter[str]]:
        scope = self.inside(folder)
        counted = [self.tags[image] for image in scope]
        return {name: Counter(label for tags in counted for label in tags[name]) for name in TAG_CATEGORIES}  # type: ignore[literal-required]


def everything_is_answered_truly(place: Place, chance: random.Random) -> None:
    until(lambda: nothing_waits(place), "every image is processed")
    truth = Truth.read(place)
    assert set(truth.paths) == set(truth.ids)
    with place.client() as client:
        until(lambda: uses_the_index(client, truth.ids[0]), "large scopes are searched by the quantized index again")
        for reference in chance.sample(truth.ids, 4):
            for folder in ("/", truth.paths[reference], "/loaded"):
                for exact in (False, True):
                    likeness_is_true(client, truth, reference, folder, exact=exact)
        for question in QUESTIONS:
            found = client.search.iterate_by_tag(**question, dataset_name="library")
            assert [image.id for image in found] == truth.with_tags(**question), question
        for folder in ("/", "/03", "/loaded"):
            facets = client.search.tags(dataset_name="library", folder_path=folder)
            for category, counted in truth.counts(folder).items():
                assert {one.label: one.count for one in getattr(facets, category)} == counted, (folder, category)
            assert facets.images == len(truth.inside(folder))


def likeness_is_true(client: Client, truth: Truth, reference: str, folder: str, *, exact: bool) -> None:
    rows = client.search.by_similarity(reference, folder_path=folder, threshold=0, limit=LIMIT, exact=exact)
    expected = truth.similarities(reference, folder)
    what = (reference, folder, rows.plan, rows.plan_reason)
    assert rows.scope_size == len(truth.inside(folder)), what
    assert len(rows) == min(LIMIT, len(expected)), what
    last = sorted(expected.values(), reverse=True)[: len(rows)][-1] if rows else 0
    for row in rows:
        assert row.similarity == pytest.approx(expected[row.image_id], abs=ROUNDING), what
        assert not rows.exact or expected[row.image_id] >= last - ROUNDING, what
    found = [row.image_id for row in rows]
    assert len(set(found)) == len(found), what
    least = last + ROUNDING if rows.exact else max(last + ROUNDING, NEAR)
    assert {image for image, similarity in expected.items() if similarity > least} <= set(found), what


def nothing_waits(place: Place) -> bool:
    with contextlib.suppress(psycopg.Error), database(place) as connection:
        return connection.execute("SELECT 1 FROM job").fetchone() is None
    return False


def uses_the_index(client: Client, reference: str) -> bool:
    try:
        return client.search.by_similarity(reference, folder_path="/", threshold=0, limit=LIMIT).plan == "quantized"
    except PictographError:  # not quite there yet
        return False


def kill_the_service(place: Place) -> None:
    running = place.started[-1]
    running.send(signal.SIGKILL)
    running.wait()
    place.serve_until_ready(**SHORT_LEASE)


def kill_the_database(place: Place) -> None:
    """The service stays, and starts it again."""
    send(place.postmaster(), signal.SIGKILL)


def kill_all(place: Place) -> None:
    """Two processes answer from then on."""
    place.kill_everything()
    place.serve_until_ready("--http-workers", "2", **SHORT_LEASE)


def kill_a_serving_process(place: Place) -> None:
    """The service stays, and starts it again; the other goes on."""
    send(place.serving()[0], signal.SIGKILL)


@pytest.mark.timeout(600)
def test_killed_at_any_moment_it_answers_truly_again(place: Place) -> None:
    seed = random.SystemRandom().randrange(2**32)
    print(f"seed {seed}")  # noqa: T201 - shown when it fails
    chance = random.Random(seed)
    place.serve_until_ready(**SHORT_LEASE)
    paths = sorted(f"/{number % FOLDERS:02}" for number in range(IMAGES))
    asyncio.run(load(place, "library", paths, seed))
    with database(place) as connection:
        connection.execute("ANALYZE")
        images = [str(row[0]) for row in connection.execute("SELECT id FROM image")]
    turmoil = Turmoil(place, chance, images)
    for kill in (kill_the_service, kill_the_database, kill_all, kill_a_serving_process):
        with turmoil.running():
            time.sleep(chance.uniform(0.5, 2.5))
            kill(place)
        everything_is_answered_truly(place, chance)
    assert set(turmoil.done) == {"upload", "load", "replace_dataset", "archive", "delete", "move", "search"}
