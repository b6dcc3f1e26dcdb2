"""A filter is declared once, and every search takes it, shows it and sends it."""

from __future__ import annotations

import inspect
import json
from datetime import UTC, datetime
from typing import Any, get_type_hints

import httpx
import numpy as np
import pytest

from pictograph import AsyncClient, Client, Example, ValidationError
from pictograph.client.filters import (
    DEFAULTS,
    LISTS,
    DatasetFilters,
    Filters,
    QueryFilters,
    filter_json,
    filter_query,
)
from pictograph.server.asked import Filters as Asked
from pictograph.server.asked import QueryAsked, QueryFilter

QUERIES = {"query": QueryFilters, "iterate_query": QueryFilters}
SEARCHES = {
    "by_similarity": QueryFilters,
    "iterate_by_similarity": QueryFilters,
    "by_image": DatasetFilters,
    "iterate_by_image": DatasetFilters,
    "by_text": DatasetFilters,
    "iterate_by_text": DatasetFilters,
    "explain": DatasetFilters,
    "by_tag": DatasetFilters,
    "by_tag_page": DatasetFilters,
    "iterate_by_tag": DatasetFilters,
    "tags": DatasetFilters,
}
GIVEN: dict[str, Any] = {
    "objects": ["car", "dog"], "scenes": [], "attributes": None, "match": "all", "folder_path": "/a",
}  # fmt: skip
SENT = [("objects", "car"), ("objects", "dog"), ("scenes", ""), ("match", "all"), ("directory_path", "/a")]
FIRST: dict[str, dict[str, Any]] = {
    "by_image": {"picture": b"x"},
    "by_similarity": {"image_id": "x"},
    "by_text": {"text": "a dog"},
    "explain": {"text": "a dog"},
}


@pytest.mark.parametrize("client_class", [Client, AsyncClient])
@pytest.mark.parametrize(("name", "kind"), (SEARCHES | QUERIES).items())
def test_every_search_shows_every_filter_with_its_type_and_default(
    client_class: type[Any], name: str, kind: type[Any]
) -> None:
    method = getattr(client_class("k", base_url="http://x").search, name)
    parameters = inspect.signature(method).parameters
    for filter_name in get_type_hints(kind):
        shown = parameters[filter_name]
        assert shown.kind is shown.KEYWORD_ONLY
        assert shown.default == DEFAULTS.get(filter_name)
        assert shown.annotation == kind.__annotations__[filter_name].__forward_arg__
    assert not [item for item in parameters.values() if item.kind is item.VAR_KEYWORD]


def test_these_are_all_searches() -> None:
    found = {
        name
        for name, method in inspect.getmembers(Client("k", base_url="http://x").search, inspect.ismethod)
        if "objects" in inspect.signature(method).parameters
    }
    assert found == {*SEARCHES, *QUERIES, "export"}  # a file too: tests/server/test_export.py


@pytest.mark.parametrize("name", SEARCHES)
def test_every_search_sends_every_filter(name: str) -> None:
    asked: list[httpx.URL] = []

    def respond(request: httpx.Request) -> httpx.Response:
        asked.append(request.url)
        return httpx.Response(422, json={"error": {"code": "validation_error", "message": "x"}})

    client = Client("k", base_url="http://x", http_client=httpx.Client(transport=httpx.MockTransport(respond)))
    first = FIRST.get(name.removeprefix("iterate_"), {})
    for extra in [{}] if SEARCHES[name] is QueryFilters else [{}, {"dataset_name": "street"}]:
        with pytest.raises(ValidationError):
            list(getattr(client.search, name)(**first, **GIVEN, **extra))
        sent = asked.pop().params.multi_items()
        assert [pair for pair in sent if pair in SENT] == SENT
        assert [pair for pair in sent if pair[0] == "dataset_name"] == list(extra.items())


@pytest.mark.parametrize("name", QUERIES)
def test_a_query_sends_every_filter_in_its_body(name: str) -> None:
    asked: list[Any] = []

    def respond(request: httpx.Request) -> httpx.Response:
        asked.append(json.loads(request.content))
        return httpx.Response(422, json={"error": {"code": "validation_error", "message": "x"}})

    client = Client("k", base_url="http://x", http_client=httpx.Client(transport=httpx.MockTransport(respond)))
    moment = datetime(2026, 2, 1, tzinfo=UTC)
    examples = ["id-1", Example(text="at night", weight=0.5), Example(vector=np.ones(2), encoder="x@1", negative=True)]
    with pytest.raises(ValidationError):
        list(
            getattr(client.search, name)(
                examples=examples, **GIVEN, dataset_names=["street"], recursive=False, uploaded_from=moment
            )
        )
    (body,) = asked
    assert body["filter"] == {
        "objects": ["car", "dog"], "scenes": [], "match": "all", "folder_path": "/a", "dataset_names": ["street"],
        "recursive": False, "uploaded_from": "2026-02-01T00:00:00+00:00",
    }  # fmt: skip
    assert body["examples"] == [
        {"image_id": "id-1"},
        {"text": "at night", "weight": 0.5, "negative": False},
        {"vector": [1.0, 1.0], "encoder": "x@1", "weight": 1.0, "negative": True},
    ]
    assert QueryAsked(**{**body, "examples": []}).filter.dataset_names == ["street"]
    assert set(QueryFilters.__annotations__) == {FOLDER.get(field, field) for field in QueryFilter.model_fields}


FOLDER = {"directory_path": "folder_path"}


def test_a_lone_text_is_no_list_of_examples() -> None:
    client = Client("k", base_url="http://x")
    with pytest.raises(ValidationError, match="must be a list"):
        client.search.query(examples="id-1")
    with pytest.raises(ValidationError, match="must be a list"):
        client.search.query(dataset_names="street")


def test_what_does_not_filter_is_not_sent() -> None:
    nothing: QueryFilters = {"objects": None, "match": "any", "folder_path": None, "recursive": True}
    assert filter_query(nothing, QueryFilters) == filter_query({}, Filters) == []
    assert filter_json(nothing, QueryFilters) == filter_json({}, QueryFilters) == {}


def test_what_is_no_filter_is_refused_as_python_would() -> None:
    client = Client("k", base_url="http://x")
    with pytest.raises(TypeError, match="unexpected keyword argument 'objcts'; did you mean 'objects'"):
        client.search.by_tag(objcts=["car"])  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="unexpected keyword argument 'dataset_name'"):
        client.search.by_similarity("x", dataset_name="street")  # type: ignore[call-arg]
    with pytest.raises(ValidationError, match="must be a list"):
        client.search.by_tag(objects="car")


def test_the_service_takes_the_same_filters() -> None:
    times: Filters = {"uploaded_from": "2026-01-01", "uploaded_before": datetime(2026, 2, 1, tzinfo=UTC)}
    others: dict[str, Any] = {
        name: ["x"] if name in LISTS else 1
        for name in Filters.__annotations__
        if name not in {*GIVEN, *times, "attributes"}
    }
    sent = {name for name, _ in filter_query({**GIVEN, "attributes": ["dark"], **times, **others}, Filters)}  # type: ignore[typeddict-item]
    assert sent == set(Asked.model_fields)
    assert len(sent) == len(Filters.__annotations__)
