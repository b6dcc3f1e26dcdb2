"""Where a service and the SDK on the same machine meet: `$PICTOGRAPH_HOME/config.toml`, readable by its owner only."""

from __future__ import annotations

import json
import os
import tomllib
from dataclasses import dataclass, field
from pathlib import Path

from pictograph.errors import ConfigurationError


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


def read_config() -> LocalConfig:
    """What the file says; all None if there is no file. Raises ConfigurationError if it cannot be read."""
    path = config_path()
    try:
        return parse_config(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return LocalConfig()
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigurationError(f"{path} cannot be read: {error}. Mend or remove it.") from error


def parse_config(text: str) -> LocalConfig:
    """The file's text. Raises tomllib.TOMLDecodeError."""
    values = tomllib.loads(text)
    return LocalConfig(**{name: str(values[name]) for name in ("base_url", "api_key", "data_dir") if name in values})


def write_config(config: LocalConfig) -> None:
    """Replaces the file in one step; mode 0600 from its first byte on."""
    path = config_path()
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    lines = ["# Written by `pictograph serve`; read by the SDK and the pictograph command.\n"]
    for name in ("base_url", "api_key", "data_dir"):
        value = getattr(config, name)
        if value is not None:
            text = json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")  # the one thing TOML escapes more
            lines.append(f"{name} = {text}\n")
    scratch = path.with_name(f"{path.name}.{os.getpid()}")
    descriptor = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.writelines(lines)
    scratch.replace(path)
