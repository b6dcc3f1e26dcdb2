"""One export from its first page to its end: what each format has in common."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, TypeAlias

from pictograph.client.exporting.coco import CocoFiles, CocoLabels
from pictograph.client.exporting.files import Container, FileExport, Files
from pictograph.client.exporting.ledger import Ledger
from pictograph.client.exporting.options import Asked, ExportFormat, ExportOptions
from pictograph.client.exporting.output import Arrived, Output, WantedFile
from pictograph.client.exporting.page import Page
from pictograph.client.exporting.shards import Shards
from pictograph.client.exporting.text import TextExport
from pictograph.client.exporting.vectors import VectorExport, is_own
from pictograph.client.results import ExportReport
from pictograph.errors import ConflictError

ExportProgress: TypeAlias = Callable[[int, "int | None"], None]
"""Called with how many images are done, and how many there are if that is known."""
ROWS_AT_ONCE: Final = 1000
VECTORS_AT_ONCE: Final = 5000
FILES_AT_ONCE: Final = 200
"""Images of a page: what an interruption costs at most is done again."""


class ExportJob:
    """Used by the clients, which add only the waiting."""

    def __init__(self, file_format: ExportFormat, asked: Asked, options: ExportOptions, report: ExportReport) -> None:
        """Raises ConflictError if something of somebody else's is where the export would write."""
        self.report = report
        self.output = output_of(report.path, file_format, asked, options, report)
        self._vanished = report.vanished

    @property
    def page_size(self) -> int:
        """Rows of a page."""
        if self.output.wants_vectors:
            return VECTORS_AT_ONCE
        return FILES_AT_ONCE if self.output.counts_files else ROWS_AT_ONCE

    def begin(self, page: Page) -> Sequence[WantedFile]:
        """Writes what can be written of a page, and says whose bytes are to come."""
        report = self.report
        report.started_at = page.started_at
        if page.left_out is not None:  # the first page: no other tells what there was when the export began
            report.total, report.total_is = page.total, page.total_is
        report.left_out = page.left_out if page.left_out is not None else report.left_out
        wanted = self.output.begin(page)
        self._vanished += page.vanished
        report.changed += page.changed
        report.cut_off |= page.cut_off
        return wanted

    def receive_here(self, wanted: WantedFile) -> Arrived | None:
        """Takes bytes that are on this machine."""
        return self.output.receive_here(wanted)

    def receive(self, wanted: WantedFile, data: bytes) -> Arrived:
        """Takes bytes that were fetched."""
        return self.output.receive(wanted, data)

    def settle(self, wanted: WantedFile, outcome: Arrived | Exception) -> None:
        """Notes what became of an image."""
        self.output.settle(wanted, outcome)

    def end(self, page: Page) -> None:
        """A page is done."""
        self.report.vanished = self._vanished
        self.output.end(page)

    def finish(self) -> ExportReport:
        """Everything is there."""
        report = self.report
        if report.total is not None and report.total_is == "exact":
            report.vanished = max(self._vanished, report.total - report.done)
        self.output.finish()
        return self.report

    def begin_again(self) -> None:
        """From the first row."""
        self.report.changed = self.report.vanished = self._vanished = 0
        self.output.begin_again()

    def give_up(self) -> None:
        """It ends early."""
        self.output.give_up()


def output_of(
    path: Path, file_format: ExportFormat, asked: Asked, options: ExportOptions, report: ExportReport
) -> Output:
    """What writes the format."""
    require_parent(path)
    if file_format in ("folder", "webdataset") or (file_format == "coco" and path.suffix.lower() != ".json"):
        return into_folder(path, file_format, asked, options, report)
    require_free(path, options, own=is_own if file_format in ("parquet", "arrow") else None)
    if file_format == "coco":
        return CocoLabels(path, asked, report)
    if file_format in ("parquet", "arrow"):
        return VectorExport(path, report, is_arrow=file_format == "arrow")
    return TextExport(path, file_format, asked, options, report)


def into_folder(
    path: Path, file_format: ExportFormat, asked: Asked, options: ExportOptions, report: ExportReport
) -> FileExport:
    """With books in the folder itself."""
    if path.exists() and not path.is_dir():
        raise ConflictError(f"{path} is a file, and an export as {file_format} needs a folder. Name another path.")
    path.mkdir(exist_ok=True)
    kinds: dict[str, type[Files] | type[Shards]] = {"folder": Files, "coco": CocoFiles, "webdataset": Shards}
    kind = kinds[file_format]
    one_spelling = not options.original_names
    ledger = Ledger(path, kind.kind, kind.own_names, one_spelling=one_spelling, overwrite=options.overwrite)
    try:
        container: Container = (
            CocoFiles(path, ledger, options, asked) if kind is CocoFiles else kind(path, ledger, options)
        )
    except BaseException:
        ledger.close()
        raise
    return FileExport(container, ledger, asked, options, report)


def require_parent(path: Path) -> None:
    """Raises ConflictError if there is no folder to write into."""
    if not path.parent.is_dir():
        raise ConflictError(f"There is no folder {path.parent}: make it first.")


def require_free(path: Path, options: ExportOptions, own: Callable[[Path], bool] | None = None) -> None:
    """Raises ConflictError if the path is a folder, or a file that may not be replaced. own: knows ours."""
    if path.is_dir():
        raise ConflictError(f"{path} is a folder. Name a file, or a format that makes a folder: --format folder.")
    if (path.exists() or path.is_symlink()) and not options.overwrite and not (own and own(path)):
        raise ConflictError(f"{path} is there. Name another file, or say --overwrite (overwrite=True).")
