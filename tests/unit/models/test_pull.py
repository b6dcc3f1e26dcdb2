"""Fetching a model from a hub over real HTTP: whole and checked, or not at all."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pictograph.encode.checkpoint import Checkpoint
from pictograph.encode.checksums import are_remembered
from pictograph.encode.registry import models_folder
from pictograph.errors import (
    ConfigurationError,
    ConflictError,
    ConnectionFailed,
    ForbiddenError,
    ModelDamaged,
    NotFoundError,
)
from pictograph.models import download, place
from pictograph.models import hub as hub_module
from pictograph.models.manifest import MANIFEST, Manifest
from pictograph.models.names import repository_of
from pictograph.models.pull import Pulled, pull
from pictograph_search import install_command
from support.checkpoints import change_json, plain_checkpoint, write_safetensors
from support.hub import COMMIT, NAME, FakeHub, running_hub, sha256

FILES = {"config.json", "preprocessor_config.json", "tokenizer.json", "tokenizer_config.json", "model.safetensors"}
WEIGHTS = "model.safetensors"


def leftovers() -> list[str]:
    """What is in the models' folder besides models and locks."""
    return [path.name for path in models_folder().glob(".*") if path.is_dir()]


def test_a_model_is_fetched_whole_with_its_manifest_and_nothing_else(pulled: Pulled, published: Path) -> None:
    assert pulled.fetched
    assert {path.name for path in pulled.folder.iterdir() if not path.name.startswith(".")} == FILES | {MANIFEST}
    for name in FILES:
        assert (pulled.folder / name).read_bytes() == (published / name).read_bytes()
    manifest = json.loads((pulled.folder / MANIFEST).read_text())
    assert (manifest["repository"], manifest["commit"]) == (f"google/{NAME}", COMMIT)
    assert {name: facts["sha256"] for name, facts in manifest["files"].items()} == {
        name: sha256(published / name) for name in FILES
    }
    assert leftovers() == []


def test_the_first_start_does_not_read_the_weights_for_their_checksum(pulled: Pulled) -> None:
    checkpoint = Checkpoint.read(pulled.folder)
    assert are_remembered(checkpoint.weights)
    (pulled.folder / ".pictograph-checksums.json").rename(pulled.folder / "kept")
    revision = Checkpoint.read(pulled.folder).spec().revision
    (pulled.folder / "kept").rename(pulled.folder / ".pictograph-checksums.json")
    assert checkpoint.spec().revision == revision


def test_everything_is_fetched_at_the_one_commit_that_main_was(hub: FakeHub) -> None:
    pull(NAME)
    paths = [path for _, path, _ in hub.requests]
    assert [path for path in paths if "/revision/" in path] == [f"/api/models/google/{NAME}/revision/main"]
    assert all(f"/resolve/{COMMIT}/" in path for path in paths if "/resolve/" in path)


def test_progress_rises_to_the_size_of_all_files(hub: FakeHub) -> None:
    seen: list[tuple[int, int]] = []
    manifest = pull(NAME, report=lambda _, done, total: seen.append((done, total))).manifest
    assert manifest
    assert {total for _, total in seen} == {manifest.size}
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    assert seen[-1][0] == manifest.size


def test_what_is_there_is_not_fetched_again_nor_the_network_asked(pulled: Pulled, hub: FakeHub) -> None:
    hub.requests.clear()
    again = pull(NAME)
    assert (again.fetched, again.manifest) == (False, pulled.manifest)
    assert not pull(NAME, revision=COMMIT).fetched
    assert hub.requests == []
    assert not pull(NAME, revision="main").fetched
    assert hub.fetched() == []


def test_a_cut_connection_is_taken_up_at_the_byte_where_it_ended(hub: FakeHub, published: Path) -> None:
    hub.cut_after[WEIGHTS] = 200_000
    folder = pull(NAME).folder
    ranges = [asked for method, path, asked in hub.requests if path.endswith(f"/cdn/google/{NAME}/{WEIGHTS}")]
    assert ranges[0] == "bytes=0-"
    assert len(ranges) == 2
    assert 0 < int(ranges[1].removeprefix("bytes=").rstrip("-")) <= 200_000
    assert (folder / WEIGHTS).read_bytes() == (published / WEIGHTS).read_bytes()


def test_a_hub_that_is_busy_for_a_moment_is_asked_again(hub: FakeHub) -> None:
    hub.busy |= {WEIGHTS, "config.json"}
    assert pull(NAME).fetched
    assert hub.busy == set()


def test_a_hub_without_ranges_is_asked_for_the_whole_file_again(hub: FakeHub, published: Path) -> None:
    hub.ranges, hub.cut_after[WEIGHTS] = False, 200_000
    assert (pull(NAME).folder / WEIGHTS).read_bytes() == (published / WEIGHTS).read_bytes()


KILLED = """
import os, sys
from pictograph.models import pull as module
def report(name, done, total):
    if name == "model.safetensors" and done > 2_000_000:
        os.kill(os.getpid(), 9)
module.pull(sys.argv[1], report=report)
"""


def test_a_killed_pull_goes_on_where_it_was(hub: FakeHub, published: Path, tmp_path: Path) -> None:
    big = plain_checkpoint(tmp_path / "big", weight_bytes=5_000_000)
    hub.repositories["google/big"] = big
    ended = subprocess.run([sys.executable, "-c", KILLED, "big"], check=False)
    assert ended.returncode == -9
    assert not (models_folder() / "big").exists()
    hub.requests.clear()
    folder = pull("big").folder
    assert hub.fetched() == [WEIGHTS]
    (asked,) = [asked for _, path, asked in hub.requests if path.startswith("/cdn/")]
    assert asked
    assert asked != "bytes=0-"
    assert (folder / WEIGHTS).read_bytes() == (big / WEIGHTS).read_bytes()
    assert leftovers() == []


def test_what_is_left_of_another_commit_is_removed(hub: FakeHub) -> None:
    hub.damaged.add(WEIGHTS)
    with pytest.raises(ModelDamaged):
        pull(NAME)
    (before,) = leftovers()
    hub.damaged.clear()
    hub.commit = "b" * 40
    manifest = pull(NAME).manifest
    assert manifest
    assert manifest.commit == "b" * 40
    assert before.endswith(COMMIT[:12])
    assert leftovers() == []


@pytest.mark.parametrize("name", sorted(FILES))
def test_a_file_that_comes_damaged_is_never_put_into_place(hub: FakeHub, name: str) -> None:
    hub.damaged.add(name)
    with pytest.raises(ModelDamaged, match=name) as caught:
        pull(NAME)
    assert "again" in caught.value.message
    assert not (models_folder() / NAME).exists()
    hub.damaged.clear()
    assert pull(NAME).fetched


def test_a_mirror_without_sizes_in_its_listing_is_asked_for_the_headers(hub: FakeHub, published: Path) -> None:
    hub.listing_has_sizes = False
    folder = pull(NAME).folder
    assert any(method == "HEAD" for method, _, _ in hub.requests)
    assert (folder / WEIGHTS).read_bytes() == (published / WEIGHTS).read_bytes()
    hub.damaged.add(WEIGHTS)
    (folder / WEIGHTS).write_bytes(b"")
    with pytest.raises(ModelDamaged):
        pull(NAME, replace=True)


def test_a_mirror_beats_the_environment(hub: FakeHub, published: Path) -> None:
    with running_hub(**{NAME: published}) as mirror:
        pull(NAME, endpoint=mirror.address + "/")
        assert mirror.fetched()
    assert hub.requests == []


def test_a_sharded_model_is_fetched_with_all_its_shards(hub: FakeHub, tmp_path: Path) -> None:
    shards = plain_checkpoint(tmp_path / "sharded")
    (shards / WEIGHTS).unlink()
    names = [f"model-0000{number}-of-00002.safetensors" for number in (1, 2)]
    for name in names:
        write_safetensors(shards / name, 1000)
    (shards / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"a": names[0], "b": names[1]}}))
    hub.repositories["somebody/sharded"] = shards
    folder = pull("somebody/sharded").folder
    assert {path.name for path in Checkpoint.read(folder).weights} == set(names)
    assert are_remembered(Checkpoint.read(folder).weights)


# What cannot be had


def test_a_repository_that_does_not_exist(hub: FakeHub) -> None:
    with pytest.raises(NotFoundError, match=r"no repository google/siglip2-nonesuch.*HF_TOKEN"):
        pull("siglip2-nonesuch")


def test_a_revision_that_does_not_exist(hub: FakeHub) -> None:
    with pytest.raises(NotFoundError, match="no revision 'v9'"):
        pull(NAME, revision="v9")


def test_a_gated_repository_needs_a_token_which_the_environment_has(
    hub: FakeHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.gated.add(f"google/{NAME}")
    with pytest.raises(ForbiddenError, match=r"gated: accept its terms.*HF_TOKEN"):
        pull(NAME)
    monkeypatch.setenv("HF_TOKEN", hub.token)
    assert pull(NAME).fetched
    assert hub.told_tokens[f"/google/{NAME}/resolve/{COMMIT}/{WEIGHTS}"] == f"Bearer {hub.token}"
    assert hub.told_tokens[f"/cdn/google/{NAME}/{WEIGHTS}"] is None  # another host, which is none of its business


@pytest.mark.parametrize("name", ["siglip2-base-patch16-naflex", "google/siglip2-so400m-patch16-naflex"])
def test_a_naflex_model_is_refused_before_anything_is_asked(hub: FakeHub, name: str) -> None:
    with pytest.raises(ConfigurationError, match=r"naflex.*siglip2-base-patch16-224"):
        pull(name)
    assert hub.requests == []


@pytest.mark.parametrize(("model_type", "said"), [("siglip2", "naflex"), ("clip", "'clip'")])
def test_a_model_of_another_kind_is_refused_before_its_weights_are_fetched(
    hub: FakeHub, published: Path, tmp_path: Path, model_type: str, said: str
) -> None:
    other = Path(shutil.copytree(published, tmp_path / "other"))
    change_json(other / "config.json", model_type=model_type)
    hub.repositories["somebody/other"] = other
    with pytest.raises(ConfigurationError, match=said):
        pull("somebody/other")
    assert hub.fetched() == ["config.json"]
    assert leftovers() == []


@pytest.mark.parametrize("name", ["config.json", "preprocessor_config.json", "tokenizer.json", WEIGHTS])
def test_a_repository_without_a_needed_file_is_refused_and_the_file_named(
    hub: FakeHub, published: Path, tmp_path: Path, name: str
) -> None:
    other = Path(shutil.copytree(published, tmp_path / "other"))
    (other / name).unlink()
    hub.repositories["google/other"] = other
    with pytest.raises(ConfigurationError, match=name):
        pull("other")
    assert hub.fetched() == []


@pytest.mark.parametrize("name", ["", "..", "a/..", "../a", "a/b/c", ".hidden", "/etc", "a b", "~"])
def test_a_name_that_is_no_model_is_refused(name: str) -> None:
    with pytest.raises(ConfigurationError, match="names no model"):
        repository_of(name)


@pytest.mark.parametrize("name", ["offline", "noop"])
def test_what_comes_with_us_is_not_fetched(name: str) -> None:
    with pytest.raises(ConfigurationError, match="nothing to fetch"):
        repository_of(name)


def test_siglip2_and_short_names_are_googles() -> None:
    assert repository_of("siglip2").id == "google/siglip2-so400m-patch14-384"
    assert repository_of(NAME).id == f"google/{NAME}"
    assert repository_of("timm/x").id == "timm/x"


def test_an_unreachable_hub_is_said_with_the_three_ways_out(hub: FakeHub) -> None:
    with pytest.raises(ConnectionFailed) as caught:
        pull(NAME, endpoint="http://127.0.0.1:9")
    for way in ("same command again", "--from URL", "model unbundle FILE"):
        assert way in caught.value.message
    assert caught.value.retryable


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_hub_that_fails_is_a_failed_connection(hub: FakeHub, status: int) -> None:
    hub.status = status
    with pytest.raises(ConnectionFailed, match=str(status)):
        pull(NAME)


def test_something_that_is_no_hub_is_a_failed_connection(hub: FakeHub) -> None:
    hub.status = 200
    with pytest.raises(ConnectionFailed, match="as a hub does"):
        pull(NAME)
    with pytest.raises(ConfigurationError, match="not the address of a hub"):
        pull(NAME, endpoint="hub.example.org")


def test_a_connection_that_is_cut_again_and_again_is_given_up_and_what_came_is_kept(
    hub: FakeHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "ATTEMPTS", 2)
    hub.broken.add(WEIGHTS)
    with pytest.raises(ConnectionFailed, match="same command again"):
        pull(NAME)
    hub.broken.clear()
    hub.requests.clear()
    assert pull(NAME).fetched
    assert hub.fetched() == [WEIGHTS]


def test_no_room_is_said_before_anything_is_fetched(hub: FakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(place, "SPARE_BYTES", 10**18)
    with pytest.raises(ConfigurationError, match=r"are needed in .* are free"):
        pull(NAME)
    assert hub.fetched() == []


def test_a_missing_library_is_said_with_the_command_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(ConfigurationError, match="huggingface_hub.*" + re.escape(install_command("siglip"))):
        hub_module.Hub()


def test_one_process_at_a_time_fetches_a_model(hub: FakeHub) -> None:
    with place.only_one(NAME), pytest.raises(ConflictError, match="Another process"):
        pull(NAME)


# What is in its place already


def test_a_damaged_model_is_mended_by_replace_and_only_what_is_damaged_is_fetched(
    pulled: Pulled, hub: FakeHub, published: Path
) -> None:
    (pulled.folder / "config.json").write_text("{}")
    hub.requests.clear()
    with pytest.raises(ConfigurationError, match=r"config\.json has 2 bytes.*--replace"):
        pull(NAME)
    assert pull(NAME, replace=True).fetched
    assert hub.fetched() == ["config.json"]
    assert (pulled.folder / "config.json").read_bytes() == (published / "config.json").read_bytes()
    assert leftovers() == []


def test_another_commit_is_not_put_over_the_one_in_place_unless_told(pulled: Pulled, hub: FakeHub) -> None:
    hub.commit = "b" * 40
    assert not pull(NAME).fetched
    with pytest.raises(ConfigurationError, match=f"holds google/{NAME}@{COMMIT[:12]}.*--replace"):
        pull(NAME, revision="main")
    pull(NAME, revision="main", replace=True)
    manifest = Manifest.read(pulled.folder)
    assert manifest
    assert manifest.commit == "b" * 40


def test_the_same_name_of_another_owner_is_not_taken_for_it(pulled: Pulled, hub: FakeHub) -> None:
    with pytest.raises(ConfigurationError, match=f"holds google/{NAME}"):
        pull(f"somebody/{NAME}")


def test_a_folder_copied_by_hand_is_left_alone(hub: FakeHub, published: Path) -> None:
    shutil.copytree(published, models_folder() / NAME)
    done = pull(NAME)
    assert (done.fetched, done.manifest) == (False, None)
    assert hub.requests == []
    with pytest.raises(ConfigurationError, match="copied by hand"):
        pull(NAME, revision="main")


def test_a_power_cut_between_the_two_renames_of_a_replacement_loses_nothing(pulled: Pulled) -> None:
    pulled.folder.rename(pulled.folder.with_name(f".old-{NAME}"))
    with place.only_one(NAME) as folder:
        assert Manifest.read(folder) == pulled.manifest
    assert leftovers() == []


@pytest.mark.parametrize(
    ("digest", "right"),
    [("0" * 64, False), ("0" * 40, False), ("b6fc4c620b67d95f953a5c1c1230aaab5db5a1b0", True), ("W/some-tag", True)],
)
def test_what_is_announced_decides_what_is_checked(tmp_path: Path, digest: str, right: bool) -> None:
    (tmp_path / "x").write_bytes(b"hello")
    announced = hub_module.RemoteFile("x", 5, digest)
    assert download.is_announced(tmp_path / "x", place.sha256_of(tmp_path / "x"), announced) is right
