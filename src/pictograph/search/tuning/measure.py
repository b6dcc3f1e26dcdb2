"""Times every step of a search, as it is carried out for real, in scopes of several sizes."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from pictograph.db.pool import Database
from pictograph.index.candidates import QueryKind, over_fetch
from pictograph.index.codes import Codes
from pictograph.index.nearest import Scope, as_stored
from pictograph.index.ranked import nearest_by_codes
from pictograph.index.tagged import TagFilter
from pictograph.search.execute import Ask, CodeSearch, Executor, Steps
from pictograph.search.planner import Plan, Terms
from pictograph.search.tuning.fit import StepName, Timing
from pictograph.search.tuning.library import TAG, TrialLibrary, TrialScope, make_library

Report = Callable[[float], None]
"""Told the share of the work that is done."""

LOADED: Final = 0.4
CODED: Final = 0.6
LEAST_ROUNDS: Final = 5
UNDISTURBED: Final = 0.1
"""The quantile of a step's times that counts: what else the machine does makes some longer, none shorter."""
STEPS_OF: Final[dict[str, StepName]] = {"candidates": "codes", "rerank": "rerank"}


@dataclass(frozen=True, slots=True)
class Trial:
    """One question that is asked in every round."""

    scope: TrialScope
    terms: Terms
    by: Plan


async def measure(database: Database, images: int, seconds: float, report: Report) -> list[Timing]:
    """Fills an empty database with that many images and asks it for that long; what each step took.

    seconds: for the questions alone; the library takes about half a second for a thousand images.
    """
    library = await make_library(database, images, lambda done: report(LOADED * done))
    codes = Codes(database)
    try:
        await codes.refresh()
        report(CODED)
        executor = Executor(database, CodeSearch(codes, nearest_by_codes, over_fetch))
        return await ask_in_rounds(executor, library, seconds, lambda done: report(CODED + (1 - CODED) * done))
    finally:
        await codes.close()


async def ask_in_rounds(executor: Executor, library: TrialLibrary, seconds: float, report: Report) -> list[Timing]:
    """All trials one after the other, again and again, so that a slow moment meets all of them alike."""
    took: defaultdict[tuple[StepName, Terms], list[float]] = defaultdict(list)
    started, rounds = time.monotonic(), 0
    while rounds < LEAST_ROUNDS or time.monotonic() - started < seconds:
        for trial in trials(library):
            for step, ms in (await asked(executor, library, trial, rounds)).items():
                took[step, trial.terms].append(ms)
        rounds += 1
        report(min(1.0, (time.monotonic() - started) / seconds))
    return [Timing(step, terms, float(np.quantile(times, UNDISTURBED))) for (step, terms), times in took.items()]


def trials(library: TrialLibrary) -> Iterator[Trial]:
    """Every step, in every scope where the planner might weigh it."""
    whole = library.scopes[-1]
    kinds: tuple[QueryKind, ...] = ("image", "text")
    for scope in library.scopes:
        for rows in (50, 500):
            terms = Terms(scope.size, rows, codes_rows=whole.size)
            if rows <= scope.size:
                yield Trial(scope, terms, Plan("exact", "", 0, scope.size))
            for kind in kinds:
                candidates = over_fetch(rows, kind)
                if candidates < scope.size:
                    by = Plan("codes", "", 0, scope.size, candidates)
                    yield Trial(scope, replace(terms, candidates=candidates, kind=kind), by)
    for rows in (50, 500):  # in smaller scopes so few carry the tag that only those are compared
        yield Trial(whole, Terms(whole.size, rows, filtered=True), Plan("exact", "", 0, whole.size))


async def asked(executor: Executor, library: TrialLibrary, trial: Trial, number: int) -> dict[StepName, float]:
    """Milliseconds of each step of one question."""
    ask = Ask(
        Scope(library.space_id, [library.dataset], trial.scope.folder_path),
        as_stored(library.questions[number % len(library.questions)]),
        threshold=0.0,
        limit=trial.terms.rows,
        kind=trial.terms.kind,
        tags=TagFilter({"objects": [TAG]}) if trial.terms.filtered else TagFilter(),
    )
    where = await executor.survey(ask, Steps())
    found = await executor.carry_out(ask, trial.by, where, Steps())
    if found.plan.name != trial.by.name:  # the codes fell short, and the time says nothing of them
        return {}
    scan: StepName = "exact, tags" if trial.terms.filtered else "exact"
    return {STEPS_OF.get(step, scan): ms for step, ms in found.steps.ms.items()}
