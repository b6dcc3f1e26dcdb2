"""One shape for every failure, on every endpoint, and classes that map both ways."""

from __future__ import annotations

import inspect
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from pictograph import Client, errors
from pictograph.client import calls
from pictograph.errors import ApiError, ServerError, Unavailable, api_error_classes, error_class_for
from pictograph.server.failures import install_error_handlers
from pictograph.server.middleware import RequestMarks
from pictograph.wire import API_PREFIX, Dataset, ErrorAnswer
from support.databases import fresh_database
from support.pictures import picture_bytes
from support.raw import Raw
from support.services import Service, running_service

OURS = [error for error in api_error_classes() if error.__module__ == "pictograph.errors"]
SIGNED = {"/api/v1/pictures/{image_id}/original", "/api/v1/pictures/{image_id}/thumbnail"}
OPEN = {"/health", "/ready", "/metrics", "/api/v1/uploads/{token}"} | SIGNED
"""Endpoints that read no key."""

IN_OUR_WORDS = tuple(error.words for error in api_error_classes() if issubclass(error, Unavailable))
"""What people read first when the database is away: never the raw words of PostgreSQL."""


def assert_shape(answer: httpx.Response) -> dict[str, Any]:
    """The error of the answer, after checking all that every error promises."""
    assert answer.headers["Content-Type"] == "application/json", answer.text
    body = answer.json()
    assert body.keys() == {"error", "detail"}, answer.text
    assert body["error"].keys() == {"code", "message", "request_id", "details"}
    assert body["error"]["message"] == body["detail"] != ""
    assert isinstance(body["error"]["details"], dict)
    assert body["error"]["request_id"] == answer.headers["X-Request-Id"]
    assert ErrorAnswer.model_validate(body).error.code in {error.code for error in OURS}
    if answer.status_code in (429, 503):
        assert int(answer.headers["Retry-After"]) >= 1
    error: dict[str, Any] = body["error"]
    return error


def endpoints(service: Service) -> list[tuple[str, str, dict[str, Any]]]:
    """(method, path, operation) of all that openapi.json knows."""
    paths = httpx.get(f"{service.address}/openapi.json").json()["paths"]
    return [(method.upper(), path, operation) for path, item in paths.items() for method, operation in item.items()]


def filled(template: str, **values: str) -> str:
    path = template
    for name in ("image_id", "key_id", "dataset", "token", "path"):
        path = path.replace("{" + name + "}", values.get(name, str(uuid4())))
    return path


def test_every_endpoint_but_the_open_ones_asks_for_a_key(service: Service, raw_as: Any) -> None:
    for method, path, _ in endpoints(service):
        if path in OPEN:
            continue
        for headers in ({}, {"X-API-Key": "wrong"}):
            answer = raw_as(None)(method, filled(path), headers=headers, **valid_body(path, method))
            assert (answer.status_code, assert_shape(answer)["code"]) == (401, "unauthorized"), (method, path)


def valid_body(path: str, method: str) -> dict[str, Any]:
    """A body that passes the parser, so that nothing but the key can be wrong."""
    if path.endswith("/images/upload"):
        return {"data": {"dataset": "x"}, "files": {"file": ("a.jpg", b"x")}}
    if method in ("POST", "PATCH"):
        return {"json": {"name": "x", "dataset": "x", "filename": "x"}}
    return {}


def test_every_endpoint_refuses_bad_values_in_the_one_shape(service: Service, raw: Raw, street: Dataset) -> None:
    for method, path, operation in endpoints(service):
        if path == "/health":
            continue
        for odd in ("%00", "%FF%FE", "..%2F..", "\ufffe", "x" * 3000, "'; DROP TABLE image", "%F0%9F%9A%97"):
            url = filled(path, image_id=odd, key_id=odd, dataset=odd, token=odd, path=odd)
            if url == path:
                continue
            answer = raw(method, url, **valid_body(path, method))
            assert 400 <= answer.status_code < 500, (method, url, answer.text)
            assert_shape(answer)
        for parameter in operation.get("parameters", []):
            if parameter["in"] != "query":
                continue
            for odd in ("", "\x00", "-1", "1e400", "9" * 30, "nan", "inf", "x" * 3000, "\ufffe", "🚗"):
                url = filled(path, dataset="street")
                answer = raw(method, url, params={parameter["name"]: odd}, **valid_body(path, method))
                assert answer.status_code < 500, (method, url, parameter["name"], odd, answer.text)
                if answer.is_error:
                    assert_shape(answer)


BODIES: list[bytes] = [
    b"", b"null", b"[]", b'"text"', b"{", b"{}", b"\xff\xfe", b'{"name": 1}', b'{"name": null}', b'{"name": ["x"]}',
    b'{"name": "\\u0000"}', b'{"name": "\\ud800"}', b'{"name": "x", "description": 5}', b"[" * 100_000,
    b'{"dataset": "\\u0000", "filename": "x"}', b'{"dataset": "\\ud800", "filename": "x"}',
    b'{"dataset": "street", "filename": "\\ud800"}',
    b'{"dataset": "street", "filename": "x", "directory_path": "\\u0000"}',
    b'{"new_name": "\\ud800"}', b'{"new_name": ""}', b'{"description": "\\u0000"}', b'{"role": "emperor", "name": "x"}',
    bytes(range(256)) * 400, b'{"name": ' + b"9" * 100_000 + b"}", b'{"name": NaN}', b'{"a": ' * 50_000,
]  # fmt: skip


@pytest.mark.parametrize("body", BODIES, ids=lambda body: repr(body[:30]))
def test_garbage_as_json_is_refused_in_the_one_shape_by_every_endpoint(
    service: Service, raw: Raw, street: Dataset, body: bytes
) -> None:
    for method, path, _ in endpoints(service):
        if method not in ("POST", "PATCH"):
            continue
        url = filled(path, dataset="street")
        answer = raw(method, url, content=body, headers={"Content-Type": "application/json"})
        assert answer.status_code < 500, (method, url, answer.text[:500])
        if answer.is_error:
            assert_shape(answer)
            assert len(answer.text) < 5000


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 404), ("GET", "/nothing", 404),
        ("GET", f"{API_PREFIX}", 404), ("GET", f"{API_PREFIX}/datasets", 404),
        ("POST", "/health", 405), ("PUT", f"{API_PREFIX}/datasets/", 405),
        ("PATCH", f"{API_PREFIX}/search/similar", 405),
        ("GET", "/%00", 404), ("GET", "//", 404),
        ("GET", "/api/v1/uploads/x", 405),
    ],
)  # fmt: skip
def test_what_does_not_exist_is_told_in_the_one_shape(raw: Raw, method: str, path: str, status: int) -> None:
    answer = raw(method, path)
    assert answer.status_code == status
    assert "/docs" in assert_shape(answer)["message"]


def test_the_request_id_is_the_callers_if_it_is_sane(raw: Raw) -> None:
    assert raw("GET", "/health", headers={"X-Request-Id": "abc-1_2"}).headers["X-Request-Id"] == "abc-1_2"
    for odd in ("a b", "x" * 65, "<script>", "ü".encode(), "a;b"):
        given = raw("GET", "/health", headers={"X-Request-Id": odd}).headers["X-Request-Id"]
        assert len(given) == 32
        int(given, 16)


def test_every_answer_has_a_request_id_and_its_duration(raw: Raw, street: Dataset) -> None:
    for path in ("/health", "/nothing", f"{API_PREFIX}/datasets/", f"{API_PREFIX}/search/similar"):
        headers = raw("GET", path).headers
        assert headers["X-Request-Id"]
        assert headers["Server-Timing"].startswith("total;dur=")


def test_a_wrong_value_is_named_with_what_was_given(client: Client) -> None:
    with pytest.raises(errors.ValidationError, match=r"limit.*501") as caught:
        client.search.by_tag(objects=["car"], limit=501)
    assert caught.value.field_errors


# Classes and statuses, both ways


def raising(error: BaseException) -> Iterator[TestClient]:
    app = FastAPI()
    install_error_handlers(app)
    app.add_middleware(RequestMarks)

    @app.get("/")
    async def fail() -> None:
        raise error

    with TestClient(app, raise_server_exceptions=False) as client:
        yield client


@pytest.mark.parametrize("error_class", OURS, ids=lambda c: c.__name__)
def test_what_the_server_raises_the_sdk_raises(error_class: type[ApiError]) -> None:
    sent = error_class("What, and what to do.", details={"errors": [{"loc": ["x"], "msg": "y"}]}, retry_after_s=7)
    for client in raising(sent):
        answer = client.get("/")
        assert_shape(answer)
        read = calls.error_of(answer)
    assert type(read) is error_class
    assert (read.status_code, read.code, read.message) == (error_class.status, error_class.code, sent.message)
    assert (read.details, read.retry_after_s) == (sent.details, 7)
    assert read.request_id == answer.headers["X-Request-Id"]
    assert read.request_id in str(read)


def test_a_bug_tells_nothing_of_itself_but_a_request_id() -> None:
    for client in raising(RuntimeError("secret detail")):
        answer = client.get("/")
        assert answer.status_code == 500
        assert assert_shape(answer)["code"] == "server_error"
        assert "secret" not in answer.text


def test_an_error_that_is_no_answer_leaves_as_a_server_error() -> None:
    for error in (errors.ConfigurationError("x"), errors.ConnectionFailed("x"), errors.PictographError("x")):
        for client in raising(error):
            answer = client.get("/")
            assert (answer.status_code, assert_shape(answer)["code"]) == (500, "server_error")


@pytest.mark.parametrize("status", [*range(400, 431), 451, 500, 501, 502, 503, 504, 507, 529])
def test_every_status_has_a_class_even_without_a_code(status: int) -> None:
    by_status = {
        400: errors.ValidationError, 401: errors.AuthError, 403: errors.ForbiddenError, 404: errors.NotFoundError,
        405: errors.MethodNotAllowed,
        408: errors.SlowSender, 409: errors.ConflictError, 421: errors.WrongHost,
            422: errors.ValidationError, 429: errors.RateLimitError,
    }  # fmt: skip
    got = error_class_for(status, None)
    if status >= 500:
        assert issubclass(got, ServerError)
    elif status in (413, 415, 416):
        assert issubclass(got, errors.ValidationError)
    else:
        assert got is by_status.get(status, ApiError)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"[]",
        b'"x"',
        b"null",
        b'{"error": "flat"}',
        b'{"error": {"message": null}}',
        b'{"error": {"details": []}}',
        b'{"detail": "x"}',
        b"\xff",
    ],
)
def test_an_error_that_is_not_ours_is_still_an_error_of_its_status(body: bytes) -> None:
    answer = httpx.Response(404, content=body, request=httpx.Request("GET", "http://x/"))
    error = calls.error_of(answer)
    assert type(error) is errors.NotFoundError
    assert error.message
    assert str(error)


@pytest.mark.parametrize(
    ("status", "body"), [(200, b"<html>"), (200, b"{}"), (200, b"[]"), (200, b'{"data": {}}'), (200, b""), (302, b"")]
)
def test_an_answer_that_is_not_the_protocol_is_an_error_of_ours(status: int, body: bytes) -> None:
    def respond(request: httpx.Request) -> httpx.Response:
        return httpx.Response(status, content=body)

    http = httpx.Client(transport=httpx.MockTransport(respond))
    with http, Client("k", base_url="http://x", max_retries=0, http_client=http) as client:
        for call in (client.datasets.list, lambda: client.datasets.get("x"), client.keys.list, client.ready):
            with pytest.raises(ApiError, match=r"base_url|HTTP 302"):
                call()


def test_every_error_class_is_offered_by_the_package() -> None:
    import pictograph  # noqa: PLC0415

    classes = {
        name
        for name, value in vars(errors).items()
        if inspect.isclass(value) and issubclass(value, errors.PictographError)
    }
    assert classes <= set(pictograph.__all__)
    for name in classes:
        assert getattr(pictograph, name) is getattr(errors, name)


# A server that cannot do its work


@pytest.fixture
def lonely(postgres: str, template: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    """A service of this test alone, which does not wait long for its database."""
    monkeypatch.setattr("pictograph.db.pool.POOL_TIMEOUT_S", 2.0)
    with fresh_database(postgres, template) as url, running_service(url, tmp_path / "data") as service:
        yield service


def database_of(service: Service) -> str:
    import psycopg.conninfo  # noqa: PLC0415

    return str(psycopg.conninfo.conninfo_to_dict(service.database_url)["dbname"])


def test_a_database_that_is_gone_is_a_503_with_a_retry_and_comes_back(lonely: Service, postgres: str) -> None:
    import psycopg  # noqa: PLC0415

    client = lonely.client()
    client.datasets.create("street")
    name = database_of(lonely)
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
        connection.execute("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = %s", [name])
        calls_: list[Callable[[], Any]] = [
            client.datasets.list,
            lambda: client.images.upload("street", picture_bytes(1), filename="a.jpg"),
            lambda: client.search.by_tag(objects=["car"]),
            client.ready,
        ]
        for call in calls_:
            with pytest.raises(Unavailable) as caught:
                call()
            assert caught.value.status_code == 503
            assert caught.value.retry_after_s
            assert caught.value.message.startswith(IN_OUR_WORDS)
        assert_shape(httpx.get(f"{lonely.address}/ready", timeout=20))
        assert httpx.get(f"{lonely.address}/health").status_code == 200
        connection.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
    with Client(client._transport.config.api_key, base_url=lonely.address, max_retries=3) as patient:
        assert [row.name for row in patient.datasets.list()] == ["street"]
        patient.images.upload("street", picture_bytes(1), filename="a.jpg")


def test_an_sdk_with_retries_does_not_notice_that_connections_were_dropped(lonely: Service, postgres: str) -> None:
    import psycopg  # noqa: PLC0415

    key = lonely.key(lonely.organization())
    with Client(key, base_url=lonely.address) as client:
        client.datasets.create("street")
        with psycopg.connect(postgres, autocommit=True) as connection:
            name = database_of(lonely)
            connection.execute(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = %s", [name]
            )
        assert [row.name for row in client.datasets.list()] == ["street"]


def test_a_blob_that_is_lost_is_a_503_that_says_so(lonely: Service, tmp_path: Path) -> None:
    client = lonely.client()
    client.datasets.create("street")
    image = client.images.upload("street", picture_bytes(1), filename="a.jpg")
    for path in (tmp_path / "data" / "blobs").rglob(image.sha256):
        path.unlink()
    for call in (client.images.download, client.images.thumbnail):
        with pytest.raises(Unavailable, match="no object") as caught:
            call(image.id)
        assert caught.value.retry_after_s
    assert client.images.get(image.id).id == image.id


def test_a_pending_reference_is_a_503_with_retry_after(lonely: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pictograph.search.examples.PENDING_WAIT_S", 0.1)
    client = lonely.client()
    client.datasets.create("street")
    image = client.images.upload("street", picture_bytes(1), filename="a.jpg")
    with pytest.raises(errors.EmbeddingPending) as caught:
        client.search.by_similarity(image.id)
    assert caught.value.retry_after_s
    answer = httpx.get(
        f"{lonely.address}{API_PREFIX}/search/similar",
        params={"image_id": image.id},
        headers={"X-API-Key": client._transport.config.api_key},
    )
    assert assert_shape(answer)["code"] == "embedding_pending"


def test_a_service_without_a_living_worker_is_not_ready_and_says_so(
    postgres: str, template: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONHOME", "/nowhere")  # its worker process cannot even start
    with fresh_database(postgres, template) as url, running_service(url, tmp_path, workers=1) as service:
        client = service.client()
        until_refused(client)
        with pytest.raises(Unavailable, match="No worker process is running") as caught:
            client.ready()
        assert caught.value.details["problems"]
        client.datasets.create("street")
        client.images.upload("street", picture_bytes(1), filename="waits.jpg")


def until_refused(client: Client) -> None:
    for _ in range(200):
        try:
            client.ready()
        except Unavailable:
            return
        time.sleep(0.05)


def test_json_error_details_can_always_be_sent() -> None:
    for client in raising(errors.ValidationError("x", details={"when": object(), "where": Path("/x"), "n": 1})):
        assert json.dumps(assert_shape(client.get("/")))
