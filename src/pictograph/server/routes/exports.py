"""`/search/export`: everything that a query finds, page by page, or as one zip of files."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from fastapi import APIRouter, Response
from fastapi.responses import StreamingResponse

from pictograph import wire
from pictograph.bulk.asking import meant, pages_of
from pictograph.bulk.export import Ask, ExportPage, streamed
from pictograph.errors import wrong_value
from pictograph.search.filter import Filter
from pictograph.search.query import Query
from pictograph.server import present
from pictograph.server.access import KeyFirst, ServicesDep, Viewer
from pictograph.server.answers import answer_of
from pictograph.server.asked_export import ExportAsked, ZipAsked
from pictograph.server.idempotency import only_reads
from pictograph.services import Services
from pictograph.store.keys import Caller
from pictograph.wire.export import CHANGED, CUT_OFF, STARTED, VANISHED
from pictograph.wire.vectors import ARROW_STREAM, LEFT_OUT, NEXT_CURSOR, TOTAL

router = APIRouter(prefix=f"{wire.API_PREFIX}/search", tags=["search"], route_class=KeyFirst)

ROWS: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "description": "The rows; with `vectors` as an Arrow stream, and what the page says in headers.",
        "content": {ARROW_STREAM: {"schema": {"type": "string", "format": "binary"}}},
        "headers": {
            NEXT_CURSOR: {"description": "With `vectors`: `next_cursor`.", "schema": {"type": "string"}},
            TOTAL: {"description": "With `vectors`: `total`.", "schema": {"type": "string"}},
            LEFT_OUT: {"description": "With `vectors`: `left_out`.", "schema": {"type": "string"}},
            STARTED: {"description": "With `vectors`: `started_at`.", "schema": {"type": "string"}},
            CHANGED: {"description": "With `vectors`: `changed`.", "schema": {"type": "string"}},
            VANISHED: {"description": "With `vectors`: `vanished`.", "schema": {"type": "string"}},
            CUT_OFF: {"description": "With `vectors`: `cut_off`, if it is so.", "schema": {"type": "string"}},
        },
    }
}
ZIP: Final = "application/zip"
A_ZIP: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "description": "The zip.",
        "content": {ZIP: {"schema": {"type": "string", "format": "binary"}}},
    }
}
PAGE_OF_ZIP: Final = 200
"""Images that are looked up at once: more would only wait for those before them to be sent."""


async def asked_for(services: Services, caller: Caller, query: Query) -> tuple[Ask, Filter]:
    """What asks the query, and its place and filter. Raises NotFoundError, ValidationError."""
    unknown = services.vectors.unknown_tags(query.conditions.tags)
    if unknown:
        raise wrong_value(
            "objects", f"The taxonomy has no tags {', '.join(map(repr, unknown))}: nothing could carry them."
        )
    organization = caller.organization_id
    wanted = await meant(services.database, services.search.collections, organization, query)
    return pages_of(services.search, organization, query), wanted


@router.post("/export", response_model=wire.ExportPage, responses=ROWS)
@only_reads
async def export(services: ServicesDep, caller: Viewer, body: ExportAsked) -> Response:
    """Everything about the images that a query finds, page by page; with `vectors` as an Arrow stream.

    It is one walk, which began when the first page was asked for: images that are uploaded later are not in it, none
    comes twice, and each page says how many of its images changed since, or were deleted while it was made.
    """
    ask, wanted = await asked_for(services, caller, body.question())
    page = await services.export.page(ask, wanted, limit=body.limit, cursor=body.cursor, vectors=body.vectors)
    if body.vectors:
        return Response(await streamed(page, added=True), media_type=ARROW_STREAM, headers=said_of(page))
    return await answer_of(lambda: present.export_page(page, services.blobs.id))


@router.post("/export/zip", response_class=StreamingResponse, responses=A_ZIP)
@only_reads
async def export_zip(services: ServicesDep, caller: Viewer, body: ZipAsked) -> StreamingResponse:
    """The files of the images that a query finds, as one zip that is made while it is sent.

    Each is `dataset/folder/filename`, made safe for every file system; `manifest.jsonl` has a line for every image, and
    `export.json`, the last file, says what is in the zip, what is not, and why. Images without a file are left out and
    named. 422 for more images than a zip holds.
    """
    ask, wanted = await asked_for(services, caller, body.question())

    async def turn(cursor: str | None) -> ExportPage:
        return await services.export.page(ask, wanted, limit=PAGE_OF_ZIP, cursor=cursor)

    pieces = await services.zips.begin(
        await turn(None),
        turn,
        lambda row: present.exported(row).model_dump(mode="json"),
        original_names=body.original_names,
    )
    named = {"Content-Disposition": 'attachment; filename="pictograph.zip"'}
    return StreamingResponse(pieces, media_type=ZIP, headers=named)


def said_of(page: ExportPage) -> Mapping[str, str]:
    """What a page says, as headers."""
    told = {
        NEXT_CURSOR: page.next_cursor,
        TOTAL: page.total,
        LEFT_OUT: page.left_out,
        STARTED: page.started_at.isoformat(),
        CHANGED: page.changed,
        VANISHED: page.vanished,
        CUT_OFF: "true" if page.cut_off else None,
    }
    return {name: str(value) for name, value in told.items() if value is not None}
