"""What is known of a model without torch: these tests run where it is not installed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from pictograph.encode.checkpoint import Checkpoint
from pictograph.encode.checksums import SIDECAR, checksums
from pictograph.encode.registry import describe_encoder
from pictograph.encode.squash import SquashRecipe
from pictograph.errors import ConfigurationError
from pictograph_search import install_command
from support.checkpoints import PREPROCESSOR_CONFIG, make_tokenizer


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A checkpoint as published: what equals transformers' own defaults is left out. Its weights are nonsense."""
    folder = tmp_path / "siglip2-base-patch16-224"
    folder.mkdir()
    config = {"model_type": "siglip", "text_config": {"vocab_size": 256000}, "vision_config": {"patch_size": 16}}
    (folder / "config.json").write_text(json.dumps(config))
    size = {"size": {"height": 224, "width": 224}}
    (folder / "preprocessor_config.json").write_text(json.dumps(PREPROCESSOR_CONFIG | size))
    make_tokenizer().save(str(folder / "tokenizer.json"))
    (folder / "model.safetensors").write_bytes(b"weights")
    return folder


def test_a_published_config_leaves_out_the_defaults(folder: Path) -> None:
    checkpoint = Checkpoint.read(folder)
    assert (checkpoint.dimension, checkpoint.text_length, checkpoint.recipe.side_px) == (768, 64, 224)


def test_vectors_wider_than_the_column_are_refused(folder: Path) -> None:
    wide = {"hidden_size": 1536, "patch_size": 16}
    config = {"model_type": "siglip", "text_config": {"projection_size": 1536}, "vision_config": wide}
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(ConfigurationError, match="1536 numbers; 1152 are stored"):
        Checkpoint.read(folder)


def test_a_model_is_described_without_torch_and_its_absence_is_said_when_it_is_loaded(folder: Path) -> None:
    program = (
        "import sys; sys.modules['torch'] = sys.modules['transformers'] = None\n"
        "from pictograph.encode.registry import describe_encoder, load_encoder\n"
        "from pictograph.errors import ConfigurationError\n"
        f"print(describe_encoder({str(folder)!r}).revision)\n"
        f"try: load_encoder({str(folder)!r})\n"
        "except ConfigurationError as error: print(error)\n"
    )
    printed = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    revision, said = printed.strip().split("\n")
    assert revision == describe_encoder(str(folder)).revision
    assert "'torch'" in said
    assert install_command("siglip") in said


def test_weights_that_have_not_changed_are_not_read_again(folder: Path) -> None:
    weights = folder / "model.safetensors"
    first = checksums([weights])
    sidecar = json.loads((folder / SIDECAR).read_text())
    sidecar["model.safetensors"]["sha256"] = "remembered"
    (folder / SIDECAR).write_text(json.dumps(sidecar))
    assert checksums([weights]) == {"model.safetensors": "remembered"}
    weights.write_bytes(b"WEIGHTS!")
    assert checksums([weights]) not in (first, {"model.safetensors": "remembered"})


@pytest.mark.parametrize("sidecar", ["", "[]", '{"model.safetensors": 3}', '{"model.safetensors": {"size": 7}}'])
def test_a_damaged_sidecar_is_replaced(folder: Path, sidecar: str) -> None:
    weights = folder / "model.safetensors"
    expected = checksums([weights])
    (folder / SIDECAR).write_text(sidecar)
    assert checksums([weights]) == expected
    assert checksums([weights]) == expected


def test_a_folder_that_takes_no_sidecar_is_only_slower(folder: Path) -> None:
    (folder / SIDECAR).mkdir()
    assert checksums([folder / "model.safetensors"]) == checksums([folder / "model.safetensors"])
    assert sorted(path.name for path in folder.glob(f"{SIDECAR}*")) == [SIDECAR]


def test_a_recipe_is_one_straight_line_per_channel() -> None:
    recipe = SquashRecipe.of({"size": {"height": 2, "width": 2}, "resample": 2, "image_mean": [0.5] * 3} | HALVES)
    white, black = (recipe.apply(np.full((5, 9, 3), value, np.uint8)) for value in (255, 0))
    assert np.abs(white - 1).max() < 1e-6
    assert np.abs(black + 1).max() < 1e-6


HALVES = {"image_std": [0.5] * 3, "rescale_factor": 1 / 255}
