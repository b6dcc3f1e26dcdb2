"""What the routes of exports read."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from pictograph.server.asked import DatasetName, Filters
from pictograph.types import MAX_CURSOR
from pictograph.wire.base import Body
from pictograph.wire.vectors import MAX_EXPORTED


class FilterAsked(Filters, Body):
    """Which images are meant."""

    dataset_names: Annotated[list[DatasetName], Field(max_length=100)] | None = None
    """Names or UUIDs of datasets; absent: the whole organization."""
    recursive: bool = True
    """Whether the folders below the folder are meant too."""


class QueryAsked(Body):
    """Which images are exported, and in which order."""

    filter: Annotated[FilterAsked, Field(description="Which images are exported.")] = FilterAsked()


class ZipAsked(Body):
    """Body of `POST /search/export/zip`."""

    query: Annotated[QueryAsked, Field(description="Which images are exported; absent: all.")] = QueryAsked()
    original_names: bool = False
    """Whether names are written as they were before the library brought them to one spelling (NFC)."""


class ExportAsked(Body):
    """Body of `POST /search/export`."""

    query: Annotated[QueryAsked, Field(description="Which images, in which order; absent: all, the newest first.")] = (
        QueryAsked()
    )
    vectors: bool = False
    """Whether the answer is an Arrow stream of the rows, with their vectors."""
    limit: Annotated[int, Field(ge=1, le=MAX_EXPORTED)] = 1000
    """Most rows of one page."""
    cursor: Annotated[str | None, Field(max_length=MAX_CURSOR)] = None
    """`next_cursor` of the page before, with the same query."""
