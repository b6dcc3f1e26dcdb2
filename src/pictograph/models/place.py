"""How a model gets into `$PICTOGRAPH_HOME/models`: built beside its place, checked, and moved there in one step."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final, TypeAlias

from pictograph.encode.checkpoint import Checkpoint
from pictograph.encode.checksums import remember
from pictograph.encode.registry import models_folder
from pictograph.errors import ConfigurationError, ConflictError
from pictograph.models.manifest import Manifest

Report: TypeAlias = Callable[[str, int, int], None]
"""Called as bytes go by: what is being done, bytes done of all, bytes of all."""

CHUNK_BYTES: Final = 1 << 20
SPARE_BYTES: Final = 64_000_000
"""Left free on the disk besides the model."""


def silent(_what: str, _done: int, _total: int) -> None:
    """A `Report` that tells nobody."""


@contextmanager
def only_one(name: str) -> Iterator[Path]:
    """The folder that `name` will have, while no other process fetches or unpacks the same model.

    Raises ConflictError if one does, ConfigurationError if the models' folder cannot be written to.
    """
    folder = models_folder() / name
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        lock = (folder.parent / f".{name}.lock").open("a")
    except OSError as error:
        raise ConfigurationError(f"{folder.parent} cannot be written to: {error}. Set PICTOGRAPH_HOME.") from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise ConflictError(f"Another process is fetching or unpacking {name} just now. Wait for it.") from error
        _bring_back(folder)
        yield folder


def require_space(folder: Path, needed: int) -> None:
    """needed: bytes still to be written below `folder`. Raises ConfigurationError if they do not fit."""
    free = shutil.disk_usage(folder).free
    if needed + SPARE_BYTES > free:
        raise ConfigurationError(
            f"{needed / 1e9:.2f} GB are needed in {folder}, and {free / 1e9:.2f} GB are free. Free some space, "
            "or set PICTOGRAPH_HOME to a folder on a larger disk."
        )


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """What the disk says becomes a ConfigurationError."""
    try:
        yield
    except OSError as error:
        fix = "Free some space" if error.errno in (errno.ENOSPC, errno.EDQUOT) else "Mend that"
        said = error.strerror or error
        raise ConfigurationError(f"{path} cannot be written: {said}. {fix}, and run the same command again.") from error


def put_in_place(staged: Path, folder: Path, manifest: Manifest) -> Checkpoint:
    """Makes the checked files in `staged` the model in `folder`; what was there goes.

    The hashes are noted for the encoder, so that the first start does not read the weights for them again.
    Raises ConfigurationError, and moves nothing, if the files are no model that can be used.
    """
    checkpoint = Checkpoint.read(staged)
    manifest.write(staged)
    remember(staged, {path.name: manifest.files[path.name].sha256 for path in checkpoint.weights})
    for path in (*staged.iterdir(), staged):
        flush(path)
    if folder.exists():
        folder.rename(_aside(folder))
    staged.rename(folder)
    flush(folder.parent)
    remove(_aside(folder))
    return Checkpoint.read(folder)


class Hashing:
    """Bytes are read through it, hashed and counted; none is kept."""

    def __init__(self, source: IO[bytes], report: Callable[[int], None] = lambda _: None) -> None:
        """report: called with the number of bytes read so far."""
        self._source = source
        self._report = report
        self._digest = hashlib.sha256()
        self._done = 0

    def read(self, size: int = CHUNK_BYTES) -> bytes:
        """Returns up to `size` bytes; none at the end."""
        piece = self._source.read(size)
        self._digest.update(piece)
        self._done += len(piece)
        self._report(self._done)
        return piece

    @property
    def sha256(self) -> str:
        """64 hex digits, of what was read so far."""
        return self._digest.hexdigest()


def sha256_of(path: Path, report: Callable[[int], None] = lambda _: None) -> str:
    """64 hex digits. report: as for `Hashing`. Raises OSError."""
    with path.open("rb", buffering=0) as file:
        hashing = Hashing(file, report)
        while hashing.read():
            pass
    return hashing.sha256


def of_all(report: Report, name: str, before: int, total: int) -> Callable[[int], None]:
    """From the bytes of one file to those of all. before: bytes of the files before it."""
    return lambda done: report(name, before + done, total)


def remove(folder: Path) -> None:
    """Removes a folder of ours; a link to one is only unlinked."""
    if folder.is_symlink():
        folder.unlink()
    else:
        shutil.rmtree(folder, ignore_errors=True)


def flush(path: Path) -> None:
    """Puts a file, or a folder's list of names, on the disk itself."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _aside(folder: Path) -> Path:
    """Where the old model waits for the instant between the two renames."""
    return folder.with_name(f".old-{folder.name}")


def _bring_back(folder: Path) -> None:
    """Ends what a power cut between the two renames left."""
    if _aside(folder).exists() and not folder.exists():
        _aside(folder).rename(folder)
    remove(_aside(folder))
