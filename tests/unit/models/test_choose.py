"""What `--encoder auto` means: every case on one page."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from pictograph.encode.registry import models_folder
from pictograph.models import choose
from pictograph.models.choose import choose_encoder, detect, model_to_pull
from pictograph_search import command_name, install_command
from support.checkpoints import plain_checkpoint

SO400M, BASE, LARGE = "siglip2-so400m-patch14-384", "siglip2-base-patch16-224", "siglip2-large-patch16-256"
SO400M_16 = "siglip2-so400m-patch16-256"
SIZES = {SO400M: 4500, SO400M_16: 4400, LARGE: 3500, BASE: 1500}
PULL = f"{command_name()} model pull"
INSTALL = install_command("siglip")


@pytest.mark.parametrize(
    ("has_gpu", "runtime", "installed", "name", "hint"),
    [
        (False, False, [], "offline", f"{INSTALL} && {PULL}"),
        (False, True, [], "offline", PULL),
        (True, True, [], "offline", PULL),
        (False, False, [BASE], "offline", INSTALL),
        (True, False, [SO400M], "offline", INSTALL),
        (True, True, [BASE, SO400M], SO400M, None),
        (True, True, [SO400M_16, BASE], SO400M_16, None),
        (True, True, [SO400M_16, SO400M], SO400M, None),
        (True, True, [LARGE, BASE], LARGE, f"{PULL} {SO400M}"),
        (True, True, [BASE], BASE, f"{PULL} {SO400M}"),
        (False, True, [SO400M, BASE], BASE, None),
        (False, True, [SO400M, LARGE], LARGE, None),
        (False, True, [SO400M], SO400M, f"{PULL} {BASE}"),
        (False, True, ["mine"], "mine", None),
    ],
)
def test_the_choice(has_gpu: bool, runtime: bool, installed: list[str], name: str, hint: str | None) -> None:
    choice = choose_encoder(has_gpu, runtime, installed, SIZES)
    assert (choice.name, choice.hint) == (name, hint)
    assert choice.why.endswith(".")
    assert "\n" not in choice.why


def test_the_choice_does_not_depend_on_the_order_and_needs_no_sizes() -> None:
    assert choose_encoder(False, True, ["b", "a"]) == choose_encoder(False, True, ["a", "b"])


def test_without_a_model_nobody_imports_torch_or_asks_the_network(no_network: None) -> None:
    program = "import sys; from pictograph.models.choose import detect; print(detect(), 'torch' in sys.modules)"
    printed = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert "has_gpu=False" in printed
    assert "installed=()" in printed
    assert printed.strip().endswith("False")


def test_only_models_that_can_be_used_count(no_network: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choose, "sees_gpu", lambda: False)
    plain_checkpoint(models_folder() / BASE)
    (plain_checkpoint(models_folder() / SO400M) / "tokenizer.json").unlink()
    plain_checkpoint(models_folder() / ".pull@google@x@75de2d55ec2d")
    machine = detect()
    assert machine.installed == (BASE,)
    assert machine.sizes[BASE] > 300_000
    assert machine.choice() == choose_encoder(False, machine.runtime_installed, [BASE])


@pytest.mark.parametrize(
    ("runtime", "gpu", "name", "said"),
    [(False, False, BASE, "not installed"), (True, False, BASE, "sees no GPU"), (True, True, SO400M, "sees a GPU")],
)
def test_what_is_pulled_if_nothing_is_named(
    runtime: bool, gpu: bool, name: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(choose, "runtime_installed", lambda: runtime)
    monkeypatch.setattr(choose, "sees_gpu", lambda: gpu)
    assert model_to_pull().name == name
    assert said in model_to_pull().why


def test_where_no_driver_shows_there_is_no_gpu(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(choose, "runtime_installed", lambda: True)
    monkeypatch.setattr(choose, "GPU_DRIVERS", (str(tmp_path / "none"),))
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setitem(sys.modules, "torch", None)
    assert choose.sees_gpu() is False
