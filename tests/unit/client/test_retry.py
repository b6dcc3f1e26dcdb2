"""When the SDK sends a call again, and after how long."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from itertools import pairwise
from pathlib import Path

import httpx
import pytest

from pictograph import Client, ConnectionFailed, NotFoundError, RateLimitError, ServerError
from pictograph.client import synchronous
from pictograph.client.patience import LONGEST_BUSY_S, Patience, pause_after
from pictograph.client.retry import (
    LONGEST_RETRY_AFTER_S,
    RETRIED_STATUSES,
    parse_retry_after,
    wait_before_retry,
)


@pytest.mark.parametrize("status", [None, 408, 429, 500, 502, 503, 504])
def test_what_may_pass_is_tried_again(status: int | None) -> None:
    assert wait_before_retry(status, {}, 0, 1.0) == 1.0


@pytest.mark.parametrize("status", [200, 302, 400, 401, 402, 403, 404, 405, 409, 413, 415, 422, 425, 501, 505])
def test_what_stays_wrong_is_not(status: int) -> None:
    assert wait_before_retry(status, {"retry-after": "1"}, 0, 1.0) is None


def test_the_statuses_are_those_of_the_published_clients() -> None:
    assert {408, 429, 500, 502, 503, 504} == RETRIED_STATUSES


def test_the_wait_doubles_up_to_30_seconds() -> None:
    waits = [wait_before_retry(500, {}, attempt, 1.0) for attempt in range(8)]
    assert waits == [1, 2, 4, 8, 16, 30, 30, 30]


@pytest.mark.parametrize("jitter", [0.75, 1.0, 1.2499])
def test_jitter_spreads_the_wait(jitter: float) -> None:
    assert wait_before_retry(503, {}, 1, jitter) == 2 * jitter


@pytest.mark.parametrize(
    ("status", "header", "attempt", "expected"),
    [
        (429, "7", 0, 7.0),  # the server asks for more than we would wait
        (429, "0", 0, 1.0),  # it asks for less: our own wait stands
        (429, "-5", 2, 4.0),
        (429, "120", 0, 120.0),
        (429, "121", 0, None),  # too long to wait in silence
        (429, "inf", 0, None),
        (429, "nonsense", 0, 1.0),
        (429, "nan", 0, 1.0),
        (503, "2", 3, 2.0),  # `embedding_pending`: the server knows when
        (503, "500", 0, None),
    ],
)
def test_retry_after_is_obeyed(status: int, header: str, attempt: int, expected: float | None) -> None:
    assert wait_before_retry(status, {"retry-after": header}, attempt, 1.0) == expected


def answer(status: int) -> httpx.Response:
    return httpx.Response(status, request=httpx.Request("POST", "http://server/"))


def no_answer(cause: Exception) -> ConnectionFailed:
    failed = ConnectionFailed("no answer")
    failed.__cause__ = cause
    return failed


BUSY, GONE = answer(429), no_answer(httpx.ConnectError("refused"))


@pytest.mark.parametrize(
    ("outcome", "max_retries", "waited_s", "longest_s", "goes_on"),
    [
        (BUSY, 3, 0, 600, True),
        (BUSY, 3, 599, 600, True),
        (BUSY, 3, 600, 600, False),
        (BUSY, 3, 0, 0, False),
        (BUSY, 0, 0, 600, False),  # whoever wants no retries gets none
        (answer(502), 3, 0, 600, True),  # what stands before a service that starts again
        (answer(503), 3, 0, 600, True),
        (answer(500), 3, 0, 600, False),
        (answer(507), 3, 0, 600, False),  # a full disk does not pass
        (GONE, 3, 0, 600, True),
        (no_answer(httpx.RemoteProtocolError("closed")), 3, 0, 600, True),
        (no_answer(httpx.ConnectTimeout("")), 3, 0, 600, True),
        (no_answer(httpx.ReadTimeout("")), 3, 0, 600, False),
    ],
)
def test_a_service_that_is_busy_or_starts_again_is_waited_for_beyond_the_attempts(
    outcome: httpx.Response | ConnectionFailed, max_retries: int, waited_s: float, longest_s: float, goes_on: bool
) -> None:
    found = pause_after(outcome, max_retries, max_retries, waited_s, Patience(longest_s))
    assert (found is not None) is goes_on
    assert (
        pause_after(outcome, max_retries, max_retries, waited_s, None) is None
    )  # any other call than an upload of many


def test_nobody_waits_once_it_is_stopped() -> None:
    patience = Patience()
    patience.stopped.set()
    assert pause_after(BUSY, 0, 3, 0, patience) is None


def test_the_wait_is_said_once_for_each_time_that_the_service_is_away(caplog: pytest.LogCaptureFixture) -> None:
    patience = Patience()
    pause_after(GONE, 0, 3, 0, patience)
    assert caplog.messages == []  # an ordinary attempt
    for _ in range(3):
        pause_after(GONE, 3, 3, 0, patience)
    assert caplog.messages == ["no answer. Waiting for the service, up to 10 minutes."]
    patience.answered()
    patience.answered()
    pause_after(BUSY, 3, 3, 0, patience)
    assert caplog.messages[1:] == [
        "The service answers again.", "server is busy (HTTP 429). Waiting for the service, up to 10 minutes."
    ]  # fmt: skip


def test_a_count_that_the_wait_doubles_for_ever_does_not_overflow() -> None:
    assert wait_before_retry(503, {}, 100_000, 1.0) == 30


def test_the_upload_of_a_directory_outlasts_a_busy_server_and_one_file_does_not(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "a.jpg").write_bytes(b"the picture")
    outcomes = [429, 503, 502, None] * 2
    server = Server(200, *outcomes, 404, headers={"Retry-After": "7"})  # 200: the images that are there
    client, pauses = client_of(server, monkeypatch)
    with pytest.raises(NotFoundError):
        client.images.upload_from_directory("x", tmp_path, create_if_missing=False)
    assert len(pauses) == 8
    assert min(pauses) >= 6
    assert sum(pauses) < LONGEST_BUSY_S
    keys = {request.headers["idempotency-key"] for request in server.requests if request.url.path.endswith("/upload")}
    assert len(keys) == 1
    client, pauses = client_of(Server(429, 429, 429, 429, headers={"Retry-After": "7"}), monkeypatch)
    with pytest.raises(RateLimitError):
        client.images.upload("x", b"the picture", filename="a.jpg")
    assert len(pauses) == 3


def test_retry_after_may_be_a_date() -> None:
    later = format_datetime(datetime.now(UTC) + timedelta(seconds=60), usegmt=True)
    assert parse_retry_after(later) == pytest.approx(60, abs=3)
    earlier = format_datetime(datetime.now(UTC) - timedelta(days=1), usegmt=True)
    assert parse_retry_after(earlier) == 0
    for nothing in (None, "", "soon", "Mon, 99 Foo", "Wed, 21 Oct 2015 07:28:00"):
        assert parse_retry_after(nothing) is None


class Server:
    """Answers with a list of statuses, one after the other; None breaks the connection."""

    def __init__(self, *answers: int | None, headers: dict[str, str] | None = None) -> None:
        self.answers, self.headers = list(answers), headers or {}
        self.requests: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        status = self.answers.pop(0)
        if status is None:
            raise httpx.ConnectError("refused")
        body = {"data": [], "pagination": {"limit": 1, "offset": 0, "has_more": False}} if status == 200 else {}
        return httpx.Response(status, json=body, headers=self.headers)


def client_of(server: Server, monkeypatch: pytest.MonkeyPatch, **options: object) -> tuple[Client, list[float]]:
    """A client of this server, and the list of its pauses, which take no time."""
    pauses: list[float] = []
    monkeypatch.setattr(synchronous, "pause", lambda seconds, patience: pauses.append(seconds))
    http = httpx.Client(transport=httpx.MockTransport(server))
    return Client("k", base_url="http://server", http_client=http, **options), pauses  # type: ignore[arg-type]


def test_three_more_attempts_are_made_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    server = Server(503, None, 500, 200)
    client, pauses = client_of(server, monkeypatch)
    assert client.datasets.list() == []
    assert len(pauses) == 3
    assert all(later > earlier for earlier, later in pairwise(pauses))


def test_after_the_last_attempt_the_last_error_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    client, pauses = client_of(Server(None, None, None, 500), monkeypatch)
    with pytest.raises(ServerError):
        client.datasets.list()
    assert len(pauses) == 3
    client, _ = client_of(Server(500, 500, 500, None), monkeypatch)
    with pytest.raises(ConnectionFailed, match=r"http://server.*pictograph serve"):
        client.datasets.list()


def test_max_retries_0_tries_once(monkeypatch: pytest.MonkeyPatch) -> None:
    client, pauses = client_of(Server(500), monkeypatch, max_retries=0)
    with pytest.raises(ServerError):
        client.datasets.list()
    assert pauses == []


def test_a_wrong_call_is_not_sent_again(monkeypatch: pytest.MonkeyPatch) -> None:
    server = Server(404)
    client, _ = client_of(server, monkeypatch)
    with pytest.raises(NotFoundError):
        client.datasets.list()
    assert len(server.requests) == 1


def test_a_server_that_asks_for_too_long_a_wait_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    server = Server(429, headers={"Retry-After": str(LONGEST_RETRY_AFTER_S + 1)})
    client, pauses = client_of(server, monkeypatch)
    with pytest.raises(RateLimitError) as caught:
        client.datasets.list()
    assert caught.value.retry_after_s == LONGEST_RETRY_AFTER_S + 1
    assert pauses == []


def test_every_retry_of_a_write_carries_the_same_idempotency_key_and_each_call_another(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    server = Server(500, 500, 404, 404, 404)
    client, _ = client_of(server, monkeypatch)
    for _ in range(2):
        with pytest.raises(NotFoundError):
            client.images.upload("x", b"bytes", filename="a.jpg")
    with pytest.raises(NotFoundError):
        client.datasets.get("x")
    keys = [request.headers.get("idempotency-key") for request in server.requests]
    assert keys[0] == keys[1] == keys[2] != keys[3]
    assert keys[0] is not None
    assert len(keys[0]) == 32
    assert keys[4] is None
    server = Server(503, 404)
    client, _ = client_of(server, monkeypatch)
    with pytest.raises(NotFoundError):
        client.datasets.delete("x")
    (first, again) = [request.headers["idempotency-key"] for request in server.requests]
    assert first == again


def test_the_whole_file_is_sent_on_every_attempt(monkeypatch: pytest.MonkeyPatch) -> None:
    server = Server(500, 404)
    client, _ = client_of(server, monkeypatch)
    with pytest.raises(NotFoundError):
        client.images.upload("x", b"the picture", filename="a.jpg")
    assert all(b"the picture" in request.content for request in server.requests)


def test_every_request_names_the_client_and_carries_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    server = Server(200)
    client, _ = client_of(server, monkeypatch)
    client.datasets.list()
    headers = server.requests[0].headers
    assert headers["x-api-key"] == "k"
    assert headers["user-agent"].startswith("pictograph-python/")


def test_a_redirect_is_not_followed_with_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    server = Server(307, headers={"Location": "http://elsewhere/"})
    client, _ = client_of(server, monkeypatch)
    with pytest.raises(Exception, match="307"):
        client.datasets.list()
    assert [request.url.host for request in server.requests] == ["server"]
