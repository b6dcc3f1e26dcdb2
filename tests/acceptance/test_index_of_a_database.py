"""The index outlives what the database outlives, and no more: tried with databases that are killed and taken back."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from pictograph.db.embedded import EmbeddedPostgres
from pictograph.db.migrate import migrate
from pictograph.search.memory.builder import Builder
from pictograph.search.memory.manifest import Manifest
from support.index import MANY

pytestmark = [pytest.mark.acceptance, pytest.mark.long]

LIBRARY = """
INSERT INTO organization (id, name) VALUES (gen_random_uuid(), 'o');
INSERT INTO dataset (id, organization_id, name) SELECT gen_random_uuid(), id, 'd' FROM organization;
INSERT INTO folder (dataset_id, path) SELECT id, '/' FROM dataset;
INSERT INTO blob VALUES (sha256('x'), 1);
INSERT INTO space (encoder, revision, dimension, active) VALUES ('e', '1', 1152, true)"""
PLACE = "SELECT dataset_id, id, (SELECT id FROM space) FROM folder"


@contextmanager
def database(folder: Path) -> Iterator[str]:
    """The database of a data folder, running."""
    server = EmbeddedPostgres.start(folder)
    try:
        yield server.conninfo
    finally:
        server.stop()


def write(conninfo: str, count: int) -> None:
    with psycopg.connect(conninfo) as connection:
        dataset, folder, space = connection.execute(PLACE).fetchone() or (0, 0, 0)
        connection.execute(MANY, {"count": count, "dataset": dataset, "folder": folder, "space": space})


def renew(conninfo: str, index: Path) -> tuple[Manifest, int]:
    """Brings the index up to date in a process that knows only the files; how many images it has."""
    builder = Builder(conninfo, index, worth_it_from=0)
    try:
        while builder.step():
            pass
        state = builder._state
    finally:
        builder.close()
    manifest = Manifest.read(index)
    assert manifest is not None
    assert state is not None
    return manifest, sum(held.alive for held in state.segments)


def test_the_index_outlives_a_killed_database_and_not_one_that_was_taken_back(tmp_path: Path) -> None:
    data, index = tmp_path / "data", tmp_path / "index"
    with database(data) as conninfo:
        migrate(conninfo)
        with psycopg.connect(conninfo, autocommit=True) as connection:
            for statement in LIBRARY.split(";"):
                connection.execute(statement.encode())
        write(conninfo, 40)
        first, images = renew(conninfo, index)
        assert images == 40
        write(conninfo, 2)
        (postmaster,) = data.glob("**/postmaster.pid")
        os.kill(int(postmaster.read_text().split()[0]), signal.SIGKILL)
    with database(data) as conninfo:
        second, images = renew(conninfo, index)
        assert (second.follower, images) == (first.follower, 42)
        assert second.era != first.era
    subprocess.run(["cp", "-a", data, tmp_path / "backup"], check=True)  # owners too
    with database(data) as conninfo:
        write(conninfo, 3)
        third, images = renew(conninfo, index)
        assert (third.follower, images) == (first.follower, 45)
    shutil.rmtree(data)
    (tmp_path / "backup").rename(data)
    with database(data) as conninfo:
        write(conninfo, 1)  # with the number of a transaction that the index has seen
        fourth, images = renew(conninfo, index)
        assert images == 43
        assert fourth.follower != first.follower
