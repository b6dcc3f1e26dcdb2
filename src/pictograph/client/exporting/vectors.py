"""Parquet and Arrow: rows with their vectors. pyarrow is loaded when the first is written, not before."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pictograph.client.exporting.output import Output, WantedFile
from pictograph.client.exporting.page import Page
from pictograph.client.results import ExportReport
from pictograph.client.vectors import PARQUET_MAGIC, arrow
from pictograph.errors import ServerError
from pictograph.types import TAG_CATEGORIES
from pictograph.wire.vectors import FINGERPRINT


class VectorExport(Output):
    """Writes pages into a file, which gets its name when all are in it: an export that ends early leaves none."""

    wants_vectors = True

    def __init__(self, path: Path, report: ExportReport, *, is_arrow: bool) -> None:
        """Raises ConfigurationError without pyarrow."""
        self._pa = arrow()
        self._path, self._report, self._is_arrow = path, report, is_arrow
        self._part = path.with_name(path.name + ".part")
        self._writer: Any = None

    def begin(self, page: Page) -> Sequence[WantedFile]:
        """Appends its rows; no file is wanted."""
        try:
            table = self._pa.ipc.open_stream(page.body).read_all()
        except (self._pa.ArrowException, StopIteration) as error:
            raise ServerError(f"The service's page of vectors is no Arrow stream: {error}. Check base_url.") from error
        if self._writer is None:
            self._writer = self._opened(table.schema)
        self._writer.write_table(table)
        self._report.rows += table.num_rows
        return ()

    def _opened(self, schema: Any) -> Any:
        if self._is_arrow:
            return self._pa.ipc.new_file(str(self._part), schema)
        repeating = ["folder_path", "content_type", *(f"{name}.list.element" for name in TAG_CATEGORIES)]
        repeating += ["dataset_name"] if "dataset_name" in schema.names else []
        return self._pa.parquet.ParquetWriter(self._part, schema, use_dictionary=repeating)  # a vector never repeats

    def finish(self) -> None:
        """Gives the file its name."""
        self._writer.close()
        self._part.replace(self._path)

    def give_up(self) -> None:
        """Removes what was written."""
        if self._writer is not None:
            self._writer.close()
        self._part.unlink(missing_ok=True)


def is_own(path: Path) -> bool:
    """Whether a file of vectors names its encoder, as an export of ours does."""
    pa = arrow()
    try:
        with path.open("rb") as file:
            is_parquet = file.read(len(PARQUET_MAGIC)) == PARQUET_MAGIC
        schema = pa.parquet.read_schema(path) if is_parquet else pa.ipc.open_file(pa.memory_map(str(path))).schema
    except (OSError, pa.ArrowException):
        return False
    return FINGERPRINT in (schema.metadata or {})
