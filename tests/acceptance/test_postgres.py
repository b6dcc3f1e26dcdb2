"""The embedded PostgreSQL: where it starts, what cannot hinder it, and that it never outlives its holder."""

from __future__ import annotations

import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from acceptance.processes import HOLDER, Place, send, until

pytestmark = pytest.mark.acceptance

NONSENSE = {
    "PGHOST": "/nowhere",
    "PGHOSTADDR": "192.0.2.1",
    "PGPORT": "1",
    "PGUSER": "nobody-we-know",
    "PGPASSWORD": "wrong",
    "PGDATABASE": "missing",
    "PGSERVICE": "missing",
    "PGOPTIONS": "-c no_such_setting=1",
    "PGDATA": "/nowhere",
    "PGSSLMODE": "verify-full",
    "PGTZ": "Mars",
    "PGCONNECT_TIMEOUT": "soon",
    "PGCLIENTENCODING": "none",
}
OTHER_LOCALE = {"LC_ALL": "C"}
if (sys.prefix + __file__).isascii():
    NONSENSE["LC_ALL"] = "xx_YY"
else:  # Python itself reads no path file of this installation under such a locale
    OTHER_LOCALE.clear()


def write_row(place: Place) -> None:
    with psycopg.connect(place.conninfo) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS kept (n int)")
        connection.execute("INSERT INTO kept VALUES (1)")


def rows(place: Place) -> int:
    """-1 while nobody answers."""
    try:
        with psycopg.connect(place.conninfo, connect_timeout=5) as connection:
            row = connection.execute("SELECT count(*) FROM kept").fetchone()
            return int(row[0]) if row else 0
    except psycopg.OperationalError:
        return -1


def rights_above(folder: Path) -> dict[Path, tuple[int, int, int]]:
    """Permissions and owners of every folder on the way."""
    found = {parent: parent.stat() for parent in folder.parents}
    return {parent: (status.st_mode, status.st_uid, status.st_gid) for parent, status in found.items()}


def nothing_is_left(place: Place) -> None:
    until(lambda: not place.postgres_processes(), "no postgres process of this folder is left", 20)


@contextmanager
def stranger(*command: str) -> Iterator[subprocess.Popen[bytes]]:
    """A process that has nothing to do with us, of the user who owns the folder."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        yield process
        assert process.poll() is None, "the stranger was hurt"
    finally:
        process.kill()
        process.wait()


def test_it_starts_below_a_private_folder_and_changes_no_right_of_any_parent(anyones_place: Place) -> None:
    private = anyones_place.folder / "private"
    private.mkdir(mode=0o700)
    if anyones_place.prefix:
        shutil.chown(private, "nobody", "nogroup")
    anyones_place.data_name = "private/data"
    before = rights_above(anyones_place.data)

    holder = anyones_place.hold_database()

    assert rights_above(anyones_place.data) == before
    assert os.stat(f"/proc/{anyones_place.postmaster()}").st_uid != 0
    assert stat.S_IMODE((anyones_place.data / "postgres.password").stat().st_mode) == 0o600
    write_row(anyones_place)
    holder.stop()
    nothing_is_left(anyones_place)
    anyones_place.hold_database()
    assert rows(anyones_place) == 1


def test_a_path_too_long_for_a_socket_gets_a_private_folder_that_goes_with_the_server(place: Place) -> None:
    place.data_name = "/".join(["x" * 40] * 4)
    holder = place.hold_database()

    folder = Path(psycopg.conninfo.conninfo_to_dict(place.conninfo)["host"])
    assert folder.parent == Path(tempfile.gettempdir())
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    write_row(place)
    holder.stop()
    assert not folder.exists()


@pytest.mark.parametrize("name", ["ü ö ß 写真 $HOME `x` %s", 'it\'s "a", b\\n; c'])
def test_no_character_of_the_path_and_no_variable_of_libpq_hinders_it(place: Place, name: str) -> None:
    place.data_name = name
    place.hold_database(**NONSENSE).stop()
    holder = place.hold_database(**OTHER_LOCALE)  # what it wrote is found again under another locale
    write_row(place)
    holder.send(signal.SIGKILL)
    nothing_is_left(place)


def test_a_second_holder_of_a_folder_is_refused_and_the_first_goes_on(place: Place) -> None:
    place.hold_database()
    write_row(place)

    second = place.start(str(HOLDER), str(place.data))

    assert second.wait() == 1
    assert f"Another pictograph service already uses the data folder {place.data}" in second.said
    assert rows(place) == 1


def test_stale_pid_files_that_name_a_living_stranger_hinder_nobody_and_hurt_nobody(anyones_place: Place) -> None:
    place = anyones_place
    holder = place.hold_database()
    write_row(place)
    place.kill_everything()
    stale = (place.cluster / "postmaster.pid").read_text().splitlines()
    assert holder.ended

    for command in (["sleep", "600"], ["tail", "-f", str(place.cluster / "postgresql.conf")]):
        with stranger(*place.prefix, *command) as process:
            pid_file = place.cluster / "postmaster.pid"
            pid_file.write_text("\n".join([str(process.pid), *stale[1:]]) + "\n")
            for lock in (place.data / "run").glob(".s.PGSQL.*.lock"):
                lock.write_text(pid_file.read_text())
            place.hold_database()
            assert rows(place) == 1
            place.kill_everything() if "tail" not in command else send(place.started[-1].pid, signal.SIGTERM)
    nothing_is_left(place)


def test_a_start_that_was_killed_in_the_middle_of_initdb_can_be_repeated(place: Place) -> None:
    cut_off = place.start(str(HOLDER), str(place.data))
    until(lambda: list(place.data.glob("postgres.making*/base/*")), "initdb is at work")
    cut_off.send(signal.SIGKILL)
    assert not place.cluster.exists()

    place.hold_database()

    write_row(place)
    assert not list(place.data.glob("postgres.making*"))
    assert sorted(path.name for path in place.data.iterdir()) == [
        *("postgres", "postgres.lock", "postgres.log", "postgres.password"),
        *(["run"] if (place.data / "run").exists() else []),
    ]


def test_what_cannot_work_is_said_at_once(place: Place) -> None:
    place.hold_database().stop()
    version, password = place.cluster / "PG_VERSION", place.data / "postgres.password"
    right_version, right_password = version.read_text(), password.read_text()

    def refusal() -> str:
        holder = place.start(str(HOLDER), str(place.data))
        assert holder.wait() == 1
        assert "Traceback" not in holder.said
        nothing_is_left(place)
        return holder.said

    version.write_text("17\n")
    assert "was written by PostgreSQL 17, but version 18 is installed" in refusal()
    version.unlink()
    assert "holds no PostgreSQL data" in refusal()
    version.write_text(right_version)
    password.write_text("0" * 48)
    assert "does not hold the password of the database" in refusal()
    password.unlink()
    assert "is gone" in refusal()
    password.write_text(right_password)
    place.hold_database()


def test_a_folder_that_cannot_be_written_is_said_at_once(place_of_nobody: Place) -> None:
    os.chmod(place_of_nobody.folder, 0o500)
    holder = place_of_nobody.start(str(HOLDER), str(place_of_nobody.data))
    assert holder.wait() == 1
    assert f"The data folder {place_of_nobody.data} cannot be used" in holder.said


def test_a_server_that_is_killed_comes_back_and_still_ends_with_its_holder(place: Place) -> None:
    holder = place.hold_database()
    write_row(place)

    for victim in (place.guard, place.postmaster):
        pid = victim()
        send(pid, signal.SIGKILL)
        until(lambda pid=pid: place.postmaster_or_none() not in (None, pid), "another server was started")
        until(lambda: rows(place) == 1, "the server is back with its row")
    assert not holder.ended

    send(place.postmaster(), signal.SIGSTOP)
    send(place.postmaster(), signal.SIGCONT)
    holder.send(signal.SIGKILL)
    nothing_is_left(place)


def test_killed_guard_and_holder_leave_no_server(place: Place) -> None:
    holder = place.hold_database()
    guard = place.guard()
    holder.send(signal.SIGSTOP)  # so that it cannot start another
    send(guard, signal.SIGKILL)
    until(lambda: not [p for p in place.postgres_processes() if p != guard], "the server ended with its guard", 20)
    holder.send(signal.SIGKILL)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_start_that_is_interrupted_leaves_nothing(place: Place, number: int) -> None:
    holder = place.start(str(HOLDER), str(place.data))
    until(lambda: list(place.data.glob("postgres.making*/base/*")), "initdb is at work")
    holder.send(number)
    holder.wait()
    nothing_is_left(place)
