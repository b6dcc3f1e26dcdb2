"""Shows a decision: every way to answer one question, what each was estimated to take, took, and found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from pictograph.index.nearest import Neighbour
from pictograph.search.asked_tags import TagNotes
from pictograph.search.execute import Ask, Executor, Found, Steps
from pictograph.search.planner import Option, Plan, PlanName, chosen

SAME: Final = 1e-6
"""Similarities closer than this are equal: they came from the same vectors."""


@dataclass(frozen=True, slots=True)
class Tried:
    """One way to answer, carried out."""

    plan: PlanName
    estimated_ms: float
    took_ms: float
    steps: dict[str, float]
    """Milliseconds of each step, in order; rows are fetched within `scan` and `rerank`."""
    rows: int
    scanned: int
    complete: bool
    recall: float
    """Share of the true nearest rows that it found; 1.0 where there are none."""
    fell_back: str | None
    """Why it ended as an exact scan, if it did."""


@dataclass(frozen=True, slots=True)
class Explanation:
    """What was decided, and what every way gives."""

    plan: Plan
    scope_size: int
    folder_path: str
    preparation: dict[str, float]
    """Milliseconds of what comes before any plan: reference or words, datasets, the count of the scope."""
    tried: list[Tried]
    """The exact scan first; the plan that was chosen is among them."""
    notes: TagNotes = field(default_factory=TagNotes)
    """On the tags that were asked for besides."""


async def explain(executor: Executor, ask: Ask, steps: Steps) -> Explanation:
    """Plans the question, then answers it in every way. steps: of what was done before.

    Each way sees the library of its own moment: an image that comes meanwhile can look like one that was missed.
    """
    where = await executor.survey(ask, steps)
    size = where.place.size
    truth: list[Neighbour] | None = None
    tried = []
    for option in executor.options(ask, where):
        found = await executor.carry_out(ask, chosen(option, size, "it is explained"), where, Steps())
        truth = found.rows if truth is None else truth
        tried.append(tried_as(option, found, recall(found.rows, truth)))
    return Explanation(executor.plan_of(ask, where), size, ask.scope.folder_path, dict(steps.ms), tried)


def tried_as(option: Option, found: Found, share: float) -> Tried:
    return Tried(
        option.name,
        option.estimated_ms,
        found.steps.total_ms,
        dict(found.steps.ms),
        len(found.rows),
        found.scanned,
        found.complete,
        share,
        found.plan.reason if found.plan.name != option.name else None,
    )


def recall(rows: Sequence[Neighbour], truth: Sequence[Neighbour]) -> float:
    """Share of the true rows found; a row as similar as the last true one counts, for any of those is right."""
    if not truth:
        return 1.0
    true_ids, least = {row.id for row in truth}, truth[-1].similarity
    right = sum(row.id in true_ids or row.similarity >= least - SAME for row in rows)
    return min(1.0, right / len(truth))
