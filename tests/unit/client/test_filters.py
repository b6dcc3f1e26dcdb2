"""A filter is declared once, and every search takes it, shows it and sends it."""

from __future__ import annotations

import inspect
from datetime import UTC, datetime
from typing import Any, get_type_hints

import httpx
import pytest

from pictograph import AsyncClient, Client, ValidationError
from pictograph.client.filters import DEFAULTS, DatasetFilters, Filters, filter_query
from pictograph.server.asked import Filters as Asked

SEARCHES = {
    "by_similarity": Filters,
    "iterate_by_similarity": Filters,
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
FIRST = {"by_similarity": {"image_id": "x"}, "by_text": {"text": "a dog"}, "explain": {"text": "a dog"}}


@pytest.mark.parametrize("client_class", [Client, AsyncClient])
@pytest.mark.parametrize(("name", "kind"), SEARCHES.items())
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
    assert found == {*SEARCHES, "export"}  # tests/unit/client/test_exporting.py


@pytest.mark.parametrize("name", SEARCHES)
def test_every_search_sends_every_filter(name: str) -> None:
    asked: list[httpx.URL] = []

    def respond(request: httpx.Request) -> httpx.Response:
        asked.append(request.url)
        return httpx.Response(422, json={"error": {"code": "validation_error", "message": "x"}})

    client = Client("k", base_url="http://x", http_client=httpx.Client(transport=httpx.MockTransport(respond)))
    first = FIRST.get(name.removeprefix("iterate_"), {})
    for extra in [{}] if SEARCHES[name] is Filters else [{}, {"dataset_name": "street"}]:
        with pytest.raises(ValidationError):
            list(getattr(client.search, name)(**first, **GIVEN, **extra))
        sent = asked.pop().params.multi_items()
        assert [pair for pair in sent if pair in SENT] == SENT
        assert [pair for pair in sent if pair[0] == "dataset_name"] == list(extra.items())


def test_what_does_not_filter_is_not_sent() -> None:
    nothing: Filters = {"objects": None, "match": "any", "folder_path": None}
    assert filter_query(nothing, Filters) == filter_query({}, Filters) == []


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
    sent = {name for name, _ in filter_query({**GIVEN, "attributes": ["dark"], **times}, Filters)}
    assert sent == set(Asked.model_fields)
    assert len(sent) == len(Filters.__annotations__)
