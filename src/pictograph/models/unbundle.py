"""A bundle's model into `$PICTOGRAPH_HOME/models`, on a machine that needs no network. The file is not trusted."""

from __future__ import annotations

import hashlib
import json
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from pictograph.errors import ConfigurationError, ModelDamaged
from pictograph.models.bundle import TAXONOMY, TAXONOMY_KEY, our_taxonomy
from pictograph.models.installed import missing_or_cut
from pictograph.models.manifest import MANIFEST, Manifest
from pictograph.models.place import (
    Hashing,
    Report,
    disk_errors,
    of_all,
    only_one,
    put_in_place,
    remove,
    require_space,
    silent,
)

MAX_SMALL_BYTES: Final = 16_000_000
"""Of the manifest and the taxonomy, which are read into memory."""


@dataclass(frozen=True, slots=True)
class Unbundled:
    """What `unbundle` did."""

    name: str
    folder: Path
    manifest: Manifest
    unpacked: bool
    """False if the same model was there already."""
    their_taxonomy: str
    """Version of the labels on the machine that packed it."""
    our_taxonomy: str
    """Version of the labels here."""


def unbundle(file: Path, *, replace: bool = False, report: Report = silent) -> Unbundled:
    """Unpacks the bundle `file`; its model is put into place only after every byte was checked.

    replace: take it although another model has its place.
    Raises ModelDamaged if this is no bundle, or not what its manifest says; ConfigurationError if it cannot be read,
    there is no room, or another model has its place; ConflictError if another process unpacks the same model.
    """
    with _opened(file) as archive:
        reader = _Reader(archive, file)
        with only_one(reader.manifest.name) as folder:
            unpacked = replace or _is_wanted(folder, reader.manifest)
            if unpacked:
                _unpack(reader, folder, report)
    return Unbundled(folder.name, folder, reader.manifest, unpacked, reader.taxonomy_version, our_taxonomy().version)


def _unpack(reader: _Reader, folder: Path, report: Report) -> None:
    manifest = reader.manifest
    staged = folder.with_name(f".unbundle@{manifest.name}")
    remove(staged)
    staged.mkdir()
    try:
        require_space(staged, manifest.size)
        done = 0
        for name, facts in manifest.files.items():
            source = Hashing(reader.content(name, facts.size), of_all(report, name, done, manifest.size))
            with (staged / name).open("xb") as target:
                while piece := source.read():
                    with disk_errors(staged / name):
                        target.write(piece)
            reader.require(source.sha256 == facts.sha256, f"{name} is not what its manifest says")
            done += facts.size
        reader.require_end()
        put_in_place(staged, folder, manifest)
    finally:
        remove(staged)


def _is_wanted(folder: Path, manifest: Manifest) -> bool:
    if not folder.exists():
        return True
    if Manifest.read(folder) == manifest and not missing_or_cut(folder, manifest):
        return False
    raise ConfigurationError(
        f"{folder} is there already, with other files. Give --replace to put this model in its place."
    )


class _Reader:
    """The archive's entries, each of which must be the one that comes next; manifest and taxonomy are read at once."""

    def __init__(self, archive: tarfile.TarFile, file: Path) -> None:
        self._archive = archive
        self._file = file
        self._entries = iter(archive)
        first = next(self._entries, None)
        if first is None or not first.name.endswith(f"/{MANIFEST}"):
            raise _damaged(file, f"it does not begin with {MANIFEST}")
        self._folder = first.name.removesuffix(f"/{MANIFEST}")
        head = self._small(first)
        self.manifest = Manifest.parse(head, f"{file}, {first.name}")
        self.require(self.manifest.name == self._folder, f"{first.name} is the manifest of {self.manifest.name}")
        self.taxonomy_version = self._checked_taxonomy(json.loads(head).get(TAXONOMY_KEY))

    def content(self, name: str, size: int) -> IO[bytes]:
        """Returns the bytes of the next entry, which must have this name and size."""
        entry = next(self._entries, None)
        path = f"{self._folder}/{name}"
        if entry is None:
            raise _damaged(self._file, f"{path} is missing")
        self.require(entry.name == path, f"it holds {entry.name!r} where {path!r} belongs")
        self.require(entry.size == size, f"{path} has {entry.size} bytes, not {size}")
        return self._plain(entry)

    def require_end(self) -> None:
        """Raises ModelDamaged if there is one more entry."""
        surplus = next(self._entries, None)
        self.require(surplus is None, f"it holds {surplus and surplus.name!r}, which its manifest does not name")

    def require(self, right: bool, otherwise: str) -> None:
        """Raises ModelDamaged, with what is wrong, unless `right`."""
        if not right:
            raise _damaged(self._file, otherwise)

    def _checked_taxonomy(self, told: object) -> str:
        size = told.get("size") if isinstance(told, dict) else None
        if not isinstance(told, dict) or type(size) is not int or size > MAX_SMALL_BYTES:
            raise _damaged(self._file, f"its manifest does not list {TAXONOMY}")
        content = self.content(TAXONOMY, size).read()
        sha256 = hashlib.sha256(content).hexdigest()
        self.require(sha256 == told.get("sha256"), f"{TAXONOMY} is not what its manifest says")
        return str(told.get("version"))

    def _small(self, entry: tarfile.TarInfo) -> bytes:
        self.require(entry.size <= MAX_SMALL_BYTES, f"{entry.name} is too large")
        return self._plain(entry).read()

    def _plain(self, entry: tarfile.TarInfo) -> IO[bytes]:
        """No link, no folder, no device, nothing sparse: the bytes stand in the archive as they are."""
        plain = entry.type in (tarfile.REGTYPE, tarfile.AREGTYPE) and not entry.issparse()
        source = self._archive.extractfile(entry) if plain else None
        if source is None:
            raise _damaged(self._file, f"{entry.name} is not a plain file")
        return source


@contextmanager
def _opened(file: Path) -> Iterator[tarfile.TarFile]:
    """The archive; what tarfile says of a damaged one becomes a ModelDamaged."""
    try:
        with tarfile.open(file, mode="r:") as archive:
            yield archive
    except (tarfile.TarError, EOFError) as error:
        raise _damaged(file, str(error) or "it ends too early") from error
    except OSError as error:
        raise ConfigurationError(f"{file} cannot be unpacked: {error.strerror or error}.") from error


def _damaged(file: Path, what: str) -> ModelDamaged:
    return ModelDamaged(
        f"{file} is not a complete model bundle: {what}. Nothing was installed. Copy the file again, or make it "
        "again with `pictograph model bundle`."
    )
