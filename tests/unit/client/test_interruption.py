"""Ctrl-C while uploads hang: the call ends at once, and says what has arrived."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from pictograph import AsyncClient, Client
from pictograph.cli import connection, output
from pictograph.cli.main import run
from pictograph.client.results import UploadReport
from pictograph.client.threads import side_by_side
from pictograph.wire import Dataset, Image

FILES = 6


class Hanging:
    """A service that takes the first two uploads and never answers the others."""

    def __init__(self) -> None:
        self.taken = 0
        self.hangs = threading.Event()
        self.noted = threading.Semaphore(0)
        """One for each file whose fate the report knows."""
        self.released = threading.Event()
        self._lock = threading.Lock()

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if request.method == "POST" and request.url.path.endswith("/upload"):
            with self._lock:
                self.taken += 1
                taken = self.taken
            if taken <= 2:
                return httpx.Response(201, json={"data": an_image(taken)})
            self.hangs.set()
            self.released.wait()
            raise httpx.ReadTimeout("released")
        if request.url.path.endswith("/which-exist"):
            return httpx.Response(200, json={"data": []})
        if request.url.path.endswith("/datasets/street"):
            dataset = Dataset(id="d", organization_id="o", name="street", created_at=datetime.now(UTC))
            return httpx.Response(200, json={"data": dataset.model_dump(mode="json")})
        return httpx.Response(200, json={"data": [], "pagination": {"limit": 1, "offset": 0, "has_more": False}})


def an_image(number: int) -> dict[str, object]:
    image = Image(
        id=str(number), dataset_id="d", filename=f"{number}.jpg", folder_path="/", state="received", sha256="0" * 64,
        content_type="image/jpeg", file_size=1, width=1, height=1, created_at=datetime.now(UTC), image_auto_tags={},
        image_url="", thumbnail_url="",
    )  # fmt: skip
    return image.model_dump(mode="json")


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    for number in range(FILES):
        (tmp_path / f"{number}.jpg").write_bytes(b"x")
    return tmp_path


@pytest.fixture
def hanging() -> Iterator[Hanging]:
    server = Hanging()
    yield server
    server.released.set()


@pytest.fixture
def ctrl_c(hanging: Hanging) -> Iterator[Callable[[int], None]]:
    """Presses Ctrl-C so many times, as soon as an upload hangs."""
    threads: list[threading.Thread] = []

    def press(times: int) -> None:
        hanging.hangs.wait(20)
        for _ in range(2):
            hanging.noted.acquire(timeout=20)
        for _ in range(times):
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    def begin(times: int) -> None:
        threads.append(threading.Thread(target=press, args=(times,)))
        threads[-1].start()

    yield begin
    for thread in threads:
        thread.join()


def test_ctrl_c_ends_the_upload_while_requests_hang(
    hanging: Hanging, pictures: Path, ctrl_c: Callable[[int], None]
) -> None:
    report = UploadReport("street")
    with httpx.Client(transport=httpx.MockTransport(hanging)) as http:
        client = Client("k", base_url="http://server", http_client=http)
        ctrl_c(1)
        with pytest.raises(KeyboardInterrupt):
            client.images.upload_from_directory(
                "street", pictures, workers=2, create_if_missing=False, skip_existing=False, report=report,
                progress=lambda *step: hanging.noted.release(),
            )  # fmt: skip
        assert not hanging.released.is_set()  # it did not wait for what hangs
        assert (len(report.uploaded), report.attempted) == (2, FILES)
        begun = hanging.taken
        hanging.released.set()
        for thread in threading.enumerate():
            if thread.name.startswith("upload-"):
                thread.join()
        assert hanging.taken == begun  # nothing was tried again, and no other file was begun


def test_the_async_upload_ends_when_it_is_cancelled(pictures: Path) -> None:
    begun = asyncio.Event()

    async def hang(request: httpx.Request) -> httpx.Response:
        begun.set()
        await asyncio.Event().wait()
        return httpx.Response(500)

    async def use() -> UploadReport:
        report = UploadReport("street")
        async with httpx.AsyncClient(transport=httpx.MockTransport(hang)) as http:
            client = AsyncClient("k", base_url="http://server", http_client=http)
            upload = asyncio.create_task(
                client.images.upload_from_directory(
                    "street", pictures, create_if_missing=False, skip_existing=False, report=report
                )
            )
            await begun.wait()
            upload.cancel()
            with pytest.raises(asyncio.CancelledError):
                await upload
        return report

    assert asyncio.run(use()).attempted == FILES


@pytest.mark.parametrize("as_json", [False, True])
def test_the_command_says_what_arrived_and_how_to_go_on(
    hanging: Hanging, pictures: Path, ctrl_c: Callable[[int], None], monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str], as_json: bool,
) -> None:  # fmt: skip
    with httpx.Client(transport=httpx.MockTransport(hanging)) as http:
        made = Client("k", base_url="http://server", http_client=http)
        shown = output.BarUpdate.__call__
        monkeypatch.setattr(output.BarUpdate, "__call__", lambda *step: (shown(*step), hanging.noted.release()))
        monkeypatch.setattr(connection, "Client", lambda *arguments, **options: made)
        line = ["pictograph", "upload", str(pictures), "-d", "street", "-w", "1", *(["--json"] if as_json else [])]
        monkeypatch.setattr(sys, "argv", line)
        ctrl_c(1)
        with pytest.raises(SystemExit) as end:
            run()
    out, err = capsys.readouterr()
    assert end.value.code == 130
    assert "Traceback" not in err
    if as_json:
        assert json.loads(out)["finished"] is False
        assert json.loads(out)["uploaded"] == 2
    else:
        assert f"2 of {FILES} files are in dataset 'street'" in err
        assert "run the same command again" in err


def test_outcomes_come_as_they_are_ready_and_an_error_is_one_too() -> None:
    def work(number: int) -> int:
        if number == 3:
            raise KeyError("three")
        return number * 2

    outcomes = dict(side_by_side(work, range(6), 4, threading.Event()))
    assert isinstance(outcomes.pop(3), KeyError)
    assert outcomes == {0: 0, 1: 2, 2: 4, 4: 8, 5: 10}
    assert list(side_by_side(work, [], 4, threading.Event())) == []


def test_a_generator_that_is_left_begins_nothing_more() -> None:
    stopped, released, begun = threading.Event(), threading.Event(), []

    def work(number: int) -> None:
        begun.append(number)
        if number:
            released.wait()

    outcomes = side_by_side(work, range(1000), 2, stopped)
    next(outcomes)
    outcomes.close()
    assert stopped.is_set()
    released.set()
    for thread in threading.enumerate():
        if thread.name.startswith("upload-"):
            thread.join()
    assert len(begun) <= 3  # the first, and one for each of the two threads
