"""SHA-256 of large files, worked out once: gigabytes of weights are not read again at every start."""

from __future__ import annotations

import hashlib
import json
import os
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

SIDECAR: Final = ".pictograph-checksums.json"
"""Beside the files: `{name: {"size": bytes, "mtime_ns": ..., "sha256": hex}}`. Deleting it is always safe."""


def checksums(files: Sequence[Path]) -> dict[str, str]:
    """SHA-256 in hex of each file, by file name; the files lie in one folder.

    One that still has the size and the time of change it had is not read again. A folder that cannot be written to
    is only slower: its files are read every time.
    Raises OSError if a file cannot be read.
    """
    sidecar = files[0].with_name(SIDECAR)
    remembered = _remembered(sidecar)
    found = {path.name: _entry(path, remembered.get(path.name)) for path in files}
    if found != remembered:
        _remember(sidecar, found)
    return {name: str(entry["sha256"]) for name, entry in found.items()}


def remember(folder: Path, known: Mapping[str, str]) -> None:
    """Notes what whoever wrote these files knows, so that they are not read for it. known: SHA-256 in hex by name."""
    _remember(folder / SIDECAR, {name: {**_stamp(folder / name), "sha256": known[name]} for name in known})


def are_remembered(files: Sequence[Path]) -> bool:
    """True if `checksums` of these files would read none of them. Raises OSError if one is not there."""
    remembered = _remembered(files[0].with_name(SIDECAR))
    return all(_is_current(remembered.get(path.name), _stamp(path)) for path in files)


def _entry(path: Path, remembered: object) -> dict[str, Any]:
    now = _stamp(path)
    if isinstance(remembered, dict) and _is_current(remembered, now):
        return remembered
    with path.open("rb") as file:
        return {**now, "sha256": hashlib.file_digest(file, "sha256").hexdigest()}


def _stamp(path: Path) -> dict[str, Any]:
    stat = path.stat()
    return {"size": stat.st_size, "mtime_ns": stat.st_mtime_ns}


def _is_current(remembered: object, now: Mapping[str, Any]) -> bool:
    return isinstance(remembered, dict) and {**remembered, **now} == remembered and "sha256" in remembered


def _remembered(sidecar: Path) -> dict[str, Any]:
    with suppress(OSError, ValueError):
        stored = json.loads(sidecar.read_text(encoding="utf-8"))
        return stored if isinstance(stored, dict) else {}
    return {}


def _remember(sidecar: Path, entries: dict[str, Any]) -> None:
    scratch = sidecar.with_name(f"{sidecar.name}.{os.getpid()}.{threading.get_ident()}")
    with suppress(OSError):
        try:
            scratch.write_text(json.dumps(entries, indent=1), encoding="utf-8")
            scratch.replace(sidecar)
        finally:
            scratch.unlink(missing_ok=True)
