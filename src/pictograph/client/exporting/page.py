"""One page of an export as it comes: rows as JSON, or rows with vectors as an Arrow stream."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

import httpx
import pydantic

from pictograph.errors import ServerError
from pictograph.wire.export import CHANGED, CUT_OFF, STARTED, VANISHED, ExportedImage, ExportPage
from pictograph.wire.vectors import LEFT_OUT, NEXT_CURSOR, TOTAL


@dataclass(frozen=True, slots=True)
class Page:
    """Some rows, and what their page says."""

    next_cursor: str | None
    started_at: datetime
    changed: int
    vanished: int
    rows: Sequence[ExportedImage] = field(default=(), repr=False)
    body: bytes = field(default=b"", repr=False)
    """Of vectors: an Arrow stream, and no rows."""
    total: int | None = None
    total_is: Literal["exact", "estimate"] | None = None
    left_out: int | None = None
    """None but on the first page."""
    cut_off: bool = False
    blob_store: str | None = None


def of_rows(answer: ExportPage) -> Page:
    """The page of rows without vectors."""
    return Page(
        next_cursor=answer.next_cursor,
        started_at=answer.started_at,
        changed=answer.changed,
        vanished=answer.vanished,
        rows=answer.rows,
        total=answer.total,
        total_is=answer.total_is,
        left_out=answer.left_out,
        cut_off=answer.cut_off,
        blob_store=answer.blob_store,
    )


def of_vectors(response: httpx.Response) -> Page:
    """The page of rows with vectors. Raises ServerError for what is no answer of this protocol."""
    try:
        started_at = pydantic.TypeAdapter(datetime).validate_python(response.headers.get(STARTED))
    except pydantic.ValidationError as error:
        raise ServerError(f"The answer of {response.request.url} has no {STARTED}. Check base_url.") from error
    return Page(
        next_cursor=response.headers.get(NEXT_CURSOR),
        started_at=started_at,
        changed=number_in(response, CHANGED) or 0,
        vanished=number_in(response, VANISHED) or 0,
        body=response.content,
        total=number_in(response, TOTAL),
        total_is="exact" if TOTAL in response.headers else None,
        left_out=number_in(response, LEFT_OUT),
        cut_off=CUT_OFF in response.headers,
    )


def number_in(response: httpx.Response, name: str) -> int | None:
    """The header as a number; None if it is absent."""
    text = response.headers.get(name, "")
    return int(text) if text.isdecimal() else None
