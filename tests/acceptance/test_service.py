"""`pictograph serve`: its first start, the file it leaves for the SDK, and how it ends."""

from __future__ import annotations

import json
import shutil
import signal
import socket
import stat
import time
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from acceptance.processes import Place, send, until
from pictograph import Client
from pictograph.db.migrate import migrate
from pictograph.errors import ConfigurationError
from support.databases import fresh_database

pytestmark = pytest.mark.acceptance

ORDERLY_END_S = 15.0
"""Far below the grace of a request (15 s) and of a worker (20 s): nothing was at work."""


def nothing_is_left(place: Place) -> None:
    until(lambda: not list(place.processes()), "no process of this folder is left", 20)


def test_the_first_start_makes_a_key_and_later_ones_keep_it(place: Place) -> None:
    service = place.serve_until_ready()
    first = place.config
    assert stat.S_IMODE((place.home / "config.toml").stat().st_mode) == 0o600
    assert first["api_key"].startswith("pk_live_")
    assert len(first["api_key"]) == len("pk_live_") + 64
    assert first["base_url"] == service.address
    with Client() as client:  # its home is this one, by the fixture of all tests
        client.datasets.create("street")
        service.stop()
    nothing_is_left(place)

    service = place.serve_until_ready()
    second = place.config
    assert second["api_key"] == first["api_key"]
    assert second["base_url"] == service.address != first["base_url"]
    with Client() as client:
        assert [dataset.name for dataset in client.datasets.list()] == ["street"]
    (place.home / "config.toml").unlink()
    service.send(signal.SIGINT)
    assert service.wait() == 0
    nothing_is_left(place)

    service = place.serve_until_ready()
    assert place.config["api_key"] != first["api_key"]
    with Client() as client:
        assert len(client.keys.list()) == 2
    with Client(first["api_key"]) as client:  # it was not revoked, only forgotten here
        assert client.datasets.get("street").image_count == 0
    service.send(signal.SIGKILL)
    nothing_is_left(place)


def test_a_config_file_of_the_published_command_line_is_kept_and_shared(place: Place) -> None:
    place.home.mkdir()
    theirs = '[default]\napi_key = "pk_live_theirs"\n\n[research]\napi_key = "pk_live_research"\n'
    (place.home / "config.toml").write_text(theirs)
    service = place.serve_until_ready("--workers", "0")
    ours = place.config
    assert theirs in (place.home / "config.toml").read_text()
    assert ours["local"] == {"base_url": ours["base_url"], "api_key": ours["api_key"]}
    assert "`pictograph --profile local` names this service" in service.said
    service.stop()

    # Its `login` writes its tables anew, and nothing else.
    own = f'[default]\napi_key = "{ours["api_key"]}"\nbase_url = "{ours["base_url"]}"\n'
    (place.home / "config.toml").write_text(own)
    place.serve_until_ready("--workers", "0")
    assert place.config["api_key"] == place.config["default"]["api_key"] == ours["api_key"]
    assert place.config["base_url"] == place.config["default"]["base_url"]
    with place.client() as client:
        assert len(client.keys.list()) == 1, "the key that was there goes on"


def test_a_home_that_cannot_be_written_is_said_in_one_line(place_of_nobody: Place) -> None:
    place_of_nobody.home.mkdir(mode=0o500)
    shutil.chown(place_of_nobody.home, "nobody", "nogroup")
    service = place_of_nobody.serve("--workers", "0")
    assert service.wait() == 2
    assert "config.toml cannot be written: Permission denied. Set PICTOGRAPH_HOME to a folder that can." in service.said
    assert "Traceback" not in service.said


def test_a_config_file_of_another_service_is_left_alone(place: Place) -> None:
    other = place.folder / "other"
    other.mkdir()
    place.home.mkdir()
    theirs = f'base_url = "http://127.0.0.1:1"\napi_key = "pk_live_theirs"\ndata_dir = {json.dumps(str(other))}\n'
    (place.home / "config.toml").write_text(theirs)

    service = place.serve_until_ready()

    assert (place.home / "config.toml").read_text() == theirs
    [shown] = [word for word in service.said.split() if word.startswith("pk_live_")]
    with Client(shown, base_url=service.address) as client:
        assert client.ready().encoder == "noop"


def test_two_services_never_share_a_folder_or_a_port(place: Place, tmp_path: Path) -> None:
    service = place.serve_until_ready("--workers", "2")
    until(lambda: len(place.workers()) == 2, "both workers run")
    port = place.config["base_url"].rpartition(":")[2]

    same_folder = place.serve()
    same_port = place.pictograph("serve", "--port", port, "--data-dir", str(tmp_path / "elsewhere"))
    assert same_folder.wait() == 2
    assert f"Another pictograph service already uses the data folder {place.data}" in same_folder.said
    assert same_port.wait() == 2
    assert f"Cannot listen on 127.0.0.1:{port}" in same_port.said
    assert not (tmp_path / "elsewhere" / "postgres").exists()
    assert "Traceback" not in same_folder.said + same_port.said
    with Client() as client:
        assert client.ready().workers == 2

    [worker, _] = place.workers()
    send(worker, signal.SIGKILL)
    until(lambda: worker not in place.workers() and len(place.workers()) == 2, "the killed worker was replaced")
    send(place.guard(), signal.SIGKILL)
    until(lambda: "started again" in service.said, "the service noticed")
    with Client(max_retries=10) as client:
        assert client.datasets.list() == []  # the SDK's retries bridge the gap
    service.stop()
    nothing_is_left(place)


def test_open_connections_do_not_hold_up_the_end(place: Place) -> None:
    service = place.serve_until_ready()
    port = int(place.config["base_url"].rpartition(":")[2])
    with (
        Client() as idle,
        socket.create_connection(("127.0.0.1", port)),
        socket.create_connection(("127.0.0.1", port)) as half,
    ):
        assert idle.datasets.list() == []
        half.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n")
        began = time.monotonic()
        service.stop()
        assert time.monotonic() - began < ORDERLY_END_S
    nothing_is_left(place)


def test_another_encoder_than_the_one_of_the_data_is_refused_in_one_line(place: Place) -> None:
    place.serve_until_ready("--workers", "0").stop()

    refused = place.pictograph("serve", "--port", "0", "--data-dir", str(place.data), "--encoder", "offline")

    assert refused.wait() == 5
    assert "noop" in refused.said
    assert "Traceback" not in refused.said
    nothing_is_left(place)


@pytest.mark.parametrize("moment", ["postgres.making*", "postgres/postmaster.pid"])
def test_a_start_that_is_ended_leaves_nothing(place: Place, moment: str) -> None:
    service = place.serve()
    until(lambda: list(place.data.glob(moment)), f"{moment} is there")
    service.send(signal.SIGTERM)
    assert service.wait() in (0, 128 + signal.SIGTERM)
    nothing_is_left(place)


def test_a_worker_that_cannot_reach_its_database_still_ends_when_asked(place: Place) -> None:
    worker = place.pictograph("worker", "--database-url", "postgresql://nobody@127.0.0.1:1/none", "--encoder", "noop")
    until(lambda: "error connecting" in worker.said, "it tries to connect, and will for 15 s")
    worker.send(signal.SIGTERM)
    assert worker.wait(10) == 0
    assert "Traceback" not in worker.said


def test_a_database_that_does_not_do_is_named(place: Place, database_url: str) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("CREATE EXTENSION IF NOT EXISTS vector")
        connection.execute("UPDATE pg_extension SET extversion = '0.8.1' WHERE extname = 'vector'")

    old = place.serve("--database-url", database_url)
    away = place.serve("--database-url", "postgresql://nobody@127.0.0.1:1/none")
    alone = place.pictograph("worker")

    assert old.wait() == 2
    assert "pgvector 0.8.1 is too old" in old.said
    assert away.wait() == 9
    assert "The database cannot be reached" in away.said
    assert alone.wait() == 2
    assert "pass --database-url" in alone.said
    assert "Traceback" not in old.said + away.said + alone.said
    assert not list(place.processes())


def test_a_database_user_who_may_not_install_pgvector_is_told_who_may(postgres: str) -> None:
    with fresh_database(postgres) as url, psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE ROLE ordinary LOGIN PASSWORD 'secret'")
        try:
            with pytest.raises(ConfigurationError, match="Let a superuser run `CREATE EXTENSION vector`"):
                migrate(make_conninfo(url, user="ordinary", password="secret"))
        finally:
            connection.execute("DROP ROLE ordinary")
