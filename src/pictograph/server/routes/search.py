"""`/search`: by likeness, by words, by tag, and why a search goes the way it goes."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Response
from pydantic import Field

from pictograph import wire
from pictograph.errors import wrong_value
from pictograph.index.tagged import TagFilter
from pictograph.search.query import (
    SimilarQuery,
    TagQuery,
    TextQuery,
    parse_image_id,
    tag_filter,
)
from pictograph.server import present
from pictograph.server.access import ServicesDep, Viewer
from pictograph.server.inputs import MAX_ID_SENT, Cursor
from pictograph.server.questions import Question
from pictograph.types import (
    DEFAULT_LIMIT,
    DEFAULT_TEXT_THRESHOLD,
    DEFAULT_THRESHOLD,
    MAX_FOLDER_SENT,
    MAX_LABEL,
    MAX_LIMIT,
    MAX_NAMED,
    MAX_OFFSET,
    MAX_TEXT,
    TagMatch,
)

router = APIRouter(prefix=f"{wire.API_PREFIX}/search", tags=["search"], route_class=Question)

Limit = Annotated[int, Query(ge=1, le=MAX_LIMIT, description="Most rows to return; the cap is 500.")]
Labels = Annotated[
    list[Annotated[str, Field(max_length=MAX_LABEL)]] | None,
    Query(max_length=200, description="Repeat the key for several tags."),
]
Match = Annotated[TagMatch, Query(description="How tags inside one category combine.")]
Exact = Annotated[bool, Query(description="Only the exact answer, whatever it takes.")]
DatasetName = Annotated[
    str | None, Query(max_length=MAX_NAMED, description="Name or UUID; absent: the whole organization.")
]
Folder = Annotated[str | None, Query(max_length=MAX_FOLDER_SENT, description="Only this folder, with all below it.")]


async def asked_tags(  # async: FastAPI would give it a thread
    objects: Labels = None, scenes: Labels = None, attributes: Labels = None, match: Match = "any"
) -> TagFilter:
    """What the images must carry besides: OR inside a category, AND across; absent categories do not filter."""
    return tag_filter(given(objects), given(scenes), given(attributes), match)


Tags = Annotated[TagFilter, Depends(asked_tags)]


@router.get("/similar", response_model=wire.SimilarAnswer)
async def similar(
    services: ServicesDep,
    caller: Viewer,
    tags: Tags,
    image_id: Annotated[str, Query(max_length=MAX_ID_SENT, description="UUID of the reference image.")],
    threshold: Annotated[
        float, Query(ge=0, le=1, allow_inf_nan=False, description="Least cosine similarity; 0.6 is about related.")
    ] = DEFAULT_THRESHOLD,
    limit: Limit = DEFAULT_LIMIT,
    directory_path: Annotated[
        str | None,
        Query(
            max_length=MAX_FOLDER_SENT,
            description="Folder to search, with all below it. Absent: the reference's own; `/`: the dataset.",
        ),
    ] = None,
    exact: Exact = False,
    cursor: Cursor = None,
) -> Response:
    """Images that look like a reference image, by falling similarity; the reference itself is left out.

    With tags, only images that carry them: OR inside a category, AND across categories.
    """
    query = SimilarQuery(parse_image_id(image_id), threshold, limit, directory_path, exact, tags, cursor)
    found = await services.search.by_similarity(caller.organization_id, query)
    answer = wire.SimilarAnswer(
        results=[],
        count=len(found.rows),
        threshold=threshold,
        query_image_id=str(query.image_id),
        folder_path=found.folder_path,
        pagination=present.pagination(found.total, found.next_cursor, limit=limit),
        **present.tag_notes(found.notes),
        **present.search_facts(found.found),
    )
    return present.with_rows(answer, present.similar_rows(found.rows))


@router.get("/by-text", response_model=wire.TextAnswer)
async def by_text(
    services: ServicesDep,
    caller: Viewer,
    tags: Tags,
    text: Annotated[str, Query(max_length=MAX_TEXT, description="What the images show, in words.")],
    dataset_name: DatasetName = None,
    directory_path: Folder = None,
    threshold: Annotated[
        float, Query(ge=0, le=1, allow_inf_nan=False, description="Least cosine; its scale is the encoder's own.")
    ] = DEFAULT_TEXT_THRESHOLD,
    limit: Limit = DEFAULT_LIMIT,
    exact: Exact = False,
    cursor: Cursor = None,
) -> Response:
    """Images that show what the words say, by falling similarity. 422 if the encoder has no text side.

    With tags, only images that carry them: OR inside a category, AND across categories.
    """
    query = TextQuery(text, dataset_name, directory_path, threshold, limit, exact, tags, cursor)
    found = await services.search.by_text(caller.organization_id, query)
    answer = wire.TextAnswer(
        results=[],
        count=len(found.rows),
        text=text,
        threshold=threshold,
        pagination=present.pagination(found.total, found.next_cursor, limit=limit),
        **present.tag_notes(found.notes),
        **present.search_facts(found.found),
    )
    return present.with_rows(answer, present.similar_rows(found.rows))


@router.get("/explain")
async def explain(
    services: ServicesDep,
    caller: Viewer,
    tags: Tags,
    image_id: Annotated[
        str | None, Query(max_length=MAX_ID_SENT, description="UUID of a reference image, or else `text`.")
    ] = None,
    text: Annotated[str | None, Query(max_length=MAX_TEXT, description="Words, or else `image_id`.")] = None,
    dataset_name: Annotated[str | None, Query(max_length=MAX_NAMED, description="With `text`: name or UUID.")] = None,
    directory_path: Annotated[
        str | None, Query(max_length=MAX_FOLDER_SENT, description="As in the search itself.")
    ] = None,
    threshold: Annotated[
        float | None, Query(ge=0, le=1, allow_inf_nan=False, description="Absent: the search's own default.")
    ] = None,
    limit: Limit = DEFAULT_LIMIT,
    exact: Exact = False,
) -> wire.SearchExplanation:
    """Answers a search by likeness or by words in every way that is open, and tells what each takes and finds.

    It costs all of those searches together. 422 unless exactly one of `image_id` and `text` is given.
    """
    if (image_id is None) == (text is None):
        raise wrong_value("image_id", "Pass exactly one of image_id and text: what is to be explained?")
    query: SimilarQuery | TextQuery
    if image_id is not None:
        if dataset_name is not None:
            raise wrong_value("dataset_name", "dataset_name goes with text: a likeness search asks the image's own.")
        likeness = DEFAULT_THRESHOLD if threshold is None else threshold
        query = SimilarQuery(parse_image_id(image_id), likeness, limit, directory_path, exact, tags)
    else:
        least = DEFAULT_TEXT_THRESHOLD if threshold is None else threshold
        query = TextQuery(text or "", dataset_name, directory_path, least, limit, exact, tags)
    return present.explanation(await services.search.explain(caller.organization_id, query))


@router.get("/by-tags", response_model=wire.TagAnswer)
async def by_tags(
    services: ServicesDep,
    caller: Viewer,
    objects: Labels = None,
    scenes: Labels = None,
    attributes: Labels = None,
    dataset_name: DatasetName = None,
    directory_path: Folder = None,
    match: Match = "any",
    limit: Limit = DEFAULT_LIMIT,
    offset: Annotated[int, Query(ge=0, le=MAX_OFFSET)] = 0,
    cursor: Cursor = None,
) -> Response:
    """Images that carry the tags: OR inside a category, AND across categories; newest first.

    A category given with one empty value (`objects=`) matches nothing, as an empty list does in the SDK.
    """
    query = TagQuery(
        objects=given(objects),
        scenes=given(scenes),
        attributes=given(attributes),
        dataset=dataset_name,
        folder_path=directory_path,
        match=match,
        limit=limit,
        offset=offset,
        cursor=cursor,
    )
    found = await services.search.by_tag(caller.organization_id, query)
    answer = wire.TagAnswer(
        results=[],
        count=len(found.rows),
        filters=wire.TagFilters(**query.filters, dataset_name=dataset_name, folder_path=query.folder_path, match=match),
        **present.tag_notes(found.notes),
        pagination=present.pagination(found.total, found.next_cursor, limit=limit, offset=offset),
    )
    return present.with_rows(answer, present.tagged_rows(found.rows))


@router.get("/tags")
async def tag_counts(
    services: ServicesDep,
    caller: Viewer,
    tags: Tags,
    dataset_name: DatasetName = None,
    directory_path: Folder = None,
) -> wire.TagCounts:
    """Which tags the images carry, and how often; the most frequent first. Archived images are left out.

    With tags, only images that carry them are counted: OR inside a category, AND across categories.
    """
    return present.tag_counts(
        await services.search.count_tags(caller.organization_id, dataset_name, directory_path, tags)
    )


def given(labels: list[str] | None) -> list[str] | None:
    """`objects=` means an empty category; a blank among real tags is dropped."""
    return None if labels is None else [label for label in labels if label.strip()]
