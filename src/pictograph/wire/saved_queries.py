"""Queries by name."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, ClassVar

from pydantic import Field

from pictograph.types import MAX_CURSOR, MAX_LIMIT
from pictograph.wire.base import Body, Wire


class SavedQuery(Wire):
    """A query by name, to be asked again."""

    brief: ClassVar[tuple[str, ...]] = ("name", "query", "id")

    id: str
    """UUID."""
    name: str
    """Unique among the saved queries of the organization."""
    query: dict[str, Any]
    """What is asked, as `POST /search/query` takes it."""
    created_at: datetime
    """When it was first saved, UTC."""
    updated_at: datetime
    """When it was last saved, UTC."""


class SavedQueryRun(Body):
    """Body of `POST /queries/{query}/run`: which page of the answer."""

    limit: Annotated[int, Field(ge=1, le=MAX_LIMIT)] | None = None
    """Rows; absent: as many as were saved with the query."""
    cursor: Annotated[str, Field(max_length=MAX_CURSOR)] | None = None
    """`next_cursor` of the page before."""
