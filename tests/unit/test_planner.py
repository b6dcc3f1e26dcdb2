"""The decision alone: sizes and costs in, a plan and its reason out."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from benchmarks.planning import MACHINES, questions, regret_ms

from pictograph.search.planner import Costs, Terms, plan, weigh

COSTS = Costs()
PLAIN = Costs(exact_up_to=0)
"""Weighs scopes of every size."""


def terms(size: int, candidates: int = 125, **options: Any) -> Terms:
    """A scope that codes hold alone, unless `codes_rows` says otherwise."""
    return Terms(size, 50, candidates, **({"codes_rows": size} | options))


def test_without_codes_every_scope_is_scanned() -> None:
    for size in (0, 1, 10_000_000):
        chosen = plan(terms(size, codes_rows=None), COSTS)
        assert (chosen.name, chosen.candidates, chosen.reason) == ("exact", 0, "no codes hold this scope")


def test_a_small_scope_is_scanned_and_a_large_one_goes_by_codes() -> None:
    sizes = [0, 100, 1000, 2000, 5000, 10_000, 100_000, 10_000_000]
    names = [plan(terms(size), COSTS).name for size in sizes]
    assert names == ["exact"] * 4 + ["codes"] * 4
    assert "soon scanned exactly" in plan(terms(2000), COSTS).reason


def crossover(candidates: int, **options: Any) -> int:
    sizes = range(0, 200_000, 100)
    return next(size for size in sizes if plan(terms(size, candidates, **options), PLAIN).name == "codes")


def test_the_crossover_rises_with_the_candidates_with_words_and_with_tags() -> None:
    assert crossover(125) < crossover(300) < crossover(1050) < 50_000
    assert crossover(125, kind="text") > crossover(125)
    assert crossover(125, filtered=True) > crossover(125)


def test_the_cheaper_option_is_the_plan_whatever_the_costs() -> None:
    for changed in ({}, {"exact_row_us": 0.1}, {"rerank_row_us": 100}, {"code_row_us": 2}, {"refine_row_us": 50}):
        costs = replace(PLAIN, **changed)
        for size in (10, 3000, 30_000, 300_000):
            for candidates in (102, 200, 4200):
                asked = terms(size, candidates)
                options, chosen = weigh(asked, costs), plan(asked, costs)
                assert chosen.estimated_ms == min(option.estimated_ms for option in options)
                assert chosen.name in {option.name for option in options}


def test_exact_is_exact_however_large_the_scope() -> None:
    chosen = plan(terms(10_000_000), COSTS, exact=True)
    assert (chosen.name, chosen.reason) == ("exact", "an exact answer was asked for")


def test_codes_outside_the_scope_count_too_though_less() -> None:
    assert plan(terms(5000), COSTS).name == "codes"
    assert plan(terms(5000, codes_rows=100_000), COSTS).name == "codes"
    assert plan(terms(5000, codes_rows=10_000_000), COSTS).name == "exact"


def test_the_reason_names_the_size_and_both_estimates() -> None:
    assert plan(terms(100_000), COSTS).reason == "100000 images: 5.5 ms are estimated for it, 115.9 ms for exact"
    carried = plan(terms(100_000, filtered=True, carriers=1000), COSTS)
    assert carried.reason.startswith("100000 images, 1000 with these tags: 6.4 ms are estimated for it")


def test_codes_are_no_option_where_all_images_would_be_candidates() -> None:
    free = Costs(rerank_row_us=0, code_row_us=0, refine_row_us=0, codes_ms=0, statement_ms=0, row_us=0, exact_up_to=0)
    assert [option.name for option in weigh(terms(500, 500), free)] == ["exact"]
    assert plan(terms(500, 500), free).reason == "500 images are no more than codes would have to name"
    assert [option.name for option in weigh(terms(501, 500), free)] == ["exact", "codes"]


def test_tags_that_nobody_has_counted_need_four_times_as_many_candidates() -> None:
    assert plan(terms(100_000, 200), COSTS).candidates == 200
    assert plan(terms(100_000, 200, filtered=True), COSTS).candidates == 800


def test_the_rarer_the_tags_the_more_candidates_until_their_carriers_alone_are_compared() -> None:
    plans = [plan(terms(100_000, filtered=True, carriers=n), COSTS) for n in (100_000, 50_000, 10_000, 500, 0)]
    assert [one.name for one in plans] == ["codes"] * 3 + ["exact"] * 2
    candidates = [one.candidates for one in plans[:3]]
    assert candidates == sorted(set(candidates))
    assert plans[3].estimated_ms < 10


def test_rows_cost_the_same_whichever_way_they_are_found() -> None:
    few, many = (weigh(replace(terms(10_000), rows=rows), COSTS) for rows in (50, 500))
    more = [round(after.estimated_ms - before.estimated_ms, 6) for before, after in zip(few, many, strict=True)]
    assert more == [round(450 * COSTS.row_us / 1000, 6)] * 2


def test_costs_three_times_off_lose_a_millisecond_on_average_at_most() -> None:
    for costs, factor in MACHINES.values():
        machine = replace(COSTS, **{cost: getattr(COSTS, cost) * factor for cost in costs})
        regrets = [regret_ms(question, machine) for question in questions()]
        assert min(regrets) >= 0
        assert sum(regrets) / len(regrets) < 1
