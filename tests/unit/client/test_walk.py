"""Which files below a directory are uploaded, where to, and what is said of the others."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pictograph import Client, ValidationError
from pictograph.client.walk import SUFFIXES, first_bytes, local_files


def made(root: Path, *names: str) -> Path:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    return root


def found(root: Path, folder: str = "/", *, preserve: bool = True) -> list[tuple[str, str]]:
    files = local_files(root, folder, preserve_structure=preserve).files
    return [(file.folder_path, file.filename) for file in files]


def aside(root: Path) -> dict[str, str]:
    """What is left aside, by its path below the root."""
    left = local_files(root, "/", preserve_structure=True).left_aside
    return {item.path.relative_to(root).as_posix(): item.kind for item in left}


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


def test_hidden_files_and_files_that_are_no_pictures_are_left_aside_and_named(tmp_path: Path) -> None:
    made(tmp_path, "a.jpg", ".hidden.jpg", ".git/b.jpg", "notes.txt", "folder.jpg/inside.txt", "noext", "c.jpg.part")
    assert found(tmp_path) == [("/", "a.jpg")]
    assert aside(tmp_path) == {
        ".hidden.jpg": "hidden", ".git": "hidden", "notes.txt": "not_a_picture",
        "folder.jpg/inside.txt": "not_a_picture", "noext": "not_a_picture", "c.jpg.part": "not_a_picture",
    }  # fmt: skip


def test_the_directory_itself_may_be_hidden(tmp_path: Path) -> None:
    assert found(made(tmp_path / ".photos", "a.jpg")) == [("/", "a.jpg")]


PNG, JPEG, TIFF = b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0", b"II*\0"


def test_content_decides_what_is_a_picture_and_not_the_suffix(tmp_path: Path) -> None:
    pictures = {
        "0001": JPEG,
        "a.jpg_large": JPEG,
        "b.jpg?w=200": PNG,
        "c.txt": TIFF,
        "d.nef": JPEG,
        "e.jpg": b"no picture",
    }
    for name, start in pictures.items():
        (tmp_path / name).write_bytes(start)
    assert found(tmp_path) == [("/", name) for name in sorted(pictures)]


@pytest.mark.parametrize(
    ("name", "start", "reason"),
    [
        ("a.jp2", b"\0\0\0\x0cjP  \r\n\x87\n", "JPEG 2000"),
        ("a", b"P6\n640 480\n255\n", "Netpbm"),
        ("a.bin", b"P1 # a comment\n 3 4 ", "Netpbm"),
        ("a.pam", b"P7\nWIDTH 3\n", "Netpbm"),
        ("a.psd", b"8BPS", "Photoshop"),
        ("a.nef", TIFF, "camera RAW"),
        ("a.dng", b"MM\0*", "camera RAW"),
        ("a", b"II*\0\x10\0\0\0CR", "camera RAW"),
        ("a.raf", b"FUJIFILMCCD-RAW", "camera RAW"),
        ("a.tga", b"\0\0\x02", "Targa"),
        ("a.svg", b"<svg xmlns=", "SVG"),
        ("a.xcf", b"gimp xcf v011", "GIMP"),
    ],
)
def test_a_picture_of_a_kind_that_is_not_read_is_named_with_its_kind(
    tmp_path: Path, name: str, start: bytes, reason: str
) -> None:
    made(tmp_path, "z.jpg")
    (tmp_path / name).write_bytes(start)
    (left,) = local_files(tmp_path, "/", preserve_structure=True).left_aside
    assert (left.path.name, left.kind) == (name, "unsupported")
    assert reason in left.reason


@pytest.mark.parametrize("text", [b"P1 is the first chapter", b"BM and me", b"II", b"", b"GIF", b"%PDF-1.7", b"{}"])
def test_texts_and_documents_are_no_pictures(tmp_path: Path, text: bytes) -> None:
    made(tmp_path, "z.jpg")
    (tmp_path / "file").write_bytes(text)
    assert aside(tmp_path) == {"file": "not_a_picture"}


def test_linked_folders_and_files_are_followed(tmp_path: Path) -> None:
    made(tmp_path / "in", "a.jpg")
    made(tmp_path / "out", "b.jpg", "deep/c.jpg")
    (tmp_path / "in" / "linked").symlink_to(tmp_path / "out")
    (tmp_path / "in" / "d.jpg").symlink_to(tmp_path / "out" / "b.jpg")
    assert found(tmp_path / "in") == [("/", "a.jpg"), ("/", "d.jpg"), ("/linked", "b.jpg"), ("/linked/deep", "c.jpg")]
    assert aside(tmp_path / "in") == {}


def test_loops_of_links_are_walked_once_and_named(tmp_path: Path) -> None:
    root = made(tmp_path / "root", "a.jpg", "sub/b.jpg")
    made(tmp_path, "outside.jpg")
    (root / "again").symlink_to(root / "sub")
    (root / "sub" / "up").symlink_to(root)
    (root / "sub" / "over").symlink_to(tmp_path)  # all that lies around the directory is not what was asked for
    made(tmp_path / "other", "c.jpg")
    (tmp_path / "other" / "self").symlink_to(tmp_path / "other")
    (root / "other").symlink_to(tmp_path / "other")
    assert found(root) == [("/", "a.jpg"), ("/other", "c.jpg"), ("/sub", "b.jpg")]
    assert aside(root) == {"again": "seen", "sub/up": "seen", "sub/over": "seen", "other/self": "seen"}


def test_many_links_between_folders_do_not_multiply_the_walk(tmp_path: Path) -> None:
    folders = [made(tmp_path / f"f{number}", "a.jpg") for number in range(12)]
    for folder in folders:
        for other in folders:
            (folder / f"to_{other.name}").symlink_to(other)
    assert len(found(tmp_path)) == 12
    assert set(aside(tmp_path).values()) == {"seen"}


def test_links_to_nothing_and_folders_that_cannot_be_read_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made(tmp_path, "a.jpg", "closed/b.jpg", "closed.txt")
    (tmp_path / "gone.jpg").symlink_to(tmp_path / "nowhere.jpg")
    (tmp_path / "round").symlink_to(tmp_path / "round")
    scandir, opened = os.scandir, os.open

    def refuse(path: Path) -> Any:
        if Path(path).name == "closed":
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    def refuse_file(path: Path, *arguments: Any) -> int:
        if Path(path).name == "closed.txt":
            raise PermissionError(13, "Permission denied")
        return opened(path, *arguments)

    monkeypatch.setattr(os, "scandir", refuse)  # the tests may run as root, whom no folder refuses
    monkeypatch.setattr(os, "open", refuse_file)
    assert found(tmp_path) == [("/", "a.jpg")]
    assert aside(tmp_path) == {
        "closed": "unreadable", "closed.txt": "unreadable", "gone.jpg": "broken_link", "round": "broken_link",
    }  # fmt: skip


@pytest.mark.parametrize("name", ["pipe.jpg", "pipe"])
def test_a_pipe_is_not_waited_for(tmp_path: Path, name: str) -> None:
    made(tmp_path, "a.jpg")
    os.mkfifo(tmp_path / name)
    with socket.socket(socket.AF_UNIX) as door:
        here = os.open(".", os.O_RDONLY)
        os.chdir(tmp_path)  # the path of a socket may not be long
        door.bind("door.png")
        os.fchdir(here)
        os.close(here)
    assert found(tmp_path) == [("/", "a.jpg")]
    assert aside(tmp_path) == {name: "special", "door.png": "special"}
    assert first_bytes(tmp_path / name) == b""


@pytest.mark.parametrize("suffix", ["jpg", "jpeg", "png", "webp", "bmp", "tif", "tiff", "gif", "heic", "heif", "avif"])
def test_every_format_that_the_server_reads_is_sent(suffix: str) -> None:
    assert f".{suffix}" in SUFFIXES


def test_no_directory_and_no_pictures_are_said(tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match="is not a directory"):
        local_files(tmp_path / "nowhere", "/", preserve_structure=True)
    with pytest.raises(ValidationError, match="there is no file below it"):
        local_files(tmp_path, "/", preserve_structure=True)
    with pytest.raises(ValidationError, match=r"no pictures.*1 are not pictures: .*notes\.txt \(plain text\)"):
        local_files(made(tmp_path, "notes.txt"), "/", preserve_structure=True)
    with pytest.raises(ValidationError, match="is not a directory"):
        local_files(tmp_path / ("x" * 5000), "/", preserve_structure=True)


def test_an_empty_path_is_not_the_folder_one_is_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with Client("key", base_url="http://127.0.0.1:9") as client:
        with pytest.raises(ValidationError, match="path is empty"):
            client.images.upload_from_directory("x", "")
        with pytest.raises(ValidationError, match="path is empty"):
            client.images.upload("x", "")
    with pytest.raises(ValidationError, match="path is empty"):
        Client.embedded("")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", [["upload", "", "-d", "x"], ["serve", "--show-settings", "--data-dir", ""]])
def test_the_command_takes_no_empty_path(command: list[str], home: Path) -> None:
    ran = subprocess.run([sys.executable, "-m", "pictograph", *command], capture_output=True, text=True, check=False)
    assert ran.returncode == 6
    assert "The path is empty" in ran.stderr
