"""Which files of a local directory are uploaded, and where to."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pictograph.client.results import UploadFailure, UploadReport
from pictograph.errors import ApiError, ConflictError, PictographError, ValidationError
from pictograph.wire import Image

SUFFIXES: Final = frozenset(
    f".{suffix}"
    for suffix in (
        *("jpg", "jpeg", "jpe", "jfif", "png", "apng", "webp", "gif", "bmp", "dib", "tif", "tiff"),
        *("heic", "heif", "hif", "avif"),
    )
)
"""The server looks at the bytes; the suffix only decides which files of a directory are worth sending."""

Progress = Callable[[int, int, str], None]
"""Called after each file with how many are done, how many there are, and the file's name."""


@dataclass(frozen=True, slots=True)
class LocalFile:
    """One file and where it goes."""

    path: Path
    folder_path: str
    filename: str


def local_files(directory: Path, folder_path: str, *, preserve_structure: bool) -> list[LocalFile]:
    """Pictures below `directory`, sorted, without hidden ones. Raises ValidationError if there is none."""
    if not directory.is_dir():
        raise ValidationError(f"{directory} is not a directory.")
    files = [
        LocalFile(path, target_folder(path, directory, folder_path, preserve_structure), path.name)
        for path in pictures_below(directory)
    ]
    if not files:
        raise ValidationError(f"{directory} has no pictures: no file below it ends in {', '.join(sorted(SUFFIXES))}.")
    return files


def pictures_below(directory: Path) -> Iterator[Path]:
    for path in sorted(directory.rglob("*")):
        hidden = any(part.startswith(".") for part in path.relative_to(directory).parts)
        if path.suffix.lower() in SUFFIXES and not hidden and path.is_file():
            yield path


def target_folder(path: Path, directory: Path, folder_path: str, preserve_structure: bool) -> str:
    below = path.parent.relative_to(directory).parts if preserve_structure else ()
    return "/" + "/".join([part for part in folder_path.split("/") if part] + list(below))


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
