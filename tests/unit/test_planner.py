"""The decision alone: sizes and costs in, a plan and its reason out."""

from __future__ import annotations

from pictograph.search.planner import Costs, plan, weigh

COSTS = Costs()
PLAIN = Costs(exact_up_to=0)
"""Weighs scopes of every size."""


def test_without_codes_every_scope_is_scanned() -> None:
    for size in (0, 1, 10_000_000):
        chosen = plan(size, 50, False, None, COSTS)
        assert (chosen.name, chosen.candidates, chosen.reason) == ("exact", 0, "no codes hold this scope")


def test_a_small_scope_is_scanned_and_a_large_one_goes_by_codes() -> None:
    sizes = [0, 100, 1000, 2000, 5000, 10_000, 100_000, 10_000_000]
    names = [plan(size, 200, False, size, COSTS).name for size in sizes]
    assert names == ["exact"] * 5 + ["codes"] * 3
    assert "soon scanned exactly" in plan(5000, 200, False, 5000, COSTS).reason


def test_the_crossover_rises_with_the_candidates_and_with_tags() -> None:
    def crossover(candidates: int, filtered: bool = False) -> int:
        sizes = range(0, 200_000, 100)
        return next(size for size in sizes if plan(size, candidates, filtered, size, PLAIN).name == "codes")

    assert crossover(200) < crossover(600) < crossover(4200) < 50_000
    assert crossover(200, filtered=True) > crossover(200)


def test_the_cheaper_option_is_the_plan_whatever_the_costs() -> None:
    for changed in ({}, {"exact_row_us": 0.1}, {"rerank_row_us": 100}, {"code_row_us": 2}):
        costs = Costs(**{"exact_up_to": 0, **changed})  # type: ignore[arg-type]
        for size in (10, 3000, 30_000, 300_000):
            for candidates in (102, 200, 4200):
                options = weigh(size, candidates, False, size, costs)
                chosen = plan(size, candidates, False, size, costs)
                assert chosen.estimated_ms == min(option.estimated_ms for option in options)
                assert chosen.name in {option.name for option in options}


def test_exact_is_exact_however_large_the_scope() -> None:
    chosen = plan(10_000_000, 200, False, 10_000_000, COSTS, exact=True)
    assert (chosen.name, chosen.reason) == ("exact", "an exact answer was asked for")


def test_all_codes_of_the_datasets_are_weighed_though_the_scope_is_a_folder() -> None:
    assert plan(9000, 200, False, 9000, COSTS).name == "codes"
    assert plan(9000, 200, False, 10_000_000, COSTS).name == "exact"


def test_the_reason_names_the_size_and_both_estimates() -> None:
    assert plan(100_000, 500, False, 100_000, COSTS).reason == (
        "100000 images: 8.6 ms are estimated for it, 110.3 ms for exact"
    )


def test_codes_are_no_option_where_all_images_would_be_candidates() -> None:
    free = Costs(rerank_row_us=0, code_row_us=0, statement_ms=0, exact_up_to=0)
    assert [option.name for option in weigh(500, 500, False, 500, free)] == ["exact"]
    assert plan(500, 500, False, 500, free).reason == "500 images are no more than codes would have to name"
    assert [option.name for option in weigh(501, 500, False, 501, free)] == ["exact", "codes"]


def test_tags_need_four_times_as_many_candidates() -> None:
    assert plan(100_000, 200, False, 100_000, COSTS).candidates == 200
    assert plan(100_000, 200, True, 100_000, COSTS).candidates == 800
