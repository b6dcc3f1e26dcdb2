"""A service for this process alone, as a child process: what `Client.embedded` starts."""

from __future__ import annotations

import atexit
import contextlib
import os
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from weakref import WeakSet

import httpx

from pictograph.errors import ConfigurationError
from pictograph.localconfig import LocalConfig, config_path, parse_config
from pictograph.network import route_to

START_TIMEOUT_S: Final = 120.0
STOP_TIMEOUT_S: Final = 40.0


@dataclass(slots=True, weakref_slot=True, eq=False)
class LocalService:
    """A service that runs on one data folder: joined, or started and then ours to end."""

    base_url: str
    api_key: str = field(repr=False)
    _process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @classmethod
    def join_or_start(cls, data_dir: Path, *, encoder: str | None = None) -> LocalService:
        """The service on this folder. Raises ConfigurationError if there is none and none can be started."""
        data_dir = data_dir.expanduser().resolve()
        if running := find_running(data_dir):
            return running
        try:
            data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
            with one_at_a_time(data_dir):
                return running_unless_free(data_dir) or start(data_dir, encoder)
        except OSError as error:
            raise ConfigurationError(f"The data folder {data_dir} cannot be used: {error}.") from error

    def __reduce__(self) -> tuple[type[LocalService], tuple[str, str]]:
        return type(self), (self.base_url, self.api_key)  # a copy has joined it, and does not end it

    def disown(self) -> None:
        """Leaves the service to the process that started it, in a forked child.

        It ends when its standard input closes, so a child that kept that open would keep it alive.
        """
        process, self._process = self._process, None
        if process and process.stdin:
            process.stdin.close()
            process.returncode = 0  # it is not this process's child: nobody here can wait for it

    def stop(self) -> None:
        """Ends the service if this object started it; returns when it is gone."""
        if self._process is None:
            return
        atexit.unregister(self.stop)
        if self._process.stdin:
            self._process.stdin.close()
        try:
            self._process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None


STARTED: Final[WeakSet[LocalService]] = WeakSet()
"""Those that this process ends."""


def disown_all() -> None:
    """Called in each forked child."""
    for service in list(STARTED):
        service.disown()
    STARTED.clear()


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=disown_all)


@contextlib.contextmanager
def one_at_a_time(data_dir: Path) -> Iterator[None]:
    """Of two programs that ask for the same folder at the same time, the second joins what the first has started."""
    import fcntl  # noqa: PLC0415 - not on Windows, where the rest of the SDK works

    with (data_dir / "embedded.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def find_running(data_dir: Path) -> LocalService | None:
    """The service that says it serves this folder, if it answers to the key it wrote down."""
    for path in (data_dir / "config.toml", config_path()):
        config = config_for(path, data_dir)
        if config and config.base_url and config.api_key and answers(config.base_url, config.api_key):
            return LocalService(config.base_url, config.api_key)
    return None


def running_unless_free(data_dir: Path) -> LocalService | None:
    """A service to join, or None once nobody holds the folder.

    After the end of a notebook's kernel its service may take some seconds to stop, and answers no more meanwhile.
    """
    deadline = time.monotonic() + STOP_TIMEOUT_S
    while not (running := find_running(data_dir)):
        if not is_held(data_dir) or time.monotonic() > deadline:
            return None
        time.sleep(0.05)
    return running


def is_held(data_dir: Path) -> bool:
    """True while a service has the database's lock (`db.embedded.lock_folder`)."""
    import fcntl  # noqa: PLC0415

    with contextlib.suppress(FileNotFoundError), (data_dir / "postgres.lock").open() as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def config_for(path: Path, data_dir: Path) -> LocalConfig | None:
    with contextlib.suppress(OSError, tomllib.TOMLDecodeError, UnicodeDecodeError):
        config = parse_config(path.read_text(encoding="utf-8"))
        return config if config.data_dir == str(data_dir) else None
    return None


def answers(base_url: str, api_key: str) -> bool:
    try:
        transport = route_to(base_url).transport(httpx.Limits(max_connections=1))
        with httpx.Client(transport=transport, trust_env=False, timeout=5) as http:
            answer = http.get(f"{base_url}/api/v1/developer/datasets/", headers={"X-API-Key": api_key})
    except (httpx.RequestError, httpx.InvalidURL):
        return False
    return answer.status_code == 200


def start(data_dir: Path, encoder: str | None) -> LocalService:
    log = data_dir / "service.log"
    command = [
        sys.executable,
        "-m",
        "pictograph",
        "serve",
        "--exit-with-parent",
        "--port",
        "0",
        "--data-dir",
        str(data_dir),
    ]
    command += ["--encoder", encoder] if encoder else []
    with log.open("ab") as output:
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=output,
            env=service_environment(data_dir),
            start_new_session=True,  # Ctrl-C in a notebook interrupts the cell, not the service
        )
    return wait_until_ready(process, data_dir, log)


def service_environment(data_dir: Path) -> dict[str, str]:
    """Ours, without what would lead the service away from this folder and this machine."""
    elsewhere = {f"PICTOGRAPH_{name}" for name in ("HOST", "PUBLIC_URL", "DATABASE_URL", "BLOB_URL")}
    kept = {name: value for name, value in os.environ.items() if name not in elsewhere}
    return kept | {"PICTOGRAPH_HOME": str(data_dir)}


def wait_until_ready(process: subprocess.Popen[bytes], data_dir: Path, log: Path) -> LocalService:
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline:
        running = find_running(data_dir)
        if running:
            running._process = process
            STARTED.add(running)
            atexit.register(running.stop)
            return running
        if process.poll() is not None:
            break
        time.sleep(0.05)
    process.kill()
    process.communicate()
    end = log.read_bytes()[-1500:].decode(errors="replace").strip()
    raise ConfigurationError(f"The embedded service did not start. The end of {log}:\n{end}")
