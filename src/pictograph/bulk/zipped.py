"""A zip of what a query finds, made while it is sent: never on the disk, and little of it in memory."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

from zipstream import ZipStream

from pictograph.bulk.export import ExportPage, ExportRow
from pictograph.errors import BlobMissing, RateLimitError, wrong_value
from pictograph.placing import Placed, Places
from pictograph.store.blobs import BlobStore
from pictograph.wire.export import MAX_ZIPPED

MANIFEST: Final = "manifest.jsonl"
REPORT: Final = "export.json"
MOST_AT_ONCE: Final = 2
"""Zips that one process makes at the same time."""
MOST_EXAMPLES: Final = 100
SENT_AT_ONCE: Final = 256 * 1024
"""Bytes: small pieces of a zip, its headers, go with what follows."""

Turn: TypeAlias = Callable[[str], Awaitable[ExportPage]]
"""Gives the page at a cursor."""
Shown: TypeAlias = Callable[[ExportRow], dict[str, Any]]
"""The record of a row, as JSON has it."""


@dataclass(slots=True)
class Told:
    """What a zip says of itself."""

    rows: int = 0
    skipped: dict[str, int] = field(default_factory=dict)
    examples: list[dict[str, str]] = field(default_factory=list)
    renamed: int = 0
    changed: int = 0
    vanished: int = 0


class Zips:
    """Makes zips, a few at a time."""

    def __init__(self, blobs: BlobStore) -> None:
        self._blobs = blobs
        self.under_way = 0
        """Zips that are made just now."""

    async def begin(self, first: ExportPage, turn: Turn, shown: Shown, *, original_names: bool) -> AsyncIterator[bytes]:
        """The zip, piece by piece. first: the first page, so that whatever is wrong with the query is said before.

        Raises ValidationError for more images than a zip may hold, RateLimitError while others are made.
        """
        if first.total is not None and first.total > MAX_ZIPPED:
            raise wrong_value(
                "query",
                f"The query finds {first.total} images; one zip holds at most {MAX_ZIPPED}. Ask for less (a folder, "
                "`top`), or export them with `pictograph export --format folder` or `webdataset`.",
            )
        if self.under_way >= MOST_AT_ONCE:
            raise RateLimitError(
                f"This server makes {MOST_AT_ONCE} zips already. Ask again when one is done.", retry_after_s=5
            )
        return self._pieces(first, turn, shown, original_names)

    async def _pieces(self, page: ExportPage, turn: Turn, shown: Shown, original_names: bool) -> AsyncIterator[bytes]:
        self.under_way += 1
        places = Places(one_spelling=not original_names)
        try:
            for name in (MANIFEST, REPORT):
                places.reserve(name)
            zipped = OneZip(self._blobs, places, shown, original_names)
            first = page
            while True:
                async for piece in in_threads(zipped.pieces_of(page)):
                    yield piece
                if page.next_cursor is None or zipped.is_full:
                    break
                page = await turn(page.next_cursor)
            is_whole = page.next_cursor is None
            async for piece in in_threads(zipped.end(first, is_whole=is_whole)):
                yield piece
        finally:
            self.under_way -= 1
            places.close()


class OneZip:
    """Its files one after the other; every step may read disks."""

    def __init__(self, blobs: BlobStore, places: Places, shown: Shown, original_names: bool) -> None:
        self._blobs, self._places, self._shown = blobs, places, shown
        self._original = original_names
        self._zip = ZipStream()
        self._told = Told()
        self._lines: list[str] = []
        """Of the manifest: at most MAX_ZIPPED."""

    @property
    def is_full(self) -> bool:
        """Whether no more images may come."""
        return len(self._lines) >= MAX_ZIPPED

    def pieces_of(self, page: ExportPage) -> Iterator[bytes]:
        """The files of a page's images."""
        self._told.changed += page.changed
        self._told.vanished += page.vanished
        for row in page.rows:
            if self.is_full:
                return
            if not row.image.has_bytes:
                self._skip(row, "no_bytes", "It was imported as a vector: there is no file.")
                continue
            try:
                size, parts = self._blobs.read_parts(row.image.sha256)
            except BlobMissing as error:
                self._skip(row, "failed", error.message)
                continue
            placed = self._place(row)
            self._zip.add(parts, placed.path, size=size)
            yield from self._zip.file()
            self._told.rows += 1
            self._told.renamed += placed.renamed
            self._note(row, "written", placed.path)

    def _place(self, row: ExportRow) -> Placed:
        image = row.image
        folder, name = image.folder_path, image.filename
        if self._original:
            folder, name = image.original_folder_path or folder, image.original_filename or name
        return self._places.of(str(image.id), image.dataset_name, folder, name)

    def _skip(self, row: ExportRow, why: str, reason: str) -> None:
        image = row.image
        self._told.skipped[why] = self._told.skipped.get(why, 0) + 1
        path = f"{image.dataset_name}{image.folder_path.rstrip('/')}/{image.filename}"
        if len(self._told.examples) < MOST_EXAMPLES:
            self._told.examples.append({"image_id": str(image.id), "path": path, "why": why, "reason": reason})
        self._note(row, why, None, reason=reason)

    def _note(self, row: ExportRow, outcome: str, file: str | None, **more: str) -> None:
        record = self._shown(row)
        line = {"image_id": record.pop("image_id"), "file": file, "outcome": outcome, **more, **record}
        self._lines.append(json.dumps(line, ensure_ascii=False, default=str) + "\n")

    def end(self, first: ExportPage, *, is_whole: bool) -> Iterator[bytes]:
        """The manifest, the report and the zip's directory."""
        told = self._told
        done = told.rows + sum(told.skipped.values())
        if is_whole and first.total is not None and first.total_is == "exact":
            told.vanished = max(told.vanished, first.total - done)
        report = {
            "made_by": "pictograph",
            "format": "zip",
            "rows": told.rows,
            "total": first.total,
            "complete": is_whole,
            "cut_off": first.cut_off,
            "left_out": first.left_out or 0,
            "skipped": told.skipped,
            "renamed": told.renamed,
            "changed": told.changed,
            "vanished": told.vanished,
            "started_at": first.started_at.isoformat(),
            "examples": told.examples,
        }
        self._zip.add((line.encode() for line in self._lines), MANIFEST)
        self._zip.add(json.dumps(report, indent=2), REPORT)
        yield from self._zip.finalize()


async def in_threads(pieces: Iterator[bytes]) -> AsyncIterator[bytes]:
    """The pieces, made in threads, small ones together."""
    while piece := await asyncio.to_thread(gathered, pieces):
        yield piece


def gathered(pieces: Iterator[bytes]) -> bytes:
    """The next pieces until there is enough to send; empty at the end."""
    data = bytearray()
    for piece in pieces:
        data += piece
        if len(data) >= SENT_AT_ONCE:
            break
    return bytes(data)
