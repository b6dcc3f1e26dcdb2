"""Which files make up the index, up to which transaction it is complete, and in which database: one small file.

index/manifest.json             the only thing that readers look for
index/segments/NAME/            as segment_files.py writes them
index/dead/NAME.bin             tombstones of a segment: checksum, then rows as uint32
index/quantisers/NAME.npz       as `Quantiser.save` writes them
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final
from uuid import UUID

import numpy as np
import numpy.typing as npt

from pictograph.search.memory.segment_files import Doubtful, flush, read_json, write_json
from pictograph.types import SpaceId

FORMAT: Final = 1
FILE: Final = "manifest.json"
CHECKSUM_BYTES: Final = 4


@dataclass(frozen=True, slots=True)
class SpaceEntry:
    """A space whose vectors are in the index."""

    quantiser: str
    """Name of the file."""
    centred_on: int
    """How many vectors there were when the quantiser was made."""


@dataclass(frozen=True, slots=True)
class SegmentEntry:
    """A segment and its tombstones."""

    name: str
    dead: str | None
    """Name of the file of tombstones."""
    deleted_at: float | None
    """Since when there is a tombstone of an image that was deleted for good, in seconds since 1970."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """What is in the file."""

    follower: UUID
    """The index's own name in the database."""
    token: UUID
    """In the database, it is or was the one of this follower."""
    era: str
    watermark: int
    spaces: Mapping[SpaceId, SpaceEntry]
    segments: Sequence[SegmentEntry]

    def write(self, folder: Path) -> None:
        """Replaces the file; afterwards it is on the disk."""
        body = {
            "format": FORMAT,
            "follower": str(self.follower),
            "token": str(self.token),
            "era": self.era,
            "watermark": self.watermark,
            "spaces": {str(space): asdict(entry) for space, entry in self.spaces.items()},
            "segments": [asdict(entry) for entry in self.segments],
        }
        new = folder / f"{FILE}.new"
        write_json(new, body)
        flush(new)
        new.replace(folder / FILE)
        flush(folder)

    @classmethod
    def read(cls, folder: Path) -> Manifest | None:
        """What is there; None if there is no index. Raises Doubtful."""
        try:
            body = read_json(folder / FILE)
            if body["format"] != FORMAT:
                raise Doubtful("The index's manifest is of another version")
            return cls(
                UUID(body["follower"]),
                UUID(body["token"]),
                str(body["era"]),
                int(body["watermark"]),
                {SpaceId(int(space)): SpaceEntry(**entry) for space, entry in body["spaces"].items()},
                [SegmentEntry(**entry) for entry in body["segments"]],
            )
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise Doubtful(f"The index's manifest cannot be read: {error}") from error


def segment_folder(folder: Path, name: str) -> Path:
    """Where a segment lies."""
    return folder / "segments" / name


def dead_file(folder: Path, name: str) -> Path:
    """Where tombstones lie."""
    return folder / "dead" / f"{name}.bin"


def quantiser_file(folder: Path, name: str) -> Path:
    """Where a quantiser lies."""
    return folder / "quantisers" / f"{name}.npz"


def write_dead(path: Path, dead: npt.NDArray[np.bool_]) -> None:
    """Writes a segment's tombstones behind their checksum, and flushes them."""
    rows = np.flatnonzero(dead).astype("<u4").tobytes()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(zlib.crc32(rows).to_bytes(CHECKSUM_BYTES, "little") + rows)
    flush(path)


def read_dead(path: Path | None, rows: int) -> npt.NDArray[np.bool_]:
    """A segment's tombstones; none without a file. Raises Doubtful."""
    dead = np.zeros(rows, bool)
    try:
        if path is not None:
            kept = path.read_bytes()
            if zlib.crc32(kept[CHECKSUM_BYTES:]).to_bytes(CHECKSUM_BYTES, "little") != kept[:CHECKSUM_BYTES]:
                raise Doubtful(f"{path} is not as it was written")
            dead[np.frombuffer(kept, "<u4", offset=CHECKSUM_BYTES)] = True
    except (OSError, ValueError, IndexError) as error:
        raise Doubtful(f"{path} cannot be read: {error}") from error
    return dead
