"""`/datasets/{dataset}/vectors`: rows with vectors, names, tags and facts come in and go out."""

from __future__ import annotations

from typing import Annotated, Any, Final

from fastapi import APIRouter, Query, Request, Response, UploadFile

from pictograph import wire
from pictograph.bulk.export import streamed
from pictograph.search import query as questions
from pictograph.server import present
from pictograph.server.access import KeyFirst, Member, ServicesDep, Viewer
from pictograph.server.admission import UploadBody, admission_of
from pictograph.server.answers import answer_of
from pictograph.server.asked import VectorsAsked
from pictograph.server.routes.exports import asked_for, said_of
from pictograph.types import MAX_ENCODER
from pictograph.wire.export import CHANGED, STARTED, VANISHED
from pictograph.wire.vectors import ARROW_STREAM, LEFT_OUT, MAX_ROWS, MAX_ROWS_BYTES, NEXT_CURSOR, TOTAL

router = APIRouter(prefix=f"{wire.API_PREFIX}/datasets", tags=["datasets"], route_class=UploadBody)
exports = APIRouter(prefix=router.prefix, tags=["datasets"], route_class=KeyFirst)

Imported = wire.Data[wire.ImportedVectors]
ROWS_BODY: Final[dict[str, Any]] = {
    "requestBody": {
        "required": True,
        "description": f"An Arrow stream, not compressed; at most {MAX_ROWS} rows and {MAX_ROWS_BYTES} bytes.",
        "content": {ARROW_STREAM: {"schema": {"type": "string", "format": "binary"}}},
    }
}


ROWS_ANSWER: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "description": "Rows as an Arrow stream.",
        "content": {ARROW_STREAM: {"schema": {"type": "string", "format": "binary"}}},
        "headers": {
            NEXT_CURSOR: {"description": "Where the next page begins.", "schema": {"type": "string"}},
            TOTAL: {"description": "Rows of all pages, on the first.", "schema": {"type": "string"}},
            LEFT_OUT: {"description": "Images without a vector, on the first.", "schema": {"type": "string"}},
            STARTED: {
                "description": "When the export began: images uploaded later are not in it.",
                "schema": {"type": "string"},
            },
            CHANGED: {"description": "Rows that changed after that moment.", "schema": {"type": "string"}},
            VANISHED: {"description": "Images deleted while the page was made.", "schema": {"type": "string"}},
        },
    }
}


@router.post("/{dataset}/vectors", response_model=Imported, openapi_extra=ROWS_BODY)
async def import_vectors(
    request: Request,
    services: ServicesDep,
    caller: Member,
    dataset: str,
    encoder: Annotated[
        str, Query(min_length=1, max_length=MAX_ENCODER, description="Fingerprint of what made the vectors: `/ready`.")
    ],
    replace: Annotated[
        bool, Query(description="An image without bytes that has the place of a row keeps its id and gets the row.")
    ] = False,
) -> Response:
    """Makes images of rows that come with their vectors: all of them are found when this answers, or none is there.

    A row that is there already is skipped; one that is other than the image of its folder and name is named.
    """
    dataset_id = await services.datasets.id_of(caller.organization_id, dataset)
    file: UploadFile = request.state.body_file
    async with admission_of(request).turn():
        await file.seek(0)
        space, rows = await services.vectors.read(await file.read(), encoder)
        verdicts = await services.vectors.store(caller.organization_id, dataset_id, space, rows, replace=replace)
    return await answer_of(lambda: Imported(data=present.imported(verdicts, rows)))


@exports.get("/{dataset}/vectors", response_class=Response, responses=ROWS_ANSWER)
async def export_vectors(
    services: ServicesDep, caller: Viewer, dataset: str, asked: Annotated[VectorsAsked, Query()]
) -> Response:
    """Images with their vectors, in the columns that an import takes; newest first, page by page.

    Images that have no vector are left out and counted: they wait to be processed, or failed.
    """
    scope = questions.Scope([dataset], asked.directory_path)
    query = questions.Query(scope=scope, conditions=asked.conditions)
    ask, wanted = await asked_for(services, caller, query)
    page = await services.export.page(ask, wanted, limit=asked.limit, cursor=asked.cursor, vectors=True)
    headers = {name: text for name, text in said_of(page).items() if asked.cursor is None or name != TOTAL}
    return Response(await streamed(page, added=False), media_type=ARROW_STREAM, headers=headers)
