"""Questions are read and answered by code of our own: it must say, word for word, what other routes and models say."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Annotated, Any
from urllib.parse import urlencode
from uuid import UUID, uuid4

import httpx
import pytest
from fastapi import APIRouter, Depends, FastAPI, Query, Request, Security
from fastapi.routing import APIRoute
from fastapi.security import APIKeyHeader

from pictograph import wire
from pictograph.errors import AuthError
from pictograph.index.nearest import Neighbour
from pictograph.index.tags import TagHit
from pictograph.server import present
from pictograph.server.failures import install_error_handlers
from pictograph.server.questions import Question
from pictograph.server.strict import Strict
from pictograph.types import DatasetId, ImageId, TagMatch
from pictograph.wire import Wire

KEY = APIKeyHeader(name="X-API-Key", auto_error=False)
Labels = Annotated[list[str] | None, Query(max_length=3)]


class Read(Wire):
    """What the endpoint was given."""

    values: dict[str, Any]


async def holder(request: Request, secret: Annotated[str | None, Security(KEY)] = None) -> str:
    if secret is None:
        raise AuthError(f"No key for {request.url.path}.")
    return secret


async def asked(objects: Labels = None, scenes: Labels = None, match: TagMatch = "any") -> dict[str, Any]:
    return {"objects": objects, "scenes": scenes, "match": match}


async def endpoint(
    caller: Annotated[str, Depends(holder)],
    tags: Annotated[dict[str, Any], Depends(asked)],
    image_id: str,
    threshold: Annotated[float, Query(ge=0, le=1, allow_inf_nan=False)] = 0.6,
    limit: Annotated[int, Query(ge=1, le=500)] = 50,
    exact: bool = False,
    folder: Annotated[str | None, Query()] = None,
) -> Read:
    values = {"caller": caller, "image_id": image_id, "threshold": threshold, "limit": limit, "exact": exact}
    return Read(values={**values, "folder": folder, **tags})


def app_of(route_class: type[APIRoute]) -> FastAPI:
    app = FastAPI()
    router = APIRouter(route_class=route_class)
    router.get("/ask")(endpoint)
    app.include_router(router)
    install_error_handlers(app)
    return app


async def answered(route_class: type[APIRoute], query: str, headers: dict[str, str]) -> tuple[int, Any]:
    transport = httpx.ASGITransport(app_of(route_class))
    async with httpx.AsyncClient(transport=transport, base_url="http://here") as client:
        answer = await client.get(f"/ask?{query}", headers=headers)
    return answer.status_code, answer.json()


QUERIES = [
    "image_id=x",
    "image_id=x&image_id=y&limit=7&limit=8",
    "image_id=%C3%A9%20%2B+z&folder=%2Fa%2Fb&exact=true",
    "image_id=x&exact=maybe",
    "image_id=&folder=&threshold=0",
    "image_id=x&objects=car&objects=dog&scenes=",
    "image_id=x&objects=a&objects=b&objects=c&objects=d",
    "image_id=x&match=all",
    "image_id=x&match=some",
    "image_id=x&limit=0",
    "image_id=x&limit=501&threshold=2&match=no",
    "image_id=x&limit=many&threshold=nan",
    "image_id=x&limit=",
    "image_id=x&limit=5.0",
    "image_id=x&threshold=1e-1&unknown=1",
    "limit=3",
    "",
    "image_id=%FF&folder=%ED%A0%80",
    "image_id=x;limit=3",
    urlencode({"image_id": "x" * 5000}),
]


@pytest.mark.parametrize("query", QUERIES)
async def test_a_query_is_read_as_every_other_route_reads_it(query: str) -> None:
    headers = {"X-API-Key": "k"}
    assert await answered(Question, query, headers) == await answered(Strict, query, headers)


async def test_who_asks_is_settled_before_what_is_asked_is_read() -> None:
    status, body = await answered(Question, "limit=wrong", {})
    assert (status, body["error"]["code"]) == (401, "unauthorized")


def test_the_route_is_described_as_any_other() -> None:
    assert app_of(Question).openapi() == app_of(APIRoute).openapi()


TAGS: Any = {"objects": ["car", 'caf\u00e9 "x"'], "scenes": [], "attributes": ["sharp"]}
IMAGE, DATASET = ImageId(uuid4()), DatasetId(UUID(int=7))
NAMES = ["a.jpg", 'quo"te\\.jpg', "\u2028\u00e9\U0001f600.png", "tab\t\x00.gif"]


@pytest.mark.parametrize("name", NAMES)
def test_rows_are_written_as_their_model_is(name: str) -> None:
    near = Neighbour(IMAGE, name, "/a/b", DATASET, TAGS, 0.1 + 0.2, 0.7)
    shown = {"image_id": str(IMAGE), "filename": name, "folder_path": "/a/b", "dataset_id": str(DATASET), "tags": TAGS}
    model: wire.SearchRow = wire.SimilarImage(**shown, similarity=0.1 + 0.2)
    assert present.similar_rows([near]) == [model.model_dump(mode="json")]
    (hit,) = present.tagged_rows([TagHit(**{**hit_values(), "filename": name})])
    assert hit == wire.TaggedImage(**shown).model_dump(mode="json")


def hit_values() -> dict[str, Any]:
    known = {"id": IMAGE, "filename": "", "folder_path": "/a/b", "dataset_id": DATASET, "tags": TAGS}
    return known | {"created_at": datetime.now(UTC)}


def test_an_answer_with_rows_is_written_as_its_model_is() -> None:
    empty = wire.TagAnswer(
        results=[],
        count=1,
        filters=wire.TagFilters(objects=["car"]),
        unknown_tags=["\u00e9"],
        pagination=wire.Pagination(limit=1, offset=0, has_more=False),
    )
    rows = present.tagged_rows([TagHit(**hit_values())])
    full = empty.model_copy(update={"results": [wire.TaggedImage.model_validate(row) for row in rows]})
    assert json.loads(bytes(present.with_rows(empty, rows).body)) == full.model_dump(mode="json")
