"""What the routes of exports read."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import Field

from pictograph.errors import wrong_value
from pictograph.search.query import Query
from pictograph.server.asked import QueryAsked
from pictograph.types import MAX_CURSOR
from pictograph.wire.base import Body
from pictograph.wire.vectors import MAX_EXPORTED

OF_PAGES: Final = ("limit", "cursor", "count_only")
"""What a query says of its page, and an export says itself."""


class ZipAsked(Body):
    """Body of `POST /search/export/zip`."""

    query: Annotated[QueryAsked, Field(description="Which images are exported; absent: all.")] = QueryAsked()
    original_names: bool = False
    """Whether names are written as they were before the library brought them to one spelling (NFC)."""

    def question(self) -> Query:
        """The query, checked. Raises NotFoundError, ValidationError."""
        return question_of(self.query)


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

    def question(self) -> Query:
        """The query, checked. Raises NotFoundError, ValidationError."""
        return question_of(self.query)


def question_of(asked: QueryAsked) -> Query:
    """The query. Raises ValidationError if it says something of its page."""
    wrong = [name for name in OF_PAGES if name in asked.model_fields_set]
    if wrong:
        raise wrong_value(
            wrong[0], f"{wrong[0]} does not belong into the query of an export: `limit` and `cursor` stand beside it."
        )
    return asked.query()
