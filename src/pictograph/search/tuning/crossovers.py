"""From which size of a scope on codes answer, under some costs. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from pictograph.index.candidates import QueryKind, over_fetch
from pictograph.search.planner import Costs, Terms, plan

LARGEST: Final = 10_000_000
STEP: Final = 1.02
CARRIED_BY_ONE_IN: Final = 10
KINDS: Final[tuple[QueryKind, ...]] = ("image", "text")


@dataclass(frozen=True, slots=True)
class Crossover:
    """One kind of question."""

    rows: int
    kind: QueryKind
    tags: bool
    """Whether tags are asked for that every tenth image carries."""
    size: int | None
    """Images in the smallest scope that codes answer, within 2 %; None if none up to ten million does."""


def crossovers(costs: Costs) -> list[Crossover]:
    """For 50 and 500 rows, pictures and words, without tags and with."""
    return [
        Crossover(rows, kind, tags, smallest_by_codes(costs, rows, kind, tags=tags))
        for tags in (False, True)
        for kind in KINDS
        for rows in (50, 500)
    ]


def smallest_by_codes(costs: Costs, rows: int, kind: QueryKind, *, tags: bool) -> int | None:
    """The smallest scope, alone in its codes, for which the planner chooses them."""
    for size in sizes():
        carriers = size // CARRIED_BY_ONE_IN if tags else None
        terms = Terms(size, rows, over_fetch(rows, kind), kind, size, filtered=tags, carriers=carriers)
        if plan(terms, costs).name == "codes":
            return size
    return None


def sizes() -> Iterator[int]:
    size = 100
    while size <= LARGEST:
        yield size
        size = int(size * STEP) + 1
