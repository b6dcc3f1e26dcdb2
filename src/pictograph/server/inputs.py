"""Parameters that several routes take."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import Query

from pictograph.types import MAX_CURSOR

MAX_ID_SENT: Final = 10_000
"""Characters of what is sent as an id; ours are UUIDs, and what is none names nothing."""
Cursor = Annotated[str | None, Query(max_length=MAX_CURSOR, description="`next_cursor` of the page before.")]
