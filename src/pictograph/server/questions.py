"""Routes of questions: read by one compiled validator, and answered without a second look at what we made ourselves.

FastAPI reads parameters one by one and walks through all dependencies at every request, which took longer than the
search of a small folder. These routes are declared like any other, so the OpenAPI document says the same of them.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final, NotRequired, get_args, get_origin

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.params import Depends as DependsOn
from pydantic import TypeAdapter, ValidationError
from typing_extensions import TypedDict

from pictograph.server.strict import Handler, Names, Strict, check_path, pairs_of

JSON: Final = "application/json"
NOTHING: Final[Mapping[str, Any]] = {}


@dataclass(frozen=True, slots=True)
class Step:
    """An async function, and where each of its arguments comes from."""

    function: Callable[..., Any]
    of_request: tuple[str, ...]
    """Arguments that are the request itself."""
    of_query: Mapping[str, Any]
    """Argument to its default; those without one are not absent, or the request was refused."""
    of_steps: Mapping[str, Step]
    """Argument to what gives it."""

    @property
    def asks(self) -> bool:
        """Whether it, or a step before it, reads the query."""
        return bool(self.of_query) or any(step.asks for step in self.of_steps.values())

    async def run(self, request: Request, query: Mapping[str, Any], known: Mapping[str, Any] = NOTHING) -> Any:
        """What the function gives. known: arguments that are there already."""
        arguments = {**self.of_query, **known}
        for name in self.of_query.keys() & query.keys():
            arguments[name] = query[name]
        for name in self.of_request:
            arguments[name] = request
        for name, step in self.of_steps.items():
            if name not in known:
                arguments[name] = await step.run(request, query)
        return await self.function(**arguments)


class Question(Strict):
    """A GET route whose endpoint, and all it depends on, is async and takes query parameters and the request only."""

    def get_route_handler(self) -> Handler:
        """Who asks is settled before what is asked is read, as on every route."""
        fields: dict[str, Any] = {}
        last = step_of(self.endpoint, fields)
        first = {name: step for name, step in last.of_steps.items() if not step.asks}
        names = self.query_names
        query: TypeAdapter[Any] = TypeAdapter(TypedDict("Query", fields))  # type: ignore[operator]
        answer: TypeAdapter[Any] = TypeAdapter(self.response_model)

        async def handle(request: Request) -> Response:
            known = {name: await step.run(request, NOTHING) for name, step in first.items()}
            check_path(request.scope)
            given = by_name(request.scope["query_string"], names)
            try:
                values = query.validate_python(given)
            except ValidationError as error:
                raise refused(error) from error
            answered = await last.run(request, values, known)
            return answered if isinstance(answered, Response) else Response(answer.dump_json(answered), media_type=JSON)

        return handle


def step_of(function: Callable[..., Any], fields: dict[str, Any]) -> Step:
    """The function with all it depends on; its query parameters, and theirs, are added to the fields of a TypedDict."""
    of_request: list[str] = []
    of_query: dict[str, Any] = {}
    of_steps: dict[str, Step] = {}
    for name, parameter in inspect.signature(function, eval_str=True).parameters.items():
        metadata = get_args(parameter.annotation)[1:] if get_origin(parameter.annotation) is Annotated else ()
        needed = next((item.dependency for item in metadata if isinstance(item, DependsOn)), None)
        if isinstance(parameter.annotation, type) and issubclass(Request, parameter.annotation):
            of_request.append(name)
        elif needed:
            of_steps[name] = step_of(needed, fields)
        elif parameter.default is inspect.Parameter.empty:
            of_query[name] = None
            fields[name] = parameter.annotation
        else:
            of_query[name] = parameter.default
            fields[name] = NotRequired[parameter.annotation]
    return Step(function, tuple(of_request), of_query, of_steps)


def by_name(query: bytes, names: Names) -> dict[str, Any]:
    """The query's values: of a list all that were given, of anything else the one."""
    given: dict[str, Any] = {}
    for name, value in names.read(pairs_of(query)):
        if name in names.lists:
            given.setdefault(name, []).append(value)
        else:
            given[name] = value
    return given


def refused(error: ValidationError) -> RequestValidationError:
    """As FastAPI itself would say it."""
    return RequestValidationError(
        [{**item, "loc": ("query", *item["loc"])} for item in error.errors(include_url=False)]
    )
