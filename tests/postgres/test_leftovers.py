"""Deleted for good is deleted: every table and every file is looked through for what is left."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
import pytest

from pictograph.db.migrate import migrate, packaged_migrations
from pictograph.errors import DatabaseAway
from pictograph.ingest.sweep import FORGOTTEN_AFTER_SWEEPS, SWEEP_GRACE
from pictograph.pipeline import Intake
from pictograph.server.app import SWEEP_EVERY_S
from pictograph.spaces.encodings import Encoding, save_encodings
from pictograph.store.blobs import BlobStore
from pictograph.store.counts import ImageCounts
from pictograph.store.datasets import Dataset, Datasets
from pictograph.store.images import Images, Place
from pictograph.store.thumbnails import KINDS
from pictograph.store.tickets import Tickets
from pictograph.types import ImageId, Sha256, Tags
from pictograph.upload.limits import PictureLimits
from support.databases import fresh_database
from support.pictures import picture_bytes
from support.planting import Garden, direction
from support.traces import traces

TAGS: Tags = {"objects": ["car"], "scenes": ["street"], "attributes": []}
MINUTES_PROMISED = 10


@pytest.fixture
def blobs(tmp_path: Path) -> BlobStore:
    return BlobStore.open(tmp_path / "blobs")


@pytest.fixture
def intake(garden: Garden, blobs: BlobStore) -> Intake:
    database = garden.database
    return Intake(database, blobs, Images(database), Tickets(database), PictureLimits())


@pytest.fixture
async def street(garden: Garden) -> Dataset:
    return await garden.dataset()


async def upload(
    intake: Intake,
    garden: Garden,
    dataset: Dataset,
    filename: str,
    data: bytes,
    blobs: BlobStore,
    state: str = "tagged",
) -> tuple[ImageId, Sha256]:
    """An image that went through everything: bytes, thumbnail, vector, tags, scores."""
    image = await intake.receive(garden.organization, Place(dataset.id, "/", filename), data)
    if state == "tagged":
        await garden.finish(image.id, direction(1.0), TAGS)
    elif state == "failed":
        await garden.fail(image.id, f"{filename} is too strange")
    for kind in KINDS.values():
        await blobs.put_derived(kind, image.sha256, b"small")
    return image.id, image.sha256


def files(blobs: BlobStore) -> list[str]:
    assert blobs._root is not None
    return [path.name for path in blobs._root.rglob("*") if path.is_file()]


async def sweep_as_long_as_promised(intake: Intake) -> None:
    for _ in range(int(MINUTES_PROMISED * 60 / SWEEP_EVERY_S) - 1):
        await intake.sweep()


@pytest.mark.parametrize("state", ["received", "tagged", "failed", "archived"])
async def test_nothing_is_left_of_an_image_deleted_for_good(
    garden: Garden, street: Dataset, intake: Intake, blobs: BlobStore, database_url: str, state: str
) -> None:
    image, sha256 = await upload(intake, garden, street, "secret name.jpg", picture_bytes(1), blobs, state)
    await upload(intake, garden, street, "other.jpg", picture_bytes(2), blobs)
    if state == "archived":
        await garden.finish(image, direction(1.0), TAGS)
        await intake.archive(image)
    wanted = (str(image), sha256.hex(), "secret name")
    assert traces(database_url, *wanted)
    assert sha256.hex() in files(blobs)

    await intake.delete(image)
    await sweep_as_long_as_promised(intake)

    assert traces(database_url, *wanted) == []
    assert [name for name in files(blobs) if sha256.hex() in name] == []
    assert len(files(blobs)) == 1 + len(KINDS)


async def test_nothing_is_left_of_a_dataset(
    garden: Garden, street: Dataset, intake: Intake, blobs: BlobStore, database_url: str
) -> None:
    images = [
        await upload(intake, garden, street, f"secret {number}.jpg", picture_bytes(number), blobs, state)
        for number, state in enumerate(["received", "tagged", "failed"])
    ]
    token = await Tickets(garden.database).create(Place(street.id, "/", "secret upload.jpg"))
    await intake.stage(token, picture_bytes(9))
    await Datasets(garden.database).delete(garden.organization, "street")
    await sweep_as_long_as_promised(intake)
    await ImageCounts(garden.database).add_up()  # as the service does every half minute
    wanted = [text for image, sha256 in images for text in (str(image), sha256.hex())]
    assert traces(database_url, "secret", str(street.id), *wanted) == []
    assert files(blobs) == []


async def test_what_another_image_with_the_same_bytes_needs_stays(
    garden: Garden, street: Dataset, intake: Intake, blobs: BlobStore, database_url: str
) -> None:
    first, sha256 = await upload(intake, garden, street, "a.jpg", picture_bytes(1), blobs)
    other, _ = await upload(intake, garden, await garden.dataset("other"), "b.jpg", picture_bytes(1), blobs)
    await intake.delete(first)
    await sweep_as_long_as_promised(intake)
    assert traces(database_url, str(first)) == []
    assert "encoding.sha256" in traces(database_url, sha256.hex())
    assert len(files(blobs)) == 1 + len(KINDS)
    await intake.delete(other)
    await sweep_as_long_as_promised(intake)
    assert traces(database_url, str(other), sha256.hex()) == []
    assert files(blobs) == []


async def test_bytes_on_their_way_stay_but_not_what_was_made_of_them_for_the_deleted_image(
    garden: Garden, street: Dataset, intake: Intake, blobs: BlobStore, database_url: str
) -> None:
    image, sha256 = await upload(intake, garden, street, "a.jpg", picture_bytes(1), blobs)
    await intake.delete(image)
    async with Images(garden.database).holding(sha256, 1):
        await sweep_as_long_as_promised(intake)
        assert "encoding.sha256" not in traces(database_url, sha256.hex())
        assert files(blobs) == [sha256.hex()]
    await sweep_as_long_as_promised(intake)
    assert traces(database_url, sha256.hex()) == []
    assert files(blobs) == []


async def test_bytes_that_come_again_are_an_image_like_any_other(
    garden: Garden, street: Dataset, intake: Intake, blobs: BlobStore
) -> None:
    image, _ = await upload(intake, garden, street, "a.jpg", picture_bytes(1), blobs)
    await intake.delete(image)
    again, sha256 = await upload(intake, garden, street, "a.jpg", picture_bytes(1), blobs)
    await sweep_as_long_as_promised(intake)
    assert (await Images(garden.database).get(garden.organization, again)).tags == TAGS
    assert await blobs.get(sha256)


async def test_a_worker_that_finishes_late_keeps_nothing_of_a_deleted_image(garden: Garden, street: Dataset) -> None:
    image = await garden.receive(street, "a.jpg", content=b"deleted")
    sha256 = Sha256(hashlib.sha256(b"deleted").digest())
    async with garden.database.connection() as connection:
        await connection.execute("DELETE FROM image WHERE id = %s", [image])
        await save_encodings(connection, garden.space, [Encoding(sha256, direction(1.0))])
        assert (await (await connection.execute("SELECT count(*) FROM encoding")).fetchone()) == (0,)


def test_the_sweeps_come_often_enough_for_what_is_promised() -> None:
    assert SWEEP_EVERY_S * (FORGOTTEN_AFTER_SWEEPS + 1) < MINUTES_PROMISED * 60
    assert SWEEP_GRACE.total_seconds() >= 3600


async def test_an_upload_whose_commit_lost_its_answer_is_looked_up(
    garden: Garden, street: Dataset, intake: Intake, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = garden.database.write

    async def committed_and_lost(step: Any, **options: Any) -> Any:
        await write(step, **options)
        raise DatabaseAway("The database cannot be reached: server closed the connection unexpectedly")

    async def lost(step: Any, **options: Any) -> Any:
        raise DatabaseAway("The database cannot be reached: server closed the connection unexpectedly")

    monkeypatch.setattr(garden.database, "write", committed_and_lost)
    image = await intake.receive(garden.organization, Place(street.id, "/", "a.jpg"), picture_bytes(1))
    assert image.filename == "a.jpg"
    monkeypatch.setattr(garden.database, "write", lost)
    with pytest.raises(DatabaseAway):
        await intake.receive(garden.organization, Place(street.id, "/", "b.jpg"), picture_bytes(2))


def test_what_was_left_before_is_swept_after_the_upgrade(
    postgres: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chain = packaged_migrations()
    number = next(one.number for one in chain if one.name == "what_is_left")
    with fresh_database(postgres) as url:
        monkeypatch.setattr("pictograph.db.migrate.packaged_migrations", lambda: chain[: number - 1])
        migrate(url)
        with psycopg.connect(url, autocommit=True) as connection:
            vector = json.dumps(np.eye(1, 1152)[0].tolist())
            for name, blob in (("orphan", False), ("abandoned", True)):
                sha256 = hashlib.sha256(name.encode()).digest()
                if blob:
                    connection.execute("INSERT INTO blob VALUES (%s, 1, now() - interval '2 hours')", [sha256])
                connection.execute(
                    "INSERT INTO space (encoder, revision, dimension) VALUES ('x', '1', 1152) ON CONFLICT DO NOTHING"
                )
                connection.execute(
                    "INSERT INTO encoding (space_id, sha256, vector) SELECT id, %s, %s::text::halfvec FROM space",
                    [sha256, vector],
                )
        monkeypatch.setattr("pictograph.db.migrate.packaged_migrations", lambda: chain)
        migrate(url)
        with psycopg.connect(url) as connection:
            noted = {bytes(row[0]) for row in connection.execute("SELECT sha256 FROM leftover")}
    assert noted == {hashlib.sha256(name).digest() for name in (b"orphan", b"abandoned")}
