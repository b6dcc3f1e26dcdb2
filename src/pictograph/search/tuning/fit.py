"""Timings of steps -> the costs under which the planner's own formulas give them. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Final, Literal, TypeAlias

import numpy as np

from pictograph.errors import ConfigurationError
from pictograph.search.planner import Costs, Terms, candidates_ms, exact_ms, rerank_ms

StepName: TypeAlias = Literal["exact", "exact, tags", "codes", "rerank"]

POLICY: Final = "exact_up_to"
"""The one field that is not measured, but follows."""
MEASURED: Final = tuple(item.name for item in fields(Costs) if item.name != POLICY)
VAGUE: Final = 0.1
"""Weight of a default beside one timing."""
SOON_MS: Final = 3.0
"""A scope whose exact scan takes no longer, with 50 rows, is scanned: the truth is worth that."""
SOON_LEAST: Final = 500
SOON_MOST: Final = 20_000
SANE: Final = (0.05, 50.0)
"""How many times its default a cost may be; beyond, the measurement is believed to be wrong."""


@dataclass(frozen=True, slots=True)
class Timing:
    """How long one step took, for a question with these terms."""

    step: StepName
    terms: Terms
    ms: float


@dataclass(frozen=True, slots=True)
class Checked:
    """A timing, and what the costs say it takes."""

    timing: Timing
    estimated_ms: float

    @property
    def ratio(self) -> float:
        """Estimated to measured."""
        return self.estimated_ms / self.timing.ms


def fit(timings: Sequence[Timing]) -> Costs:
    """The costs whose estimates are nearest to all timings, by their squared relative error.

    Relative, because a decision between 2 and 3 ms matters as much as one between 20 and 30. Each default counts as
    one vague observation more (ridge regression), so that a cost that hardly shows in the timings is not made up from
    their noise. Raises ConfigurationError if they are not enough to tell all costs apart.
    """
    matrix = np.array([[share(timing, name) / timing.ms for name in MEASURED] for timing in timings])
    if len(timings) < len(MEASURED) or np.linalg.matrix_rank(matrix) < len(MEASURED):
        raise ConfigurationError("Too little was measured to tell the costs apart: use more --images.")
    defaults = asdict(Costs())
    vague = np.diag([VAGUE / defaults[name] for name in MEASURED])
    wanted = np.concatenate([np.ones(len(timings)), np.full(len(MEASURED), VAGUE)])
    found, *_ = np.linalg.lstsq(np.vstack([matrix, vague]), wanted, rcond=None)
    costs = Costs(**dict(zip(MEASURED, map(float, found), strict=True)), exact_up_to=0)
    return replace(costs, exact_up_to=soon_scanned(costs))


def share(timing: Timing, name: str) -> float:
    """How often the planner's formula for this step counts that cost: the formulas are linear in each."""
    one = Costs(**(dict.fromkeys(MEASURED, 0.0) | {name: 1.0}), exact_up_to=0)
    return estimate(timing, one)


def estimate(timing: Timing, costs: Costs) -> float:
    """Milliseconds that the planner expects of the step."""
    formulas: dict[StepName, Callable[[], float]] = {
        "exact": lambda: exact_ms(timing.terms, costs),
        "exact, tags": lambda: exact_ms(timing.terms, costs),
        "codes": lambda: candidates_ms(timing.terms, timing.terms.candidates, costs),
        "rerank": lambda: rerank_ms(timing.terms, timing.terms.candidates, costs),
    }
    return formulas[timing.step]()


def soon_scanned(costs: Costs) -> int:
    """`exact_up_to`: how many images an exact scan of `SOON_MS` has, between 500 and 20,000; in whole hundreds."""
    rows_us = 1000 * (SOON_MS - costs.statement_ms) - 50 * costs.row_us
    images = rows_us / costs.exact_row_us if costs.exact_row_us > 0 else SOON_LEAST
    return int(min(max(images, SOON_LEAST), SOON_MOST)) // 100 * 100


def require_sane(costs: Costs) -> None:
    """Raises ConfigurationError that names every cost which no machine has."""
    defaults = asdict(Costs())
    least, most = SANE
    wrong = [
        f"{name} {value:.3g} (default {defaults[name]:g})"
        for name, value in asdict(costs).items()
        if not least <= value / defaults[name] <= most  # NaN is wrong too
    ]
    if wrong:
        raise ConfigurationError(
            f"These costs cannot be right: {', '.join(wrong)}. Nothing was stored. Probably the machine was busy with "
            "something else: run `pictograph tune` again when it is quieter."
        )


def checked(timings: Sequence[Timing], costs: Costs) -> list[Checked]:
    """Each timing beside its estimate."""
    return [Checked(timing, estimate(timing, costs)) for timing in timings]
