"""Every route takes what it declares and nothing else: a name that is ignored would ask, or change, the wrong thing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

import httpx
import pytest
from fastapi.routing import APIRoute

from pictograph.naming import aliases_of
from pictograph.server.admission import LargeJson
from pictograph.server.app import all_routes
from pictograph.server.strict import Strict, body_model
from pictograph.types import MAX_QUERY_BYTES
from pictograph.wire import API_PREFIX, Body, Dataset
from support.pictures import picture_bytes
from support.raw import Raw
from support.services import Service

ROUTES = all_routes()


@pytest.fixture
def raw(raw_as: Callable[[Any], Raw]) -> Raw:
    """Plain HTTP with a key that may call everything."""
    return raw_as("installation")


CALLS = [(method, route) for route in ROUTES for method in sorted(route.methods)]


def address(route: APIRoute) -> str:
    """The route's path with ids that exist nowhere."""
    path = route.path.replace(":uuid}", "}").replace(":path}", "}")
    for name in ("image_id", "key_id", "token"):
        path = path.replace("{" + name + "}", str(uuid4()))
    return path.replace("{dataset}", "street").replace("{path}", "a.jpg")


def label(call: tuple[str, APIRoute]) -> str:
    return f"{call[0]} {call[1].path}"


def test_every_route_is_a_strict_one_and_every_body_refuses_what_it_does_not_know() -> None:
    assert len(ROUTES) > 30
    for route in ROUTES:
        assert isinstance(route, Strict), route.path
        model = body_model(route.dependant)
        if model is not None and not route.form_names.known:
            assert issubclass(model, Body), route.path


@pytest.mark.parametrize("call", CALLS, ids=label)
def test_an_unknown_parameter_is_refused_and_the_nearest_and_all_others_are_named(
    raw: Raw, call: tuple[str, APIRoute]
) -> None:
    method, route = call
    assert isinstance(route, Strict)
    known = list(route.query_names.known)
    typo = f"{known[0]}x" if known else "limt"
    answer = raw(method, address(route), params={typo: "3"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "validation_error"), answer.text
    (error,) = answer.json()["error"]["details"]["errors"]
    assert error["loc"] == ["query", typo]
    assert all(name in error["msg"] for name in known)
    assert not known or f"Did you mean {known[0]!r}?" in error["msg"]


SCALARS = [
    (method, route, name)
    for method, route in CALLS
    if isinstance(route, Strict)
    for name in route.query_names.known
    if name not in route.query_names.lists
]


@pytest.mark.parametrize(("method", "route", "name"), SCALARS, ids=lambda value: getattr(value, "path", value))
def test_a_parameter_that_means_one_value_is_refused_twice(raw: Raw, method: str, route: Strict, name: str) -> None:
    answer = raw(method, address(route), params=[(name, "3"), (name, "5")])
    assert answer.status_code == 422
    assert "more than once" in answer.json()["detail"]
    for alias in aliases_of(route.query_names.known):
        if aliases_of(route.query_names.known)[alias] == name:
            answer = raw(method, address(route), params=[(name, "3"), (alias, "5")])
            assert answer.status_code == 422
            assert name in answer.json()["detail"]
            assert alias in answer.json()["detail"]


BODIES = [
    (method, route, model)
    for method, route in CALLS
    if (model := body_model(route.dependant)) and issubclass(model, Body)
]


@pytest.mark.parametrize(("method", "route", "model"), BODIES, ids=lambda value: getattr(value, "path", value))
def test_an_unknown_field_is_refused_and_the_nearest_and_all_others_are_named(
    raw: Raw, method: str, route: Strict, model: type[Body]
) -> None:
    known = list(model.model_fields)
    answer = raw(method, address(route), json={f"{known[0]}x": "y"})
    assert answer.status_code == 422
    error = next(item for item in answer.json()["error"]["details"]["errors"] if item["loc"][-1] == f"{known[0]}x")
    assert error["loc"] == ["body", f"{known[0]}x"]
    assert f"Did you mean {known[0]!r}?" in error["msg"]
    assert all(name in error["msg"] for name in known)
    assert error["msg"] in answer.json()["detail"]


@pytest.mark.parametrize(("method", "route", "model"), BODIES, ids=lambda value: getattr(value, "path", value))
def test_a_body_of_another_kind_or_size_is_refused_before_it_is_looked_at(
    raw: Raw, method: str, route: Strict, model: type[Body]
) -> None:
    for kind in ("text/plain", "application/x-www-form-urlencoded", "application/octet-stream", "x"):
        answer = raw(method, address(route), content=b'{"name": "x"}', headers={"Content-Type": kind})
        assert (answer.status_code, answer.json()["error"]["code"]) == (415, "unsupported_format")
    most_bytes = MAX_QUERY_BYTES if isinstance(route, LargeJson) else 1_000_000
    large = b'{"description": "' + b"x" * most_bytes + b'"}'
    for content in (large, pieces(large)):
        answer = raw(method, address(route), content=content, headers={"Content-Type": "application/json"})
        assert (answer.status_code, answer.json()["error"]["code"]) == (413, "too_large")
        assert f"{most_bytes} bytes" in answer.json()["detail"]


def pieces(content: bytes) -> Iterator[bytes]:
    for start in range(0, len(content), 65_536):
        yield content[start : start + 65_536]


def test_an_unknown_or_repeated_form_field_is_refused(raw: Raw, street: Dataset) -> None:
    file = {"file": ("a.jpg", picture_bytes(1))}
    for fields, said in (
        ({"dataset": "street", "directory_pth": "/a"}, "Did you mean 'directory_path'?"),
        ({"dataset": "street", "folder_path": "/a", "directory_path": "/b"}, "two names of one thing"),
        ({"dataset": ["street", "other"]}, "more than once"),
    ):
        answer = raw.api("POST", "/images/upload", data=fields, files=file)
        assert answer.status_code == 422, answer.text
        assert said in answer.json()["detail"]
    assert raw.api("GET", "/images/", params={"dataset": "street"}).json()["data"] == []


def test_published_names_mean_the_same_everywhere(raw: Raw, street: Dataset) -> None:
    fields = {"dataset_id": street.id, "folder_path": "/cars"}
    assert raw.api("POST", "/images/upload", data=fields, files={"file": ("a.jpg", picture_bytes(1))}).is_success
    body = {"dataset_name": "street", "filename": "b.jpg", "folder_path": "/cars", "mime_type": "image/jpeg"}
    assert raw.api("POST", "/images/upload-url", json=body).is_success
    for query in (
        {"dataset": "street", "directory_path": "/cars"},
        {"dataset_id": street.id, "folder_path": "/cars"},
        {"dataset_name": "street", "folder_path": "/cars", "directory_path": "/cars"},
        {"project": "street"},
    ):
        answer = raw.api("GET", "/images/", params=query)
        assert [row["filename"] for row in answer.json()["data"]] == ["a.jpg"], answer.text
        counted = raw.api("GET", "/search/tags", params=query)
        assert counted.is_success, counted.text


def test_two_names_of_one_thing_with_two_values_are_refused_in_a_body_too(raw: Raw, street: Dataset) -> None:
    body = {"dataset": "street", "dataset_id": "other", "filename": "b.jpg"}
    answer = raw.api("POST", "/images/upload-url", json=body)
    assert answer.status_code == 422
    assert "two names of one thing" in answer.json()["detail"]


def test_what_published_clients_send_beside_is_honoured_or_named_in_the_answer(raw: Raw, street: Dataset) -> None:
    raw.api("POST", "/images/upload", data={"dataset": "street"}, files={"file": ("a.jpg", picture_bytes(1))})
    seen = {"status": "new"}, {"min_confidence_lt": "0.5"}, {"status": "review"}, {"split": "train"}
    for query, count in zip(seen, (1, 0, 0, 0), strict=True):
        answer = raw.api("GET", "/images/", params={"dataset": "street", **query})
        assert len(answer.json()["data"]) == answer.json()["pagination"]["total"] == count, query
    assert raw.api("GET", "/datasets/", params={"archived": "true"}).json()["data"] == []
    one = {"include_images": "true", "images_limit": 10, "images_offset": 0}
    assert [row["filename"] for row in raw.api("GET", "/datasets/street", params=one).json()["data"]["images"]]
    made = raw.api("POST", "/datasets/", json={"name": "x", "annotation_types": ["box"], "classes": [], "readme": None})
    assert made.status_code == 201
    assert made.headers["Pictograph-Ignored"] == "annotation_types, classes"
    assert "Pictograph-Ignored" not in raw.api("POST", "/datasets/", json={"name": "y"}).headers


@pytest.mark.parametrize(
    "body",
    [
        b'{"name": "x", "name": "y"}', b'{"name": "x", "description": NaN}', b'{"name": "\xff"}',
        b'{"name": ' + b"9" * 5000 + b"}", b'{"name": ' + b"[" * 100_000, b'{"name": "\\ud800"}', b"\x00",
        "{}".encode("utf-16"),
    ],
    ids=lambda body: repr(body[:20]),
)  # fmt: skip
def test_json_that_is_none_or_says_two_things_is_refused(raw: Raw, body: bytes) -> None:
    answer = raw.api("POST", "/datasets/", content=body, headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "validation_error"), answer.text


def test_json_that_ends_early_is_told_with_its_place(raw: Raw) -> None:
    answer = raw.api("POST", "/datasets/", content=b'{"name": "x"', headers={"Content-Type": "application/json"})
    assert answer.status_code == 422
    assert answer.json()["detail"] == ("The body cannot be read as JSON: Expecting ',' delimiter at character 12.")


@pytest.mark.parametrize("query", ["text=%FF", "text=%ED%A0%80", "objects=%C3"])
def test_a_query_that_is_not_utf8_is_refused(raw: Raw, query: str) -> None:
    for path in ("/search/by-text", "/images/"):
        answer = raw.api("GET", f"{path}?{query}")
        assert answer.status_code == 422
        assert "UTF-8" in answer.json()["detail"]


def test_free_text_has_a_cap_that_is_named(raw: Raw, service: Service) -> None:
    for path, body, cap in (
        ("/datasets/", {"name": "x", "description": "x" * 10_001}, 10_000),
        ("/reindex/", {"encoder": "a" * 1025}, 1024),
        ("/tags/reset", {"label": "a" * 201}, 200),
    ):
        answer = raw.api("POST", path, json=body)
        assert answer.status_code == 422
        assert f"at most {cap} characters" in answer.json()["detail"]


def test_the_caller_is_settled_before_names_are_read(service: Service) -> None:
    answer: Any = httpx.get(f"{service.address}{API_PREFIX}/images/", params={"limt": 3})
    assert answer.status_code == 401
