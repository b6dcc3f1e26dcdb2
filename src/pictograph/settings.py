"""Every setting of the service: one frozen object, made once at start and passed in."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias, get_args
from urllib.parse import urlsplit

from pictograph.errors import ConfigurationError
from pictograph.localconfig import home
from pictograph.naming import nearest_name

ENV_PREFIX: Final = "PICTOGRAPH_"
DEFAULT_PORT: Final = 8765
AUTO: Final = "auto"
OTHER_VARIABLES: Final = ("home", "api_key", "base_url", "timeout", "max_retries", "output", "postgres_account")
"""Variables that are no settings of the service: the SDK, the command or the start of PostgreSQL read them."""
RENAMED: Final[Mapping[str, str]] = {"code_bytes": "index_bytes"}
"""Variables by the names that they had in the release before, which are still read."""
HOST: Final = re.compile(r"(?P<name>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_][A-Za-z0-9._-]*)(?::[0-9]{1,5})?")
"""A name or an address, and a port or none."""
MOST_HTTP_WORKERS: Final = 64
LEAST_WORKER_MEMORY_BYTES: Final = 500_000_000
MEMORY_BYTES_A_THREAD: Final = 128_000_000

LogLevel: TypeAlias = Literal["debug", "info", "warning", "error"]
LogFormat: TypeAlias = Literal["text", "json"]
YES_OR_NO: Final[Mapping[str, bool]] = {
    "1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False,
}  # fmt: skip


def setting(default: Any, help_text: str, *, unit: str = "", secret: bool = False) -> Any:
    """A field with what the documentation says of it."""
    return field(default=default, metadata={"help": help_text, "unit": unit, "secret": secret})


@dataclass(frozen=True, slots=True)
class Settings:
    """Option beats environment (`PICTOGRAPH_` and the name in capitals) beats default."""

    host: str = setting("127.0.0.1", "Address to listen on; 0.0.0.0 listens on every network of this machine.")
    port: int = setting(DEFAULT_PORT, "Port to listen on; 0 chooses a free one.")
    public_url: str | None = setting(
        None,
        "Address that clients use, for every URL that the service gives out. Needed behind a proxy, and where "
        "clients use another name than this machine's own.",
    )
    allowed_hosts: str = setting(
        "",
        "Other names, separated by commas, by which clients may reach the service (`Host`), besides that in "
        "public_url.",
    )
    data_dir: Path | None = setting(
        None, "Folder for the embedded database and the images. Default: $PICTOGRAPH_HOME/data."
    )
    database_url: str | None = setting(
        None, "PostgreSQL >= 16 with pgvector >= 0.8.4 to use instead of the embedded one.", secret=True
    )
    blob_url: str | None = setting(
        None, "Where image files go: a folder, s3://, gs:// or az://. Default: data_dir/blobs."
    )
    encoder: str = setting(
        AUTO,
        "Which model embeds and tags: `auto` (the one that the data has; for new data SigLIP 2 if it is "
        "installed or, where torch is installed, can be fetched, else `offline`), `offline` (the demo "
        "encoder, which needs no download), or a SigLIP model: its folder, or its name in "
        "$PICTOGRAPH_HOME/models.",
    )
    http_workers: int = setting(
        1,
        "Processes that answer HTTP on the one port; several let questions use several cores. They share the limits of "
        "uploads and connections. They map one index; each has its own model once it is asked by words.",
    )
    workers: int = setting(1, "Worker processes to start on this machine; 0 if they run elsewhere.")
    worker_batch: int = setting(32, "Images that a worker claims and encodes together.", unit="images")
    worker_threads: int = setting(
        0, "Threads of a worker for decoding, and as many for the network; 0 = the processor's cores."
    )
    worker_memory_bytes: int = setting(
        0,
        "Memory for the files and pictures that a worker processes at the same time, including those in its "
        "decoding processes, not including the model. A picture that needs more than half of it is decoded "
        "alone, while others use the other half. 0 = 500 MB, or 128 MB for each thread where that is more.",
        unit="bytes",
    )
    decode_memory_bytes: int = setting(
        2_000_000_000,
        "Memory that decoding one picture may take, in a process of its own. A picture that needs more fails, "
        "and its reason names this setting.",
        unit="bytes",
    )
    decode_seconds: float = setting(
        15.0,
        "Processor time that decoding one picture may take; by the clock it may take three times as long. A "
        "picture that needs more fails, and its reason names this setting.",
        unit="seconds",
    )
    lease_s: float = setting(
        60.0,
        "How long a claimed image stays with a worker that gives no sign of life; then another worker takes it over.",
        unit="seconds",
    )
    max_bytes: int = setting(100_000_000, "Largest file accepted.", unit="bytes")
    max_pixels: int = setting(100_000_000, "Largest picture accepted, width x height.", unit="pixels")
    max_uploads: int = setting(16, "Uploads that the server reads into memory at the same time; others wait.")
    max_waiting_uploads: int = setting(
        64, "Uploads that may arrive or wait besides those; others get 429 before their bytes are read."
    )
    max_client_connections: int = setting(
        2_000,
        "Client connections open at once, fewer where the limit of open files is lower; beyond that, the "
        "service closes idle ones.",
    )
    max_connections: int = setting(
        10, "Database connections for requests, divided among the http_workers; each has at least one."
    )
    index_bytes: int = setting(
        4_294_967_296,
        "Bytes that codes of images may take in the index, 744 for each image, which make searches of large scopes "
        "fast; beyond it, likeness is searched in the database. The index itself lies on disk, about 3.3 kB an image, "
        "and server processes share its pages in memory. 0: no index.",
        unit="bytes",
    )
    index_dir: Path | None = setting(
        None, "Folder for the index. If you delete it, the service builds it again. Default: data_dir/index."
    )
    check_one_in: int = setting(
        100, "One in so many approximate searches is repeated exactly afterwards, to measure recall; 0 for none."
    )
    min_free_bytes: int = setting(
        2_000_000_000, "Free disk space below which /ready, `pictograph status` and the log warn.", unit="bytes"
    )
    log_level: LogLevel = setting("info", "debug, info, warning or error.")
    log_format: LogFormat = setting("text", "text, or json: one object per line.")
    access_log: bool = setting(False, "Whether the log has a line for each request.")

    @classmethod
    def load(cls, options: Mapping[str, Any], environment: Mapping[str, str] = os.environ) -> Settings:
        """options: values by name; None means not given. Raises ConfigurationError that names the wrong value."""
        values: dict[str, Any] = {}
        for item in fields(cls):
            name, value = item.name, options.get(item.name)
            if value is None:
                variable = variable_of(item.name, environment)
                name, value = f"{item.name} ({variable})", environment.get(variable) or None
            if value is not None:
                values[item.name] = convert(name, value, type(item.default))
        settings = cls(**values)
        settings.check()
        return replace(settings, data_dir=whole_path(Path(settings.data_dir or home() / "data")))

    def check(self) -> None:
        """Raises ConfigurationError for values that cannot work."""
        for name in (
            "http_workers",
            "worker_batch",
            "max_bytes",
            "max_pixels",
            "max_uploads",
            "max_connections",
            "lease_s",
            "decode_memory_bytes",
            "decode_seconds",
        ):
            if not 0 < getattr(self, name) < math.inf:
                raise ConfigurationError(f"{name} must be above 0, not {getattr(self, name)}.")
        for name in (
            "port",
            "workers",
            "worker_threads",
            "max_waiting_uploads",
            "check_one_in",
            "index_bytes",
            "worker_memory_bytes",
        ):
            if getattr(self, name) < 0:
                raise ConfigurationError(f"{name} must not be negative, as {getattr(self, name)} is.")
        if self.http_workers > MOST_HTTP_WORKERS:
            raise ConfigurationError(f"http_workers must be at most {MOST_HTTP_WORKERS}, not {self.http_workers}.")
        if self.port > 65_535:
            raise ConfigurationError(f"port must be at most 65535, not {self.port}.")
        if self.log_level not in get_args(LogLevel):
            raise ConfigurationError(f"log_level must be debug, info, warning or error, not {self.log_level!r}.")
        if self.log_format not in get_args(LogFormat):
            raise ConfigurationError(f"log_format must be text or json, not {self.log_format!r}.")
        if self.public_url is not None and not is_http_url(self.public_url):
            raise ConfigurationError(f"public_url must be like https://images.example.org, not {self.public_url!r}.")
        for name in self.allowed_host_names:
            if not (HOST.fullmatch(name) or HOST.fullmatch(f"[{name}]")):
                raise ConfigurationError(
                    f"allowed_hosts must be names like images.example.org, with a port or without, not {name!r}."
                )

    @property
    def data_folder(self) -> Path:
        """`data_dir` with its default filled in."""
        return self.data_dir or home() / "data"

    @property
    def index_folder(self) -> Path:
        """`index_dir` with its default filled in."""
        return whole_path(Path(self.index_dir)) if self.index_dir else self.data_folder / "index"

    @property
    def allowed_host_names(self) -> list[str]:
        """`allowed_hosts`, one by one."""
        return [name.strip() for name in self.allowed_hosts.split(",") if name.strip()]

    @property
    def blob_location(self) -> str | Path:
        """`blob_url` with its default filled in."""
        return self.blob_url or self.data_folder / "blobs"

    @property
    def picture_bytes(self) -> int:
        """`worker_memory_bytes` with its default filled in."""
        return self.worker_memory_bytes or max(LEAST_WORKER_MEMORY_BYTES, MEMORY_BYTES_A_THREAD * self.threads)

    @property
    def threads(self) -> int:
        """`worker_threads` with its default filled in."""
        return self.worker_threads or available_cores()

    def share(self, number: int) -> Settings:
        """What the process `number`, from 0 on, of `http_workers` may have of the limits that are for all together."""

        def part(total: int, least: int) -> int:
            return max(least, total // self.http_workers + (number < total % self.http_workers))

        return replace(
            self,
            max_connections=part(self.max_connections, 1),
            max_uploads=part(self.max_uploads, 1),
            max_waiting_uploads=part(self.max_waiting_uploads, 0),
            max_client_connections=part(self.max_client_connections, 1),
        )

    def environment(self) -> dict[str, str]:
        """These settings as variables, for a child process; secrets do not belong on a command line."""
        return {
            ENV_PREFIX + item.name.upper(): str(value)
            for item in fields(self)
            if (value := getattr(self, item.name)) is not None
        }

    def shown(self) -> dict[str, str]:
        """Name to value, secrets hidden."""
        return {
            item.name: "(hidden)"
            if item.metadata["secret"] and getattr(self, item.name)
            else str(getattr(self, item.name))
            for item in fields(self)
        }


def whole_path(path: Path) -> Path:
    """The data folder from the root on, a `~` in it understood."""
    try:
        return path.expanduser().resolve()
    except RuntimeError as error:  # `~name` of nobody; links that go round
        raise ConfigurationError(f"data_dir {str(path)!r} leads nowhere: {error}") from error


def variable_of(name: str, environment: Mapping[str, str]) -> str:
    """The variable that has a setting: by its old name only where the new one is not given."""
    variable = ENV_PREFIX + name.upper()
    old = next((ENV_PREFIX + old.upper() for old, new in RENAMED.items() if new == name), variable)
    return old if variable not in environment and old in environment else variable


def convert(name: str, value: Any, kind: type) -> Any:
    """Text from the environment becomes the type of the default."""
    if kind is bool and not isinstance(value, bool):
        if str(value).lower() not in YES_OR_NO:
            raise ConfigurationError(f"{name} must be true or false, not {value!r}.")
        return YES_OR_NO[str(value).lower()]
    if kind not in (int, float) or isinstance(value, kind):
        return value
    try:
        return kind(value)
    except ValueError as error:
        raise ConfigurationError(f"{name} must be a number, not {value!r}.") from error


def is_http_url(address: str) -> bool:
    """Whether it is an address with a scheme and a host, and nothing but a path behind."""
    try:
        parts = urlsplit(address)
        _ = parts.port
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.hostname) and not (parts.query or parts.fragment)


def unknown_variables(environment: Mapping[str, str] = os.environ) -> list[str]:
    """One sentence for each `PICTOGRAPH_` variable that nothing here reads, with the nearest that something does."""
    known = [*(item.name for item in fields(Settings)), *OTHER_VARIABLES]
    given = sorted(name.removeprefix(ENV_PREFIX).lower() for name in environment if name.startswith(ENV_PREFIX))
    renamed = [
        f"{ENV_PREFIX}{name.upper()} is now called {ENV_PREFIX}{RENAMED[name].upper()}; the next release does not "
        "read the old name."
        for name in given
        if name in RENAMED
    ]
    return renamed + [
        f"{ENV_PREFIX}{name.upper()} is not a variable that Pictograph reads"
        + (f". Did you mean {ENV_PREFIX}{near.upper()}?" if (near := nearest_name(name, known, {})) else ".")
        for name in given
        if name not in known and name not in RENAMED and not name.startswith("test_")
    ]


def help_of(name: str) -> str:
    """One line for `--help` and for the documentation."""
    return next(str(item.metadata["help"]) for item in fields(Settings) if item.name == name)


def available_cores() -> int:
    """Cores this process may use; a container may have fewer than the machine."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
