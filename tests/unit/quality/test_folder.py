"""Two layouts of labelled photographs, and folders that are neither."""

from __future__ import annotations

from pathlib import Path

import pytest
from benchmarks.quality.folder import class_of, read_folder

from pictograph.errors import ConfigurationError


def touch(root: Path, *names: str) -> Path:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    return root


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("bee/1.jpg", "bee"),
        ("bee/wild/1.jpg", "bee"),
        ("n01531178/a.jpg", "n01531178"),
        ("n01531178_goldfinch/b.jpg", "n01531178_goldfinch"),
        ("n01531178_goldfinch.JPEG", "n01531178_goldfinch"),
        ("n02504458_5213.JPEG", "n02504458"),
        ("n02504458.JPEG", "n02504458"),
        ("goldfinch.jpg", None),
        ("n123_goldfinch.jpg", None),
    ],
)
def test_the_first_folder_or_a_wordnet_id_names_the_class(path: str, name: str | None) -> None:
    assert class_of(Path(path)) == name


def test_pictures_are_read_in_order_and_other_files_are_not(tmp_path: Path) -> None:
    touch(tmp_path, "cat/2.png", "bee/1.JPG", "bee/notes.txt", "bee/.hidden.jpg", ".git/x.jpg", "stray.jpg")
    found = read_folder(tmp_path)
    assert [(photo.class_name, photo.path.name) for photo in found.photos] == [("bee", "1.JPG"), ("cat", "2.png")]
    assert found.without_class == [tmp_path / "stray.jpg"]


def test_an_empty_folder_says_how_to_lay_one_out(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"no labelled photographs.*bee/1\.jpg.*n01531178_goldfinch"):
        read_folder(tmp_path)


def test_pictures_without_a_class_are_not_enough(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="no labelled photographs"):
        read_folder(touch(tmp_path, "holiday.jpg"))


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="missing is not a folder"):
        read_folder(tmp_path / "missing")
