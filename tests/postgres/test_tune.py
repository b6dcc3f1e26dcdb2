"""`pictograph tune`: measured for real beside a library, kept for it, and nothing left behind."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path

import psycopg
import pytest
from psycopg.types.json import Jsonb

from pictograph.db.embedded import EmbeddedPostgres, conninfo_of_running
from pictograph.db.migrate import packaged_migrations
from pictograph.db.pool import Database
from pictograph.db.scratch import drop_left_scratch, scratch_database
from pictograph.errors import ConfigurationError, ConflictError
from pictograph.index.costs import forget_costs, save_costs
from pictograph.search.execute import Executor
from pictograph.search.planner import Costs
from pictograph.search.tuning.use import FollowedCosts, costs_in_use, store_costs
from pictograph.services import library_database, open_services
from pictograph.settings import Settings
from support.commands import Command, runner
from support.planting import Garden

OTHERS = replace(Costs(), exact_row_us=3.0, exact_up_to=700)
LEAST = ("--images", 10_100, "--seconds", 4)


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """Runs `pictograph ...` in this process: (exit code, standard output, standard error)."""
    return runner(monkeypatch, capsys)


def scratches(url: str) -> list[str]:
    """Scratch databases of this library."""
    with psycopg.connect(url) as connection:
        rows = connection.execute(
            "SELECT d.datname FROM pg_database d, pg_database own"
            " WHERE own.datname = current_database() AND d.datname LIKE 'pictograph\\_scratch\\_' || own.oid"
        ).fetchall()
    return [row[0] for row in rows]


async def test_costs_are_kept_and_followed_until_they_are_forgotten(database: Database) -> None:
    executor = Executor(database)
    followed = FollowedCosts(database, executor)
    assert (await costs_in_use(database)).measured is None
    await store_costs(database, replace(OTHERS, exact_up_to=900), "first")
    await store_costs(database, OTHERS, "second")
    now = await costs_in_use(database)
    assert now.measured is not None
    assert (now.costs, now.measured.machine, now.ignored) == (OTHERS, "second", None)
    await followed.refresh()
    assert executor.costs == OTHERS
    assert await forget_costs(database)
    assert not await forget_costs(database)
    await followed.refresh()
    assert executor.costs == Costs()


async def test_nonsense_is_not_stored(database: Database) -> None:
    with pytest.raises(ConfigurationError, match="code_row_us"):
        await store_costs(database, replace(Costs(), code_row_us=-0.001), "here")
    assert (await costs_in_use(database)).measured is None


async def test_what_another_version_stored_is_left_aside_and_said(database: Database) -> None:
    await save_costs(database, {"statement_ms": 1.0}, "elsewhere")
    now = await costs_in_use(database)
    assert (now.costs, now.measured) == (Costs(), None)
    assert now.ignored is not None
    assert "exact_row_us" in now.ignored


async def test_a_service_plans_with_what_was_measured(database_url: str, database: Database, tmp_path: Path) -> None:
    await store_costs(database, OTHERS, "here")
    settings = Settings.load({"data_dir": tmp_path, "workers": 0, "encoder": "noop"}, {})
    async with open_services(settings, database_url) as services:
        assert services.search.executor.costs == OTHERS
        await forget_costs(database)
        await services.costs.refresh()
        assert services.search.executor.costs == Costs()


def test_a_scratch_database_has_our_schema_and_is_gone_afterwards(database_url: str) -> None:
    with scratch_database(database_url) as scratch:
        with psycopg.connect(scratch) as connection:
            row = connection.execute("SELECT count(*) FROM schema_migration").fetchone()
        assert row == (len(packaged_migrations()),)
        assert len(scratches(database_url)) == 1
    assert scratches(database_url) == []


def test_a_scratch_database_is_gone_after_a_failure_too_whoever_is_connected(database_url: str) -> None:
    def fails() -> None:
        with scratch_database(database_url) as scratch:
            connected.append(psycopg.connect(scratch))
            raise RuntimeError("in the middle")

    connected: list[psycopg.Connection] = []
    with pytest.raises(RuntimeError):
        fails()
    assert scratches(database_url) == []
    connected[0].close()


def test_only_one_measures_a_library_at_a_time(database_url: str) -> None:
    with scratch_database(database_url) as scratch:
        with pytest.raises(ConflictError, match="Another"), scratch_database(database_url):
            pass
        drop_left_scratch(database_url)  # as a service does that starts meanwhile
        psycopg.connect(scratch).close()


@pytest.fixture
def killed_tune(database_url: str) -> None:
    """A measurement that was killed while its database was there."""
    arguments = ["tune", "--database-url", database_url, "--images", "10100", "--seconds", "60"]
    process = subprocess.Popen(
        [sys.executable, "-m", "pictograph", *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 60
    while not scratches(database_url) and time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert scratches(database_url), "it was killed too late, or never came so far"


@pytest.mark.usefixtures("killed_tune")
def test_what_a_killed_one_left_is_gone_after_the_next(database_url: str) -> None:
    for _ in range(100):
        try:
            with scratch_database(database_url):
                break
        except ConflictError:  # the server has not noticed yet that the killed one is gone
            time.sleep(0.1)
    assert scratches(database_url) == []


@pytest.mark.usefixtures("killed_tune")
def test_what_a_killed_one_left_is_gone_once_a_service_starts(database_url: str) -> None:
    for _ in range(100):
        with library_database(Settings.load({"database_url": database_url}, {})):
            pass
        if not scratches(database_url):
            return
        time.sleep(0.1)
    pytest.fail("the database is still there")


def test_tune_measures_stores_shows_and_forgets(command: Command, database_url: str, garden: Garden) -> None:
    at = ("tune", "--database-url", database_url, "--json")
    code, out, err = command(*at, "--dry-run", *LEAST)
    assert (code, err) == (0, ""), err
    dry = json.loads(out)
    assert (dry["stored"], dry["before"], dry["defaults"]) == (False, asdict(Costs()), asdict(Costs()))
    assert {one["step"] for one in dry["timings"]} == {"exact", "exact, tags", "codes", "rerank"}
    assert all(one["measured_ms"] > 0 for one in dry["timings"])
    assert json.loads(command(*at, "--show")[1])["measured"] is None
    code, out, err = command(*at, *LEAST)
    assert (code, err) == (0, ""), err
    measured = json.loads(out)
    shown = json.loads(command(*at, "--show")[1])
    assert (shown["costs"], shown["crossovers"]) == (measured["costs"], measured["crossovers"])
    assert shown["measured"]["machine"]
    assert "measured 2" in command("tune", "--database-url", database_url, "--show")[1]
    assert json.loads(command(*at, "--reset")[1])["costs"] == asdict(Costs())
    assert json.loads(command(*at, "--show")[1])["measured"] is None
    assert scratches(database_url) == []
    with psycopg.connect(database_url) as connection:
        assert connection.execute("SELECT count(*) FROM image").fetchone() == (0,)


def test_options_that_contradict_each_other_are_refused(command: Command, database_url: str) -> None:
    code, _, err = command("tune", "--database-url", database_url, "--show", "--reset")
    assert code == 2
    assert "Give one of --dry-run, --show, --reset" in err


def test_a_role_that_may_make_no_database_is_told_so(database_url: str) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("DROP ROLE IF EXISTS pictograph_poor")
        connection.execute("CREATE ROLE pictograph_poor LOGIN PASSWORD 'poor'")
    poor = psycopg.conninfo.make_conninfo(database_url, user="pictograph_poor", password="poor")
    try:
        with pytest.raises(ConfigurationError, match="CREATEDB"), scratch_database(poor):
            pass
    finally:
        with psycopg.connect(database_url, autocommit=True) as connection:
            connection.execute("DROP ROLE pictograph_poor")


def test_the_embedded_database_of_a_running_service_can_be_reached(tmp_path: Path, command: Command) -> None:
    assert conninfo_of_running(tmp_path) is None
    server = EmbeddedPostgres.start(tmp_path)
    try:
        with library_database(Settings.load({"data_dir": tmp_path}, {})) as url, psycopg.connect(url) as connection:
            stored = Jsonb(asdict(OTHERS))
            connection.execute("INSERT INTO search_costs (costs, machine, version) VALUES (%s, 'there', '1')", [stored])
        shown = json.loads(command("tune", "--data-dir", tmp_path, "--show", "--json")[1])
        assert (shown["measured"]["machine"], shown["costs"]["exact_row_us"]) == ("there", 3.0)
    finally:
        server.stop()
    assert conninfo_of_running(tmp_path) is None
