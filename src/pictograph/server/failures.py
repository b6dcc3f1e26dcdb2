"""Every failure leaves in one shape, with a status, a code and a request id."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any, Final, get_args

from fastapi import FastAPI, Request
from fastapi.encoders import jsonable_encoder
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from fastapi.routing import APIRoute
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from pictograph.errors import (
    ApiError,
    EmbeddingPending,
    NotSupported,
    PictographError,
    RangeNotSatisfiable,
    ServerError,
    SlowSender,
    Unavailable,
    ValidationError,
    error_class_for,
)
from pictograph.naming import aliases_of, unknown_name
from pictograph.server.missing import not_supported
from pictograph.server.strict import body_model
from pictograph.shown import shown
from pictograph.wire import UPLOADS_PREFIX

logger = logging.getLogger(__name__)

CALLED: Final = ("GET", "POST", "PUT", "PATCH", "DELETE")
"""Methods by which published clients call."""
OF_THEMSELVES: Final = ("extra_forbidden", "two_values")
"""Errors whose message names the field."""


def install_error_handlers(app: FastAPI, routes: Sequence[APIRoute] = ()) -> None:
    """One answer for errors of ours, of the framework, and for bugs. routes: all of them, to say what is allowed."""

    @app.exception_handler(ApiError)
    async def on_api_error(request: Request, error: ApiError) -> JSONResponse:
        return answer(request, error)

    @app.exception_handler(PictographError)
    async def on_other_error(request: Request, error: PictographError) -> JSONResponse:
        return answer(request, ServerError(error.message))

    @app.exception_handler(RequestValidationError)
    async def on_wrong_value(request: Request, error: RequestValidationError) -> JSONResponse:
        return answer(request, wrong_values(error, body_model_of(request)))

    @app.exception_handler(HTTPException)
    async def on_http_error(request: Request, error: HTTPException) -> Response:
        return http_answer(request, error, routes)

    @app.exception_handler(Exception)
    async def on_bug(request: Request, error: Exception) -> JSONResponse:
        told = ServerError("The server failed unexpectedly. Its log has the details under this request id.")
        told.__cause__ = error
        return answer(request, told)


def http_answer(request: Request, error: HTTPException, routes: Sequence[APIRoute]) -> Response:
    """What the framework refuses, in the one shape; of a method that is not allowed also what is."""
    if isinstance(error.__cause__, ApiError):  # FastAPI wraps what is raised while it reads a form or JSON
        return answer(request, error.__cause__)
    if isinstance(error.__cause__, ClientDisconnect):  # nobody hears the answer, but the log shall be right
        return answer(request, ValidationError("The connection ended before the request was whole.", status_code=400))
    path = request.url.path
    allowed = methods_at(path, routes) if error.status_code == 405 else []
    if request.method == "OPTIONS" and allowed:
        return Response(status_code=204, headers={"Allow": ", ".join(allowed)})
    if (
        error.status_code in (404, 405)
        and request.method in CALLED
        and (missing := not_supported(request.method, path))
    ):
        return answer(request, missing)
    error_class = error_class_for(error.status_code, None)
    answered = answer(request, error_class(describe_http(request, error), status_code=error.status_code))
    for name, value in (error.headers or {}).items():
        answered.headers[name] = value
    if allowed:
        answered.headers["Allow"] = ", ".join(allowed)
    return answered


def answer(request: Request, error: ApiError) -> JSONResponse:
    """The one shape; headers tell when to come back. The log gets the cause under the same id."""
    request_id = getattr(request.state, "request_id", None)
    log_failure(request, error, request_id)
    message = shown(error.message)
    body = {"code": error.code, "message": message, "request_id": request_id, "details": error.details}
    headers = {"X-Request-Id": request_id} if request_id else {}
    if error.retry_after_s is not None:
        headers["Retry-After"] = str(max(1, round(error.retry_after_s)))
    if isinstance(error, SlowSender):  # what may still come is no next request (RFC 9110, 15.5.9)
        headers["Connection"] = "close"
    if isinstance(error, RangeNotSatisfiable) and "size" in error.details:
        headers["Content-Range"] = f"bytes */{error.details['size']}"
    content = {"error": jsonable_encoder(body), "detail": message}
    return JSONResponse(content, status_code=error.status_code, headers=headers)


def log_failure(request: Request, error: ApiError, request_id: str | None) -> None:
    """One line for what the caller can mend; for what we must, the whole story too."""
    status = error.status_code
    told = (request.method, loggable_path(request.url.path), status, error.code, error.message)
    level, story = logging.INFO, None
    if status >= 500 and not isinstance(error, NotSupported | EmbeddingPending):
        level = logging.WARNING if isinstance(error, Unavailable) else logging.ERROR
        cause = error.__cause__ or (error if error.__traceback__ and level == logging.ERROR else None)
        story = (type(cause), cause, cause.__traceback__) if cause else None
    logger.log(level, "%s %s: %d %s: %s", *told, exc_info=story, extra={"request_id": request_id})


def loggable_path(path: str) -> str:
    """The path without what is a permission: the token of an upload."""
    return f"{UPLOADS_PREFIX}/..." if path.startswith(UPLOADS_PREFIX) else path


def methods_at(path: str, routes: Sequence[APIRoute]) -> list[str]:
    """What may be done there, for `Allow`."""
    found = {method for route in routes if route.path_regex.match(path) for method in route.methods or ()}
    return sorted(found | {"OPTIONS"} | ({"HEAD"} if "GET" in found else set())) if found else ["GET", "HEAD"]


def body_model_of(request: Request) -> type[BaseModel] | None:
    """What the request's body should have been, if the route reads one."""
    route = request.scope.get("route")
    return body_model(route.dependant) if isinstance(route, APIRoute) else None


def wrong_values(error: RequestValidationError, model: type[BaseModel] | None = None) -> ValidationError:
    """`limit: Input should be less than or equal to 500 (got '501')`, for each wrong value. model: of the body."""
    found = list(error.errors())
    errors = [{"loc": [str(part) for part in item["loc"]], "msg": said_of(item, model)} for item in found]
    message = "; ".join(describe_value(item, model) for item in found)
    return ValidationError(shown(message), details={"errors": errors})


def describe_value(item: dict[str, Any], model: type[BaseModel] | None) -> str:
    if item["type"] in OF_THEMSELVES:
        return said_of(item, model)
    if item["type"] == "json_invalid":
        return said_of(item, model)
    where = ".".join(str(part) for part in item["loc"][1:]) or str(item["loc"][0])
    got = "" if item["type"] == "missing" else f" (got {str(item['input'])[:100]!r})"
    return f"{where}: {item['msg']}{got}"


def said_of(item: dict[str, Any], model: type[BaseModel] | None) -> str:
    """What is wrong; of a field that does not exist also what was probably meant."""
    if item["type"] == "json_invalid":
        return f"The body cannot be read as JSON: {item['ctx']['error']} at character {item['loc'][-1]}."
    if item["type"] != "extra_forbidden":
        return shown(str(item["msg"]))
    *inside, name = item["loc"][1:]
    known = fields_at(model, inside)
    return shown(unknown_name("field", str(name), known, aliases_of(known)))


def fields_at(model: type[BaseModel] | None, inside: Sequence[Any]) -> list[str]:
    """The fields of the model, or of one within it."""
    for part in inside:
        if model is not None and part in model.model_fields:
            annotation = model.model_fields[part].annotation
            parts = [annotation, *get_args(annotation)]
            model = next((kind for kind in parts if isinstance(kind, type) and issubclass(kind, BaseModel)), None)
    return [] if model is None else [field.alias or name for name, field in model.model_fields.items()]


def describe_http(request: Request, error: HTTPException) -> str:
    if error.status_code == 404:
        return f"There is no endpoint {request.method} {request.url.path}. /docs lists them all."
    if error.status_code == 405:
        return f"{request.method} is not allowed on {request.url.path}. /docs lists what is."
    return str(error.detail)
