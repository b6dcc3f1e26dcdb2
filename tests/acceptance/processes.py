"""Real processes on a folder of their own: started, looked at through /proc, killed, and never left behind."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import httpx
import pytest
from psycopg.conninfo import make_conninfo

from pictograph.client import Client
from pictograph.db.cluster import PORT, SUPERUSER
from pictograph.db.embedded import DATABASE

Found = TypeVar("Found")
PATIENCE_S = 60.0
"""How long a condition may take on a busy machine before the test fails; nothing waits this long when all is well."""
HOLDER = Path(__file__).with_name("holder.py")
AS_NOBODY = (
    *("setpriv", "--reuid", "nobody", "--regid", "nogroup", "--clear-groups"),
    # Only to read the interpreter and this checkout, wherever root keeps them; access(2) must see that too.
    *("--inh-caps", "+dac_read_search", "--ambient-caps", "+dac_read_search", "--securebits", "+no_setuid_fixup"),
)


def until(condition: Callable[[], Found], what: str, timeout_s: float = PATIENCE_S) -> Found:
    """What the condition gives once it is true."""
    deadline = time.monotonic() + timeout_s
    while not (found := condition()):
        if time.monotonic() > deadline:
            pytest.fail(f"after {timeout_s:.0f} s not yet: {what}")
        time.sleep(0.02)
    return found


@dataclass
class Place:
    """A data folder, a home with the config file, and every process that was started on them."""

    folder: Path
    prefix: Sequence[str] = ()
    """Put before each command, to run as another user."""
    environment: dict[str, str] = field(default_factory=dict)
    data_name: str = "data"
    started: list[Running] = field(default_factory=list)

    @property
    def data(self) -> Path:
        return self.folder / self.data_name

    @property
    def home(self) -> Path:
        return self.folder / "home"

    @property
    def cluster(self) -> Path:
        return self.data / "postgres"

    @property
    def config(self) -> dict[str, Any]:
        return tomllib.loads((self.home / "config.toml").read_text())

    @property
    def sockets(self) -> Path:
        settings = (self.cluster / "pictograph.conf").read_text().splitlines()
        line = next((line for line in settings if line.startswith("unix_socket_directories")), None)
        if line is None:
            raise FileNotFoundError("a service that starts is just writing the settings")
        return Path(line.split(" = ")[1].strip("'"))

    @property
    def conninfo(self) -> str:
        """Of the embedded database, as the superuser."""
        return make_conninfo(
            host=str(self.sockets),
            port=PORT,
            user=SUPERUSER,
            password=(self.data / "postgres.password").read_text(),
            dbname=DATABASE,
        )

    def start(self, *command: str, **environment: str) -> Running:
        """A Python process; its output is kept in a file."""
        output = self.folder / f"output.{len(self.started)}"
        with output.open("wb") as file:
            process = subprocess.Popen(
                [*self.prefix, sys.executable, *command],
                stdin=subprocess.PIPE,
                stdout=file,
                stderr=subprocess.STDOUT,
                cwd="/",
                env=os.environ | {"PICTOGRAPH_HOME": str(self.home)} | self.environment | environment,
                start_new_session=True,
            )
        running = Running(process, output)
        self.started.append(running)
        return running

    def hold_database(self, **environment: str) -> Running:
        """Only the embedded PostgreSQL, held by a small process in the service's stead; it answers on return."""
        holder = self.start(str(HOLDER), str(self.data), **environment)
        until(lambda: "ready" in holder.said or holder.ended, "the database answers")
        assert not holder.ended, holder.said
        return holder

    def pictograph(self, *arguments: str, **environment: str) -> Running:
        return self.start("-m", "pictograph", *arguments, **environment)

    def serve(self, *options: str, **environment: str) -> Running:
        """The whole service with the noop encoder on a free port, not waited for."""
        defaults = ("serve", "--port", "0", "--data-dir", str(self.data), "--encoder", "noop")
        return self.pictograph(*defaults, *options, **environment)

    def serve_until_ready(self, *options: str, **environment: str) -> Running:
        """As `serve`; takes requests on return."""
        service = self.serve(*options, **environment)
        until(lambda: service.ended or self._is_ready(service), "the service is ready")
        assert not service.ended, service.said
        return service

    def _is_ready(self, service: Running) -> bool:
        address = service.address
        if address is None:
            return False
        try:
            return httpx.get(f"{address}/ready", timeout=10).status_code == 200
        except httpx.TransportError:
            return False

    def client(self, **options: Any) -> Client:
        """With what the config file says now."""
        return Client(self.config["api_key"], base_url=self.config["base_url"], **options)

    def postgres_processes(self) -> list[int]:
        """Guard, server and its children."""
        return [pid for pid, program in self.processes() if program in {"postgres", "guard", "initdb"}]

    def workers(self) -> list[int]:
        return [pid for pid, program in self.processes() if program == "worker"]

    def serving(self) -> list[int]:
        """Processes that answer beside others; none where the service itself answers."""
        return sorted(pid for pid, program in self.processes() if program == "serving")

    def guard(self) -> int:
        return next(pid for pid, program in self.processes() if program == "guard")

    def postmaster(self) -> int:
        return int((self.cluster / "postmaster.pid").read_text().splitlines()[0])

    def postmaster_or_none(self) -> int | None:
        try:
            return self.postmaster()
        except (OSError, ValueError, IndexError):
            return None

    def processes(self) -> Iterator[tuple[int, str]]:
        """Every living process of this place, and what: guard, postgres, initdb, worker, serving, pictures, other."""
        for pid in (int(entry) for entry in os.listdir("/proc") if entry.isdigit()):
            if pid != os.getpid() and (program := self._program(Path("/proc") / str(pid))):
                yield pid, program

    def _program(self, process: Path) -> str | None:
        try:
            arguments = process.joinpath("cmdline").read_bytes().split(b"\0")
            if not arguments[0]:
                return None  # a zombie
            named = bytes(self.data) in b"\0".join(arguments)
            inside = self.data in Path(os.readlink(process / "cwd")).parents
            if not (named or inside):
                set_by_us = process.joinpath("environ").read_bytes().split(b"\0")
                named = b"PICTOGRAPH_DATA_DIR=" + bytes(self.data) in set_by_us
        except (OSError, IndexError):
            return None  # ended meanwhile
        if not (named or inside):
            return None
        if b"guard" in arguments:
            return "guard"
        if inside or os.path.basename(arguments[0]) == b"postgres":
            return "postgres"
        if b"initdb" in os.path.basename(arguments[0]) or b"run" in arguments:
            return "initdb"
        if b"serve-http" in arguments:
            return "serving"
        if b"encode-pictures" in arguments:
            return "pictures"
        return "worker" if b"worker" in arguments else "other"

    def kill_everything(self) -> None:
        """What a power cut does, as far as processes go: all at once, until none is left."""
        until(self._kill_round, "every process is gone")

    def _kill_round(self) -> bool:
        pids = [pid for pid, _ in self.processes()]
        for pid in pids:
            send(pid, signal.SIGKILL)
        for running in self.started:
            running.process.poll()
        return not pids

    def clean(self) -> None:
        for running in self.started:
            if not running.ended:
                running.process.kill()
            running.process.wait()
            if running.process.stdin:
                running.process.stdin.close()
        self.kill_everything()
        if self.cluster.exists() and self.sockets.parent != self.data:
            shutil.rmtree(self.sockets, ignore_errors=True)


@dataclass
class Running:
    """One process."""

    process: subprocess.Popen[bytes]
    output: Path

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def ended(self) -> bool:
        return self.process.poll() is not None

    @property
    def said(self) -> str:
        return self.output.read_text(errors="replace")

    @property
    def address(self) -> str | None:
        """What a service announced."""
        _, found, rest = self.said.partition("Pictograph is ready at ")
        return rest.split()[0] if found and rest.split() else None

    def send(self, number: int) -> None:
        send(self.pid, number)

    def wait(self, timeout_s: float = PATIENCE_S) -> int:
        """The exit code."""
        try:
            return self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            pytest.fail(f"still running after {timeout_s:.0f} s:\n{self.said[-3000:]}")

    def stop(self) -> None:
        """SIGTERM, and the orderly end that it must bring."""
        self.send(signal.SIGTERM)
        assert self.wait() == 0, self.said[-3000:]


def send(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)
