"""`pictograph serve --http-workers 2`: two processes answer on one port as if they were one, and outlive each other."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from acceptance.processes import Place, send, until
from acceptance.test_crashes import SHORT_LEASE, Uploader, everything_is_found_once, write_pictures
from pictograph.server.beats import SILENT_FOR_S
from pictograph.wire import API_PREFIX, KEYS_PREFIX
from support.pictures import picture_bytes

pytestmark = pytest.mark.acceptance

TWO = ("--http-workers", "2")


def sockets_of(process: int) -> set[str]:
    """Inodes of its open sockets."""
    found = set()
    for entry in os.scandir(f"/proc/{process}/fd"):
        with contextlib.suppress(OSError):
            if (target := os.readlink(entry.path)).startswith("socket:["):
                found.add(target[8:-1])
    return found


def process_behind(place: Place, http: httpx.Client) -> int:
    """Which serving process has the connection that this client keeps."""
    response = http.get("/health")
    mine = response.extensions["network_stream"].get_extra_info("client_addr")[1]
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        if int(fields[2].rpartition(":")[2], 16) == mine:
            return next(process for process in place.serving() if fields[9] in sockets_of(process))
    raise AssertionError(f"no connection from port {mine}")


@contextmanager
def one_client_each(place: Place) -> Iterator[list[httpx.Client]]:
    """Two clients, each with a connection of its own to a process of its own."""
    options: dict[str, Any] = {
        "base_url": place.config["base_url"],
        "headers": {"X-API-Key": place.config["api_key"]},
        "timeout": 60,
    }
    with httpx.Client(**options) as first, httpx.Client(**options) as second:
        assert {process_behind(place, first), process_behind(place, second)} == set(place.serving())
        yield [first, second]


def number(http: httpx.Client, name: str, **labels: str) -> float:
    families = text_string_to_metric_families(http.get("/metrics").text)
    samples = (sample for family in families for sample in family.samples)
    return sum(sample.value for sample in samples if sample.name == name and labels.items() <= sample.labels.items())


def test_two_processes_answer_as_one(place: Place) -> None:
    service = place.serve_until_ready(*TWO)
    assert len(place.serving()) == 2
    assert place.config["base_url"] == service.address
    with one_client_each(place) as (first, second):
        key_works_on_both_until_it_is_revoked(first, second)
        repeat_gets_the_first_answer(first, second)
        twins_at_once_are_done_once(first, second)
        image_of_one_is_found_by_the_other(first, second)
        counts_are_of_both(first, second)
        pictures_are_encoded_by_one_process_for_both(place, first, second)
        for http in (first, second):
            ready = http.get("/ready").json()
            assert (ready["status"], ready["workers"], ready["warnings"]) == ("ok", 1, [])
    service.stop()
    assert list(place.processes()) == []


def key_works_on_both_until_it_is_revoked(first: httpx.Client, second: httpx.Client) -> None:
    made = first.post(f"{KEYS_PREFIX}/", json={"name": "x", "role": "viewer"}).json()
    headers = {"X-API-Key": made["api_key"]}
    for http in (second, first):
        assert http.get(f"{API_PREFIX}/datasets/", headers=headers).status_code == 200
    assert second.delete(f"{KEYS_PREFIX}/{made['key_id']}").is_success
    assert second.get(f"{API_PREFIX}/datasets/", headers=headers).status_code == 401
    until(lambda: first.get(f"{API_PREFIX}/datasets/", headers=headers).status_code == 401, "it stops working")


def repeat_gets_the_first_answer(first: httpx.Client, second: httpx.Client) -> None:
    headers = {"Idempotency-Key": "once"}
    answers = [
        http.post(f"{API_PREFIX}/datasets/", json={"name": "street"}, headers=headers) for http in (first, second)
    ]
    assert [answer.status_code for answer in answers] == [201, 201]
    assert answers[0].json() == answers[1].json()
    assert [answer.headers.get("Idempotent-Replayed") for answer in answers] == [None, "true"]


def twins_at_once_are_done_once(first: httpx.Client, second: httpx.Client) -> None:
    answers: list[httpx.Response] = []

    def upload(http: httpx.Client) -> None:
        form = {"data": {"dataset": "street"}, "files": {"file": ("twin.jpg", picture_bytes(7))}}
        answers.append(http.post(f"{API_PREFIX}/images/upload", headers={"Idempotency-Key": "twin"}, **form))

    twins = [threading.Thread(target=upload, args=(http,)) for http in (first, second)]
    for twin in twins:
        twin.start()
    for twin in twins:
        twin.join()
    assert [answer.status_code for answer in answers] == [201, 201]
    assert answers[0].json() == answers[1].json()


def image_of_one_is_found_by_the_other(first: httpx.Client, second: httpx.Client) -> None:
    form: dict[str, Any] = {"data": {"dataset": "street"}, "files": {"file": ("a.jpg", picture_bytes(1))}}
    image = first.post(f"{API_PREFIX}/images/upload", **form).json()["data"]["id"]
    params: dict[str, Any] = {"image_id": image, "threshold": 0}
    for http in (second, first):
        rows = until(
            lambda http=http: http.get(f"{API_PREFIX}/search/similar", params=params).json().get("results"),
            "the other image is a row",
        )
    assert [row["filename"] for row in rows] == ["twin.jpg"]


def pictures_are_encoded_by_one_process_for_both(place: Place, first: httpx.Client, second: httpx.Client) -> None:
    def encoders() -> list[int]:
        return [process for process, program in place.processes() if program == "pictures"]

    def both_find_it() -> None:
        for http in (first, second):
            rows = http.post(f"{API_PREFIX}/search/by-image", content=picture_bytes(1)).json()["results"]
            assert [row["filename"] for row in rows] == ["a.jpg"]

    assert encoders() == []
    both_find_it()
    (one,) = encoders()
    send(one, signal.SIGKILL)
    both_find_it()
    (another,) = encoders()
    assert one != another


def counts_are_of_both(first: httpx.Client, second: httpx.Client) -> None:
    name, labels = "pictograph_requests_total", {"route": "/health", "status": "200"}
    before = number(first, name, **labels)
    for http in (first, second):
        assert http.get("/health").status_code == 200
    assert [number(http, name, **labels) for http in (first, second)] == [before + 2] * 2
    assert number(second, "pictograph_workers") == 1
    assert number(first, "pictograph_queue_jobs") >= 0


def test_a_serving_process_that_is_killed_under_load_loses_nothing_and_is_replaced(
    place: Place, tmp_path: Path
) -> None:
    pictures = write_pictures(tmp_path / "pictures", 120)
    service = place.serve_until_ready(*TWO, **SHORT_LEASE)
    uploader = Uploader(place, pictures, max_retries=6)
    upload = uploader.start()
    for killed in range(2):
        until(lambda killed=killed: len(uploader.accepted) > 30 * killed, "some images are accepted")
        two = place.serving()
        send(two[killed], signal.SIGKILL)
        with httpx.Client(base_url=place.config["base_url"], timeout=60) as http:
            assert http.get("/health").status_code == 200  # of the other
        until(lambda two=two: len(place.serving()) == 2 and place.serving() != two, "another takes its place")
    assert upload.result().success
    assert not service.ended
    assert len(uploader.accepted) == 120
    everything_is_found_once(place, uploader.accepted, 120)
    with place.client() as client:
        until(lambda: not client.ready().warnings, "both answer again")


@pytest.mark.long
def test_what_is_asked_when_it_stops_is_answered_by_every_process(place: Place) -> None:
    service = place.serve_until_ready(*TWO, "--workers", "0")
    with one_client_each(place) as clients:
        clients[0].post(f"{API_PREFIX}/datasets/", json={"name": "street"})
        going, go_on = threading.Barrier(3), threading.Event()
        answers: list[int] = []

        def upload(http: httpx.Client, name: str) -> None:
            form = {"data": {"dataset": "street"}, "files": {"file": (name, picture_bytes(len(name)))}}
            request = http.build_request("POST", f"{API_PREFIX}/images/upload", **form)
            parts = [request.read()[:200], request.read()[200:]]

            def body() -> Iterator[bytes]:
                yield parts[0]
                going.wait()
                go_on.wait()
                yield parts[1]

            answers.append(http.post(request.url, content=body(), headers=request.headers).status_code)

        uploads = [
            threading.Thread(target=upload, args=(http, "a" * (at + 1) + ".jpg")) for at, http in enumerate(clients)
        ]
        for thread in uploads:
            thread.start()
        going.wait()
        time.sleep(0.2)  # so that both processes have begun to read
        service.send(signal.SIGTERM)
        until(lambda: is_refused(place), "no new connection is taken")
        go_on.set()
        for thread in uploads:
            thread.join()
    assert answers == [201, 201]
    assert service.wait() == 0, service.said[-3000:]
    assert list(place.processes()) == []


def is_refused(place: Place) -> bool:
    """Whether nobody listens any more."""
    port = int(place.config["base_url"].rpartition(":")[2])
    try:
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
    except ConnectionRefusedError:
        return True
    return False


@pytest.mark.long
def test_a_service_that_is_killed_leaves_no_serving_process_and_no_files(place: Place, tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    service = place.serve_until_ready(*TWO, "--workers", "0", TMPDIR=str(shared))
    assert list(shared.iterdir())
    send(service.pid, signal.SIGKILL)
    until(lambda: not list(place.processes()), "every process has ended")
    assert not list(shared.glob("pictograph-serving-*"))


@pytest.mark.long
def test_a_serving_process_that_hangs_is_replaced(place: Place) -> None:
    place.serve_until_ready(*TWO, "--workers", "0")
    hanging = place.serving()[0]
    send(hanging, signal.SIGSTOP)
    until(lambda: hanging not in place.serving(), "it is killed", timeout_s=SILENT_FOR_S + 60)
    until(lambda: len(place.serving()) == 2, "another takes its place")
