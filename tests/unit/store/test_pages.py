"""Cursors: opaque, exact, bound to their question, and never believed before they are checked."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from pictograph.errors import ValidationError
from pictograph.store.pages import (
    MAX_CURSOR,
    VERSION,
    After,
    Beyond,
    cursor_after,
    cursor_beyond,
    page_of,
    question_key,
    read_after,
    read_beyond,
)

IMAGE = UUID("01a22321-6674-73c9-9c36-0f10520555c4")
QUESTION = question_key("images", "street", None)
MOMENT = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)


def forged(*parts: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(parts).encode()).decode().rstrip("=")


def test_a_cursor_is_safe_in_an_address_and_exact_to_the_microsecond() -> None:
    cursor = cursor_after(After(MOMENT, IMAGE), QUESTION)
    assert cursor.replace("-", "").replace("_", "").isalnum()
    assert len(cursor) < MAX_CURSOR / 2
    assert read_after(cursor, QUESTION) == After(MOMENT, IMAGE)


@pytest.mark.parametrize("distance", [0.0, 1.0, 0.1 + 0.2, 5e-324, 1.9999999999999998])
def test_a_distance_comes_back_to_the_last_bit(distance: float) -> None:
    assert read_beyond(cursor_beyond(Beyond(distance, IMAGE), QUESTION), QUESTION) == Beyond(distance, IMAGE)


def test_a_question_has_one_key_and_every_other_one_another() -> None:
    questions: list[tuple[Any, ...]] = [("a",), ("b",), ("a", None), ("a", ""), ("ab",), ("a", "b"), (["a", "b"],)]
    assert len({question_key(*question) for question in questions}) == len(questions)
    assert question_key("x", {"b": 1, "a": 2}) == question_key("x", {"a": 2, "b": 1})


def test_a_cursor_of_another_question_is_refused_and_says_so() -> None:
    cursor = cursor_after(After(MOMENT, IMAGE), question_key("images", "avenue", None))
    with pytest.raises(ValidationError, match="belongs to another question") as caught:
        read_after(cursor, QUESTION)
    assert caught.value.field_errors[0]["loc"] == ["cursor"]


@pytest.mark.parametrize(
    "cursor",
    [
        "", "x", "e30", "bnVsbA", "WzEsMl0", "W10", "WyJhIiwiYiJd", "ü", "A" * 999, "\x00", "====", "a b",
        forged("2026-01-01T00:00:00", str(IMAGE)),  # as the first version made them
        forged(VERSION, QUESTION, "2026-01-01T00:00:00", str(IMAGE)),
        forged(VERSION, QUESTION, 10**18, str(IMAGE)),
        forged(VERSION, QUESTION, -(10**18), str(IMAGE)),
        forged(VERSION, QUESTION, 1.5, str(IMAGE)),
        forged(VERSION, QUESTION, True, str(IMAGE)),
        forged(VERSION, QUESTION, None, str(IMAGE)),
        forged(VERSION, QUESTION, 0, "no id"),
        forged(VERSION, QUESTION, 0, 7),
        forged(VERSION, QUESTION, 0),
        forged(True, QUESTION, 0, str(IMAGE)),
        forged(VERSION + 1, QUESTION, 0, str(IMAGE)),
        forged(*([[]] * 4)),
    ],
)  # fmt: skip
def test_a_cursor_that_is_not_ours_is_a_wrong_value(cursor: str) -> None:
    with pytest.raises(ValidationError) as caught:
        read_after(cursor, QUESTION)
    assert caught.value.field_errors[0]["loc"] == ["cursor"]


@pytest.mark.parametrize("order", [0, "0.5", float("nan"), float("inf"), True, None])
def test_a_distance_that_is_none_is_a_wrong_value(order: Any) -> None:
    with pytest.raises(ValidationError):
        read_beyond(forged(VERSION, QUESTION, order, str(IMAGE)), QUESTION)


def test_a_page_knows_its_last_row_only_if_others_follow() -> None:
    assert page_of([1, 2, 3], 2) == ([1, 2], 2)
    assert page_of([1, 2], 2) == ([1, 2], None)
    assert page_of([], 2) == ([], None)
