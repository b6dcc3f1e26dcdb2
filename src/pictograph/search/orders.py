"""What can order images: relevance, or a fact. A leaf: it knows no way of answering.

A fact is one number for each image, float64, NaN or NULL where it is not known; such images come last, whichever way.
A new order is a line of `ORDERS`: its column in SQL, and in the index.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

RELEVANCE: Final = "relevance"
NEWEST: Final = "created_at"


@dataclass(frozen=True, slots=True)
class Order:
    """One fact that orders images."""

    sql: str
    """Its value of a row `r` of `image`, as float8: the same number, to the last bit, as the index has."""
    is_time: bool = False
    """Whether the number is microseconds since 1970."""


ORDERS: Final[Mapping[str, Order]] = {
    NEWEST: Order("extract(epoch FROM r.created_at) * 1000000", is_time=True),
    "width": Order("nullif(r.width, 0)"),
    "height": Order("nullif(r.height, 0)"),
    "file_size": Order("nullif(r.file_size, 0)"),
    "aspect": Order("nullif(r.width, 0)::float8 / nullif(r.height, 0)"),
}
"""By the name that a question gives."""
