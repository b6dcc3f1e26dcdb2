"""What the report of a directory's upload says of each file."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest

from pictograph import AuthError, ConflictError, TooLarge
from pictograph.client.directory import askable, batches, one_of_each_place, settle, sort_out
from pictograph.client.results import Different, LeftAside, UploadReport
from pictograph.client.walk import LocalFile
from pictograph.wire import KnownImage

FILE = LocalFile(Path("a.jpg"), "/", "a.jpg")


def local(tmp_path: Path, name: str, data: bytes) -> LocalFile:
    (tmp_path / name).write_bytes(data)
    return LocalFile(tmp_path / name, "/", name)


def known(position: int, data: bytes, **changes: Any) -> KnownImage:
    facts = {"folder_path": "/", "filename": "x", "state": "tagged", "is_archived": False, "file_size": len(data)}
    digest = hashlib.sha256(data).hexdigest()
    return KnownImage(**{"position": position, "id": f"image-{position}", "sha256": digest} | facts | changes)


def test_files_are_told_by_their_bytes_from_what_is_there_under_their_names(tmp_path: Path) -> None:
    names = ("new", "same", "longer", "other", "archived", "gone", "archived other")
    files = [local(tmp_path, name, b"12345") for name in names]
    files[5].path.unlink()
    there = [
        known(1, b"12345"), known(2, b"123"), known(3, b"abcde"), known(4, b"12345", is_archived=True),
        known(5, b"12345"), known(6, b"abcde", is_archived=True),
    ]  # fmt: skip
    report = UploadReport("x", attempted=7)
    verdicts = sort_out(files, files, there, report)
    assert [file.filename for file in verdicts.send] == ["new"]
    assert [(file.filename, image.id) for file, image in verdicts.restore] == [("archived", "image-4")]
    assert report.skipped == [files[1].path]
    assert [(item.path.name, item.image_id) for item in report.different] == [
        ("longer", "image-2"), ("other", "image-3"), ("archived other", "image-6"),
    ]  # fmt: skip
    assert report.different[0].reason == "5 bytes here, 3 bytes in the dataset"
    assert report.different[2].reason == "other bytes than in the dataset (archived), of the same size"
    assert [(failure.path.name, failure.code) for failure in report.failures] == [("gone", "unreadable")]
    assert report.failures[0].reason == "This file cannot be read: No such file or directory."
    assert not report.success
    assert report.done == 5


def test_a_file_that_differs_is_no_success() -> None:
    report = UploadReport("x", attempted=1, different=[Different(Path("a.jpg"), "id", "5 bytes here")])
    assert (report.done, report.success) == (1, False)


def test_two_files_that_want_one_place_are_told_however_they_spell_it() -> None:
    twin = LocalFile(Path("b/a.jpg"), "/", "a.jpg")
    composed, decomposed = (
        LocalFile(Path("1"), "/\u00e9", "\u00fc.jpg"),
        LocalFile(Path("2"), "/e\u0301", "u\u0308.jpg"),
    )
    for files in ([FILE, twin], [composed, decomposed]):
        report = UploadReport("x", attempted=2)
        assert one_of_each_place(files, report) == files[:1]
        assert [(failure.path, failure.code) for failure in report.failures] == [(files[1].path, "conflict")]
        assert f"{files[0].path} goes to the same folder" in report.failures[0].reason


def test_what_no_question_can_hold_is_not_asked_for() -> None:
    odd = [LocalFile(Path("x"), "/", name) for name in ("\udcff.jpg", "a" * 2000, "")]
    assert askable([FILE, *odd]) == [FILE]


def test_files_are_asked_for_a_thousand_at_a_time() -> None:
    assert [len(batch) for batch in batches([FILE] * 2500)] == [1000, 1000, 500]


def test_a_conflict_is_a_failure() -> None:
    report = UploadReport("x", attempted=1)
    settle(report, FILE, ConflictError("taken"), progress=None)
    assert [failure.code for failure in report.failures] == ["conflict"]
    assert not report.success


def test_what_is_wrong_with_one_file_is_noted_and_what_is_wrong_with_all_is_raised() -> None:
    report = UploadReport("x", attempted=2)
    settle(report, FILE, TooLarge("too large"), progress=None)
    settle(report, FILE, PermissionError("no"), progress=None)
    assert [(failure.code, failure.reason) for failure in report.failures] == [
        ("too_large", "too large"), ("unreadable", "This file cannot be read: no."),
    ]  # fmt: skip
    with pytest.raises(AuthError):
        settle(report, FILE, AuthError("no key"), progress=None)


def test_a_file_that_the_disk_does_not_give_is_no_success_and_one_that_is_no_picture_is() -> None:
    report = UploadReport("x", left_aside=[LeftAside(Path("notes.txt"), "not_a_picture", "plain text")])
    assert report.success
    assert report.unreadable == []
    for kind in ("unreadable", "broken_link"):
        report = UploadReport("x", left_aside=[LeftAside(Path("a"), kind, "Permission denied")])  # type: ignore[arg-type]
        assert not report.success
        assert len(report.unreadable) == 1


def test_a_report_shows_itself_as_counts_however_many_files_it_holds() -> None:
    report = UploadReport("x", attempted=5000, skipped=[Path(f"a/{number}.jpg") for number in range(5000)])
    assert len(repr(report)) < 300
    assert "dataset_name='x', attempted=5000, uploaded=0, skipped=5000, restored=0" in str(report)
    assert "success=True" in str(report)
