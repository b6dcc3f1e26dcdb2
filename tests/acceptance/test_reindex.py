"""A reindex goes on after kill -9 of everything, and loses nothing that was uploaded meanwhile."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path
from typing import Any

import psycopg
import pytest

from acceptance.processes import Place, send, until
from pictograph import Client
from pictograph.db.pool import Database
from pictograph.services import start_reindex
from pictograph.spaces.reindex import Reindex
from support.pictures import picture_bytes

pytestmark = [pytest.mark.acceptance, pytest.mark.long]

SHORT_LEASE = {"PICTOGRAPH_LEASE_S": "2", "PICTOGRAPH_WORKER_BATCH": "4"}
IN_BUILDING = "SELECT count(*) FROM encoding e JOIN space s ON s.id = e.space_id WHERE s.encoder = 'offline'"


def value(place: Place, statement: str) -> Any:
    with psycopg.connect(place.conninfo, autocommit=True, connect_timeout=10) as connection:
        row = connection.execute(statement.encode()).fetchone()
    return row[0] if row else None


async def go_back(database_url: str) -> None:
    """To the test encoder, which cannot be chosen over HTTP."""
    database = Database(database_url, max_connections=1)
    await database.open()
    try:
        await start_reindex(Reindex(database), "noop", 1.0)
    finally:
        await database.close()


def upload(client: Client, numbers: range) -> None:
    for number in numbers:
        client.images.upload("street", picture_bytes(number, format="PNG"), filename=f"{number}.png")


def test_a_killed_reindex_goes_on_and_ends_with_every_image_in_the_new_space(place: Place, tmp_path: Path) -> None:
    place.serve_until_ready(**SHORT_LEASE)
    with place.client() as client:
        client.datasets.create("street")
        upload(client, range(40))
        client.datasets.wait_until_processed("street", timeout=60)
        client.reindex.start("offline", pace=0.3)
        until(lambda: value(place, IN_BUILDING) >= 4, "the new space fills")
        upload(client, range(40, 50))
    for worker in place.workers():
        send(worker, signal.SIGKILL)
    place.kill_everything()

    place.serve_until_ready("--encoder", "auto", **SHORT_LEASE)
    with place.client() as client:
        status = client.reindex.status()
        assert status.images == 50
        if status.building:  # unless it had only the last images to go
            client.reindex.start("offline", pace=1.0)
        until(lambda: client.reindex.status().active.encoder == "offline", "it switches")
        client.datasets.wait_until_processed("street", timeout=60)
        images = list(client.images.iterate("street"))
        assert {image.state for image in images} == {"tagged"}
        found = client.search.by_similarity(images[0].id, threshold=0, limit=500, folder_path="/")
        assert {row.image_id for row in found} == {image.id for image in images} - {images[0].id}
        assert client.ready().encoder == "offline"
    assert value(place, "SELECT count(*) FROM job") == 0

    place.kill_everything()
    service = place.serve("--encoder", "noop")
    until(lambda: service.ended, "it refuses to start")
    assert "pictograph reindex --encoder noop" in service.said.replace("\n", " ")


def test_workers_elsewhere_need_the_two_urls_and_follow_the_library_to_another_encoder(
    place: Place, database_url: str
) -> None:
    place.serve_until_ready("--workers", "0", "--database-url", database_url, "--blob-url", str(place.folder / "blobs"))
    elsewhere = ("worker", "--database-url", database_url, "--blob-url", str(place.folder / "blobs"))
    follower = place.pictograph(*elsewhere)
    until(lambda: "Ready, with encoder noop" in follower.said, "the worker takes the encoder that the library has")
    with place.client() as client:
        client.datasets.create("street")
        upload(client, range(5))
        client.datasets.wait_until_processed("street", timeout=60)
        client.reindex.start("offline")
        helper = place.pictograph(*elsewhere, "--encoder", "offline")
        until(lambda: client.reindex.status().active.encoder == "offline", "it switches")
        until(lambda: "Ready, with encoder offline" in follower.said, "the worker that was told no encoder follows")
        helper.stop()
        upload(client, range(5, 8))
        assert client.datasets.wait_until_processed("street", timeout=60).tagged == 8

        asyncio.run(go_back(database_url))
        other = place.pictograph(*elsewhere, "--encoder", "noop")
        until(lambda: client.reindex.status().active.encoder == "noop", "it switches back")
        until(lambda: follower.said.count("Ready, with encoder noop") == 2, "and follows back")
        other.stop()
    follower.send(signal.SIGTERM)
    assert follower.wait(30) == 0
