"""The decision alone: sizes and costs in, a plan and its reason out."""

from __future__ import annotations

import pytest

from pictograph.search.planner import Costs, candidates_for, plan, weigh

COSTS = Costs()


def test_without_codes_every_scope_is_scanned() -> None:
    for size in (0, 1, 10_000_000):
        chosen = plan(size, 50, False, None, COSTS)
        assert (chosen.name, chosen.candidates, chosen.reason) == ("exact", 0, "no codes hold this scope")


def test_a_small_scope_is_scanned_and_a_large_one_goes_by_codes() -> None:
    sizes = [0, 100, 1000, 2000, 5000, 10_000, 100_000, 10_000_000]
    names = [plan(size, 50, False, size, COSTS).name for size in sizes]
    assert names == ["exact"] * 4 + ["codes"] * 4


def test_the_crossover_rises_with_the_rows_asked_for() -> None:
    def crossover(limit: int) -> int:
        return next(size for size in range(0, 100_000, 100) if plan(size, limit, False, size, COSTS).name == "codes")

    assert crossover(1) == crossover(50) < crossover(200) < crossover(500) < 50_000


def test_the_cheaper_option_is_the_plan_whatever_the_costs() -> None:
    for costs in (COSTS, Costs(exact_row_us=0.1), Costs(rerank_row_us=100), Costs(code_row_us=2)):
        for size in (10, 3000, 30_000, 300_000):
            for limit in (1, 50, 500):
                options = weigh(size, limit, False, size, costs)
                chosen = plan(size, limit, False, size, costs)
                assert chosen.estimated_ms == min(option.estimated_ms for option in options)
                assert chosen.name in {option.name for option in options}


def test_exact_is_exact_however_large_the_scope() -> None:
    chosen = plan(10_000_000, 50, False, 10_000_000, COSTS, exact=True)
    assert (chosen.name, chosen.reason) == ("exact", "an exact answer was asked for")


def test_the_reason_names_the_size_and_both_estimates() -> None:
    assert plan(100_000, 50, False, 100_000, COSTS).reason == (
        "100000 images: 6.8 ms are estimated for it, 110.3 ms for exact"
    )


def test_codes_are_no_option_where_all_images_would_be_candidates() -> None:
    free = Costs(rerank_row_us=0, code_row_us=0, statement_ms=0)
    assert [option.name for option in weigh(500, 50, False, 500, free)] == ["exact"]
    assert [option.name for option in weigh(501, 50, False, 501, free)] == ["exact", "codes"]


@pytest.mark.parametrize(("limit", "filtered", "wanted"), [(1, False, 500), (50, False, 500), (500, False, 5000)])
def test_more_rows_need_more_candidates_and_tags_four_times_as_many(limit: int, filtered: bool, wanted: int) -> None:
    assert candidates_for(limit, filtered, COSTS) == wanted
    assert candidates_for(limit, True, COSTS) == 4 * wanted
