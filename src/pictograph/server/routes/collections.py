"""`/collections`: sets of images by name."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from pictograph import wire
from pictograph.server import present
from pictograph.server.access import KeyFirst, Member, ServicesDep, Viewer
from pictograph.server.answers import answer_of
from pictograph.server.inputs import Cursor
from pictograph.types import ImageId

router = APIRouter(prefix=f"{wire.API_PREFIX}/collections", tags=["collections"], route_class=KeyFirst)

CollectionPage = wire.Page[wire.Collection]
OneCollection = wire.Data[wire.Collection]
ImagePage = wire.Page[wire.Image]


@router.get("/", response_model=CollectionPage)
async def list_collections(
    services: ServicesDep,
    caller: Viewer,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    cursor: Cursor = None,
) -> Response:
    """Lists your collections, newest first."""
    listed = await services.collections.list(caller.organization_id, limit=limit, cursor=cursor)
    pagination = present.pagination(listed.total, listed.next_cursor, limit=limit)
    return await answer_of(
        lambda: CollectionPage(data=[present.collection(row) for row in listed.rows], pagination=pagination)
    )


@router.post("/", status_code=201)
async def create_collection(services: ServicesDep, caller: Member, body: wire.CollectionCreate) -> OneCollection:
    """Makes an empty collection. 409 if the name is taken."""
    return OneCollection(data=present.collection(await services.collections.create(caller.organization_id, body.name)))


@router.get("/{collection}")
async def get_collection(services: ServicesDep, caller: Viewer, collection: str) -> OneCollection:
    """Returns one collection, by name or UUID."""
    return OneCollection(data=present.collection(await services.collections.get(caller.organization_id, collection)))


@router.patch("/{collection}")
async def rename_collection(
    services: ServicesDep, caller: Member, collection: str, body: wire.CollectionRename
) -> OneCollection:
    """Gives the collection another name. 409 if it is taken."""
    row = await services.collections.rename(caller.organization_id, collection, body.new_name)
    return OneCollection(data=present.collection(row))


@router.delete("/{collection}")
async def delete_collection(services: ServicesDep, caller: Member, collection: str) -> OneCollection:
    """Removes the collection, not its images, and returns what it was."""
    return OneCollection(data=present.collection(await services.collections.delete(caller.organization_id, collection)))


@router.get("/{collection}/images", response_model=ImagePage)
async def list_images(
    request: Request,
    services: ServicesDep,
    caller: Viewer,
    collection: str,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    cursor: Cursor = None,
) -> Response:
    """Lists the images of the collection, the last added first. An archived image is left out until it is restored."""
    listed = await services.collections.images(caller.organization_id, collection, limit=limit, cursor=cursor)
    urls = await present.urls_for(request, services, caller)
    pagination = present.pagination(listed.total, listed.next_cursor, limit=limit)
    return await answer_of(
        lambda: ImagePage(data=[present.image(row, urls) for row in listed.rows], pagination=pagination)
    )


@router.post("/{collection}/images")
async def add_images(
    services: ServicesDep, caller: Member, collection: str, body: wire.CollectionImages
) -> wire.CollectionChange:
    """Adds images, of any of your datasets. 404, with none of them added, if one does not exist."""
    images = list(dict.fromkeys(map(ImageId, body.image_ids)))
    added = await services.collections.add(caller.organization_id, collection, images)
    return wire.CollectionChange(changed=added, unchanged=len(images) - added)


@router.post("/{collection}/images/remove")
async def remove_images(
    services: ServicesDep, caller: Member, collection: str, body: wire.CollectionImages
) -> wire.CollectionChange:
    """Takes images out of the collection; they stay in their datasets."""
    images = list(dict.fromkeys(map(ImageId, body.image_ids)))
    removed = await services.collections.remove(caller.organization_id, collection, images)
    return wire.CollectionChange(changed=removed, unchanged=len(images) - removed)
