"""Images through HTTP: list, metadata, bytes, thumbnail, archive, restore, delete, and the routes by path."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import psycopg
import pytest
from PIL import Image

from pictograph import Client, ConflictError, NotFoundError, ValidationError
from pictograph.client import calls
from pictograph.types import ImageState, OrganizationId
from pictograph.wire import Dataset
from support.pictures import picture_bytes
from support.raw import Raw
from support.services import Service


def turned_jpeg(orientation: int) -> bytes:
    """A picture 64 wide and 48 high as stored, with an EXIF turn."""
    image = Image.new("RGB", (64, 48), "black")
    image.paste("red", (0, 0, 16, 12))
    exif = Image.Exif()
    exif[0x0112] = orientation
    file = BytesIO()
    image.save(file, "JPEG", exif=exif, quality=95)
    return file.getvalue()


def test_the_bytes_come_back_exactly(client: Client, street: Dataset) -> None:
    data = picture_bytes(1, format="PNG") + b"\x00trailing"
    image = client.images.upload("street", data, filename="a.png")
    assert client.images.download(image.id) == data


@pytest.mark.parametrize("part_bytes", [1, 100, 700, 10_000_000])
def test_a_large_picture_is_handed_on_in_parts_and_comes_back_exactly(
    raw: Raw, client: Client, street: Dataset, monkeypatch: pytest.MonkeyPatch, part_bytes: int
) -> None:
    data = picture_bytes(1, format="PNG").ljust(1400, b"\x00")
    image = client.images.upload("street", data, filename="a.png")
    monkeypatch.setattr("pictograph.store.blobs.PART_BYTES", part_bytes)
    answer = raw.api("GET", f"/images/{image.id}")
    assert answer.content == data
    assert answer.headers["Content-Length"] == str(len(data))
    assert (answer.headers["Content-Type"], answer.headers["ETag"]) == ("image/png", f'"{image.sha256}"')


def test_bytes_are_served_as_what_they_are_and_never_guessed(raw: Raw, client: Client, street: Dataset) -> None:
    image = client.images.upload("street", picture_bytes(1, format="PNG"), filename="page.html")
    answer = raw.api("GET", f"/images/{image.id}")
    assert answer.headers["Content-Type"] == "image/png"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["ETag"] == f'"{image.sha256}"'


@pytest.mark.parametrize(("orientation", "corner"), [(1, (0, 0)), (6, (1, 0)), (3, (1, 1)), (8, (0, 1))])
def test_a_turned_picture_is_upright_in_its_facts_and_its_thumbnail(
    client: Client, street: Dataset, orientation: int, corner: tuple[int, int]
) -> None:
    image = client.images.upload("street", turned_jpeg(orientation), filename="a.jpg")
    upright = (64, 48) if orientation in (1, 3) else (48, 64)
    assert (image.width, image.height) == upright
    thumbnail = Image.open(BytesIO(client.images.thumbnail(image.id)))
    assert (thumbnail.format, thumbnail.mode, thumbnail.size) == ("JPEG", "RGB", upright)
    x, y = corner[0] * (upright[0] - 5) + 2, corner[1] * (upright[1] - 5) + 2
    red, green, _ = thumbnail.getpixel((x, y))  # type: ignore[misc]
    assert red > 150
    assert green < 80


def test_a_thumbnail_is_at_most_320_px_and_the_same_twice(client: Client, street: Dataset) -> None:
    image = client.images.upload("street", picture_bytes(1, size=(900, 300)), filename="a.jpg")
    first = client.images.thumbnail(image.id)
    assert Image.open(BytesIO(first)).size == (320, 107)
    assert client.images.thumbnail(image.id) == first


def test_addresses_in_a_row_work_with_the_key_as_well(raw: Raw, client: Client, street: Dataset) -> None:
    image = client.images.upload("street", picture_bytes(1), filename="a.jpg")
    assert raw("GET", image.image_url).content == picture_bytes(1)
    assert raw("GET", image.thumbnail_url).headers["Content-Type"] == "image/jpeg"


def test_images_are_listed_in_pages_and_filtered(client: Client, street: Dataset) -> None:
    images = [client.images.upload("street", picture_bytes(n), filename=f"{n}.jpg") for n in range(3)]
    newest_first = [image.id for image in reversed(images)]
    assert [row.id for row in client.images.list("street")] == newest_first
    assert [row.id for row in client.images.list(street.id, limit=1, offset=1)] == newest_first[1:2]
    assert [row.id for row in client.images.iterate("street")] == newest_first
    assert [row.id for row in client.images.list("street", filename="1.jpg")] == [images[1].id]
    assert client.images.list("street", state=ImageState.FAILED) == []
    assert client.images.list("street", folder_path="/none") == []


def test_the_pagination_tells_how_many_there_are_and_whether_more_follow(
    raw: Raw, client: Client, street: Dataset
) -> None:
    for n in range(3):
        client.images.upload("street", picture_bytes(n), filename=f"{n}.jpg")

    def pagination(query: str) -> Any:
        answer = raw.api("GET", f"/images/?dataset=street&{query}").json()["pagination"]
        return answer["total"], answer["has_more"], answer["limit"], answer["offset"]

    assert pagination("limit=2") == (3, True, 2, 0)
    assert pagination("limit=2&offset=2") == (3, False, 2, 2)
    assert pagination("limit=3") == (3, False, 3, 0)
    assert pagination("offset=9") == (3, False, 100, 9)
    first = raw.api("GET", "/images/?dataset=street&limit=2").json()
    assert first["pagination"]["total_is"] == "exact"
    cursor = first["pagination"]["next_cursor"]
    assert pagination(f"limit=2&cursor={cursor}") == (3, False, 2, 0)
    for other in ("dataset=street&state=failed", "dataset=street&include_archived=true", "dataset=street&filename=x"):
        assert raw.api("GET", f"/images/?{other}&cursor={cursor}").status_code == 422
    assert raw.api("GET", f"/datasets/?cursor={cursor}").status_code == 422
    assert raw("GET", f"/api/v1/api-keys/?cursor={cursor}").status_code == 422


def test_whoever_deletes_while_iterating_sees_every_image(
    client: Client, street: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    for n in range(7):
        client.images.upload("street", picture_bytes(n), filename=f"{n}.jpg")
    real = calls.list_images
    monkeypatch.setattr(calls, "list_images", lambda *given: real(*given[:5], 2, *given[6:]))  # pages of two
    seen = []
    for number, image in enumerate(client.images.iterate("street")):
        seen.append(image.filename)
        client.images.delete(image.id, permanent=number % 2 == 0)
        client.images.upload("street", picture_bytes(n), filename=f"new-{number}.jpg")
    assert seen == [f"{n}.jpg" for n in reversed(range(7))]


def test_a_page_of_a_list_is_a_list_that_knows_the_rest(client: Client, street: Dataset) -> None:
    for n in range(3):
        client.images.upload("street", picture_bytes(n), filename=f"{n}.jpg")
    page = client.images.list("street", limit=2)
    assert (len(page), page.total, page.has_more) == (2, 3, True)
    rest = client.images.list("street", limit=2, cursor=page.next_cursor)
    assert ([row.filename for row in rest], rest.total, rest.has_more, rest.next_cursor) == (["0.jpg"], 3, False, None)
    client.datasets.create("avenue")
    datasets = client.datasets.list(limit=1)
    assert (datasets.total, datasets.has_more) == (2, True)
    assert [row.name for row in client.datasets.list(cursor=datasets.next_cursor)] == ["street"]
    assert [row.name for row in client.datasets.iterate()] == ["avenue", "street"]
    assert client.keys.list(limit=1).total == len(list(client.keys.iterate()))


def test_an_archived_image_is_kept_hidden_and_comes_back(client: Client, street: Dataset) -> None:
    twin = client.images.upload("street", picture_bytes(1), filename="twin.jpg")
    image = client.images.upload("street", picture_bytes(1), filename="a.jpg")
    client.datasets.wait_until_processed("street", timeout=60)
    client.images.delete(image.id)
    client.images.delete(image.id)
    assert client.images.get(image.id).is_archived
    assert [row.id for row in client.images.list("street")] == [twin.id]
    assert len(client.images.list("street", include_archived=True)) == 2
    assert client.search.by_similarity(twin.id) == []
    assert client.images.download(image.id) == picture_bytes(1)
    dataset = client.datasets.get("street")
    assert (dataset.image_count, dataset.archived_image_count) == (1, 1)
    restored = client.images.restore(image.id)
    assert (restored.id, restored.is_archived) == (image.id, False)
    client.datasets.wait_until_processed("street", timeout=60)
    assert [row.image_id for row in client.search.by_similarity(twin.id)] == [image.id]
    assert client.images.restore(image.id).is_archived is False


def test_who_wants_the_place_of_an_archived_image_is_told_so(raw: Raw, client: Client, street: Dataset) -> None:
    image = client.images.upload("street", picture_bytes(1), filename="a.jpg")
    with pytest.raises(ConflictError, match=r"There is already an image 'a\.jpg'"):
        client.images.upload("street", picture_bytes(2), filename="a.jpg")
    url = {"dataset": "street", "filename": "b.jpg"}
    address = raw.api("POST", "/images/upload-url", json=url).json()["data"]["upload_url"]
    assert raw("PUT", address, content=picture_bytes(2)).status_code == 200
    client.images.delete(client.images.upload("street", picture_bytes(3), filename="b.jpg").id)
    client.images.delete(image.id)
    with pytest.raises(ConflictError, match=r"There is already an archived image 'a\.jpg'.* restore that one"):
        client.images.upload("street", picture_bytes(2), filename="a.jpg")
    for path in ("/images/upload-url", "/images/register"):
        answer = raw.api("POST", path, json=url)
        assert (answer.status_code, "an archived image 'b.jpg'" in answer.json()["detail"]) == (409, True)


def test_a_permanently_deleted_image_is_gone_and_its_name_is_free(client: Client, street: Dataset) -> None:
    image = client.images.upload("street", picture_bytes(1), filename="a.jpg")
    client.images.delete(image.id, permanent=True)
    for call in (client.images.get, client.images.download, client.images.thumbnail, client.images.restore):
        with pytest.raises(NotFoundError):
            call(image.id)
    with pytest.raises(NotFoundError):
        client.images.delete(image.id)
    client.images.upload("street", picture_bytes(2), filename="a.jpg")


def test_what_is_no_id_is_refused_before_anything_is_sent(client: Client) -> None:
    for call in (client.images.get, client.images.download, client.images.thumbnail, client.images.delete):
        with pytest.raises(ValidationError, match="UUID"):
            call("../datasets/street")


def test_what_is_no_id_is_not_found_by_the_server(raw: Raw) -> None:
    for path in ("not-a-uuid/metadata", "not-a-uuid/thumbnail", f"{uuid4()}/metadata", f"{uuid4()}"):
        answer = raw.api("GET", f"/images/{path}")
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "not_found"), path


def test_an_image_of_another_organization_looks_as_if_it_did_not_exist(
    service: Service, client: Client, street: Dataset
) -> None:
    image = client.images.upload("street", picture_bytes(1), filename="a.jpg")
    stranger = service.client()
    calls = stranger.images
    for call in (
        calls.get,
        calls.download,
        calls.thumbnail,
        calls.delete,
        calls.restore,
        stranger.search.by_similarity,
    ):
        messages = []
        for image_id in (image.id, str(uuid4())):
            with pytest.raises(NotFoundError) as caught:
                call(image_id)
            messages.append(caught.value.message.replace(image_id, "ID"))
        assert messages[0] == messages[1]
    for reference in ("street", street.id):
        with pytest.raises(NotFoundError):
            stranger.images.list(reference)
        with pytest.raises(NotFoundError):
            stranger.images.upload(reference, picture_bytes(1), filename="b.jpg")
    assert client.images.get(image.id).is_archived is False


# By path, as the published clients ask


def by_path(dataset: str, *segments: str) -> str:
    return f"/images/{quote(dataset, safe='')}/{'/'.join(quote(segment, safe='') for segment in segments)}"


@pytest.mark.parametrize(
    ("dataset", "folders", "filename"),
    [
        ("plain", (), "a.jpg"),
        ("two words", ("a", "b"), "c d.jpg"),
        ("ü?&#%", ("日本", "🚗"), "100%.jpg"),
        ("plus+", ("a+b",), "c+d=e&f.jpg"),
        ("per%2Fcent", ("%41",), "%00.jpg"),
        ("dots...", ("..a",), "...b"),
    ],
)
def test_a_path_names_an_image_whatever_its_letters(
    raw: Raw, client: Client, dataset: str, folders: tuple[str, ...], filename: str
) -> None:
    client.datasets.create(dataset)
    folder = "/" + "/".join(folders)
    image = client.images.upload(dataset, picture_bytes(1), folder_path=folder, filename=filename)
    answer = raw.api("GET", by_path(dataset, *folders, filename))
    assert answer.content == picture_bytes(1)
    assert raw.api("GET", by_path(image.dataset_id, *folders, filename)).status_code == 200
    assert raw.api("DELETE", by_path(dataset, *folders, filename)).status_code == 200
    assert client.images.get(image.id).is_archived
    assert raw.api("DELETE", by_path(dataset, *folders, filename) + "?permanent=true").status_code == 200
    assert raw.api("GET", by_path(dataset, *folders, filename)).status_code == 404
    assert client.datasets.get(dataset).archived_image_count == 0


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("street/nothing.jpg", 404), ("nowhere/a.jpg", 404), ("street/", 422), ("street//", 422), ("street/%00", 422),
        ("%00/a.jpg", 404), ("street/%FF.jpg", 404), ("street/%2E%2E/a.jpg", 422), ("street/a/b/", 422),
    ],
)  # fmt: skip
@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_a_path_that_names_nothing_is_told_in_the_one_shape(
    raw: Raw, street: Dataset, method: str, path: str, status: int
) -> None:
    answer = raw.api(method, f"/images/{path}")
    assert answer.status_code == status, answer.text
    assert answer.json()["error"]["request_id"] == answer.headers["X-Request-Id"]


# Datasets


def test_a_dataset_lives_from_create_to_delete(client: Client) -> None:
    made = client.datasets.create("street", description="cars")
    assert (made.name, made.description, made.image_count, made.is_archived) == ("street", "cars", 0, False)
    assert client.datasets.get("street") == client.datasets.get(made.id) == made
    assert client.datasets.list() == [made]
    renamed = client.datasets.rename("street", "avenue")
    assert (renamed.id, renamed.description) == (made.id, "cars")
    assert client.datasets.describe("avenue", "trees").description == "trees"
    client.images.upload("avenue", picture_bytes(1), filename="a.jpg")
    assert client.datasets.get("avenue").image_count == 1
    assert client.datasets.get("avenue").total_size == len(picture_bytes(1))
    deleted = client.datasets.delete("avenue")
    assert (deleted.id, deleted.name, deleted.deleted, deleted.images_deleted) == (made.id, "avenue", True, 1)
    for call in (client.datasets.get, client.datasets.delete, client.datasets.progress):
        with pytest.raises(NotFoundError):
            call("avenue")


def test_a_taken_dataset_name_is_a_conflict(client: Client, street: Dataset) -> None:
    with pytest.raises(ConflictError, match="street"):
        client.datasets.create("street")
    client.datasets.create("avenue")
    with pytest.raises(ConflictError, match="street"):
        client.datasets.rename("avenue", "street")


@pytest.mark.parametrize("name", ["ü", "🚗", "a b", "100%", "a%2Fb", "?x=1#y", "x" * 255, "a\\b", "..a", "+", "upload"])
def test_a_dataset_may_have_any_name_a_path_can_hold(client: Client, name: str) -> None:
    made = client.datasets.create(name)
    assert client.datasets.get(name) == made
    assert client.datasets.progress(name).total == 0
    client.images.upload(name, picture_bytes(1), filename="a.jpg")
    assert len(client.images.list(name)) == 1
    assert client.search.by_tag(objects=["car"], dataset_name=name) == []
    client.datasets.delete(name)


@pytest.mark.parametrize("name", ["", " ", "a/b", "/", ".", "..", " a", "a ", "x" * 256, "a\nb", "a\x00b", "\u2028"])
def test_a_dataset_name_that_no_path_can_hold_is_refused(client: Client, street: Dataset, name: str) -> None:
    with pytest.raises(ValidationError) as caught:
        client.datasets.create(name)
    assert caught.value.field_errors[0]["loc"][-1] == "name"
    with pytest.raises(ValidationError):
        client.datasets.rename("street", name)
    assert [row.name for row in client.datasets.list()] == ["street"]


def test_the_id_of_a_dataset_is_no_name_of_another(client: Client, street: Dataset) -> None:
    avenue = client.datasets.create("avenue")
    for name in (street.id, street.id.upper()):
        with pytest.raises(ConflictError, match="is the id of a dataset"):
            client.datasets.create(name)
        with pytest.raises(ConflictError, match="is the id of a dataset"):
            client.datasets.rename("avenue", name)
    free = str(uuid4())
    assert client.datasets.create(free).name == free
    assert client.datasets.get("avenue") == avenue


@pytest.mark.parametrize("name", ["", ".", ".."])
def test_a_name_that_a_path_would_lose_reaches_no_other_route(client: Client, street: Dataset, name: str) -> None:
    datasets = client.datasets
    for call in (datasets.get, datasets.delete, datasets.progress, datasets.history, datasets.retry_failed):
        with pytest.raises(NotFoundError, match="There is no dataset"):
            call(name)
    for change in (datasets.rename, datasets.describe):
        with pytest.raises(NotFoundError, match="There is no dataset"):
            change(name, "avenue")
    with pytest.raises(ValidationError, match="dataset must be"):
        datasets.delete(None)  # type: ignore[arg-type]
    assert [row.name for row in datasets.list()] == ["street"]


@pytest.mark.parametrize("description", ["a\x00b", "\ud800"])
def test_a_description_that_cannot_be_stored_is_refused(raw: Raw, street: Dataset, description: str) -> None:
    import json  # noqa: PLC0415

    for method, path, body in (
        ("POST", "/datasets/", {"name": "new", "description": description}),
        ("PATCH", "/datasets/street", {"description": description}),
    ):
        headers = {"Content-Type": "application/json"}
        answer = raw.api(method, path, content=json.dumps(body).encode(), headers=headers)
        assert (answer.status_code, answer.json()["error"]["code"]) == (422, "validation_error"), answer.text


def test_datasets_are_listed_newest_first_in_pages(raw: Raw, client: Client) -> None:
    for n in range(3):
        client.datasets.create(f"{n}")
    assert [row.name for row in client.datasets.list()] == ["2", "1", "0"]
    assert [row.name for row in client.datasets.list(limit=1, offset=1)] == ["1"]
    pagination = raw.api("GET", "/datasets/?limit=2").json()["pagination"]
    assert (pagination["total"], pagination["has_more"]) == (3, True)


def test_progress_counts_what_waits_and_what_is_done(client: Client, street: Dataset) -> None:
    assert client.datasets.progress("street").done
    client.images.upload("street", picture_bytes(1), filename="a.jpg")
    counts = client.datasets.wait_until_processed("street", timeout=60)
    assert (counts.total, counts.received, counts.embedded, counts.tagged, counts.failed) == (1, 0, 1, 0, 0)
    assert counts.dataset_id == street.id


def test_waiting_ends_at_the_timeout(service: Service, client: Client, street: Dataset) -> None:
    with pytest.raises(NotFoundError):
        client.datasets.wait_until_processed("nowhere", timeout=1)


COMPOSED, DECOMPOSED = "caf\u00e9", "cafe\u0301"


@pytest.mark.parametrize(("written", "asked"), [(COMPOSED, DECOMPOSED), (DECOMPOSED, COMPOSED)])
def test_two_spellings_of_a_name_are_one_name(client: Client, raw: Raw, written: str, asked: str) -> None:
    made = client.datasets.create(written)
    assert made.name == COMPOSED
    assert client.datasets.get(asked).id == made.id
    with pytest.raises(ConflictError):
        client.datasets.create(asked)
    image = client.images.upload(written, picture_bytes(1), folder_path=f"/{written}/x", filename=f"{written}.jpg")
    assert (image.folder_path, image.filename) == (f"/{COMPOSED}/x", f"{COMPOSED}.jpg")
    with pytest.raises(ConflictError):
        client.images.upload(asked, picture_bytes(2), folder_path=f"/{asked}/x", filename=f"{asked}.jpg")
    found = client.images.list(asked, folder_path=f"/{asked}/x", filename=f"{asked}.jpg")
    assert [row.id for row in found] == [image.id]
    assert [row.id for row in client.images.which_exist(asked, [(f"/{asked}/x", f"{asked}.jpg")])] == [image.id]
    assert raw.api("GET", by_path(asked, asked, "x", f"{asked}.jpg")).status_code == 200
    client.datasets.wait_until_processed(asked, timeout=60)
    assert client.search.by_similarity(image.id, folder_path=f"/{asked}").scope_size == 1
    assert client.datasets.rename(asked, f"{asked} 2").name == f"{COMPOSED} 2"
    assert client.keys.create(written).name == COMPOSED


def test_a_directory_in_another_spelling_is_there_already(client: Client, photos: Path) -> None:
    for spelling in (COMPOSED, DECOMPOSED):
        folder = photos / spelling / "of" / spelling
        folder.mkdir(parents=True)
        (folder / f"{spelling}.jpg").write_bytes(picture_bytes(1))
        report = client.images.upload_from_directory("street", photos / spelling)
        assert report.success
        assert (len(report.uploaded), len(report.skipped)) == ((1, 0) if spelling == COMPOSED else (0, 1))


def test_changed_names_are_listed(client: Client, service: Service, raw: Raw, organization: OrganizationId) -> None:
    assert client.datasets.name_changes() == []
    execute = """INSERT INTO name_change (organization_id, kind, object_id, original, becomes)
                 SELECT %s, 'folder', n::text, 'was ' || n, 'is ' || n FROM generate_series(1, 3) n"""
    with psycopg.connect(service.database_url, autocommit=True) as connection:
        connection.execute(execute, [organization])
    page = client.datasets.name_changes(limit=2)
    rest = client.datasets.name_changes(cursor=page.next_cursor)
    assert (page.total, len(page), len(rest)) == (3, 2, 1)
    assert {row.original for row in [*page, *rest]} == {"was 1", "was 2", "was 3"}
    assert raw.api("GET", f"/datasets/?cursor={page.next_cursor}").status_code == 422
