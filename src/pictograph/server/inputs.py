"""Parameters that several routes take."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query

from pictograph.types import MAX_CURSOR

Cursor = Annotated[str | None, Query(max_length=MAX_CURSOR, description="`next_cursor` of the page before.")]
