"""The quality benchmark on real photographs: far above chance with the offline encoder, chance with random weights."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from benchmarks.quality.__main__ import main

from support.checkpoints import make_checkpoint

REPOSITORY = Path(__file__).parents[2]
EXAMPLES = REPOSITORY / "examples" / "photos"


@pytest.fixture(scope="module")
def by_subject(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example photographs filed by the first word of their names: bird, castle, cat, ..."""
    root = tmp_path_factory.mktemp("by-subject")
    for path in EXAMPLES.rglob("*.jpg"):
        folder = root / path.stem.split("-")[0].removesuffix("s")
        folder.mkdir(exist_ok=True)
        shutil.copy(path, folder)
    return root


def ask(capsys: pytest.CaptureFixture[str], *arguments: object) -> dict[str, Any]:
    assert main([str(argument) for argument in arguments]) == 0
    return {line["question"]: line for line in map(json.loads, capsys.readouterr().out.splitlines())}


def test_the_offline_encoder_finds_and_tags_what_is_alike(by_subject: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = ask(capsys, by_subject)
    assert lines["similarity"]["precision_at_1"] >= 0.8  # measured: 0.95; chance: 0.04
    assert lines["similarity"]["roc_area"] >= 0.95  # measured: 0.986
    assert lines["zero-shot"]["of_the_folder"]["prompts"]["top1"] >= 0.5  # measured: 0.63; chance: 0.03
    assert lines["tags"]["objects_micro"]["precision"] >= 0.85  # measured: 0.98
    assert lines["tags"]["objects_micro"]["recall"] >= 0.5  # measured: 0.65


def test_random_weights_find_nothing(by_subject: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("torch", reason="needs torch, of the extra siglip")
    pytest.importorskip("transformers", reason="needs transformers, of the extra siglip")
    lines = ask(capsys, by_subject, "--encoder", make_checkpoint(tmp_path / "random"))
    assert lines["similarity"]["photos"] == len(list(EXAMPLES.rglob("*.jpg")))
    assert lines["similarity"]["precision_at_1"] <= 0.2  # measured on three seeds: 0.03 to 0.05
    assert lines["similarity"]["roc_area"] <= 0.75  # 0.58 to 0.61: even chance's projection keeps colours
    assert lines["zero-shot"]["of_the_folder"]["prompts"]["top1"] <= 0.15  # 0.02 to 0.05


def test_imagenet_photographs_named_by_wordnet_id(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = Path(os.environ.get("PICTOGRAPH_TEST_PHOTOS", REPOSITORY.parent / "shared" / "photos"))
    if not any(folder.glob("n????????_*")):
        pytest.skip("no photographs: set PICTOGRAPH_TEST_PHOTOS to a folder of files named n02504458_*.JPEG")
    lines = ask(capsys, folder, "--related", "taxonomy", "--only", "similarity", "tags", "zero-shot")
    assert lines["similarity"]["roc_area"] >= 0.85
    assert lines["tags"]["objects_micro"]["precision"] >= 0.9
    assert lines["tags"]["not_judged_classes"] == []
    assert lines["zero-shot"]["of_imagenet"]["prompts"]["top1"] >= 0.5
