"""Whatever a server answers, or something that stands in its place: an error of ours, and no other."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from collections.abc import Iterator

import httpx
import pytest

from pictograph import ApiError, AsyncClient, Client, ConnectionFailed, PictographError, ServerError

DEEP = b"[" * 100_000

ODD_BODIES = {
    "nothing": b"",
    "html": b"<html>Bad gateway</html>",
    "deep": DEEP,
    "deep in an error": b'{"error": ' + DEEP,
    "no utf-8": b'{"data": "\xff\xfe"}',
    "a number": b"17",
    "null": b"null",
    "a list": b"[1, 2]",
    "huge number": b'{"data": ' + b"9" * 5000 + b"}",
    "lone surrogate": b'{"data": [{"id": "\\ud800"}]}',
    "error is text": b'{"error": "no"}',
    "error is a list": b'{"error": ["no"]}',
    "code is a list": b'{"error": {"code": ["x"], "message": {"a": 1}, "details": [1], "request_id": 7}}',
    "code is a number": b'{"error": {"code": 7, "message": null, "details": "x"}}',
    "detail": b'{"detail": [{"loc": ["query"], "msg": "x"}]}',
}


def client_of(answer: httpx.Response) -> Client:
    http = httpx.Client(transport=httpx.MockTransport(lambda request: answer))
    return Client("k", base_url="http://server", http_client=http, max_retries=0)


@pytest.mark.parametrize("status", [200, 201, 204, 301, 304, 400, 404, 409, 418, 422, 500, 503, 599])
@pytest.mark.parametrize("body", ODD_BODIES.values(), ids=ODD_BODIES)
def test_an_odd_body_is_an_error_of_ours(status: int, body: bytes) -> None:
    client = client_of(httpx.Response(status, content=body, headers={"content-type": "application/json"}))
    for call in (client.datasets.list, lambda: client.datasets.get("x"), client.tags.taxonomy, client.ready):
        with pytest.raises(ApiError) as caught:
            call()  # type: ignore[operator]
        assert str(caught.value)
        assert isinstance(caught.value.details, dict)
        assert caught.value.request_id is None or isinstance(caught.value.request_id, str)


@pytest.mark.parametrize(
    "headers",
    [
        {"retry-after": "1e400"}, {"retry-after": "-1"}, {"retry-after": "\u00e9"}, {"retry-after": "9" * 400},
        {"x-request-id": "\u00e9"}, {"content-type": "text/html; charset=nonsense"},
        {"set-cookie": "a=b; expires=x; \u00e9"},
    ],
)  # fmt: skip
def test_odd_headers_are_no_trouble(headers: dict[str, str]) -> None:
    raw = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
    with pytest.raises(ServerError):
        client_of(httpx.Response(500, headers=raw, content=b"{}")).datasets.list()


RAW_ANSWERS = {
    "nothing": b"",
    "no http": b"SSH-2.0-OpenSSH_9.6\r\n",
    "half a header": b"HTTP/1.1 200 OK\r\nContent-Le",
    "half a body": b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{}",
    "broken gzip": b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\nabcd",
    "broken deflate": b"HTTP/1.1 500 No\r\nContent-Encoding: deflate\r\nContent-Length: 4\r\n\r\nabcd",
    "broken chunks": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    "a huge header": b"HTTP/1.1 200 OK\r\nX: " + b"a" * 200_000 + b"\r\n\r\n",
    "a status that is none": b"HTTP/1.1 9999 OK\r\n\r\n",
    "a redirect to itself": b"HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 0\r\n\r\n",
    "a redirect to nowhere": b"HTTP/1.1 302 Found\r\nLocation: http://[\r\nContent-Length: 0\r\n\r\n",
    "two lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n{}",
}


@pytest.fixture
def answering() -> Iterator[tuple[str, list[bytes]]]:
    """An address, and a list whose first element is what it answers to everything."""
    answers: list[bytes] = [b""]
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                connection.recv(65536)
                connection.sendall(answers[0])

    thread = threading.Thread(target=serve)
    thread.start()
    yield f"http://127.0.0.1:{listener.getsockname()[1]}", answers
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    thread.join()


@pytest.mark.parametrize("answer", RAW_ANSWERS.values(), ids=RAW_ANSWERS)
def test_odd_bytes_are_an_error_of_ours(answering: tuple[str, list[bytes]], answer: bytes) -> None:
    address, answers = answering
    answers[0] = answer
    with Client("k", base_url=address, max_retries=0) as client, pytest.raises(PictographError) as caught:
        client.datasets.list()
    assert address.removeprefix("http://") in str(caught.value)

    async def ask() -> None:
        async with AsyncClient("k", base_url=address, max_retries=0) as client:
            await client.datasets.list()

    with pytest.raises((ConnectionFailed, ApiError)):
        asyncio.run(ask())


def test_a_name_that_no_request_can_carry_is_a_wrong_value() -> None:
    client = client_of(httpx.Response(200, content=json.dumps({"data": []}).encode()))
    for name in ("\udce9", "x" * 100_000, "a\0b"):
        with pytest.raises(PictographError):
            client.datasets.get(name)
