"""A model as ONE file that a machine without a network can take: an uncompressed tar, the same bytes every time.

NAME/pictograph-model.json    the manifest, and the size and hash of the taxonomy
NAME/taxonomy.json            the labels of the version that packed it
NAME/tokenizer.json, ...      tokenizer, processor, config, weights
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import tarfile
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import BinaryIO, Final

from pictograph.encode.checkpoint import Checkpoint
from pictograph.errors import ConfigurationError, ModelDamaged
from pictograph.models.installed import missing_or_cut
from pictograph.models.manifest import MANIFEST, FileFacts, Manifest
from pictograph.models.place import Hashing, Report, disk_errors, flush, of_all, require_space, silent

TAXONOMY: Final = "taxonomy.json"
TAXONOMY_KEY: Final = "taxonomy"
SUFFIX: Final = ".pictograph.tar"


@dataclass(frozen=True, slots=True)
class Taxonomy:
    """The labels' file, as bytes."""

    version: str
    content: bytes

    @property
    def facts(self) -> FileFacts:
        """Its size and hash."""
        return FileFacts(len(self.content), hashlib.sha256(self.content).hexdigest())


def our_taxonomy() -> Taxonomy:
    """Returns the one this version of Pictograph ships."""
    content = resources.files("pictograph.tagging").joinpath(TAXONOMY).read_bytes()
    return Taxonomy(str(json.loads(content)["version"]), content)


def bundle(folder: Path, output: Path, report: Report = silent) -> Manifest:
    """Packs the model in `folder` into the file `output`, which appears only once it is whole.

    Every byte is compared with the manifest on its way, and none is held in memory.
    Raises ModelDamaged if a file is not what the manifest says; ConfigurationError if there is no manifest, or no room.
    """
    manifest = Manifest.read(folder)
    if manifest is None:
        raise ConfigurationError(
            f"{folder} was copied by hand and has no {MANIFEST}. `pictograph model verify {folder.name} --record` "
            "writes one; then bundle it."
        )
    if faults := missing_or_cut(folder, manifest):
        raise _damaged(folder, *next(iter(faults.items())))
    Checkpoint.read(folder)
    scratch = output.with_name(f".{output.name}.{os.getpid()}")
    try:
        with disk_errors(output):
            require_space(output.absolute().parent, manifest.size)
            with scratch.open("wb") as file:
                _write(file, folder, manifest, report)
            flush(scratch)
            scratch.replace(output)
    finally:
        scratch.unlink(missing_ok=True)
    return manifest


def _write(file: BinaryIO, folder: Path, manifest: Manifest, report: Report) -> None:
    taxonomy = our_taxonomy()
    with tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, content in ((MANIFEST, _head(manifest, taxonomy)), (TAXONOMY, taxonomy.content)):
            archive.addfile(_entry(manifest, name, len(content)), io.BytesIO(content))
        done = 0
        for name, facts in manifest.files.items():
            with (folder / name).open("rb") as source:
                hashing = Hashing(source, of_all(report, name, done, manifest.size))
                archive.addfile(_entry(manifest, name, facts.size), hashing)
            if hashing.sha256 != facts.sha256:
                raise _damaged(folder, name, "has other bytes than it had")
            done += facts.size


def _head(manifest: Manifest, taxonomy: Taxonomy) -> bytes:
    facts = taxonomy.facts
    told = {"version": taxonomy.version, "size": facts.size, "sha256": facts.sha256}
    return (json.dumps(manifest.values() | {TAXONOMY_KEY: told}, indent=2) + "\n").encode()


def _entry(manifest: Manifest, name: str, size: int) -> tarfile.TarInfo:
    """Nothing of the machine it is made on: no time, no owner. TarInfo's own defaults are 0 and 0644."""
    entry = tarfile.TarInfo(f"{manifest.name}/{name}")
    entry.size = size
    return entry


def _damaged(folder: Path, name: str, fault: str) -> ModelDamaged:
    return ModelDamaged(
        f"{folder / name} {fault}, so nothing was packed. `pictograph model verify {folder.name}` names the fix."
    )
