"""SDK and server agree: what one offers, the other uses."""

from __future__ import annotations

import contextlib
import inspect
import re
from typing import Any

import httpx
import pytest

from pictograph import AsyncClient, Client, NotFoundError
from pictograph.client import calls
from pictograph.errors import error_class_for
from pictograph.wire import API_PREFIX, ErrorAnswer
from support.services import Service
from support.vectors import vector_table

NOT_IN_THE_SDK = {
    ("POST", f"{API_PREFIX}/images/upload-url"): "the published clients' three steps; ours uploads in one",
    ("PUT", "/api/v1/uploads/{token}"): "the published clients' three steps",
    ("POST", f"{API_PREFIX}/images/register"): "the published clients' three steps",
    ("GET", f"{API_PREFIX}/images/{{dataset}}/{{path}}"): "the published clients' bytes by path",
    ("DELETE", f"{API_PREFIX}/images/{{dataset}}/{{path}}"): "the published clients' delete by path",
    ("GET", "/api/v1/pictures/{image_id}/original"): "for browsers; the SDK has `download`",
    ("GET", "/api/v1/pictures/{image_id}/thumbnail"): "for browsers; the SDK has `thumbnail`",
    ("GET", "/health"): "for whoever watches the process",
    ("GET", "/metrics"): "for Prometheus",
}
UUID = "0198c0de-0000-7000-8000-000000000000"
ARGUMENTS: dict[str, Any] = {
    "image_id": UUID, "key_id": UUID, "dataset": "street", "dataset_name": "street", "name": "x", "new_name": "y",
    "description": "z", "filename": "a.jpg", "file": b"x", "objects": ["car"], "text": "a car", "encoder": "noop",
    "places": [], "picture": b"x", "label": "dog", "threshold": 0.3, "sources": vector_table([1.0]),
    "collection": "dogs", "images": [UUID], "decision": "keep",
    "create_if_missing": False, "path": "nowhere.parquet",
}  # fmt: skip


def requested(client_class: Any) -> set[tuple[str, str]]:
    """(method, path) of every request that some method of the client sends."""
    seen: set[tuple[str, str]] = set()

    def respond(request: httpx.Request) -> httpx.Response:
        seen.add((request.method, request.url.path))
        return httpx.Response(404, json={"error": {"code": "not_found", "message": "x"}})

    with httpx.Client(transport=httpx.MockTransport(respond)) as http:
        client = client_class("k", base_url="http://x", http_client=http)
        for part in (
            client,
            client.search,
            client.tags,
            client.datasets,
            client.images,
            client.collections,
            client.queries,
            client.keys,
            client.reindex,
        ):
            for name, method in inspect.getmembers(part, inspect.ismethod):
                if name.startswith("_") or name in ("close", "embedded", "upload_from_directory"):
                    continue
                parameters = inspect.signature(method).parameters
                given = {key: value for key, value in ARGUMENTS.items() if key in parameters}
                with contextlib.suppress(NotFoundError):
                    list(method(**given) or ())
        with contextlib.suppress(NotFoundError):
            client.search.export("nowhere.zip")
    return seen


def described(service: Service) -> dict[tuple[str, str], re.Pattern[str]]:
    paths = httpx.get(f"{service.address}/openapi.json").json()["paths"]
    return {
        (method.upper(), path): re.compile(re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(path)) + "$")
        for path, item in paths.items()
        for method in item
    }


def test_every_endpoint_is_reached_by_the_sdk_or_named_here_with_the_reason(service: Service) -> None:
    sent = requested(Client)
    unreached = {
        endpoint
        for endpoint, pattern in described(service).items()
        if not any(method == endpoint[0] and pattern.match(path) for method, path in sent)
    }
    assert unreached - set(NOT_IN_THE_SDK) == set()
    assert set(NOT_IN_THE_SDK) <= set(described(service))


def test_every_request_of_the_sdk_is_an_endpoint(service: Service) -> None:
    patterns = described(service)
    for method, path in requested(Client):
        assert any(method == endpoint[0] and pattern.match(path) for endpoint, pattern in patterns.items()), path


def test_every_call_is_used_by_both_clients() -> None:
    made = {
        name
        for name, function in inspect.getmembers(calls, inspect.isfunction)
        if str(inspect.signature(function).return_annotation).startswith("Call[")
        and function.__module__ == calls.__name__
    }
    for client_class in (Client, AsyncClient):
        source = inspect.getsource(inspect.getmodule(client_class))  # type: ignore[arg-type]
        assert {name for name in made if f"calls.{name}(" not in source} == set()


def test_every_endpoint_says_what_it_does_and_how_it_fails(service: Service) -> None:
    specification = httpx.get(f"{service.address}/openapi.json").json()
    for path, item in specification["paths"].items():
        for method, operation in item.items():
            assert operation.get("description"), (method, path)
            failures = {name: answer for name, answer in operation["responses"].items() if name >= "400"}
            assert {"421", "422", "429", "500"} <= failures.keys(), (method, path)
            assert not failures.keys() & {"4XX", "5XX", "501"}, (method, path)
            is_open = "token" in path or "/pictures/" in path
            assert ("401" in failures) == (path.startswith("/api/v1/") and not is_open), (method, path)
            assert ("413" in failures) == ("requestBody" in operation), (method, path)
            for status, answer in failures.items():
                assert answer == {"$ref": f"#/components/responses/Error{status}"}, (method, path)
    for name, answer in specification["components"]["responses"].items():
        content = answer["content"]["application/json"]
        assert content["schema"]["$ref"].endswith("/ErrorAnswer"), name
        error = ErrorAnswer.model_validate(content["example"]).error
        assert error_class_for(int(name.removeprefix("Error")), error.code).code == error.code, name


def test_every_text_that_a_request_can_carry_has_a_limit_in_the_description(service: Service) -> None:
    specification = httpx.get(f"{service.address}/openapi.json").json()
    unlimited = set()
    for path, item in specification["paths"].items():
        for method, operation in item.items():
            for parameter in operation.get("parameters", ()):
                if parameter["in"] == "query" and not limited(parameter["schema"]):
                    unlimited.add(f"{method} {path} {parameter['name']}")
    for name in bodies_of(specification):
        for field, schema in specification["components"]["schemas"][name]["properties"].items():
            if not limited(schema):
                unlimited.add(f"{name}.{field}")
    assert unlimited == set()


def limited(schema: dict[str, Any]) -> bool:
    """Whether each text in it, and each list, has a most."""
    if "anyOf" in schema:
        return all(limited(part) for part in schema["anyOf"])
    if schema.get("type") == "array":
        return "maxItems" in schema and limited(schema["items"])
    if schema.get("type") != "string":
        return True
    if "contentMediaType" in schema:  # a file: the setting max_bytes is its limit
        return True
    return "maxLength" in schema or "enum" in schema or "const" in schema or schema.get("format") in FIXED


FIXED = {"binary", "date-time", "uuid"}


def bodies_of(specification: dict[str, Any]) -> set[str]:
    """Names of the models of request bodies."""
    contents = [
        content["schema"]["$ref"].rpartition("/")[2]
        for item in specification["paths"].values()
        for operation in item.values()
        for content in operation.get("requestBody", {}).get("content", {}).values()
        if "$ref" in content["schema"]
    ]
    return set(contents)


@pytest.mark.parametrize("operation", [("get", "/search/similar"), ("get", "/search/by-tags")])
def test_the_description_of_a_search_carries_the_pages_defaults(service: Service, operation: tuple[str, str]) -> None:
    method, path = operation
    described = httpx.get(f"{service.address}/openapi.json").json()["paths"][API_PREFIX + path][method]
    limits = {item["name"]: item["schema"] for item in described["parameters"]}
    assert (limits["limit"]["default"], limits["limit"]["minimum"], limits["limit"]["maximum"]) == (50, 1, 500)
    if path.endswith("similar"):
        number, auto = limits["threshold"]["anyOf"]
        assert (limits["threshold"]["default"], number["minimum"], number["maximum"]) == (0.6, 0, 1)
        assert auto["const"] == "auto"
