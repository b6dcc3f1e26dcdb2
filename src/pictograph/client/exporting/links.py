"""The library's own files, where its blob store is a folder of this machine: they need not travel."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import stat
import sys
from pathlib import Path
from typing import Final, Literal

from pictograph.errors import ConfigurationError, wrong_value
from pictograph.localconfig import read_config

MARK: Final = "pictograph-blob-store.json"
"""The file that says which blob store a folder is."""
CLONE: Final = 0x40049409
"""FICLONE of Linux: a copy that shares its blocks until one of the two is written (man 2 ioctl_ficlone)."""
How = Literal["linked", "copied"]


class BlobFolder:
    """Files by their SHA-256: `ab/cd/abcd...`."""

    def __init__(self, root: Path) -> None:
        self._root = root

    @classmethod
    def find(cls, given: Path | None, base_url: str, blob_store: str | None) -> BlobFolder | None:
        """The folder, if it is the store with that id. given: None looks where this machine's service keeps it.

        Raises ValidationError if the given folder is another store, or none.
        """
        if given is not None:
            if blob_store is None or mark_in(given) != blob_store:
                why = f"{given} is not the blob store of the library at {base_url}, or cannot be read. Leave it away."
                raise wrong_value("blob_folder", why)
            return cls(given)
        with contextlib.suppress(ConfigurationError):
            config = read_config()
            root = Path(config.data_dir or "", "blobs")
            if config.data_dir and blob_store is not None and mark_in(root) == blob_store:
                return cls(root)
        return None

    def file(self, sha256: str, size: int) -> Path | None:
        """The file; None if it is not there, not whole or not readable."""
        path = self._root / sha256[:2] / sha256[2:4] / sha256
        with contextlib.suppress(OSError):
            if path.stat().st_size == size and os.access(path, os.R_OK):
                return path
        return None


def mark_in(folder: Path) -> str | None:
    """The store's id; None if the folder is no blob store that can be read."""
    try:
        return str(json.loads((folder / MARK).read_bytes())["blob_store"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def put(source: Path, target: Path, part: Path, *, link: bool) -> How:
    """Makes the target the same file as the source, or a copy if `link` is off. part: its name until then.

    Raises OSError.

    First a copy that shares its blocks, then a hard link, then a plain copy. What is written into a hard link is
    written into the library too: so it is made read-only first, and not made at all where that cannot be done.
    """
    part.unlink(missing_ok=True)
    try:
        how = made(source, part, link=link)
        part.replace(target)
        return how
    finally:
        part.unlink(missing_ok=True)


def made(source: Path, part: Path, *, link: bool) -> How:
    if link and (cloned(source, part) or linked(source, part)):
        return "linked"
    shutil.copyfile(source, part)
    return "copied"


def cloned(source: Path, part: Path) -> bool:
    if sys.platform != "linux":
        return False
    import fcntl  # noqa: PLC0415 - not on Windows

    with source.open("rb") as given, part.open("xb") as new:
        try:
            fcntl.ioctl(new.fileno(), CLONE, given.fileno())
        except OSError:
            part.unlink()
            return False
    return True


def linked(source: Path, part: Path) -> bool:
    try:
        mode = stat.S_IMODE(source.stat().st_mode)
        if mode & 0o222:
            source.chmod(mode & ~0o222)
        os.link(source, part)
    except OSError:
        return False
    return True
