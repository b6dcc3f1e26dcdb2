"""The whole path: upload, processed by a real worker process, found."""

from __future__ import annotations

import zlib
from pathlib import Path

import pytest

from pictograph import AsyncClient, Client
from pictograph.types import OrganizationId
from pictograph.wire import Dataset
from support.pictures import picture_bytes
from support.services import Service


def test_the_same_picture_in_two_folders_is_found_with_similarity_1(client: Client, street: Dataset) -> None:
    day = client.images.upload("street", picture_bytes(1), folder_path="/day", filename="a.jpg")
    night = client.images.upload("street", picture_bytes(1), folder_path="/night", filename="a.jpg")
    client.images.upload("street", picture_bytes(2), folder_path="/day", filename="other.jpg")
    counts = client.datasets.wait_until_processed("street", timeout=60)
    assert (counts.embedded, counts.failed, counts.done) == (3, 0, True)
    assert client.search.by_similarity(day.id) == []
    (row,) = client.search.by_similarity(day.id, folder_path="/")
    assert (row.image_id, row.filename, row.folder_path, row.similarity) == (night.id, "a.jpg", "/night", 1.0)
    assert row.dataset_id == street.id
    assert client.images.get(day.id).state == "embedded"


def test_a_search_right_after_the_upload_waits_for_the_worker(client: Client, street: Dataset) -> None:
    twin = client.images.upload("street", picture_bytes(1), filename="twin.jpg")
    reference = client.images.upload("street", picture_bytes(1), filename="reference.jpg")
    client.search.by_similarity(reference.id)
    client.datasets.wait_until_processed("street", timeout=60)
    assert [row.image_id for row in client.search.by_similarity(reference.id)] == [twin.id]


def test_a_directory_is_uploaded_with_its_structure_and_a_second_run_skips_all(client: Client, photos: Path) -> None:
    (photos / "cars" / "red").mkdir(parents=True)
    for n, name in enumerate(("a.jpg", "cars/b.jpg", "cars/red/c.png")):
        (photos / name).write_bytes(picture_bytes(n, format="PNG" if name.endswith("png") else "JPEG"))
    (photos / "broken.jpg").write_bytes(b"not a picture")
    (photos / "notes.txt").write_text("not sent")
    seen: list[tuple[int, int, str]] = []
    report = client.images.upload_from_directory("new", photos, progress=lambda *step: seen.append(step))
    assert (report.attempted, len(report.uploaded), report.skipped, report.success) == (4, 3, [], False)
    assert [(failure.path.name, failure.code) for failure in report.failures] == [("broken.jpg", "unsupported_format")]
    assert {(image.folder_path, image.filename) for image in client.images.list("new")} == {
        ("/", "a.jpg"), ("/cars", "b.jpg"), ("/cars/red", "c.png"),
    }  # fmt: skip
    assert [done for done, _, _ in seen] == [1, 2, 3, 4]
    assert {total for _, total, _ in seen} == {4}
    again = client.images.upload_from_directory("new", photos)
    assert (len(again.uploaded), len(again.skipped), len(again.failures)) == (0, 3, 1)


async def test_the_async_client_goes_the_same_way(service: Service, organization: OrganizationId, photos: Path) -> None:
    for name, seed in (("0.jpg", 1), ("1.jpg", 1), ("2.jpg", 2)):
        (photos / name).write_bytes(picture_bytes(seed))
    async with AsyncClient(service.key(organization), base_url=service.address, max_retries=0) as client:
        report = await client.images.upload_from_directory("async", photos)
        assert report.success
        await client.datasets.wait_until_processed("async", timeout=60)
        images = {image.filename: image async for image in client.images.iterate("async")}
        rows = await client.search.by_similarity(images["0.jpg"].id)
        assert [(row.filename, row.similarity) for row in rows] == [("1.jpg", 1.0)]
        assert await client.images.download(images["0.jpg"].id) == picture_bytes(1)
        assert [row async for row in client.search.iterate_by_tag(objects=["car"])] == []


def test_bytes_that_were_embedded_before_are_not_encoded_again(client: Client, street: Dataset) -> None:
    first = client.images.upload("street", picture_bytes(3), filename="a.jpg")
    client.datasets.wait_until_processed("street", timeout=60)
    client.images.delete(first.id, permanent=True)
    again = client.images.upload("street", picture_bytes(3), filename="a.jpg")
    assert again.id != first.id
    client.datasets.wait_until_processed("street", timeout=60)
    assert client.images.get(again.id).state == "embedded"


def test_a_picture_whose_body_is_broken_fails_alone_and_says_why(client: Client, street: Dataset) -> None:
    whole = picture_bytes(1, size=(600, 400), format="PNG")
    damaged = bytearray(whole)
    start = whole.index(b"IDAT")  # the upload checks its checksum, which is right; only who unpacks it finds out
    end = start + 4 + int.from_bytes(whole[start - 4 : start], "big")
    damaged[end - 60 : end - 20] = bytes(40)
    damaged[end : end + 4] = zlib.crc32(damaged[start:end]).to_bytes(4, "big")
    client.images.upload("street", bytes(damaged), filename="broken.png")
    client.images.upload("street", whole, filename="whole.png")
    counts = client.datasets.wait_until_processed("street", timeout=60)
    assert (counts.embedded, counts.failed) == (1, 1)
    (failed,) = client.images.list("street", state="failed")  # type: ignore[arg-type]
    assert failed.filename == "broken.png"
    assert failed.reason
    assert "could not be decoded" in failed.reason


def test_ready_says_which_encoder_runs_and_how_many_images_wait(client: Client) -> None:
    health = client.ready()
    assert (health.status, health.encoder, health.workers, health.problems) == ("ok", "noop", 1, [])


@pytest.mark.parametrize("path", ["/health", "/ready", "/docs", "/openapi.json"])
def test_what_watches_the_service_needs_no_key(service: Service, raw_as: object, path: str) -> None:
    answer = raw_as(None)("GET", path)  # type: ignore[operator]
    assert answer.status_code == 200
    assert answer.headers["X-Request-Id"]
