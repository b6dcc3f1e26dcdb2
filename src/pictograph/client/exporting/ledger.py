"""What an export with files has done: which image went where. It survives the export's end, however that comes.

While an export runs it is a database of SQLite in its folder; at the end it becomes `manifest.jsonl`, of which the next
export into the folder makes a database again.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pictograph.errors import ConflictError
from pictograph.placing import Places
from pictograph.wire.export import ExportedImage

DATABASE: Final = ".pictograph-export.db"
MANIFEST: Final = "manifest.jsonl"
REPORT: Final = "export.json"
SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS image (
    id TEXT PRIMARY KEY, path TEXT, sha256 TEXT, size INTEGER, shard INTEGER, seen INTEGER, position INTEGER, line TEXT
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS kept (name TEXT PRIMARY KEY, value TEXT);"""
KEEP: Final = """
INSERT INTO image (id, path, sha256, size, shard, seen, position, line) VALUES (?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (id) DO UPDATE SET path = excluded.path, sha256 = excluded.sha256, size = excluded.size,
    shard = excluded.shard, seen = excluded.seen, position = excluded.position, line = excluded.line"""
LEFT_OVER: Final = "NOT seen AND path IS NOT NULL"
HAS_FILE: Final = ("already_there", "linked", "copied", "downloaded", "written", "left_over")
"""Outcomes of a line of the manifest whose path is a file of the export."""


@dataclass(frozen=True, slots=True)
class Kept:
    """What an earlier run, or this one, wrote of an image."""

    path: str | None
    sha256: str | None
    size: int
    shard: int | None
    seen: bool
    """In this run."""


class Ledger:
    """One for each folder; used by one thread at a time."""

    def __init__(
        self, folder: Path, kind: str, own_names: Sequence[str], *, one_spelling: bool, overwrite: bool
    ) -> None:
        """kind: what the folder holds. own_names: files of the export itself.

        Raises ConflictError if it holds an export of another kind, or files of others of those names.
        """
        self._folder, self._path = folder, folder / DATABASE
        self.resumed = self._path.exists()
        self._database = sqlite3.connect(self._path, check_same_thread=False, isolation_level=None)
        self._database.execute("PRAGMA journal_mode = WAL")
        self._database.execute("PRAGMA synchronous = NORMAL")
        self._database.executescript(SCHEMA)
        self.places = Places(self._database, one_spelling=one_spelling)
        self._position = 0
        self._is_closed = False
        try:
            self._require_kind(kind, own_names, overwrite=overwrite)
            if not self.resumed:
                self._read_manifest()
        except BaseException:
            self.close()
            if not self.resumed:
                self._remove()
            raise
        self._database.execute("UPDATE image SET seen = 0")
        self._database.execute("BEGIN")

    def _require_kind(self, kind: str, own_names: Sequence[str], *, overwrite: bool) -> None:
        there = self.value("kind") or kind_in(self._folder / REPORT)
        if there not in (None, kind):
            raise ConflictError(f"{self._folder} holds an export as {there}, not as {kind}. Name another folder.")
        foreign = [name for name in own_names if (self._folder / name).exists()] if there is None else []
        if foreign and not overwrite:
            raise ConflictError(
                f"{self._folder / foreign[0]} is not of an export of Pictograph, which would write one. "
                "Name another folder, or say that it may be overwritten (overwrite=True, --overwrite)."
            )
        self.keep_value("kind", kind)

    def _read_manifest(self) -> None:
        if kind_in(self._folder / REPORT) is None:
            return
        self._database.execute("BEGIN")
        for record in records_in(self._folder / MANIFEST):
            if record.get("outcome") in HAS_FILE:
                values = [record.get(name) for name in ("image_id", "file", "sha256", "file_size", "shard")]
                self._database.execute(KEEP, [*values, 0, 0, json.dumps(record, ensure_ascii=False)])
                if record.get("shard") is None:
                    self.places.known(record["image_id"], record["file"], record.get("wanted") or record["file"])
        self._database.execute("COMMIT")

    def value(self, name: str) -> str | None:
        """What `keep_value` kept."""
        row = self._database.execute("SELECT value FROM kept WHERE name = ?", [name]).fetchone()
        return row[0] if row else None

    def keep_value(self, name: str, value: str) -> None:
        """Keeps a word of the export's own."""
        self._database.execute("INSERT OR REPLACE INTO kept VALUES (?, ?)", [name, value])

    def of(self, image: str) -> Kept | None:
        """What is known of an image."""
        row = self._database.execute(
            "SELECT path, sha256, size, shard, seen FROM image WHERE id = ?", [image]
        ).fetchone()
        return Kept(row[0], row[1], row[2], row[3], bool(row[4])) if row else None

    def keep(self, row: ExportedImage, outcome: str, file: str | None, **more: Any) -> None:
        """Notes what became of an image. more: for its line in the manifest."""
        record = row.model_dump(mode="json")
        line = {"image_id": record.pop("image_id"), "file": file, "outcome": outcome, **more, **record}
        self._position += 1
        values = [row.image_id, file, row.sha256, row.file_size, more.get("shard"), 1, self._position]
        self._database.execute(KEEP, [*values, json.dumps(line, ensure_ascii=False)])

    def forget_shards_but(self, whole: Callable[[int], bool]) -> int:
        """Forgets images of shards that are not whole; the number that the next shard gets."""
        numbers = [row[0] for row in self._database.execute("SELECT DISTINCT shard FROM image WHERE shard NOT NULL")]
        for number in numbers:
            if not whole(number):
                self._database.execute("DELETE FROM image WHERE shard = ?", [number])
        return max((number + 1 for number in numbers if whole(number)), default=0)

    def commit(self) -> None:
        """What was kept so far survives whatever comes."""
        self._database.execute("COMMIT")
        self._database.execute("BEGIN")

    def left_over(self) -> int:
        """How many images of earlier runs have files here, and did not come this time."""
        return int(self._database.execute(f"SELECT count(*) FROM image WHERE {LEFT_OVER}").fetchone()[0])

    def lines(self) -> Iterator[str]:
        """The lines of the manifest: this run's in their order, then what is left over."""
        chosen = f"SELECT line, seen FROM image WHERE seen OR {LEFT_OVER} ORDER BY NOT seen, position, id"
        for line, seen in self._database.execute(chosen):
            yield line if seen else json.dumps(json.loads(line) | {"outcome": "left_over"}, ensure_ascii=False)

    def finish(self, report: dict[str, Any]) -> None:
        """Writes the manifest and the report, and removes the database."""
        new = self._folder / f"{MANIFEST}.new"
        with new.open("w", encoding="utf-8", newline="\n") as file:
            for line in self.lines():
                file.write(line + "\n")
        text = json.dumps({"made_by": "pictograph", "format": self.value("kind")} | report, indent=2, default=str)
        (self._folder / f"{REPORT}.new").write_text(text + "\n", encoding="utf-8")
        new.replace(self._folder / MANIFEST)
        (self._folder / f"{REPORT}.new").replace(self._folder / REPORT)
        self.close()
        self._remove()

    def close(self) -> None:
        """Ends the connection; what was kept stays."""
        if self._is_closed:
            return
        self._is_closed = True
        if self._database.in_transaction:
            self._database.execute("COMMIT")
        self._database.close()

    def _remove(self) -> None:
        for suffix in ("", "-wal", "-shm"):
            self._path.with_name(self._path.name + suffix).unlink(missing_ok=True)


def kind_in(report: Path) -> str | None:
    """Which kind of export the folder of this report holds; None if it is no report of ours."""
    try:
        found = json.loads(report.read_bytes())
        return str(found["format"]) if found.get("made_by") == "pictograph" else None
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def records_in(manifest: Path) -> Iterator[dict[str, Any]]:
    """Its lines, one by one; one that is no record is passed over: its file then counts as somebody else's."""
    if not manifest.exists():
        return
    with manifest.open(encoding="utf-8", errors="replace") as file:
        for line in file:
            try:
                record = json.loads(line)
                if isinstance(record["image_id"], str) and isinstance(record["file"], str):
                    yield record
            except (ValueError, KeyError, TypeError):
                continue
