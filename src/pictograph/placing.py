"""Names of images -> paths that every file system takes, each a place of its own.

Names in a library may be anything but control characters: `con`, `a:b`, `..jpg`, three spellings of one name. A path
that an export writes is below its folder, means the same file on Linux, macOS and Windows, and is nobody else's.
"""

from __future__ import annotations

import re
import sqlite3
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from pictograph.shown import HIDDEN

FORBIDDEN: Final = re.compile(r'[<>:"/\\|?*]')
"""Not in names on Windows: https://learn.microsoft.com/en-us/windows/win32/fileio/naming-a-file"""
RESERVED: Final = frozenset(
    {"con", "prn", "aux", "nul", "conin$", "conout$"}
    | {f"{port}{n}" for port in ("com", "lpt") for n in "0123456789¹²³"}
)
"""Devices of Windows, with any extension: same page."""
MAX_BYTES: Final = 240
"""Of one name in UTF-8; file systems take 255, and a number or `.part` may be added."""
MAX_SUFFIX_BYTES: Final = 24
SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS place (
    folded TEXT PRIMARY KEY,   -- as a file system compares that takes capital letters for small ones
    path   TEXT NOT NULL,
    wanted TEXT NOT NULL,      -- what the path would be if nobody else had it
    owner  TEXT NOT NULL UNIQUE,
    number INTEGER NOT NULL DEFAULT 2  -- the next one for whoever wants the same
)"""


@dataclass(frozen=True, slots=True)
class Placed:
    """Where an image goes."""

    path: str
    """Relative, with `/`."""
    renamed: bool
    """Whether it is another path than dataset, folder and name make by themselves."""


class Places:
    """Gives images paths, each its own. They are kept in a database of SQLite: a million of them take no memory."""

    def __init__(self, database: sqlite3.Connection | None = None, *, one_spelling: bool = True) -> None:
        """database: None for one that is gone afterwards. one_spelling: Unicode's spellings of a name are one name."""
        self._database = database or sqlite3.connect("", check_same_thread=False)  # "": on disk once it is large
        self._one_spelling = one_spelling
        self._database.execute(SCHEMA)

    def close(self) -> None:
        """Closes the database."""
        self._database.close()

    def reserve(self, path: str) -> None:
        """Keeps a path for the export's own files."""
        self._claim("", path, f"reserved {path}")

    def of(self, image: str, dataset: str, folder_path: str, filename: str, *, below: str = "") -> Placed:
        """The image's path: `dataset/folder/filename`, made safe, with ` (2)` behind its name where another has it.

        image: its id; the same one gets the same path again. below: a folder of the export.
        """
        segments = [dataset, *(part for part in folder_path.split("/") if part)]
        parent = self._folder(below, segments)
        path = self._claim(parent, safe_name(filename), image)
        prefix = f"{below}/" if below else ""
        return Placed(path, path != prefix + "/".join([*segments, filename]))

    def known(self, image: str, path: str, wanted: str) -> None:
        """Tells of a path that the image got in an earlier run."""
        self._insert(path, wanted, image)

    def wanted(self, image: str) -> str:
        """What the path of a placed image would be if nobody else had it."""
        return str(self._database.execute("SELECT wanted FROM place WHERE owner = ?", [image]).fetchone()[0])

    def _folder(self, below: str, segments: Sequence[str]) -> str:
        path, source = below, f"folder {below}"
        for segment in segments:
            source += f"/{segment}"
            path = self._claim(path, safe_name(segment), source)
        return path

    def _claim(self, parent: str, name: str, owner: str) -> str:
        wanted = f"{parent}/{name}" if parent else name
        held = self._database.execute("SELECT path, wanted FROM place WHERE owner = ?", [owner]).fetchone()
        if held and held[1] == wanted:
            return str(held[0])
        if held:
            self._database.execute("DELETE FROM place WHERE owner = ?", [owner])
        path, number = wanted, self._next_number(wanted)
        while number and not self._insert(path := numbered(wanted, number), wanted, owner):
            number += 1
        if number:
            values = [number + 1, self._folded(wanted)]
            self._database.execute("UPDATE place SET number = ? WHERE folded = ?", values)
        else:
            self._insert(path, wanted, owner)
        return path

    def _next_number(self, wanted: str) -> int:
        """0 if the path is free."""
        row = self._database.execute("SELECT number FROM place WHERE folded = ?", [self._folded(wanted)]).fetchone()
        return int(row[0]) if row else 0

    def _insert(self, path: str, wanted: str, owner: str) -> bool:
        statement = "INSERT OR IGNORE INTO place (folded, path, wanted, owner) VALUES (?, ?, ?, ?)"
        return self._database.execute(statement, [self._folded(path), path, wanted, owner]).rowcount > 0

    def _folded(self, path: str) -> str:
        return unicodedata.normalize("NFC", path).casefold() if self._one_spelling else path.casefold()


def safe_name(name: str) -> str:
    """The name as every file system takes it: `con.jpg` -> `_con.jpg`, `a:b` -> `a_b`, `..` -> `._`.

    Invisible characters and those that turn the order of writing become `_` too, so that `photo<U+202E>gpj.exe` looks
    like what it is. A name that is too long is cut before its suffix.
    """
    safe = HIDDEN.sub("_", FORBIDDEN.sub("_", name))
    if safe and safe[-1] in ". ":
        safe = safe[:-1] + "_"
    if safe.partition(".")[0].rstrip(" ").casefold() in RESERVED:
        safe = f"_{safe}"
    return cut(safe) or "_"


def cut(name: str) -> str:
    """At most MAX_BYTES, with its suffix, between two characters."""
    data = name.encode()
    if len(data) <= MAX_BYTES:
        return name
    stem, dot, suffix = name.rpartition(".")
    if not stem or len(suffix.encode()) > MAX_SUFFIX_BYTES:
        stem, dot, suffix = name, "", ""
    room = MAX_BYTES - len((dot + suffix).encode())
    return stem.encode()[:room].decode(errors="ignore").rstrip(". ") + dot + suffix


def numbered(path: str, number: int) -> str:
    """`a/b.jpg` -> `a/b (2).jpg`."""
    parent, slash, name = path.rpartition("/")
    stem, dot, suffix = name.rpartition(".")
    if not stem:
        stem, dot, suffix = name, "", ""
    return f"{parent}{slash}{stem} ({number}){dot}{suffix}"
