"""What becomes of the files of a local directory: which are sent, and what the report says of each."""

from __future__ import annotations

import dataclasses
import hashlib
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import Final

from pictograph.client.results import Different, UploadFailure, UploadReport
from pictograph.client.walk import Found, LocalFile, given_path, reason_of
from pictograph.errors import ApiError, ConflictError, ValidationError, wrong_value
from pictograph.types import MAX_FOLDER_SENT, MAX_NAMED
from pictograph.wire import Image, KnownImage

Progress = Callable[[int, int, str], None]
"""Called after each file with how many are done, how many there are, and the file's name."""

ASKED_AT_ONCE: Final = 1000
"""Files of which the server is asked in one question whether they are there."""
READERS: Final = 4
"""Files that are compared at the same time."""


@dataclass(slots=True)
class Verdicts:
    """What is to be done with some files."""

    send: list[LocalFile] = field(default_factory=list)
    restore: list[tuple[LocalFile, KnownImage]] = field(default_factory=list)
    """Archived images of the same bytes."""


def begun(report: UploadReport | None, dataset_name: str, found: Found) -> UploadReport:
    """The report of an upload that begins. Raises ValidationError if the one given tells of another."""
    report = report or UploadReport(dataset_name)
    if report.attempted:
        raise ValidationError("report must be a new UploadReport: this one belongs to another upload.")
    report.dataset_name, report.attempted, report.left_aside = dataset_name, len(found.files), found.left_aside
    return report


def one_of_each_place(files: Sequence[LocalFile], report: UploadReport) -> list[LocalFile]:
    """The first file of each place; others that want the same place are noted as failed."""
    first: dict[tuple[str, str], Path] = {}
    for file in files:
        place = place_of(file)
        if place in first:
            reason = f"{first[place]} goes to the same folder under the same name. Keep the structure, or rename one."
            report.failures.append(UploadFailure(file.path, reason, ConflictError.code))
        first.setdefault(place, file.path)
    return [file for file in files if first[place_of(file)] is file.path]


def read_file(file: str | PathLike[str] | bytes, filename: str | None) -> tuple[bytes, str]:
    """Bytes and name of an upload."""
    if isinstance(file, bytes):
        if not filename:
            raise wrong_value("filename", "filename is needed when the picture is given as bytes.")
        return file, filename
    path = given_path(file)
    return path.read_bytes(), filename or path.name


def place_of(file: LocalFile) -> tuple[str, str]:
    """Folder and name as the service writes them: two spellings of one name (NFC, NFD) are one place."""
    return unicodedata.normalize("NFC", file.folder_path), unicodedata.normalize("NFC", file.filename)


def batches(files: Sequence[LocalFile]) -> Iterator[Sequence[LocalFile]]:
    """The files in order, so many together as one question may ask for."""
    for start in range(0, len(files), ASKED_AT_ONCE):
        yield files[start : start + ASKED_AT_ONCE]


def askable(files: Sequence[LocalFile]) -> list[LocalFile]:
    """Those whose place can be asked for; the others are sent, and refused by name."""
    return [file for file in files if can_be_asked(file)]


def can_be_asked(file: LocalFile) -> bool:
    try:
        (file.folder_path + file.filename).encode()
    except UnicodeEncodeError:
        return False
    return 0 < len(file.filename) <= MAX_NAMED and len(file.folder_path) <= MAX_FOLDER_SENT


def sort_out(
    files: Sequence[LocalFile],
    asked: Sequence[LocalFile],
    known: Sequence[KnownImage],
    report: UploadReport,
    *,
    replace: bool = False,
) -> Verdicts:
    """Notes what is there already or differs, and gives what is left to do. Reads files of which an image has the size.

    known: the answer to `asked`, which are some of the files. replace: files that differ are sent.
    """
    taken = [(asked[image.position], image) for image in known]
    places = {file.path for file, _ in taken}
    verdicts = Verdicts([file for file in files if file.path not in places])
    with ThreadPoolExecutor(READERS, "compare") as pool:
        differences = list(pool.map(compared, taken))
    for (file, image), difference in zip(taken, differences, strict=True):
        if isinstance(difference, OSError):
            report.failures.append(unreadable(file, difference))
        elif difference and replace:
            verdicts.send.append(dataclasses.replace(file, replaces=True))
        elif difference:
            report.different.append(Different(file.path, image.id, difference))
        elif image.is_archived:
            verdicts.restore.append((file, image))
        else:
            report.skipped.append(file.path)
    return verdicts


def compared(taken: tuple[LocalFile, KnownImage]) -> str | OSError | None:
    """As `difference_of`; an error is given, not raised."""
    file, image = taken
    try:
        return difference_of(file.path, image)
    except OSError as error:
        return error


def difference_of(path: Path, image: KnownImage) -> str | None:
    """What a file and an image differ in; None if they are the same bytes. Bytes on their way count as there."""
    size, archived = path.stat().st_size, " (archived)" if image.is_archived else ""
    if image.sha256 is None and image.next_sha256 is None:
        return f"the image in the dataset{archived} was imported as a vector and has no bytes"
    there = image.file_size if image.next_file_size is None else image.next_file_size
    if size != there:
        return f"{size:,} bytes here, {there:,} bytes in the dataset{archived}"
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return (
        None
        if digest == (image.next_sha256 or image.sha256)
        else f"other bytes than in the dataset{archived}, of the same size"
    )


def settle(
    report: UploadReport,
    file: LocalFile,
    outcome: Image | Exception,
    *,
    restored: bool = False,
    progress: Progress | None,
) -> None:
    """Notes what became of a file. An error that no other file would escape is raised instead."""
    if isinstance(outcome, Image):
        taken = report.replaced if file.replaces else report.restored if restored else report.uploaded
        taken.append(outcome)
    elif is_about_this_file(outcome):
        report.failures.append(
            unreadable(file, outcome)
            if isinstance(outcome, OSError)
            else UploadFailure(file.path, str(outcome), getattr(outcome, "code", "unreadable"))
        )
    else:
        raise outcome
    tell(report, file, progress)


def unreadable(file: LocalFile, error: OSError) -> UploadFailure:
    return UploadFailure(file.path, f"This file cannot be read: {reason_of(error)}.", "unreadable")


def tell(report: UploadReport, file: LocalFile, progress: Progress | None) -> None:
    """Calls `progress`, if there is anything to tell."""
    if progress and report.done:
        progress(report.done, report.attempted, file.filename)


def is_about_this_file(error: Exception) -> bool:
    """A wrong key or a server that is gone ends the whole upload; a bad picture or an unreadable file does not."""
    if isinstance(error, ApiError):
        return isinstance(error, ValidationError | ConflictError)
    return isinstance(error, OSError)
