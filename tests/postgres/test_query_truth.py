"""Queries give what looking at every row gives: examples, orders, cuts, pages and counts, whatever answers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from itertools import product
from typing import Any

import numpy as np
import pytest

from pictograph.encode.protocol import FloatArray
from pictograph.errors import NotFoundError, ValidationError
from pictograph.search import engine as engine_module
from pictograph.search import planner
from pictograph.search.engine import QueryAnswer
from pictograph.search.examples import LEAD
from pictograph.search.filter import Conditions
from pictograph.search.found import Neighbour
from pictograph.search.orders import ORDERS
from pictograph.search.query import Example, Query, Scope, tag_filter
from pictograph.types import ImageId
from support.world import Row, World, value_of

CAR = Conditions(tag_filter(objects=["car"]))


def similarity(row: Row, vector: FloatArray) -> float:
    assert row.vector is not None
    return float(row.vector @ vector / np.linalg.norm(row.vector) / np.linalg.norm(vector))


def score(
    row: Row, positives: Sequence[tuple[float, FloatArray]], negatives: Sequence[tuple[float, FloatArray]]
) -> float:
    """The formula in words of its own: the mean likeness, and how far it leads over each negative example."""
    whole = sum(weight for weight, _ in positives)
    mean = sum(weight * similarity(row, vector) for weight, vector in positives) / whole
    leads = [weight * (mean - similarity(row, vector)) for weight, vector in negatives]
    return mean + (LEAD * sum(leads) / len(leads) if leads else 0.0)


def found_rows(world: World) -> list[Row]:
    return [row for row in world.rows if row.vector is not None]


def loners(world: World) -> list[Row]:
    """Those whose vector no other row has: of some of the others, the table's vector is not that of their content."""
    rows = found_rows(world)
    packed = [np.asarray(row.vector).tobytes() for row in rows]
    return [row for row, vector in zip(rows, packed, strict=True) if packed.count(vector) == 1]


async def ask(world: World, query: Query) -> QueryAnswer:
    return await world.engine.query(world.garden.organization, query)


async def every_page(world: World, query: Query) -> list[QueryAnswer]:
    pages = [await ask(world, query)]
    while (cursor := pages[-1].next_cursor) is not None:
        pages.append(await ask(world, replace(query, cursor=cursor)))
    return pages


def fact(row: Row, name: str) -> float | None:
    """Of a time, seconds."""
    value = value_of(row, name)
    return value.timestamp() if isinstance(value, datetime) else value


def in_order(rows: Sequence[Row], name: str, *, descending: bool) -> list[ImageId]:
    values = {row.id: fact(row, name) for row in rows}
    known = sorted((row.id for row in rows if values[row.id] is not None), key=lambda id: id.bytes)
    known.sort(key=lambda id: values[id], reverse=descending)  # type: ignore[arg-type,return-value]
    return known + sorted((row.id for row in rows if values[row.id] is None), key=lambda id: id.bytes)


def examples_of(world: World) -> tuple[list[Row], list[Example]]:
    """Two positive images, words, a given vector, and two negative images."""
    rows = loners(world)
    chosen = [rows[3], rows[40], rows[60], rows[80], rows[11]]
    given = tuple(float(value) for value in np.asarray(chosen[2].vector)[:1152] * 3)
    examples = [
        Example(chosen[0].id),
        Example(chosen[1].id, weight=2.5),
        Example(text="along 0.4", weight=0.5),
        Example(vector=given, encoder="noop@1"),
        Example(chosen[3].id, negative=True),
        Example(chosen[4].id, negative=True, weight=0.25),
    ]
    return chosen, examples


async def test_several_examples_score_as_the_formula_says(world: World) -> None:
    chosen, examples = examples_of(world)
    words = np.zeros(1152, np.float32)
    words[:2] = 0.4, math.sqrt(1 - 0.16)
    vectors = [row.vector for row in chosen if row.vector is not None]
    positives = [(1.0, vectors[0]), (2.5, vectors[1]), (0.5, words), (1.0, vectors[2])]
    negatives = [(1.0, vectors[3]), (0.25, vectors[4])]
    left_out = {chosen[0].id, chosen[1].id, chosen[3].id, chosen[4].id}
    for conditions in (Conditions(), CAR):
        meant = [row for row in found_rows(world) if conditions.are_none or "car" in row.tags["objects"]]
        true = {row.id: score(row, positives, negatives) for row in meant if row.id not in left_out}
        for threshold in (None, 0.3):
            answer = await ask(world, Query(examples, conditions=conditions, threshold=threshold, limit=500))
            expected = sorted(value for value in true.values() if threshold is None or value >= threshold)[::-1]
            assert [row.score for row in answer.rows if isinstance(row, Neighbour)] == pytest.approx(expected, abs=2e-3)
            assert answer.total == len(expected)
            for row in answer.rows:
                assert isinstance(row, Neighbour)
                assert row.score == pytest.approx(true[row.id], abs=2e-3)
                of = next(one for one in meant if one.id == row.id)
                nearest = max(similarity(of, vector) for _, vector in positives)
                assert row.similarity == pytest.approx(max(0.0, nearest), abs=2e-3)
            counted = await ask(world, Query(examples, conditions=conditions, threshold=threshold, count_only=True))
            assert (counted.total, counted.total_is_exact, counted.rows) == (len(expected), True, ())
            assert (counted.found.scope_size, counted.found.scanned) == (len(found_rows(world)), len(meant))


async def test_one_example_is_the_search_by_likeness(world: World) -> None:
    reference = loners(world)[7]
    answer = await ask(world, Query([Example(reference.id)], limit=500))
    true = {row.id: similarity(row, reference.vector) for row in found_rows(world) if row.id != reference.id}  # type: ignore[arg-type]
    assert [row.id for row in answer.rows] != []
    for row in answer.rows:
        assert isinstance(row, Neighbour)
        assert (row.score, row.similarity) == (row.similarity, pytest.approx(max(0.0, true[row.id]), abs=1e-6))
    assert (answer.total, {row.id for row in answer.rows}) == (len(true), set(true))


async def test_any_fact_orders_and_pages_join_to_the_whole(world: World) -> None:
    for name, descending in product(ORDERS, (True, False)):
        for conditions in (Conditions(), CAR):
            meant = [row for row in world.rows if conditions.are_none or "car" in row.tags["objects"]]
            query = Query(conditions=conditions, order_by=name, descending=descending, limit=17)
            pages = await every_page(world, query)
            assert [row.id for page in pages for row in page.rows] == in_order(meant, name, descending=descending)
            values = [value for page in pages for value in page.values]
            scale = 1e6 if ORDERS[name].is_time else 1
            expected = [fact(row, name) for page in pages for row in by_id(meant, page)]
            assert [value is None for value in values] == [value is None for value in expected]
            assert [(value or 0) / scale for value in values] == pytest.approx([one or 0 for one in expected], rel=1e-6)
            unknown = sum(fact(row, name) is None for row in meant)
            for page in pages:
                assert (page.total, page.unknown, page.found.scope_size) == (len(meant), unknown, len(world.rows))
            counted = await ask(world, replace(query, count_only=True))
            assert (counted.total, counted.rows, counted.next_cursor) == (len(meant), (), None)


def by_id(rows: Sequence[Row], page: QueryAnswer) -> list[Row]:
    of = {row.id: row for row in rows}
    return [of[row.id] for row in page.rows]


@pytest.mark.parametrize("name", ["relevance", "width", "created_at"])
async def test_relevance_cuts_first_and_then_a_fact_orders(world: World, name: str) -> None:
    reference = loners(world)[7]
    assert reference.vector is not None
    others = [row for row in found_rows(world) if row.id != reference.id]
    true = {row.id: similarity(row, reference.vector) for row in others}
    others.sort(key=lambda row: (-true[row.id], row.id.bytes))
    edge = true[others[40].id] - 1e-4
    for cut in ({"top": 30}, {"threshold": edge}, {"top": 30, "threshold": edge}):
        if name == "relevance" and "top" not in cut:
            continue
        best = [row for row in others if true[row.id] >= cut.get("threshold", -1)][: int(cut.get("top", 1000))]
        if len({round(true[row.id], 7) for row in others[29:31]}) == 1:
            best = others[:30]
        expected = [row.id for row in best]
        if name != "relevance":
            expected = in_order(best, name, descending=True)
        pages = await every_page(world, Query([Example(reference.id)], order_by=name, limit=8, **cut))  # type: ignore[arg-type]
        found = [row.id for page in pages for row in page.rows]
        assert len(found) == len(set(found)) == len(expected)
        if name == "relevance":
            assert [true[one] for one in found] == pytest.approx([true[one] for one in expected], abs=1e-6)
        else:
            assert found == expected
        assert {(page.total, page.cut_off) for page in pages} == {(len(expected), False)}


async def test_what_a_threshold_leaves_is_cut_off_where_it_is_too_much_and_that_is_said(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine_module, "MAX_TOP", 20)
    query = Query([Example(loners(world)[7].id)], order_by="width", threshold=-1.0)
    answer = await ask(world, query)
    assert (answer.total, answer.cut_off, len(answer.rows)) == (20, True, 20)
    monkeypatch.setattr(engine_module, "MAX_TOP", 1000)
    assert not (await ask(world, query)).cut_off


async def test_several_datasets_and_a_folder_alone_are_a_scope(world: World) -> None:
    both = await ask(world, Query(scope=Scope(["street", "shop"]), limit=500))
    assert {row.id for row in both.rows} == {row.id for row in world.rows}
    one = await ask(world, Query(scope=Scope(["shop", "shop"], "/a", recursive=False), limit=500))
    inside = {row.id for row in world.rows if row.dataset == world.datasets[1].id and row.folder == "/a"}
    assert {row.id for row in one.rows} == inside
    with pytest.raises(NotFoundError, match="nowhere"):
        await ask(world, Query(scope=Scope(["street", "nowhere"])))


async def test_a_cursor_belongs_to_its_order_and_its_examples(world: World) -> None:
    rows = found_rows(world)
    first = await ask(world, Query(order_by="width", limit=5))
    examples = [Example(rows[0].id), Example(rows[1].id, negative=True)]
    alike = await ask(world, Query(examples, limit=5))
    for other in (
        Query(order_by="height", limit=5, cursor=first.next_cursor),
        Query(order_by="width", descending=False, limit=5, cursor=first.next_cursor),
        Query(order_by="width", conditions=CAR, limit=5, cursor=first.next_cursor),
        Query(examples, limit=5, cursor=first.next_cursor),
        Query(examples[:1], limit=5, cursor=alike.next_cursor),
        Query([examples[0], replace(examples[1], weight=2.0)], limit=5, cursor=alike.next_cursor),
        Query(examples, top=50, limit=5, cursor=alike.next_cursor),
    ):
        with pytest.raises(ValidationError, match="another question"):
            await ask(world, other)


async def test_the_quantized_index_answers_several_examples_too(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planner, "EXACT_UP_TO", 0)
    _, examples = examples_of(world)
    by_codes = await ask(world, Query(examples, limit=20))
    truth = await ask(world, Query(examples, limit=20, exact=True))
    assert by_codes.found.plan.name == ("exact" if world.way == "table" else "quantized")
    assert {row.id for row in by_codes.rows} == {row.id for row in truth.rows}
    assert by_codes.total == truth.total


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (Example, "exactly one"),
        (lambda: Example(text="a dog", vector=(1.0,)), "exactly one"),
        (lambda: Example(text="a dog", weight=0.0), "weight"),
        (lambda: Example(text="a dog", weight=math.nan), "weight"),
        (lambda: Example(vector=(1.0,)), "encoder"),
        (lambda: Example(text=" "), "must not be empty"),
        (lambda: Query([Example(text="a dog", negative=True)]), "All examples are negative"),
        (lambda: Query([Example(text="a dog")], order_by="width"), "threshold"),
        (lambda: Query([Example(text="a dog")], descending=False), "best come first"),
        (lambda: Query(order_by="size"), "order_by must be one of relevance, created_at"),
        (lambda: Query(threshold=0.5), "needs examples"),
        (lambda: Query(top=5), "needs examples"),
        (lambda: Query(order_by="relevance"), "needs examples"),
        (lambda: Query([Example(text="a dog")] * 33), "at most 32"),
        (lambda: Query([Example(text="a dog")], threshold=math.nan), "between -1 and 1"),
        (lambda: Query([Example(text="a dog")], top=10_001), "between 1 and 10000"),
    ],
)
def test_a_question_that_cannot_be_meant_is_refused_with_what_to_do(made: Any, said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        made()


async def test_a_vector_of_another_encoder_or_width_is_refused(world: World) -> None:
    for example, said in (
        (Example(vector=(1.0,) * 1152, encoder="other@2"), "other@2"),
        (Example(vector=(1.0,) * 7, encoder="noop@1"), "this one has 7"),
        (Example(vector=(0.0,) * 1152, encoder="noop@1"), "not 0"),
        (Example(vector=(math.inf,) * 1152, encoder="noop@1"), "finite"),
    ):
        with pytest.raises(ValidationError, match=said):
            await ask(world, Query([example]))
