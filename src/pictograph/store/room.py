"""Whether the disks under the library have room: what `/ready` and `pictograph status` say of them."""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pictograph.db.pool import Database
from pictograph.errors import PictographError
from pictograph.store.blobs import BlobStore

logger = logging.getLogger(__name__)

FULL_BYTES: Final = 67_108_864
"""With less than this (64 MiB), a disk counts as full: PostgreSQL takes 16 MiB at a time for its log alone."""
SAID_FOR_S: Final = 60.0
"""How long a write that found no room is told of, however much room there is by now."""


@dataclass(frozen=True, slots=True)
class Room:
    """One disk."""

    holds: str
    """`files`, `database`, or `files and database`."""
    free_bytes: int
    total_bytes: int


@dataclass(frozen=True, slots=True)
class Storage:
    """How it stands."""

    rooms: list[Room]
    """Of disks on this machine; stores and databases elsewhere are not seen."""
    warnings: list[str]
    problems: list[str]
    """What keeps uploads from being taken."""


class Rooms:
    """Looks at the disks of a service."""

    def __init__(
        self, database: Database, blobs: BlobStore, database_folder: Path | None, *, warn_below_bytes: int
    ) -> None:
        """database_folder: of the embedded database; None if it runs elsewhere."""
        self._database = database
        self._blobs = blobs
        folders = {"files": blobs.root, "database": database_folder}
        self._folders = {what: folder for what, folder in folders.items() if folder is not None}
        self._warn_below_bytes = warn_below_bytes
        self._warned: list[str] = []

    async def look(self) -> Storage:
        """How it stands now."""
        rooms = await asyncio.to_thread(rooms_of, self._folders)
        full = [room for room in rooms if room.free_bytes < FULL_BYTES]
        low = [room for room in rooms if FULL_BYTES <= room.free_bytes < self._warn_below_bytes]
        problems = [f"The disk that holds the {room.holds} is full {left_on(room)}: make room there." for room in full]
        for what, at in (("files", self._blobs.full_at), ("database", self._database.full_at)):
            if at is not None and time.monotonic() - at < SAID_FOR_S and not problems:
                problems.append(f"There was no room for the {what} a moment ago: a disk or a quota is full.")
        if self._blobs.root is not None:
            try:
                await self._blobs.require_itself()
            except PictographError as error:
                problems.append(error.message)
        warnings = [
            f"The disk that holds the {room.holds} is nearly full {left_on(room)}: make room there." for room in low
        ]
        return Storage(rooms, warnings, problems)

    async def warn(self) -> None:
        """Writes to the log what has become scarce since the last call."""
        storage = await self.look()
        said = [text.partition(":")[0].partition(" (")[0] for text in storage.problems + storage.warnings]
        for text, key in zip(storage.problems + storage.warnings, said, strict=True):
            if key not in self._warned:
                logger.warning("%s", text)
        self._warned = said


def left_on(room: Room) -> str:
    return f"({room.free_bytes / 1e9:.1f} of {room.total_bytes / 1e9:.1f} GB are free)"


def rooms_of(folders: Mapping[str, Path]) -> list[Room]:
    """Each disk once, with what it holds; what cannot be looked at is left out."""
    by_device: dict[int, list[str]] = {}
    usage: dict[int, tuple[int, int]] = {}
    for what, folder in folders.items():
        try:
            device, disk = os.stat(folder).st_dev, shutil.disk_usage(folder)
        except OSError:
            continue
        by_device.setdefault(device, []).append(what)
        usage[device] = (disk.free, disk.total)
    return [Room(" and ".join(held), *usage[device]) for device, held in by_device.items()]
