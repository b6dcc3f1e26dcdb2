"""One PostgreSQL for the whole run, one database for each test."""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from pictograph.db.embedded import EmbeddedPostgres
from pictograph.db.migrate import migrate
from pictograph.db.pool import Database
from support.databases import fresh_database
from support.planting import Garden

TEMPLATE = f"pictograph_test_template_{os.environ.get('PYTEST_XDIST_WORKER', 'alone')}"

for number in (signal.SIGINT, signal.SIGQUIT):
    # A shell that starts the run in the background has them ignored, and all that a test starts would inherit that.
    if signal.getsignal(number) is signal.SIG_IGN:
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server to make databases on: TEST_DATABASE_URL, or a private one that may lose everything at a power cut."""
    if given := os.environ.get("TEST_DATABASE_URL"):
        yield given
        return
    server = EmbeddedPostgres.start(tmp_path_factory.mktemp("postgres"))
    with psycopg.connect(server.conninfo, autocommit=True) as connection:
        for setting in ("fsync", "synchronous_commit", "full_page_writes"):
            connection.execute(f"ALTER SYSTEM SET {setting} = off")
        connection.execute("SELECT pg_reload_conf()")
    yield server.conninfo
    server.stop()


@pytest.fixture(scope="session")
def template(postgres: str) -> Iterator[str]:
    """A migrated, empty database to copy."""
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE IF EXISTS {TEMPLATE}")
        connection.execute(f"CREATE DATABASE {TEMPLATE}")
    migrate(make_conninfo(postgres, dbname=TEMPLATE))
    yield TEMPLATE
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {TEMPLATE}")


@pytest.fixture
def database_url(postgres: str, template: str) -> Iterator[str]:
    """A fresh copy of the template, dropped afterwards."""
    with fresh_database(postgres, template) as url:
        yield url


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """An open pool on a database of its own."""
    database = Database(database_url, max_connections=8)
    await database.open()
    yield database
    await database.close()


@pytest.fixture
async def garden(database: Database) -> Garden:
    """One organization to plant images in."""
    return await Garden.open(database)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No test reads or writes the config of whoever runs it."""
    folder = tmp_path / "home"
    monkeypatch.setenv("PICTOGRAPH_HOME", str(folder))
    for name in ("API_KEY", "BASE_URL", "TIMEOUT", "MAX_RETRIES"):
        monkeypatch.delenv(f"PICTOGRAPH_{name}", raising=False)
    return folder
