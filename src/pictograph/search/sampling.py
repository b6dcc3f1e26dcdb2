"""Measures, on real questions, how much of the truth the quantized index finds: a few answers are repeated exactly."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from pictograph.errors import PictographError
from pictograph.search.found import Found, Likeness, PlanName, Steps, recall
from pictograph.search.pipeline import Pipeline

logger = logging.getLogger(__name__)

SHARE: Final = 0.02
"""Checks take at most this share of the time: after one, the next waits fifty times as long as it took."""
LEAST_RECALL: Final = 0.99
"""Below this, the log says so."""


class RecallSampler:
    """Checks one in `one_in` answers that are not exact; 0 checks none. One at a time, in the background."""

    def __init__(self, pipeline: Pipeline, one_in: int, report: Callable[[PlanName, float], None]) -> None:
        """report: takes the plan and the share of the true rows that it found."""
        self._pipeline = pipeline
        self._one_in = one_in
        self._report = report
        self._task: asyncio.Task[None] | None = None
        self._not_before = 0.0

    def consider(self, ask: Likeness, found: Found) -> None:
        """Begins a check of this answer, if it is one to be checked."""
        if found.exact or not self._one_in or random.random() * self._one_in >= 1:
            return
        if (self._task is None or self._task.done()) and asyncio.get_running_loop().time() >= self._not_before:
            self._task = asyncio.create_task(self._check(ask, found))

    async def settle(self) -> None:
        """Waits for a check that runs."""
        if self._task:
            await asyncio.wait([self._task])

    async def close(self) -> None:
        """Ends a check that runs."""
        if self._task:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def _check(self, ask: Likeness, found: Found) -> None:
        steps = Steps()
        try:
            truth = await self._pipeline.nearest(replace(ask, exact=True), steps)
        except PictographError as error:
            logger.info("An answer could not be checked: %s", error)
            return
        finally:
            self._not_before = asyncio.get_running_loop().time() + steps.total_ms / 1000 / SHARE
        share = recall(found.rows, truth.rows)
        self._report(found.plan.name, share)
        if share < LEAST_RECALL:
            logger.warning(
                "A search by %s found %.3f of the true rows (%d wanted, %d images in scope)",
                found.plan.name, share, ask.limit, truth.scope_size,
            )  # fmt: skip
