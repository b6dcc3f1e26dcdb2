"""What a person calls a model, and which repository and folder that means."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from pictograph.encode.registry import ALIASES, ENCODERS
from pictograph.errors import ConfigurationError

DEFAULT_OWNER: Final = "google"
WITH_GPU: Final = "siglip2-so400m-patch14-384"
WITHOUT_GPU: Final = "siglip2-base-patch16-224"
PLAIN_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
"""One folder below ours, and never a hidden one."""
NAFLEX: Final = "naflex"


class Repository(NamedTuple):
    """A model repository on the hub."""

    owner: str
    name: str
    """Also the folder's name in `$PICTOGRAPH_HOME/models`."""

    @property
    def id(self) -> str:
        """`google/siglip2-base-patch16-224`."""
        return f"{self.owner}/{self.name}"


def repository_of(name: str) -> Repository:
    """Returns the repository that `siglip2`, `siglip2-base-patch16-224` or `owner/name` means.

    Raises ConfigurationError for anything else, and for a naflex model.
    """
    if name in ENCODERS:
        raise ConfigurationError(f"The encoder {name!r} comes with Pictograph: there is nothing to fetch.")
    owner, slash, last = ALIASES.get(name, name).rpartition("/")
    if slash and not PLAIN_NAME.fullmatch(owner):
        raise _no_model(name)
    require_plain(last, name)
    if NAFLEX in last.lower():
        raise ConfigurationError(
            f"{name!r} is a naflex model, whose pictures have many shapes. Take one of fixed resolution: "
            f"{WITH_GPU}, or {WITHOUT_GPU} without a GPU."
        )
    return Repository(owner or DEFAULT_OWNER, last)


def installed_name(name: str) -> str:
    """Returns the folder's name that `siglip2`, `owner/name` or a plain name means. Raises ConfigurationError."""
    last = ALIASES.get(name, name).rpartition("/")[2]
    require_plain(last, name)
    return last


def require_plain(last: str, name: str) -> None:
    """Raises ConfigurationError, which quotes `name`, if `last` cannot be the name of a model's folder."""
    if not PLAIN_NAME.fullmatch(last):
        raise _no_model(name)


def _no_model(name: str) -> ConfigurationError:
    return ConfigurationError(
        f"{name!r} names no model. Use siglip2, a short name like {WITHOUT_GPU}, or owner/name as on the hub."
    )
