"""A library knows its blob store: whoever opens another one is refused before it does harm."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from obstore.store import MemoryStore

from pictograph.db.pool import Database
from pictograph.encode.noop import NoopEncoder
from pictograph.errors import ConfigurationError, Unavailable
from pictograph.ingest.judging import Model
from pictograph.jobs.queue import Queue
from pictograph.pipeline import Processor
from pictograph.services import open_services
from pictograph.settings import Settings
from pictograph.store.blobs import MARK, BlobStore
from pictograph.store.library import require_own_blobs
from pictograph.tagging.taxonomy import load_taxonomy
from pictograph.types import Sha256
from pictograph.upload.bounded.pool import PictureReaders
from pictograph.upload.bounded.wanted import DecodeBudget
from pictograph.upload.limits import PictureLimits
from pictograph.worker import open_worker
from support.pictures import picture_bytes
from support.planting import Garden


def ignore(seen: int, total: int) -> None:
    """Progress that nobody reads."""


@pytest.fixture(params=["folder", "s3"])
def stores(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[list[BlobStore]]:
    """Two empty stores."""
    if request.param == "folder":
        yield [BlobStore.open(tmp_path / "first"), BlobStore.open(tmp_path / "second")]
    else:
        yield [BlobStore(MemoryStore()), BlobStore(MemoryStore())]


async def keep_images(garden: Garden, blobs: BlobStore, count: int = 3) -> list[Sha256]:
    dataset = await garden.dataset(f"street {uuid4()}")
    kept = []
    for number in range(count):
        data = picture_bytes(number)
        kept.append(Sha256(hashlib.sha256(data).digest()))
        await garden.receive(dataset, f"{number}.jpg", content=data)
        await blobs.put(kept[-1], data)
    return kept


async def test_a_new_library_takes_the_store_it_is_started_with_and_no_other(
    garden: Garden, stores: list[BlobStore]
) -> None:
    first, second = stores
    await require_own_blobs(garden.database, first, "first")
    await require_own_blobs(garden.database, first, "first")
    with pytest.raises(ConfigurationError, match="files are in first, but second is not marked") as caught:
        await require_own_blobs(garden.database, second, "second")
    assert "\n" not in caught.value.message
    assert "--adopt-blob-store" in caught.value.message
    assert await second.mark() is None


async def test_a_library_from_before_takes_the_store_that_has_its_files(
    garden: Garden, stores: list[BlobStore]
) -> None:
    first, second = stores
    await keep_images(garden, first)
    with pytest.raises(ConfigurationError, match="None of 3 files"):
        await require_own_blobs(garden.database, second, "second")
    await require_own_blobs(garden.database, first, "first")
    assert await first.mark()


async def test_a_store_of_another_library_is_refused(garden: Garden, stores: list[BlobStore]) -> None:
    first, second = stores
    await second.put_mark(uuid4())
    with pytest.raises(ConfigurationError, match="belongs to another library"):
        await require_own_blobs(garden.database, second, "second")
    await require_own_blobs(garden.database, first, "first")
    with pytest.raises(ConfigurationError, match="second belongs to another library"):
        await require_own_blobs(garden.database, second, "second")


async def test_a_moved_library_is_adopted_once_every_file_is_there_and_the_old_store_is_refused_then(
    garden: Garden, stores: list[BlobStore]
) -> None:
    first, second = stores
    await require_own_blobs(garden.database, first, "first")
    kept = await keep_images(garden, first)
    for sha256 in kept[1:]:
        await second.put(sha256, await first.get(sha256))
    told: list[tuple[int, int]] = []
    with pytest.raises(ConfigurationError, match=r"1 of the 3 files .* '0\.jpg'"):
        await require_own_blobs(garden.database, second, "second", adopt=lambda *seen: told.append(seen))
    assert told == [(0, 3), (3, 3)]
    await require_own_blobs(garden.database, first, "first")

    await second.put(kept[0], await first.get(kept[0]))
    await require_own_blobs(garden.database, second, "second", adopt=ignore)
    await require_own_blobs(garden.database, second, "second")
    with pytest.raises(ConfigurationError, match="files are in second, but first"):
        await require_own_blobs(garden.database, first, "first")


async def test_a_start_that_was_killed_in_between_goes_on(garden: Garden, stores: list[BlobStore]) -> None:
    first, second = stores
    async with garden.database.connection() as connection:
        await connection.execute("INSERT INTO library (blob_store, location) VALUES (%s, 'first')", [uuid4()])
    await require_own_blobs(garden.database, first, "first")
    with pytest.raises(ConfigurationError):
        await require_own_blobs(garden.database, second, "second")


async def test_of_two_that_start_at_once_with_two_stores_one_is_refused(
    database_url: str, stores: list[BlobStore]
) -> None:
    databases = [Database(database_url), Database(database_url)]
    for database in databases:
        await database.open()
    starts = [
        require_own_blobs(database, blobs, name)
        for database, blobs, name in zip(databases, stores, ("first", "second"), strict=True)
    ]
    ended = await asyncio.gather(*starts, return_exceptions=True)
    assert sorted(type(end) for end in ended if end is not None) == [ConfigurationError]
    for database in databases:
        await database.close()


async def test_a_second_server_and_a_worker_with_another_data_folder_are_refused(
    database_url: str, tmp_path: Path
) -> None:
    def settings(folder: str) -> Settings:
        return Settings.load({"data_dir": tmp_path / folder, "encoder": "noop", "database_url": database_url}, {})

    async with open_services(settings("own"), database_url):
        for open_one in (open_services, open_worker):
            with pytest.raises(ConfigurationError, match="This library's files are in"):
                async with open_one(settings("other"), database_url):
                    pass
        async with open_services(settings("own"), database_url), open_worker(settings("own"), database_url):
            pass


async def test_a_worker_whose_disk_is_unmounted_fails_no_image_and_goes_on_when_it_is_back(
    garden: Garden, tmp_path: Path
) -> None:
    blobs = BlobStore.open(tmp_path / "blobs")
    await require_own_blobs(garden.database, blobs, "blobs")
    await keep_images(garden, blobs)
    (tmp_path / "blobs").rename(tmp_path / "away")
    (tmp_path / "blobs").mkdir()
    with pytest.raises(Unavailable, match="Is its disk mounted"):
        await blobs.put(Sha256(bytes(32)), b"lost")
    assert list((tmp_path / "blobs").iterdir()) == []

    async def states() -> set[tuple[str, int]]:
        async with garden.database.connection() as connection:
            found = await connection.execute(
                "SELECT state, coalesce(attempts, 0) FROM image LEFT JOIN job ON image_id = id"
            )
            return set(await found.fetchall())

    readers = PictureReaders(PictureLimits(), DecodeBudget(), processes=1)
    model = Model(NoopEncoder(), None, load_taxonomy(), garden.space)
    processor = Processor(garden.database, blobs, model, readers, threads=1, memory_bytes=10**9)
    queue = Queue(garden.database, garden.space, timedelta(seconds=60))
    for _ in range(8):  # more often than an image may fail
        async with garden.database.connection() as connection:
            await connection.execute("UPDATE job SET ready_at = now()")
        await processor.process(await queue.claim(10))
        assert await states() == {("received", 0)}
    (tmp_path / "blobs").rmdir()
    (tmp_path / "away").rename(tmp_path / "blobs")
    async with garden.database.connection() as connection:
        await connection.execute("UPDATE job SET ready_at = now()")
    await processor.process(await queue.claim(10))
    assert {state for state, _ in await states()} == {"embedded"}
    processor.close()


async def test_a_damaged_mark_is_named(garden: Garden, tmp_path: Path) -> None:
    blobs = BlobStore.open(tmp_path / "blobs")
    (tmp_path / "blobs" / MARK).write_text(json.dumps({"else": 1}))
    with pytest.raises(ConfigurationError, match=f"{MARK} in the blob store is damaged"):
        await require_own_blobs(garden.database, blobs, "blobs")
