"""CSV, JSON lines and a list of paths: one line for each image, in a file that an interrupted export goes on with."""

from __future__ import annotations

import csv
import hashlib
import json
import os
from collections.abc import Iterable, Sequence
from io import StringIO
from pathlib import Path
from typing import Any, Final

from pictograph.client.exporting.options import Asked, ExportFormat, ExportOptions
from pictograph.client.exporting.output import Output, WantedFile
from pictograph.client.exporting.page import Page
from pictograph.client.results import ExportReport
from pictograph.types import TAG_CATEGORIES
from pictograph.wire.export import ExportedImage

COLUMNS: Final = (
    "image_id",
    "path",
    *(name for name in ExportedImage.model_fields if name not in ("image_id", "tags")),
    *TAG_CATEGORIES,
)
"""Of CSV."""
FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "'")
"""What begins a cell that a spreadsheet runs (owasp.org/www-community/attacks/CSV_Injection), and the mark itself."""
BETWEEN_LABELS: Final = "|"


def path_of(row: ExportedImage) -> str:
    """`dataset/folder/filename`, word for word."""
    return f"{row.dataset_name}{row.folder_path.rstrip('/')}/{row.filename}"


class Csv:
    """Comma-separated values as RFC 4180 has them, in UTF-8."""

    def __init__(self, *, spreadsheet_safe: bool) -> None:
        self._safe = spreadsheet_safe
        self.guarded = 0
        """Cells that got an apostrophe."""

    def head(self) -> str:
        """The names of the columns."""
        return self._written([COLUMNS])

    def lines(self, rows: Sequence[ExportedImage]) -> str:
        """A line each."""
        return self._written([self._cell(value) for value in cells_of(row)] for row in rows)

    def _written(self, lines: Iterable[Sequence[object]]) -> str:
        file = StringIO()
        csv.writer(file).writerows(lines)
        return file.getvalue()

    def _cell(self, value: object) -> object:
        if self._safe and isinstance(value, str) and value.startswith(FORMULA):
            self.guarded += 1
            return "'" + value
        return value


def cells_of(row: ExportedImage) -> list[object]:
    """The values of COLUMNS; what is not known is empty."""
    values: dict[str, Any] = row.model_dump(mode="json", exclude={"tags"}) | {"path": path_of(row)}
    values |= {category: BETWEEN_LABELS.join(row.tags.get(category, [])) for category in TAG_CATEGORIES}
    return ["" if values[name] is None else values[name] for name in COLUMNS]


class JsonLines:
    """One JSON object a line: https://jsonlines.org"""

    guarded = 0

    def head(self) -> str:
        """Nothing."""
        return ""

    def lines(self, rows: Sequence[ExportedImage]) -> str:
        """A line each."""
        return "".join(json.dumps(record_of(row), ensure_ascii=False) + "\n" for row in rows)


def record_of(row: ExportedImage) -> dict[str, Any]:
    """The row as JSON has it, with its path."""
    record: dict[str, Any] = row.model_dump(mode="json")
    return {"image_id": record.pop("image_id"), "path": path_of(row), **record}


class Paths:
    """`dataset/folder/filename`, nothing else; a name holds no line end."""

    guarded = 0

    def head(self) -> str:
        """Nothing."""
        return ""

    def lines(self, rows: Sequence[ExportedImage]) -> str:
        """A line each."""
        return "".join(f"{path_of(row)}\n" for row in rows)


class TextExport(Output):
    """Writes lines into `NAME.part`, which gets its name when it is whole; beside it stands how far it is."""

    def __init__(
        self, path: Path, file_format: ExportFormat, asked: Asked, options: ExportOptions, report: ExportReport
    ) -> None:
        self._lines: Csv | JsonLines | Paths = Csv(spreadsheet_safe=options.spreadsheet_safe)
        if file_format != "csv":
            self._lines = JsonLines() if file_format == "jsonl" else Paths()
        self._path, self._part = path, path.with_name(path.name + ".part")
        self._state = path.with_name(path.name + ".part.json")
        self._question = question_of(file_format, asked, options.spreadsheet_safe)
        self._report = report
        done = self._earlier() if options.resume else None
        self._file = self._part.open("r+b" if done is not None else "wb")
        if done is None:
            self._file.write(self._lines.head().encode())
        else:
            self._file.truncate(done)
            self._file.seek(done)

    def _earlier(self) -> int | None:
        """How many bytes of an interrupted export stand; None to begin anew."""
        try:
            state = json.loads(self._state.read_bytes())
            if state["question"] != self._question or self._part.stat().st_size < state["bytes"]:
                return None
            self.cursor = str(state["cursor"])
            for name, value in state["report"].items():
                setattr(self._report, name, value)
            self._lines.guarded = self._report.guarded_cells
            self._report.resumed = True
            return int(state["bytes"])
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def begin_again(self) -> None:
        """From the first row: the service no longer takes the cursor of the run before."""
        self.cursor = None
        self._report.rows = self._lines.guarded = 0
        self._report.resumed = False
        self._file.seek(0)
        self._file.truncate()
        self._file.write(self._lines.head().encode())

    def begin(self, page: Page) -> Sequence[WantedFile]:
        """Writes the rows; no file is wanted."""
        self._file.write(self._lines.lines(page.rows).encode())
        self._report.rows += len(page.rows)
        self._report.guarded_cells = self._lines.guarded
        return ()

    def end(self, page: Page, /) -> None:
        """Notes how far it is, once the lines are on the disk."""
        if page.next_cursor is None:
            return
        self._file.flush()
        os.fsync(self._file.fileno())
        kept = ("rows", "total", "total_is", "left_out", "changed", "vanished", "guarded_cells", "cut_off")
        state = {
            "question": self._question,
            "cursor": page.next_cursor,
            "bytes": self._file.tell(),
            "report": {name: getattr(self._report, name) for name in kept},
        }
        replace_text(self._state, json.dumps(state))

    def finish(self) -> None:
        """Gives the file its name."""
        self._file.close()
        self._part.replace(self._path)
        self._state.unlink(missing_ok=True)

    def give_up(self) -> None:
        """Leaves what there is for the next run; nothing, if no page is whole."""
        self._file.close()
        if not self._state.exists():
            self._part.unlink(missing_ok=True)


def question_of(file_format: str, asked: Asked, *others: object) -> str:
    """What an interrupted export must have asked to be gone on with."""
    text = json.dumps([file_format, asked.base_url, asked.question, others], sort_keys=True, default=str)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def replace_text(path: Path, text: str) -> None:
    """Writes a small file whole, or leaves the one that was there."""
    new = path.with_name(path.name + ".new")
    new.write_text(text, encoding="utf-8")
    new.replace(path)
