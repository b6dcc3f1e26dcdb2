"""Who PostgreSQL's programs run as, and how one of them is started."""

from __future__ import annotations

import contextlib
import os
import pwd
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from pictograph.errors import ConfigurationError

CAPABILITIES: Final = {"CAP_CHOWN": 0, "CAP_DAC_OVERRIDE": 1, "CAP_FOWNER": 3, "CAP_SETGID": 6, "CAP_SETUID": 7}
"""What root needs to give an account a folder, to enter it all the same, and to become that account."""
ACCOUNT_VARIABLE: Final = "PICTOGRAPH_POSTGRES_ACCOUNT"
WAYS_OUT: Final = "Or run pictograph as an ordinary user, or pass --database-url."


@dataclass(frozen=True, slots=True)
class Account:
    """Who PostgreSQL runs as; -1, -1 = the user of this process."""

    uid: int
    gid: int
    name: str = ""

    @property
    def arguments(self) -> list[str]:
        return [str(self.uid), str(self.gid)]

    @property
    def is_another(self) -> bool:
        """False if PostgreSQL runs as the user of this process."""
        return self.uid >= 0


def postgres_account() -> Account:
    """Ourselves; as root, the account that is named, else `postgres` if there is one, else `nobody`.

    Raises ConfigurationError if the named one is not there, or if root may not become another.
    """
    if os.geteuid() != 0:
        return Account(-1, -1)
    require_capabilities()
    named = os.environ.get(ACCOUNT_VARIABLE)
    for name in (named,) if named else ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            entry = pwd.getpwnam(name)
            if entry.pw_uid != 0:
                return Account(entry.pw_uid, entry.pw_gid, name)
    missing = (
        f"{ACCOUNT_VARIABLE} names no ordinary account: {named!r}"
        if named
        else "there is neither `postgres` nor `nobody`"
    )
    raise ConfigurationError(
        f"PostgreSQL refuses to run as root, and there is no account to run it as: {missing}. "
        f"Name one that is there in {ACCOUNT_VARIABLE}. {WAYS_OUT}"
    )


def require_capabilities() -> None:
    """A container may be without some. Where the kernel does not say, what is missing shows later."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
        effective = int(next(line.split()[1] for line in lines if line.startswith("CapEff:")), 16)
    except (OSError, StopIteration):
        return
    if missing := [name for name, number in CAPABILITIES.items() if not effective >> number & 1]:
        raise ConfigurationError(
            f"PostgreSQL refuses to run as root, and this root lacks {', '.join(missing)} to run it as another "
            f"account. Give the container what is missing. {WAYS_OUT}"
        )


def launch(mode: str, account: Account, command: list[str], output: IO[bytes] | int) -> subprocess.Popen[bytes]:
    """Starts `launch.py` in this mode; its documentation says what the modes are."""
    script = str(Path(__file__).with_name("launch.py"))
    return subprocess.Popen(
        [sys.executable, "-I", "-S", script, mode, *account.arguments, "--", *command],
        stdin=subprocess.PIPE,
        stdout=output,
        stderr=subprocess.STDOUT,
        cwd="/",
        env=program_environment(),
        start_new_session=True,  # Ctrl-C in the terminal is ours to handle, in order
    )


def program_environment() -> dict[str, str]:
    """Without PG* variables, which would point initdb and postgres elsewhere."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PG")} | {"LC_ALL": "C"}


def run_program(account: Account, command: list[str], mode: str = "run") -> str:
    """What the program prints. Raises ConfigurationError with the end of that if it fails."""
    process = launch(mode, account, command, subprocess.PIPE)
    output, _ = process.communicate()
    said = output.decode(errors="replace").strip()
    if process.returncode != 0:
        raise ConfigurationError(
            f"{when_full(said)}{Path(command[0]).name} failed ({process.returncode}): {said[-800:]}"
        )
    return said


def when_full(said: str) -> str:
    """What comes before a program's own words if a disk without room is the reason; else nothing."""
    return "The disk is full: make room there, then start again. " if "No space left on device" in said else ""


def what_it_does_not_reach(account: Account, program: Path, folder: Path) -> set[str]:
    """`program` and `folder`, each if the account does not reach it."""
    process = launch("reach", account, [str(program), str(folder)], subprocess.PIPE)
    output, _ = process.communicate()
    said = output.decode(errors="replace").strip()
    if process.returncode != 0:
        raise ConfigurationError(
            f"PostgreSQL refuses to run as root and cannot be run as the account `{account.name}`: {said[-800:]}. "
            f"{WAYS_OUT}"
        )
    return set(said.split())
