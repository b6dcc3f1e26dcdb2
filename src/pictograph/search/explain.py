"""Shows a decision: every way to answer one question, what each took, and what it found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from pictograph.search.asked_tags import TagNotes
from pictograph.search.found import Found, Likeness, Neighbour, Plan, PlanName, Steps, recall
from pictograph.search.pipeline import Pipeline


@dataclass(frozen=True, slots=True)
class Tried:
    """One way to answer, carried out."""

    plan: PlanName
    took_ms: float
    steps: dict[str, float]
    """Milliseconds of each step, in order."""
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
    """Milliseconds of what comes before any plan: reference or words, datasets."""
    tried: list[Tried]
    """The exact scan first; the plan that was chosen is among them."""
    notes: TagNotes = field(default_factory=TagNotes)
    """On the tags that were asked for besides."""


async def explain(pipeline: Pipeline, ask: Likeness, steps: Steps) -> Explanation:
    """Answers the question as it would be, then in every way. steps: of what was done before.

    Each way sees the library of its own moment: an image that comes meanwhile can look like one that was missed.
    """
    preparation = dict(steps.ms)
    chosen = await pipeline.nearest(ask, Steps())
    truth = await pipeline.nearest(replace(ask, exact=True), Steps())
    tried = [tried_as("exact", truth, truth.rows)]
    view = pipeline.view()
    if view is not None and view.covers(ask.space) and ask.beyond is None and not ask.exact:
        tried.append(tried_as("quantized", await pipeline.nearest(ask, Steps(), by="quantized"), truth.rows))
    return Explanation(chosen.plan, chosen.scope_size, ask.wanted.place.folder_path, preparation, tried)


def tried_as(name: PlanName, found: Found, truth: Sequence[Neighbour]) -> Tried:
    return Tried(
        name,
        found.steps.total_ms,
        dict(found.steps.ms),
        len(found.rows),
        found.scanned,
        found.complete,
        recall(found.rows, truth),
        found.plan.reason if found.plan.name != name else None,
    )
