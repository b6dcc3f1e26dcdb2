"""Which files below a directory are pictures to upload, and what was left aside and why: nothing is left in silence."""

from __future__ import annotations

import os
import stat
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from pictograph.client.results import LeftAside, LeftAsideKind, counted, listed
from pictograph.errors import ValidationError
from pictograph.sniff import SNIFF_BYTES, kind_of

SUFFIXES: Final = frozenset(
    f".{suffix}"
    for suffix in (
        *("jpg", "jpeg", "jpe", "jfif", "png", "apng", "webp", "gif", "bmp", "dib", "tif", "tiff"),
        *("heic", "heif", "hif", "avif"),
    )
)
"""Files that claim to be pictures: they are sent whatever they hold, so that the service says what is wrong."""

OTHER_SUFFIXES: Final = {
    **dict.fromkeys(
        (".dng", ".nef", ".nrw", ".cr2", ".cr3", ".crw", ".arw", ".srf", ".sr2", ".raf"), "a camera RAW file"
    ),
    **dict.fromkeys(
        (".orf", ".rw2", ".rwl", ".pef", ".srw", ".x3f", ".3fr", ".fff", ".iiq", ".mos"), "a camera RAW file"
    ),
    **dict.fromkeys((".kdc", ".dcr", ".mrw", ".erf", ".mef"), "a camera RAW file"),
    **dict.fromkeys((".jp2", ".j2k", ".jpx", ".jpf", ".j2c"), "JPEG 2000"),
    **dict.fromkeys((".ppm", ".pgm", ".pbm", ".pnm", ".pam", ".pfm"), "a Netpbm picture"),
    ".jxl": "JPEG XL",
    ".psd": "a Photoshop PSD",
    ".psb": "a Photoshop PSD",
    ".tga": "a Targa picture",
    ".exr": "an OpenEXR picture",
    ".hdr": "a Radiance HDR picture",
    ".pcx": "a PCX picture",
}
"""Pictures of kinds that the service does not read; some have no first bytes to tell them by, or those of a TIFF."""

Identity = tuple[int, int]


@dataclass(frozen=True, slots=True)
class LocalFile:
    """One file and where it goes."""

    path: Path
    folder_path: str
    filename: str
    replaces: bool = False
    """Whether it is sent to replace the bytes of the image that has its place."""


@dataclass(slots=True)
class Found:
    """What lies below a directory."""

    files: list[LocalFile] = field(default_factory=list)
    """Pictures, sorted by path."""
    left_aside: list[LeftAside] = field(default_factory=list)
    """Everything else, sorted by path."""


def given_path(path: str | os.PathLike[str]) -> Path:
    """The path that a caller named. Raises ValidationError for an empty text, which would be the folder one is in."""
    if not os.fspath(path):
        raise ValidationError("The path is empty. For the current folder write '.'; perhaps a variable is not set.")
    return Path(path)


def local_files(directory: Path, folder_path: str, *, preserve_structure: bool) -> Found:
    """Pictures below `directory`, and what was left aside. Raises ValidationError if there is no picture."""
    if not is_directory(directory):
        raise ValidationError(f"{directory} is not a directory.")
    walk = Walk(directory)
    walk.run()
    files = [
        LocalFile(path, target_folder(path, directory, folder_path, preserve_structure), path.name)
        for path in sorted(walk.pictures)
    ]
    left_aside = sorted(walk.left_aside, key=lambda item: item.path)
    if not files:
        raise ValidationError(no_pictures(directory, left_aside))
    return Found(files, left_aside)


def is_directory(path: Path) -> bool:
    try:
        return path.is_dir()
    except (OSError, ValueError):  # a name that is too long, or holds a null character
        return False


def no_pictures(directory: Path, left_aside: list[LeftAside]) -> str:
    if not left_aside:
        return f"{directory} has no pictures: there is no file below it."
    aside = f"{counted(left_aside)}: {listed(left_aside)}"
    return f"{directory} has no pictures. Left aside below it: {aside}."


def target_folder(path: Path, directory: Path, folder_path: str, preserve_structure: bool) -> str:
    below = path.parent.relative_to(directory).parts if preserve_structure else ()
    return "/" + "/".join([part for part in folder_path.split("/") if part] + list(below))


class Walk:
    """One walk through a directory: real folders first, then what links lead to; each folder once, under one name."""

    def __init__(self, directory: Path) -> None:
        self.pictures: list[Path] = []
        self.left_aside: list[LeftAside] = []
        self._directory = directory
        self._folders = deque([directory])
        self._links: deque[Path] = deque()
        self._seen: dict[Identity, Path] = {}

    def run(self) -> None:
        """Walks. A link to a folder above the directory is a loop too: it would lead to everything around it."""
        for above in parents_of(self._directory):
            if (identity := identity_of(above)) is not None:
                self._seen[identity] = above
        while self._folders or self._links:
            self._enter(self._folders.popleft() if self._folders else self._links.popleft())

    def _enter(self, folder: Path) -> None:
        identity = identity_of(folder)
        if identity is not None and identity in self._seen:
            self._aside(folder, "seen", f"leads to {self._seen[identity]}, which is looked through once")
            return
        try:
            with os.scandir(folder) as entries:
                found = sorted(entries, key=lambda entry: entry.name)
        except OSError as error:
            self._aside(folder, "unreadable", reason_of(error))
            return
        if identity is not None:
            self._seen[identity] = folder
        for entry in found:
            self._look_at(entry, folder / entry.name)

    def _look_at(self, entry: os.DirEntry[str], path: Path) -> None:
        if entry.name.startswith("."):
            self._aside(path, "hidden", "its name begins with a dot")
            return
        try:
            mode = entry.stat().st_mode
        except OSError as error:
            broken = entry.is_symlink()
            self._aside(path, "broken_link" if broken else "unreadable", reason_of(error))
            return
        if stat.S_ISDIR(mode):
            (self._links if entry.is_symlink() else self._folders).append(path)
        elif not stat.S_ISREG(mode):
            self._aside(path, "special", "a pipe, a socket or a device, not a file")
        elif path.suffix.lower() in SUFFIXES:
            self.pictures.append(path)
        else:
            self._sniff(path)

    def _sniff(self, path: Path) -> None:
        try:
            start = first_bytes(path)
        except OSError as error:
            self._aside(path, "unreadable", reason_of(error))
            return
        kind, by_suffix = kind_of(start), OTHER_SUFFIXES.get(path.suffix.lower())
        if kind.readable and not (kind.name == "TIFF" and by_suffix):
            self.pictures.append(path)
        elif kind.is_picture and not kind.readable:
            self._aside(path, "unsupported", kind.name)
        elif by_suffix:
            self._aside(path, "unsupported", by_suffix)
        else:
            self._aside(path, "not_a_picture", kind.name)

    def _aside(self, path: Path, kind: LeftAsideKind, reason: str) -> None:
        self.left_aside.append(LeftAside(path, kind, reason))


def parents_of(directory: Path) -> Sequence[Path]:
    """The folders above it. Raises ValidationError if it is gone: a working directory that was deleted, say."""
    try:
        return directory.resolve().parents
    except OSError as error:
        raise ValidationError(f"{directory} cannot be read: {reason_of(error)}.") from error


def identity_of(path: Path) -> Identity | None:
    """What tells a folder from all others, by whatever name; None if it cannot be told."""
    try:
        found = path.stat()
    except OSError:
        return None
    return (found.st_dev, found.st_ino) if found.st_ino else None


def first_bytes(path: Path) -> bytes:
    """The start of a file. Never waits for a pipe that took the file's place meanwhile."""
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return b""
        return file.read(SNIFF_BYTES)


def reason_of(error: OSError) -> str:
    return error.strerror or str(error)
