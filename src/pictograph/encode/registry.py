"""The encoders by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, TypeAlias, TypeVar

from pictograph.encode.protocol import Encoder, EncoderSpec
from pictograph.errors import ConfigurationError

Loader: TypeAlias = Callable[[int | None], Encoder]
"""Loads one encoder; the number is how many threads a forward pass may use, None for every core."""

Entry = TypeVar("Entry")


def load_encoder(name: str, threads: int | None = None) -> Encoder:
    """The encoder called `name`, ready to use.

    threads: for the forward pass, at least 1; None uses every core.
    Raises ConfigurationError if there is no such encoder (the message names those there are), or if its files or the
    packages it needs are missing.
    """
    loader = _known(ENCODERS, name)
    if threads is not None and threads < 1:
        raise ConfigurationError(f"An encoder needs at least 1 thread, not {threads}.")
    try:
        return loader(threads)
    except ImportError as error:
        raise ConfigurationError(
            f'The encoder {name!r} needs the package {error.name!r}: pip install "pictograph[server]".'
        ) from error


def describe_encoder(name: str) -> EncoderSpec:
    """Who `load_encoder(name)` would be, without opening its networks: what the server needs to name its space.

    Raises ConfigurationError as `load_encoder` does.
    """
    return _known(SPECS, name)()


def _known(choices: Mapping[str, Entry], name: str) -> Entry:
    if name not in choices:
        raise ConfigurationError(f"There is no encoder {name!r}. Choose one of: {', '.join(sorted(choices))}.")
    return choices[name]


# Imports stay inside: naming the encoders must not load anybody's runtime.


def _load_offline(threads: int | None) -> Encoder:
    from pictograph.encode.offline import OfflineEncoder  # noqa: PLC0415

    return OfflineEncoder.load(threads)


def _load_noop(_threads: int | None) -> Encoder:
    from pictograph.encode.noop import NoopEncoder  # noqa: PLC0415

    return NoopEncoder()


ENCODERS: Final[Mapping[str, Loader]] = {"offline": _load_offline, "noop": _load_noop}


def _describe_offline() -> EncoderSpec:
    from pictograph.encode.offline_assets import OfflineAssets  # noqa: PLC0415

    return OfflineAssets.check().spec


def _describe_noop() -> EncoderSpec:
    from pictograph.encode.noop import SPEC  # noqa: PLC0415

    return SPEC


SPECS: Final[Mapping[str, Callable[[], EncoderSpec]]] = {"offline": _describe_offline, "noop": _describe_noop}
