"""Where a service and the SDK on the same machine meet: `$PICTOGRAPH_HOME/config.toml`, readable by its owner only.

The published command line keeps its profiles in the same file, a table each, and drops everything else when it writes.
So our own keys stand above its tables, a profile of its own names our service, and what is not ours stays as it is.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
import tomllib
from collections.abc import Iterator, Mapping, MutableMapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pictograph.errors import ConfigurationError

if TYPE_CHECKING:
    from tomlkit import TOMLDocument

OWN: Final = ("base_url", "api_key", "data_dir")
PROFILE_KEYS: Final = ("base_url", "api_key")
DEFAULT_PROFILE: Final = "default"
OUR_PROFILE: Final = "local"
"""Taken where the default one is somebody's already: `pictograph --profile local`, says the published command line."""
HEADER: Final = "Written by `pictograph serve`; read by the SDK and the pictograph command. What else is here stays."


def home() -> Path:
    """`$PICTOGRAPH_HOME`, else `~/.pictograph`."""
    try:
        return Path(os.environ.get("PICTOGRAPH_HOME") or Path.home() / ".pictograph").expanduser()
    except RuntimeError as error:  # neither HOME nor an entry for this account, as in some containers
        raise ConfigurationError(
            f"There is no home folder: {error} Set PICTOGRAPH_HOME to the folder for config.toml and the data."
        ) from error


def config_path() -> Path:
    """The file itself."""
    return home() / "config.toml"


@dataclass(frozen=True, slots=True)
class LocalConfig:
    """How to reach the service of this machine."""

    base_url: str | None = None
    api_key: str | None = field(default=None, repr=False)
    data_dir: str | None = None
    """The data folder of the service that wrote the file."""
    is_profile: bool = field(default=False, compare=False)
    """Whether it was read from the published command line's default profile, since no key of ours was there."""

    @property
    def names_a_service(self) -> bool:
        """True if our own keys name one."""
        return not self.is_profile and self != LocalConfig()


def read_config() -> LocalConfig:
    """What the file says; all None if there is no file. Raises ConfigurationError if it cannot be read."""
    path = config_path()
    try:
        if path.exists() and not path.is_file():  # reading a FIFO would wait for a writer
            raise ConfigurationError(f"{path} cannot be read: it is not a file. Repair or remove it.")
        return parse_config(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return LocalConfig()
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigurationError(f"{path} cannot be read: {error}. Repair or remove it.") from error


def parse_config(text: str) -> LocalConfig:
    """Our own keys; where there are none, the default profile, if it has an address. Raises tomllib.TOMLDecodeError."""
    values = tomllib.loads(text)
    profile = values.get(DEFAULT_PROFILE)
    if not any(name in values for name in OWN) and isinstance(profile, dict) and "base_url" in profile:
        return local_config(profile, PROFILE_KEYS, is_profile=True)
    return local_config(values, OWN)


def local_config(values: Mapping[str, Any], names: tuple[str, ...], *, is_profile: bool = False) -> LocalConfig:
    return LocalConfig(**{name: str(values[name]) for name in names if name in values}, is_profile=is_profile)


def write_config(config: LocalConfig) -> str | None:
    """Puts this into the file in one step and keeps everything that is not ours; mode 0600 from its first byte on.

    Returns the profile by which the published command line finds this service: None if both that it may have are
    somebody's. Raises ConfigurationError if the file cannot be understood, OSError if it cannot be written.
    """
    path = Path(os.path.realpath(config_path()))
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with one_writer(path.parent):
        document = parse_document(path)
        before = document.get("api_key")
        put(document, config, OWN)
        profile = next(
            (name for name in (DEFAULT_PROFILE, OUR_PROFILE) if is_ours(document, name, config, before)), None
        )
        if profile:
            put(document.setdefault(profile, {}), config, PROFILE_KEYS)
        replace_file(path, document.as_string())
    return profile


@contextlib.contextmanager
def one_writer(folder: Path) -> Iterator[None]:
    """Of two services that start at the same time, each reads what the other has written."""
    import fcntl  # noqa: PLC0415 - not on Windows, where the rest of the SDK works

    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with contextlib.suppress(OSError):  # a network folder may have no locks
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def parse_document(path: Path) -> TOMLDocument:
    """The file with its comments; a new one if there is none."""
    import tomlkit  # noqa: PLC0415 - only the service writes
    from tomlkit.exceptions import TOMLKitError  # noqa: PLC0415

    try:
        text = path.read_text(encoding="utf-8")
        tomllib.loads(text)
        return tomlkit.parse(text)
    except FileNotFoundError:
        document = tomlkit.document()
        document.add(tomlkit.comment(HEADER))
        return document
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, TOMLKitError) as error:
        raise ConfigurationError(f"{path} cannot be read: {error}. Repair or remove it.") from error


def put(table: MutableMapping[str, Any], config: LocalConfig, names: tuple[str, ...]) -> None:
    for name in names:
        value = getattr(config, name)
        if value is not None:
            table[name] = value
        else:
            table.pop(name, None)


def is_ours(document: TOMLDocument, profile: str, config: LocalConfig, key_before: object) -> bool:
    """True if the profile is not there yet, is empty, or has the key of this service, the former one or the new one."""
    table = document.get(profile, {})
    if not isinstance(table, MutableMapping):
        return False
    named = {table.get(name) for name in PROFILE_KEYS} - {None}
    return not named or (table.get("api_key") is not None and table.get("api_key") in (key_before, config.api_key))


def replace_file(path: Path, text: str) -> None:
    descriptor, scratch = tempfile.mkstemp(prefix=f"{path.name}.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            with contextlib.suppress(OSError):  # as root, the file stays its owner's
                os.fchown(descriptor, path.stat().st_uid, path.stat().st_gid)
            file.write(text)
            file.flush()
            os.fsync(descriptor)
        os.replace(scratch, path)
    except BaseException:
        os.unlink(scratch)
        raise
