"""What the SDK's own work gives back; everything else is a wire model."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from pictograph.wire import Image


@dataclass(frozen=True, slots=True)
class UploadFailure:
    """One file that was not taken."""

    path: Path
    """The local file."""
    reason: str
    """What the server, or the local disk, said."""
    code: str
    """Stable: `bad_image`, `too_large`, ..."""


@dataclass(slots=True)
class UploadReport:
    """What became of each file of a directory."""

    dataset_name: str
    attempted: int = 0
    """Files that looked like pictures."""
    uploaded: list[Image] = field(default_factory=list)
    """New images, in the order in which the server accepted them."""
    skipped: list[Path] = field(default_factory=list)
    """Files that were there already, by folder and name."""
    failures: list[UploadFailure] = field(default_factory=list)
    """Files that were not taken, and why; none of them stops the others."""

    @property
    def done(self) -> int:
        """Files whose fate is known."""
        return len(self.uploaded) + len(self.skipped) + len(self.failures)

    @property
    def success(self) -> bool:
        """True if every file is in the dataset now."""
        return not self.failures
