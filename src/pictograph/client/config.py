"""Where the service is and with which key: keyword beats environment beats `$PICTOGRAPH_HOME/config.toml`."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import httpx

from pictograph.errors import ConfigurationError
from pictograph.localconfig import LocalConfig, config_path, read_config
from pictograph_search import command_name

DEFAULT_TIMEOUT_S: Final = 30.0
LONGEST_TIMEOUT_S: Final = 1e6
DEFAULT_MAX_RETRIES: Final = 3


@dataclass(frozen=True, slots=True)
class ClientConfig:
    """How to reach a service."""

    base_url: str
    api_key: str = field(repr=False)
    timeout_s: float
    max_retries: int


def resolve_config(
    api_key: str | None,
    base_url: str | None,
    timeout: float | None,
    max_retries: int | None,
    environment: Mapping[str, str] = os.environ,
) -> ClientConfig:
    """Fills in what was not given. The file's key is for the file's address alone: it is sent nowhere else.

    Raises ConfigurationError, with the fix, if no key or no address is found.
    """
    given_key = api_key or environment.get("PICTOGRAPH_API_KEY")
    given_url = base_url or environment.get("PICTOGRAPH_BASE_URL")
    local = read_config() if not (given_key and given_url) else LocalConfig()
    url = given_url or local.base_url
    key = given_key or (local.api_key if same_address(url, local.base_url) else None)
    if not url or not is_address(url):
        raise ConfigurationError(missing("address", url, "base_url=", "PICTOGRAPH_BASE_URL"))
    if not key or not key.strip():
        raise ConfigurationError(missing("API key", None, "api_key=", "PICTOGRAPH_API_KEY"))
    if not (key.strip().isascii() and key.strip().isprintable()):
        raise ConfigurationError("The API key has characters that no key has: copy it again, with its `pk_live_`.")
    return ClientConfig(
        base_url=url.rstrip("/"),
        api_key=key.strip(),
        timeout_s=checked_timeout(
            number("timeout", timeout, environment.get("PICTOGRAPH_TIMEOUT"), DEFAULT_TIMEOUT_S, above_zero=True)
        ),
        max_retries=int(
            number("max_retries", max_retries, environment.get("PICTOGRAPH_MAX_RETRIES"), DEFAULT_MAX_RETRIES)
        ),
    )


def checked_timeout(timeout_s: float) -> float:
    """The timeout, if the system can wait that long. Raises ConfigurationError."""
    if timeout_s > LONGEST_TIMEOUT_S:
        raise ConfigurationError(f"timeout must be at most {LONGEST_TIMEOUT_S:g} seconds, not {timeout_s:g}.")
    return timeout_s


def same_address(url: str | None, other: str | None) -> bool:
    """True if both name the same service."""
    return bool(url and other) and str(url).rstrip("/") == str(other).rstrip("/")


def is_address(url: str) -> bool:
    """True for what a request can be sent to: `http://` or `https://` and a host, no query behind."""
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL:
        return False
    return parsed.scheme in ("http", "https") and parsed.host != "" and not set(url) & set(" \t\n?#")


def missing(what: str, got: str | None, keyword: str, variable: str) -> str:
    problem = f"{got!r} is not a valid {what}" if got else f"no {what} is set"
    return (
        f"Cannot reach a Pictograph service: {problem}. Start one on this machine with `{command_name()} serve`, which "
        f"writes {config_path()}; or pass {keyword}; or set {variable}."
    )


def number(
    name: str, given: float | None, from_environment: str | None, default: float, *, above_zero: bool = False
) -> float:
    """The first of the three that is there. Raises ConfigurationError if it is no number, or too small."""
    value = given if given is not None else from_environment or default
    source = f" (PICTOGRAPH_{name.upper()})" if given is None and from_environment else ""
    try:
        result = float(value)
    except ValueError as error:
        raise ConfigurationError(f"{name} must be a number, not {value!r}{source}.") from error
    if not 0 <= result < float("inf") or (above_zero and result == 0):
        raise ConfigurationError(f"{name} must be {'above 0' if above_zero else '0 or more'}, not {value!r}{source}.")
    return result
