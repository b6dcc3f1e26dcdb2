"""Worker processes of a service: one that hangs is noticed, killed and replaced."""

from __future__ import annotations

import os
import signal
from functools import partial
from pathlib import Path

import pytest

from pictograph.server.beats import kill_when_silent
from support.databases import fresh_database
from support.pictures import picture_bytes
from support.services import running_service


def workers() -> list[int]:
    """Our children that process images."""
    found = []
    for children in Path("/proc/self/task").glob("*/children"):
        for pid in map(int, children.read_text().split()):
            if {b"worker", b"--beat-to"} <= set((Path("/proc") / str(pid) / "cmdline").read_bytes().split(b"\0")):
                found.append(pid)
    return found


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="looks for processes in /proc")
def test_a_worker_that_is_stopped_is_replaced_and_its_images_are_processed(
    postgres: str, template: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pictograph.server.children.kill_when_silent", partial(kill_when_silent, silent_for_s=6.0))
    before = set(workers())
    options = {"workers": 1, "lease_s": 2.0}
    with fresh_database(postgres, template) as url, running_service(url, tmp_path, **options) as service:
        client = service.client()
        client.datasets.create("street")
        client.images.upload("street", picture_bytes(1), filename="first.jpg")
        client.datasets.wait_until_processed("street", timeout=60)
        (hanging,) = set(workers()) - before
        os.kill(hanging, signal.SIGSTOP)
        for number in range(2, 6):
            client.images.upload("street", picture_bytes(number), filename=f"{number}.jpg")
        counts = client.datasets.wait_until_processed("street", timeout=90)
        assert (counts.embedded, counts.failed) == (5, 0)
        assert hanging not in workers()
        assert client.ready().workers == 1
