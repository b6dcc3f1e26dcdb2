"""Routes that take what they declare and nothing else: a typo that is ignored would search, or change, the wrong thing.

Every route of the service is one of these; the names are read from what the route declares, however it declares it.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias, TypeVar, get_args, get_origin
from urllib.parse import parse_qsl, unquote_to_bytes

from fastapi import Request, Response, params
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from pydantic import BaseModel
from starlette.datastructures import FormData, QueryParams

from pictograph.errors import NotFoundError, UnsupportedFormat, ValidationError, wrong_value
from pictograph.naming import aliases_of, two_values, unknown_name
from pictograph.wire import Body

Handler: TypeAlias = Callable[[Request], Coroutine[Any, Any, Response]]
Value = TypeVar("Value")

JSON_BYTES: Final = 1_000_000
"""Largest JSON body; what has more to say comes as a file, or in several requests."""
MOST_PARAMETERS: Final = 2000
MOST_FILES: Final = 4
MOST_FIELDS: Final = 20
MOST_FIELD_BYTES: Final = 64 * 1024
"""Of a form: one file and a few short fields are used, the rest is room for mistakes to be named."""
IGNORED_HEADER: Final = "Pictograph-Ignored"
"""Names the fields that a request carried and that mean nothing here."""


@dataclass(frozen=True, slots=True)
class Names:
    """The parameters that a query, or the fields that a form, may have."""

    what: str
    """`parameter` or `field`, for people."""
    where: str
    """`query` or `body`, as `details.errors` has it."""
    known: tuple[str, ...]
    lists: frozenset[str]
    """Those that may be repeated."""
    aliases: Mapping[str, str]

    @classmethod
    def of(cls, what: str, where: str, declared: Mapping[str, Any]) -> Names:
        """declared: name to type."""
        lists = frozenset(name for name, annotation in declared.items() if is_list(annotation))
        return cls(what, where, tuple(declared), lists, aliases_of(declared))

    def read(self, given: Iterable[tuple[str, Value]]) -> list[tuple[str, Value]]:
        """The same by the declared names. Raises ValidationError for unknown names and for several values of one."""
        seen: dict[str, tuple[str, Value]] = {}
        pairs: list[tuple[str, Value]] = []
        faults: dict[str, str] = {}
        for name, value in given:
            declared = self.aliases.get(name, name)
            if declared not in self.known:
                faults[name] = unknown_name(self.what, name, self.known, self.aliases)
            elif declared in self.lists:
                pairs.append((declared, value))
            elif declared not in seen:
                seen[declared] = (name, value)
                pairs.append((declared, value))
            elif seen[declared][0] == name:
                faults[name] = f"{name!r} was given more than once. Send it once."
            elif seen[declared][1] != value:
                faults[name] = two_values(seen[declared][0], name)
        if faults:
            raise wrong_names(self.where, faults)
        return pairs


def wrong_names(where: str, faults: Mapping[str, str]) -> ValidationError:
    """422 with a sentence for each name; the first few are also the message."""
    errors = [{"loc": [where, name], "msg": message} for name, message in list(faults.items())[:10]]
    return ValidationError(" ".join(str(item["msg"]) for item in errors[:3]), details={"errors": errors})


def is_list(annotation: Any) -> bool:
    """Whether a parameter may be repeated: its type is a list, perhaps an optional or a required one."""
    return get_origin(annotation) is list or any(
        is_list(part) for part in get_args(annotation) if not isinstance(part, str)
    )


def query_fields(dependant: Dependant) -> Iterator[tuple[str, Any]]:
    """Name and type of each query parameter that an endpoint, or anything it depends on, declares."""
    for field in dependant.query_params:
        annotation = field.field_info.annotation
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            yield from ((item.alias or name, item.annotation) for name, item in annotation.model_fields.items())
        else:
            yield field.alias, annotation
    for needed in dependant.dependencies:
        yield from query_fields(needed)


def form_fields(dependant: Dependant) -> Iterator[tuple[str, Any]]:
    """Name and type of each field of its form."""
    for field in dependant.body_params:
        if isinstance(field.field_info, params.Form):
            yield field.alias, field.field_info.annotation
    for needed in dependant.dependencies:
        yield from form_fields(needed)


def body_model(dependant: Dependant) -> type[BaseModel] | None:
    """The model of its JSON body; None if it reads none."""
    for field in dependant.body_params:
        annotation = field.field_info.annotation
        models = [annotation, *get_args(annotation)]
        for model in models:
            if isinstance(model, type) and issubclass(model, BaseModel):
                return model
    return None


class StrictRequest(Request):
    """A request whose query and body are read with the same care."""

    form_names: Names | None = None

    def __init__(self, request: Request, names: Names) -> None:
        """names: of the query. Raises ValidationError for unknown ones and for several values of one."""
        super().__init__(request.scope, request.receive)
        query = request.scope["query_string"]
        self._by_declared_names = QueryParams(names.read(pairs_of(query)) if query else [])

    @property
    def query_params(self) -> QueryParams:
        """The query by the declared names."""
        return self._by_declared_names

    async def json(self) -> Any:
        """The body. Raises ValidationError for what is no JSON, or says a thing twice."""
        if not hasattr(self, "_json"):
            self._json = await parsed(await self.body())
        return self._json

    async def _get_form(
        self,
        *,
        max_files: float = MOST_FILES,
        max_fields: float = MOST_FIELDS,
        max_part_size: int = MOST_FIELD_BYTES,
    ) -> FormData:
        form = await super()._get_form(
            max_files=min(max_files, MOST_FILES),
            max_fields=min(max_fields, MOST_FIELDS),
            max_part_size=min(max_part_size, MOST_FIELD_BYTES),
        )
        if self.form_names is not None:
            try:
                form = self._form = FormData(self.form_names.read(form.multi_items()))
            except ValidationError:
                await form.close()
                raise
        return form


async def parsed(body: bytes) -> Any:
    """As `read_json`; other requests go on while a large body is read."""
    return read_json(body) if len(body) <= JSON_BYTES else await asyncio.to_thread(read_json, body)


def read_json(body: bytes) -> Any:
    """As `json.loads`, but a key that stands twice in one object, and numbers that JSON does not have, are refused."""
    try:
        return json.loads(body, object_pairs_hook=once_each, parse_constant=no_constant)
    except json.JSONDecodeError:
        raise  # FastAPI tells where
    except UnicodeDecodeError as error:
        raise not_json(f"it is not UTF-8 ({error.reason} at byte {error.start})") from error
    except RecursionError as error:
        raise not_json("it is nested too deeply") from error
    except ValueError as error:
        raise not_json("a number in it has too many digits") from error


def once_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name, value in pairs:
        if name in values:
            raise wrong_names("body", {name: f"The field {name[:60]!r} was given more than once. Send it once."})
        values[name] = value
    return values


def no_constant(name: str) -> Any:
    raise not_json(f"{name} is not a number of JSON")


def not_json(why: str) -> ValidationError:
    message = f"The body cannot be read as JSON: {why}."
    return wrong_value("body", message)


class Strict(APIRoute):
    """A route that refuses unknown, repeated and contradicting names, and bodies of another kind than it reads."""

    def get_route_handler(self) -> Handler:
        """The handler, behind that."""
        return self.with_names(super().get_route_handler())

    def with_names(self, handle: Handler) -> Handler:
        """`handle`, given a request whose names are the declared ones."""
        names, forms = self.query_names, self.form_names
        model = body_model(self.dependant) if not forms.known else None
        ignored = frozenset(model.MEANINGLESS) if model is not None and issubclass(model, Body) else frozenset()

        async def handle_strictly(request: Request) -> Response:
            check_path(request.scope)
            strict = StrictRequest(request, names)
            if model is None and not forms.known:
                return await handle(strict)
            check_content_type(strict, is_form=bool(forms.known))
            strict.form_names = forms if forms.known else None
            if not forms.known:
                request.scope.setdefault("state", {})["body_limit"] = JSON_BYTES
            response = await handle(strict)
            if ignored:
                tell_ignored(response, strict, ignored)
            return response

        return handle_strictly

    @property
    def query_names(self) -> Names:
        """The parameters that its query may have."""
        return Names.of("parameter", "query", dict(query_fields(self.dependant)))

    @property
    def form_names(self) -> Names:
        """The fields that its form may have; none if it reads no form."""
        return Names.of("field", "body", dict(form_fields(self.dependant)))


def check_path(scope: Mapping[str, Any]) -> None:
    """Raises NotFoundError for a path whose bytes are not UTF-8: decoded carelessly it could name something else."""
    raw: bytes = scope.get("raw_path") or b""
    try:
        unquote_to_bytes(raw).decode()
    except UnicodeDecodeError as error:
        raise NotFoundError(
            "This path does not exist: it is not valid UTF-8. Percent-encode names as UTF-8."
        ) from error


def pairs_of(query: bytes) -> list[tuple[str, str]]:
    """Names and values of a query string. Raises ValidationError for what is not UTF-8."""
    try:
        return parse_qsl(query.decode(), keep_blank_values=True, errors="strict", max_num_fields=MOST_PARAMETERS)
    except UnicodeDecodeError as error:
        raise ValidationError("The query is not valid UTF-8. Percent-encode values as UTF-8.") from error
    except ValueError as error:
        raise ValidationError(
            f"The query has more than {MOST_PARAMETERS} parameters. Ask in several requests."
        ) from error


def check_content_type(request: Request, *, is_form: bool) -> None:
    """Raises UnsupportedFormat for a body of another kind than the route reads. A request without a body passes."""
    kind = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if is_form:
        right = kind in ("multipart/form-data", "application/x-www-form-urlencoded")
        wanted = "a form, which is sent as multipart/form-data"
    else:
        right = kind == "application/json" or (kind.startswith("application/") and kind.endswith("+json"))
        wanted = "JSON, which is sent with Content-Type: application/json"
    is_empty = request.headers.get("content-length", "0") == "0" and "transfer-encoding" not in request.headers
    if not right and not (is_empty and not kind):
        raise UnsupportedFormat(f"This route reads {wanted}. This request says {kind[:60]!r}.")


def tell_ignored(response: Response, request: StrictRequest, meaningless: frozenset[str]) -> None:
    body = getattr(request, "_json", None)
    if isinstance(body, dict):
        aliases = aliases_of(meaningless)
        given = sorted(
            name for name, value in body.items() if aliases.get(name, name) in meaningless and value is not None
        )
        if given:
            response.headers[IGNORED_HEADER] = ", ".join(given)
