"""The service builds its index in a process of its own, and has it as long as it runs."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import psycopg
import pytest

from pictograph.search.memory.index import WORTH_IT_FROM
from pictograph.server import indexing
from support.databases import fresh_database
from support.index import MANY
from support.services import running_service

FOLDER = "INSERT INTO folder (dataset_id, path) VALUES (%s, '/a') RETURNING id"
ACTIVE = "SELECT id FROM space WHERE active"


def builders() -> list[int]:
    """Children of this process that build an index."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            is_builder = b"pictograph\0index" in (process / "cmdline").read_bytes()
            is_ours = f"PPid:\t{os.getpid()}\n" in (process / "status").read_text()
        except OSError:  # it has ended meanwhile
            continue
        found += [int(process.name)] if is_builder and is_ours else []
    return found


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_the_index_is_built_once_it_is_worth_it_and_its_process_replaced_when_it_dies(
    postgres: str, template: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(indexing, "LOOK_AGAIN_S", 0.1)
    with (
        fresh_database(postgres, template) as url,
        psycopg.connect(url, autocommit=True) as connection,
        running_service(url, tmp_path, index_bytes=1 << 30) as service,
    ):
        index = service.services.index
        assert builders() == []  # of a small library
        assert "none" in httpx.get(f"{service.address}/ready").json()["index"]
        dataset = service.client().datasets.create("street")
        (folder,) = connection.execute(FOLDER, [dataset.id]).fetchone() or (0,)
        (space,) = connection.execute(ACTIVE).fetchone() or (0,)
        connection.execute("INSERT INTO blob VALUES (sha256('x'), 1)")
        values = {"dataset": dataset.id, "folder": folder, "space": space}
        connection.execute(MANY, values | {"count": WORTH_IT_FROM})
        wait_until(lambda: index.status().rows == WORTH_IT_FROM)
        assert "2,000 images" in httpx.get(f"{service.address}/ready").json()["index"]
        assert "pictograph_index_images 2000.0" in httpx.get(f"{service.address}/metrics").text
        (process,) = builders()
        os.kill(process, signal.SIGKILL)
        connection.execute(MANY, values | {"count": 5})
        wait_until(lambda: index.status().rows >= WORTH_IT_FROM + 5)
        assert process not in builders()
    assert builders() == []
