"""What becomes of the files of a local directory: which are sent, and what the report says of each."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from pictograph.client.results import UploadFailure, UploadReport
from pictograph.client.walk import LocalFile
from pictograph.errors import ApiError, ConflictError, PictographError, ValidationError
from pictograph.wire import Image

Progress = Callable[[int, int, str], None]
"""Called after each file with how many are done, how many there are, and the file's name."""


def pending_files(
    files: list[LocalFile], existing: set[tuple[str, str]], report: UploadReport, progress: Progress | None
) -> list[LocalFile]:
    """The files whose place is still free; the others are noted as skipped, or as failed if two want one place."""
    pending: list[LocalFile] = []
    first: dict[tuple[str, str], Path] = {}
    for file in files:
        place = (file.folder_path, file.filename)
        if place in first:
            reason = f"{first[place]} goes to the same folder under the same name. Keep the structure, or rename one."
            report.failures.append(UploadFailure(file.path, reason, ConflictError.code))
        elif place in existing:
            report.skipped.append(file.path)
        else:
            pending.append(file)
        first.setdefault(place, file.path)
    if progress and report.done:
        progress(report.done, report.attempted, files[-1].filename)
    return pending


def settle(
    report: UploadReport,
    file: LocalFile,
    outcome: Image | Exception,
    *,
    skip_existing: bool,
    progress: Progress | None,
) -> None:
    """Notes what became of a file. An error that no other file would escape is raised instead."""
    if isinstance(outcome, Image):
        report.uploaded.append(outcome)
    elif isinstance(outcome, ConflictError) and skip_existing:
        report.skipped.append(file.path)
    elif is_about_this_file(outcome):
        code = outcome.code if isinstance(outcome, PictographError) else "unreadable"
        report.failures.append(UploadFailure(file.path, str(outcome), code))
    else:
        raise outcome
    if progress:
        progress(report.done, report.attempted, file.filename)


def is_about_this_file(error: Exception) -> bool:
    """A wrong key or a server that is gone ends the whole upload; a bad picture or an unreadable file does not."""
    if isinstance(error, ApiError):
        return isinstance(error, ValidationError | ConflictError)
    return isinstance(error, OSError)
