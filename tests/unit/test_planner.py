"""The decision alone: what is known of a question in, a plan and its reason out."""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID

import numpy as np
import pytest

from pictograph.search.filter import Filter, Place
from pictograph.search.found import Likeness
from pictograph.search.planner import EXACT_UP_TO, plan_of
from pictograph.store.pages import Beyond
from pictograph.types import DIMENSION, DatasetId, SpaceId

ASK = Likeness(Filter(Place([DatasetId(UUID(int=1))])), SpaceId(1), np.zeros(DIMENSION, np.float32), 0.0, 50)


@pytest.mark.parametrize(
    ("meant", "name", "reason"),
    [
        (0, "exact", "the filter means only 0 images"),
        (1, "exact", "the filter means only 1 image"),
        (1500, "exact", "the filter means only 1,500 images"),
        (EXACT_UP_TO, "exact", "the filter means only 6,000 images"),
        (EXACT_UP_TO + 1, "quantized", "6,001 images: the quantized index names candidates, their vectors decide"),
        (10_000_000, "quantized", "10,000,000 images: the quantized index names candidates, their vectors decide"),
    ],
)
def test_few_images_are_compared_one_by_one_and_many_by_their_codes(meant: int, name: str, reason: str) -> None:
    plan = plan_of(ASK, meant, None)
    assert (plan.name, plan.reason) == (name, reason)


def test_without_an_index_the_database_answers_and_says_why() -> None:
    plan = plan_of(ASK, 10_000_000, "there is no index yet")
    assert (plan.name, plan.reason) == ("exact", "there is no index yet, so the database compared every vector")


def test_exact_is_a_promise() -> None:
    plan = plan_of(replace(ASK, exact=True), 10_000_000, None)
    assert (plan.name, plan.reason) == ("exact", "an exact answer was wanted")


def test_pages_after_the_first_are_exact() -> None:
    plan = plan_of(replace(ASK, beyond=Beyond(0.5, UUID(int=1))), 10_000_000, None)
    assert (plan.name, plan.reason) == ("exact", "pages after the first are compared exactly")
