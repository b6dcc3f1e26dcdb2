"""The check of real answers: measured against the truth, rarely, one at a time, and loud when it is bad."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace

import pytest

from pictograph.search import sampling
from pictograph.search.filter import Filter, Place
from pictograph.search.found import Found, Likeness, Plan, Steps
from pictograph.search.pipeline import Pipeline
from pictograph.search.sampling import RecallSampler
from support.planting import Garden, direction


async def answered(garden: Garden, missing: int = 0) -> tuple[Pipeline, Likeness, Found]:
    """The answer to a question about 20 images that an index would give which never names the best `missing`."""
    street = await garden.dataset()
    for number in range(20):
        await garden.plant(street, f"{number}.jpg", direction(0.99 - number * 0.03))
    pipeline = Pipeline(garden.database)
    ask = Likeness(Filter(Place([street.id])), garden.space, direction(1.0), 0.0, 4)
    truth = await pipeline.nearest(replace(ask, limit=4 + missing), Steps())
    return pipeline, ask, replace(truth, rows=truth.rows[missing:], plan=Plan("quantized", "it is a test"))


async def test_the_share_of_true_rows_is_reported(garden: Garden, caplog: pytest.LogCaptureFixture) -> None:
    pipeline, ask, found = await answered(garden, missing=1)
    reports: list[tuple[str, float]] = []
    sampler = RecallSampler(pipeline, 1, lambda plan, share: reports.append((plan, share)))
    with caplog.at_level(logging.WARNING):
        sampler.consider(ask, found)
        await sampler.settle()
    assert reports == [("quantized", 0.75)]
    assert "found 0.750 of the true rows" in caplog.text


async def test_a_good_answer_is_reported_without_a_word(garden: Garden, caplog: pytest.LogCaptureFixture) -> None:
    pipeline, ask, found = await answered(garden)
    reports: list[tuple[str, float]] = []
    sampler = RecallSampler(pipeline, 1, lambda plan, share: reports.append((plan, share)))
    sampler.consider(ask, found)
    await sampler.settle()
    assert reports == [("quantized", 1.0)]
    assert caplog.text == ""


async def test_exact_answers_are_not_checked_and_zero_checks_none(garden: Garden) -> None:
    pipeline, ask, found = await answered(garden)
    sampler = RecallSampler(pipeline, 1, lambda *_: pytest.fail("checked"))
    sampler.consider(ask, await pipeline.nearest(ask, Steps()))
    await sampler.settle()
    RecallSampler(pipeline, 0, lambda *_: pytest.fail("checked")).consider(ask, found)


async def test_after_a_check_the_next_waits_fifty_times_as_long(
    garden: Garden, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline, ask, found = await answered(garden)
    reports: list[float] = []
    sampler = RecallSampler(pipeline, 1, lambda _, share: reports.append(share))
    for _ in range(5):
        sampler.consider(ask, found)
    await sampler.settle()
    sampler.consider(ask, found)
    await sampler.settle()
    assert len(reports) == 1
    monkeypatch.setattr(sampling, "SHARE", 1e9)
    hurried = RecallSampler(pipeline, 1, lambda _, share: reports.append(share))
    for _ in range(3):
        hurried.consider(ask, found)
        await hurried.settle()
        await asyncio.sleep(0.001)
    assert len(reports) == 4
    await hurried.close()
