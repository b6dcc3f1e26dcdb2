"""What people print shows itself in a few lines, however much it holds, and never a secret."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime
from typing import Any

import pytest

from pictograph import SearchResults, TaggedResults, wire
from pictograph.client import ListPage, results

NOW = datetime(2026, 1, 2, tzinfo=UTC)
PAGE = wire.Pagination(limit=500, total=1234, has_more=True, next_cursor="c")
TAGS: Any = {"objects": [f"object {number}" for number in range(50)], "scenes": ["x" * 500], "attributes": []}


def row(number: int) -> wire.SimilarImage:
    return wire.SimilarImage(
        image_id=f"id-{number}", filename="f" * 255, folder_path="/a", dataset_id="d", tags=TAGS, similarity=0.5,
        thumbnail_url="", image_url="",
    )  # fmt: skip


def image() -> wire.Image:
    scores = {f"objects/{number}": 0.5 for number in range(600)}
    return wire.Image(
        id="i", dataset_id="d", filename="a.jpg", folder_path="/", state="tagged", sha256="0" * 64, file_size=1,
        content_type="image/jpeg", width=1, height=1, created_at=NOW, image_auto_tags=TAGS, image_url="",
        thumbnail_url="", tag_scores=scores,
    )  # fmt: skip


def facts(count: int) -> wire.SimilarAnswer:
    return wire.SimilarAnswer(
        results=[row(number) for number in range(count)], count=count, threshold=0.6, query_image_id="q",
        folder_path="/", plan="exact", plan_reason="small", scope_size=9, scanned=9, exact=True, complete=True,
        took_ms=2.5, pagination=PAGE,
    )  # fmt: skip


def tagged(count: int) -> wire.TagAnswer:
    rows = [wire.TaggedImage(**row(number).model_dump()) for number in range(count)]
    return wire.TagAnswer(results=rows, count=count, filters=wire.TagFilters(), pagination=PAGE)


def shown() -> list[Any]:
    answer = facts(500)
    return [
        row(1), image(), answer, tagged(500), SearchResults(answer.results, answer), TaggedResults(tagged(500)),
        ListPage([image()] * 500, PAGE), ListPage([image()] * 2, PAGE),
        wire.Dataset(id="d", organization_id="o", name="n" * 255, description="d" * 10_000, created_at=NOW),
        wire.TagCounts(objects=[wire.TagCount(label="a", count=1)] * 600, scenes=[], attributes=[], images=1),
    ]  # fmt: skip


@pytest.mark.parametrize("number", range(10))
def test_everything_shows_itself_briefly(number: int) -> None:
    thing = shown()[number]
    assert len(repr(thing)) < 2000
    assert str(thing) == repr(thing)
    assert type(thing).__name__ in repr(thing)


def test_a_row_shows_what_tells_it_from_others_and_that_there_is_more() -> None:
    text = repr(row(7))
    assert text.startswith("SimilarImage(similarity=0.5, image_id='id-7', ")
    assert text.endswith(", ...)")
    assert row(7).image_auto_tags == TAGS  # it is all there


def test_a_list_of_rows_shows_how_many_it_holds_and_the_first() -> None:
    answer = facts(500)
    text = repr(SearchResults(answer.results, answer))
    assert text.startswith("<SearchResults: 500 rows, exact, 9 images, 2.5 ms: [SimilarImage(")
    assert text.endswith("and 497 more]>")
    assert repr(TaggedResults(tagged(5))).startswith("<TaggedResults: 5 of 1234 rows: [")
    assert "more" not in repr(SearchResults([], facts(0)))
    assert len(SearchResults(answer.results, answer)) == 500


def test_a_key_that_was_made_does_not_show_its_secret() -> None:
    fields = dict.fromkeys(wire.CreatedApiKey.model_fields, "x") | {"api_key": "pk_live_secret", "name": "ci"}
    made = wire.CreatedApiKey.model_construct(**fields)
    assert "secret" not in repr(made)
    assert "ci" in repr(made)
    assert made.api_key == "pk_live_secret"


LONG: dict[str, Any] = {
    "str": "x" * 10_000, "int": 10**30, "float": 1e300, "bool": True, "None": None,
    "list": ["y" * 500] * 500, "dict": {f"z{number}": "z" * 500 for number in range(500)}, "datetime": NOW,
}  # fmt: skip


def of_every_kind() -> list[type[wire.Wire]]:
    """All models of answers, also those that nobody has written yet."""
    found, waiting = [], [wire.Wire]
    while waiting:
        models = waiting.pop().__subclasses__()
        waiting += models
        found += [model for model in models if model.model_fields and model.__module__.startswith("pictograph.")]
    return found


def long_value(annotation: Any) -> Any:
    """A value of about this type that is as long as it gets."""
    name = str(annotation)
    return next((value for kind, value in LONG.items() if kind in name), LONG["dict"])


@pytest.mark.parametrize("model", of_every_kind(), ids=lambda model: model.__name__)
def test_every_model_shows_itself_briefly_whatever_it_holds(model: type[wire.Wire]) -> None:
    fields = {name: long_value(field.annotation) for name, field in model.model_fields.items()}
    text = repr(model.model_construct(**fields))
    assert len(text) < 4000, "name its few telling fields in `brief`"
    assert text.startswith(f"{model.__name__}(")


@pytest.mark.parametrize("report", [value for name, value in vars(results).items() if name.endswith("Report")])
def test_every_report_shows_counts_not_lists(report: Any) -> None:
    made = object.__new__(report)
    for item in dataclasses.fields(report):
        value = ["y" * 500] * 500 if "list" in str(item.type) else {} if "dict" in str(item.type) else 1
        object.__setattr__(made, item.name, value)
    assert len(repr(made)) < 1000
