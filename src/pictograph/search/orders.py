"""What can order images: relevance, or a fact. A leaf: it knows no way of answering.

A fact is one number for each image, float64, NaN or NULL where it is not known; such images come last, whichever way.
A new order is a line of `FACTS` (facts.py), and one in memory/values.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from pictograph.search.facts import FACTS

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
    name: Order(fact.number.format(row="r"), fact.is_time) for name, fact in FACTS.items()
}
"""By the name that a question gives."""
