"""Pictures by addresses that need no key: what they answer, for whom, and what ends them."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from io import BytesIO
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from PIL import Image

from pictograph import Client
from pictograph.server import pictures
from pictograph.store import signing
from pictograph.store.key_memory import ReadVersions
from pictograph.types import ImageId, OrganizationId
from pictograph.wire import PICTURES_PREFIX, Dataset
from pictograph.wire import Image as ImageRow
from support.pictures import picture_bytes
from support.raw import Raw
from support.services import Service, client_of

BROWSER = {"Accept": "image/avif,image/webp,image/apng,image/*,*/*;q=0.8"}


@pytest.fixture
def image(client: Client, street: Dataset) -> ImageRow:
    return client.images.upload("street", picture_bytes(1, size=(640, 480)), filename="sch\u00f6n \u202e.jpg")


def code_of(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


def altered(url: str, **values: object) -> str:
    return str(httpx.URL(url).copy_merge_params({name: str(value) for name, value in values.items()}))


def test_every_row_carries_addresses_that_need_no_key(
    http: httpx.Client, client: Client, street: Dataset, image: ImageRow
) -> None:
    twin = client.images.upload("street", picture_bytes(1, size=(640, 480)), filename="twin.jpg")
    client.datasets.wait_until_processed("street")
    rows: list[Any] = [
        *client.search.by_similarity(image.id),
        *client.search.by_similarity(twin.id),
        client.images.get(image.id),
        *client.images.list("street"),
    ]
    assert len(rows) == 5
    for row in rows:
        assert http.get(row.image_url).content == picture_bytes(1, size=(640, 480))
        thumbnail = http.get(row.thumbnail_url)
        assert Image.open(BytesIO(thumbnail.content)).size == (320, 240)
        assert thumbnail.headers["Content-Type"] == "image/jpeg"


def test_a_browser_gets_webp_and_everyone_else_jpeg(http: httpx.Client, raw: Raw, image: ImageRow) -> None:
    for ask in (
        lambda headers: http.get(image.thumbnail_url, headers=headers),
        lambda headers: raw.api("GET", f"/images/{image.id}/thumbnail", headers=headers),
    ):
        jpeg, webp = ask({}), ask(BROWSER)
        assert (jpeg.headers["Content-Type"], webp.headers["Content-Type"]) == ("image/jpeg", "image/webp")
        assert [Image.open(BytesIO(answer.content)).format for answer in (jpeg, webp)] == ["JPEG", "WEBP"]
        assert jpeg.headers["ETag"] != webp.headers["ETag"]
        assert jpeg.headers["Vary"] == webp.headers["Vary"] == "Accept"
        assert ask(BROWSER).content == webp.content


def test_browsers_may_cache_a_picture_and_ask_whether_it_changed(http: httpx.Client, image: ImageRow) -> None:
    for url in (image.thumbnail_url, image.image_url):
        for headers in ({}, BROWSER):
            answer = http.get(url, headers=headers)
            assert answer.headers["Cache-Control"] == "private, max-age=600"
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
            again = http.get(url, headers={**headers, "If-None-Match": answer.headers["ETag"]})
            assert (again.status_code, again.content) == (304, b"")
            head = http.head(url, headers=headers)
            assert (head.status_code, head.content) == (200, b"")
            assert head.headers["Content-Length"] == answer.headers["Content-Length"]


@pytest.mark.parametrize("part_bytes", [50, 10_000_000])
def test_a_part_of_a_picture_is_that_part(
    http: httpx.Client, image: ImageRow, monkeypatch: pytest.MonkeyPatch, part_bytes: int
) -> None:
    monkeypatch.setattr("pictograph.store.blobs.PART_BYTES", part_bytes)
    for url in (image.image_url, image.thumbnail_url):
        whole = http.get(url).content
        part = http.get(url, headers={"Range": "bytes=100-299"})
        assert (part.status_code, part.content) == (206, whole[100:300])
        assert part.headers["Content-Range"] == f"bytes 100-299/{len(whole)}"
        assert part.headers["Content-Length"] == "200"
        behind = http.get(url, headers={"Range": f"bytes={len(whole)}-"})
        assert code_of(behind) == (416, "range_not_satisfiable")
        assert behind.headers["Content-Range"] == f"bytes */{len(whole)}"


def test_a_picture_is_shown_under_its_name_and_what_could_run_is_only_saved(
    http: httpx.Client, image: ImageRow, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = http.get(image.image_url).headers
    assert shown["Content-Disposition"] == "inline; filename*=UTF-8''sch%C3%B6n%20%E2%80%AE.jpg"
    assert shown["Content-Security-Policy"] == "default-src 'none'; sandbox"
    monkeypatch.setattr(pictures, "SHOWN_INLINE", pictures.SHOWN_INLINE - {"image/jpeg"})
    assert http.get(image.image_url).headers["Content-Disposition"].startswith("attachment; filename*=")
    for can_run in ("image/svg+xml", "text/html", "application/xhtml+xml", "application/pdf"):
        assert can_run not in pictures.SHOWN_INLINE


def test_an_address_is_for_one_image_one_size_one_time_and_one_key(
    http: httpx.Client, client: Client, street: Dataset, image: ImageRow
) -> None:
    other = client.images.upload("street", picture_bytes(2), filename="other.jpg")
    key = client.keys.create("other", role="viewer").key_id
    wrong = [
        image.thumbnail_url.replace("/thumbnail?", "/original?"),
        image.image_url.replace("/original?", "/thumbnail?"),
        image.thumbnail_url.replace(image.id, other.id),
        altered(image.thumbnail_url, expires=2**40),
        altered(image.thumbnail_url, key=key),
        altered(image.thumbnail_url, signature="0" * 32),
        altered(image.thumbnail_url, signature=""),
        altered(image.thumbnail_url, signature="\u00e9"),
        image.thumbnail_url[:-1],
    ]
    for url in wrong:
        assert code_of(http.get(url)) == (403, "bad_signature"), url
    assert http.get(image.thumbnail_url.partition("&signature")[0]).status_code == 422


def test_an_address_ends_with_its_time(
    http: httpx.Client, image: ImageRow, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(signing, "ROUNDED_TO_S", -1)
    expired = client.images.get(image.id)
    for url in (expired.thumbnail_url, expired.image_url):
        answer = http.get(url)
        assert code_of(answer) == (403, "url_expired")
        assert "Ask for the image again" in answer.json()["error"]["message"]


def test_an_address_ends_with_the_key_that_asked_for_it(
    service: Service, organization: OrganizationId, http: httpx.Client, client: Client, image: ImageRow
) -> None:
    made = client.keys.create("agent", role="viewer")
    with client_of(service.address, made.api_key) as agent:
        mine = agent.images.get(image.id)
    assert http.get(mine.thumbnail_url).status_code == 200
    client.keys.revoke(made.key_id)
    assert code_of(http.get(mine.thumbnail_url)) == (403, "url_expired")
    assert http.get(image.thumbnail_url).status_code == 200
    soon = datetime.now(UTC) + timedelta(seconds=1.5)
    with client_of(service.address, client.keys.create("brief", expires_at=soon).api_key) as agent:
        brief = agent.images.get(image.id)
    assert http.get(brief.image_url).status_code == 200
    while datetime.now(UTC) <= soon:
        time.sleep(0.05)
    assert code_of(http.get(brief.image_url)) == (403, "url_expired")


def test_an_address_ends_with_its_image_but_not_with_its_archiving(
    http: httpx.Client, client: Client, image: ImageRow
) -> None:
    client.images.delete(image.id)
    assert http.get(image.image_url).status_code == 200
    client.images.delete(image.id, permanent=True)
    for url in (image.image_url, image.thumbnail_url):
        assert code_of(http.get(url)) == (404, "not_found")


def test_a_new_secret_ends_every_address_and_later_ones_work(
    service: Service, http: httpx.Client, organization: OrganizationId, client: Client, image: ImageRow
) -> None:
    service.client(organization, "installation").keys.end_signed_urls()
    assert code_of(http.get(image.thumbnail_url)) == (403, "bad_signature")
    assert http.get(client.images.get(image.id).thumbnail_url).status_code == 200
    (noted, *_) = service.client(organization, "installation").history()
    assert (noted.action, noted.key_name) == ("signed URLs ended", "installation key")


def test_an_image_of_another_organization_is_not_shown(service: Service, http: httpx.Client, image: ImageRow) -> None:
    foreign = service.client(service.organization())
    key = foreign.keys.create("x", role="viewer")
    caller = service.run(service.services.keys.identify(key.api_key))
    assert caller is not None
    urls = service.run(service.services.signing.urls(caller, service.address))
    assert code_of(http.get(urls.thumbnail(image.id))) == (404, "not_found")
    assert code_of(http.get(urls.thumbnail(uuid4()))) == (404, "not_found")


def test_another_server_of_the_library_takes_the_addresses_and_follows_the_secret(
    service: Service, http: httpx.Client, raw_as: Callable[[Any], Raw], image: ImageRow
) -> None:
    other = signing.Signing(
        service.services.database, service.services.keys, ReadVersions(service.services.database), PICTURES_PREFIX
    )
    query = httpx.URL(image.thumbnail_url).params
    address = signing.SignedAddress(
        ImageId(UUID(image.id)), "thumbnail", int(query["expires"]), UUID(query["key"]), query["signature"]
    )
    service.run(other.require_valid(address))
    service.run(other.rotate())
    while http.get(image.thumbnail_url).status_code == 200:
        time.sleep(0.05)  # half a second at most: the test's own time limit bounds it
    assert code_of(http.get(image.thumbnail_url)) == (403, "bad_signature")
