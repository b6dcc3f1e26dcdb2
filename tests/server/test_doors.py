"""Names by which the service is asked, methods that it lacks, routes that others have, and what its log says."""

from __future__ import annotations

import http.client
import json
import logging
from pathlib import Path
from typing import Any

import httpx
import pytest

from pictograph import NotSupported, PictographError
from pictograph.client import calls
from pictograph.server.missing import OF_DATASETS, OF_IMAGES, RESOURCES
from pictograph.wire import API_PREFIX, UPLOADS_PREFIX, Dataset
from support.databases import fresh_database
from support.pictures import picture_bytes
from support.raw import Raw
from support.services import Service, running_service


@pytest.mark.parametrize("host", ["evil.example", "evil.example:9", "192.0.2.1", "metadata", "127.0.0.1.evil.example"])
def test_a_foreign_host_is_refused_on_loopback_and_stands_in_no_answer(raw: Raw, street: Dataset, host: str) -> None:
    for method, path in (("POST", "/images/upload-url"), ("GET", "/images/"), ("GET", "/datasets/"), ("GET", "/x")):
        body = {"dataset": "street", "filename": "t.jpg"} if method == "POST" else None
        answer = raw.api(method, path, json=body, headers={"Host": host})
        assert (answer.status_code, answer.json()["error"]["code"]) == (421, "wrong_host")
        assert host not in answer.text
        assert "public_url" in answer.json()["detail"]
    assert raw("GET", "/health", headers={"Host": host}).status_code == 421


def test_two_hosts_are_refused(service: Service) -> None:
    connection = http.client.HTTPConnection(*service.address.removeprefix("http://").split(":"))
    connection.putrequest("GET", "/health", skip_host=True)
    connection.putheader("Host", "127.0.0.1")
    connection.putheader("Host", "evil.example")
    connection.endheaders()
    assert connection.getresponse().status in (400, 421)
    connection.close()


def test_what_a_proxy_would_say_changes_no_address(raw: Raw, street: Dataset) -> None:
    told = {"X-Forwarded-Host": "evil.example", "X-Forwarded-Proto": "https", "Forwarded": "host=evil.example"}
    answer = raw.api("POST", "/images/upload-url", json={"dataset": "street", "filename": "t.jpg"}, headers=told)
    assert answer.json()["data"]["upload_url"].startswith(raw.service.address)


def test_beyond_loopback_addresses_come_from_the_public_url_or_not_at_all(
    postgres: str, template: str, tmp_path: Path, http: httpx.Client
) -> None:
    for number, options in enumerate(({}, {"public_url": "https://images.example.org/p"})):
        with (
            fresh_database(postgres, template) as url,
            running_service(url, tmp_path / str(number), host="0.0.0.0", **options) as service,
        ):
            client = service.client()
            client.datasets.create("street")
            client.images.upload("street", picture_bytes(1), filename="a.jpg")
            raw = Raw(service, client._transport.config.api_key, http)
            listed = raw.api("GET", "/images/", params={"dataset": "street"}, headers={"Host": "192.0.2.1"})
            named = raw.api("GET", "/datasets/", headers={"Host": "192.0.2.1"})
            foreign = raw.api("GET", "/datasets/", headers={"Host": "evil.example"})
            assert (named.status_code, foreign.status_code) == (200, 421)
            if options:
                assert listed.json()["data"][0]["image_url"].startswith("https://images.example.org/p/api/")
            else:
                assert listed.json()["data"][0]["image_url"].startswith("/api/v1/pictures/")
                assert "192.0.2.1" not in listed.text
                asked = {"dataset": "street", "filename": "b.jpg"}
                place = raw.api("POST", "/images/upload-url", json=asked, headers={"Host": "192.0.2.1"})
                assert place.json()["error"]["code"] == "wrong_host"


# Methods


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PUT", f"{API_PREFIX}/datasets/", {"GET", "HEAD", "OPTIONS", "POST"}),
        ("POST", "/health", {"GET", "HEAD", "OPTIONS"}),
        ("GET", f"{UPLOADS_PREFIX}/x", {"OPTIONS", "PUT"}),
        ("PATCH", f"{API_PREFIX}/search/similar", {"GET", "HEAD", "OPTIONS"}),
        ("POST", "/openapi.json", {"GET", "HEAD"}),
        ("TRACE", f"{API_PREFIX}/datasets/street", {"DELETE", "GET", "HEAD", "OPTIONS", "PATCH"}),
    ],
)
def test_a_405_says_what_is_allowed(raw: Raw, method: str, path: str, allowed: set[str]) -> None:
    answer = raw(method, path)
    assert answer.status_code == 405
    assert {name.strip() for name in answer.headers["Allow"].split(",")} == allowed


def test_options_says_what_is_allowed_without_a_key_and_nothing_to_other_sites(raw_as: Any) -> None:
    answer = raw_as(None)("OPTIONS", f"{API_PREFIX}/datasets/", headers={"Origin": "https://evil.example"})
    assert (answer.status_code, answer.headers["Allow"], answer.content) == (204, "GET, HEAD, OPTIONS, POST", b"")
    assert not [name for name in answer.headers if name.startswith("access-control")]


def test_head_is_get_without_a_body(raw: Raw, street: Dataset) -> None:
    uploaded = raw.api(
        "POST", "/images/upload", data={"dataset": "street"}, files={"file": ("a.jpg", picture_bytes(1))}
    )
    image = f"/images/{uploaded.json()['data']['id']}"
    for path in ("/datasets/", "/datasets/street", image, f"{image}/metadata", "/datasets/nowhere"):
        head, get = raw.api("HEAD", path), raw.api("GET", path)
        assert (head.status_code, head.content) == (get.status_code, b"")
        for name in ("Content-Type", "Content-Length", "ETag"):
            if path != "/datasets/nowhere":
                assert head.headers.get(name) == get.headers.get(name)


# Routes that other services of this protocol have


CALLED = [
    *(("GET", f"{API_PREFIX}/{name}") for name in RESOURCES),
    *(("POST", f"{API_PREFIX}/{name}/x") for name in RESOURCES),
    *(("GET", f"{API_PREFIX}/datasets/street/{name}") for name in OF_DATASETS if name != "by-name"),
    *(("POST", f"{API_PREFIX}/images/{name}") for name in OF_IMAGES),
    ("GET", f"{API_PREFIX}/datasets/by-name/street"),
    ("POST", f"{API_PREFIX}/images/0198c0de-0000-7000-8000-000000000000/review"),
    ("POST", f"{API_PREFIX}/images/street/a/b.jpg/split"),
]


@pytest.mark.parametrize(("method", "path"), CALLED)
def test_what_a_published_client_may_call_and_we_lack_is_said_as_such(raw: Raw, method: str, path: str) -> None:
    answer = raw(method, path)
    assert (answer.status_code, answer.json()["error"]["code"]) == (501, "not_supported")
    feature = answer.json()["error"]["details"]["feature"]
    assert repr(feature) in answer.json()["detail"]
    error: PictographError = calls.error_of(answer)
    assert type(error) is NotSupported
    assert not error.retryable


@pytest.mark.parametrize("path", ["/dataset/", "/datasets/street/progres", "/search", "/images/street/", "/prjects"])
def test_what_nobody_has_stays_unknown(raw: Raw, path: str) -> None:
    assert raw.api("POST", path).status_code in (404, 405)


# The log


def test_every_error_is_in_the_log_under_its_id_with_its_cause(
    raw: Raw, service: Service, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    with caplog.at_level(logging.INFO, "pictograph"):
        told = raw.api("GET", "/datasets/nowhere\u202e")
        (line,) = lines(caplog, told)
        assert (line.levelno, line.exc_info) == (logging.INFO, None)
        assert line.getMessage().startswith(
            f"GET {API_PREFIX}/datasets/nowhere\u202e: 404 not_found: There is no dataset"
        )

        async def broken(*_: object) -> None:
            raise RuntimeError("the cause")

        monkeypatch.setattr(service.services.datasets, "get", broken)
        failed = raw.api("GET", "/datasets/street")
        (line,) = lines(caplog, failed)
        assert (failed.status_code, line.levelno) == (500, logging.ERROR)
        assert line.exc_info
        assert str(line.exc_info[1]) == "the cause"
        assert "the cause" not in failed.text


def lines(caplog: pytest.LogCaptureFixture, answer: httpx.Response) -> list[logging.LogRecord]:
    given = answer.headers["X-Request-Id"]
    return [line for line in caplog.records if getattr(line, "request_id", None) == given]


def test_an_upload_token_is_in_no_log_line(raw: Raw, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, "pictograph"):
        raw("PUT", f"{UPLOADS_PREFIX}/a-secret-token", content=b"x")
    assert caplog.records
    assert "a-secret-token" not in caplog.text


def test_hidden_characters_of_names_are_shown_in_messages(raw: Raw) -> None:
    answer = raw.api("POST", "/datasets/", json={"name": "x\u202ey/z"})
    assert "\u202e" not in answer.json()["detail"]
    assert "\\u202e" in answer.json()["detail"]


def test_the_access_log_is_off_unless_it_is_asked_for(
    postgres: str, template: str, tmp_path: Path, raw: Raw, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "pictograph.access"):
        raw("GET", "/health")
        assert not [line for line in caplog.records if line.name == "pictograph.access"]
        with (
            fresh_database(postgres, template) as url,
            running_service(url, tmp_path / "data", access_log=True) as service,
        ):
            httpx.get(f"{service.address}/health")
    (line,) = [line for line in caplog.records if line.name == "pictograph.access"]
    assert {"method": "GET", "path": "/health", "status": 200}.items() <= line.facts.items()  # type: ignore[attr-defined]
    assert json.dumps(line.facts)  # type: ignore[attr-defined]
