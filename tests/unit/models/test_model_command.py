"""`pictograph model ...`, as people and scripts see it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pictograph.cli.main import run
from pictograph.encode.registry import models_folder
from pictograph.models import choose
from pictograph.models.bundle import bundle
from pictograph.models.verify import record
from pictograph_search import command_name, install_command
from support.checkpoints import plain_checkpoint
from support.hub import COMMIT, NAME, FakeHub

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Command:
    """Runs `pictograph model ...` in this process: (exit code, standard output, standard error)."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(choose, "sees_gpu", lambda: False)

    def execute(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["pictograph", "model", *map(str, arguments)])
        capsys.readouterr()
        code = 0
        try:
            run()
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 1
        return code, *capsys.readouterr()

    return execute


def parsed(result: tuple[int, str, str]) -> Any:
    code, out, err = result
    assert (code, err) == (0, ""), err
    return json.loads(out)


def test_a_model_is_pulled_listed_verified_packed_and_unpacked(
    hub: FakeHub, command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code, out, _ = command("pull")
    assert code == 0
    assert f"Chose {NAME}: " in out
    assert f"Fetched {NAME} (google/{NAME}@{COMMIT[:12]})" in out
    assert f"serve --encoder {NAME}" in out
    assert "Nothing to fetch" in command("pull", NAME)[1]
    assert parsed(command("pull", NAME, "--json"))["fetched"] is False
    assert COMMIT[:12] in command("list")[1]
    assert "is whole: 5 files" in command("verify")[1]
    assert command("bundle", NAME)[0] == 0
    told = parsed(command("bundle", NAME, "--output", "x.tar", "--json"))
    assert told["size"] == Path(told["file"]).stat().st_size
    monkeypatch.setenv("PICTOGRAPH_HOME", str(tmp_path / "elsewhere"))
    assert f"Unpacked {NAME}" in command("unbundle", f"{NAME}.pictograph.tar")[1]
    assert parsed(command("unbundle", "x.tar", "--json"))["unpacked"] is False
    (model,) = [row for row in parsed(command("list", "--json"))["models"] if row["name"] == NAME]
    assert model["origin"] == f"google/{NAME}@{COMMIT[:12]}"
    assert model["revision"]
    assert model["fault"] is None


def test_damage_is_named_with_the_fix_and_has_an_exit_code_of_its_own(hub: FakeHub, command: Command) -> None:
    command("pull", NAME)
    (models_folder() / NAME / "config.json").write_text("{}")
    code, out, _ = command("verify", NAME)
    assert code == 7
    assert "config.json has 2 bytes" in out
    assert f"pictograph model pull google/{NAME} --revision {COMMIT} --replace" in out
    code, out, _ = command("verify", "--json")
    assert (code, json.loads(out)[0]["faults"][0]["file"]) == (7, "config.json")
    assert "has 2 bytes" in command("list")[1]
    assert command("pull", f"google/{NAME}", "--revision", COMMIT, "--replace")[0] == 0
    assert command("verify")[0] == 0


def test_a_model_that_is_half_fetched_is_told(hub: FakeHub, command: Command) -> None:
    hub.damaged.add("model.safetensors")
    code, _, err = command("pull", NAME)
    assert (code, "came damaged" in err) == (7, True)
    assert f"It goes on with: {command_name()} model pull google/{NAME}" in command("list")[1]
    assert [row["name"] for row in parsed(command("list", "--json"))["models"]] == ["offline"]


def test_a_folder_copied_by_hand_is_verified_and_recorded(command: Command) -> None:
    plain_checkpoint(models_folder() / "mine")
    assert "nothing to compare it with" in command("verify", "mine")[1]
    assert "not read yet" in command("list")[1]
    assert parsed(command("verify", "mine", "--json"))[0]["compared"] is False
    assert "is whole" in command("verify", "mine", "--record")[1]
    assert command("verify", "--record")[0] == 2


def test_the_list_says_what_serve_takes(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    plain_checkpoint(models_folder() / "mine")
    monkeypatch.setenv("PICTOGRAPH_ENCODER", "mine")
    assert "For new data, pictograph serve takes mine" in command("list")[1]
    monkeypatch.setenv("PICTOGRAPH_ENCODER", "auto")
    monkeypatch.setattr(choose, "runtime_installed", lambda: True)
    told = parsed(command("list", "--json"))
    assert told["serve"]["encoder"] == "mine"
    assert [row["name"] for row in told["models"]] == ["mine", "offline"]
    monkeypatch.setattr(choose, "runtime_installed", lambda: False)
    assert f"To change that: {install_command('siglip')}" in command("list")[1]


def test_an_unknown_model_is_told_how_to_get_it(command: Command) -> None:
    code, _, err = command("bundle", "siglip2")
    assert code == 2
    assert "pictograph model pull siglip2" in err
    assert "no model to verify" in command("verify")[1]


def test_a_bundle_with_another_taxonomy_says_so(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = plain_checkpoint(models_folder() / "mine")
    record(folder)
    bundle(folder, Path("mine.tar"))
    from pictograph.models import unbundle  # noqa: PLC0415

    ours = unbundle.our_taxonomy()
    monkeypatch.setattr(unbundle, "our_taxonomy", lambda: type(ours)("99", ours.content))
    assert "packed by a version with taxonomy 1; this one has 99" in command("unbundle", "mine.tar")[1]


@pytest.mark.parametrize("name", ["pull", "list", "verify", "bundle", "unbundle"])
def test_help_has_an_example(command: Command, name: str) -> None:
    code, out, _ = command(name, "--help")
    assert code == 0
    assert f"pictograph model {name}" in " ".join(out.split())
