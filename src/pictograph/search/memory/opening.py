"""Opens a published set of segments, what is new of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile

from pictograph.search.memory.arrays import Mask
from pictograph.search.memory.manifest import (
    Manifest,
    SegmentEntry,
    dead_file,
    quantiser_file,
    read_dead,
    segment_folder,
)
from pictograph.search.memory.quantiser import Quantiser
from pictograph.search.memory.segment import Segment
from pictograph.search.memory.segment_files import Doubtful, open_segment
from pictograph.search.memory.view import View
from pictograph.types import SpaceId

__all__ = ["Doubtful", "Opened", "opened"]


@dataclass(frozen=True)
class Opened:
    """A set of segments, with what the next one can use of it."""

    view: View
    parts: dict[SegmentEntry, tuple[Segment, Mask]]
    quantisers: dict[str, Quantiser]
    """By the names of their files."""

    @property
    def segments(self) -> int:
        """How many there are."""
        return len(self.parts)


def opened(folder: Path, before: Opened | None) -> Opened | None:
    """The set that is published now. before: the one opened last. Raises Doubtful."""
    manifest = Manifest.read(folder)
    if manifest is None:
        return None
    spaces = list(manifest.spaces)
    quantisers = {
        entry.quantiser: (before.quantisers.get(entry.quantiser) if before else None)
        or load(quantiser_file(folder, entry.quantiser))
        for entry in manifest.spaces.values()
    }
    segments = known_segments(before, spaces)
    parts: dict[SegmentEntry, tuple[Segment, Mask]] = {}
    for entry in manifest.segments:
        if before is not None and entry in before.parts and entry.name in segments:
            parts[entry] = before.parts[entry]
            continue
        segment = segments.get(entry.name) or open_segment(segment_folder(folder, entry.name), spaces)
        dead = read_dead(dead_file(folder, entry.dead) if entry.dead else None, len(segment))
        parts[entry] = (segment, dead)
    view = View.of(
        [segment for segment, _ in parts.values()],
        [dead for _, dead in parts.values()],
        {space: quantisers[entry.quantiser] for space, entry in manifest.spaces.items()},
        manifest.watermark,
        manifest.era,
    )
    return Opened(view, parts, quantisers)


def known_segments(before: Opened | None, spaces: list[SpaceId]) -> dict[str, Segment]:
    """By name, those that are open with the vectors of these spaces."""
    if before is None:
        return {}
    return {
        entry.name: segment for entry, (segment, _) in before.parts.items() if list(segment.vectors) == sorted(spaces)
    }


def load(path: Path) -> Quantiser:
    """The quantiser of a file. Raises Doubtful."""
    try:
        return Quantiser.load(path)
    except (OSError, ValueError, KeyError, EOFError, BadZipFile) as error:
        raise Doubtful(f"{path} cannot be read: {error}") from error
