"""A model from the hub, or a mirror of it, into `$PICTOGRAPH_HOME/models`."""

from __future__ import annotations

import shutil
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pictograph.encode.checkpoint import CONFIG, PREPROCESSOR, PROCESSOR, WEIGHTS, WEIGHTS_INDEX, require_siglip
from pictograph.encode.registry import models_folder
from pictograph.encode.tokens import TOKENIZER
from pictograph.errors import ConfigurationError
from pictograph.models.download import Downloader, http_client, is_announced
from pictograph.models.hub import DEFAULT_REVISION, Hub, Listing, RemoteFile
from pictograph.models.installed import HALF_FETCHED, missing_or_cut
from pictograph.models.manifest import FileFacts, Manifest, in_order, to_fetch
from pictograph.models.names import Repository, repository_of
from pictograph.models.place import (
    Report,
    disk_errors,
    of_all,
    only_one,
    put_in_place,
    remove,
    require_space,
    sha256_of,
    silent,
)

NEEDED: Final = ((CONFIG,), (PREPROCESSOR, PROCESSOR), (TOKENIZER,), (WEIGHTS, WEIGHTS_INDEX))
"""One of each must be in a repository."""


@dataclass(frozen=True, slots=True)
class Pulled:
    """What `pull` did."""

    name: str
    folder: Path
    manifest: Manifest | None
    """None for a folder that was copied there by hand."""
    fetched: bool
    """False if it was there already, so that nothing was fetched."""


def pull(
    name: str,
    *,
    revision: str | None = None,
    endpoint: str | None = None,
    replace: bool = False,
    report: Report = silent,
) -> Pulled:
    """Fetches the model called `name`, whole and checked. Killed or cut off, the next call goes on where this one was.

    name: `siglip2`, a short name, or `owner/name`. revision: branch, tag or commit; None: what is there, else main.
    endpoint: a mirror's address. replace: fetch it although there is one.
    Raises NotFoundError, ForbiddenError (gated), ConnectionFailed, ModelDamaged, ConflictError (another pull runs),
    ConfigurationError (no model for us, no space, another model in its place).
    """
    repository = repository_of(name)
    folder = models_folder() / repository.name
    if not replace and (there := _there_already(folder, repository, revision)):
        return there
    hub = Hub(endpoint)
    listing = hub.listing(repository, revision or DEFAULT_REVISION)
    if not replace and (there := _there_already(folder, repository, listing.commit)):
        return there
    _require_absent(folder, replace=replace)
    with only_one(repository.name), disk_errors(folder):
        manifest = _fetch(hub, repository, listing, folder, report)
    return Pulled(repository.name, folder, manifest, fetched=True)


def _fetch(hub: Hub, repository: Repository, listing: Listing, folder: Path, report: Report) -> Manifest:
    files = hub.files(repository, listing, _names(repository, listing.siblings))
    staged = _staging_folder(repository, listing.commit)
    total = sum(file.size for file in files)
    require_space(staged, total - sum(_size(staged / file.name) for file in files))
    facts: dict[str, FileFacts] = {}
    done = 0
    with http_client(hub) as client:
        downloader = Downloader(hub, repository, listing, client)
        for file in files:
            _reuse(folder / file.name, staged / file.name, file)
            sha256 = downloader.fetch(file, staged, of_all(report, file.name, done, total))
            facts[file.name] = FileFacts(file.size, sha256)
            done += file.size
            if file.name == CONFIG:
                _require_siglip(staged, repository)
    ordered = {name: facts[name] for name in in_order(facts)}
    manifest = Manifest(repository.name, ordered, repository.id, listing.commit)
    put_in_place(staged, folder, manifest)
    return manifest


def _reuse(old: Path, new: Path, file: RemoteFile) -> None:
    """A file that is whole in the folder to be replaced is not fetched again."""
    if not new.exists() and _size(old) == file.size and is_announced(old, sha256_of(old), file):
        shutil.copy(old, new)


def _there_already(folder: Path, repository: Repository, revision: str | None) -> Pulled | None:
    """Returns what is in place, if it is the model asked for; never asks the network."""
    if not folder.is_dir():
        return None
    manifest = Manifest.read(folder)
    if manifest is None:
        return None if revision else Pulled(folder.name, folder, None, fetched=False)
    if manifest.repository not in (repository.id, None):
        raise ConfigurationError(
            f"{folder} holds {manifest.origin}, not {repository.id}. Move it away, or give --replace."
        )
    if revision not in (None, manifest.commit) or missing_or_cut(folder, manifest):
        return None
    return Pulled(folder.name, folder, manifest, fetched=False)


def _require_absent(folder: Path, *, replace: bool) -> None:
    if replace or not folder.exists():
        return
    manifest = Manifest.read(folder)
    faults = missing_or_cut(folder, manifest) if manifest else {}
    what = "; ".join(f"{name} {fault}" for name, fault in faults.items())
    held = f"is damaged ({what})" if what else f"holds {manifest.origin if manifest else 'files copied by hand'}"
    raise ConfigurationError(f"{folder} {held}. Give --replace to have it fetched again and put in its place.")


def _names(repository: Repository, names: Collection[str]) -> list[str]:
    for choices in NEEDED:
        if not set(choices) & set(names):
            raise ConfigurationError(
                f"{repository.id} has no {' or '.join(choices)}, so it is no model for Pictograph: it takes SigLIP and "
                "SigLIP 2 of fixed resolution, with safetensors weights."
            )
    return to_fetch(names)


def _require_siglip(staged: Path, repository: Repository) -> None:
    try:
        require_siglip(staged)
    except ConfigurationError as error:
        remove(staged)
        raise ConfigurationError(f"{repository.id}: {error.message} Nothing more was fetched.") from error


def _staging_folder(repository: Repository, commit: str) -> Path:
    """Returns the folder to fetch into: it keeps what a pull of the same commit left, and removes that of another."""
    mark = f"{HALF_FETCHED}{repository.owner}@{repository.name}@"
    staged = models_folder() / f"{mark}{commit[:12]}"
    for other in models_folder().glob(f"{mark}*"):
        if other != staged:
            remove(other)
    staged.mkdir(exist_ok=True)
    return staged


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0
