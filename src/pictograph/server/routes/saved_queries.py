"""`/queries`: queries by name, and asking them."""

from __future__ import annotations

import json
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from pydantic import ValidationError as Invalid

from pictograph import wire
from pictograph.errors import ConflictError, wrong_value
from pictograph.server import present
from pictograph.server.access import KeyFirst, Member, ServicesDep, Viewer
from pictograph.server.answers import answer_of
from pictograph.server.asked import QueryAsked
from pictograph.server.idempotency import only_reads
from pictograph.server.inputs import Cursor
from pictograph.store.saved_queries import SavedQuery

router = APIRouter(prefix=f"{wire.API_PREFIX}/queries", tags=["queries"], route_class=KeyFirst)

QueryPage = wire.Page[wire.SavedQuery]
OneQuery = wire.Data[wire.SavedQuery]


@router.get("/", response_model=QueryPage)
async def list_queries(
    services: ServicesDep,
    caller: Viewer,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    cursor: Cursor = None,
) -> Response:
    """Lists your saved queries, newest first."""
    listed = await services.saved_queries.list(caller.organization_id, limit=limit, cursor=cursor)
    pagination = present.pagination(listed.total, listed.next_cursor, limit=limit)
    return await answer_of(
        lambda: QueryPage(data=[present.saved_query(row) for row in listed.rows], pagination=pagination)
    )


@router.put("/{query}")
async def save(services: ServicesDep, caller: Member, query: str, body: QueryAsked) -> OneQuery:
    """Saves a query under a name, in place of what had it. It is checked now, and again whenever it is run.

    422 for one with a cursor, or with a picture as an example, which would have to be kept: upload it, and name it.
    """
    asked = body.model_dump(mode="json", exclude_unset=True, by_alias=True)
    require_lasting(asked)
    body.query()
    row = await services.saved_queries.save(caller.organization_id, query, json.dumps(asked))
    return OneQuery(data=present.saved_query(row))


@router.get("/{query}")
async def get(services: ServicesDep, caller: Viewer, query: str) -> OneQuery:
    """Returns one saved query, by name or UUID."""
    return OneQuery(data=present.saved_query(await services.saved_queries.get(caller.organization_id, query)))


@router.delete("/{query}")
async def delete(services: ServicesDep, caller: Member, query: str) -> OneQuery:
    """Forgets a saved query, and returns what it was."""
    return OneQuery(data=present.saved_query(await services.saved_queries.delete(caller.organization_id, query)))


@router.post("/{query}/run", response_model=wire.QueryAnswer)
@only_reads
async def run(
    request: Request, services: ServicesDep, caller: Viewer, query: str, body: wire.SavedQueryRun
) -> Response:
    """Asks a saved query, or its next page. It only reads. 409 if what was saved cannot be asked any more."""
    asked = asked_again(await services.saved_queries.get(caller.organization_id, query), body)
    found = await services.search.query(caller.organization_id, asked.query())
    urls = await present.urls_for(request, services, caller)
    return present.with_rows(present.query_answer(found), present.query_rows(found, urls))


def require_lasting(asked: dict[str, object]) -> None:
    """Raises ValidationError for what belongs to one request alone."""
    if asked.get("cursor") is not None:
        raise wrong_value("cursor", "A saved query has no cursor: give it when you run the query.")
    examples = asked.get("examples")
    for example in examples if isinstance(examples, list) else ():
        if not example.keys() & {"image_id", "text", "vector"}:
            raise wrong_value(
                "examples",
                "A picture that is not stored cannot be in a saved query: upload it, and give its image_id.",
            )


def asked_again(saved: SavedQuery, page: wire.SavedQueryRun) -> QueryAsked:
    """What was saved, with the page that is wanted now. Raises ConflictError for what this version cannot ask."""
    wanted = {name: value for name, value in page.model_dump().items() if value is not None}
    try:
        return QueryAsked.model_validate({**json.loads(saved.question), **wanted})
    except Invalid as error:
        fault = error.errors(include_url=False)[0]
        where = ".".join(map(str, fault["loc"]))
        raise ConflictError(
            f"The saved query {saved.name!r} cannot be asked any more ({where}: {fault['msg']}). Save it anew."
        ) from error
