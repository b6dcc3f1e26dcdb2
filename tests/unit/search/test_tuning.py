"""From timings to costs, and what follows from those: no database, no clock."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace

import numpy as np
import pytest

from pictograph.errors import ConfigurationError
from pictograph.index.candidates import QueryKind, over_fetch
from pictograph.search.planner import Costs, Terms
from pictograph.search.tuning.crossovers import crossovers
from pictograph.search.tuning.fit import (
    MEASURED,
    StepName,
    Timing,
    checked,
    estimate,
    fit,
    require_sane,
    soon_scanned,
)
from pictograph.search.tuning.use import costs_from

MACHINE = Costs(
    statement_ms=0.2, row_us=3, exact_row_us=0.4, filter_row_us=1.5, codes_ms=2.0, code_row_us=0.05, refine_row_us=0.2,
    rerank_row_us=12, exact_up_to=6600,
)  # fmt: skip
"""Not at all like the default one."""
WHOLE = 20_000


def timing(step: StepName, terms: Terms, factor: float = 1.0) -> Timing:
    return Timing(step, terms, estimate(Timing(step, terms, 0), MACHINE) * factor)


def questions(sizes: Sequence[int] = (500, 2000, 8000, WHOLE)) -> list[tuple[StepName, Terms]]:
    kinds: tuple[QueryKind, ...] = ("image", "text")
    asked: list[tuple[StepName, Terms]] = []
    for size in sizes:
        for rows in (50, 500):
            asked.append(("exact", Terms(size, rows)))
            for kind in kinds:
                terms = Terms(size, rows, over_fetch(rows, kind), kind, sizes[-1])
                asked += [("codes", terms), ("rerank", terms)]
    return [*asked, *(("exact, tags", Terms(sizes[-1], rows, filtered=True)) for rows in (50, 500))]


def test_costs_are_found_from_the_times_they_give() -> None:
    timings = [timing(*question) for question in questions()]
    found = fit(timings)
    assert asdict(found) == pytest.approx(asdict(MACHINE), rel=0.2)  # the defaults pull a little
    assert all(0.95 < one.ratio < 1.05 for one in checked(timings, found))


def test_a_cost_that_hardly_shows_stays_near_its_default() -> None:
    chance = np.random.default_rng(5)
    timings = [timing(*question, factor=float(chance.uniform(0.8, 1.25))) for question in questions((100, 300, 900))]
    found = fit(timings)
    require_sane(found)
    assert found.code_row_us == pytest.approx(Costs().code_row_us, rel=0.5)


def test_costs_are_found_through_noise() -> None:
    chance = np.random.default_rng(3)
    timings = [timing(*question, factor=float(chance.uniform(0.9, 1.1))) for question in questions()]
    found = fit(timings)
    for name in MEASURED:
        assert getattr(found, name) == pytest.approx(getattr(MACHINE, name), rel=0.5), name
    assert all(0.8 < one.ratio < 1.25 for one in checked(timings, found))


def test_too_few_timings_to_tell_costs_apart_are_refused() -> None:
    only_exact = [timing("exact", Terms(size, 50)) for size in range(100, 2000, 100)]
    with pytest.raises(ConfigurationError, match="Too little"):
        fit(only_exact)


@pytest.mark.parametrize("name", MEASURED)
@pytest.mark.parametrize("factor", [-1, 0, 0.04, 51, float("nan"), float("inf")])
def test_costs_that_no_machine_has_are_refused_by_name(name: str, factor: float) -> None:
    require_sane(Costs())
    wrong = replace(Costs(), **{name: asdict(Costs())[name] * factor})
    with pytest.raises(ConfigurationError, match=f"cannot be right: {name} .*default"):
        require_sane(wrong)


def test_what_is_soon_scanned_is_what_takes_3_ms_within_bounds() -> None:
    plain = replace(Costs(), statement_ms=0.5, row_us=10)
    assert soon_scanned(replace(plain, exact_row_us=1.0)) == 2000
    assert soon_scanned(replace(plain, exact_row_us=100)) == 500
    assert soon_scanned(replace(plain, exact_row_us=0.001)) == 20_000
    assert soon_scanned(replace(plain, statement_ms=10)) == 500


def test_crossovers_follow_the_costs() -> None:
    cheap_scan = replace(Costs(), exact_row_us=0.2)
    for usual, cheap in zip(crossovers(Costs()), crossovers(cheap_scan), strict=True):
        assert usual.size is not None
        assert cheap.size is None or cheap.size >= usual.size
    without_tags, with_tags = crossovers(Costs())[:4], crossovers(Costs())[4:]
    for plain, tagged in zip(without_tags, with_tags, strict=True):
        assert (plain.rows, plain.kind) == (tagged.rows, tagged.kind)
        assert tagged.size is None or tagged.size > (plain.size or 0)
    never = replace(Costs(), code_row_us=50)
    assert {one.size for one in crossovers(never)} == {None}


def test_stored_costs_come_back_as_they_were() -> None:
    assert costs_from(asdict(MACHINE)) == MACHINE


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"new_us": 1.0}, "other costs .new_us."),
        ({"row_us": "7"}, "row_us must be numbers"),
        ({"row_us": True}, "row_us must be numbers"),
        ({"row_us": -7}, "row_us -7"),
    ],
)
def test_stored_costs_of_another_version_or_make_are_refused(changed: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        costs_from(asdict(MACHINE) | changed)  # type: ignore[operator]
