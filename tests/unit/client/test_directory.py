"""What the report of a directory's upload says of each file."""

from __future__ import annotations

from pathlib import Path

import pytest

from pictograph import AuthError, ConflictError, TooLarge
from pictograph.client.directory import pending_files, settle
from pictograph.client.results import LeftAside, UploadReport
from pictograph.client.walk import LocalFile

FILE = LocalFile(Path("a.jpg"), "/", "a.jpg")


def test_files_whose_place_is_taken_are_skipped_before_they_are_sent() -> None:
    other = LocalFile(Path("b/a.jpg"), "/b", "a.jpg")
    report = UploadReport("x", attempted=2)
    steps: list[tuple[int, int, str]] = []
    assert pending_files([FILE, other], {("/", "a.jpg")}, report, lambda *step: steps.append(step)) == [other]
    assert (report.skipped, report.done, steps) == ([FILE.path], 1, [(1, 2, "a.jpg")])


def test_two_files_that_want_one_place_are_told_apart_from_what_was_there_already() -> None:
    twin = LocalFile(Path("b/a.jpg"), "/", "a.jpg")
    for existing, sent, skipped in ((set(), [FILE], []), ({("/", "a.jpg")}, [], [FILE.path])):
        report = UploadReport("x", attempted=2)
        assert pending_files([FILE, twin], existing, report, None) == sent
        assert report.skipped == skipped
        assert [(failure.path, failure.code) for failure in report.failures] == [(twin.path, "conflict")]
        assert "a.jpg goes to the same folder" in report.failures[0].reason


def test_a_conflict_is_a_skip_if_that_is_wanted_and_else_a_failure() -> None:
    report = UploadReport("x", attempted=1)
    settle(report, FILE, ConflictError("taken"), skip_existing=True, progress=None)
    assert (report.skipped, report.failures, report.success) == ([FILE.path], [], True)
    settle(report, FILE, ConflictError("taken"), skip_existing=False, progress=None)
    assert [failure.code for failure in report.failures] == ["conflict"]
    assert not report.success


def test_what_is_wrong_with_one_file_is_noted_and_what_is_wrong_with_all_is_raised() -> None:
    report = UploadReport("x", attempted=2)
    settle(report, FILE, TooLarge("too large"), skip_existing=True, progress=None)
    settle(report, FILE, PermissionError("no"), skip_existing=True, progress=None)
    assert [(failure.code, failure.reason) for failure in report.failures] == [
        ("too_large", "too large"), ("unreadable", "no"),
    ]  # fmt: skip
    with pytest.raises(AuthError):
        settle(report, FILE, AuthError("no key"), skip_existing=True, progress=None)


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
    assert "dataset_name='x', attempted=5000, uploaded=0, skipped=5000, failures=0" in str(report)
    assert "success=True" in str(report)
