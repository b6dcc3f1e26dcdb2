"""Which files of a directory are uploaded, where to, and what the report says."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pictograph import AuthError, ConflictError, TooLarge, ValidationError
from pictograph.client.directory import SUFFIXES, LocalFile, local_files, pending_files, settle
from pictograph.client.results import UploadReport


def made(root: Path, *names: str) -> Path:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    return root


def found(root: Path, folder: str = "/", *, preserve: bool = True) -> list[tuple[str, str]]:
    return [(file.folder_path, file.filename) for file in local_files(root, folder, preserve_structure=preserve)]


def test_pictures_are_found_at_every_depth_sorted(tmp_path: Path) -> None:
    made(tmp_path, "b.jpg", "a.png", "cars/red/c.webp", "cars/d.HEIC")
    assert found(tmp_path) == [("/", "a.png"), ("/", "b.jpg"), ("/cars", "d.HEIC"), ("/cars/red", "c.webp")]


def test_a_target_folder_comes_before_the_structure(tmp_path: Path) -> None:
    made(tmp_path, "a.jpg", "cars/b.jpg")
    for folder in ("/day/1", "day/1/", "//day//1"):
        assert found(tmp_path, folder) == [("/day/1", "a.jpg"), ("/day/1/cars", "b.jpg")]


def test_without_structure_all_go_to_the_target_folder(tmp_path: Path) -> None:
    made(tmp_path, "a.jpg", "cars/b.jpg")
    assert found(tmp_path, "/x", preserve=False) == [("/x", "a.jpg"), ("/x", "b.jpg")]


def test_hidden_files_other_files_and_folders_named_like_pictures_are_left_out(tmp_path: Path) -> None:
    made(tmp_path, "a.jpg", ".hidden.jpg", ".git/b.jpg", "notes.txt", "folder.jpg/inside.txt", "noext", "c.jpg.part")
    assert found(tmp_path) == [("/", "a.jpg")]


def test_the_directory_itself_may_be_hidden(tmp_path: Path) -> None:
    assert found(made(tmp_path / ".photos", "a.jpg")) == [("/", "a.jpg")]


def test_a_broken_link_and_a_loop_of_links_do_not_disturb(tmp_path: Path) -> None:
    made(tmp_path, "a.jpg", "sub/b.jpg")
    (tmp_path / "gone.jpg").symlink_to(tmp_path / "nowhere.jpg")
    (tmp_path / "sub" / "up").symlink_to(tmp_path)
    assert found(tmp_path) == [("/", "a.jpg"), ("/sub", "b.jpg")]


def test_a_pipe_named_like_a_picture_is_not_waited_for(tmp_path: Path) -> None:
    made(tmp_path, "a.jpg")
    os.mkfifo(tmp_path / "pipe.jpg")
    assert found(tmp_path) == [("/", "a.jpg")]


@pytest.mark.parametrize("suffix", ["jpg", "jpeg", "png", "webp", "bmp", "tif", "tiff", "gif", "heic", "heif", "avif"])
def test_every_format_that_the_server_reads_is_sent(suffix: str) -> None:
    assert f".{suffix}" in SUFFIXES


def test_no_directory_and_no_pictures_are_said(tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match="is not a directory"):
        local_files(tmp_path / "nowhere", "/", preserve_structure=True)
    with pytest.raises(ValidationError, match=r"no pictures.*\.jpg"):
        local_files(made(tmp_path, "notes.txt"), "/", preserve_structure=True)


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
