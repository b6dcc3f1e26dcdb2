"""What an export is to make, and what it may do on the way."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias, get_args

from pictograph.errors import wrong_value

ExportFormat: TypeAlias = Literal["csv", "jsonl", "list", "parquet", "arrow", "folder", "coco", "webdataset", "zip"]
FileFormat: TypeAlias = Literal["parquet", "arrow"]
"""Of a file of vectors."""
FORMATS: Final[tuple[str, ...]] = get_args(ExportFormat)
BY_SUFFIX: Final[Mapping[str, ExportFormat]] = {
    ".csv": "csv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".txt": "list",
    ".arrow": "arrow",
    ".json": "coco",
    ".zip": "zip",
}
"""What a file's name says; any other is Parquet, as it ever was."""
SHARD_IMAGES: Final = 10_000
SHARD_BYTES: Final = 1_000_000_000


@dataclass(frozen=True, slots=True)
class ExportOptions:
    """How files are written."""

    overwrite: bool = False
    """Whether files of others that have a path may be replaced."""
    resume: bool = True
    """Whether an export of the same question that was interrupted goes on where it stopped."""
    link: bool = True
    """Whether files may be links to the library's own, where the blob store is on this disk."""
    blob_folder: Path | None = None
    """The blob store, if it is a folder of this machine; None looks where this machine's service says it is."""
    original_names: bool = False
    """Whether names are written as they were before the library brought them to one spelling."""
    spreadsheet_safe: bool = True
    """Whether cells of CSV that a spreadsheet would take for a formula get an apostrophe."""
    shard_images: int = SHARD_IMAGES
    """Most images of one shard."""
    shard_bytes: int = SHARD_BYTES
    """A shard ends with the image that reaches this size."""

    def __post_init__(self) -> None:
        for name in ("shard_images", "shard_bytes"):
            if getattr(self, name) < 1:
                raise wrong_value(name, f"{name} must be at least 1, not {getattr(self, name)}.")


@dataclass(frozen=True, slots=True)
class Asked:
    """What is exported, and from where."""

    base_url: str
    question: Mapping[str, Any]
    """The query as JSON, without its page."""
    categories: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    """(category, label) of the taxonomy in its order; COCO alone asks for it."""


def format_of(path: Path, wanted: str | None) -> ExportFormat:
    """The format: as wanted, else by the name. Raises ValidationError for one that does not exist."""
    if wanted is None:
        return "folder" if path.is_dir() else BY_SUFFIX.get(path.suffix.lower(), "parquet")
    if wanted not in FORMATS:
        raise wrong_value("format", f"format must be one of {', '.join(FORMATS)}, not {wanted!r}.")
    return wanted  # type: ignore[return-value]
