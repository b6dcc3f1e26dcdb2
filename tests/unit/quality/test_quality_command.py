"""`python -m benchmarks quality` from end to end, with the encoder that needs no network."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from benchmarks.quality.__main__ import main

from support.pictures import picture_bytes


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    root = tmp_path / "photos"
    for number in range(4):
        path = root / ("cat", "dog")[number % 2] / f"{number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(picture_bytes(number))
    return root


def lines_of(capsys: pytest.CaptureFixture[str]) -> dict[str, dict[str, object]]:
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    return {line["question"]: line for line in lines}


def test_every_question_gets_a_line_that_names_the_encoder(photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(photos), "--encoder", "noop"]) == 0
    lines = lines_of(capsys)
    assert set(lines) == {"similarity", "zero-shot", "tags", "threshold"}
    assert all((line["encoder"], line["revision"], line["photos"]) == ("noop", "1", 4) for line in lines.values())
    assert lines["tags"]["skipped_because"] == "the encoder noop brings no tagger"
    assert lines["zero-shot"]["skipped_because"] == "the encoder noop reads no words"
    assert lines["similarity"]["related_by"] == "class"


def test_a_broken_picture_is_named_and_left_out(
    photos: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    (photos / "cat" / "broken.jpg").write_bytes(b"\xff\xd8\xff no picture")
    assert main([str(photos), "--encoder", "noop", "--only", "similarity"]) == 0
    line = lines_of(capsys)["similarity"]
    assert (line["photos"], line["skipped"]) == (4, ["broken.jpg"])
    assert "broken.jpg is left out" in caplog.text


def test_a_folder_of_broken_pictures_ends_with_a_reason(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "cat").mkdir()
    (tmp_path / "cat" / "broken.jpg").write_bytes(b"no picture")
    assert main([str(tmp_path), "--encoder", "noop"]) == 2
    assert "None of the 1 photographs could be read" in capsys.readouterr().err


def test_an_empty_folder_and_an_unknown_encoder_end_with_a_reason(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty").mkdir()
    assert main([str(tmp_path / "empty")]) == 2
    assert "no labelled photographs" in capsys.readouterr().err
    assert main([str(photos), "--encoder", "nobody"]) == 2
    assert "There is no encoder 'nobody'" in capsys.readouterr().err


def test_words_need_imagenet_classes(photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(photos), "--only", "words"]) == 2
    assert "ImageNet classes only" in capsys.readouterr().err


def test_a_single_picture_is_enough_to_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "cat").mkdir()
    (tmp_path / "cat" / "1.jpg").write_bytes(picture_bytes(1))
    assert main([str(tmp_path), "--sheet", str(tmp_path / "out")]) == 0
    lines = lines_of(capsys)
    assert lines["similarity"]["precision_at_1"] is None
    assert lines["tags"]["judged_photos"] == 1


def test_sheets_show_every_picture_and_its_neighbours(photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert main([str(photos), "--encoder", "noop", "--only", "similarity", "--sheet", str(out)]) == 0
    files = sorted(path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file())
    thumbnails = [f"thumbnails/{number:05}.jpg" for number in range(4)]
    assert files == ["index.html", "neighbours-01.jpg", "tags-01.jpg", *thumbnails]
    page = (out / "index.html").read_text()
    assert all(name in page for name in files if name != "index.html")


def test_a_sheet_cannot_be_written_over_a_file(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    options = ["--encoder", "noop", "--only", "similarity", "--sheet", str(tmp_path / "file")]
    assert main([str(photos), *options]) == 2
    assert "cannot be written" in capsys.readouterr().err
