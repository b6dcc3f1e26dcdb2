"""What one connection may send, keep waiting and leave unread, and how many there may be. All over real sockets."""

from __future__ import annotations

import http.client
import io
import json
import logging
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from urllib.parse import urlsplit

import httpx
import pytest

from pictograph.server import connections, protocol
from pictograph.wire import API_PREFIX
from support.databases import fresh_database
from support.pictures import picture_bytes
from support.services import Service, running_service

GET = b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\n"
KIB = 1024


@pytest.fixture(scope="module")
def few(postgres: str, template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service that takes 64 connections."""
    options = {"max_client_connections": 64}
    with fresh_database(postgres, template) as url, running_service(url, tmp_path_factory.mktemp("f"), **options) as it:
        yield it


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything that lasts too long has done so soon."""
    monkeypatch.setattr(connections, "LOOK_EVERY_S", 0.05)
    monkeypatch.setattr(protocol, "HEAD_S", 0.2)
    monkeypatch.setattr(protocol, "WINDOW_S", 0.3)


@contextmanager
def connected(service: Service, receive_bytes: int | None = None) -> Iterator[socket.socket]:
    address = urlsplit(service.address)
    with socket.socket() as connection:
        connection.settimeout(20)
        if receive_bytes:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        connection.connect((address.hostname, address.port))
        yield connection


def all_of(connection: socket.socket) -> bytes:
    """What comes until the other side is done."""
    received = b""
    while part := connection.recv(65536):
        received += part
    return received


def answers_in(received: bytes) -> list[tuple[int, dict[str, str], bytes]]:
    """Every answer: status, headers, body."""
    answers, stream = [], io.BytesIO(received)
    while line := stream.readline():
        headers = {name.lower(): value for name, value in http.client.parse_headers(stream).items()}
        body = stream.read(int(headers.get("content-length", 0)))
        answers.append((int(line.split()[1]), headers, body))
    return answers


def asked(service: Service, request: bytes) -> list[tuple[int, dict[str, str], bytes]]:
    with connected(service) as connection:
        connection.sendall(request)
        return answers_in(all_of(connection))


def assert_refused(answers: list[tuple[int, dict[str, str], bytes]], status: int, code: str) -> None:
    (answer,) = answers
    error = json.loads(answer[2])["error"]
    assert (answer[0], error["code"]) == (status, code)
    assert answer[1]["connection"] == "close"
    assert answer[1]["x-request-id"] == error["request_id"]


@pytest.mark.parametrize("kib", [65, 100, 300])
@pytest.mark.parametrize("headers", [1, 10])
def test_headers_above_64_kb_are_refused(service: Service, kib: int, headers: int) -> None:
    lines = b"".join(b"X-%d: %s\r\n" % (n, b"a" * (kib * KIB // headers)) for n in range(headers))
    assert_refused(asked(service, GET + lines + b"\r\n"), 431, "head_too_large")


def test_headers_of_60_kb_are_read(service: Service) -> None:
    (answer,) = asked(service, GET + b"X-Big: " + b"a" * 60 * KIB + b"\r\nConnection: close\r\n\r\n")
    assert answer[0] == 200


def test_more_than_256_headers_are_refused(service: Service) -> None:
    many = b"".join(b"X-%d: 1\r\n" % n for n in range(300))
    assert_refused(asked(service, GET + many + b"\r\n"), 431, "head_too_large")


def test_an_address_above_64_kb_is_refused(service: Service) -> None:
    assert_refused(asked(service, b"GET /" + b"a" * 70 * KIB + b" HTTP/1.1\r\n\r\n"), 414, "head_too_large")


def test_a_header_without_end_is_cut_off_while_it_comes(service: Service) -> None:
    with connected(service) as connection:
        connection.sendall(GET + b"X-Big: ")
        with pytest.raises((ConnectionResetError, BrokenPipeError)):
            connection.sendall(b"a" * 64_000_000)


def test_headers_in_small_packets_are_read(service: Service) -> None:
    with connected(service) as connection:
        for byte in GET + b"Connection: close\r\n\r\n":
            connection.sendall(bytes([byte]))
        ((status, _, _),) = answers_in(all_of(connection))
    assert status == 200


@pytest.mark.parametrize("garbage", [b"\x16\x03\x01\x02\x00\x01", b"GET / HTTP/9.9\r\n\r\n", b"\x00" * 100])
def test_what_is_not_http_is_refused_in_the_shape_of_every_error(service: Service, garbage: bytes) -> None:
    assert_refused(asked(service, garbage), 400, "validation_error")


def test_who_takes_us_for_a_proxy_is_told_so(service: Service) -> None:
    answers = asked(service, b"CONNECT elsewhere:443 HTTP/1.1\r\nHost: elsewhere:443\r\n\r\n")
    assert_refused(answers, 400, "validation_error")
    assert "no proxy" in json.loads(answers[0][2])["error"]["message"]


@pytest.mark.parametrize("coding", ["gzip, chunked", "xchunked", "identity"])
def test_a_body_in_a_coding_that_is_not_read_is_refused_by_name(service: Service, raw_key: str, coding: str) -> None:
    answers = asked(service, posting(raw_key, f"Transfer-Encoding: {coding}") + b"0\r\n\r\n")
    assert_refused(answers, 501, "not_supported")
    assert coding in json.loads(answers[0][2])["error"]["message"]


@pytest.mark.parametrize(
    ("header", "status", "code"),
    [
        ("Content-Encoding: gzip", 415, "unsupported_format"),
        ("Content-Encoding: identity, br", 415, "unsupported_format"),
        ("Content-Range: bytes 0-1/30", 400, "validation_error"),
    ],
)
def test_a_body_that_is_packed_or_a_part_is_not_taken_for_the_whole(
    service: Service, raw_key: str, header: str, status: int, code: str
) -> None:
    body = b'{"name": "in part"}'
    answers = asked(service, posting(raw_key, header, f"Content-Length: {len(body)}") + body)
    assert_refused(answers, status, code)
    assert header.partition(": ")[2] in json.loads(answers[0][2])["error"]["message"]


def test_a_body_that_says_it_is_not_packed_is_read(service: Service, raw_key: str) -> None:
    body = b'{"name": "unpacked"}'
    headers = ("Content-Encoding: identity", f"Content-Length: {len(body)}", "Connection: close")
    (answer,) = asked(service, posting(raw_key, *headers) + body)
    assert answer[0] == 201


def test_a_broken_body_is_answered_and_is_in_the_log_under_its_id(
    service: Service, raw_key: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        answers = asked(
            service, posting(raw_key, "Transfer-Encoding: chunked", "X-Request-Id: broken-body") + b"zz\r\n"
        )
    assert_refused(answers, 400, "validation_error")
    assert answers[0][1]["x-request-id"] == "broken-body"
    assert any("broken-body" in message and "not HTTP/1.1" in message for message in caplog.messages)


def posting(key: str, *headers: str) -> bytes:
    lines = [
        f"POST {API_PREFIX}/datasets/ HTTP/1.1",
        "Host: 127.0.0.1",
        f"X-API-Key: {key}",
        "Content-Type: application/json",
        *headers,
    ]
    return "\r\n".join([*lines, "", ""]).encode()


def test_unfinished_headers_are_not_waited_for(service: Service, hasty: None) -> None:
    assert_refused(asked(service, GET + b"X-"), 408, "slow_sender")


def test_who_says_nothing_is_let_go_without_a_word(service: Service, hasty: None) -> None:
    assert asked(service, b"") == []
    assert asked(service, b"\r\n") == []


def test_an_unfinished_second_request_is_not_waited_for_either(service: Service, hasty: None) -> None:
    first, second = asked(service, GET + b"\r\n" + GET)
    assert first[0] == 200
    assert_refused([second], 408, "slow_sender")


def test_a_kept_connection_is_not_ended_by_the_wait_for_headers(service: Service, hasty: None) -> None:
    with connected(service) as connection:
        connection.sendall(GET + b"\r\n")
        assert b"200 OK" in connection.recv(4096)
        time.sleep(0.6)
        connection.sendall(GET + b"Connection: close\r\n\r\n")
        assert b"200 OK" in all_of(connection)


def test_chunks_of_a_body_may_not_be_wrapped_in_much_else(service: Service, raw_key: str) -> None:
    head = f"POST {API_PREFIX}/datasets/ HTTP/1.1\r\nHost: 127.0.0.1\r\nX-API-Key: {raw_key}\r\n".encode()
    head += b"Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    with connected(service) as connection:
        connection.sendall(head + b"1;" + b"a" * 100 * KIB)
        try:
            received = all_of(connection)
        except ConnectionResetError:
            received = b""
    assert b" 201 " not in received


def test_a_body_in_chunks_of_one_byte_is_read(service: Service, raw_key: str) -> None:
    body = json.dumps({"name": "chunked"}).ljust(60 * KIB).encode()
    head = f"POST {API_PREFIX}/datasets/ HTTP/1.1\r\nHost: 127.0.0.1\r\nX-API-Key: {raw_key}\r\n".encode()
    head += b"Connection: close\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    chunks = b"".join(b"1\r\n%c\r\n" % byte for byte in body)
    (answer,) = asked(service, head + chunks + b"0\r\n\r\n")
    assert answer[0] == 201


def test_what_follows_a_body_is_no_header(service: Service, raw_key: str) -> None:
    head = f"POST {API_PREFIX}/datasets/ HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n".encode()
    head += b"Content-Type: application/json\r\nTransfer-Encoding: chunked\r\nTrailer: X-API-Key\r\n\r\n"
    body = b'{"name": "trailed"}'
    chunk = b"%x\r\n%s\r\n0\r\nX-API-Key: %s\r\n\r\n" % (len(body), body, raw_key.encode())
    (answer,) = asked(service, head + chunk)
    assert answer[0] == 401


def test_a_few_requests_may_wait_behind_one_another(service: Service) -> None:
    answers = asked(service, (GET + b"\r\n") * 4 + GET + b"Connection: close\r\n\r\n")
    assert [status for status, _, _ in answers] == [200] * 5


def test_of_many_requests_behind_one_another_the_last_that_is_answered_says_so(service: Service) -> None:
    answers = asked(service, (GET + b"\r\n") * 2000)
    assert {status for status, _, _ in answers} == {200}
    assert 2 <= len(answers) <= protocol.MOST_PIPELINED + 1
    assert [headers.get("connection") for _, headers, _ in answers] == [None] * (len(answers) - 1) + ["close"]


@pytest.fixture
def raw_key(service: Service) -> str:
    return service.key(service.organization())


# Answers that nobody reads


@pytest.fixture
def large_answer(few: Service) -> bytes:
    """A request, and what it asks for has 12 MB."""
    organization = few.organization()
    client = few.client(organization)
    client.datasets.create("street")
    image = client.images.upload("street", picture_bytes(1) + bytes(12_000_000), filename="a.jpg")
    lines = [f"GET {API_PREFIX}/images/{image.id} HTTP/1.1", "Host: 127.0.0.1", f"X-API-Key: {few.key(organization)}"]
    return "\r\n".join([*lines, "Connection: close", "", ""]).encode()


def test_who_does_not_read_an_answer_is_dropped(few: Service, large_answer: bytes, hasty: None) -> None:
    with connected(few, receive_bytes=4096) as connection:
        connection.sendall(large_answer)
        time.sleep(1.5)
        try:
            received = len(all_of(connection))
        except ConnectionResetError:
            received = 0
    assert received < 12_000_000


def test_who_reads_slowly_but_reads_gets_it_all(
    few: Service, large_answer: bytes, hasty: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(protocol, "WINDOW_S", 2.0)  # far above a pause, and below what all of them take
    with connected(few, receive_bytes=4096) as connection:
        connection.sendall(large_answer)
        received = 0
        for _ in range(10):
            received += len(connection.recv(65536))
            time.sleep(0.3)
        received += len(all_of(connection))
    assert received > 12_000_000


# Many connections


def test_idle_connections_keep_nobody_out(few: Service, caplog: pytest.LogCaptureFixture) -> None:
    key = few.key(few.organization())
    with ExitStack() as opened, httpx.Client(base_url=few.address, headers={"X-API-Key": key}) as holder:
        assert holder.get(f"{API_PREFIX}/datasets/").status_code == 200
        with caplog.at_level(logging.WARNING):
            idle = [opened.enter_context(connected(few)) for _ in range(200)]
            idle[0].settimeout(10)
            assert idle[0].recv(1) == b"" or pytest.fail("the oldest idle connection is still there")
        assert holder.get(f"{API_PREFIX}/datasets/").status_code == 200
        assert httpx.get(f"{few.address}{API_PREFIX}/datasets/", headers={"X-API-Key": key}).status_code == 200
    assert "idle ones were closed" in caplog.text
