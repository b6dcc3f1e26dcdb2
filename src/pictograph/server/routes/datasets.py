"""`/datasets`: create, list, get, rename, delete, progress."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response

from pictograph import wire
from pictograph.server import present
from pictograph.server.access import Admin, KeyFirst, Member, ServicesDep, Viewer
from pictograph.server.answers import answer_of
from pictograph.server.inputs import Cursor
from pictograph.store.images import ImageFilter
from pictograph.types import MAX_LIST_OFFSET, DatasetId

router = APIRouter(prefix=f"{wire.API_PREFIX}/datasets", tags=["datasets"], route_class=KeyFirst)

DatasetPage = wire.Page[wire.Dataset]
OneDataset = wire.Data[wire.Dataset]


@router.get("/", response_model=DatasetPage)
async def list_datasets(
    services: ServicesDep,
    caller: Viewer,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    offset: Annotated[int, Query(ge=0, le=MAX_LIST_OFFSET, description="Not stable while datasets come and go.")] = 0,
    cursor: Cursor = None,
    archived: Annotated[bool, Query(description="Only archived ones: datasets are never archived, so none.")] = False,
) -> Response:
    """Lists your datasets, newest first. Pages by `cursor` neither skip nor repeat, whatever changes meanwhile."""
    if archived:
        nothing = present.pagination(0, None, limit=limit, offset=offset)
        return await answer_of(lambda: DatasetPage(data=[], pagination=nothing))
    listed = await services.datasets.list(caller.organization_id, limit=limit, offset=offset, cursor=cursor)
    pagination = present.pagination(listed.total, listed.next_cursor, limit=limit, offset=offset)
    return await answer_of(
        lambda: DatasetPage(data=[present.dataset(row) for row in listed.rows], pagination=pagination)
    )


@router.post("/", status_code=201)
async def create_dataset(services: ServicesDep, caller: Member, body: wire.DatasetCreate) -> OneDataset:
    """Makes an empty dataset. 409 if the name is taken."""
    row = await services.datasets.create(caller.organization_id, body.name, body.description)
    return OneDataset(data=present.dataset(row))


@router.get("/{dataset}", response_model=OneDataset)
async def get_dataset(
    request: Request,
    services: ServicesDep,
    caller: Viewer,
    dataset: str,
    include_images: Annotated[bool, Query(description="Whether `images` has the first of its images.")] = False,
    images_limit: Annotated[int, Query(ge=1, le=10_000, description="Most of them.")] = 100,
    images_offset: Annotated[int, Query(ge=0, le=MAX_LIST_OFFSET)] = 0,
) -> Response:
    """Returns one dataset, by name or UUID. `GET /images/` lists its images page by page."""
    shown = present.dataset(await services.datasets.get(caller.organization_id, dataset))
    if not include_images:
        return await answer_of(lambda: OneDataset(data=shown))
    listed = await services.images.list(
        caller.organization_id, DatasetId(UUID(shown.id)), ImageFilter(), limit=images_limit, offset=images_offset
    )
    urls = await present.urls_for(request, services, caller)

    def with_images() -> OneDataset:
        return OneDataset(data=shown.model_copy(update={"images": [present.image(row, urls) for row in listed.rows]}))

    return await answer_of(with_images)


@router.patch("/{dataset}")
async def update_dataset(services: ServicesDep, caller: Member, dataset: str, body: wire.DatasetUpdate) -> OneDataset:
    """Renames or describes a dataset. 409 if the new name is taken."""
    row = await services.datasets.update(
        caller.organization_id, dataset, name=body.new_name, description=body.description
    )
    return OneDataset(data=present.dataset(row))


@router.delete("/{dataset}")
async def delete_dataset(services: ServicesDep, caller: Admin, dataset: str) -> wire.Data[wire.DeletedDataset]:
    """Removes a dataset with all its images, for good."""
    row = await services.datasets.delete(caller.organization_id, dataset)
    return wire.Data[wire.DeletedDataset](data=present.deleted_dataset(row))


@router.get("/{dataset}/progress")
async def dataset_progress(services: ServicesDep, caller: Viewer, dataset: str) -> wire.Data[wire.Progress]:
    """Counts how many of its images wait, can be found, or failed."""
    dataset_id = await services.datasets.id_of(caller.organization_id, dataset)
    counts = await services.datasets.progress(dataset_id)
    replacing = await services.datasets.replacing(dataset_id)
    return wire.Data[wire.Progress](data=present.progress(str(dataset_id), counts, replacing))


@router.get("/{dataset}/history")
async def dataset_history(
    services: ServicesDep,
    caller: Viewer,
    dataset: str,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    cursor: Cursor = None,
) -> wire.Page[wire.Write]:
    """Lists who made, renamed and described the dataset, and when, newest first; images have their own histories."""
    dataset_id = await services.datasets.id_of(caller.organization_id, dataset)
    return present.history(await services.history.of(dataset_id, limit=limit, cursor=cursor), limit=limit)


@router.post("/{dataset}/retry-failed")
async def retry_failed(services: ServicesDep, caller: Member, dataset: str) -> wire.Data[wire.Retried]:
    """Processes the failed images again, for instance after an upgrade or with more memory."""
    dataset_id = await services.datasets.id_of(caller.organization_id, dataset)
    return wire.Data(data=wire.Retried(images=await services.intake.retry_failed(dataset_id)))
