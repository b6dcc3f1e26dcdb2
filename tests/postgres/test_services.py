"""What is opened is closed again, however it ends."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from pictograph.services import Services, open_services
from pictograph.settings import Settings


def threads_that_search() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith(("search", "index"))]


async def fail_while_threads_search(settings: Settings, database_url: str) -> None:
    async with open_services(settings, database_url) as services:
        await use_a_thread(services)
        assert threads_that_search()
        raise RuntimeError("the server falls over")


async def use_a_thread(services: Services) -> None:
    await services.search.pipeline._in_thread(lambda: None)


async def test_threads_end_with_the_services_also_when_the_server_fails(database_url: str, tmp_path: Path) -> None:
    settings = Settings.load({"data_dir": tmp_path, "encoder": "noop"}, {})
    with pytest.raises(RuntimeError, match="the server falls over"):
        await fail_while_threads_search(settings, database_url)
    for thread in threading.enumerate():
        if thread.name.startswith(("search", "index")):
            thread.join(10)
    assert not threads_that_search()
