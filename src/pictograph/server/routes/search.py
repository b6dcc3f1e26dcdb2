"""`/search`: by likeness, by words, by tag, by all of them together, and why a search goes the way it goes."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response

from pictograph import wire
from pictograph.server import present
from pictograph.server.access import KeyFirst, ServicesDep, Viewer
from pictograph.server.admission import PICTURE_BODY, LargeJson, owner_of, spooled_body
from pictograph.server.asked import (
    ByTagsAsked,
    ExplainAsked,
    PictureAsked,
    QueryAsked,
    SimilarAsked,
    TagCountsAsked,
    TextAsked,
)
from pictograph.server.idempotency import only_reads
from pictograph.server.present_relevance import relevance

router = APIRouter(prefix=f"{wire.API_PREFIX}/search", tags=["search"], route_class=KeyFirst)
queries = APIRouter(prefix=router.prefix, tags=["search"], route_class=LargeJson)


@router.get("/similar", response_model=wire.SimilarAnswer)
async def similar(
    request: Request, services: ServicesDep, caller: Viewer, asked: Annotated[SimilarAsked, Query()]
) -> Response:
    """Finds images that look like a reference image, by falling similarity; leaves out the reference itself.

    With tags, only images that carry them: OR inside a category, AND across categories.
    """
    query = asked.query()
    found = await services.search.by_similarity(caller.organization_id, query)
    answer = wire.SimilarAnswer(
        results=[],
        count=len(found.rows),
        threshold=found.threshold,
        query_image_id=str(query.image_id),
        folder_path=found.folder_path,
        pagination=present.pagination(found.total, found.next_cursor, limit=asked.limit),
        **present.tag_notes(found.notes),
        **present.search_facts(found.found),
        relevance=relevance(found.relevance, found.threshold),
    )
    urls = await present.urls_for(request, services, caller)
    return present.with_rows(answer, present.similar_rows(found.rows, urls, found.relevance))


@router.get("/by-text", response_model=wire.TextAnswer)
async def by_text(
    request: Request, services: ServicesDep, caller: Viewer, asked: Annotated[TextAsked, Query()]
) -> Response:
    """Finds images that show what the words say, by falling similarity. 422 if the encoder has no text side.

    With tags, only images that carry them: OR inside a category, AND across categories.
    """
    found = await services.search.by_text(caller.organization_id, asked.query())
    answer = wire.TextAnswer(
        results=[],
        count=len(found.rows),
        text=asked.text,
        threshold=found.threshold,
        pagination=present.pagination(found.total, found.next_cursor, limit=asked.limit),
        **present.tag_notes(found.notes),
        **present.search_facts(found.found),
        relevance=relevance(found.relevance, found.threshold),
    )
    urls = await present.urls_for(request, services, caller)
    return present.with_rows(answer, present.similar_rows(found.rows, urls, found.relevance))


@router.post("/by-image", response_model=wire.PictureAnswer, openapi_extra=PICTURE_BODY)
@only_reads
async def by_image(
    request: Request, services: ServicesDep, caller: Viewer, asked: Annotated[PictureAsked, Query()]
) -> Response:
    """Finds images that look like a picture that is not stored: the body, a file in any format that uploads take.

    It is decoded and encoded like an upload, and nothing of it is kept. With tags, only images that carry them. With
    a `cursor`, the same picture is sent again.
    """
    query = asked.query()
    async with spooled_body(request, owner_of(caller)) as spooled:

        async def source() -> bytes:
            await spooled.seek(0)
            return await spooled.read()

        found = await services.search.by_image(caller.organization_id, source, query)
    answer = wire.PictureAnswer(
        results=[],
        count=len(found.rows),
        threshold=found.threshold,
        pagination=present.pagination(found.total, found.next_cursor, limit=asked.limit),
        **present.tag_notes(found.notes),
        **present.search_facts(found.found),
        relevance=relevance(found.relevance, found.threshold),
    )
    urls = await present.urls_for(request, services, caller)
    return present.with_rows(answer, present.similar_rows(found.rows, urls, found.relevance))


@queries.post("/query", response_model=wire.QueryAnswer)
@only_reads
async def query(request: Request, services: ServicesDep, caller: Viewer, asked: QueryAsked) -> Response:
    """Finds images by examples, a filter and an order: every other search is a short form of this one. It only reads.

    Examples are indexed images, words, vectors or pictures that are not stored, each positive or negative and with a
    weight. Without any, a fact orders the images. A body above 1 MB takes a place among the uploads.
    """
    found = await services.search.query(caller.organization_id, asked.query())
    urls = await present.urls_for(request, services, caller)
    return present.with_rows(present.query_answer(found), present.query_rows(found, urls))


@router.get("/explain")
async def explain(
    services: ServicesDep, caller: Viewer, asked: Annotated[ExplainAsked, Query()]
) -> wire.SearchExplanation:
    """Answers a search by likeness or by words in every way that is open, and tells what each takes and finds.

    It costs all of those searches together. 422 unless exactly one of `image_id` and `text` is given.
    """
    return present.explanation(await services.search.explain(caller.organization_id, asked.query()))


@router.get("/by-tags", response_model=wire.TagAnswer)
async def by_tags(
    request: Request, services: ServicesDep, caller: Viewer, asked: Annotated[ByTagsAsked, Query()]
) -> Response:
    """Finds images that carry the tags: OR inside a category, AND across categories; newest first.

    A category given with one empty value (`objects=`) matches nothing, as an empty list does in the SDK.
    """
    query = asked.query()
    found = await services.search.by_tag(caller.organization_id, query)
    within: dict[str, Any] = {"dataset_name": query.dataset, "folder_path": query.folder_path}
    within |= {"dataset_names": query.datasets, "recursive": query.recursive}
    answer = wire.TagAnswer(
        results=[],
        count=len(found.rows),
        filters=wire.TagFilters(**query.filters, **within, match=query.match),
        **present.tag_notes(found.notes),
        pagination=present.pagination(found.total, found.next_cursor, limit=query.limit, offset=query.offset),
    )
    urls = await present.urls_for(request, services, caller)
    return present.with_rows(answer, present.tagged_rows(found.rows, urls))


@router.get("/tags")
async def tag_counts(
    services: ServicesDep, caller: Viewer, asked: Annotated[TagCountsAsked, Query()]
) -> wire.TagCounts:
    """Counts the tags that images carry, the most frequent first; leaves out archived images.

    With tags, only images that carry them are counted: OR inside a category, AND across categories.
    """
    return present.tag_counts(
        await services.search.count_tags(
            caller.organization_id,
            asked.dataset_name,
            asked.directory_path,
            asked.conditions,
            datasets=asked.dataset_names,
            recursive=asked.recursive,
        )
    )
