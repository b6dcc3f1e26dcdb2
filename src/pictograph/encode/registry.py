"""The encoders by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, TypeAlias

from pictograph.encode.protocol import Encoder, EncoderSpec
from pictograph.errors import ConfigurationError
from pictograph.localconfig import home
from pictograph_search import install_command

Loader: TypeAlias = Callable[[int | None], Encoder]
"""Loads one encoder; the number is how many threads a forward pass may use, None for every core."""

ALIASES: Final[Mapping[str, str]] = {"siglip2": "siglip2-so400m-patch14-384"}
CHECKPOINT_MARK: Final = "config.json"


def load_encoder(name: str, threads: int | None = None, *, words_only: bool = False) -> Encoder:
    """Loads the encoder called `name`, ready to use.

    name: one that ships with us (`offline`), the folder of a SigLIP model, or such a folder's name in
    `$PICTOGRAPH_HOME/models`; `siglip2` is short for `siglip2-so400m-patch14-384` there.
    threads: for the forward pass, at least 1; None uses every core. words_only: it will be asked for texts alone, so
    that a model of two towers opens one.
    Raises ConfigurationError if there is no such encoder (the message names those there are), or if its files or the
    packages it needs are missing.
    """
    loader = ENCODERS.get(name) or _checkpoint_loader(name, words_only=words_only)
    if threads is not None and threads < 1:
        raise ConfigurationError(f"An encoder needs at least 1 thread, not {threads}.")
    try:
        return loader(threads)
    except ImportError as error:
        raise ConfigurationError(
            f"The encoder {name!r} needs the package {error.name!r}: {install_command('server')}"
        ) from error


def describe_encoder(name: str) -> EncoderSpec:
    """Who `load_encoder(name)` would be, without opening its networks: what the server needs to name its space.

    The first time, the weights of a SigLIP model are read once for their checksum; it needs no torch.
    Raises ConfigurationError as `load_encoder` does.
    """
    if describer := SPECS.get(name):
        return describer()
    from pictograph.encode.checkpoint import Checkpoint  # noqa: PLC0415

    return Checkpoint.read(_model_folder(name)).spec()


def source_of(name: str) -> str:
    """What names the same encoder later, from another working folder too: a name where there is one, else a path.

    Raises ConfigurationError as `load_encoder` does.
    """
    if name in SPECS:
        return name
    folder = _model_folder(name).resolve()
    return folder.name if folder.parent == models_folder().resolve() else str(folder)


def models_folder() -> Path:
    """Where models are looked for by name."""
    return home() / "models"


def _model_folder(name: str) -> Path:
    """Returns the folder that `name` means. A hub's name, `google/siglip2-...`, is looked for by its last part too."""
    try:
        as_path = Path(name).expanduser()
    except RuntimeError as error:  # ~somebody, who does not exist
        raise _unknown(name) from error
    by_name = models_folder() / Path(ALIASES.get(name, name)).name
    is_path = as_path.name != name
    for folder in (as_path, by_name) if is_path else (by_name, as_path):
        if name and _is_folder(folder):
            return folder
    raise _unknown(name)


def _is_folder(path: Path) -> bool:
    """False also for what no path can be, and for what may not be looked at."""
    try:
        return path.is_dir()
    except (OSError, ValueError):  # a name of 300 characters; a NUL within
        return False


def _unknown(name: str) -> ConfigurationError:
    last_part = Path(ALIASES.get(name, name)).name
    wanted = last_part if last_part.startswith("siglip") else ALIASES["siglip2"]
    choices = ", ".join([*sorted(ENCODERS.keys() - FOR_TESTS), *models_found()])
    return ConfigurationError(
        f"There is no encoder {name!r}. Choose one of: {choices}; or the folder of a SigLIP model. To have {wanted} in "
        f"{models_folder()}: `pictograph model pull {wanted}`; on a machine without a network: "
        f"`pictograph model unbundle FILE`, with the file that `pictograph model bundle {wanted}` makes on another."
    )


def models_found() -> list[str]:
    """Returns the names of the folders there that look like a model; none of them is opened."""
    marks = sorted(models_folder().glob(f"[!.]*/{CHECKPOINT_MARK}"))  # with a dot before: half-fetched ones
    return [path.parent.name for path in marks]


# Imports stay inside: naming the encoders must not load anybody's runtime.


def _load_offline(threads: int | None) -> Encoder:
    from pictograph.encode.offline import OfflineEncoder  # noqa: PLC0415

    return OfflineEncoder.load(threads)


def _load_noop(_threads: int | None) -> Encoder:
    from pictograph.encode.noop import NoopEncoder  # noqa: PLC0415

    return NoopEncoder()


def _checkpoint_loader(name: str, *, words_only: bool) -> Loader:
    folder = _model_folder(name)

    def load(threads: int | None) -> Encoder:
        from pictograph.encode.checkpoint import Checkpoint  # noqa: PLC0415
        from pictograph.encode.siglip import SiglipEncoder  # noqa: PLC0415

        if words_only:
            return SiglipEncoder(Checkpoint.read(folder), threads=threads)
        return SiglipEncoder.load(folder, threads=threads)

    return load


FOR_TESTS: Final = frozenset({"noop"})


def is_for_tests(name: str) -> bool:
    """True for an encoder that stands for one in tests and benchmarks, however its name is written."""
    return name.strip().lower() in FOR_TESTS


ENCODERS: Final[Mapping[str, Loader]] = {"offline": _load_offline, "noop": _load_noop}


def _describe_offline() -> EncoderSpec:
    from pictograph.encode.offline_assets import OfflineAssets  # noqa: PLC0415

    return OfflineAssets.check().spec


def _describe_noop() -> EncoderSpec:
    from pictograph.encode.noop import SPEC  # noqa: PLC0415

    return SPEC


SPECS: Final[Mapping[str, Callable[[], EncoderSpec]]] = {"offline": _describe_offline, "noop": _describe_noop}
