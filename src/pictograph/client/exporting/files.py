"""Exports with files: each image's bytes are linked, copied or fetched, several at once, and never written twice."""

from __future__ import annotations

import errno
import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, Literal, Protocol

from pictograph.client.exporting.ledger import MANIFEST, REPORT, Kept, Ledger
from pictograph.client.exporting.links import BlobFolder, put
from pictograph.client.exporting.options import Asked, ExportOptions
from pictograph.client.exporting.output import Arrived, Output, WantedFile
from pictograph.client.exporting.page import Page
from pictograph.client.exporting.text import path_of
from pictograph.client.results import ExportReport, SkippedImage
from pictograph.errors import NoBytes, NotFoundError, ServerError
from pictograph.placing import Placed
from pictograph.wire.export import ExportedImage

NO_ROOM: Final = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
"""What no other image would fare better with."""
There = Literal["there", "taken", "outside", "wanted"]
"""`taken`: another file is. `outside`: its folder is a link that leads out of the export."""


class Container(Protocol):
    """Where the bytes go: a folder of files, or shards."""

    kind: str
    own_names: tuple[str, ...]
    """Files of the export itself, which no image may have."""

    def place(self, row: ExportedImage) -> Placed:
        """Where the image goes."""

    def there(self, row: ExportedImage, placed: Placed, kept: Kept | None, /) -> There:
        """Whether its bytes are there, another file is, or they are to come."""

    def put(self, wanted: WantedFile) -> Arrived | None:
        """Takes the library's own file, several at once; None if that cannot be done."""

    def take(self, wanted: WantedFile, data: bytes, /) -> Arrived:
        """Takes bytes that were fetched, several at once."""

    def note(self, row: ExportedImage, placed: Placed, arrived: Arrived | None, /) -> dict[str, Any]:
        """Told of each image that is in the export, one after the other; what the manifest says besides."""

    def commit(self) -> None:
        """Called after each page."""

    def finish(self) -> list[Path]:
        """Called at the end; the shards, if it makes any."""

    def give_up(self) -> None:
        """Called where the end does not come."""


class FileExport(Output):
    """Walks through the rows, decides which bytes are to come, and keeps the books."""

    counts_files = True

    def __init__(
        self, container: Container, ledger: Ledger, asked: Asked, options: ExportOptions, report: ExportReport
    ) -> None:
        self._container, self._ledger = container, ledger
        self._asked, self._options, self._report = asked, options, report
        self._blobs: BlobFolder | None = None
        self._looked = False
        self._report.resumed = ledger.resumed

    def begin(self, page: Page) -> Sequence[WantedFile]:
        """The images of a page whose bytes are to come; all others are settled."""
        if not self._looked:
            self._looked = True
            if self._options.link or self._options.blob_folder:
                given = self._options.blob_folder
                self._blobs = BlobFolder.find(given, self._asked.base_url, page.blob_store)
        return [wanted for row in page.rows if (wanted := self._wanted(row)) is not None]

    def _wanted(self, row: ExportedImage) -> WantedFile | None:
        if not row.has_bytes or row.sha256 is None:
            self._skip(row, "no_bytes", "It was imported as a vector: there is no file.")
            return None
        kept = self._ledger.of(row.image_id)
        placed = self._container.place(row)
        state = self._container.there(row, placed, kept)
        if state == "there":
            self._report.already_there += 1
            self._note(row, placed, "already_there", None)
            return None
        if state == "outside":
            self._skip(row, "taken", f"The folder of {placed.path} is a link that leads out of the export.")
            return None
        if state == "taken" and not self._options.overwrite:
            self._skip(row, "taken", f"{placed.path} is there and is another file.")
            return None
        return WantedFile(row, placed, self._blobs.file(row.sha256, row.file_size) if self._blobs else None)

    def receive_here(self, wanted: WantedFile, /) -> Arrived | None:
        """Takes the bytes from this machine, if they are on it. Several threads may call it at once."""
        return self._container.put(wanted) if wanted.source else None

    def receive(self, wanted: WantedFile, data: bytes, /) -> Arrived:
        """Takes bytes that were fetched, if they are the right ones. Several threads may call it at once."""
        if hashlib.sha256(data).hexdigest() != wanted.row.sha256:
            raise ServerError("Other bytes came than the library said; perhaps the image was just replaced.")
        return self._container.take(wanted, data)

    def settle(self, wanted: WantedFile, outcome: Arrived | Exception, /) -> None:
        """Notes what became of one image. Raises what must end the export."""
        row = wanted.row
        if isinstance(outcome, Arrived):
            setattr(self._report, outcome.outcome, getattr(self._report, outcome.outcome) + 1)
            self._note(row, wanted.placed, outcome.outcome, outcome)
        elif isinstance(outcome, NoBytes):
            self._skip(row, "no_bytes", outcome.message)
        elif isinstance(outcome, NotFoundError):
            self._skip(row, "gone", "It was deleted while the export ran.")
        elif isinstance(outcome, ServerError) or (isinstance(outcome, OSError) and outcome.errno not in NO_ROOM):
            self._skip(row, "failed", str(outcome))
        else:
            raise outcome

    def _note(self, row: ExportedImage, placed: Placed, outcome: str, arrived: Arrived | None) -> None:
        more = self._container.note(row, placed, arrived)
        self._report.rows += 1
        self._report.renamed += placed.renamed
        self._ledger.keep(row, outcome, placed.path, **more)

    def _skip(self, row: ExportedImage, why: str, reason: str) -> None:
        self._report.skip(SkippedImage(row.image_id, path_of(row), why, reason))
        self._ledger.keep(row, why, None, reason=reason)

    def end(self, _page: Page, /) -> None:
        """What is done so far survives."""
        self._container.commit()
        self._ledger.commit()

    def finish(self) -> None:
        """Writes what stands beside the files."""
        self._report.files = self._container.finish()
        self._report.left_over = self._ledger.left_over()
        counts: tuple[str, ...] = (
            "rows",
            "total",
            "already_there",
            "linked",
            "copied",
            "downloaded",
            "skipped",
            "renamed",
            "left_over",
        )
        counts += ("left_out", "changed", "vanished", "started_at", "success", "cut_off")
        told = {name: getattr(self._report, name) for name in counts}
        self._ledger.finish({"service": self._asked.base_url, "query": self._asked.question} | told)

    def give_up(self) -> None:
        """What is there stays, and the next run goes on."""
        self._container.give_up()
        self._ledger.close()


class Files:
    """A folder of files: `dataset/folder/filename`."""

    kind = "folder"
    own_names: tuple[str, ...] = (MANIFEST, REPORT)

    def __init__(self, root: Path, ledger: Ledger, options: ExportOptions, *, below: str = "") -> None:
        """below: a folder of the export for all of them."""
        self._root, self._ledger, self._below = root, ledger, below
        self._original, self._link = options.original_names, options.link
        self._inside: set[Path] = set()
        if not below:
            for name in self.own_names:
                ledger.places.reserve(name)

    def place(self, row: ExportedImage) -> Placed:
        """By dataset, folder and name, in the original spelling if that is wanted."""
        folder, name = row.folder_path, row.filename
        if self._original:
            folder, name = row.original_folder_path or folder, row.original_filename or name
        return self._ledger.places.of(row.image_id, row.dataset_name, folder, name, below=self._below)

    def there(self, row: ExportedImage, placed: Placed, kept: Kept | None, /) -> There:
        """By size and, where no earlier run has noted it, SHA-256."""
        target = self._root / placed.path
        if not self._leads_inside(target.parent):
            return "outside"
        if target.is_symlink() or not target.is_file():
            return "taken" if target.is_symlink() or target.exists() else "wanted"
        size = target.stat().st_size
        ours = kept is not None and kept.path == placed.path and kept.size == size
        if ours and kept and kept.sha256 == row.sha256:
            return "there"
        if not ours and size != row.file_size:
            return "taken"
        found = sha256_of(target)
        if found == row.sha256:
            return "there"
        return "wanted" if ours and kept and found == kept.sha256 else "taken"

    def _leads_inside(self, parent: Path) -> bool:
        """False for a folder that is, or lies behind, a link to elsewhere."""
        if parent not in self._inside:
            if not parent.resolve().is_relative_to(self._root.resolve()):
                return False
            if len(self._inside) > 10_000:
                self._inside.clear()
            self._inside.add(parent)
        return True

    def put(self, wanted: WantedFile) -> Arrived | None:
        """A link, or a copy."""
        if wanted.source is None:
            return None
        target = self._root / wanted.placed.path
        target.parent.mkdir(parents=True, exist_ok=True)
        part = target.with_name(f".{wanted.row.image_id}.part")
        return Arrived(put(wanted.source, target, part, link=self._link))

    def take(self, wanted: WantedFile, data: bytes, /) -> Arrived:
        """Writes them beside their place, then gives them their name."""
        target = self._root / wanted.placed.path
        target.parent.mkdir(parents=True, exist_ok=True)
        part = target.with_name(f".{wanted.row.image_id}.part")
        try:
            part.write_bytes(data)
            part.replace(target)
        finally:
            part.unlink(missing_ok=True)
        return Arrived("downloaded")

    def note(self, row: ExportedImage, placed: Placed, _arrived: Arrived | None, /) -> dict[str, Any]:
        """Its path as it would be if nobody else had it, so that the next run finds the same one."""
        return {"wanted": self._ledger.places.wanted(row.image_id)} if placed.renamed else {}

    def commit(self) -> None:
        """Every file is in its place already."""

    def finish(self) -> list[Path]:
        """Nothing is left to do."""
        return []

    def give_up(self) -> None:
        """Nothing is half done."""


def sha256_of(path: Path) -> str:
    """Of a file's bytes, 64 hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
