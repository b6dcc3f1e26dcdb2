"""Decides how a question is answered, from sizes and costs alone: pure, so that every decision can be repeated."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

PlanName: TypeAlias = Literal["exact", "codes"]
"""`exact`: every vector of the scope is compared, in SQL. `codes`: every short code of the scope is compared, in
memory, and the best of them again by their vectors."""


@dataclass(frozen=True, slots=True)
class Costs:
    """What the steps take on one machine: `pictograph tune` measures them; the defaults are of 2 cores (docs/search.md)."""

    statement_ms: float = 0.6
    """One statement that finds and gives 50 rows, there and back, with nothing to compare."""
    exact_row_us: float = 1.0
    """One vector of the scope, read and compared in SQL."""
    filter_row_us: float = 0.7
    """One image of the scope, its tags looked at."""
    codes_ms: float = 0.8
    """One question to the codes, with nothing to compare."""
    code_row_us: float = 0.022
    """One coarse code of the scope, compared in memory."""
    refine_row_us: float = 0.6
    """One code of the shortlist, its fine code compared in memory."""
    rerank_row_us: float = 5.0
    """One candidate, its vector looked up by id and compared in SQL: as much as five rows of an exact scan."""
    exact_up_to: int = 2000
    """Scopes of so many images are scanned exactly even if codes would be a little faster: a ms buys the truth."""


@dataclass(frozen=True, slots=True)
class Option:
    """One way to answer."""

    name: PlanName
    estimated_ms: float
    depth: Depth = NO_CODES
    """How much the codes are asked for."""


@dataclass(frozen=True, slots=True)
class Plan:
    """The way that was chosen."""

    name: PlanName
    reason: str
    """For people, one sentence."""
    estimated_ms: float
    size: int
    """Images in the scope when it was chosen."""
    depth: Depth = NO_CODES
    """How much the codes are asked for."""


def plan(
    size: int, candidates: int, filtered: bool, codes_rows: int | None, costs: Costs, *, exact: bool = False
) -> Plan:
    """The cheapest way to answer.

    size: images in the scope. candidates: how many of them codes must name so that the rows asked for are among them.
    filtered: tags are asked for too. codes_rows: codes that would be compared, None if there are none of this scope.
    exact: only an exact answer will do.
    """
    options = weigh(size, candidates, filtered, codes_rows, costs)
    if exact:
        return chosen(options[0], size, "an exact answer was asked for")
    if codes_rows is None:
        return chosen(options[0], size, "no codes hold this scope")
    if size <= costs.exact_up_to:
        return chosen(options[0], size, f"{size} images are soon scanned exactly")
    if len(options) == 1:
        return chosen(options[0], size, f"{size} images are no more than codes would have to name")
    best, other = sorted(options, key=lambda option: option.estimated_ms)
    why = f"{best.estimated_ms:.1f} ms are estimated for it, {other.estimated_ms:.1f} ms for {other.name}"
    return chosen(best, size, f"{size} images: {why}")


def weigh(size: int, candidates: int, filtered: bool, codes_rows: int | None, costs: Costs) -> Sequence[Option]:
    """Every way that is open, `exact` first; arguments as for `plan`."""
    row_us = costs.exact_row_us + (costs.filter_row_us if filtered else 0)
    options = [Option("exact", costs.statement_ms + size * row_us / 1000)]
    candidates *= costs.filtered_overfetch if filtered else 1
    if codes_rows is not None and candidates < size:
        compared_us = codes_rows * costs.code_row_us + candidates * costs.rerank_row_us
        options.append(Option("codes", 2 * costs.statement_ms + compared_us / 1000, candidates))
    return options


def chosen(option: Option, size: int, reason: str) -> Plan:
    """The option as a plan."""
    return Plan(option.name, reason, option.estimated_ms, size, option.candidates)
