"""Images in the order of a fact: ties by id, what is not known last, pages that join even where all are ties."""

from __future__ import annotations

import math
from uuid import UUID

import numpy as np
import pytest

from pictograph.search.memory.ordering import in_order
from pictograph.search.memory.values import VALUES
from pictograph.search.orders import ORDERS
from pictograph.store.pages import At, cursor_at, read_at

RANDOM = np.random.default_rng(3)


def expected(ids: np.ndarray, values: np.ndarray, *, descending: bool) -> list[int]:
    def key(place: int) -> tuple[float, bytes]:
        value = float(values[place])
        return (math.inf if math.isnan(value) else -value if descending else value, ids[place].tobytes())

    return sorted(range(len(ids)), key=key)


@pytest.mark.parametrize("descending", [True, False])
@pytest.mark.parametrize("values", [
    RANDOM.random(500), RANDOM.integers(0, 3, 500).astype(float), np.full(500, np.nan), np.zeros(500),
    np.where(RANDOM.random(500) < 0.3, np.nan, RANDOM.integers(-2, 2, 500)), np.zeros(0),
])  # fmt: skip
def test_pages_join_to_the_whole_order(values: np.ndarray, descending: bool) -> None:
    ids = RANDOM.integers(0, 256, (len(values), 16), dtype=np.uint8)
    ids[: len(ids) // 2, :8] = 7  # ids of which only the second half differs
    whole = expected(ids, values, descending=descending)
    for limit in (1, 7, 499, 500, 1000):
        found: list[int] = []
        after: At | None = None
        while limit > 1 or len(found) < 30:
            page = in_order(ids, values, limit, after, descending=descending).tolist()
            found += page
            if len(page) < limit:
                break
            value = float(values[page[-1]])
            after = At(None if math.isnan(value) else value, UUID(bytes=ids[page[-1]].tobytes()))
        assert found == whole[: len(found)]
        assert len(found) >= min(30, len(whole))


def test_every_order_has_its_column_in_the_index_and_in_the_table() -> None:
    assert set(VALUES) == set(ORDERS)


@pytest.mark.parametrize("value", [None, 0.1 + 0.2, 1e16, -3.0, 1_761_999_999_123_456.0])
def test_a_cursor_keeps_the_value_to_the_last_bit(value: float | None) -> None:
    place = At(value, UUID(int=5))
    assert read_at(cursor_at(place, "q"), "q") == place
