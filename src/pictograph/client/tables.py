"""Rows for pandas, Hugging Face's datasets and FiftyOne. Each is loaded when it is asked for; none is needed here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from importlib import import_module
from os import PathLike
from pathlib import Path, PurePosixPath
from typing import Any, Final

from pictograph.errors import ConfigurationError, ValidationError, wrong_value
from pictograph.types import TAG_CATEGORIES
from pictograph.wire import Image
from pictograph.wire.base import Wire

LEFT_OUT: Final = frozenset({"status", "annotation_count", "thumbnail_url", "image_url"})
"""What no table needs: fields of published clients that say nothing here, and signed addresses, which end in hours."""


def needed(package: str, what: str) -> Any:
    """The package. Raises ConfigurationError that says how to install it."""
    try:
        return import_module(package)
    except ImportError as error:
        why = "which is not here" if error.name == package else f"which cannot be loaded ({error})"
        raise ConfigurationError(f"{what} needs the package {package}, {why}: pip install {package}") from error


def frame_of(rows: Sequence[Any], row_type: type[Wire] | None) -> Any:
    """A DataFrame of pandas."""
    return needed("pandas", "to_pandas").DataFrame(columns_of(rows, row_type))


def columns_of(rows: Sequence[Any], row_type: type[Wire] | None = None) -> dict[str, list[Any]]:
    """Name of each column, and its values in the order of the rows; tags are a column for each category."""
    first = type(rows[0]) if rows else row_type
    if first is None:
        return {}
    columns: dict[str, list[Any]] = {}
    for name in names_of(first):
        values = [getattr(row, name) for row in rows]
        if name in ("tags", "image_auto_tags"):
            columns |= {category: [value.get(category, []) for value in values] for category in TAG_CATEGORIES}
        else:
            columns[name] = [plain(value) for value in values]
    return columns


def names_of(model: type[Wire]) -> list[str]:
    """The fields of a row that are its own."""
    left_out = LEFT_OUT | ({"tags"} if issubclass(model, Image) else frozenset())
    return [name for name in model.model_fields if name not in left_out]


def plain(value: Any) -> Any:
    """A value of a table: a model as a dict, a state as a text."""
    if isinstance(value, Wire):
        return value.model_dump()
    return value.value if isinstance(value, StrEnum) else value


def paths_of(rows: Sequence[Any], root: str | PathLike[str] | None) -> list[Path]:
    """Where the file of each row lies. Raises ValidationError for rows without one, and for names that leave `root`."""
    return [Path(root or "", path_in_dataset(row)) for row in rows]


def path_in_dataset(row: Any) -> PurePosixPath:
    """`night/crossing.jpg`."""
    if not hasattr(row, "filename") or not hasattr(row, "folder_path"):
        raise ValidationError(f"Rows of type {type(row).__name__} have no files: only images do.")
    path = PurePosixPath(row.folder_path.strip("/"), row.filename)
    if path.is_absolute() or ".." in path.parts:
        raise wrong_value("filename", f"{row.folder_path!r} and {row.filename!r} lead out of the directory.")
    return path


def hf_dataset_of(rows: Sequence[Any], row_type: type[Wire] | None, root: str | PathLike[str] | None) -> Any:
    """A Dataset of Hugging Face's datasets; with a root, `image` holds the pictures, which are read when asked for."""
    datasets = needed("datasets", "to_hf")
    columns = columns_of(rows, row_type)
    if root is not None:
        columns["image"] = [str(path) for path in paths_of(rows, root)]
    arrow = needed("pyarrow", "to_hf")
    texts = arrow.list_(arrow.string())  # of rows without any tag it could not be told what tags are
    typed = {name: arrow.array(values, texts if name in TAG_CATEGORIES else None) for name, values in columns.items()}
    made = datasets.Dataset(arrow.table(typed))
    return made.cast_column("image", datasets.Image()) if root is not None else made


def fiftyone_dataset_of(rows: Sequence[Any], root: str | PathLike[str]) -> Any:
    """A Dataset of FiftyOne, which is not kept when the session ends unless you make it persistent."""
    fiftyone = needed("fiftyone", "to_fiftyone")
    dataset = fiftyone.Dataset()
    dataset.add_samples([sample_of(fiftyone, row, path) for row, path in zip(rows, paths_of(rows, root), strict=True)])
    return dataset


def sample_of(fiftyone: Any, row: Any, path: Path) -> Any:
    """One Sample: its path, what the row says, and a Classifications for each category of tags."""
    labels: Mapping[str, Sequence[str]] = row.image_auto_tags
    tags = {
        category: fiftyone.Classifications(
            classifications=[fiftyone.Classification(label=label) for label in labels.get(category, ())]
        )
        for category in TAG_CATEGORIES
    }
    said = {
        name: getattr(row, name)
        for name in ("image_id", "dataset_id", "folder_path", "similarity", "score")
        if getattr(row, name, None) is not None
    }
    return fiftyone.Sample(filepath=str(path.absolute()), **said, **tags)
