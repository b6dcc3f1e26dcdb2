"""Files of vectors -> requests of bounded size. pyarrow is loaded when the first file is opened, not before."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from io import BytesIO
from os import PathLike
from typing import Any, Final, TypeAlias

from pictograph.client.results import DifferentRow, ImportReport
from pictograph.client.walk import given_path
from pictograph.errors import ConfigurationError, ValidationError, wrong_value
from pictograph.types import TAG_CATEGORIES
from pictograph.wire.vectors import (
    ADDED_COLUMNS,
    FINGERPRINT,
    MAX_ROWS,
    NUMBER_COLUMNS,
    VECTOR_COLUMNS,
    ImportedVectors,
)
from pictograph_search import install_command

VectorSource: TypeAlias = "str | PathLike[str] | Any"
"""A Parquet or Arrow file, or a pyarrow Table, RecordBatch or RecordBatchReader."""
ROWS_AT_ONCE: Final = MAX_ROWS
BYTES_AT_ONCE: Final = 16 * 1024 * 1024
"""Of vectors, in one request: few enough for memory, enough that a request costs little."""
SPELLINGS: Final[dict[str, tuple[str, ...]]] = {
    "vector": ("vector", "embedding"),
    "filename": ("filename", "file_name"),
    "folder_path": ("folder_path", "directory_path"),
    "path": ("path", "file_path"),
    **{name: (name,) for name in VECTOR_COLUMNS if name not in ("vector", "filename", "folder_path")},
}
"""Which columns of a file are taken for what; of several the first."""
PARQUET_MAGIC, ARROW_MAGIC = b"PAR1", b"ARROW1"


@dataclass(frozen=True, slots=True)
class VectorBatch:
    """Some rows of one source, as the service takes them."""

    source: str
    """The file, or what else they come from."""
    start: int
    """The first row, from 0, in the source."""
    rows: int
    encoder: str
    """Fingerprint of what made the vectors."""
    body: bytes = field(repr=False)
    """An Arrow stream."""


@dataclass(frozen=True, slots=True)
class VectorFile:
    """One opened source."""

    name: str
    rows: int | None
    """None where only reading all of it would tell."""
    encoder: str
    columns: dict[str, str]
    """What is taken for what: `{"vector": "embedding"}`."""
    ignored: tuple[str, ...]
    """Columns of which nothing is stored."""
    batches: Iterator[Any] = field(repr=False)
    """pyarrow RecordBatches."""


def arrow() -> Any:
    """The module pyarrow. Raises ConfigurationError that says how to install it."""
    try:
        import pyarrow  # noqa: PLC0415
        import pyarrow.compute  # noqa: PLC0415
        import pyarrow.parquet  # noqa: PLC0415
    except ImportError as error:
        raise ConfigurationError(
            f"Parquet and Arrow need the package pyarrow, which is not here: {install_command('vectors')}"
        ) from error
    return pyarrow


def open_sources(sources: Sequence[VectorSource] | VectorSource, encoder: str | None) -> list[VectorFile]:
    """All of them, opened and their columns looked at. Raises ValidationError before anything is sent."""
    several = list(sources) if isinstance(sources, list | tuple) else [sources]
    if not several:
        raise wrong_value("sources", "Nothing to import: name at least one file.")
    return [open_source(source, encoder) for source in several]


def open_source(source: VectorSource, encoder: str | None) -> VectorFile:
    """encoder: fingerprint of what made the vectors; None takes what the file itself says."""
    pa = arrow()
    if isinstance(source, str | PathLike):
        name = str(source)
        try:
            schema, rows, batches = opened_file(pa, name)
        except (pa.ArrowException, OSError, StopIteration) as error:
            why = (str(error).splitlines() or ["it is empty"])[0]
            raise wrong_value("sources", f"{name} cannot be read as Parquet or Arrow: {why}.") from error
    else:
        name = type(source).__name__
        schema, rows, batches = opened_table(pa, source)
    columns = columns_of(name, schema.names)
    return VectorFile(
        name=name,
        rows=rows,
        encoder=encoder or fingerprint_in(name, schema),
        columns=columns,
        ignored=ignored_in(schema, columns),
        batches=batches,
    )


def ignored_in(schema: Any, columns: dict[str, str]) -> tuple[str, ...]:
    """Columns of which nothing is stored; what an export of ours adds for people and other programs is not named."""
    added = ADDED_COLUMNS if FINGERPRINT in (schema.metadata or {}) else ()
    return tuple(column for column in schema.names if column not in columns.values() and column not in added)


def opened_file(pa: Any, name: str) -> tuple[Any, int | None, Iterator[Any]]:
    """Schema, number of rows, and the batches as they are read."""
    path = given_path(name)
    with path.open("rb") as file:
        magic = file.read(len(ARROW_MAGIC))
    if magic.startswith(PARQUET_MAGIC):
        parquet = pa.parquet.ParquetFile(path)
        return parquet.schema_arrow, parquet.metadata.num_rows, parquet.iter_batches(ROWS_AT_ONCE)
    if magic == ARROW_MAGIC:
        reader = pa.ipc.open_file(pa.memory_map(str(path)))
        batches = (reader.get_batch(number) for number in range(reader.num_record_batches))
        return reader.schema, reader.count_rows(), batches
    stream = pa.ipc.open_stream(pa.memory_map(str(path)))
    return stream.schema, None, iter(stream)


def opened_table(pa: Any, source: Any) -> tuple[Any, int | None, Iterator[Any]]:
    if isinstance(source, pa.RecordBatch):
        return source.schema, source.num_rows, iter([source])
    if isinstance(source, pa.Table):
        return source.schema, source.num_rows, iter(source.to_batches())
    if isinstance(source, pa.RecordBatchReader):
        return source.schema, None, iter(source)
    raise wrong_value("sources", f"Import reads files, and Tables or RecordBatches of pyarrow, not {source!r}.")


def fingerprint_in(name: str, schema: Any) -> str:
    found: bytes | None = (schema.metadata or {}).get(FINGERPRINT)
    if found is None:
        raise wrong_value(
            "encoder",
            f"{name} does not say which encoder made its vectors. Name it (encoder=..., --encoder): the service's own "
            "is `fingerprint` of GET /ready, and only its vectors can be imported.",
        )
    return found.decode("utf-8", "replace")


def columns_of(name: str, there: Sequence[str]) -> dict[str, str]:
    """Which column is what. Raises ValidationError if there is no vector, or nothing to name the images by."""
    columns = {
        wanted: next(spelling for spelling in spellings if spelling in there)
        for wanted, spellings in SPELLINGS.items()
        if any(spelling in there for spelling in spellings)
    }
    if "vector" not in columns:
        raise wrong_value("vector", f"{name} has no column `vector`. It has: {', '.join(there) or 'none'}.")
    if "filename" in columns:
        columns.pop("path", None)
    elif "path" in columns:
        columns.pop("folder_path", None)
    elif "id" not in columns:
        raise wrong_value(
            "filename",
            f"{name} has nothing to name images by: it needs a column `filename` (and `folder_path`), `path` or `id`. "
            f"It has: {', '.join(there)}.",
        )
    return columns


def batches_of(file: VectorFile) -> Iterator[VectorBatch]:
    """The file's rows in requests of bounded size, in order. Raises ValidationError that names the column."""
    pa = arrow()
    start = 0
    for batch in file.batches:
        try:
            table = canonical(pa, batch, file.columns)
        except pa.ArrowException as error:
            raise ValidationError(
                f"{file.name}, rows from {start} on: {str(error).splitlines()[0].rstrip('.')}."
            ) from error
        size = rows_at_once(table)
        for first in range(0, table.num_rows, size):
            part = table.slice(first, size)
            yield VectorBatch(file.name, start + first, part.num_rows, file.encoder, streamed(pa, part))
        start += table.num_rows


def rows_at_once(table: Any) -> int:
    width: int = table.schema.field("vector").type.list_size
    return max(1, min(ROWS_AT_ONCE, BYTES_AT_ONCE // max(1, 2 * width)))


def streamed(pa: Any, table: Any) -> bytes:
    sink = BytesIO()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue()


def canonical(pa: Any, batch: Any, columns: dict[str, str]) -> Any:
    """The batch as a table with the columns and types that the service takes."""
    given = {wanted: batch.column(name) for wanted, name in columns.items()}
    made = {"vector": vectors(pa, given.pop("vector"))}
    if (paths := given.pop("path", None)) is not None:
        made["folder_path"], made["filename"] = split(pa, paths)
    if (ids := given.pop("id", None)) is not None:
        texts = ids.cast(pa.string())
        if "filename" not in given and "filename" not in made:
            made["filename"] = texts
        if are_uuids(texts.to_pylist()):
            made["id"] = texts
    for name, column in given.items():
        made[name] = column.cast(type_of(pa, name))
    return pa.table(made)


def type_of(pa: Any, name: str) -> Any:
    if name in TAG_CATEGORIES:
        return pa.list_(pa.string())
    if name in NUMBER_COLUMNS:
        return pa.int64()
    return pa.timestamp("us", "UTC") if name == "created_at" else pa.string()


def vectors(pa: Any, column: Any) -> Any:
    """As a fixed-size list of float16, which is what the service keeps."""
    kind = column.type
    if pa.types.is_fixed_size_list(kind):
        width = kind.list_size
    elif pa.types.is_list(kind) or pa.types.is_large_list(kind):
        width = max(pa.compute.max(pa.compute.list_value_length(column)).as_py() or 0, 1)
    else:
        raise wrong_value("vector", f"The column of vectors must hold lists of numbers, not {kind}.")
    return column.cast(pa.list_(pa.float16(), width))


def split(pa: Any, paths: Any) -> tuple[Any, Any]:
    """Folders and filenames."""
    parts = [(None, "", None) if path is None else path.rpartition("/") for path in paths.cast(pa.string()).to_pylist()]
    folders = [part[0] or "/" for part in parts]
    return pa.array(folders, pa.string()), pa.array([part[2] for part in parts], pa.string())


def are_uuids(texts: Sequence[str | None]) -> bool:
    try:
        return all(text is None or uuid.UUID(text) for text in texts)
    except ValueError:
        return False


def begun(report: ImportReport | None, dataset_name: str, files: Sequence[VectorFile]) -> ImportReport:
    """The report, told what there is to do."""
    report = report or ImportReport(dataset_name)
    counts = [file.rows for file in files]
    report.rows = None if None in counts else sum(count for count in counts if count is not None)
    report.ignored_columns = {file.name: file.ignored for file in files if file.ignored}
    return report


def note(
    report: ImportReport,
    batch: VectorBatch,
    outcome: ImportedVectors | Exception,
    progress: Callable[[ImportReport], None] | None,
) -> None:
    """Counts what became of the rows. An error is raised; it names the row in the file, not in the request."""
    if isinstance(outcome, Exception):
        raise in_file(outcome, batch)
    report.imported += outcome.imported
    report.skipped += outcome.skipped
    report.restored += outcome.restored
    report.replaced += outcome.replaced
    report.different += [
        DifferentRow(batch.source, batch.start + it.row, it.image_id, it.folder_path, it.filename, it.reason)
        for it in outcome.different
    ]
    if progress:
        progress(report)


def in_file(error: Exception, batch: VectorBatch) -> Exception:
    """The error, with the row as the file has it."""
    row = error.details.get("row") if isinstance(error, ValidationError) else None
    if not isinstance(error, ValidationError) or not isinstance(row, int):
        return error
    message = f"{batch.source}, row {batch.start + row} (the first is 0), column {error.details.get('column')!r}: "
    return type(error)(
        message
        + f"{error.details.get('why')}. Nothing of rows {batch.start} to {batch.start + batch.rows - 1} was stored.",
        status_code=error.status_code,
        details=error.details | {"source": batch.source, "row": batch.start + row},
        request_id=error.request_id,
    )
