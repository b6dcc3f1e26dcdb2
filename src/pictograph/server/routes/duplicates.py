"""Near-duplicates of a dataset, a folder, or between two; and what people decide about them."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from pictograph import wire
from pictograph.duplicates.rule import DEFAULT_BITS, MOST_BITS
from pictograph.duplicates.service import Asked
from pictograph.server import present
from pictograph.server.access import KeyFirst, Member, ServicesDep, Viewer
from pictograph.server.answers import answer_of
from pictograph.server.inputs import Cursor
from pictograph.types import MAX_FOLDER_SENT, MAX_NAMED, ImageId

router = APIRouter(prefix=f"{wire.API_PREFIX}/datasets", tags=["duplicates"], route_class=KeyFirst)
decisions = APIRouter(prefix=f"{wire.API_PREFIX}/duplicates", tags=["duplicates"], route_class=KeyFirst)


@router.get("/{dataset}/near-duplicates", response_model=wire.DuplicatesAnswer)
async def near_duplicates(
    request: Request,
    services: ServicesDep,
    caller: Viewer,
    dataset: str,
    directory_path: Annotated[
        str | None, Query(max_length=MAX_FOLDER_SENT, description="Only this folder and the folders below it.")
    ] = None,
    against: Annotated[
        str | None,
        Query(max_length=MAX_NAMED, description="Another dataset: only what is a near-duplicate of its images."),
    ] = None,
    against_folder: Annotated[
        str | None, Query(max_length=MAX_FOLDER_SENT, description="With `against`: this folder of it, and below.")
    ] = None,
    threshold: Annotated[
        float | None, Query(ge=0.5, le=1, description="The similarity of vectors that suffices alone; absent: 0.96.")
    ] = None,
    hash_distance: Annotated[
        int, Query(ge=0, le=MOST_BITS, description="In how many of 64 bits hashes may differ.")
    ] = DEFAULT_BITS,
    limit: Annotated[int, Query(ge=1, le=200, description="Most groups of a page.")] = 50,
    members: Annotated[int, Query(ge=2, le=1000, description="Most images of a group that are listed.")] = 100,
    cursor: Cursor = None,
) -> Response:
    """Groups images with near-duplicates: the same bytes, nearly the same hash, or nearly the same vector.

    Every image of a group is a near-duplicate of its representative, the one to keep. Groups of up to 3000 images are
    made at once; of more in the background: `state` says how far that is, and this is asked again.
    """
    asked = Asked(dataset, directory_path, against, against_folder, threshold, hash_distance, limit, cursor, members)
    found = await services.duplicates.find(caller.organization_id, asked)
    urls = await present.urls_for(request, services, caller)
    return await answer_of(lambda: present.duplicates(found, asked, urls))


@decisions.post("/decisions")
async def decide(
    services: ServicesDep, caller: Member, body: wire.DuplicateDecision
) -> wire.Data[wire.DuplicateDecided]:
    """Remembers that no two of some images are near-duplicates, or that each is to be kept; or takes that back."""
    images = list(dict.fromkeys(map(ImageId, body.image_ids)))
    await services.duplicates.decide(caller.organization_id, images, body.decision, take_back=body.take_back)
    return wire.Data(
        data=wire.DuplicateDecided(
            image_ids=[str(image) for image in images], decision=body.decision, taken_back=body.take_back
        )
    )
