"""What is opened is closed again, however it ends."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import pytest

from pictograph.server.background import beside
from pictograph.services import Services, open_services
from pictograph.settings import Settings

LOOKS_LARGE = "UPDATE pg_class SET reltuples = 20000 WHERE oid = 'image_embedding'::regclass"


def threads_of_codes() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("codes")]


async def make_codes(services: Services) -> None:
    async with services.database.connection() as connection:
        await connection.execute(LOOKS_LARGE)
    async with beside(services.codes.keep_fresh), asyncio.timeout(30):
        while not threads_of_codes():  # noqa: ASYNC110 - there is nothing to wait for but the thread itself
            await asyncio.sleep(0.05)


async def fail_with_codes(settings: Settings, database_url: str) -> None:
    async with open_services(settings, database_url) as services:
        await make_codes(services)
        assert threads_of_codes()
        raise RuntimeError("the server falls over")


async def test_threads_end_with_the_services_also_when_the_server_fails(database_url: str, tmp_path: Path) -> None:
    settings = Settings.load({"data_dir": tmp_path, "encoder": "noop"}, {})
    with pytest.raises(RuntimeError, match="the server falls over"):
        await fail_with_codes(settings, database_url)
    assert not threads_of_codes()
