"""A disk without room: it is said as such, nothing is half kept, and it shows before anybody uploads."""

from __future__ import annotations

import resource
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from pictograph import ConfigurationError, StorageFull, Unavailable
from pictograph.db.embedded import EmbeddedPostgres
from pictograph.db.pool import Database
from pictograph.server.background import tried
from pictograph.store.blobs import BlobStore
from pictograph.store.room import Rooms, rooms_of
from pictograph.types import Sha256
from pictograph.wire import Image
from support.commands import runner
from support.databases import fresh_database
from support.pictures import noise_bytes
from support.services import running_service


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 1 MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "none", str(folder)], capture_output=True, text=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"no small disk can be mounted here, only root may: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """No file of this process may grow beyond it: the kernel answers as a quota does."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


async def test_bytes_that_find_no_room_leave_nothing_behind_and_the_next_try_works(tmp_path: Path) -> None:
    blobs = BlobStore.open(tmp_path / "blobs")
    sha256, data = Sha256(bytes(32)), b"x" * 3_000_000
    with largest_file(1_000_000), pytest.raises(StorageFull, match="no room left") as caught:
        await blobs.put(sha256, data)
    assert "\n" not in caught.value.message
    assert "Debug" not in caught.value.message
    assert not caught.value.retryable
    assert blobs.full_at is not None
    assert [path for path in (tmp_path / "blobs").rglob("*") if path.is_file()] == []
    await blobs.put(sha256, data)
    assert await blobs.get(sha256) == data


def test_uploads_to_a_full_disk_are_507_and_show_in_ready_and_status(
    postgres: str,
    template: str,
    tmp_path: Path,
    small_disk: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("pictograph.store.room.FULL_BYTES", 300_000)
    options = {"blob_url": str(small_disk)}
    with fresh_database(postgres, template) as url, running_service(url, tmp_path / "data", **options) as service:
        client = service.client()
        health = client.ready()
        (room,) = health.storage
        assert (room.holds, room.total_bytes) == ("files", 1_048_576)
        assert "nearly full" in health.warnings[0]
        monkeypatch.setenv("PICTOGRAPH_API_KEY", client._transport.config.api_key)
        monkeypatch.setenv("PICTOGRAPH_BASE_URL", service.address)
        command = runner(monkeypatch, capsys)
        code, said, _ = command("status")
        assert code == 0
        assert "nearly full" in said
        assert "GB free" in said

        client.datasets.create("street")
        kept: list[Image] = []

        def upload_until_full() -> None:
            for number in range(20):
                kept.append(client.images.upload("street", noise_bytes(number, 200_000), filename=f"{number}.png"))

        with pytest.raises(StorageFull, match="no room left") as caught:
            upload_until_full()
        assert 2 <= len(kept) <= 5
        assert caught.value.status_code == 507
        assert [image.id for image in client.images.list("street")] == [image.id for image in reversed(kept)]
        for image in kept:
            assert client.images.download(image.id)
        with pytest.raises(Unavailable, match="The disk that holds the files is full"):
            client.ready()
        code, _, said = command("status")
        assert code != 0
        assert "the files is full" in said

        client.images.delete(kept[0].id, permanent=True)
        client.images.delete(kept[1].id, permanent=True)
        service.run(service.services.intake.sweep())
        service.services.blobs.full_at = None  # a minute later
        assert client.ready().problems == []
        client.images.upload("street", noise_bytes(99, 200_000), filename="again.png")


def test_a_start_on_a_full_disk_says_so_first(small_disk: Path) -> None:
    with pytest.raises(ConfigurationError) as caught:
        EmbeddedPostgres.start(small_disk / "data")
    assert caught.value.message.startswith("The disk is full")


async def test_a_database_whose_disk_is_full_shows_too(database: Database, tmp_path: Path) -> None:
    blobs = BlobStore.open(tmp_path / "blobs")
    rooms = Rooms(database, blobs, tmp_path, warn_below_bytes=0)

    async def step(connection: object) -> None:
        raise psycopg.errors.DiskFull('could not extend file "base/1/2": No space left on device')

    with pytest.raises(StorageFull, match="database's disk is full"):
        await database.write(step)
    assert ["There was no room for the database" in text for text in (await rooms.look()).problems] == [True]


async def test_the_log_warns_once_of_what_becomes_scarce(
    database: Database, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rooms = Rooms(database, BlobStore.open(tmp_path / "blobs"), tmp_path, warn_below_bytes=10**18)
    for _ in range(3):
        await tried(rooms.warn)
    assert len([record for record in caplog.records if "nearly full" in record.message]) == 1
    assert len((await rooms.look()).rooms) == 1
    assert rooms_of({"files": tmp_path / "gone"}) == []
