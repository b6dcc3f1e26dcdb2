"""A write that is sent again, because its answer was lost, is done once: on every route, whatever happened between."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import pytest

from pictograph import Client
from pictograph.db.pool import Database
from pictograph.errors import Unavailable
from pictograph.store.idempotency import AnsweredRequests
from pictograph.types import OrganizationId
from pictograph.wire import API_PREFIX, KEYS_PREFIX, Dataset
from support.pictures import picture_bytes
from support.raw import Raw
from support.services import Service

REPLAYED = "Idempotent-Replayed"
UNKEYED = {("PUT", "/api/v1/uploads/{token}")}
"""Carries no API key: it may be repeated until its bytes are registered."""
READING = {
    ("POST", f"{API_PREFIX}/images/which-exist"),
    ("POST", f"{API_PREFIX}/search/by-image"),
    ("POST", f"{API_PREFIX}/search/query"),
    ("POST", f"{API_PREFIX}/queries/{{query}}/run"),
    ("POST", f"{API_PREFIX}/search/export"),
    ("POST", f"{API_PREFIX}/search/export/zip"),
}
"""Asks in a body, because the question is long; an answer of yesterday would be wrong."""


def upload(raw: Raw, key: str | None, *, filename: str = "a.jpg", data: bytes | None = None, folder: str = "/") -> Any:
    return raw.api(
        "POST",
        "/images/upload",
        data={"dataset": "street", "directory_path": folder},
        files={"file": (filename, data or picture_bytes(1))},
        headers={"Idempotency-Key": key} if key else {},
    )


def keyed(raw: Raw, method: str, path: str, key: str = "k1", **options: Any) -> Any:
    return raw(method, path, headers={"Idempotency-Key": key}, **options)


def test_every_route_that_writes_takes_the_key_and_no_other_does(service: Service, raw: Raw) -> None:
    paths = raw("GET", "/openapi.json").json()["paths"]
    takes = {
        (method.upper(), path): any(item["name"].lower() == "idempotency-key" for item in op.get("parameters", ()))
        for path, item in paths.items()
        for method, op in item.items()
    }
    writing = {route for route in takes if route[0] in ("POST", "PUT", "PATCH", "DELETE")} - UNKEYED - READING
    assert {route for route, does in takes.items() if does} == writing


# Each is made ready by its first function, and done by the request that the second one gives.
WRITES: dict[str, Callable[[Raw, Client], tuple[str, str, dict[str, Any]]]] = {
    "create a dataset": lambda raw, client: ("POST", f"{API_PREFIX}/datasets/", {"json": {"name": "new"}}),
    "rename a dataset": lambda raw, client: ("PATCH", f"{API_PREFIX}/datasets/street", {"json": {"new_name": "road"}}),
    "delete a dataset": lambda raw, client: ("DELETE", f"{API_PREFIX}/datasets/street", {}),
    "retry failed": lambda raw, client: ("POST", f"{API_PREFIX}/datasets/street/retry-failed", {}),
    "upload url": lambda raw, client: (
        "POST", f"{API_PREFIX}/images/upload-url", {"json": {"dataset": "street", "filename": "u.jpg"}},
    ),
    "archive": lambda raw, client: ("DELETE", f"{API_PREFIX}/images/{put(client)}", {}),
    "delete for good": lambda raw, client: ("DELETE", f"{API_PREFIX}/images/{put(client)}?permanent=true", {}),
    "delete by path": lambda raw, client: (
        "DELETE", f"{API_PREFIX}/images/street/{put(client) and 'b.jpg'}?permanent=true", {},
    ),
    "restore": lambda raw, client: ("POST", f"{API_PREFIX}/images/{put(client, archived=True)}/restore", {}),
    "make a key": lambda raw, client: ("POST", f"{KEYS_PREFIX}/", {"json": {"name": "x", "role": "admin"}}),
    "revoke a key": lambda raw, client: ("DELETE", f"{KEYS_PREFIX}/{client.keys.create('x').key_id}", {}),
}  # fmt: skip


def put(client: Client, *, archived: bool = False) -> str:
    image = client.images.upload("street", picture_bytes(2), filename="b.jpg")
    if archived:
        client.images.delete(image.id)
    return image.id


def keys_of(raw: Raw) -> list[dict[str, Any]]:
    keys: list[dict[str, Any]] = raw("GET", f"{KEYS_PREFIX}/").json()["api_keys"]
    return keys


@pytest.mark.parametrize("name", WRITES)
def test_a_write_sent_again_with_its_key_gets_the_first_answer_and_is_done_once(
    raw: Raw, client: Client, street: Dataset, name: str
) -> None:
    method, path, options = WRITES[name](raw, client)
    first = keyed(raw, method, path, **options)
    assert first.is_success, first.text
    assert REPLAYED not in first.headers
    before = (len(keys_of(raw)), len(client.datasets.list()))
    for _ in range(2):
        again = keyed(raw, method, path, **options)
        assert (again.status_code, again.content) == (first.status_code, first.content)
        assert again.headers[REPLAYED] == "true"
        assert again.headers["Content-Type"] == first.headers["Content-Type"]
    assert (len(keys_of(raw)), len(client.datasets.list())) == before


def test_a_delete_that_was_done_is_a_success_with_its_key_and_not_found_with_another(
    raw: Raw, client: Client, street: Dataset
) -> None:
    path = f"{API_PREFIX}/images/{put(client)}?permanent=true"
    assert [keyed(raw, "DELETE", path).status_code for _ in range(2)] == [200, 200]
    assert keyed(raw, "DELETE", path, "k2").status_code == 404
    assert raw("DELETE", path).status_code == 404


def test_the_first_answer_stands_even_where_it_was_an_error(raw: Raw, client: Client, street: Dataset) -> None:
    image = put(client)
    first = upload(raw, "k1", filename="b.jpg")
    assert first.status_code == 409
    client.images.delete(image, permanent=True)
    again = upload(raw, "k1", filename="b.jpg")
    assert (again.status_code, again.content, again.headers[REPLAYED]) == (409, first.content, "true")
    assert upload(raw, "k2", filename="b.jpg").status_code == 201


@pytest.mark.parametrize(
    "changed",
    [{"data": picture_bytes(3)}, {"filename": "other.jpg"}, {"folder": "/other"}],
    ids=["bytes", "name", "folder"],
)
def test_another_upload_under_the_same_key_is_refused(
    raw: Raw, client: Client, street: Dataset, changed: dict[str, Any]
) -> None:
    assert upload(raw, "k1").status_code == 201
    answer = upload(raw, "k1", **changed)
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "idempotency_conflict")
    assert [image.filename for image in client.images.list("street")] == ["a.jpg"]


def test_another_route_or_another_body_under_the_same_key_is_refused(raw: Raw, client: Client) -> None:
    assert keyed(raw, "POST", f"{API_PREFIX}/datasets/", json={"name": "a"}).status_code == 201
    for method, path, body in (
        ("POST", f"{API_PREFIX}/datasets/", {"name": "b"}),
        ("PATCH", f"{API_PREFIX}/datasets/a", {"new_name": "b"}),
        ("POST", f"{KEYS_PREFIX}/", {"name": "a"}),
    ):
        answer = keyed(raw, method, path, json=body)
        assert (answer.status_code, answer.json()["error"]["code"]) == (409, "idempotency_conflict")
    assert [row.name for row in client.datasets.list()] == ["a"]


def test_the_same_key_of_another_caller_is_another_key(
    raw: Raw, raw_as: Any, organization: OrganizationId, street: Dataset
) -> None:
    made = keyed(raw, "POST", f"{KEYS_PREFIX}/", json={"name": "x"})
    assert made.status_code == 201
    other = keyed(raw_as("admin"), "POST", f"{KEYS_PREFIX}/", json={"name": "x"})
    assert REPLAYED not in other.headers
    assert other.json()["api_key"] != made.json()["api_key"]
    assert keyed(raw_as("viewer"), "POST", f"{KEYS_PREFIX}/", json={"name": "x"}).status_code == 403


def test_twins_at_the_same_time_make_one_image_and_one_key(raw: Raw, client: Client, street: Dataset) -> None:
    before = len(keys_of(raw))
    with ThreadPoolExecutor(8) as pool:
        uploads = list(pool.map(lambda _: upload(raw, "k1"), range(8)))
        keys = list(pool.map(lambda _: keyed(raw, "POST", f"{KEYS_PREFIX}/", "k2", json={"name": "twin"}), range(8)))
    assert {answer.status_code for answer in (*uploads, *keys)} == {201}
    assert len({answer.json()["data"]["id"] for answer in uploads}) == 1
    assert len({answer.json()["api_key"] for answer in keys}) == 1
    assert len(keys_of(raw)) == before + 1


def test_a_server_that_fails_before_it_answers_has_done_nothing(
    service: Service, raw: Raw, client: Client, street: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As kill -9 between a write and its answer: they are committed together, so the retry does it, once."""
    before = len(keys_of(raw))

    async def die(*_: Any) -> None:
        raise Unavailable("the database went away before the commit")

    with monkeypatch.context() as dying:
        dying.setattr(AnsweredRequests, "answer", die)
        for _ in range(2):
            assert upload(raw, "k1").status_code == 503
            assert keyed(raw, "POST", f"{KEYS_PREFIX}/", "k2", json={"name": "x", "role": "admin"}).status_code == 503
            assert keyed(raw, "DELETE", f"{API_PREFIX}/datasets/street", "k3").status_code == 503
    assert len(keys_of(raw)) == before
    assert client.images.list("street") == []
    assert upload(raw, "k1").status_code == 201
    assert keyed(raw, "POST", f"{KEYS_PREFIX}/", "k2", json={"name": "x", "role": "admin"}).status_code == 201
    assert len(keys_of(raw)) == before + 1
    assert keyed(raw, "DELETE", f"{API_PREFIX}/datasets/street", "k3").json()["data"]["images_deleted"] == 1


def test_a_write_whose_answer_was_a_503_after_the_commit_is_told_apart(
    raw: Raw, client: Client, street: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The connection may end between the commit and the database's word for it."""
    committing = Database.atomically

    @asynccontextmanager
    async def losing_the_word(database: Database) -> AsyncIterator[Any]:
        async with committing(database) as unit:
            yield unit
        raise Unavailable("the connection ended while it waited for the database's word", retry_after_s=1)

    body = {"dataset": "street", "filename": "r.jpg"}
    url = raw.api("POST", "/images/upload-url", json=body).json()["data"]["upload_url"]
    raw("PUT", url, content=picture_bytes(2))
    writes: list[tuple[str, str, dict[str, Any]]] = [
        ("POST", f"{API_PREFIX}/images/register", {"json": body}),
        ("POST", f"{KEYS_PREFIX}/", {"json": {"name": "x", "role": "admin"}}),
        ("PATCH", f"{API_PREFIX}/datasets/street", {"json": {"new_name": "road"}}),
        ("DELETE", f"{API_PREFIX}/images/{put(client)}?permanent=true", {}),
    ]
    before = len(keys_of(raw))
    for number, (method, path, options) in enumerate(writes):
        with monkeypatch.context() as losing:
            losing.setattr(Database, "atomically", losing_the_word)
            assert keyed(raw, method, path, f"lost {number}", **options).status_code == 503
        again = keyed(raw, method, path, f"lost {number}", **options)
        assert again.is_success, again.text
        assert again.headers[REPLAYED] == "true"
    assert len(keys_of(raw)) == before + 1
    assert [image.filename for image in client.images.list("road")] == ["r.jpg"]


def test_a_refusal_that_will_pass_is_not_kept(
    service: Service, raw: Raw, street: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as full:
        full.setattr(service.admission, "_turns", type(service.admission._turns)(0))
        full.setattr("pictograph.server.admission.LONGEST_WAIT_S", 0.05)
        assert upload(raw, "k1").status_code == 429
    assert upload(raw, "k1").status_code == 201


def test_a_body_that_was_not_understood_may_be_mended_under_the_same_key(raw: Raw) -> None:
    assert keyed(raw, "POST", f"{API_PREFIX}/datasets/", json={"nom": "a"}).status_code == 422
    assert keyed(raw, "POST", f"{API_PREFIX}/datasets/", json={"name": "a"}).status_code == 201


@pytest.mark.parametrize(("key", "status"), [("k" * 200, 201), ("k" * 201, 422), ("", 422)])
def test_a_key_has_1_to_200_characters(raw: Raw, key: str, status: int) -> None:
    answer = keyed(raw, "POST", f"{API_PREFIX}/datasets/", key, json={"name": uuid4().hex})
    assert answer.status_code == status
    assert status == 201 or "Idempotency-Key" in answer.json()["detail"]


def test_a_body_that_nobody_reads_is_not_taken_into_memory_for_its_key(raw: Raw, street: Dataset) -> None:
    path = f"{API_PREFIX}/datasets/street/retry-failed"
    answer = keyed(raw, "POST", path, content=b"x" * 1_100_000)
    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "too_large")
    assert keyed(raw, "POST", path, "k2").status_code == 200


def test_no_answer_tells_of_an_image_that_was_deleted_for_good(
    service: Service, raw: Raw, client: Client, street: Dataset
) -> None:
    made = upload(raw, "k1", filename="secret name.jpg")
    image = made.json()["data"]["id"]
    assert keyed(raw, "DELETE", f"{API_PREFIX}/images/{image}", "k2").status_code == 200
    assert keyed(raw, "POST", f"{API_PREFIX}/images/{image}/restore", "k3").status_code == 200
    client.images.delete(image, permanent=True)
    again = upload(raw, "k1", filename="secret name.jpg")
    assert again.status_code == 409
    assert re.search("deleted for good", again.json()["detail"])
    assert client.images.list("street") == []

    async def left() -> list[tuple[Any, ...]]:
        async with service.services.database.connection() as connection:
            statement = b"SELECT answer, fingerprint FROM answered_request WHERE image_id = %s"
            return await (await connection.execute(statement, [image])).fetchall()

    assert set(service.run(left())) == {(None, None)}
