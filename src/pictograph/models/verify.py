"""Every byte of a model, read and compared with its manifest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from pictograph.encode.checkpoint import WEIGHTS_INDEX, Checkpoint
from pictograph.encode.checksums import remember
from pictograph.errors import ConfigurationError, ModelDamaged, PictographError
from pictograph.models.installed import missing_or_cut
from pictograph.models.manifest import SETTINGS, FileFacts, Manifest, in_order
from pictograph.models.place import Report, of_all, sha256_of, silent
from pictograph.models.safetensors_header import fault_of


class Fault(NamedTuple):
    """One thing that is wrong."""

    file: str | None
    """None: the folder as a whole."""
    what: str
    """Words that follow the file's name; a whole sentence where there is none."""

    def __str__(self) -> str:
        return f"{self.file} {self.what}" if self.file else self.what


@dataclass(frozen=True, slots=True)
class Verdict:
    """What reading a model's folder told."""

    name: str
    folder: Path
    manifest: Manifest | None
    """None: there is none, so that nothing could be compared; only the files' form was looked at."""
    faults: Sequence[Fault]
    """Empty if nothing is wrong."""
    fix: str | None
    """The command, or the act, that mends it; None if nothing is wrong."""


def verify(folder: Path, report: Report = silent) -> Verdict:
    """Reads a model's folder to the last byte. Never raises for what is wrong with it: the verdict says so."""
    try:
        manifest = Manifest.read(folder)
    except ModelDamaged as error:
        return Verdict(folder.name, folder, None, [Fault(None, error.message)], _fix(folder, None))
    faults = _differing(folder, manifest, report) if manifest else []
    faults = faults or _unusable(folder)
    return Verdict(folder.name, folder, manifest, faults, _fix(folder, manifest) if faults else None)


def record(folder: Path, report: Report = silent) -> Manifest:
    """Writes a manifest of a folder that was copied by hand: from then on `verify` has something to compare with.

    Raises ConfigurationError if there is one already, or the files are no model that can be used.
    """
    if Manifest.read(folder):
        raise ConfigurationError(f"{folder} has a manifest already. `pictograph model verify` compares with it.")
    if faults := _unusable(folder):
        raise ModelDamaged(f"{folder} is damaged, nothing was recorded: " + "; ".join(map(str, faults)))
    checkpoint = Checkpoint.read(folder)
    index = [WEIGHTS_INDEX] if len(checkpoint.weights) > 1 else []
    settings = [name for name in SETTINGS if name != WEIGHTS_INDEX and (folder / name).is_file()]
    names = in_order([*settings, *index, *(path.name for path in checkpoint.weights)])
    found, unreadable = _read(folder, {name: (folder / name).stat().st_size for name in names}, report)
    for name, what in unreadable.items():
        raise ModelDamaged(f"{folder / name} {what}. Nothing was recorded.")
    manifest = Manifest(folder.name, found)
    try:
        manifest.write(folder)
    except OSError as error:
        raise ConfigurationError(f"{folder} cannot be written to: {error}.") from error
    _remember(folder, manifest)
    return manifest


def _differing(folder: Path, manifest: Manifest, report: Report) -> list[Fault]:
    faults = dict(missing_or_cut(folder, manifest))
    sizes = {name: facts.size for name, facts in manifest.files.items() if name not in faults}
    found, unreadable = _read(folder, sizes, report)
    changed = [name for name in found if found[name].sha256 != manifest.files[name].sha256]
    faults |= unreadable | dict.fromkeys(changed, "has other bytes than it had")
    return [Fault(name, faults[name]) for name in manifest.files if name in faults]


def _read(folder: Path, sizes: Mapping[str, int], report: Report) -> tuple[dict[str, FileFacts], dict[str, str]]:
    """Size and hash of the files that can be read, and what is wrong with those that cannot. sizes: bytes by name."""
    found: dict[str, FileFacts] = {}
    unreadable: dict[str, str] = {}
    done, total = 0, sum(sizes.values())
    for name, size in sizes.items():
        try:
            found[name] = FileFacts(size, sha256_of(folder / name, of_all(report, name, done, total)))
        except OSError as error:
            unreadable[name] = f"cannot be read: {error.strerror}"
        done += size
    return found, unreadable


def _unusable(folder: Path) -> list[Fault]:
    """Returns what the files' form tells, where there is nothing to compare them with."""
    try:
        weights = Checkpoint.read(folder).weights
        return [Fault(path.name, fault) for path in weights if (fault := fault_of(path))]
    except PictographError as error:
        return [Fault(None, error.message)]
    except OSError as error:
        return [Fault(None, f"{folder} cannot be read: {error}")]


def _remember(folder: Path, manifest: Manifest) -> None:
    weights = {path.name for path in Checkpoint.read(folder).weights}
    remember(folder, {name: facts.sha256 for name, facts in manifest.files.items() if name in weights})


def _fix(folder: Path, manifest: Manifest | None) -> str:
    if manifest and manifest.repository:
        return (
            f"pictograph model pull {manifest.repository} --revision {manifest.commit} --replace   "
            "(or: pictograph model unbundle FILE --replace)"
        )
    return f"pictograph model unbundle FILE --replace, or copy {folder.name} again from where it came"
