"""What every format is to an export."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

from pictograph.client.exporting.page import Page
from pictograph.placing import Placed
from pictograph.wire.export import ExportedImage


@dataclass(frozen=True, slots=True)
class WantedFile:
    """One image whose bytes are to come."""

    row: ExportedImage
    placed: Placed
    source: Path | None
    """The library's own file, if it is on this machine."""


@dataclass(frozen=True, slots=True)
class Arrived:
    """Bytes that came."""

    outcome: Literal["linked", "copied", "downloaded"]
    data: bytes | None = None
    """None if they are in their place already."""


class Output(ABC):
    """One format. Without more, it begins with the first row in every run, and wants no files."""

    wants_vectors: ClassVar[bool] = False
    counts_files: ClassVar[bool] = False
    cursor: str | None = None
    """Where an earlier run stopped."""

    @abstractmethod
    def begin(self, page: Page) -> Sequence[WantedFile]:
        """Writes what can be written of a page, and says whose bytes are to come."""

    @abstractmethod
    def finish(self) -> None:
        """Everything is there."""

    @abstractmethod
    def give_up(self) -> None:
        """Called at the end, whichever it is."""

    def begin_again(self) -> None:  # noqa: B027 - most begin with the first row anyway
        """From the first row: the service no longer takes the cursor of the run before."""

    def end(self, _page: Page, /) -> None:  # noqa: B027 - most keep nothing of a file that is not whole
        """A page is done."""

    def receive_here(self, _wanted: WantedFile, /) -> Arrived | None:
        """Takes the bytes from this machine, if they are on it. Several threads may call it at once."""
        return None

    def receive(self, wanted: WantedFile, _data: bytes, /) -> Arrived:
        """Takes bytes that were fetched, if they are the right ones. Several threads may call it at once."""
        raise TypeError(f"no bytes of {wanted.row.image_id} were wanted")

    def settle(self, wanted: WantedFile, _outcome: Arrived | Exception, /) -> None:
        """Notes what became of one image. Raises what must end the export."""
        raise TypeError(f"no bytes of {wanted.row.image_id} were wanted")
