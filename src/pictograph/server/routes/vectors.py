"""`/datasets/{dataset}/vectors`: rows with vectors, names, tags and facts come in and go out."""

from __future__ import annotations

from typing import Annotated, Any, Final

from fastapi import APIRouter, Query, Request, Response, UploadFile

from pictograph import wire
from pictograph.server import present
from pictograph.server.access import Member, ServicesDep
from pictograph.server.admission import UploadBody, admission_of
from pictograph.server.answers import answer_of
from pictograph.types import MAX_ENCODER
from pictograph.wire.vectors import ARROW_STREAM, MAX_ROWS, MAX_ROWS_BYTES

router = APIRouter(prefix=f"{wire.API_PREFIX}/datasets", tags=["datasets"], route_class=UploadBody)

Imported = wire.Data[wire.ImportedVectors]
ROWS_BODY: Final[dict[str, Any]] = {
    "requestBody": {
        "required": True,
        "description": f"An Arrow stream, not compressed; at most {MAX_ROWS} rows and {MAX_ROWS_BYTES} bytes.",
        "content": {ARROW_STREAM: {"schema": {"type": "string", "format": "binary"}}},
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
