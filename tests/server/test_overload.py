"""More than the server takes at once: a 429 that says when to come back, and never more memory. All over real HTTP."""

from __future__ import annotations

import asyncio
import http.client
import json
import socket
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, ExitStack, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from starlette.datastructures import UploadFile

from pictograph import AsyncClient, Client, RateLimitError
from pictograph.db.pool import WAITING_PER_CONNECTION
from pictograph.server import admission, pace, refusals
from pictograph.server.admission import Owner
from pictograph.store.keys import new_secret
from pictograph.store.tickets import Tickets
from pictograph.types import OrganizationId
from pictograph.wire import API_PREFIX, UPLOADS_PREFIX
from pictograph.wire.vectors import ARROW_STREAM
from support.databases import fresh_database
from support.pictures import picture_bytes
from support.services import Service, client_of, running_service

MAX_UPLOADS = 2
MAX_WAITING = 4
MAX_CONNECTIONS = 4
AT_ONCE = 64
UPLOAD = f"{API_PREFIX}/images/upload"


@pytest.fixture(scope="module")
def small(postgres: str, template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service without workers that takes 2 uploads and lets 4 wait."""
    options = {
        "max_uploads": MAX_UPLOADS,
        "max_waiting_uploads": MAX_WAITING,
        "max_connections": MAX_CONNECTIONS,
    }
    with fresh_database(postgres, template) as url, running_service(url, tmp_path_factory.mktemp("s"), **options) as it:
        yield it


@pytest.fixture
def owner(small: Service) -> OrganizationId:
    return small.organization()


@pytest.fixture
def key(small: Service, owner: OrganizationId) -> str:
    """An admin's key; the organization has the empty dataset `street`."""
    small.client(owner).datasets.create("street")
    return small.key(owner)


@contextmanager
def full(service: Service, owner: OrganizationId) -> Iterator[None]:
    """Every place is taken, by this organization."""
    places = AsyncExitStack()

    async def take() -> None:
        for _ in range(MAX_UPLOADS + MAX_WAITING):
            await places.enter_async_context(service.admission.place(Owner(owner)))

    async def leave() -> None:
        await places.aclose()

    service.run(take())
    try:
        yield
    finally:
        service.run(leave())


class Body(bytes):
    """The bytes of one upload; `alive` counts those that are in memory."""

    alive = 0
    most_alive = 0

    def __init__(self, *_: object) -> None:
        Body.alive += 1
        Body.most_alive = max(Body.most_alive, Body.alive)

    def __del__(self) -> None:
        Body.alive -= 1


@pytest.fixture
def bodies(monkeypatch: pytest.MonkeyPatch, small: Service) -> type[Body]:
    """Counts the whole bodies in the server's memory, and makes each upload take 20 ms more, so that they meet."""
    read, receive = UploadFile.read, small.services.intake.receive

    async def counted_read(file: UploadFile, size: int = -1) -> bytes:
        return Body(await read(file, size))

    async def slow_receive(*arguments: Any, **options: Any) -> Any:
        await asyncio.sleep(0.02)
        return await receive(*arguments, **options)

    monkeypatch.setattr(UploadFile, "read", counted_read)
    monkeypatch.setattr(small.services.intake, "receive", slow_receive)
    Body.alive = Body.most_alive = 0
    return Body


def form(filename: str, data: bytes) -> dict[str, Any]:
    return {"data": {"dataset": "street"}, "files": {"file": (filename, data)}}


def assert_told_to_come_back(answer: httpx.Response) -> None:
    assert (answer.status_code, answer.json()["error"]["code"]) == (429, "rate_limited")
    assert int(answer.headers["Retry-After"]) >= 1
    assert "max_uploads" in answer.json()["detail"]


def test_of_many_uploads_at_once_each_is_taken_or_told_to_come_back(
    small: Service, key: str, bodies: type[Body]
) -> None:
    async def all_at_once() -> list[httpx.Response]:
        limits = httpx.Limits(max_connections=AT_ONCE)
        async with httpx.AsyncClient(headers={"X-API-Key": key}, limits=limits, timeout=30) as http:
            posts = [
                http.post(small.address + UPLOAD, **form(f"{n}.jpg", picture_bytes(n) + bytes(2_000_000)))
                for n in range(AT_ONCE)
            ]
            return await asyncio.gather(*posts)

    answers = asyncio.run(all_at_once())
    kinds = Counter(answer.status_code for answer in answers)
    assert kinds.keys() <= {201, 429}, kinds
    assert kinds[201] >= MAX_UPLOADS
    for answer in answers:
        if answer.status_code == 429:
            assert_told_to_come_back(answer)
    assert 1 <= bodies.most_alive <= MAX_UPLOADS
    assert small.admission.inside == 0
    with client_of(small.address, key) as client:
        assert len(client.images.list("street")) == kinds[201]


def test_what_is_sent_again_lands_exactly_once(small: Service, key: str, bodies: type[Body]) -> None:
    async def all_at_once() -> list[str]:
        async with AsyncClient(key, base_url=small.address, max_retries=10) as client:
            uploads = [
                client.images.upload("street", picture_bytes(n), filename=f"{n}.jpg") for n in range(AT_ONCE // 2)
            ]
            return [image.id for image in await asyncio.gather(*uploads)]

    def one(number: int) -> str:
        return patient.images.upload("street", picture_bytes(number), filename=f"{number}.jpg").id

    with Client(key, base_url=small.address, max_retries=10) as patient, ThreadPoolExecutor(AT_ONCE) as pool:
        blocking = pool.map(one, range(AT_ONCE // 2, AT_ONCE))
        ids = asyncio.run(all_at_once()) + list(blocking)
        stored = list(patient.images.iterate("street"))
    assert sorted(ids) == sorted(image.id for image in stored)
    assert sorted(image.filename for image in stored) == sorted(f"{n}.jpg" for n in range(AT_ONCE))
    assert 1 <= bodies.most_alive <= MAX_UPLOADS


@pytest.mark.parametrize("kind", ["blocking", "async"])
def test_a_directory_is_uploaded_although_the_server_is_full_for_longer_than_its_retries(
    small: Service, owner: OrganizationId, key: str, tmp_path: Path, kind: str
) -> None:
    for number in range(12):
        (tmp_path / f"{number}.jpg").write_bytes(picture_bytes(number))

    async def upload_async() -> Any:
        async with AsyncClient(key, base_url=small.address, max_retries=1) as client:
            return await client.images.upload_from_directory("street", tmp_path)

    def upload() -> Any:
        if kind == "async":
            return asyncio.run(upload_async())
        with Client(key, base_url=small.address, max_retries=1) as client:
            return client.images.upload_from_directory("street", tmp_path)

    with ThreadPoolExecutor(1) as pool:
        with full(small, owner):
            report = pool.submit(upload)
            time.sleep(2)
            assert not report.done()
        assert len(report.result().uploaded) == 12
    with client_of(small.address, key) as client:
        assert len(client.images.list("street")) == 12


def test_a_client_that_wants_no_retries_hears_of_the_429_at_once(
    small: Service, owner: OrganizationId, key: str, tmp_path: Path
) -> None:
    (tmp_path / "a.jpg").write_bytes(picture_bytes(1))
    with client_of(small.address, key) as client, full(small, owner):
        with pytest.raises(RateLimitError) as caught:
            client.images.upload("street", picture_bytes(1), filename="a.jpg")
        with pytest.raises(RateLimitError):
            client.images.upload_from_directory("street", tmp_path)
    assert (caught.value.status_code, caught.value.retry_after_s) == (429, 1)


def test_every_step_of_an_upload_is_counted_and_leaves_its_place(
    small: Service, owner: OrganizationId, key: str
) -> None:
    keyed = {"X-API-Key": key}
    body = {"dataset": "street", "filename": "a.jpg"}
    url = httpx.post(f"{small.address}{API_PREFIX}/images/upload-url", json=body, headers=keyed).json()["data"]
    put = {"url": url["upload_url"], "content": picture_bytes(1)}
    register = {"url": f"{small.address}{API_PREFIX}/images/register", "json": body, "headers": keyed}
    with full(small, owner):
        assert_told_to_come_back(httpx.put(**put))
        assert_told_to_come_back(httpx.post(**register))
    assert httpx.put(**put).status_code == 200
    assert httpx.post(**register).status_code == 201
    assert httpx.put(**(put | {"content": b"no picture"})).status_code == 409  # it is registered
    assert httpx.post(small.address + UPLOAD, headers=keyed, **form("b.jpg", b"no picture")).status_code == 415
    assert httpx.post(small.address + UPLOAD, headers=keyed, data={"dataset": "street"}).status_code == 422
    assert small.admission.inside == 0


def test_who_waits_too_long_for_a_turn_is_told_to_come_back(
    small: Service, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(admission, "LONGEST_WAIT_S", 0.2)
    turns = [small.admission.turn() for _ in range(MAX_UPLOADS)]
    for turn in turns:
        small.run(turn.__aenter__())
    answer = httpx.post(small.address + UPLOAD, headers={"X-API-Key": key}, **form("a.jpg", picture_bytes(1)))
    assert_told_to_come_back(answer)
    for turn in turns:
        small.run(turn.__aexit__(None, None, None))
    assert small.admission.inside == 0
    with client_of(small.address, key) as client:
        client.images.upload("street", picture_bytes(1), filename="a.jpg")


# Before the body


def answer_without_body(address: str, method: str, path: str, **headers: str) -> http.client.HTTPResponse:
    """The answer to a request whose body never comes; waits 5 s for it."""
    host = urlsplit(address).netloc
    lines = [f"{method} {path} HTTP/1.1", f"Host: {host}", "Content-Length: 1000000"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    with socket.create_connection(host.split(":"), timeout=5) as connection:  # type: ignore[arg-type]
        connection.sendall("\r\n".join([*lines, "", ""]).encode())
        answer = http.client.HTTPResponse(connection)
        answer.begin()
        answer.read()
        return answer


FORM = {"Content_Type": "multipart/form-data; boundary=x"}
JSON = {"Content_Type": "application/json"}
WITH_BODY = [
    ("POST", UPLOAD, FORM),
    ("POST", f"{API_PREFIX}/images/upload-url", JSON),
    ("POST", f"{API_PREFIX}/images/register", JSON),
    ("POST", f"{API_PREFIX}/datasets/", JSON),
    ("PATCH", f"{API_PREFIX}/datasets/street", JSON),
    ("POST", "/api/v1/api-keys/", JSON),
    ("POST", f"{API_PREFIX}/reindex/", JSON),
    ("POST", f"{API_PREFIX}/tags/apply", JSON),
    ("POST", f"{API_PREFIX}/tags/reset", JSON),
    ("POST", f"{API_PREFIX}/datasets/street/vectors", {"Content_Type": ARROW_STREAM}),
    ("POST", f"{API_PREFIX}/collections/", JSON),
    ("PATCH", f"{API_PREFIX}/collections/{{collection}}", JSON),
    ("POST", f"{API_PREFIX}/collections/{{collection}}/images", JSON),
    ("POST", f"{API_PREFIX}/collections/{{collection}}/images/remove", JSON),
    ("PUT", f"{API_PREFIX}/queries/{{query}}", JSON),
    ("POST", f"{API_PREFIX}/duplicates/decisions", JSON),
]


WHICH_EXIST = f"{API_PREFIX}/images/which-exist"
QUESTIONS = ("search/by-image", "search/query", "search/export", "search/export/zip", "queries/{query}/run")
FOR_ANYBODY = {("POST", WHICH_EXIST), ("PUT", "/api/v1/uploads/{token}")} | {
    ("POST", f"{API_PREFIX}/{question}") for question in QUESTIONS
}
"""A viewer's key, or the address itself, is enough."""


def test_a_question_with_a_body_is_refused_before_that_is_read(small: Service) -> None:
    for question in (WHICH_EXIST, *(f"{API_PREFIX}/{question}" for question in QUESTIONS)):
        assert answer_without_body(small.address, "POST", question, **JSON).status == 401
        assert answer_without_body(small.address, "POST", question, X_API_Key="wrong", **JSON).status == 401


@pytest.mark.parametrize(("method", "path", "headers"), WITH_BODY, ids=lambda value: str(value)[-20:])
def test_a_caller_without_the_right_key_is_refused_before_the_body_is_read(
    small: Service, owner: OrganizationId, method: str, path: str, headers: dict[str, str]
) -> None:
    assert answer_without_body(small.address, method, path, **headers).status == 401
    assert answer_without_body(small.address, method, path, X_API_Key="wrong", **headers).status == 401
    viewer = small.key(owner, "viewer")
    assert answer_without_body(small.address, method, path, X_API_Key=viewer, **headers).status == 403


def test_bytes_for_an_unknown_upload_url_are_refused_before_they_are_read(small: Service) -> None:
    assert answer_without_body(small.address, "PUT", "/api/v1/uploads/unknown").status == 404


def test_who_waits_to_be_asked_for_the_body_is_not_asked_when_the_server_is_full(
    small: Service, owner: OrganizationId, key: str
) -> None:
    with full(small, owner):
        answer = answer_without_body(small.address, "POST", UPLOAD, X_API_Key=key, Expect="100-continue", **FORM)
    assert (answer.status, answer.headers["Retry-After"]) == (429, "1")


def test_every_endpoint_that_takes_a_body_is_tested_for_that_here(small: Service) -> None:
    paths = httpx.get(f"{small.address}/openapi.json").json()["paths"]
    taking = {
        (method.upper(), path) for path, item in paths.items() for method, one in item.items() if "requestBody" in one
    }
    assert taking == {(method, path.replace("/street", "/{dataset}")) for method, path, _ in WITH_BODY} | FOR_ANYBODY


@pytest.mark.parametrize("size", [0, 5_000_000, 60_000_000])
def test_the_connection_stays_usable_after_a_refusal(
    small: Service, owner: OrganizationId, key: str, size: int
) -> None:
    connection = http.client.HTTPConnection(urlsplit(small.address).netloc, timeout=30)
    connection.connect()
    before = connection.sock
    with full(small, owner):
        connection.request("POST", UPLOAD, bytes(size), {"X-API-Key": key, "Content-Type": FORM["Content_Type"]})
        answer = connection.getresponse()
        assert (answer.status, answer.headers["Retry-After"]) == (429, "1")
        answer.read()
        connection.request("GET", "/health")
        assert connection.getresponse().status == 200
    assert connection.sock is before
    connection.close()


# A body that stops coming

PUT_URL = "the address that /images/upload-url gave"


def stalled(
    address: str, method: str, path: str, headers: dict[str, str], pieces: list[bytes], pause_s: float
) -> bytes:
    """All that the server says to a request that tells 1,000 bytes and sends these, with a pause before each."""
    host = urlsplit(address).netloc
    lines = [f"{method} {path} HTTP/1.1", f"Host: {host}", "Content-Length: 1000"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    with socket.create_connection(host.split(":"), timeout=10) as connection:  # type: ignore[arg-type]
        connection.sendall("\r\n".join([*lines, "", ""]).encode())
        for piece in pieces:
            time.sleep(pause_s)
            connection.sendall(piece)
        received = b""
        while part := connection.recv(65536):
            received += part
    return received


@pytest.mark.parametrize(
    ("method", "path", "headers"), [*WITH_BODY[:4], ("PUT", PUT_URL, {})], ids=lambda value: str(value)[-20:]
)
def test_who_stops_sending_is_refused_and_leaves_the_place(
    small: Service, key: str, monkeypatch: pytest.MonkeyPatch, method: str, path: str, headers: dict[str, str]
) -> None:
    monkeypatch.setattr(pace, "SILENCE_S", 0.3)
    if path == PUT_URL:
        body = {"dataset": "street", "filename": "stalled.jpg"}
        answer = httpx.post(f"{small.address}{API_PREFIX}/images/upload-url", json=body, headers={"X-API-Key": key})
        path = urlsplit(answer.json()["data"]["upload_url"]).path
    received = stalled(small.address, method, path, {"X_API_Key": key, **headers}, [b"--x\r\n"], 0.0)
    head, _, content = received.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 408 ")
    assert b"connection: close" in head.lower()
    error = json.loads(content)["error"]
    assert (error["code"], bool(error["request_id"])) == ("slow_sender", True)
    assert small.admission.inside == 0


def test_who_sends_slowly_but_sends_is_heard_to_the_end(
    small: Service, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pace, "SILENCE_S", 0.4)
    body = json.dumps({"name": "slow"}).ljust(1000).encode()
    pieces = [body[at : at + 100] for at in range(0, 1000, 100)]  # in all, longer than anybody may be silent
    headers = {"X_API_Key": key, "Connection": "close", **JSON}
    received = stalled(small.address, "POST", f"{API_PREFIX}/datasets/", headers, pieces, 0.1)
    assert received.startswith(b"HTTP/1.1 201 ")


def test_uploads_that_do_not_come_keep_nobody_out(small: Service, key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admission, "STALLED_S", 0.3)
    others = small.client()
    others.datasets.create("street")
    address = urlsplit(small.address)
    head = f"POST {UPLOAD} HTTP/1.1\r\nHost: 127.0.0.1\r\nX-API-Key: {key}\r\nContent-Length: 50000\r\n"
    with ExitStack() as opened, client_of(small.address, key) as own:
        for _ in range(5 * (MAX_UPLOADS + MAX_WAITING)):
            slow = opened.enter_context(socket.create_connection((address.hostname, address.port)))
            slow.sendall(f"{head}Content-Type: {FORM['Content_Type']}\r\n\r\n--x\r\n".encode())
        others.images.upload("street", picture_bytes(1), filename="a.jpg")
        own.images.upload("street", picture_bytes(1), filename="a.jpg")
        others.images.upload("street", picture_bytes(2), filename="b.jpg")
    deadline = time.monotonic() + 10
    while small.admission.inside and time.monotonic() < deadline:
        time.sleep(0.01)
    assert small.admission.inside == 0


# Keys that nobody made


def test_made_up_keys_are_refused_slowly_and_who_holds_a_key_does_not_wait_for_them(
    small: Service, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(refusals, "PER_S", 1.0)
    monkeypatch.setattr(refusals, "BURST", 3)
    monkeypatch.setattr(refusals, "LONGEST_WAIT_S", 2.0)
    url = f"{small.address}{API_PREFIX}/datasets/"

    async def flood_and_ask() -> tuple[list[int], int]:
        limits = httpx.Limits(max_connections=AT_ONCE)
        async with httpx.AsyncClient(limits=limits, timeout=30) as wrong, httpx.AsyncClient(timeout=30) as holder:
            flood = [asyncio.create_task(wrong.get(url, headers={"X-API-Key": new_secret()})) for _ in range(8)]
            for _ in range(5):
                assert (await holder.get(url, headers={"X-API-Key": key})).status_code == 200
            waiting = sum(not task.done() for task in flood)
            return [answer.status_code for answer in await asyncio.gather(*flood)], waiting

    statuses, waiting = asyncio.run(flood_and_ask())
    assert set(statuses) == {401}
    assert waiting


def test_made_up_upload_urls_are_refused_slowly_and_looked_up_few_at_once(
    small: Service, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(refusals, "PER_S", 1.0)
    monkeypatch.setattr(refusals, "BURST", 3)
    monkeypatch.setattr(refusals, "LONGEST_WAIT_S", 2.0)
    at_once, most = 0, 0
    require_valid = Tickets.require_valid

    async def counted(tickets: Tickets, token: str) -> OrganizationId:
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        try:
            return await require_valid(tickets, token)
        finally:
            at_once -= 1

    monkeypatch.setattr(Tickets, "require_valid", counted)

    async def flood_and_ask() -> tuple[list[int], int]:
        async with httpx.AsyncClient(timeout=30) as wrong, httpx.AsyncClient(timeout=30) as holder:
            urls = [f"{small.address}{UPLOADS_PREFIX}/{new_secret()}" for _ in range(8)]
            flood = [asyncio.create_task(wrong.put(url, content=b"x")) for url in urls]
            for _ in range(5):
                answer = await holder.get(f"{small.address}{API_PREFIX}/datasets/", headers={"X-API-Key": key})
                assert answer.status_code == 200
            waiting = sum(not task.done() for task in flood)
            return [answer.status_code for answer in await asyncio.gather(*flood)], waiting

    statuses, waiting = asyncio.run(flood_and_ask())
    assert set(statuses) == {404}
    assert waiting
    assert 1 <= most <= refusals.LOOKED_UP_AT_ONCE


def test_a_wrong_key_is_refused_before_anybody_looks_for_the_route(small: Service) -> None:
    answer = httpx.get(f"{small.address}{API_PREFIX}/nowhere", headers={"X-API-Key": new_secret()})
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "unauthorized")
    assert answer.headers["X-Request-Id"] == answer.json()["error"]["request_id"]
    assert httpx.get(f"{small.address}/health", headers={"X-API-Key": new_secret()}).status_code == 200


# The database


def test_too_many_requests_for_the_database_are_told_to_come_back(small: Service, key: str) -> None:
    requests = MAX_CONNECTIONS * WAITING_PER_CONNECTION + 20

    async def hold(released: asyncio.Event) -> None:
        async with small.services.database.connection():
            await released.wait()

    async def all_at_once() -> list[httpx.Response]:
        limits = httpx.Limits(max_connections=requests)
        async with httpx.AsyncClient(headers={"X-API-Key": key}, limits=limits, timeout=30) as client:
            url = f"{small.address}{API_PREFIX}/datasets/"
            gets = [asyncio.create_task(client.get(url)) for _ in range(requests)]
            await asyncio.wait(gets, return_when=asyncio.FIRST_COMPLETED)
            small.loop.call_soon_threadsafe(released.set)
            return await asyncio.gather(*gets)

    released = asyncio.Event()
    holding = [asyncio.run_coroutine_threadsafe(hold(released), small.loop) for _ in range(MAX_CONNECTIONS)]
    answers = asyncio.run(all_at_once())
    for held in holding:
        held.result(5)
    assert {answer.status_code for answer in answers} == {200, 429}
    for answer in answers:
        if answer.status_code == 429:
            assert answer.json()["error"]["code"] == "rate_limited"
            assert answer.headers["Retry-After"] == "1"
            assert "database" in answer.json()["detail"]
