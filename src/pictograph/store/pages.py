"""Where one page of a list ends and the next begins: a cursor that is opaque, bound to its question, and checked."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Generic, TypeVar
from uuid import UUID

from pictograph.errors import ValidationError, wrong_value

Row = TypeVar("Row")

VERSION: Final = 1
"""Of what a cursor holds; one of another version is refused."""
MAX_CURSOR: Final = 300
"""Characters; ours have about 130."""
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND: Final = timedelta(microseconds=1)
EARLIEST: Final = (datetime(1, 1, 2, tzinfo=UTC) - EPOCH) // MICROSECOND
LATEST: Final = (datetime(9999, 12, 30, tzinfo=UTC) - EPOCH) // MICROSECOND


@dataclass(frozen=True, slots=True)
class After:
    """The last row of the page before, in a list by time: the next page begins behind it, whatever came meanwhile."""

    created_at: datetime
    id: UUID


@dataclass(frozen=True, slots=True)
class Beyond:
    """The last row of the page before, in a list by likeness: the next page begins behind it."""

    distance: float
    """Cosine distance, to the last bit: rows of one distance are told apart by their ids."""
    id: UUID


@dataclass(frozen=True, slots=True)
class At:
    """The last row of the page before, in a list by a fact: the next page begins behind it."""

    value: float | None
    """Of the fact; None if it is not known, which comes last."""
    id: UUID


@dataclass(frozen=True, slots=True)
class Listed(Generic[Row]):
    """One page of a list."""

    rows: list[Row]
    total: int
    """How many there are in all, on whatever page."""
    next_cursor: str | None
    """Where the next page begins; None on the last one."""


def question_key(*parts: object) -> str:
    """A question in 32 hexadecimal digits: the same for the same question, another for any other."""
    text = json.dumps(parts, default=str, sort_keys=True)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def cursor_after(place: After, question: str) -> str:
    """An opaque cursor for the place behind this row of the answer to `question` (a `question_key`)."""
    return packed((place.created_at - EPOCH) // MICROSECOND, place.id, question)


def cursor_beyond(place: Beyond, question: str) -> str:
    """As `cursor_after`, in a list by likeness."""
    return packed(float(place.distance), place.id, question)


def cursor_at(place: At, question: str) -> str:
    """As `cursor_after`, in a list by a fact."""
    return sealed([place.value, str(place.id)], question)


def read_at(cursor: str, question: str) -> At:
    """As `read_after`, in a list by a fact."""
    try:
        value, image = unsealed(cursor, question)
        if value is not None and (type(value) not in (int, float) or not math.isfinite(value)):
            raise ValueError
        return At(None if value is None else float(value), UUID(image))
    except (ValueError, TypeError, AttributeError, OverflowError) as error:
        raise not_ours() from error


def read_after(cursor: str, question: str) -> After:
    """The place. Raises ValidationError for a cursor that is none of ours, or that another question gave."""
    moment, image = unpacked(cursor, question)
    if not isinstance(moment, int) or not EARLIEST <= moment <= LATEST:
        raise not_ours()
    return After(EPOCH + moment * MICROSECOND, image)


def read_beyond(cursor: str, question: str) -> Beyond:
    """As `read_after`, in a list by likeness."""
    distance, image = unpacked(cursor, question)
    if not isinstance(distance, float) or not math.isfinite(distance):
        raise not_ours()
    return Beyond(distance, image)


def page_of(rows: Sequence[Row], limit: int) -> tuple[list[Row], Row | None]:
    """The first `limit` of rows of which one more was fetched, and the last of these if others follow."""
    page = list(rows[:limit])
    return page, page[-1] if len(rows) > limit else None


def packed(order: float, image: UUID, question: str) -> str:
    return sealed([order, str(image)], question)


def unpacked(cursor: str, question: str) -> tuple[float, UUID]:
    """The order value, an int or a float as it was given, and the id."""
    values = unsealed(cursor, question)
    try:
        order, image = values
        if type(order) not in (int, float):  # by type, not isinstance: True is an int to Python
            raise ValueError
        return order, UUID(image)
    except (ValueError, TypeError, AttributeError) as error:
        raise not_ours() from error


def sealed(values: Sequence[object], question: str) -> str:
    """An opaque cursor that holds these JSON values."""
    text = json.dumps([VERSION, question, *values], separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def unsealed(cursor: str, question: str) -> list[Any]:
    """The values, whatever they are. Raises ValidationError for what is no cursor of ours, or of another question."""
    try:
        if len(cursor) > MAX_CURSOR:
            raise ValueError
        padded = (cursor + "=" * (-len(cursor) % 4)).encode("ascii")
        version, asked, *values = json.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
        if type(version) is not int or version != VERSION:
            raise ValueError
    except (ValueError, TypeError, RecursionError, binascii.Error) as error:
        raise not_ours() from error
    if asked != question:
        raise wrong_value(
            "cursor",
            "This cursor belongs to another question. Repeat the question that gave it, word for word (only `limit` "
            "may change), or begin again without a cursor.",
        )
    return list(values)


def not_ours() -> ValidationError:
    return wrong_value("cursor", "This cursor is not valid. Pass the `next_cursor` of the page before, unchanged.")
