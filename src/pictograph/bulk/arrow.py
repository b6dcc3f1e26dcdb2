"""Rows of one request, from Arrow's stream format to checked columns. Whatever is wrong is named by row and column.

The stream comes from anybody. So it may not be compressed (it would be larger than it looks), each batch is validated
before it is read, and there are only as many rows as the request says it may have.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pictograph.bulk.images import Halves, Integers
from pictograph.errors import ValidationError, wrong_value
from pictograph.naming import unknown_name
from pictograph.store.names import MAX_NAME, canonical_folder, checked_filename, one_spelling
from pictograph.types import DIMENSION, TAG_CATEGORIES, TagCategory
from pictograph.wire.vectors import MAX_ROWS, NUMBER_COLUMNS, TEXT_COLUMNS, VECTOR_COLUMNS

Label = Callable[[TagCategory, str], bool]
"""Whether the taxonomy has it."""

LENGTH_TOLERANCE: Final = 0.01
"""Rounding to float16 moves a unit vector's length by less than a tenth of this."""
ROWS_CHECKED_AT_ONCE: Final = 1024
MOST_BATCHES: Final = 1000
MOST_NAMED: Final = 20
"""Unknown tags in one message."""
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
EARLIEST_US: Final = (datetime(1, 1, 2, tzinfo=UTC) - EPOCH).days * 86_400_000_000
LATEST_US: Final = (datetime(9999, 12, 30, tzinfo=UTC) - EPOCH).days * 86_400_000_000
UNKNOWN_TYPE: Final = "application/octet-stream"
MIME: Final = re.compile(r"[\w.+-]{1,100}/[\w.+-]{1,100}", re.ASCII)
TIMESTAMP: Final = pa.timestamp("us", "UTC")
LABELS: Final = pa.list_(pa.string())
HEADER_OF_MESSAGE, COMPRESSION_OF_BATCH = 2, 3
"""Numbers of fields: https://github.com/apache/arrow/blob/apache-arrow-21.0.0/format/Message.fbs"""


@dataclass(frozen=True, slots=True)
class Rows:
    """The rows of one request, in their order, checked; the dataset is not known here."""

    ids: Sequence[UUID | None]
    """Which UUID each image would like to have."""
    folder_paths: Sequence[str]
    filenames: Sequence[str]
    vectors: Halves
    """float16 (N, 1152), of length 1."""
    tags: Sequence[bytes]
    """JSON, as the database keeps it."""
    widths: Integers
    heights: Integers
    sizes: Integers
    content_types: Sequence[str]
    created_us: Integers | None
    """int64 (N,): microseconds since 1970; where nobody said, `NOT_SAID`."""

    def __len__(self) -> int:
        return len(self.filenames)


NOT_SAID: Final = np.iinfo(np.int64).min


def read_rows(body: bytes, dimension: int, is_label: Label) -> Rows:
    """The rows of an Arrow stream. dimension: width of the vectors of the space; 1152 columns will do too.

    Raises ValidationError that names the row and the column.
    """
    table = read_table(body)
    columns = {name: whole(table.column(name)) for name in table.column_names}
    count = table.num_rows
    return Rows(
        ids=ids_of(columns.get("id"), count),
        folder_paths=folders_of(columns.get("folder_path"), count),
        filenames=filenames_of(columns["filename"]),
        vectors=vectors_of(columns["vector"], dimension),
        tags=tags_of({category: columns.get(category) for category in TAG_CATEGORIES}, count, is_label),
        widths=numbers_of("width", columns.get("width"), count, 2**31 - 1),
        heights=numbers_of("height", columns.get("height"), count, 2**31 - 1),
        sizes=numbers_of("file_size", columns.get("file_size"), count, 2**53),
        content_types=content_types_of(columns.get("content_type"), count),
        created_us=moments_of(columns.get("created_at")),
    )


def whole(column: Any) -> Any:
    """The column as one array."""
    return pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)


def read_table(body: bytes) -> Any:
    """The validated batches as one table. Raises ValidationError."""
    try:
        messages = pa.ipc.MessageReader.open_stream(pa.py_buffer(body))
        schema = pa.ipc.read_schema(messages.read_next_message())
        check_columns(schema)
        return pa.Table.from_batches(read_batches(messages, schema), schema)
    except StopIteration as error:
        raise wrong_value("body", "The body cannot be read as an Arrow stream: it is empty.") from error
    except (pa.ArrowException, EOFError, OSError, struct.error, UnicodeDecodeError) as error:
        raise wrong_value("body", f"The body cannot be read as an Arrow stream: {first_line(error)}.") from error


def read_batches(messages: Any, schema: Any) -> list[Any]:
    batches: list[Any] = []
    rows = 0
    for message in messages:
        if message.type != "record batch":
            raise wrong_value("body", f"The stream must hold record batches only, not a {message.type}.")
        if is_compressed(message.metadata.to_pybytes()):
            raise wrong_value("body", "The stream must not be compressed: write it without `compression`.")
        batch = pa.ipc.read_record_batch(message, schema)
        rows += batch.num_rows
        if rows > MAX_ROWS or len(batches) == MOST_BATCHES:
            raise wrong_value("body", f"One request may have at most {MAX_ROWS} rows in {MOST_BATCHES} batches.")
        batch.validate(full=True)
        batches.append(batch)
    return batches


def is_compressed(metadata: bytes) -> bool:
    """Whether the metadata of a record batch name a compression. pyarrow has verified their structure."""
    root = struct.unpack_from("<I", metadata)[0]
    header = field_of(metadata, root, HEADER_OF_MESSAGE)
    if header is None:
        return False
    batch = header + struct.unpack_from("<I", metadata, header)[0]
    return field_of(metadata, batch, COMPRESSION_OF_BATCH) is not None


def field_of(buffer: bytes, table: int, number: int) -> int | None:
    """Where a field of a FlatBuffers table lies; None if it is absent."""
    vtable = table - struct.unpack_from("<i", buffer, table)[0]
    slot = 4 + 2 * number
    if slot >= struct.unpack_from("<H", buffer, vtable)[0]:
        return None
    offset = struct.unpack_from("<H", buffer, vtable + slot)[0]
    return table + offset if offset else None


def check_columns(schema: Any) -> None:
    """Raises ValidationError for a column that does not exist, is missing, comes twice, or has another type."""
    for name in schema.names:
        if name not in VECTOR_COLUMNS:
            raise wrong_value(name[:60], unknown_name("column", name, VECTOR_COLUMNS, {}))
        if schema.names.count(name) > 1:
            raise wrong_value(name, f"There are several columns {name!r}.")
        if not fits(name, schema.field(name).type):
            raise wrong_value(name, f"Column {name!r} must be {WANTED[name]}, not {schema.field(name).type}.")
    for name in ("filename", "vector"):
        if name not in schema.names:
            raise wrong_value(name, f"Column {name!r} is missing. There are: {', '.join(schema.names) or 'none'}.")


WANTED: Final[Mapping[str, str]] = {
    **dict.fromkeys(TEXT_COLUMNS, "text (utf8)"),
    **dict.fromkeys(NUMBER_COLUMNS, "whole numbers (int32 or int64)"),
    **dict.fromkeys(TAG_CATEGORIES, "lists of text (list<utf8>)"),
    "vector": "a fixed-size list of float16, float32 or float64",
    "created_at": "a timestamp with a time zone",
}


def fits(name: str, kind: Any) -> bool:
    if name == "vector":
        return bool(pa.types.is_fixed_size_list(kind) and pa.types.is_floating(kind.value_type))
    if name in TAG_CATEGORIES:
        return bool((pa.types.is_list(kind) or pa.types.is_large_list(kind)) and is_text(kind.value_type))
    if name in NUMBER_COLUMNS:
        return bool(pa.types.is_integer(kind))
    if name == "created_at":
        return bool(pa.types.is_timestamp(kind) and kind.tz is not None)
    return is_text(kind)


def is_text(kind: Any) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def ids_of(column: Any, count: int) -> list[UUID | None]:
    if column is None:
        return [None] * count
    ids: list[UUID | None] = []
    for row, text in enumerate(column.to_pylist()):
        try:
            ids.append(UUID(text) if text is not None else None)
        except ValueError as error:
            raise wrong_row(row, "id", f"an id must be a UUID, not {text[:60]!r}") from error
    return ids


def folders_of(column: Any, count: int) -> list[str]:
    if column is None:
        return ["/"] * count
    encoded = column.fill_null("/").dictionary_encode()
    numbers = encoded.indices.to_numpy()
    paths: list[str] = []
    for number, path in enumerate(encoded.dictionary.to_pylist()):
        try:
            paths.append(canonical_folder(path))
        except ValidationError as error:
            raise wrong_row(int(np.argmax(numbers == number)), "folder_path", error.message) from error
    return [paths[number] for number in numbers]


def filenames_of(column: Any) -> list[str]:
    names: list[str] = column.to_pylist()
    for row, name in enumerate(names):
        if name is None:
            raise wrong_row(row, "filename", "there is no filename")
        if not is_plain(name):
            try:
                checked_filename(name)
            except ValidationError as error:
                raise wrong_row(row, "filename", error.message) from error
    return names if "".join(names).isascii() else [one_spelling(name) for name in names]


def is_plain(filename: str) -> bool:
    """True for nearly every name that `checked_filename` allows, found out faster."""
    return (
        0 < len(filename) <= MAX_NAME
        and filename.isascii()
        and filename.isprintable()
        and "/" not in filename
        and filename == filename.strip()
        and filename not in (".", "..")
    )


def vectors_of(column: Any, dimension: int) -> Halves:
    """float16 (N, 1152). Raises ValidationError for another width, for what is no number, and for another length."""
    width = column.type.list_size
    if width not in (dimension, DIMENSION):
        raise wrong_value("vector", f"This library's vectors have {dimension} numbers, these have {width}.")
    values = column.flatten()
    if column.null_count or values.null_count:
        missing = pc.is_null(column).to_numpy(zero_copy_only=False)
        if not missing.any():
            missing = pc.is_null(values).to_numpy(zero_copy_only=False).reshape(-1, width).any(axis=1)
        raise wrong_row(int(np.argmax(missing)), "vector", "the vector, or a number of it, is missing")
    given = np.asarray(values.to_numpy(zero_copy_only=False)).reshape(-1, width)
    check_lengths(given)
    if width == DIMENSION and given[:, dimension:].any():
        row = int(np.argmax(given[:, dimension:].any(axis=1)))
        raise wrong_row(row, "vector", f"only the first {dimension} numbers may differ from 0")
    if width == DIMENSION and given.dtype == np.float16:
        return given.astype(np.float16, copy=False)
    vectors = np.zeros((len(given), DIMENSION), np.float16)
    vectors[:, :width] = given
    return vectors


def check_lengths(vectors: Any) -> None:
    for start in range(0, len(vectors), ROWS_CHECKED_AT_ONCE):
        part = vectors[start : start + ROWS_CHECKED_AT_ONCE].astype(np.float32)
        lengths = np.sqrt(np.einsum("ij,ij->i", part, part))
        wrong = np.flatnonzero(~(np.abs(lengths - 1) <= LENGTH_TOLERANCE))  # NaN is wrong too
        if len(wrong):
            length = lengths[wrong[0]]
            why = f"a vector must have length 1, this one has {length:.3f}: divide it by that"
            raise wrong_row(start + int(wrong[0]), "vector", why)


def tags_of(columns: Mapping[TagCategory, Any], count: int, is_label: Label) -> list[bytes]:
    """The JSON of each row's tags, made column by column."""
    parts: list[Any] = []
    for category in TAG_CATEGORIES:
        parts += [f'"{category}": [', quoted(category, columns[category], count, is_label), "], "]
    parts[-1] = "]"
    joined = pc.binary_join_element_wise("{", *parts, "}", "")
    documents = joined.to_pylist() if not isinstance(joined, pa.StringScalar) else [joined.as_py()] * count
    return [document.encode() for document in documents]


def quoted(category: TagCategory, column: Any, count: int, is_label: Label) -> Any:
    """For each row the inside of a JSON list: `"car", "street"`; a label of the taxonomy needs no escapes."""
    if column is None:
        return pa.scalar("")
    lists = pc.if_else(column.is_valid(), column, pa.scalar([], column.type)).cast(LABELS)
    rows = pc.list_parent_indices(lists).to_numpy()
    encoded = lists.flatten().dictionary_encode()
    if encoded.null_count:
        raise wrong_row(
            int(rows[np.argmax(encoded.is_null().to_numpy(zero_copy_only=False))]), category, "a tag is null"
        )
    names = [label.strip().lower() for label in encoded.dictionary.to_pylist()]
    numbers = encoded.indices.to_numpy()
    check_labels(category, names, numbers, rows, is_label)
    labels = pa.array(names, pa.string()).take(encoded.indices)
    lists = pa.ListArray.from_arrays(lists.offsets, labels) if count else lists
    inside = pc.binary_join(lists, '", "')
    return pc.if_else(pc.equal(pc.list_value_length(lists), 0), "", pc.binary_join_element_wise('"', inside, '"', ""))


def check_labels(category: TagCategory, names: Sequence[str], numbers: Any, rows: Any, is_label: Label) -> None:
    """Raises ValidationError for labels that the taxonomy does not have, and for one that a row has twice."""
    unknown = [number for number, name in enumerate(names) if not is_label(category, name)]
    if unknown:
        row = int(rows[np.argmax(np.isin(numbers, unknown))])
        shown = ", ".join(repr(names[number][:60]) for number in unknown[:MOST_NAMED])
        more = f" and {len(unknown) - MOST_NAMED} more" if len(unknown) > MOST_NAMED else ""
        error = wrong_row(
            row,
            category,
            f"the taxonomy has no {category} {shown}{more} (`pictograph tags list`). Leave these out, or map them",
        )
        error.details["unknown_tags"] = [names[number][:200] for number in unknown]
        raise error
    distinct: dict[str, int] = {}
    codes = np.array([distinct.setdefault(name, len(distinct)) for name in names], np.int64)
    pairs = rows.astype(np.int64) * max(1, len(distinct)) + (codes[numbers] if len(names) else numbers)
    _, first, counts = np.unique(pairs, return_index=True, return_counts=True)
    if len(first) != len(pairs):
        at = first[np.argmax(counts > 1)]
        raise wrong_row(int(rows[at]), category, f"the tag {names[numbers[at]]!r} comes twice")


def numbers_of(name: str, column: Any, count: int, most: int) -> Integers:
    """int64 (N,): 0 where nothing is said."""
    if column is None:
        return np.zeros(count, np.int64)
    values = column.fill_null(0).cast(pa.int64(), safe=False).to_numpy(zero_copy_only=False)
    wrong = (values < 0) | (values > most)
    if wrong.any():
        row = int(np.argmax(wrong))
        raise wrong_row(row, name, f"must be between 0 and {most}, not {column[row].as_py()}")
    return np.asarray(values, np.int64)


def content_types_of(column: Any, count: int) -> list[str]:
    if column is None:
        return [UNKNOWN_TYPE] * count
    encoded = column.fill_null(UNKNOWN_TYPE).dictionary_encode()
    kinds, numbers = encoded.dictionary.to_pylist(), encoded.indices.to_numpy()
    for number, kind in enumerate(kinds):
        if not MIME.fullmatch(kind):
            row = int(np.argmax(numbers == number))
            raise wrong_row(row, "content_type", f"must look like image/jpeg, not {kind[:60]!r}")
    return [kinds[number] for number in numbers]


def moments_of(column: Any) -> Integers | None:
    if column is None:
        return None
    moments = column.cast(TIMESTAMP, safe=False).cast(pa.int64()).fill_null(NOT_SAID).to_numpy(zero_copy_only=False)
    wrong = (moments != NOT_SAID) & ~((moments >= EARLIEST_US) & (moments <= LATEST_US))
    if wrong.any():
        raise wrong_row(int(np.argmax(wrong)), "created_at", "must lie in the years 1 to 9999")
    return np.asarray(moments, np.int64)


def wrong_row(row: int, column: str, why: str) -> ValidationError:
    """Names row and column, for people and in `details`."""
    error = wrong_value(column, f"Row {row} (the first is 0), column {column!r}: {why.rstrip('.')}.")
    error.details |= {"row": row, "column": column, "why": why}
    return error


def first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:300].rstrip(".")
