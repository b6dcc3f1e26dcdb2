"""The models in `$PICTOGRAPH_HOME/models`, told without reading their weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pictograph.encode.checkpoint import CONFIG, Checkpoint
from pictograph.encode.checksums import are_remembered
from pictograph.encode.registry import models_folder
from pictograph.errors import ConfigurationError, PictographError
from pictograph.models.manifest import MANIFEST, Manifest, is_model_file
from pictograph.models.names import installed_name

HALF_FETCHED: Final = ".pull@"
"""What the folders begin with in which `pull` gathers files: `.pull@owner@name@commit`."""


@dataclass(frozen=True, slots=True)
class InstalledModel:
    """One folder, as far as its small files tell."""

    name: str
    folder: Path
    size: int
    """Bytes on disk of the files of the model."""
    origin: str
    """`google/siglip2-...@75de2d55ec2d`, or that it was copied by hand."""
    revision: str | None
    """The space's revision; None where that would take reading the weights."""
    fault: str | None
    """Why it cannot be used; None if it can, as far as seen without reading the weights."""


def installed_models() -> list[InstalledModel]:
    """By name. A damaged one is there too, and says so."""
    folders = sorted(models_folder().glob("[!.]*"))
    return [_described(folder) for folder in folders if any((folder / mark).is_file() for mark in (MANIFEST, CONFIG))]


def half_fetched() -> dict[str, int]:
    """Bytes that are there of each model whose `pull` has not ended, by repository."""
    folders = models_folder().glob(f"{HALF_FETCHED}*")
    return {
        "/".join(folder.name.split("@")[1:3]): sum(path.stat().st_size for path in folder.iterdir())
        for folder in sorted(folders)
    }


def installed_folder(name: str) -> Path:
    """Finds the folder of the model called `name`. Raises ConfigurationError that names those there are."""
    folder = models_folder() / installed_name(name)
    if folder.is_dir():
        return folder
    found = ", ".join(model.name for model in installed_models()) or "none"
    raise ConfigurationError(
        f"There is no model {folder.name!r} in {models_folder()} (there: {found}). `pictograph model pull {name}` "
        "fetches it; `pictograph model unbundle FILE` takes it from another machine's file."
    )


def missing_or_cut(folder: Path, manifest: Manifest) -> Mapping[str, str]:
    """Returns what is wrong with each file, as far as its size tells; empty if nothing is. Reads no file."""
    faults = {}
    for name, facts in manifest.files.items():
        path = folder / name
        if not path.is_file():
            faults[name] = "is missing"
        elif (size := path.stat().st_size) != facts.size:
            faults[name] = f"has {size} bytes, not {facts.size}"
    return faults


def _described(folder: Path) -> InstalledModel:
    size = sum(path.stat().st_size for path in folder.iterdir() if is_model_file(path.name))
    origin, revision, fault = "unknown", None, None
    try:
        manifest = Manifest.read(folder)
        origin = manifest.origin if manifest else "copied by hand"
        faults = missing_or_cut(folder, manifest) if manifest else {}
        fault = "; ".join(f"{name} {what}" for name, what in faults.items()) + "." if faults else None
        checkpoint = Checkpoint.read(folder)
        revision = checkpoint.spec().revision if are_remembered(checkpoint.weights) else None
    except PictographError as error:
        fault = fault or error.message
    return InstalledModel(folder.name, folder, size, origin, revision, fault)
