"""Nothing holds the event loop: no callback takes above 20 ms of processor time, whatever is asked for beside it.

The only time that tests assert: that of the loop's own thread, without the interpreter's garbage collections.
"""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import cycle
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import httpx
import numpy as np
import psycopg
import pyarrow as pa
import pytest
from prometheus_client.parser import text_string_to_metric_families
from psycopg.types.json import Jsonb

from pictograph import Client, Example
from pictograph.bulk.images import BulkImages, new_ids, tag_documents
from pictograph.bulk.load import bulk_load, make_folders
from pictograph.db.pool import Database
from pictograph.encode.protocol import EncoderSpec
from pictograph.spaces.registry import Spaces
from pictograph.tagging.taxonomy import load_taxonomy
from pictograph.types import DIMENSION, TAG_CATEGORIES, DatasetId, Tags
from pictograph.wire import API_PREFIX
from pictograph.wire.vectors import ARROW_STREAM, MAX_ROWS
from support.databases import fresh_database
from support.loops import watched_loop
from support.pictures import picture_bytes
from support.services import Service, running_service
from support.vectors import ENCODER, stream_of

OTHER = EncoderSpec(name="other", revision="1", dimension=DIMENSION, input_px=224, has_text=False)
IMAGES = 20_500
"""More than are applied to the memory of tags at once, or brought up to date in it at all."""
CHANGE = """
UPDATE image SET image_auto_tags = jsonb_set(image_auto_tags, '{objects}', %s)
WHERE id IN (SELECT id FROM image WHERE dataset_id = %s ORDER BY id LIMIT %s)"""


@pytest.fixture(scope="module")
def watched(postgres: str, template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service on the loop that can be watched."""
    folder = tmp_path_factory.mktemp("watched")
    with fresh_database(postgres, template) as url, running_service(url, folder, loop="asyncio") as service:
        yield service


@pytest.fixture(scope="module")
def library(watched: Service) -> Library:
    """Dataset `street`, of `IMAGES` tagged images."""
    organization = watched.organization()
    client = watched.client(organization)
    dataset = DatasetId(UUID(client.datasets.create("street").id))
    images = asyncio.run(load(watched.database_url, dataset, IMAGES))
    return Library(watched, client, watched.key(organization), dataset, images)


@dataclass
class Library:
    """What the tests ask about."""

    service: Service
    client: Client
    key: str
    dataset: DatasetId
    images: list[str]

    def ask(self, path: str, **params: Any) -> httpx.Response:
        """The answer to a GET."""
        url = self.service.address + API_PREFIX + path
        answer = httpx.get(url, params=params, headers={"X-API-Key": self.key}, timeout=60)
        assert answer.status_code == 200, answer.text[:500]
        return answer


async def load(url: str, dataset: DatasetId, count: int) -> list[str]:
    """Ids of new images with vectors and tags, as an ingest leaves them."""
    database = Database(url, max_connections=2)
    await database.open()
    try:
        space = await Spaces(database).active()
        assert space is not None
        async with database.connection() as connection:
            folders = await make_folders(connection, dataset, [f"/{number}" for number in range(20)])
            images = made_up(count, folders)
            await bulk_load(connection, space.id, dataset, images)
    finally:
        await database.close()
    return [str(UUID(bytes=row.tobytes())) for row in images.ids]


def made_up(count: int, folders: np.ndarray) -> BulkImages:
    random = np.random.default_rng(7)
    vectors = random.standard_normal((count, DIMENSION), dtype=np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return BulkImages(
        ids=new_ids(count),
        folder_ids=random.choice(folders, count),
        filenames=[f"{number}.jpg" for number in range(count)],
        sha256s=random.integers(0, 256, (count, 32), dtype=np.uint8),
        sizes_bytes=np.full(count, 1000),
        widths_px=np.full(count, 640),
        heights_px=np.full(count, 480),
        vectors=vectors.astype(np.float16),
        tags=tag_documents(made_up_tags(count, random)),
    )


def made_up_tags(count: int, random: np.random.Generator) -> list[Tags]:
    taxonomy = load_taxonomy()
    names = {category: list(taxonomy.names(category)) for category in TAG_CATEGORIES}
    return [
        {
            category: sorted({labels[int(place)] for place in random.random(3) ** 2 * len(labels)})
            for category, labels in names.items()
        }  # type: ignore[misc]
        for _ in range(count)
    ]


def assert_nothing_holds(service: Service, scenario: Callable[[], object]) -> None:
    """What holds the loop does so every time; that a busy machine charges us for its own work happens once."""
    for _ in range(3):
        with watched_loop(service.loop) as watch:
            scenario()
        assert watch.callbacks
        if not watch.slow:
            return
    pytest.fail("\n".join(f"{took * 1000:.1f} ms: {where}" for took, where in watch.slow))


def test_the_watch_sees_what_holds_the_loop(watched: Service) -> None:
    async def busy() -> None:
        began = time.thread_time()
        while time.thread_time() - began < 0.03:
            pass

    with watched_loop(watched.loop) as watch:
        watched.run(busy())
    assert [took >= 0.03 for took, _ in watch.slow] == [True]
    assert "busy" in watch.slow[0][1]


def test_no_question_holds_the_loop(watched: Service, library: Library) -> None:
    def ask_everything() -> None:
        tagged = library.ask("/search/by-tags", scenes="outdoor", limit=500).json()
        similar = library.ask("/search/similar", image_id=library.images[0], threshold=0, limit=500).json()
        assert len(tagged["results"]) == len(similar["results"]) == 500
        library.ask("/search/tags")
        library.ask("/search/tags", scenes="outdoor")
        assert len(library.ask("/images/", dataset="street", limit=1000).json()["data"]) == 1000
        library.ask("/datasets/street", include_images=True, images_limit=10_000)
        library.ask("/tags")
        library.ask("/datasets/", limit=1000)
        assert httpx.get(f"{watched.address}/metrics").status_code == 200
        assert httpx.get(f"{watched.address}/openapi.json").status_code == 200

    assert_nothing_holds(watched, ask_everything)


@pytest.mark.parametrize("count", [40, 15_000, IMAGES])
def test_no_change_of_tags_holds_the_loop(watched: Service, library: Library, count: int) -> None:
    def change_and_ask() -> None:
        with psycopg.connect(watched.database_url, autocommit=True) as connection:
            connection.execute(CHANGE, [Jsonb(["dog", next(others)]), library.dataset, count])
        for _ in range(10):
            assert library.ask("/search/by-tags", objects="dog", limit=1).json()["results"]
            time.sleep(0.1)

    others = cycle(["car", "cat", "bus"])  # what is as it was is no change
    library.ask("/search/by-tags", objects="dog")  # fills the memory
    assert_nothing_holds(watched, change_and_ask)


def test_no_ingest_and_no_upload_holds_the_loop(watched: Service, library: Library) -> None:
    def ingest() -> None:
        dataset = library.client.datasets.create(uuid4().hex)
        asyncio.run(load(watched.database_url, DatasetId(UUID(dataset.id)), 2500))
        library.client.images.upload(dataset.name, picture_bytes(1) + bytes(20_000_000), filename="large.jpg")
        for number in range(5):
            library.client.images.upload(dataset.name, picture_bytes(number), filename=f"{number}.png")
            library.ask("/search/by-tags", scenes="outdoor")

    assert_nothing_holds(watched, ingest)


def test_no_picture_as_a_question_holds_the_loop(watched: Service, library: Library) -> None:
    def ask_by_pictures() -> None:
        library.client.search.by_image(picture_bytes(1) + bytes(20_000_000), limit=1)
        library.client.search.query(examples=[Example(picture=picture_bytes(1) + bytes(11_000_000))], limit=1)

    assert_nothing_holds(watched, ask_by_pictures)


@pytest.mark.long
@pytest.mark.timeout(400)
def test_no_import_and_no_export_of_vectors_holds_the_loop(watched: Service, library: Library) -> None:
    """As many rows as one request may have: new ones, known ones, and ones that replace those."""
    random = np.random.default_rng(3)
    made = random.standard_normal((MAX_ROWS, DIMENSION), dtype=np.float32)
    made = (made / np.linalg.norm(made, axis=1, keepdims=True)).astype(np.float16)
    tags = made_up_tags(MAX_ROWS, random)

    def rows(turn: int) -> bytes:
        columns: dict[str, Any] = {
            "filename": [f"{number}.jpg" for number in range(MAX_ROWS)],
            "folder_path": [f"/{number % 50}" for number in range(MAX_ROWS)],
            "vector": pa.FixedSizeListArray.from_arrays(pa.array(np.roll(made, turn, axis=0).ravel()), DIMENSION),
            "id": [str(uuid4()) for _ in range(MAX_ROWS)],
        } | {category: [list(dict.fromkeys(one[category])) for one in tags] for category in TAG_CATEGORIES}
        return stream_of(pa.table(columns))

    bodies = [rows(0), rows(1)]

    def come_and_go() -> None:
        dataset = library.client.datasets.create(uuid4().hex)
        url = f"{watched.address}{API_PREFIX}/datasets/{dataset.id}/vectors"
        headers = {"X-API-Key": library.key, "Content-Type": ARROW_STREAM, "Idempotency-Key": uuid4().hex}
        seen = []
        for body, replace in ((bodies[0], False), (bodies[0], False), (bodies[1], True)):
            asked = {"encoder": ENCODER, "replace": str(replace).lower()}
            headers["Idempotency-Key"] = uuid4().hex
            answer = httpx.post(url, content=body, params=asked, headers=headers, timeout=120)
            assert answer.status_code == 200, answer.text[:500]
            seen.append([answer.json()["data"][name] for name in ("imported", "skipped", "replaced")])
        assert seen == [[MAX_ROWS, 0, 0], [0, MAX_ROWS, 0], [0, 0, MAX_ROWS]]
        assert len(library.ask(f"/datasets/{dataset.id}/vectors").content) > 10_000_000

    assert_nothing_holds(watched, come_and_go)


def test_a_header_without_end_does_not_hold_the_loop(watched: Service) -> None:
    def flood() -> None:
        address = urlsplit(watched.address)
        with socket.create_connection((address.hostname, address.port)) as connection, suppress(OSError):
            connection.sendall(b"GET /health HTTP/1.1\r\nX-Big: " + b"a" * 16_000_000)

    assert_nothing_holds(watched, flood)


def test_no_reindex_holds_the_loop(watched: Service, library: Library) -> None:
    def reindex() -> None:
        watched.run(watched.services.reindex.start(OTHER, OTHER.name), timeout_s=60)
        for _ in range(2):
            library.ask("/reindex/")
            watched.run(watched.services.reindex.advance(), timeout_s=60)
        watched.run(watched.services.reindex.cancel(), timeout_s=60)

    assert_nothing_holds(watched, reindex)


def test_how_late_the_loop_is_can_be_read_in_the_metrics(watched: Service) -> None:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        families = text_string_to_metric_families(httpx.get(f"{watched.address}/metrics").text)
        samples = {sample.name: sample.value for family in families for sample in family.samples}
        if samples.get("pictograph_event_loop_lag_seconds_count"):
            return
        time.sleep(0.1)
    pytest.fail("the loop was never measured")
