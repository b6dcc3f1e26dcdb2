"""A model in one file: the same bytes every time, and on the other side nothing is believed."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import pytest

from pictograph.encode.checkpoint import Checkpoint
from pictograph.encode.checksums import are_remembered
from pictograph.encode.registry import models_folder
from pictograph.errors import ConfigurationError, ConflictError, ModelDamaged
from pictograph.models import place
from pictograph.models import verify as verify_module
from pictograph.models.bundle import TAXONOMY, bundle, our_taxonomy
from pictograph.models.manifest import MANIFEST, Manifest
from pictograph.models.unbundle import unbundle
from pictograph.models.verify import record, verify
from support.checkpoints import plain_checkpoint, write_safetensors
from support.hub import NAME

Entry = tuple[tarfile.TarInfo, bytes]


@pytest.fixture
def installed() -> Path:
    """A model in place, with a manifest."""
    folder = plain_checkpoint(models_folder() / NAME)
    record(folder)
    return folder


@pytest.fixture
def packed(installed: Path, tmp_path: Path) -> Path:
    """Its bundle."""
    bundle(installed, tmp_path / "model.tar")
    return tmp_path / "model.tar"


@pytest.fixture
def elsewhere(packed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Another machine, with the bundle alone; its models' folder."""
    monkeypatch.setenv("PICTOGRAPH_HOME", str(tmp_path / "elsewhere"))
    return models_folder()


def hidden_folders(folder: Path) -> list[str]:
    return [path.name for path in folder.glob(".*") if path.is_dir()]


def test_the_bundle_is_a_plain_tar_with_the_manifest_first_and_the_weights_last(packed: Path, installed: Path) -> None:
    with tarfile.open(packed) as archive:
        names = [entry.name.removeprefix(f"{NAME}/") for entry in archive]
        taxonomy = archive.extractfile(f"{NAME}/{TAXONOMY}")
        assert taxonomy
        assert taxonomy.read() == our_taxonomy().content
    settings = ["tokenizer.json", "tokenizer_config.json", "preprocessor_config.json", "config.json"]
    assert names == [MANIFEST, TAXONOMY, *settings, "model.safetensors"]
    assert packed.stat().st_size < sum(path.stat().st_size for path in installed.iterdir()) + 200_000


def test_the_same_model_gives_the_same_bytes(packed: Path, installed: Path, tmp_path: Path) -> None:
    for path in installed.iterdir():
        path.touch()
    bundle(installed, tmp_path / "again.tar")
    assert (tmp_path / "again.tar").read_bytes() == packed.read_bytes()


def test_on_the_other_machine_the_model_is_the_same_without_a_network(
    packed: Path, installed: Path, elsewhere: Path, no_network: None
) -> None:
    done = unbundle(packed)
    assert done.unpacked
    assert done.folder == elsewhere / NAME
    assert done.their_taxonomy == done.our_taxonomy
    for name in done.manifest.files:
        assert (done.folder / name).read_bytes() == (installed / name).read_bytes()
    assert are_remembered(Checkpoint.read(done.folder).weights)
    assert Checkpoint.read(done.folder).spec() == Checkpoint.read(installed).spec()
    assert verify(done.folder).faults == []
    assert not unbundle(packed).unpacked
    assert hidden_folders(elsewhere) == []


def test_packing_again_what_was_unpacked_gives_the_same_bytes(packed: Path, elsewhere: Path, tmp_path: Path) -> None:
    bundle(unbundle(packed).folder, tmp_path / "again.tar")
    assert (tmp_path / "again.tar").read_bytes() == packed.read_bytes()


def test_progress_rises_to_the_size_of_all_files(
    packed: Path, installed: Path, elsewhere: Path, tmp_path: Path
) -> None:
    packing, unpacking = list[int](), list[int]()
    manifest = bundle(installed, tmp_path / "again.tar", lambda _, done, total: packing.append(done))
    unbundle(packed, report=lambda _, done, total: unpacking.append(done))
    for seen in (packing, unpacking):
        assert seen == sorted(seen)
        assert seen[-1] == manifest.size


def test_another_taxonomy_is_told(packed: Path, elsewhere: Path) -> None:
    other = json.dumps({"version": "0", "labels": []}).encode()

    def change(entries: list[Entry]) -> list[Entry]:
        head = json.loads(entries[0][1])
        head["taxonomy"] = {"version": "0", "size": len(other), "sha256": hashlib.sha256(other).hexdigest()}
        return [(entries[0][0], json.dumps(head).encode()), (entries[1][0], other), *entries[2:]]

    done = unbundle(rewritten(packed, change))
    assert (done.their_taxonomy, done.our_taxonomy) == ("0", our_taxonomy().version)


def test_other_files_in_its_place_are_kept_unless_told(packed: Path, elsewhere: Path) -> None:
    plain_checkpoint(elsewhere / NAME, weight_bytes=10)
    with pytest.raises(ConfigurationError, match="--replace"):
        unbundle(packed)
    assert unbundle(packed, replace=True).unpacked
    assert verify(elsewhere / NAME).faults == []


# What is refused


def rewritten(packed: Path, change: Callable[[list[Entry]], list[Entry]]) -> Path:
    """The bundle with other entries."""
    with tarfile.open(packed) as archive:
        entries = [(entry, archive.extractfile(entry).read()) for entry in archive]  # type: ignore[union-attr]
    target = packed.with_name("rewritten.tar")
    with tarfile.open(target, "w") as archive:
        for entry, content in change(entries):
            entry.size = len(content) if entry.isreg() else 0
            archive.addfile(entry, io.BytesIO(content))
    return target


def renamed(name: str) -> Callable[[list[Entry]], list[Entry]]:
    def change(entries: list[Entry]) -> list[Entry]:
        entries[-1][0].name = name
        return entries

    return change


def linked(kind: bytes, target: str) -> Callable[[list[Entry]], list[Entry]]:
    def change(entries: list[Entry]) -> list[Entry]:
        entries[-1][0].type, entries[-1][0].linkname = kind, target
        return entries

    return change


def in_head(**values: object) -> Callable[[list[Entry]], list[Entry]]:
    def change(entries: list[Entry]) -> list[Entry]:
        return [(entries[0][0], json.dumps(json.loads(entries[0][1]) | values).encode()), *entries[1:]]

    return change


def extra(name: str) -> Callable[[list[Entry]], list[Entry]]:
    return lambda entries: [*entries, (tarfile.TarInfo(name), b"x")]


FOREIGN: dict[str, Callable[[list[Entry]], list[Entry]]] = {
    "a path that climbs": renamed(f"{NAME}/../../evil"),
    "an absolute path": renamed("/tmp/evil"),
    "a symbolic link": linked(tarfile.SYMTYPE, "/etc/passwd"),
    "a hard link": linked(tarfile.LNKTYPE, f"{NAME}/config.json"),
    "a device": linked(tarfile.CHRTYPE, ""),
    "a folder": linked(tarfile.DIRTYPE, ""),
    "one file more": extra(f"{NAME}/evil.py"),
    "one file more outside": extra("../evil"),
    "a file twice": lambda entries: [*entries, entries[-1]],
    "a file less": lambda entries: entries[:-1],
    "another order": lambda entries: [*entries[:2], *reversed(entries[2:])],
    "no manifest": lambda entries: entries[1:],
    "no taxonomy": lambda entries: [entries[0], *entries[2:]],
    "nothing": lambda entries: [],
    "a name that climbs": in_head(name=".."),
    "another name": in_head(name="other"),
    "another format": in_head(format=2),
    "a file of code": in_head(files={"evil.py": {"size": 1, "sha256": "0" * 64}}),
    "a file outside": in_head(files={"../evil.safetensors": {"size": 1, "sha256": "0" * 64}}),
    "a deep manifest": lambda entries: [(entries[0][0], b"[" * 100_000), *entries[1:]],
    "no files": in_head(files=[]),
    "a negative size": in_head(files={"config.json": {"size": -1, "sha256": "0" * 64}}),
    "no taxonomy told": in_head(taxonomy=None),
    "a huge taxonomy": in_head(taxonomy={"version": "1", "size": 10**12, "sha256": "0" * 64}),
    "a damaged taxonomy": lambda entries: [entries[0], (entries[1][0], entries[1][1][:-1] + b" "), *entries[2:]],
}


@pytest.mark.parametrize("change", FOREIGN.values(), ids=FOREIGN.keys())
def test_a_foreign_bundle_is_refused_and_leaves_nothing(
    packed: Path, elsewhere: Path, change: Callable[[list[Entry]], list[Entry]]
) -> None:
    with pytest.raises(ModelDamaged, match=r"model\.tar|rewritten\.tar"):
        unbundle(rewritten(packed, change))
    everything = [path.relative_to(elsewhere.parent) for path in elsewhere.parent.rglob("*") if path.is_file()]
    assert all(path.name.endswith(".lock") for path in everything)
    assert not (elsewhere.parent / "evil").exists()
    assert hidden_folders(elsewhere) == []


@pytest.mark.parametrize("share", [0.0, 0.001, 0.3, 0.6, 0.98])
def test_a_bundle_that_was_cut_off_is_refused(packed: Path, elsewhere: Path, share: float) -> None:
    content = packed.read_bytes()
    packed.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(ModelDamaged, match="Copy the file again"):
        unbundle(packed)
    assert not (elsewhere / NAME).exists()


@pytest.mark.parametrize("share", [0.001, 0.02, 0.05, 0.2, 0.35, 0.9])
def test_a_bundle_with_one_bit_flipped_is_refused(packed: Path, elsewhere: Path, share: float) -> None:
    content = bytearray(packed.read_bytes())
    with tarfile.open(packed) as archive:  # padding between entries is not the model's
        spans = [(entry.offset_data, entry.size) for entry in archive]
    at = int(len(content) * share)
    at = next((at for start, size in spans if start <= at < start + size), spans[-1][0])
    content[at] ^= 1
    packed.write_bytes(content)
    with pytest.raises(ModelDamaged):
        unbundle(packed)
    assert not (elsewhere / NAME).exists()


def test_a_file_that_is_no_bundle_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.tar").write_bytes(b"no tar at all" * 1000)
    with pytest.raises(ModelDamaged, match="not a complete model bundle"):
        unbundle(tmp_path / "x.tar")
    for path in (tmp_path / "missing.tar", tmp_path):
        with pytest.raises(ConfigurationError, match="cannot be unpacked"):
            unbundle(path)


def test_a_whole_bundle_of_a_model_we_cannot_use_is_refused(elsewhere: Path, tmp_path: Path) -> None:
    folder = plain_checkpoint(tmp_path / "other")
    manifest = record(folder)
    (folder / "config.json").write_text('{"model_type": "siglip2"}')
    facts = place.sha256_of(folder / "config.json")
    changed = json.loads(manifest.to_json())
    changed["files"]["config.json"] = {"size": (folder / "config.json").stat().st_size, "sha256": facts}
    (folder / MANIFEST).write_text(json.dumps(changed))
    with pytest.raises(ConfigurationError, match="naflex"):
        bundle(folder, tmp_path / "never.tar")
    assert not (tmp_path / "never.tar").exists()


def test_a_file_that_changed_is_not_packed(installed: Path, tmp_path: Path) -> None:
    weights = bytearray((installed / "model.safetensors").read_bytes())
    weights[-1] ^= 1
    (installed / "model.safetensors").write_bytes(weights)
    with pytest.raises(ModelDamaged, match=r"model\.safetensors has other bytes"):
        bundle(installed, tmp_path / "never.tar")
    (installed / "model.safetensors").unlink()
    with pytest.raises(ModelDamaged, match=r"model\.safetensors is missing"):
        bundle(installed, tmp_path / "never.tar")
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == []


def test_a_folder_without_a_manifest_is_not_packed(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="--record"):
        bundle(plain_checkpoint(tmp_path / "other"), tmp_path / "never.tar")


def test_no_room_is_said_on_both_sides(
    packed: Path, installed: Path, elsewhere: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(place, "SPARE_BYTES", 10**18)
    with pytest.raises(ConfigurationError, match="are free"):
        bundle(installed, tmp_path / "never.tar")
    with pytest.raises(ConfigurationError, match="are free"):
        unbundle(packed)
    assert hidden_folders(elsewhere) == []


def test_a_place_that_cannot_be_written_is_said(installed: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot be written: No such file"):
        bundle(installed, tmp_path / "no" / "such" / "folder.tar")


def test_one_process_at_a_time_unpacks_a_model(packed: Path, elsewhere: Path) -> None:
    with place.only_one(NAME), pytest.raises(ConflictError):
        unbundle(packed)


def test_what_a_killed_unbundle_left_is_no_model_and_goes_with_the_next(packed: Path, elsewhere: Path) -> None:
    half = elsewhere / f".unbundle@{NAME}"
    half.mkdir(parents=True)
    (half / "config.json").write_text("half")
    assert unbundle(packed).unpacked
    assert hidden_folders(elsewhere) == []


# Verifying


def test_a_whole_model_is_whole(installed: Path) -> None:
    verdict = verify(installed)
    assert (verdict.faults, verdict.fix) == ([], None)


def test_every_damaged_and_every_missing_file_is_named_with_the_fix(installed: Path) -> None:
    (installed / "tokenizer.json").unlink()
    (installed / "config.json").write_text("{}")
    weights = bytearray((installed / "model.safetensors").read_bytes())
    weights[-1] ^= 1
    (installed / "model.safetensors").write_bytes(weights)
    verdict = verify(installed)
    assert [fault.file for fault in verdict.faults] == ["tokenizer.json", "config.json", "model.safetensors"]
    assert str(verdict.faults[0]) == "tokenizer.json is missing"
    assert verdict.fix
    assert "unbundle FILE --replace" in verdict.fix


def test_a_file_that_cannot_be_read_is_named(installed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> NoReturn:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(verify_module, "sha256_of", fail)
    assert str(verify(installed).faults[0]) == "tokenizer.json cannot be read: Input/output error"


def test_a_damaged_manifest_is_named(installed: Path) -> None:
    (installed / MANIFEST).write_text("{")
    assert MANIFEST in str(verify(installed).faults[0])


def test_a_copied_folder_is_looked_at_as_far_as_its_files_tell(tmp_path: Path) -> None:
    folder = plain_checkpoint(tmp_path / "copied")
    verdict = verify(folder)
    assert (verdict.manifest, verdict.faults) == (None, [])
    content = (folder / "model.safetensors").read_bytes()
    for kept, said in (
        (content[:-10], "header says"),
        (b"\xff" * 100, "no safetensors header"),
        (b"", "no safetensors"),
    ):
        (folder / "model.safetensors").write_bytes(kept)
        assert said in str(verify(folder).faults[0])
    (folder / "model.safetensors").write_bytes((9).to_bytes(8, "little") + b"[not json" + b"x")
    assert "damaged safetensors header" in str(verify(folder).faults[0])
    with pytest.raises(ModelDamaged, match="nothing was recorded"):
        record(folder)
    (folder / "config.json").unlink()
    assert "config.json is missing" in str(verify(folder).faults[0])


def test_a_manifest_is_recorded_once(installed: Path) -> None:
    manifest = Manifest.read(installed)
    assert manifest
    assert (manifest.origin, manifest.repository) == ("copied by hand", None)
    assert are_remembered(Checkpoint.read(installed).weights)
    with pytest.raises(ConfigurationError, match="already"):
        record(installed)


def test_a_recorded_model_of_shards_has_all_its_files(tmp_path: Path) -> None:
    folder = plain_checkpoint(tmp_path / "sharded")
    (folder / "model.safetensors").unlink()
    names = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]
    for name in names:
        write_safetensors(folder / name, 100)
    index = {"weight_map": {"a": names[0], "b": names[1]}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    assert list(record(folder).files)[-3:] == ["model.safetensors.index.json", *names]
