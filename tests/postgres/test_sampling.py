"""The check of real answers: measured against the truth, rarely, one at a time, and loud when it is bad."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from pictograph.index.nearest import Scope, as_stored
from pictograph.search import sampling
from pictograph.search.execute import Ask, CodeSearch, Executor, Found, Steps
from pictograph.search.planner import Costs
from pictograph.search.sampling import RecallSampler
from pictograph.types import ImageId
from support.codes import FakeCodes, rerank, twice
from support.planting import Garden, direction

CHEAP_CODES = Costs(exact_row_us=1000, rerank_row_us=0, code_row_us=0, exact_up_to=0)


async def answered(garden: Garden, missing: int = 0, **options: Any) -> tuple[Executor, Ask, Found]:
    """An answer by codes to a question about 20 images, of which codes never name the best `missing`."""
    street = await garden.dataset()
    planted = [await garden.plant(street, f"{n}.jpg", direction(0.99 - n * 0.03)) for n in range(20)]
    lost: set[ImageId] = set(planted[:missing])
    executor = Executor(
        garden.database, CodeSearch(FakeCodes(garden.database, missing=lost), rerank, twice), CHEAP_CODES
    )
    ask = Ask(Scope(garden.space, [street.id]), as_stored(direction(1.0)), 0.0, 4, **options)
    return executor, ask, await executor.find(ask, Steps())


async def test_the_share_of_true_rows_is_reported(garden: Garden, caplog: pytest.LogCaptureFixture) -> None:
    executor, ask, found = await answered(garden, missing=1)
    reports: list[tuple[str, float]] = []
    sampler = RecallSampler(executor, 1, lambda plan, share: reports.append((plan, share)))
    with caplog.at_level(logging.WARNING):
        sampler.consider(ask, found)
        await sampler.settle()
    assert reports == [("codes", 0.75)]
    assert "found 0.750 of the true rows" in caplog.text


async def test_a_good_answer_is_reported_without_a_word(garden: Garden, caplog: pytest.LogCaptureFixture) -> None:
    executor, ask, found = await answered(garden)
    reports: list[tuple[str, float]] = []
    sampler = RecallSampler(executor, 1, lambda plan, share: reports.append((plan, share)))
    sampler.consider(ask, found)
    await sampler.settle()
    assert reports == [("codes", 1.0)]
    assert caplog.text == ""


async def test_exact_answers_are_not_checked_and_zero_checks_none(garden: Garden) -> None:
    executor, ask, found = await answered(garden, exact=True)
    sampler = RecallSampler(executor, 1, lambda *_: pytest.fail("checked"))
    assert found.exact
    sampler.consider(ask, found)
    await sampler.settle()
    by_codes = await executor.find(Ask(ask.scope, ask.vector, 0.0, 4), Steps())
    assert not by_codes.exact
    RecallSampler(executor, 0, lambda *_: pytest.fail("checked")).consider(ask, by_codes)


async def test_after_a_check_the_next_waits_fifty_times_as_long(
    garden: Garden, monkeypatch: pytest.MonkeyPatch
) -> None:
    executor, ask, found = await answered(garden)
    reports: list[float] = []
    sampler = RecallSampler(executor, 1, lambda _, share: reports.append(share))
    for _ in range(5):
        sampler.consider(ask, found)
    await sampler.settle()
    sampler.consider(ask, found)
    await sampler.settle()
    assert len(reports) == 1
    monkeypatch.setattr(sampling, "SHARE", 1e9)
    hurried = RecallSampler(executor, 1, lambda _, share: reports.append(share))
    for _ in range(3):
        hurried.consider(ask, found)
        await hurried.settle()
        await asyncio.sleep(0.001)
    assert len(reports) == 4
    await hurried.close()
