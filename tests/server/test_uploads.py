"""What may be uploaded under which name, and what every refusal says; the service goes on after each."""

from __future__ import annotations

import hashlib
import struct
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from pictograph import (
    ApiError,
    AsyncClient,
    BadImage,
    Client,
    ConflictError,
    NotFoundError,
    TooLarge,
    UnsupportedFormat,
    ValidationError,
)
from pictograph.wire import Dataset
from support.pictures import picture_bytes
from support.raw import Raw
from support.services import Service

FORMATS = {
    "JPEG": "image/jpeg", "PNG": "image/png", "WEBP": "image/webp", "GIF": "image/gif", "BMP": "image/bmp",
    "TIFF": "image/tiff", "AVIF": "image/avif",
}  # fmt: skip
MAX_BYTES = 200_000


def bomb() -> bytes:
    """A PNG of 100,000 x 100,000 pixels, by its header; its body is a few bytes."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")
    )


def heif() -> bytes:
    pillow_heif = pytest.importorskip("pillow_heif")
    file = BytesIO()
    pillow_heif.from_pillow(Image.open(BytesIO(picture_bytes(1)))).save(file, format="HEIF", quality=60)
    return file.getvalue()


@pytest.fixture(autouse=True)
def goes_on(client: Client) -> Iterator[None]:
    """After each test the service still takes a good picture."""
    yield
    client.datasets.create("after")
    assert client.images.upload("after", picture_bytes(9), filename="after.jpg").width == 64


@pytest.mark.parametrize("format", FORMATS)
def test_every_promised_format_is_taken_and_told_by_its_content(client: Client, street: Dataset, format: str) -> None:
    image = client.images.upload("street", picture_bytes(1, format=format), filename="picture.xyz")
    assert (image.content_type, image.width, image.height) == (FORMATS[format], 64, 48)
    assert image.state == "received"


def test_heic_is_taken(client: Client, street: Dataset) -> None:
    image = client.images.upload("street", heif(), filename="a.heic")
    assert (image.content_type, image.width, image.height) == ("image/heic", 64, 48)


def test_a_png_named_jpg_is_taken_as_the_png_it_is(client: Client, street: Dataset) -> None:
    image = client.images.upload("street", picture_bytes(1, format="PNG"), filename="photo.jpg")
    assert (image.content_type, image.filename) == ("image/png", "photo.jpg")


REFUSED = [
    (b"", BadImage, "bad_image", 422, "empty"),
    (b"hello, this is text", UnsupportedFormat, "unsupported_format", 415, "text"),
    (b"%PDF-1.7\n...", UnsupportedFormat, "unsupported_format", 415, "PDF"),
    (b"PK\x03\x04" + bytes(100), UnsupportedFormat, "unsupported_format", 415, "zip"),
    (b"<svg xmlns='http://www.w3.org/2000/svg'/>", UnsupportedFormat, "unsupported_format", 415, "SVG"),
    (bytes(1000), UnsupportedFormat, "unsupported_format", 415, "zero bytes"),
    (picture_bytes(1, format="PNG")[:20], BadImage, "bad_image", 422, ""),
    (picture_bytes(1)[:60], BadImage, "bad_image", 422, ""),
    (b"\xff\xd8\xff", BadImage, "bad_image", 422, ""),
    (bomb(), TooLarge, "too_large", 413, "max_pixels"),
    (picture_bytes(1, size=(1200, 900), format="GIF"), TooLarge, "too_large", 413, "max_pixels"),
]


@pytest.mark.parametrize(("data", "error", "code", "status", "says"), REFUSED)
def test_what_is_no_picture_we_read_is_refused_by_kind(
    client: Client, street: Dataset, data: bytes, error: type[ApiError], code: str, status: int, says: str
) -> None:
    with pytest.raises(error) as caught:
        client.images.upload("street", data, filename="a.jpg")
    assert type(caught.value) is error
    assert (caught.value.code, caught.value.status_code) == (code, status)
    assert says in caught.value.message
    assert caught.value.request_id
    assert client.images.list("street") == []


@pytest.mark.parametrize(("data", "error", "code", "status", "says"), REFUSED)
def test_a_put_refuses_the_same_with_the_same_words(
    raw: Raw, street: Dataset, data: bytes, error: type[ApiError], code: str, status: int, says: str
) -> None:
    answer = raw("PUT", upload_url(raw, "a.jpg"), content=data)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
    assert says in answer.json()["detail"]


def upload_url(raw: Raw, filename: str, folder: str = "/") -> str:
    body = {"dataset": "street", "filename": filename, "directory_path": folder, "content_type": "image/jpeg"}
    answer = raw.api("POST", "/images/upload-url", json=body)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["data"]["upload_url"])


def padded(size: int) -> bytes:
    """A good JPEG, longer than it needs to be."""
    return picture_bytes(1) + bytes(size - len(picture_bytes(1)))


def test_a_file_of_exactly_the_limit_is_taken_and_one_byte_more_is_not(client: Client, street: Dataset) -> None:
    client.images.upload("street", padded(MAX_BYTES), filename="limit.jpg")
    with pytest.raises(TooLarge, match="max_bytes"):
        client.images.upload("street", padded(MAX_BYTES + 1), filename="above.jpg")


@pytest.mark.parametrize("size", [12_000_000, 60_000_000])
def test_a_form_far_above_the_limit_is_refused_as_too_large(client: Client, street: Dataset, size: int) -> None:
    with pytest.raises(TooLarge, match="max_bytes"):
        client.images.upload("street", bytes(size), filename="huge.jpg")


def chunks(size: int) -> Iterator[bytes]:
    for _ in range(size // 100_000):
        yield bytes(100_000)


def assert_too_large(answer: Any) -> None:
    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "too_large")
    assert "max_bytes" in answer.json()["detail"]


@pytest.mark.parametrize("size", [MAX_BYTES + 100_000, 12_000_000])
def test_a_put_above_the_limit_is_refused_as_too_large(raw: Raw, street: Dataset, size: int) -> None:
    assert_too_large(raw("PUT", upload_url(raw, "a.jpg"), content=padded(size)))


def test_a_put_without_a_length_is_cut_off_at_the_limit(raw: Raw, street: Dataset) -> None:
    assert_too_large(raw("PUT", upload_url(raw, "a.jpg"), content=chunks(15_000_000)))


def test_a_form_without_a_length_is_cut_off_at_the_limit(raw: Raw, street: Dataset) -> None:
    def form() -> Iterator[bytes]:
        yield b'--x\r\nContent-Disposition: form-data; name="dataset"\r\n\r\nstreet\r\n'
        yield b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.jpg"\r\n\r\n'
        yield from chunks(15_000_000)
        yield b"\r\n--x--\r\n"

    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    assert_too_large(raw.api("POST", "/images/upload", content=form(), headers=headers))


def test_json_without_end_is_cut_off(raw: Raw, street: Dataset) -> None:
    headers = {"Content-Type": "application/json"}
    answer = raw.api("POST", "/datasets/", content=chunks(15_000_000), headers=headers)
    assert answer.status_code == 413


NAMES_TAKEN = [
    "ü.jpg", "🚗.jpg", "日本語.png", "a b.jpg", "x" * 255, "a%2Fb.jpg", "..jpg", "a\\b.jpg", "'\"<>&?#.jpg",
    "a;b=c.jpg",
]  # fmt: skip


@pytest.mark.parametrize("filename", NAMES_TAKEN)
def test_a_filename_comes_back_exactly_as_it_was_given(client: Client, street: Dataset, filename: str) -> None:
    image = client.images.upload("street", picture_bytes(1), filename=filename)
    assert image.filename == filename
    assert client.images.get(image.id).filename == filename
    assert [row.id for row in client.images.list("street", filename=filename)] == [image.id]


@pytest.mark.parametrize(
    "filename",
    [
        "a/b.jpg",
        "/",
        "..",
        ".",
        "x" * 300,
        "a\x00.jpg",
        "a\n.jpg",
        "a\x1b.jpg",
        " a.jpg",
        "a.jpg ",
        "   ",
        "a\u2028",
    ],
)
def test_a_filename_that_could_mislead_is_refused_by_name(client: Client, street: Dataset, filename: str) -> None:
    with pytest.raises(ValidationError) as caught:
        client.images.upload("street", picture_bytes(1), filename=filename)
    assert caught.value.status_code == 422
    assert caught.value.field_errors[0]["loc"][-1] == "filename"
    assert client.images.list("street") == []


@pytest.mark.parametrize("filename", ["", "\ud800.jpg"])
def test_a_filename_that_cannot_be_sent_is_refused_by_name(client: Client, street: Dataset, filename: str) -> None:
    with pytest.raises(ValidationError) as caught:
        client.images.upload("street", picture_bytes(1), filename=filename)
    assert caught.value.field_errors[0]["loc"][-1] == "filename"
    assert client.images.list("street") == []


def test_bytes_without_a_filename_are_refused_before_anything_is_sent(client: Client, street: Dataset) -> None:
    with pytest.raises(ValidationError, match="filename is needed"):
        client.images.upload("street", picture_bytes(1))


def test_a_local_file_whose_name_is_not_unicode_stops_no_other(client: Client, photos: Path) -> None:
    (photos / "good.jpg").write_bytes(picture_bytes(1))
    try:
        (photos / "bad\udcff.jpg").write_bytes(picture_bytes(2))
    except (OSError, UnicodeError):
        pytest.skip("this file system has only Unicode names")
    report = client.images.upload_from_directory("new", photos)
    assert [image.filename for image in report.uploaded] == ["good.jpg"]
    assert [failure.code for failure in report.failures] == ["validation_error"]


@pytest.mark.parametrize(
    ("given", "canonical"),
    [("", "/"), ("/", "/"), ("a", "/a"), ("/a//b/", "/a/b"), ("ü/🚗", "/ü/🚗"), ("/a b", "/a b")],
)
def test_a_folder_path_has_one_way_to_be_written(client: Client, street: Dataset, given: str, canonical: str) -> None:
    image = client.images.upload("street", picture_bytes(1), filename="a.jpg", folder_path=given)
    assert image.folder_path == canonical
    with pytest.raises(ConflictError):
        client.images.upload("street", picture_bytes(2), filename="a.jpg", folder_path=canonical)
    assert [row.id for row in client.images.list("street", folder_path=given)] == [image.id]


@pytest.mark.parametrize("folder", ["/../etc", "/a/./b", "/a\x00", "/ a", "/" + "x" * 256, "/x" * 600, "/\n"])
def test_a_folder_path_that_could_mislead_is_refused_by_name(client: Client, street: Dataset, folder: str) -> None:
    with pytest.raises(ValidationError) as caught:
        client.images.upload("street", picture_bytes(1), filename="a.jpg", folder_path=folder)
    assert caught.value.field_errors[0]["loc"][-1] == "folder_path"


def test_the_same_filename_in_the_same_folder_is_a_conflict_and_elsewhere_it_is_not(
    client: Client, street: Dataset
) -> None:
    client.images.upload("street", picture_bytes(1), filename="a.jpg")
    with pytest.raises(ConflictError, match=r"'a\.jpg' in folder '/'") as caught:
        client.images.upload("street", picture_bytes(2), filename="a.jpg")
    assert (caught.value.status_code, caught.value.code) == (409, "conflict")
    client.images.upload("street", picture_bytes(2), filename="a.jpg", folder_path="/b")


def test_an_unknown_dataset_is_not_found_and_is_not_made(client: Client) -> None:
    for dataset in ("nowhere", "", "a/b", "\x00"):
        with pytest.raises((NotFoundError, ValidationError)):
            client.images.upload(dataset, picture_bytes(1), filename="a.jpg")
    assert client.datasets.list() == []


def test_a_form_that_is_none_is_refused_in_the_one_shape(raw: Raw, street: Dataset) -> None:
    for body, kind in (
        (b"garbage", "multipart/form-data; boundary=x"),
        (b"garbage", "multipart/form-data"),
        (b"--x\r\n\r\n\r\n", "multipart/form-data; boundary=x"),
        (b"{}", "application/json"),
        (b"", "text/plain"),
        (b"a=b", "application/x-www-form-urlencoded"),
    ):
        answer = raw.api("POST", "/images/upload", content=body, headers={"Content-Type": kind})
        is_form = "form" in kind
        assert answer.status_code in ((400, 422) if is_form else (415,)), (body, kind, answer.text)
        assert answer.json()["error"]["code"] == ("validation_error" if is_form else "unsupported_format")
        assert answer.json()["error"]["request_id"] == answer.headers["X-Request-Id"]


def test_a_form_whose_parts_are_swapped_is_refused(raw: Raw, street: Dataset) -> None:
    swapped = raw.api("POST", "/images/upload", data={"file": "text"}, files={"dataset": ("a", b"street")})
    assert swapped.status_code == 422
    assert len(swapped.json()["detail"]) < 1000


def test_without_a_filename_field_the_part_names_the_file(raw: Raw, street: Dataset) -> None:
    answer = raw.api("POST", "/images/upload", data={"dataset": "street"}, files={"file": ("p.jpg", picture_bytes(1))})
    assert answer.status_code == 201
    assert answer.json()["data"]["filename"] == "p.jpg"


# Three steps


def register(raw: Raw, filename: str, folder: str = "/", **headers: str) -> Any:
    body = {
        "dataset": "street", "filename": filename, "directory_path": folder, "file_size": 1, "content_type": "x/y",
        "width": None, "height": None,
    }  # fmt: skip
    return raw.api("POST", "/images/register", json=body, headers=headers)


def test_three_steps_give_the_same_image_as_one(raw: Raw, client: Client, street: Dataset) -> None:
    data = picture_bytes(1)
    stored = raw("PUT", upload_url(raw, "three.jpg", "/a/b"), content=data, headers={"X-API-Key": ""})
    assert stored.status_code == 200
    registered = register(raw, "three.jpg", "/a/b")
    assert registered.status_code == 201
    uploaded = client.images.upload("street", data, filename="one.jpg", folder_path="/a/b")
    client.datasets.wait_until_processed("street", timeout=60)
    one, three = client.images.get(uploaded.id), client.images.get(registered.json()["data"]["id"])
    unlike = {
        "id", "image_id", "filename", "created_at", "updated_at", "image_url", "thumbnail_url", "tag_scores", "state",
        "image_auto_tags",
    }  # fmt: skip
    assert three.model_dump(exclude=unlike) == one.model_dump(exclude=unlike)
    assert client.images.download(three.id) == data


def test_the_put_needs_no_key_and_no_content_type(raw: Raw, raw_as: Any, street: Dataset) -> None:
    url = upload_url(raw, "a.jpg")
    assert url.startswith(raw.service.address)
    assert raw_as(None)("PUT", url, content=picture_bytes(1)).status_code == 200
    assert register(raw, "a.jpg").status_code == 201


def test_register_without_a_put_says_what_is_missing(raw: Raw, street: Dataset) -> None:
    upload_url(raw, "a.jpg")
    for filename in ("a.jpg", "never asked for.jpg"):
        answer = register(raw, filename)
        assert (answer.status_code, answer.json()["error"]["code"]) == (422, "validation_error")
        assert "PUT" in answer.json()["detail"]


def test_a_taken_name_is_a_conflict_at_step_1_and_at_step_3(raw: Raw, client: Client, street: Dataset) -> None:
    raw("PUT", upload_url(raw, "a.jpg"), content=picture_bytes(1))
    client.images.upload("street", picture_bytes(2), filename="a.jpg")
    assert register(raw, "a.jpg").status_code == 409
    body = {"dataset": "street", "filename": "a.jpg"}
    assert raw.api("POST", "/images/upload-url", json=body).status_code == 409


@pytest.mark.parametrize("token", ["unknown", "%00", "%FF", "x" * 3000, "..", "a%2Fb"])
def test_an_unknown_token_is_not_found(raw: Raw, token: str) -> None:
    answer = raw("PUT", f"/api/v1/uploads/{token}", content=picture_bytes(1))
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "not_found")


def test_an_expired_token_is_not_found(service: Service, raw: Raw, street: Dataset) -> None:
    url = upload_url(raw, "a.jpg")

    async def expire() -> None:
        async with service.services.database.connection() as connection:
            await connection.execute("UPDATE upload_ticket SET expires_at = now() WHERE dataset_id = %s", [street.id])

    service.run(expire())
    answer = raw("PUT", url, content=picture_bytes(1))
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "not_found")
    assert "upload-url" in answer.json()["detail"]


def test_a_foreign_key_cannot_register_what_was_put_for_us(
    service: Service, raw: Raw, street: Dataset, http: Any
) -> None:
    raw("PUT", upload_url(raw, "a.jpg"), content=picture_bytes(1))
    stranger = Raw(service, service.key(service.organization()), http)
    assert register(stranger, "a.jpg").status_code == 404
    body = {"dataset": street.id, "filename": "a.jpg"}
    assert stranger.api("POST", "/images/register", json=body).status_code == 404


# Which exist


def test_a_thousand_places_are_asked_for_in_one_question(raw: Raw, client: Client, street: Dataset) -> None:
    image = client.images.upload("street", picture_bytes(1), folder_path="/a", filename="here.jpg")
    archived = client.images.upload("street", picture_bytes(2), filename="archived.jpg")
    client.images.delete(archived.id)
    files = [{"filename": f"{n}.jpg"} for n in range(996)]
    files += [{"directory_path": "a/", "filename": "here.jpg"}, {"filename": "here.jpg"}, {"filename": "archived.jpg"}]
    files += [{"directory_path": "/nowhere", "filename": ".."}]
    answer = raw.api("POST", "/images/which-exist", json={"dataset": "street", "files": files})
    assert answer.status_code == 200, answer.text
    here, hidden = answer.json()["data"]
    assert (here["position"], here["id"], here["sha256"]) == (996, image.id, image.sha256)
    assert (here["file_size"], here["is_archived"], here["folder_path"]) == (len(picture_bytes(1)), False, "/a")
    assert (hidden["position"], hidden["id"], hidden["is_archived"]) == (998, archived.id, True)
    many = {"dataset": "street", "files": [{"filename": "x"}] * 1001}
    assert raw.api("POST", "/images/which-exist", json=many).status_code == 422
    assert raw.api("POST", "/images/which-exist", json={"dataset": "nowhere", "files": []}).status_code == 404
    assert raw.api("POST", "/images/which-exist", json={"dataset": "street", "files": []}).json()["data"] == []


def test_an_upload_goes_on_without_listing_the_dataset_and_tells_what_changed(
    client: Client, street: Dataset, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for n in range(4):
        (photos / f"{n}.jpg").write_bytes(picture_bytes(n))
    assert client.images.upload_from_directory("street", photos).success
    for listing in ("list_images", "upload_image"):
        monkeypatch.setattr(f"pictograph.client.calls.{listing}", None)  # neither is called
    gone = client.images.upload_from_directory("street", photos)
    assert (len(gone.skipped), gone.success, gone.done) == (4, True, 4)
    monkeypatch.undo()
    (photos / "1.jpg").write_bytes(picture_bytes(1, size=(99, 77)))
    (photos / "new.jpg").write_bytes(picture_bytes(5))
    (before,) = client.images.list("street", filename="1.jpg")
    report = client.images.upload_from_directory("street", photos)
    assert [item.path.name for item in report.different] == ["1.jpg"]
    assert report.different[0].image_id == before.id
    assert ([image.filename for image in report.uploaded], len(report.skipped)) == (["new.jpg"], 3)
    assert not report.success
    assert client.images.download(before.id) == picture_bytes(1)


def test_an_archived_image_of_the_same_bytes_is_restored_and_said(
    client: Client, street: Dataset, photos: Path
) -> None:
    for n in range(2):
        (photos / f"{n}.jpg").write_bytes(picture_bytes(n))
    first = client.images.upload_from_directory("street", photos)
    client.images.delete(first.uploaded[0].id)
    report = client.images.upload_from_directory("street", photos)
    assert ([image.id for image in report.restored], len(report.skipped)) == ([first.uploaded[0].id], 1)
    assert (report.success, len(client.images.list("street"))) == (True, 2)


async def test_the_async_client_tells_the_same(service: Service, photos: Path) -> None:
    organization = service.organization()
    (photos / "same.jpg").write_bytes(picture_bytes(1))
    (photos / "other.jpg").write_bytes(picture_bytes(2))
    (photos / "archived.jpg").write_bytes(picture_bytes(3))
    async with AsyncClient(service.key(organization), base_url=service.address) as client:
        first = await client.images.upload_from_directory("street", photos)
        await client.images.delete(next(image.id for image in first.uploaded if image.filename == "archived.jpg"))
        (photos / "other.jpg").write_bytes(picture_bytes(4))
        (photos / "new.jpg").write_bytes(picture_bytes(5))
        report = await client.images.upload_from_directory("street", photos)
    assert [path.name for path in report.skipped] == ["same.jpg"]
    assert [item.path.name for item in report.different] == ["other.jpg"]
    assert [image.filename for image in report.restored] == ["archived.jpg"]
    assert [image.filename for image in report.uploaded] == ["new.jpg"]


# A ticket ends


def put_ticket(raw: Raw, url: str, seed: int = 1) -> Any:
    return raw("PUT", url, content=picture_bytes(seed), headers={"X-API-Key": ""})


def test_a_put_may_be_repeated_until_register_and_the_last_bytes_count(
    raw: Raw, client: Client, street: Dataset
) -> None:
    url = upload_url(raw, "a.jpg")
    assert [put_ticket(raw, url, seed).status_code for seed in (1, 1, 2)] == [200, 200, 200]
    registered = register(raw, "a.jpg").json()["data"]
    assert registered["sha256"] == hashlib.sha256(picture_bytes(2)).hexdigest()
    late = put_ticket(raw, url, 3)
    assert (late.status_code, late.json()["error"]["code"]) == (409, "conflict")
    assert "registered already" in late.json()["detail"]
    assert client.images.download(registered["id"]) == picture_bytes(2)


def test_register_again_gets_the_first_answer_with_its_key_and_a_conflict_without(raw: Raw, street: Dataset) -> None:
    put_ticket(raw, upload_url(raw, "a.jpg"))
    first, again = (register(raw, "a.jpg", **{"Idempotency-Key": "k1"}) for _ in range(2))
    assert (first.status_code, again.status_code) == (201, 201)
    assert again.content == first.content
    assert register(raw, "a.jpg", **{"Idempotency-Key": "k2"}).status_code == 409
    assert register(raw, "a.jpg").status_code == 409


@pytest.mark.parametrize("in_steps", [True, False])
def test_an_image_deleted_for_good_does_not_come_back_by_any_ticket_for_its_place(
    raw: Raw, client: Client, street: Dataset, in_steps: bool
) -> None:
    earlier, other = upload_url(raw, "a.jpg"), upload_url(raw, "b.jpg")
    put_ticket(raw, earlier)
    put_ticket(raw, other)
    if in_steps:
        url = upload_url(raw, "a.jpg")
        put_ticket(raw, url, 2)
        image = register(raw, "a.jpg", **{"Idempotency-Key": "k1"}).json()["data"]["id"]
    else:
        url = earlier
        image = client.images.upload("street", picture_bytes(2), filename="a.jpg").id
    client.images.delete(image, permanent=True)
    assert register(raw, "a.jpg").status_code == 422
    assert register(raw, "a.jpg", **{"Idempotency-Key": "k1"}).status_code in (409, 422)
    for ticket in (url, earlier):
        assert put_ticket(raw, ticket).status_code == 404
    assert client.images.list("street", include_archived=True) == []
    assert register(raw, "b.jpg").status_code == 201


def test_an_archived_image_keeps_its_place_and_its_ticket_stays_ended(
    raw: Raw, client: Client, street: Dataset
) -> None:
    url = upload_url(raw, "a.jpg")
    put_ticket(raw, url)
    client.images.delete(register(raw, "a.jpg").json()["data"]["id"])
    assert put_ticket(raw, url).status_code == 409
    assert register(raw, "a.jpg").status_code == 409


def test_a_ticket_ends_with_the_key_that_asked_for_it(
    service: Service, raw: Raw, client: Client, street: Dataset, http: Any
) -> None:
    made = client.keys.create("guest")
    guest = Raw(service, made.api_key, http)
    filled, empty = upload_url(guest, "a.jpg"), upload_url(guest, "b.jpg")
    put_ticket(raw, filled)
    client.keys.revoke(made.key_id)
    for url in (filled, empty):
        answer = put_ticket(raw, url)
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "not_found")
        assert "revoked" in answer.json()["detail"]
    for filename in ("a.jpg", "b.jpg"):
        assert register(raw, filename).status_code == 422
    assert client.images.list("street") == []


def test_a_ticket_is_bound_to_its_place(raw: Raw, client: Client, street: Dataset) -> None:
    put_ticket(raw, upload_url(raw, "a.jpg", "/a"))
    for filename, folder in (("b.jpg", "/a"), ("a.jpg", "/"), ("a.jpg", "/a/b")):
        assert register(raw, filename, folder).status_code == 422
    assert register(raw, "a.jpg", "/a").status_code == 201


def test_of_registers_at_the_same_time_one_makes_the_image(raw: Raw, client: Client, street: Dataset) -> None:
    put_ticket(raw, upload_url(raw, "a.jpg"))
    with ThreadPoolExecutor(6) as pool:
        statuses = sorted(pool.map(lambda _: register(raw, "a.jpg").status_code, range(6)))
    assert statuses[0] == 201
    assert set(statuses[1:]) <= {409, 422}
    assert len(client.images.list("street")) == 1


# Replace


def test_a_changed_file_replaces_the_bytes_and_the_image_stays(client: Client, street: Dataset, photos: Path) -> None:
    for n in range(2):
        (photos / f"{n}.jpg").write_bytes(picture_bytes(n))
    first = client.images.upload_from_directory("street", photos)
    client.datasets.wait_until_processed("street", timeout=60)
    (photos / "1.jpg").write_bytes(picture_bytes(7))
    report = client.images.upload_from_directory("street", photos, replace=True)
    assert (len(report.replaced), len(report.skipped), report.different, report.success) == (1, 1, [], True)
    assert report.replaced[0].id in {image.id for image in first.uploaded}
    client.datasets.wait_until_processed("street", timeout=60)
    image = client.images.get(report.replaced[0].id)
    assert (image.replacement, image.file_size) == (None, len(picture_bytes(7)))
    assert client.images.download(image.id) == picture_bytes(7)
    twin = client.images.upload("street", picture_bytes(7), filename="twin.jpg")
    client.datasets.wait_until_processed("street", timeout=60)
    assert [row.image_id for row in client.search.by_similarity(twin.id)] == [image.id]


WAIT = """
INSERT INTO replacement (image_id, sha256, content_type, width, height, file_size)
SELECT %s, sha256, content_type, width, height, file_size FROM image WHERE id = %s"""


def test_bytes_on_their_way_count_as_there(service: Service, client: Client, street: Dataset, photos: Path) -> None:
    image = client.images.upload("street", picture_bytes(1), filename="a.jpg")
    other = client.images.upload("street", picture_bytes(2), filename="b.jpg")
    client.datasets.wait_until_processed("street", timeout=60)

    async def let_it_wait() -> None:
        async with service.services.database.connection() as connection:
            await connection.execute(WAIT, [image.id, other.id])  # without a job, so that no worker exchanges them

    service.run(let_it_wait())
    (known,) = client.images.which_exist("street", [("/", "a.jpg")])
    assert (known.sha256, known.file_size) == (hashlib.sha256(picture_bytes(1)).hexdigest(), len(picture_bytes(1)))
    assert known.next_sha256 == hashlib.sha256(picture_bytes(2)).hexdigest()
    assert known.next_file_size == len(picture_bytes(2))
    (photos / "a.jpg").write_bytes(picture_bytes(2))
    for replace in (False, True):
        report = client.images.upload_from_directory("street", photos, replace=replace)
        assert (len(report.skipped), report.different, report.replaced) == (1, [], [])
    (photos / "a.jpg").write_bytes(picture_bytes(1))  # back to what the image still has, and would soon lose
    assert len(client.images.upload_from_directory("street", photos).different) == 1
    assert len(client.images.upload_from_directory("street", photos, replace=True).replaced) == 1
    assert client.images.which_exist("street", [("/", "a.jpg")])[0].next_sha256 is None


def test_bytes_that_may_be_replaced_are_asked_for_by_their_tag(raw: Raw, client: Client, street: Dataset) -> None:
    image = client.images.upload("street", picture_bytes(1), filename="a.jpg")
    for path in (f"/images/{image.id}", f"/images/{image.id}/thumbnail", "/images/street/a.jpg"):
        first = raw.api("GET", path)
        assert (first.status_code, first.headers["Cache-Control"]) == (200, "private, no-cache")
        again = raw.api("GET", path, headers={"If-None-Match": first.headers["ETag"]})
        assert (again.status_code, again.content) == (304, b"")
        assert raw.api("GET", path, headers={"If-None-Match": '"other"'}).status_code == 200


def test_three_steps_may_replace_too(raw: Raw, client: Client, street: Dataset) -> None:
    image = client.images.upload("street", picture_bytes(1), filename="a.jpg")
    body = {"dataset": "street", "filename": "a.jpg"}
    assert raw.api("POST", "/images/upload-url", json=body).status_code == 409
    url = raw.api("POST", "/images/upload-url", json=body | {"replace": True}).json()["data"]["upload_url"]
    assert raw("PUT", url, content=picture_bytes(2)).status_code == 200
    assert raw.api("POST", "/images/register", json=body).status_code == 409
    assert raw.api("POST", "/images/register", json=body | {"replace": True}).json()["data"]["id"] == image.id
    client.datasets.wait_until_processed("street", timeout=60)
    assert client.images.download(image.id) == picture_bytes(2)
