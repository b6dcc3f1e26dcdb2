"""What `/openapi.json` says beyond what FastAPI reads from the routes.

Short operation ids, failures, other names, limits of bodies, descriptions and examples of what has none.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from fastapi import FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.encoders import jsonable_encoder
from fastapi.routing import APIRoute
from fastapi.security import APIKeyHeader

from pictograph.errors import error_class_for
from pictograph.naming import aliases_of, other_names
from pictograph.server.access import API_KEY_HEADER, KeyFirst, reads
from pictograph.server.admission import LargeJson, UploadBody
from pictograph.server.examples import BY_NAME, Examples, NoExample
from pictograph.server.strict import JSON_BYTES, Strict, body_model
from pictograph.types import MAX_QUERY_BYTES
from pictograph.wire import PICTURES_PREFIX

Document = dict[str, Any]

REASONS: Final[Mapping[int, str]] = {
    400: "The body cannot be read.",
    401: "No key, or one that is unknown, revoked or expired.",
    403: "The key's role is too low, or may not do this to that; or the URL's signature does not fit, or has expired.",
    404: "It does not exist, or it belongs to another organization.",
    405: "This path does not take the method; `Allow` names those that it takes.",
    408: "The request, or the rest of it, did not come in time.",
    409: "The name is taken, or the state forbids it.",
    413: "The body, or the picture in it, is larger than the server takes.",
    414: "The address with its query is too long.",
    415: "This route does not read a body of this content type.",
    416: "The range of `Range` begins behind the end of the file.",
    421: "The name in `Host` is not the service's.",
    422: "A value is wrong, or a parameter or field does not exist.",
    429: "Too many requests at once: send this one again after `Retry-After` seconds.",
    431: "The headers are too long.",
    500: "A fault of the service; its log has the cause under the request id.",
    503: "The database, the blob store or an embedding is not there just now: come back after `Retry-After` seconds.",
    507: "The disk is full.",
}
KEY: Final = APIKeyHeader(name=API_KEY_HEADER, description="`pk_live_` and 64 hexadecimal digits.")
REQUEST_ID: Final[Mapping[str, Any]] = {
    "X-Request-Id": {"description": "Names this request in the log.", "schema": {"type": "string"}}
}
ALWAYS: Final = (408, 414, 421, 422, 429, 431, 500)
"""Whatever is asked: these are said before the route is found."""
WITH_BODY: Final = (400, 413, 415)
NAMES_A_THING: Final = frozenset(
    {
        "collection",
        "cursor",
        "dataset",
        "dataset_name",
        "directory_path",
        "encoder",
        "image_id",
        "image_ids",
        "key_id",
        "label",
    }
    | {"organization_id", "path", "query", "token"}
)
"""Parameters and fields that can name what does not exist."""
IN_A_STATE: Final = ("/search/", "/thumbnail", "/tags")
"""Paths of questions that the state of what they ask about can forbid."""
PARAMETERS: Final[Mapping[str, str]] = {
    "collection": "Name or UUID of the collection.",
    "cursor": "`next_cursor` of the page before.",
    "dataset": "Name or UUID of the dataset.",
    "image_id": "UUID of the image.",
    "images_offset": "Images to skip; not stable while images come and go.",
    "include_archived": "Whether archived images are listed too.",
    "key_id": "UUID of the key.",
    "limit": "The largest number of rows to return.",
    "offset": "Rows to skip; not stable while rows come and go.",
    "path": "Folder and filename, as in `night/crossing.jpg`.",
    "permanent": "Whether it is removed for good; else it is archived, and can be restored.",
    "query": "Name or UUID of the saved query.",
    "token": "The end of the `upload_url`.",
}
"""What a parameter of this name means, where its route does not say it."""
PICTURES: Final = ("/images/{image_id:uuid}", "/images/{dataset}/{path:path}", "/thumbnail", "/original")
"""Paths of pictures, which an image may not have."""


def operation_id(route: APIRoute) -> str:
    """`search_by_text`, `datasets_list`, `images_upload`: the route's tag, and what its function's name adds."""
    tag = str(route.tags[0]).replace(" ", "_") if route.tags else ""
    of_tag = {word.removesuffix("s") for word in tag.split("_")}
    words = [word for word in route.name.split("_") if word.removesuffix("s") not in of_tag]
    return "_".join([*([tag] if tag else []), *words])


def describe(app: FastAPI, routes: Sequence[APIRoute]) -> None:
    """Makes the application's OpenAPI document complete. routes: all of them."""
    original: Callable[[], Document] = app.openapi

    def openapi() -> Document:
        if app.openapi_schema is None or "x-described" not in app.openapi_schema:
            document = original()
            components = document["components"]
            for unused in ("HTTPValidationError", "ValidationError"):
                components["schemas"].pop(unused, None)
            for route in routes:
                for method in route.methods or ():
                    describe_operation(document["paths"][route.path_format][method.lower()], route, method)
            for operation in operations_of(document):
                show_examples(operation, Examples(components["schemas"]))
            components["responses"] = {f"Error{status}": failure(status) for status in REASONS}
            components["securitySchemes"] = {KEY.scheme_name: jsonable_encoder(KEY.model, exclude_none=True)}
            app.openapi_schema = document | {"x-described": True}
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]


def describe_operation(operation: Document, route: APIRoute, method: str) -> None:
    """Adds failures, other names and limits to one operation."""
    responses = operation["responses"]
    for general in ("4XX", "5XX", "422"):
        responses.pop(general, None)
    for response in responses.values():
        response.setdefault("headers", {}).update(REQUEST_ID)
    for status in sorted(statuses_of(route, method)):
        responses[str(status)] = {"$ref": f"#/components/responses/Error{status}"}
    for parameter in operation.get("parameters", ()):
        parameter.setdefault("description", PARAMETERS.get(parameter["name"], ""))
    if isinstance(route, Strict):
        describe_names(operation, route)
        if needs_key(route.dependant):
            operation["security"] = [{KEY.scheme_name: []}]


def operations_of(document: Document) -> Iterator[Document]:
    """Every operation of every path."""
    for item in document["paths"].values():
        yield from item.values()


def show_examples(operation: Document, examples: Examples) -> None:
    """Adds an example to each parameter, body and answer that has none; bytes have none."""
    for parameter in operation.get("parameters", ()):
        show_example(parameter, examples, parameter["name"].lower())
    for content in operation.get("requestBody", {}).get("content", {}).values():
        show_example(content, examples, "", asked=True)
    for response in operation["responses"].values():
        for content in response.get("content", {}).values():
            show_example(content, examples, "")


def show_example(place: Document, examples: Examples, name: str, *, asked: bool = False) -> None:
    """Adds an example to a place with a schema; a test sees to it that none is missing."""
    if place.keys() & {"example", "examples"} or place.get("schema", {}).get("format") == "binary":
        return
    with contextlib.suppress(NoExample):
        place["example"] = examples.of(place.get("schema", {}), name, asked=asked)


def failure(status: int) -> Document:
    """An answer that is not a success."""
    reason, request_id = REASONS[status], BY_NAME["request_id"]
    error = {"code": error_class_for(status, None).code, "message": reason, "request_id": request_id, "details": {}}
    described: Document = {
        "description": reason,
        "headers": {**REQUEST_ID},
        "content": {
            "application/json": {
                "schema": {"$ref": "#/components/schemas/ErrorAnswer"},
                "example": {"error": error, "detail": reason},
            }
        },
    }
    if status in (429, 503):
        whole = {"type": "string", "pattern": "^[0-9]+$"}
        described["headers"]["Retry-After"] = {"description": "Seconds to wait.", "schema": whole}
    return described


def statuses_of(route: APIRoute, method: str) -> set[int]:
    """Every status that is not a success and that this operation can answer with."""
    statuses = {*ALWAYS}
    if route.path != "/health":
        statuses.add(503)
    if isinstance(route, KeyFirst) or (isinstance(route, Strict) and needs_key(route.dependant)):
        statuses |= {401} | ({403} if needs_more_than(route.dependant) else set())
    if names_of(route) & NAMES_A_THING or "{" in route.path:
        statuses.add(404)
    takes_bytes = "requestBody" in (route.openapi_extra or {})
    if takes_bytes or route.body_field is not None or method == "PUT" or isinstance(route, UploadBody):
        statuses |= {*WITH_BODY}
    if ":uuid}" in route.path and method not in ("GET", "DELETE"):
        statuses.add(405)  # for what is no UUID: then it is a path, of which less can be asked
    if method != "GET":
        statuses.add(507)
    if method != "GET" or any(part in route.path for part in IN_A_STATE) or route.path.endswith(PICTURES):
        statuses.add(409)
    if method == "GET" and route.path.endswith(PICTURES):
        statuses.add(416)
    if route.path.startswith(PICTURES_PREFIX):
        statuses.add(403)
    return statuses


def calls_of(dependant: Dependant) -> Iterator[Any]:
    """All that an endpoint depends on."""
    for needed in dependant.dependencies:
        yield needed.call
        yield from calls_of(needed)


def needs_key(dependant: Dependant) -> bool:
    """Whether the endpoint asks who calls."""
    return any(
        getattr(call, "__module__", "") == reads.__module__ and call.__name__ == "check" for call in calls_of(dependant)
    )


def needs_more_than(dependant: Dependant) -> bool:
    """Whether some key may call it and another may not."""
    checks = {call for call in calls_of(dependant) if getattr(call, "__name__", "") == "check"}
    return bool(checks - {reads})


def names_of(route: APIRoute) -> set[str]:
    """Names of its parameters and of the fields of its body."""
    if not isinstance(route, Strict):
        return set()
    model = body_model(route.dependant)
    fields = set(model.model_fields) if model is not None and not route.form_names.known else set()
    return {*route.query_names.known, *route.form_names.known, *fields}


def describe_names(operation: Document, route: Strict) -> None:
    """Says which other names are taken, and how large a body may be; what must be given comes first."""
    operation.get("parameters", []).sort(key=lambda parameter: not parameter["required"])
    aliases = aliases_of(route.query_names.known)
    for parameter in operation.get("parameters", ()):
        others = other_names(parameter["name"], aliases) if parameter["in"] == "query" else []
        if others:
            parameter["x-aliases"] = others
            parameter["description"] = f"{parameter.get('description', '')} Also: {listed(others)}.".strip()
    body = operation.get("requestBody")
    if body is None or route.body_field is None:
        return
    names = [*route.form_names.known] or sorted(names_of(route) - {*route.query_names.known})
    aliases = aliases_of(names)
    taken = [f"`{name}` also as {listed(other_names(name, aliases))}" for name in names if other_names(name, aliases)]
    limit = (
        "The setting `max_bytes` says how large the file may be."
        if route.form_names.known
        else f"At most {MAX_QUERY_BYTES if isinstance(route, LargeJson) else JSON_BYTES} bytes."
    )
    body["description"] = " ".join([limit, *([f"Other names: {'; '.join(taken)}."] if taken else [])])


def listed(names: Sequence[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)
