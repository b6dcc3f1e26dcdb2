"""Vectors that come in and go out with names, tags and facts: columns, limits, answers."""

from __future__ import annotations

from typing import Final

from pictograph.wire.base import Wire

ARROW_STREAM: Final = "application/vnd.apache.arrow.stream"
"""Content type of rows on their way in and out."""
FINGERPRINT: Final = b"pictograph.encoder"
"""Key of a file's own metadata: which encoder made its vectors, `offline@8c1f`."""
NEXT_CURSOR: Final = "Pictograph-Next-Cursor"
"""Header of a page of an export: where the next one begins; absent on the last."""
TOTAL: Final = "Pictograph-Total"
"""Header of its first page: rows of all pages."""
LEFT_OUT: Final = "Pictograph-Left-Out"
"""Header of its first page: images that are meant, but have no vector and so are in none: they wait, or failed."""
TEXT_COLUMNS: Final = ("id", "folder_path", "filename", "content_type")
NUMBER_COLUMNS: Final = ("width", "height", "file_size")
VECTOR_COLUMNS: Final = (
    "id",
    "folder_path",
    "filename",
    "vector",
    "objects",
    "scenes",
    "attributes",
    "width",
    "height",
    "file_size",
    "content_type",
    "created_at",
)
"""In the order in which an export has them; an import needs `filename` and `vector`."""
ADDED_COLUMNS: Final = (
    *("path", "dataset_name", "sha256", "original_filename", "score", "similarity", "taken_at", "camera", "sharpness"),
    *("brightness", "contrast", "average_color", "perceptual_hash"),
)
"""Columns of an export that an import does not take."""
MAX_ROWS: Final = 5_000
"""Rows of one request."""
MAX_EXPORTED: Final = 5_000
"""Rows of one page of an export."""
MAX_ROWS_BYTES: Final = 64 * 1024 * 1024
"""Bytes of one request."""


class DifferentVector(Wire):
    """A row that differs from the image of its folder and filename; nothing of it was stored."""

    row: int
    """Of the request, from 0."""
    image_id: str
    """UUID of that image."""
    folder_path: str
    """`/`, or `/a/b`."""
    filename: str
    """Its name within its folder."""
    reason: str
    """What differs."""


class ImportedVectors(Wire):
    """What became of the rows of one request."""

    imported: int
    """New images."""
    skipped: int
    """Rows that were there already: same folder, same name, same vector, tags and facts."""
    restored: int
    """Rows whose images were there already but archived: searches find them again."""
    replaced: int
    """Images that got the vector, the tags and the facts of their rows, because of `replace`."""
    different: list[DifferentVector]
    """Rows of which nothing was stored, because another image has their place."""
