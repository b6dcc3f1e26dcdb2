"""What search routes read: every filter on every route, and `explain` what the search itself would have read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import pytest
from fastapi.routing import APIRoute

from pictograph.errors import NotFoundError, ValidationError
from pictograph.search.query import SimilarQuery, TextQuery
from pictograph.server.asked import (
    ByTagsAsked,
    ExplainAsked,
    Filters,
    QueryFilter,
    SimilarAsked,
    TagCountsAsked,
    TextAsked,
)
from pictograph.server.routes.search import router
from pictograph.server.strict import Strict
from support.raw import Raw
from support.services import Service

ID = "0198c0de-0000-7000-8000-000000000000"
ROUTES = [route for route in router.routes if isinstance(route, APIRoute) and route.methods == {"GET"}]
FILTERED: dict[str, Any] = {
    "objects": ["Car", " ", "car"], "scenes": [""], "match": "all", "directory_path": "/a/", "limit": 7, "exact": True,
}  # fmt: skip


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: str(route.path))
def test_every_search_route_takes_and_describes_every_filter(service: Service, route: Strict) -> None:
    assert set(Filters.model_fields) <= set(route.query_names.known)
    document = httpx.get(f"{service.address}/openapi.json").json()["paths"][route.path]["get"]
    described = {parameter["name"]: parameter for parameter in document["parameters"]}
    assert set(route.query_names.known) == set(described)
    assert all(described[name].get("description") for name in described if name != "offset")


def test_a_query_takes_every_filter_in_its_body_and_describes_it(service: Service) -> None:
    assert set(Filters.model_fields) | {"dataset_names", "recursive"} == set(QueryFilter.model_fields)
    schemas = httpx.get(f"{service.address}/openapi.json").json()["components"]["schemas"]
    for schema in ("QueryAsked", "QueryFilter", "Example"):
        fields = schemas[schema]["properties"]
        undescribed = [name for name, field in fields.items() if "description" not in field and "$ref" not in field]
        assert undescribed == []


def test_explain_asks_what_the_search_itself_would_ask() -> None:
    for given in ({}, {"threshold": 0.25}, FILTERED):
        likeness = ExplainAsked(image_id=ID, **given).query()
        words = ExplainAsked(text="a dog", dataset_name="street", **given).query()
        assert (likeness, type(likeness)) == (SimilarAsked(image_id=ID, **given).query(), SimilarQuery)
        assert (words, type(words)) == (TextAsked(text="a dog", dataset_name="street", **given).query(), TextQuery)


@pytest.mark.parametrize(
    "given",
    [{}, {"image_id": ID, "text": "a dog"}, {"image_id": ID, "dataset_name": "street"}, {"text": " "}],
    ids=repr,
)
def test_explain_wants_one_question_that_can_be_asked(given: dict[str, str]) -> None:
    with pytest.raises(ValidationError):
        ExplainAsked(**given).query()  # type: ignore[arg-type]


def test_filters_reach_the_question() -> None:
    tags = {"objects": ["car"], "scenes": []}
    for asked in (SimilarAsked(image_id=ID, **FILTERED), TextAsked(text="a dog", **FILTERED)):
        query = asked.query()
        wanted = query.conditions.tags
        assert (wanted.labels, wanted.match, query.folder_path) == (tags, "all", "/a")
        assert (query.limit, query.exact) == (7, True)
    by_tags = ByTagsAsked(dataset_name="street", offset=3, cursor="x", **FILTERED).query()
    assert (by_tags.filters, by_tags.match, by_tags.folder_path, by_tags.dataset) == (tags, "all", "/a", "street")
    assert (by_tags.limit, by_tags.offset, by_tags.cursor) == (7, 3, "x")
    assert TagCountsAsked(**FILTERED).conditions.tags.labels == tags
    with pytest.raises(NotFoundError):
        SimilarAsked(image_id="x").query()


def test_who_asks_is_settled_before_what_is_asked_is_read(raw_as: Callable[[Any], Raw]) -> None:
    for headers in ({}, {"X-API-Key": "pk_live_" + "0" * 64}):
        answer = raw_as(None).api("GET", "/search/similar", params={"limit": "wrong"}, headers=headers)
        assert (answer.status_code, answer.json()["error"]["code"]) == (401, "unauthorized")


def test_each_wrong_value_is_named_with_its_place(raw_as: Callable[[Any], Raw]) -> None:
    wrong = [("threshold", "nan"), ("limit", "501"), ("match", "some"), ("exact", "maybe"), ("objects", "x" * 201)]
    answer = raw_as("viewer").api("GET", "/search/similar", params=wrong)
    assert answer.status_code == 422
    said = {".".join(error["loc"]) for error in answer.json()["error"]["details"]["errors"]}
    assert said == {"query.image_id", "query.objects.0", *(f"query.{name}" for name, _ in wrong[:-1])}
