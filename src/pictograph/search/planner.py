"""Decides how a question is answered, from sizes and costs alone: pure, so that every decision can be repeated."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from pictograph.index.candidates import QueryKind, shortlist

PlanName: TypeAlias = Literal["exact", "codes"]
"""`exact`: every vector of the scope is compared, in SQL; of images with tags, those that carry them. `codes`: every
short code of the scope is compared, in memory, and the best of them again by their vectors."""

FILTERED_OVERFETCH: Final = 4
"""How many times as many candidates where tags strike out nobody knows how many."""
SPREAD: Final = 1.5
"""Images that carry the tags may be rarer near the reference than in the whole scope."""


@dataclass(frozen=True, slots=True)
class Costs:
    """What the steps of a search take, measured on two shared cores. Fixed: docs/decisions/0008-planner-costs.md."""

    statement_ms: float = 0.55
    """One statement, there and back, with nothing to compare and no rows."""
    row_us: float = 7.0
    """One row of the answer, looked up and read."""
    exact_row_us: float = 1.15
    """One vector of the scope, read and compared in SQL."""
    filter_row_us: float = 0.5
    """One image of the scope, its tags looked at."""
    codes_ms: float = 1.2
    """One question to the codes, with nothing to compare."""
    code_row_us: float = 0.022
    """One coarse code of the scope, compared in memory; a tenth of it for one outside, passed over."""
    refine_row_us: float = 0.65
    """One image of the shortlist, its fine code compared in memory."""
    rerank_row_us: float = 5.5
    """One candidate, its vector looked up by id and compared in SQL: as much as five rows of an exact scan."""
    exact_up_to: int = 2000
    """Scopes of so many images are scanned exactly even if codes would be a little faster: a ms buys the truth."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What a plan depends on."""

    size: int
    """Images in the scope."""
    rows: int = 0
    """How many are asked for."""
    candidates: int = 0
    """How many images codes must name so that the rows asked for are among them."""
    kind: QueryKind = "image"
    codes_rows: int | None = None
    """Codes of the scope's datasets; None if there are none."""
    filtered: bool = False
    """Tags are asked for too."""
    carriers: int | None = None
    """Images of the scope that carry them, where that is known."""


@dataclass(frozen=True, slots=True)
class Option:
    """One way to answer."""

    name: PlanName
    estimated_ms: float
    candidates: int = 0
    """How many the codes are asked for; 0 where every image is compared anyway."""


@dataclass(frozen=True, slots=True)
class Plan:
    """The way that was chosen."""

    name: PlanName
    reason: str
    """For people, one sentence."""
    estimated_ms: float
    size: int
    """Images in the scope when it was chosen."""
    candidates: int = 0


def plan(terms: Terms, costs: Costs, *, exact: bool = False) -> Plan:
    """The cheapest way to answer. exact: only an exact answer will do."""
    size = terms.size
    options = weigh(terms, costs)
    if exact:
        return chosen(options[0], size, "an exact answer was asked for")
    if terms.codes_rows is None:
        return chosen(options[0], size, "no codes hold this scope")
    if size <= costs.exact_up_to:
        return chosen(options[0], size, f"{size} images are soon scanned exactly")
    if len(options) == 1:
        return chosen(options[0], size, f"{size} images are no more than codes would have to name")
    best, other = sorted(options, key=lambda option: option.estimated_ms)
    carried = f", {terms.carriers} with these tags" if terms.carriers is not None else ""
    why = f"{best.estimated_ms:.1f} ms are estimated for it, {other.estimated_ms:.1f} ms for {other.name}"
    return chosen(best, size, f"{size} images{carried}: {why}")


def weigh(terms: Terms, costs: Costs) -> Sequence[Option]:
    """Every way that is open, `exact` first."""
    options = [Option("exact", exact_ms(terms, costs))]
    candidates = candidates_of(terms)
    if terms.codes_rows is not None and candidates < terms.size:
        options.append(Option("codes", codes_ms(terms, candidates, costs), candidates))
    return options


def exact_ms(terms: Terms, costs: Costs) -> float:
    """What comparing every vector takes, or, where few carry the tags, finding them and comparing theirs."""
    scan_us = terms.size * (costs.exact_row_us + (costs.filter_row_us if terms.filtered else 0))
    if terms.carriers is not None:
        scan_us = min(scan_us, terms.carriers * costs.rerank_row_us)
    return costs.statement_ms + (scan_us + terms.rows * costs.row_us) / 1000


def codes_ms(terms: Terms, candidates: int, costs: Costs) -> float:
    """What finding that many candidates takes, then comparing their vectors."""
    return candidates_ms(terms, candidates, costs) + rerank_ms(terms, candidates, costs)


def candidates_ms(terms: Terms, candidates: int, costs: Costs) -> float:
    """What comparing every code takes, then the shortlist's fine codes."""
    refined = min(shortlist(candidates, terms.kind), terms.size)
    passed_over = max(0, (terms.codes_rows or 0) - terms.size)
    compared_us = (terms.size + passed_over / 10) * costs.code_row_us + refined * costs.refine_row_us
    return costs.codes_ms + compared_us / 1000


def rerank_ms(terms: Terms, candidates: int, costs: Costs) -> float:
    """What comparing the candidates' vectors takes."""
    return costs.statement_ms + (candidates * costs.rerank_row_us + terms.rows * costs.row_us) / 1000


def candidates_of(terms: Terms) -> int:
    """How many images codes must name so that enough of them carry the tags."""
    if not terms.filtered:
        return terms.candidates
    if terms.carriers is None:
        return terms.candidates * FILTERED_OVERFETCH
    return math.ceil(terms.candidates * max(1.0, SPREAD * terms.size / max(terms.carriers, 1)))


def chosen(option: Option, size: int, reason: str) -> Plan:
    """The option as a plan."""
    return Plan(option.name, reason, option.estimated_ms, size, option.candidates)
