"""The OpenAPI document leaves a program nothing to guess: ids, descriptions, examples. A new route must say as much."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from pictograph.server.app import create_app
from pictograph.server.examples import BY_MODEL, BY_NAME, Examples, NoExample
from pictograph.settings import Settings

IDS = Path(__file__).with_name("operation_ids.txt")
BINARY = re.compile(r"image/|application/(octet-stream|vnd\.|zip|x-tar)")
"""Content types of bytes, which no example can show."""


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return create_app(Settings(), "").openapi()


def operations(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, item in document["paths"].items():
        for method, operation in item.items():
            yield f"{method.upper()} {path}", operation


def places(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Everything that must have an example: parameters, bodies, answers; not bytes."""
    for name, operation in operations(document):
        for parameter in operation.get("parameters", ()):
            yield f"{name}: parameter {parameter['name']}", parameter
        contents = {"body": operation.get("requestBody", {}), **operation["responses"]}
        for part, described in contents.items():
            for content_type, content in described.get("content", {}).items():
                if not BINARY.match(content_type):
                    yield f"{name}: {part} as {content_type}", content


def test_operation_ids_are_short_and_each_names_one_operation(document: dict[str, Any]) -> None:
    ids = [operation["operationId"] for _, operation in operations(document)]
    assert len(ids) == len(set(ids)), "The tag of a route and the name of its function make its id: rename a function."
    for name in ids:
        assert re.fullmatch(r"[a-z]+(_[a-z]+)*", name), name
        assert len(name) <= 40, f"{name} is too long: give the route's function a shorter name."


def test_operation_ids_stay(document: dict[str, Any]) -> None:
    now = {f"{operation['operationId']} {name}" for name, operation in operations(document)}
    published = set(IDS.read_text(encoding="utf-8").splitlines())
    assert not now - published, f"New routes: add these lines to {IDS.name}, in order: {sorted(now - published)}"
    assert not published - now, f"Programs call these, and they are gone or changed: {sorted(published - now)}"


def test_every_operation_parameter_model_and_field_is_described(document: dict[str, Any]) -> None:
    silent = []
    for name, operation in operations(document):
        silent += [] if operation.get("description") else [f"{name}: a docstring of the route"]
        for parameter in operation.get("parameters", ()):
            if not parameter.get("description"):
                silent.append(f"{name}: `description=` of parameter {parameter['name']}, or described.py PARAMETERS")
    for model, schema in document["components"]["schemas"].items():
        silent += [] if schema.get("description") or model.startswith("Body_") else [f"{model}: its docstring"]
        for field, part in schema.get("properties", {}).items():
            if not part.get("description"):
                silent.append(f"{model}.{field}: a docstring below the field, other than that of its own model")
    assert silent == []


def test_every_parameter_body_and_answer_has_an_example(document: dict[str, Any]) -> None:
    examples = Examples(document["components"]["schemas"])
    missing = []
    for name, place in places(document):
        if place.keys() & {"example", "examples"}:
            continue
        try:
            examples.of(place.get("schema", {}), name.rpartition(" ")[2], asked=": body" in name)
        except NoExample as error:
            missing.append(f"{name}: add {str(error).rpartition('.')[2]!r} to BY_NAME, or {error!s} to BY_MODEL")
        else:
            missing.append(f"{name}: give its content a schema, or an `example` in `responses=`")
    assert missing == [], "in src/pictograph/server/examples.py"


def test_every_example_is_what_its_schema_allows(document: dict[str, Any]) -> None:
    wrong = []
    for name, place in places(document):
        if "example" in place:
            whole = {**place["schema"], "components": document["components"]}
            for error in jsonschema_rs.Draft202012Validator(whole).iter_errors(place["example"]):
                at = "/".join(map(str, error.instance_path))
                wrong.append(f"{name}: {at}: {error.message}")
    assert wrong == [], "in src/pictograph/server/examples.py"


def test_the_example_of_a_body_shows_what_to_send(document: dict[str, Any]) -> None:
    empty = [name for name, place in places(document) if ": body" in name and not place["example"]]
    assert empty == [], "give the model of the body an example in BY_MODEL of src/pictograph/server/examples.py"


def test_the_config_for_generated_clients_names_every_kind_of_bytes(document: dict[str, Any]) -> None:
    config = (Path(__file__).parents[3] / "examples" / "openapi-python-client.yaml").read_text(encoding="utf-8")
    for name, operation in operations(document):
        for part in (operation.get("requestBody", {}), *operation["responses"].values()):
            for kind in part.get("content", {}):
                known = kind in ("application/json", "application/octet-stream", "multipart/form-data")
                assert known or kind.startswith("text/") or f"{kind}: application/octet-stream" in config, (name, kind)


def test_examples_name_only_what_there_is(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    fields = {field for schema in schemas.values() for field in schema.get("properties", {})}
    parameters = {
        item["name"].lower() for _, operation in operations(document) for item in operation.get("parameters", ())
    }
    assert not BY_NAME.keys() - fields - parameters
    for key in BY_MODEL:
        model, _, field = key.partition(".")
        assert model in schemas, key
        assert not field or field in schemas[model]["properties"], key


def test_a_field_without_a_value_is_named() -> None:
    schemas = {"Model": {"properties": {"odd": {"type": "string"}}, "required": ["odd"]}}
    with pytest.raises(NoExample, match=r"Model\.odd"):
        Examples(schemas).of({"$ref": "#/components/schemas/Model"}, "")
