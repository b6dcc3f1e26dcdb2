"""`/search`: by likeness, by tag."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from pictograph import wire
from pictograph.search.query import SimilarQuery, TagQuery, TextQuery, parse_cursor, parse_image_id
from pictograph.server import present
from pictograph.server.access import ServicesDep, Viewer
from pictograph.types import (
    DEFAULT_LIMIT,
    DEFAULT_TEXT_THRESHOLD,
    DEFAULT_THRESHOLD,
    MAX_LIMIT,
    MAX_OFFSET,
    MAX_TEXT,
    TagMatch,
)

router = APIRouter(prefix=f"{wire.API_PREFIX}/search", tags=["search"])

Limit = Annotated[int, Query(ge=1, le=MAX_LIMIT, description="Most rows to return; the cap is 500.")]
Labels = Annotated[list[str] | None, Query(max_length=200, description="Repeat the key for several tags.")]


@router.get("/similar")
async def similar(
    services: ServicesDep,
    caller: Viewer,
    image_id: Annotated[str, Query(description="UUID of the reference image.")],
    threshold: Annotated[
        float, Query(ge=0, le=1, allow_inf_nan=False, description="Least cosine similarity; 0.6 is about related.")
    ] = DEFAULT_THRESHOLD,
    limit: Limit = DEFAULT_LIMIT,
    directory_path: Annotated[
        str | None,
        Query(description="Folder to search, with all below it. Absent: the reference's own; `/`: the dataset."),
    ] = None,
    folder_path: Annotated[str | None, Query(description="`directory_path`, as older clients call it.")] = None,
) -> wire.SimilarAnswer:
    """Images that look like a reference image, by falling similarity; the reference itself is left out."""
    query = SimilarQuery(
        parse_image_id(image_id), threshold, limit, directory_path if directory_path is not None else folder_path
    )
    found = await services.search.by_similarity(caller.organization_id, query)
    return wire.SimilarAnswer(
        results=[present.similar_row(row) for row in found.rows],
        count=len(found.rows),
        threshold=threshold,
        query_image_id=str(query.image_id),
        folder_path=found.folder_path,
    )


@router.get("/by-text")
async def by_text(
    services: ServicesDep,
    caller: Viewer,
    text: Annotated[str, Query(max_length=MAX_TEXT, description="What the images show, in words.")],
    dataset_name: Annotated[str | None, Query(description="Name or UUID; absent: the whole organization.")] = None,
    directory_path: Annotated[str | None, Query(description="Only this folder, with all below it.")] = None,
    threshold: Annotated[
        float, Query(ge=0, le=1, allow_inf_nan=False, description="Least cosine; its scale is the encoder's own.")
    ] = DEFAULT_TEXT_THRESHOLD,
    limit: Limit = DEFAULT_LIMIT,
) -> wire.TextAnswer:
    """Images that show what the words say, by falling similarity. 422 if the encoder has no text side."""
    query = TextQuery(text, dataset_name, directory_path, threshold, limit)
    found = await services.search.by_text(caller.organization_id, query)
    return wire.TextAnswer(
        results=[present.similar_row(row) for row in found.rows],
        count=len(found.rows),
        text=text,
        threshold=threshold,
    )


@router.get("/by-tags")
async def by_tags(
    services: ServicesDep,
    caller: Viewer,
    objects: Labels = None,
    scenes: Labels = None,
    attributes: Labels = None,
    dataset_name: Annotated[str | None, Query(description="Name or UUID; absent: the whole organization.")] = None,
    match: Annotated[TagMatch, Query(description="How tags inside one category combine.")] = "any",
    limit: Limit = DEFAULT_LIMIT,
    offset: Annotated[int, Query(ge=0, le=MAX_OFFSET)] = 0,
    cursor: Annotated[str | None, Query(description="`next_cursor` of the page before.")] = None,
) -> wire.TagAnswer:
    """Images that carry the tags: OR inside a category, AND across categories; newest first.

    A category given with one empty value (`objects=`) matches nothing, as an empty list does in the SDK.
    """
    query = TagQuery(
        objects=given(objects),
        scenes=given(scenes),
        attributes=given(attributes),
        dataset=dataset_name,
        match=match,
        limit=limit,
        offset=offset,
        after=parse_cursor(cursor) if cursor else None,
    )
    found = await services.search.by_tag(caller.organization_id, query)
    return wire.TagAnswer(
        results=[present.tagged_row(row) for row in found.rows],
        count=len(found.rows),
        filters=wire.TagFilters(**query.filters, dataset_name=dataset_name, match=match),
        unknown_tags=found.unknown_tags,
        pagination=wire.Pagination(
            limit=limit, offset=offset, has_more=found.next_cursor is not None, next_cursor=found.next_cursor
        ),
    )


@router.get("/tags")
async def tag_counts(
    services: ServicesDep,
    caller: Viewer,
    dataset_name: Annotated[str | None, Query(description="Name or UUID; absent: the whole organization.")] = None,
    directory_path: Annotated[str | None, Query(description="Only this folder, with all below it.")] = None,
) -> wire.TagCounts:
    """Which tags the images carry, and how often; the most frequent first. Archived images are left out."""
    return present.tag_counts(await services.search.count_tags(caller.organization_id, dataset_name, directory_path))


def given(labels: list[str] | None) -> list[str] | None:
    """`objects=` means an empty category; a blank among real tags is dropped."""
    return None if labels is None else [label for label in labels if label.strip()]
