"""The two clients offer the same, and say what it is."""

from __future__ import annotations

import inspect
import re
from typing import Any

import pytest

from pictograph import wire
from pictograph.client import AsyncClient, Client, asynchronous, synchronous

PAIRS = [
    (getattr(synchronous, name), getattr(asynchronous, f"Async{name}"))
    for name in ("Client", "Search", "Tags", "Datasets", "Images", "Keys", "Reindex", "Transport")
]


def public(owner: type) -> dict[str, Any]:
    return {
        name: value
        for name, value in vars(owner).items()
        if (not name.startswith("_") or name == "__init__") and (callable(value) or isinstance(value, classmethod))
    }


def signature(function: Any) -> list[tuple[str, Any, Any, str]]:
    """Names, kinds, defaults and annotations; the async words are read as their plain twins."""
    plain = inspect.signature(getattr(function, "__func__", function))
    return [
        (item.name, item.kind, item.default, without_async(str(item.annotation))) for item in plain.parameters.values()
    ]


def without_async(annotation: str) -> str:
    return re.sub(r"Async(?=[A-Z])", "", annotation).replace("httpx.AsyncClient", "httpx.Client")


@pytest.mark.parametrize(("plain", "twin"), PAIRS, ids=lambda pair: getattr(pair, "__name__", ""))
def test_both_clients_have_the_same_methods_with_the_same_arguments(plain: type, twin: type) -> None:
    assert public(plain).keys() == public(twin).keys()
    for name, method in public(plain).items():
        assert signature(method) == signature(public(twin)[name]), name


@pytest.mark.parametrize(("plain", "twin"), PAIRS, ids=lambda pair: getattr(pair, "__name__", ""))
def test_both_clients_give_the_same_things(plain: type, twin: type) -> None:
    def result(method: Any) -> str:
        found = str(inspect.signature(getattr(method, "__func__", method)).return_annotation)
        return without_async(found)

    for name, method in public(plain).items():
        assert result(method) == result(public(twin)[name]), name


@pytest.mark.parametrize("owner", [item for pair in PAIRS[:-1] for item in pair])
def test_every_method_says_what_it_gives(owner: type) -> None:
    assert owner.__doc__
    for name, method in public(owner).items():
        if name != "__init__":
            assert inspect.getdoc(getattr(method, "__func__", method)), name


@pytest.mark.parametrize("owner", [item for pair in PAIRS[1:-1] for item in pair])
def test_arguments_beyond_the_first_two_are_given_by_name(owner: type) -> None:
    for name, method in public(owner).items():
        positional = [
            item
            for item in inspect.signature(method).parameters.values()
            if item.kind is item.POSITIONAL_OR_KEYWORD and item.default is not item.empty
        ]
        assert name == "__init__" or not positional, name


def test_a_key_is_the_only_positional_argument_of_a_client() -> None:
    for client in (Client, AsyncClient):
        kinds = [item.kind for item in inspect.signature(client).parameters.values()]
        assert kinds[0] is inspect.Parameter.POSITIONAL_OR_KEYWORD
        assert set(kinds[1:]) == {inspect.Parameter.KEYWORD_ONLY}


UNDESCRIBED = {"limit", "offset", "count", "threshold", "query_image_id", "id", "name", "filename", "created_at"}


@pytest.mark.parametrize(
    "model",
    [
        wire.SimilarImage,
        wire.TaggedImage,
        wire.Image,
        wire.Dataset,
        wire.Progress,
        wire.Label,
        wire.TagCounts,
        wire.TagCount,
        wire.Taxonomy,
        wire.TagExample,
        wire.TagChange,
        wire.ThresholdPreview,
        wire.ThresholdChange,
        wire.TagUpdate,
    ],
)
def test_every_field_of_a_result_says_what_it_is(model: Any) -> None:
    for name, field in model.model_fields.items():
        assert field.description or name in UNDESCRIBED, name
    for name, computed in model.model_computed_fields.items():
        assert computed.description, name
