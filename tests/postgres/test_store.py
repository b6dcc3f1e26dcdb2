"""Datasets, images, names, tickets, blobs and keys, as the routes use them."""

from __future__ import annotations

import asyncio
import hashlib
import time
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from uuid_utils.compat import uuid7

from pictograph.errors import (
    BadImage,
    ConflictError,
    NotFoundError,
    PictographError,
    Unavailable,
    UnsupportedFormat,
    ValidationError,
)
from pictograph.jobs.queue import Backlog
from pictograph.pipeline import Intake
from pictograph.server.run import still_serves
from pictograph.store import key_memory
from pictograph.store.blobs import BlobMissing, BlobStore, original_name
from pictograph.store.datasets import Dataset, Datasets
from pictograph.store.images import Image, ImageFilter, Images, Place, Upload, insert_image
from pictograph.store.keys import Caller, Keys, new_secret
from pictograph.store.names import MAX_FOLDER_PATH, MAX_NAME, canonical_folder, folder_and_ancestors
from pictograph.store.tickets import Tickets
from pictograph.types import MAX_DESCRIPTION, DatasetId, ImageId, ImageState, Sha256
from pictograph.upload.limits import PictureLimits
from support.pictures import picture_bytes
from support.planting import FACTS, Garden

NOW = timedelta(0)


def intake_of(garden: Garden, blobs: BlobStore) -> Intake:
    return Intake(garden.database, blobs, Images(garden.database), Tickets(garden.database), PictureLimits())


@pytest.fixture
def blobs(tmp_path: Path) -> BlobStore:
    return BlobStore.open(tmp_path / "blobs")


@pytest.fixture
def intake(garden: Garden, blobs: BlobStore) -> Intake:
    return intake_of(garden, blobs)


@pytest.fixture
async def street(garden: Garden) -> Dataset:
    return await garden.dataset()


async def rows(garden: Garden, statement: str, *values: Any) -> list[tuple[Any, ...]]:
    async with garden.database.connection() as connection:
        cursor = await connection.execute(statement.encode(), values)
        return await cursor.fetchall() if cursor.description else []


def files_of(blobs: BlobStore) -> list[Path]:
    assert blobs._root is not None
    return [path for path in blobs._root.rglob("*") if path.is_file()]


# Datasets


async def test_a_dataset_is_found_by_name_and_by_id_and_begins_empty(garden: Garden) -> None:
    made = await Datasets(garden.database).create(garden.organization, "Straße 1", "with cars")
    assert (made.name, made.description, made.image_count, made.total_size) == ("Straße 1", "with cars", 0, 0)
    for reference in ("Straße 1", str(made.id), str(made.id).upper()):
        assert await Datasets(garden.database).get(garden.organization, reference) == made


async def test_a_dataset_name_is_taken_once_per_organization_with_regard_to_case(garden: Garden) -> None:
    datasets = Datasets(garden.database)
    await datasets.create(garden.organization, "street")
    with pytest.raises(ConflictError, match="already a dataset named 'street'"):
        await datasets.create(garden.organization, "street")
    await datasets.create(garden.organization, "Street")
    others = await Garden.open(garden.database, "others")
    await datasets.create(others.organization, "street")


async def test_of_ten_that_create_the_same_dataset_at_once_one_succeeds(garden: Garden) -> None:
    outcomes = await asyncio.gather(*(garden.dataset("street") for _ in range(10)), return_exceptions=True)
    assert sum(isinstance(outcome, Dataset) for outcome in outcomes) == 1
    assert sum(isinstance(outcome, ConflictError) for outcome in outcomes) == 9


async def test_a_name_in_the_shape_of_an_id_is_still_a_name(garden: Garden) -> None:
    name = str(uuid4())
    made = await garden.dataset(name)
    assert await Datasets(garden.database).get(garden.organization, name) == made


async def test_datasets_are_listed_newest_first_in_pages(garden: Garden) -> None:
    made = [await garden.dataset(f"{n}") for n in range(5)]
    listed = await Datasets(garden.database).list(garden.organization, limit=2, offset=1)
    assert ([row.name for row in listed.rows], listed.total) == (["3", "2"], 5)
    assert listed.rows[0] == made[3]


async def test_a_description_from_before_there_was_a_cap_is_cut_in_lists_and_that_is_said(garden: Garden) -> None:
    datasets = Datasets(garden.database)
    long, short = await garden.dataset("long"), await garden.dataset("short")
    for dataset, characters in ((long, MAX_DESCRIPTION + 1), (short, MAX_DESCRIPTION)):
        await rows(garden, "UPDATE dataset SET description = repeat('ü', %s) WHERE id = %s", characters, dataset.id)
    listed = {row.name: row for row in (await datasets.list(garden.organization, limit=9)).rows}
    assert {name: (len(row.description or ""), row.description_is_cut) for name, row in listed.items()} == {
        "long": (MAX_DESCRIPTION, True), "short": (MAX_DESCRIPTION, False),
    }  # fmt: skip
    whole = await datasets.get(garden.organization, "long")
    assert (len(whole.description or ""), whole.description_is_cut) == (MAX_DESCRIPTION + 1, False)


async def test_renaming_and_describing_leave_the_rest_as_it_is(garden: Garden, street: Dataset) -> None:
    datasets = Datasets(garden.database)
    described = await datasets.update(garden.organization, "street", description="cars")
    assert (described.id, described.name, described.description) == (street.id, "street", "cars")
    renamed = await datasets.update(garden.organization, str(street.id), name="avenue")
    assert (renamed.id, renamed.name, renamed.description) == (street.id, "avenue", "cars")
    with pytest.raises(NotFoundError):
        await datasets.get(garden.organization, "street")
    await garden.dataset("park")
    with pytest.raises(ConflictError, match="park"):
        await datasets.update(garden.organization, "avenue", name="park")
    assert (await datasets.update(garden.organization, "avenue", name="avenue")).name == "avenue"


async def test_deleting_a_dataset_takes_everything_of_it_and_nothing_else(garden: Garden, street: Dataset) -> None:
    park = await garden.dataset("park")
    kept = await garden.plant(park, "kept.jpg")
    for n in range(3):
        await garden.plant(street, f"{n}.jpg", folder="/a/b")
    await garden.receive(street, "waiting.jpg")
    await Tickets(garden.database).create(Place(street.id, "/", "ticket.jpg"))
    deleted = await Datasets(garden.database).delete(garden.organization, "street")
    assert (deleted.id, deleted.name, deleted.images_deleted) == (street.id, "street", 4)
    assert await rows(garden, "SELECT id FROM image") == [(kept,)]
    assert await rows(garden, "SELECT image_id FROM image_embedding") == [(kept,)]
    for table in ("job", "upload_ticket"):
        assert await rows(garden, f"SELECT 1 FROM {table}") == []
    assert await rows(garden, "SELECT path FROM folder") == [("/",)]
    with pytest.raises(NotFoundError):
        await Datasets(garden.database).delete(garden.organization, "street")


async def test_a_dataset_deleted_during_uploads_gives_typed_errors_only_and_leaves_nothing(garden: Garden) -> None:
    for attempt in range(5):
        doomed = await garden.dataset(f"doomed {attempt}")
        await garden.receive(doomed, "first.jpg")

        async def upload(number: int, doomed: Dataset = doomed) -> None:
            await asyncio.sleep(number / 2000)
            await garden.receive(doomed, f"{number}.jpg", folder=f"/{number % 3}")

        async def delete(doomed: Dataset = doomed) -> None:
            await asyncio.sleep(0.005)
            await Datasets(garden.database).delete(garden.organization, doomed.name)

        outcomes = await asyncio.gather(*(upload(n) for n in range(30)), delete(), return_exceptions=True)
        assert outcomes[-1] is None
        assert {type(outcome) for outcome in outcomes} <= {type(None), NotFoundError}
    assert await rows(garden, "SELECT 1 FROM image") == []
    assert await rows(garden, "SELECT 1 FROM folder") == []


async def test_a_ticket_for_a_dataset_that_is_gone_is_refused(garden: Garden) -> None:
    with pytest.raises(NotFoundError):
        await Tickets(garden.database).create(Place(DatasetId(uuid7()), "/", "a.jpg"))


async def test_progress_counts_every_state(garden: Garden, street: Dataset) -> None:
    datasets = Datasets(garden.database)
    assert await datasets.progress(street.id) == dict.fromkeys(ImageState, 0)
    await garden.plant(street, "a.jpg")
    await garden.receive(street, "b.jpg")
    counts = await datasets.progress(street.id)
    assert counts == dict.fromkeys(ImageState, 0) | {ImageState.TAGGED: 1, ImageState.RECEIVED: 1}


# Names


@pytest.mark.parametrize(
    ("given", "canonical"),
    [
        ("", "/"), ("/", "/"), ("//", "/"), ("a", "/a"), ("/a/", "/a"), ("a//b/", "/a/b"), ("/a/b", "/a/b"),
        ("/ü/日本/🚗", "/ü/日本/🚗"), ("/a b/c", "/a b/c"), ("/a%2Fb", "/a%2Fb"), ("/a\\b", "/a\\b"), ("/...", "/..."),
    ],
)  # fmt: skip
def test_a_folder_path_has_one_way_to_be_written(given: str, canonical: str) -> None:
    assert canonical_folder(given) == canonical
    assert canonical_folder(canonical) == canonical


@pytest.mark.parametrize(
    "path",
    ["/..", "/a/../b", "/.", "/a/ b", "/a /b", "/ ", "/a\x00b", "/a\nb", "/a\u2028b", "/\ud800", "/" + "x" * 256,
     "/x" * 513],
)  # fmt: skip
def test_a_folder_path_that_could_mislead_is_refused_by_name(path: str) -> None:
    with pytest.raises(ValidationError) as caught:
        canonical_folder(path)
    assert caught.value.field_errors[0]["loc"] == ["folder_path"]
    caught.value.message.encode()


def test_the_longest_names_are_255_and_1024_characters() -> None:
    assert canonical_folder("/" + "x" * MAX_NAME)
    longest = "/x" * (MAX_FOLDER_PATH // 2)
    assert canonical_folder(longest) == longest


def test_a_folder_comes_with_its_ancestors() -> None:
    assert folder_and_ancestors("/") == ["/"]
    assert folder_and_ancestors("/a/b") == ["/", "/a", "/a/b"]


async def test_the_longest_folder_path_of_the_longest_characters_can_be_stored(garden: Garden, street: Dataset) -> None:
    folder = "/" + "/".join(["🚗" * 200] * 5)
    image = await garden.receive(street, "🚗" * MAX_NAME, folder=folder)
    stored = await Images(garden.database).get(garden.organization, image)
    assert (stored.folder_path, stored.filename) == (folder, "🚗" * MAX_NAME)


# Images


async def insert(garden: Garden, street: Dataset, filename: str, folder: str = "/") -> ImageId:
    sha256 = Sha256(hashlib.sha256(filename.encode()).digest())
    async with Images(garden.database).holding(sha256, 1), garden.database.transaction() as connection:
        return await insert_image(connection, Upload(Place(street.id, folder, filename), sha256, 1, FACTS))


async def test_a_filename_is_taken_once_per_folder(garden: Garden, street: Dataset) -> None:
    await insert(garden, street, "a.jpg")
    with pytest.raises(ConflictError, match=r"'a\.jpg' in folder '/'"):
        await insert(garden, street, "a.jpg")
    await insert(garden, street, "a.jpg", folder="/b")
    await insert(garden, street, "A.jpg")


async def test_an_archived_image_still_holds_its_name(garden: Garden, street: Dataset, intake: Intake) -> None:
    image = await garden.receive(street, "a.jpg")
    await intake.archive(image)
    with pytest.raises(ConflictError):
        await insert(garden, street, "a.jpg")


async def test_images_are_listed_newest_first_and_filtered_by_all_that_is_given(
    garden: Garden, street: Dataset, intake: Intake
) -> None:
    for n in range(4):
        await garden.receive(street, f"{n}.jpg", folder="/a" if n % 2 else "/")
    below = await garden.receive(street, "below.jpg", folder="/a/b")
    await garden.plant(street, "done.jpg")
    archived = await garden.receive(street, "old.jpg", folder="/a")
    await intake.archive(archived)

    async def names(wanted: ImageFilter, limit: int = 100, offset: int = 0) -> tuple[list[str], int]:
        listed = await Images(garden.database).list(garden.organization, street.id, wanted, limit=limit, offset=offset)
        return [row.filename for row in listed.rows], listed.total

    assert await names(ImageFilter()) == (["done.jpg", "below.jpg", "3.jpg", "2.jpg", "1.jpg", "0.jpg"], 6)
    assert await names(ImageFilter(), limit=2, offset=1) == (["below.jpg", "3.jpg"], 6)
    assert await names(ImageFilter(folder_path="/a")) == (["3.jpg", "1.jpg"], 2)
    assert await names(ImageFilter(folder_path="/a", include_archived=True)) == (["old.jpg", "3.jpg", "1.jpg"], 3)
    assert await names(ImageFilter(filename="below.jpg")) == (["below.jpg"], 1)
    assert await names(ImageFilter(folder_path="/", filename="below.jpg")) == ([], 0)
    assert await names(ImageFilter(state=ImageState.TAGGED)) == (["done.jpg"], 1)
    assert below


async def test_an_image_of_another_organization_looks_as_if_it_did_not_exist(garden: Garden, street: Dataset) -> None:
    image = await garden.receive(street, "a.jpg")
    others = await Garden.open(garden.database, "others")
    with pytest.raises(NotFoundError) as hidden:
        await Images(garden.database).get(others.organization, image)
    missing_id = ImageId(uuid7())
    with pytest.raises(NotFoundError) as missing:
        await Images(garden.database).get(others.organization, missing_id)
    assert hidden.value.message == missing.value.message.replace(str(missing_id), str(image))
    with pytest.raises(NotFoundError):
        await Images(garden.database).find(others.organization, Place(street.id, "/", "a.jpg"))
    listed = await Images(garden.database).list(others.organization, street.id, ImageFilter(), limit=10)
    assert listed.rows == []


# Uploads and blobs


async def receive(intake: Intake, garden: Garden, street: Dataset, name: str, data: bytes) -> Image:
    return await intake.receive(garden.organization, Place(street.id, "/", name), data)


async def test_a_received_file_is_a_blob_a_row_and_a_job(
    garden: Garden, street: Dataset, intake: Intake, blobs: BlobStore
) -> None:
    data = picture_bytes(1, size=(40, 30), format="PNG")
    image = await receive(intake, garden, street, "a.jpg", data)
    assert (image.state, image.content_type, image.width, image.height) == ("received", "image/png", 40, 30)
    assert (image.file_size, image.sha256) == (len(data), hashlib.sha256(data).digest())
    assert await blobs.get(image.sha256) == data
    assert await Backlog(garden.database).depth() == (1, 0)


@pytest.mark.parametrize(
    ("data", "error"), [(b"", BadImage), (b"hello", UnsupportedFormat), (b"%PDF-1.7", UnsupportedFormat)]
)
async def test_a_refused_file_leaves_nothing_behind(
    garden: Garden, street: Dataset, intake: Intake, blobs: BlobStore, data: bytes, error: type[PictographError]
) -> None:
    with pytest.raises(error):
        await receive(intake, garden, street, "a.jpg", data)
    assert files_of(blobs) == []
    assert await rows(garden, "SELECT 1 FROM blob") == []


async def test_the_same_bytes_are_stored_once(
    garden: Garden, street: Dataset, intake: Intake, blobs: BlobStore
) -> None:
    data = picture_bytes(1)
    for name in ("a.jpg", "b.jpg"):
        await receive(intake, garden, street, name, data)
    assert len(files_of(blobs)) == 1


async def test_a_conflict_keeps_the_first_image(garden: Garden, street: Dataset, intake: Intake) -> None:
    first = await receive(intake, garden, street, "a.jpg", picture_bytes(1))
    with pytest.raises(ConflictError):
        await receive(intake, garden, street, "a.jpg", picture_bytes(2))
    assert (await Images(garden.database).get(garden.organization, first.id)).sha256 == first.sha256


async def test_the_sweep_removes_what_nothing_refers_to_with_all_that_was_made_from_it(
    garden: Garden, street: Dataset, intake: Intake, blobs: BlobStore
) -> None:
    gone = await receive(intake, garden, street, "gone.jpg", picture_bytes(1))
    kept = await receive(intake, garden, street, "kept.jpg", picture_bytes(2))
    await blobs.put_derived("thumbnail", gone.sha256, b"small")
    await intake.delete(gone.id)
    assert await intake.sweep(NOW) == 1
    with pytest.raises(BlobMissing):
        await blobs.get(gone.sha256)
    assert await blobs.get_derived("thumbnail", gone.sha256) is None
    assert await blobs.get(kept.sha256)
    assert await intake.sweep(NOW) == 0


async def test_one_sweep_takes_all_that_a_deleted_dataset_has_left(
    garden: Garden, street: Dataset, intake: Intake
) -> None:
    await garden.receive(street, "first.jpg")
    async with garden.database.connection() as connection:
        await connection.execute(
            """WITH blobs AS (INSERT INTO blob (sha256, size_bytes)
                SELECT sha256(n::text::bytea), 1 FROM generate_series(2, 1200) n RETURNING sha256)
            INSERT INTO image (id, dataset_id, folder_id, filename, sha256, content_type, width, height, file_size)
            SELECT gen_random_uuid(), f.dataset_id, f.id, encode(sha256, 'hex'), sha256, 'image/jpeg', 1, 1, 1
            FROM blobs, folder f"""
        )
    await Datasets(garden.database).delete(garden.organization, "street")
    assert await intake.sweep() == 1200
    assert await rows(garden, "SELECT 1 FROM blob") == []


async def test_bytes_that_an_upload_in_progress_holds_are_not_swept_until_it_must_have_died(
    garden: Garden, street: Dataset, intake: Intake, blobs: BlobStore
) -> None:
    image = await receive(intake, garden, street, "gone.jpg", picture_bytes(1))
    await rows(garden, "INSERT INTO blob_hold (id, sha256) VALUES (gen_random_uuid(), %s)", image.sha256)
    await intake.delete(image.id)
    assert await intake.sweep() == 0
    assert await blobs.get(image.sha256)
    await rows(garden, "UPDATE blob_hold SET held_at = now() - interval '61 minutes'")
    assert await intake.sweep() == 1
    assert files_of(blobs) == []


async def test_the_bytes_of_an_upload_that_became_no_image_go_with_the_next_sweep(
    garden: Garden, street: Dataset, intake: Intake, blobs: BlobStore
) -> None:
    sha256 = Sha256(hashlib.sha256(b"x").digest())
    with pytest.raises(RuntimeError, match="died"):
        await keep_and_die(garden, blobs, sha256)
    assert await rows(garden, "SELECT 1 FROM blob_hold") == []
    assert await intake.sweep() == 1
    assert files_of(blobs) == []


async def keep_and_die(garden: Garden, blobs: BlobStore, sha256: Sha256) -> None:
    async with Images(garden.database).holding(sha256, 1):
        await blobs.put(sha256, b"x")
        raise RuntimeError("died")


async def test_bytes_that_another_image_still_has_are_not_swept(
    garden: Garden, street: Dataset, intake: Intake, blobs: BlobStore
) -> None:
    first = await receive(intake, garden, street, "a.jpg", picture_bytes(1))
    await receive(intake, garden, street, "b.jpg", picture_bytes(1))
    await intake.delete(first.id)
    assert await intake.sweep(NOW) == 0
    assert await blobs.get(first.sha256)


async def test_bytes_of_an_archived_image_and_of_an_upload_in_progress_are_not_swept(
    garden: Garden, street: Dataset, intake: Intake, blobs: BlobStore
) -> None:
    archived = await receive(intake, garden, street, "a.jpg", picture_bytes(1))
    await intake.archive(archived.id)
    token = await Tickets(garden.database).create(Place(street.id, "/", "b.jpg"))
    await intake.stage(token, picture_bytes(2))
    assert await intake.sweep(NOW) == 0
    assert len(files_of(blobs)) == 2


async def test_an_upload_of_the_very_bytes_that_are_being_swept_keeps_them(
    garden: Garden, street: Dataset, tmp_path: Path
) -> None:
    """The sweeper has chosen a blob and not yet deleted its file, when the same picture is uploaded again."""
    uploads: list[asyncio.Task[Image]] = []
    data = picture_bytes(1)

    class SlowStore(BlobStore):
        """A store in which deleting takes long enough for an upload to pass by."""

        async def delete(self, sha256: Sha256) -> None:
            uploads.append(asyncio.create_task(receive(uploader, garden, street, "again.jpg", data)))
            await asyncio.sleep(0.3)
            await super().delete(sha256)

    uploader = intake_of(garden, BlobStore.open(tmp_path / "blobs"))
    opened = BlobStore.open(tmp_path / "blobs")
    sweeper = intake_of(garden, SlowStore(opened._store, opened._root))
    first = await receive(uploader, garden, street, "first.jpg", data)
    await uploader.delete(first.id)
    assert await sweeper.sweep(NOW) == 1
    again = await uploads[0]
    assert await opened.get(again.sha256) == data


async def test_a_blob_that_is_missing_is_worth_a_retry_and_named(blobs: BlobStore) -> None:
    sha256 = Sha256(bytes(32))
    with pytest.raises(BlobMissing, match=original_name(sha256)) as caught:
        await blobs.get(sha256)
    assert isinstance(caught.value, Unavailable)
    assert caught.value.retryable


async def test_a_blob_is_never_in_memory_as_a_whole_where_it_is_handed_on(
    blobs: BlobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = bytes(range(250))
    sha256 = Sha256(hashlib.sha256(data).digest())
    await blobs.put(sha256, data)
    monkeypatch.setattr("pictograph.store.blobs.PART_BYTES", 100)
    parts = await blobs.parts(sha256)
    rest = [part async for part in parts.rest]
    assert (parts.size_bytes, parts.whole) == (250, False)
    assert [len(part) for part in (parts.first, *rest)] == [100, 100, 50]
    assert b"".join((parts.first, *rest)) == data
    await blobs.delete(sha256)
    with pytest.raises(BlobMissing):
        await blobs.parts(sha256)


async def test_a_blob_cut_short_by_a_crash_is_written_anew(blobs: BlobStore) -> None:
    data = picture_bytes(1)
    sha256 = Sha256(hashlib.sha256(data).digest())
    await blobs.put(sha256, data)
    (path,) = files_of(blobs)
    path.write_bytes(data[:10])
    await blobs.put(sha256, data)
    assert await blobs.get(sha256) == data


async def test_deleting_a_blob_twice_is_harmless(blobs: BlobStore) -> None:
    await blobs.put(Sha256(bytes(32)), b"x")
    await blobs.delete(Sha256(bytes(32)))
    await blobs.delete(Sha256(bytes(32)))


# Tickets


async def test_a_ticket_is_valid_for_an_hour_and_its_token_is_not_kept(garden: Garden, street: Dataset) -> None:
    tickets = Tickets(garden.database)
    token = await tickets.create(Place(street.id, "/", "a.jpg"))
    await tickets.require_valid(token)
    ((stored, left),) = await rows(garden, "SELECT token_hash, expires_at - now() FROM upload_ticket")
    assert stored == hashlib.sha256(token.encode()).digest()
    assert timedelta(minutes=59) < left <= timedelta(hours=1)


@pytest.mark.parametrize("token", ["", "x", "\x00", "\udcff", "x" * 5000])
async def test_an_unknown_token_is_not_found(garden: Garden, token: str) -> None:
    with pytest.raises(NotFoundError, match="unknown, or has ended"):
        await Tickets(garden.database).require_valid(token)


async def test_an_expired_ticket_is_refused_and_forgotten_after_a_day(garden: Garden, street: Dataset) -> None:
    tickets = Tickets(garden.database)
    token = await tickets.create(Place(street.id, "/", "a.jpg"))
    await rows(garden, "UPDATE upload_ticket SET expires_at = now() - interval '1 second'")
    with pytest.raises(NotFoundError):
        await tickets.require_valid(token)
    await tickets.sweep()
    assert len(await rows(garden, "SELECT 1 FROM upload_ticket")) == 1
    await rows(garden, "UPDATE upload_ticket SET expires_at = now() - interval '25 hours'")
    await tickets.sweep()
    assert await rows(garden, "SELECT 1 FROM upload_ticket") == []


async def test_register_without_bytes_says_what_is_missing(garden: Garden, street: Dataset, intake: Intake) -> None:
    place = Place(street.id, "/", "a.jpg")
    with pytest.raises(ValidationError, match="PUT them"):
        await intake.register(garden.organization, place)
    await Tickets(garden.database).create(place)
    with pytest.raises(ValidationError, match="PUT them"):
        await intake.register(garden.organization, place)


async def test_the_bytes_put_last_are_the_ones_registered(garden: Garden, street: Dataset, intake: Intake) -> None:
    place = Place(street.id, "/", "a.jpg")
    token = await Tickets(garden.database).create(place)
    await intake.stage(token, picture_bytes(1))
    await intake.stage(token, picture_bytes(2))
    image = await intake.register(garden.organization, place)
    assert image.sha256 == hashlib.sha256(picture_bytes(2)).digest()


# Keys


async def test_a_key_is_64_hexadecimal_digits_and_only_its_hash_is_stored(garden: Garden) -> None:
    key, secret = await Keys(garden.database).create(garden.organization, "ci", "member")
    assert secret.startswith("pk_live_")
    assert len(secret) == 8 + 64
    int(secret[8:], 16)
    assert key.key_prefix == secret[:12]
    ((stored,),) = await rows(garden, "SELECT api_key::text FROM api_key")
    assert secret[12:] not in stored
    assert hashlib.sha256(secret.encode()).hexdigest() in stored


async def test_a_key_identifies_its_organization_and_role(garden: Garden) -> None:
    keys = Keys(garden.database)
    key, secret = await keys.create(garden.organization, "ci", "viewer")
    caller = await keys.identify(f"  {secret}\n")
    assert caller is not None
    assert (caller.key_id, caller.organization_id, caller.role) == (key.id, garden.organization, "viewer")
    for wrong in ("", "pk_live_", secret[:-1], secret + "0", secret.upper(), "\udcff", "\x00"):
        assert await keys.identify(wrong) is None


async def test_last_used_moves_at_most_once_a_minute(garden: Garden) -> None:
    keys = Keys(garden.database)
    _, secret = await keys.create(garden.organization, "ci", "viewer")

    async def last_used() -> Any:
        return (await keys.list(garden.organization, limit=9)).rows[0].last_used_at

    assert await last_used() is None
    await keys.identify(secret)
    first = await last_used()
    assert first is not None
    await keys.identify(secret)
    assert await last_used() == first
    await rows(garden, "UPDATE api_key SET last_used_at = now() - interval '61 seconds'")
    await Keys(garden.database).identify(secret)  # another server: this one remembers the holder for a moment
    assert await last_used() > first


async def operator(garden: Garden) -> Caller:
    """Who may revoke any key of the garden."""
    keys = Keys(garden.database)
    _, secret = await keys.create(garden.organization, "operator", "installation")
    caller = await keys.identify(secret)
    assert caller is not None
    return caller


async def test_a_revoked_key_stops_working_at_once_and_stays_listed(garden: Garden) -> None:
    keys = Keys(garden.database)
    key, secret = await keys.create(garden.organization, "ci", "admin")
    caller = await operator(garden)
    await keys.revoke(caller, key.id)
    assert await keys.identify(secret) is None
    (listed,) = [row for row in (await keys.list(garden.organization, limit=9)).rows if row.id == key.id]
    assert (listed.revoked_at is not None, listed.revoked_by, listed.works) == (True, caller.key_id, False)
    with pytest.raises(NotFoundError):
        await keys.revoke(caller, key.id)


async def test_a_machine_goes_on_with_its_key_while_it_works_and_somebody_may_do_all(garden: Garden) -> None:
    """Else `serve` makes one with role installation, so that nobody is locked out for good."""
    keys = Keys(garden.database)
    _, member = await keys.create(garden.organization, "this machine", "member")
    assert not await still_serves(keys, member)
    key, secret = await keys.create(garden.organization, "this machine", "installation")
    assert await still_serves(keys, secret)
    assert await still_serves(keys, member)
    await rows(garden, "UPDATE api_key SET expires_at = now() WHERE id = %s", key.id)
    for known in (secret, member, new_secret()):
        assert not await still_serves(Keys(garden.database), known)


async def test_of_two_installation_keys_that_revoke_each_other_at_once_one_stays(garden: Garden) -> None:
    keys = Keys(garden.database)
    one, other = await operator(garden), await operator(garden)
    outcomes = await asyncio.gather(
        keys.revoke(one, other.key_id), keys.revoke(other, one.key_id), return_exceptions=True
    )
    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["AuthError", "NoneType"]
    assert await keys.has_installation_key()
    assert len([row for row in (await keys.list(garden.organization, limit=9)).rows if row.works]) == 1


async def test_a_remembered_holder_is_forgotten_when_the_key_is_revoked(garden: Garden) -> None:
    keys = Keys(garden.database)
    key, secret = await keys.create(garden.organization, "ci", "admin")
    assert await keys.identify(secret) == await keys.identify(secret) is not None
    await keys.revoke(await operator(garden), key.id)
    assert await keys.identify(secret) is None


async def test_a_key_that_another_server_revoked_works_for_a_moment_at_most(
    garden: Garden, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours, other = Keys(garden.database), Keys(garden.database)
    key, secret = await ours.create(garden.organization, "ci", "admin")
    assert await ours.identify(secret)
    await other.revoke(await operator(garden), key.id)
    assert key_memory.TRUE_FOR_S < 1
    monkeypatch.setattr(key_memory, "TRUE_FOR_S", 0.0)
    assert await ours.identify(secret) is None


async def test_a_key_that_another_server_made_works_at_once(garden: Garden) -> None:
    ours, other = Keys(garden.database), Keys(garden.database)
    for number in range(3):
        _, secret = await other.create(garden.organization, f"ci {number}", "admin")
        assert await ours.identify(secret)


async def test_a_key_changed_or_deleted_by_anybody_is_noticed(garden: Garden, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(key_memory, "TRUE_FOR_S", 0.0)
    keys = Keys(garden.database)
    _, secret = await keys.create(garden.organization, "ci", "admin")
    await rows(garden, "UPDATE api_key SET role = 'viewer' RETURNING 1")
    caller = await keys.identify(secret)
    assert caller is not None
    assert caller.role == "viewer"
    await rows(garden, "DELETE FROM api_key RETURNING 1")
    assert await keys.identify(secret) is None


async def test_more_keys_than_are_read_at_a_time_are_all_known(garden: Garden, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(key_memory, "PART", 3)
    keys = Keys(garden.database)
    secrets = [(await keys.create(garden.organization, f"{number}", "viewer"))[1] for number in range(9)]
    other = Keys(garden.database)
    assert all([await other.identify(secret) for secret in secrets])


@pytest.fixture
def uses(garden: Garden, monkeypatch: pytest.MonkeyPatch) -> list[None]:
    """Grows with every use of a connection."""
    used: list[None] = []
    connection = garden.database.connection

    def counted(*arguments: Any) -> Any:
        used.append(None)
        return connection(*arguments)

    monkeypatch.setattr(garden.database, "connection", counted)
    return used


async def test_made_up_keys_share_few_queries_and_what_cannot_be_a_key_costs_none(
    garden: Garden, uses: list[None]
) -> None:
    keys = Keys(garden.database)
    _, secret = await keys.create(garden.organization, "ci", "viewer")
    assert await keys.identify(secret)
    uses.clear()
    for wrong in ("", "wrong", secret[:-1], secret.upper(), "pk_live_" + "x" * 64, "x" * 5000):
        assert await keys.identify(wrong) is None
    assert not uses
    assert set(await asyncio.gather(*(keys.identify(new_secret()) for _ in range(500)))) == {None}
    assert len(uses) <= 2
    began = time.monotonic()
    for _ in range(30):
        assert await keys.identify(new_secret()) is None
    assert len(uses) <= 2 + key_memory.BURST + (time.monotonic() - began) * key_memory.READINGS_PER_S + 1
    assert key_memory.BURST + key_memory.READINGS_PER_S <= 20
    assert await keys.identify(secret)


async def test_a_question_given_up_does_not_end_the_reading_that_others_wait_for(garden: Garden) -> None:
    keys = Keys(garden.database)
    _, secret = await keys.create(garden.organization, "ci", "viewer")
    impatient, patient = asyncio.create_task(keys.identify(secret)), asyncio.create_task(keys.identify(secret))
    await asyncio.sleep(0)
    impatient.cancel()
    assert await patient


async def test_a_key_of_another_organization_can_neither_be_seen_nor_revoked(garden: Garden) -> None:
    keys = Keys(garden.database)
    key, secret = await keys.create(garden.organization, "ci", "admin")
    others = await Garden.open(garden.database, "others")
    assert (await keys.list(others.organization, limit=9)).rows == []
    with pytest.raises(NotFoundError):
        await keys.revoke(await operator(others), key.id)
    assert await keys.identify(secret)


@pytest.mark.parametrize(("name", "role"), [("", "viewer"), ("x" * 256, "viewer"), ("a\x00", "viewer"), ("ci", "king")])
async def test_a_key_needs_a_sane_name_and_a_known_role(garden: Garden, name: str, role: Any) -> None:
    with pytest.raises(ValidationError):
        await Keys(garden.database).create(garden.organization, name, role)


async def test_an_organization_is_made_once(garden: Garden) -> None:
    keys = Keys(garden.database)
    ids = await asyncio.gather(*(keys.ensure_organization("new") for _ in range(5)))
    assert len(set(ids)) == 1
    assert (await keys.organization(ids[0])).name == "new"
    with pytest.raises(NotFoundError):
        await keys.organization(UUID(int=0))  # type: ignore[arg-type]
