"""An accepted image is never lost and never there twice, whoever is killed, and when."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import psycopg
import pytest

from acceptance.processes import Place, Running, send, until
from pictograph.client.results import UploadReport
from pictograph.errors import PictographError
from pictograph.jobs.retry import MAX_ATTEMPTS
from support.pictures import picture_bytes

pytestmark = pytest.mark.acceptance

SHORT_LEASE = {"PICTOGRAPH_LEASE_S": "2", "PICTOGRAPH_WORKER_BATCH": "8"}
COUNTS = """
SELECT (SELECT count(*) FROM image), (SELECT count(DISTINCT (folder_id, filename)) FROM image),
       (SELECT count(*) FROM job), (SELECT count(*) FROM encoding), (SELECT count(*) FROM image_embedding),
       (SELECT count(*) FROM image WHERE state <> 'embedded')"""


def write_pictures(folder: Path, count: int) -> Path:
    """Distinct small pictures in two folders."""
    for number in range(count):
        path = folder / ("even" if number % 2 == 0 else "odd") / f"{number:04}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(picture_bytes(number, format="PNG"))
    return folder


class Uploader:
    """Uploads a folder through the SDK in threads of its own, and remembers every image that was ever accepted."""

    def __init__(self, place: Place, pictures: Path, *, max_retries: int = 0) -> None:
        self.accepted: set[str] = set()
        self._max_retries = max_retries
        self._place = place
        self._pictures = pictures
        self._pool = ThreadPoolExecutor(1)

    def start(self) -> Future[UploadReport]:
        return self._pool.submit(self._upload)

    def _upload(self) -> UploadReport:
        with httpx.Client(event_hooks={"response": [self._note]}) as http:
            client = self._place.client(http_client=http, max_retries=self._max_retries)
            return client.images.upload_from_directory("street", self._pictures)

    def _note(self, response: httpx.Response) -> None:
        if response.status_code == 201 and response.url.path.endswith("/images/upload"):
            response.read()
            self.accepted.add(response.json()["data"]["id"])


@contextmanager
def database(place: Place) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(place.conninfo, autocommit=True, connect_timeout=10) as connection:
        yield connection


def claims(connection: psycopg.Connection[Any]) -> set[UUID]:
    """Those that workers hold, or held when they were killed."""
    return {row[0] for row in connection.execute("SELECT DISTINCT claim FROM job WHERE claim IS NOT NULL")}


def kill_the_workers_with_jobs_in_hand(place: Place, left_by_the_dead: set[UUID]) -> set[UUID]:
    """Gives the claims that they leave behind.

    Nobody can look up or save an encoding meanwhile, so whoever has claimed a job still holds it.
    """
    with database(place) as connection, connection.transaction():
        connection.execute("LOCK TABLE encoding IN ACCESS EXCLUSIVE MODE")
        until(lambda: claims(connection) - left_by_the_dead, "jobs are claimed")
        for worker in place.workers():
            send(worker, signal.SIGKILL)
        return claims(connection)


def everything_is_found_once(place: Place, accepted: set[str], count: int) -> None:
    """The end of each story: all images that were ever accepted can be found, none is there twice, none waits."""
    with place.client() as client:
        progress = client.datasets.wait_until_processed("street", timeout=90)
        assert (progress.total, progress.failed, progress.received) == (count, 0, 0)
        listed = {image.id for image in client.images.iterate("street")}
        assert len(listed) == count
        assert accepted <= listed
        reference = min(listed)
        similar = client.search.by_similarity(reference, threshold=0, limit=500, folder_path="/")
        found = [image.image_id for image in similar]
        assert len(found) == count - 1
        assert {*found, reference} == listed
    with database(place) as connection:
        assert connection.execute(COUNTS).fetchone() == (count, count, 0, count, count, 0)


def test_killed_workers_lose_nothing(place: Place, tmp_path: Path) -> None:
    pictures = write_pictures(tmp_path / "pictures", 200)
    place.serve_until_ready("--workers", "2", **SHORT_LEASE)
    uploader = Uploader(place, pictures)

    upload = uploader.start()
    left_by_the_dead: set[UUID] = set()
    for _ in range(3):
        left_by_the_dead = kill_the_workers_with_jobs_in_hand(place, left_by_the_dead)

    assert upload.result().success
    assert len(uploader.accepted) == 200
    everything_is_found_once(place, uploader.accepted, 200)


@pytest.mark.long
def test_a_killed_service_loses_nothing_and_the_upload_goes_on(place: Place, tmp_path: Path) -> None:
    pictures = write_pictures(tmp_path / "pictures", 300)
    uploader = Uploader(place, pictures)

    place.serve_until_ready(**SHORT_LEASE)
    cut_off_after(uploader, 60, place.kill_everything)
    service = place.serve_until_ready(**SHORT_LEASE)
    cut_off_after(uploader, 150, lambda: service.send(signal.SIGKILL))
    place.serve_until_ready(**SHORT_LEASE)
    report = uploader.start().result()

    assert report.success
    assert len(report.skipped) >= 150
    everything_is_found_once(place, uploader.accepted, 300)


@pytest.mark.long
def test_a_database_killed_under_the_service_comes_back_before_the_uploader_gives_up(
    place: Place, tmp_path: Path
) -> None:
    pictures = write_pictures(tmp_path / "pictures", 150)
    place.serve_until_ready(**SHORT_LEASE)
    uploader = Uploader(place, pictures, max_retries=6)

    upload = uploader.start()
    for victim, accepted in ((place.postmaster, 40), (place.guard, 90)):
        until(lambda accepted=accepted: len(uploader.accepted) >= accepted, "some pictures are accepted")
        send(victim(), signal.SIGKILL)

    assert upload.result().success
    everything_is_found_once(place, uploader.accepted, 150)


def cut_off_after(uploader: Uploader, accepted: int, kill: Callable[[], None]) -> None:
    upload = uploader.start()
    until(lambda: len(uploader.accepted) >= accepted or upload.done(), "some pictures are accepted")
    kill()
    ended_one_way_or_the_other(upload)


def ended_one_way_or_the_other(upload: Future[UploadReport]) -> None:
    """Cut off with an error of ours, or, on a fast machine, finished just before."""
    assert isinstance(upload.exception(), PictographError | None)


@pytest.mark.long
def test_a_service_that_is_stopped_gives_back_what_it_holds(place: Place, tmp_path: Path) -> None:
    pictures = write_pictures(tmp_path / "pictures", 120)
    long_lease = {"PICTOGRAPH_LEASE_S": "3600", "PICTOGRAPH_WORKER_BATCH": "8"}
    service = place.serve_until_ready("--workers", "2", **long_lease)
    uploader = Uploader(place, pictures)
    upload = uploader.start()
    with database(place) as connection:
        until(lambda: claims(connection), "jobs are claimed")

    service.stop()

    ended_one_way_or_the_other(upload)
    until(lambda: not list(place.processes()), "no process is left", 20)
    place.serve_until_ready(**long_lease)  # a claim that was not given back would last an hour
    assert uploader.start().result().success
    everything_is_found_once(place, uploader.accepted, 120)


@pytest.mark.long
def test_a_picture_that_ends_its_worker_each_time_fails_alone(place: Place, tmp_path: Path) -> None:
    place.serve_until_ready("--workers", "0")
    with place.client() as client:
        client.datasets.create("street")
        images = [
            client.images.upload("street", picture_bytes(number), filename=f"{number}.jpg").id for number in range(12)
        ]
        deadly = images[5]

        for attempt in range(MAX_ATTEMPTS):
            kill_a_worker_that_holds(place, deadly, attempt + 1)
        last = worker_of(place)
        progress = client.datasets.wait_until_processed("street", timeout=60)

        assert (progress.failed, progress.embedded) == (1, 11)
        assert client.images.get(deadly).state == "failed"
        assert f"The worker ended {MAX_ATTEMPTS} times" in str(client.images.get(deadly).reason)
        last.stop()


def worker_of(place: Place) -> Running:
    return place.pictograph(
        "worker",
        *("--data-dir", str(place.data), "--encoder", "noop", "--lease-s", "1", "--worker-batch", "4"),
        PICTOGRAPH_DATABASE_URL=place.conninfo,
    )


def kill_a_worker_that_holds(place: Place, image: str, attempts: int) -> None:
    """A lock on its row keeps the worker from ending the job; jobs claimed one at a time are not held up by it."""
    with database(place) as connection, connection.transaction():
        connection.execute("SELECT FROM image WHERE id = %s FOR UPDATE", [image])
        worker = worker_of(place)
        held = "SELECT 1 FROM job WHERE image_id = %s AND claim IS NOT NULL AND attempts = %s"
        until(lambda: connection.execute(held, [image, attempts]).fetchone(), f"attempt {attempts} is under way")
        worker.send(signal.SIGKILL)
        worker.wait()


@pytest.mark.long
def test_many_workers_on_an_outside_database_share_the_work(place: Place, tmp_path: Path, database_url: str) -> None:
    shared = ("--database-url", database_url, "--blob-url", str(tmp_path / "blobs"))
    place.serve_until_ready(*shared, "--workers", "0")
    workers = [place.pictograph("worker", *shared, "--encoder", "noop", **SHORT_LEASE) for _ in range(2)]
    with place.client() as client:
        until(lambda: all("Ready, with" in worker.said for worker in workers), "both workers are ready")
        report = client.images.upload_from_directory("street", write_pictures(tmp_path / "pictures", 120))
        workers[0].send(signal.SIGKILL)
        progress = client.datasets.wait_until_processed("street", timeout=60)
        assert report.success
        assert (progress.embedded, progress.total) == (120, 120)
    workers[1].stop()
    assert not place.cluster.exists()
