"""`/images`: upload in one step or three, list, metadata, bytes, thumbnail, delete."""

from __future__ import annotations

from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, File, Form, Query, Request, Response, UploadFile

from pictograph import wire
from pictograph.errors import ValidationError
from pictograph.server import pictures, present
from pictograph.server.access import KeyFirst, Member, ServicesDep, Viewer, organization_of_ticket
from pictograph.server.admission import PICTURE_BODY, Owner, UploadForm, admission_of, owner_of, spooled_body
from pictograph.server.answers import answer_of
from pictograph.server.idempotency import only_reads, tell_of
from pictograph.server.inputs import Cursor
from pictograph.server.strict import Strict
from pictograph.services import Services
from pictograph.store.images import Image, ImageFilter, Place, Replacement, Tagging
from pictograph.store.keys import Caller
from pictograph.store.names import canonical_folder, checked_filename
from pictograph.types import MAX_FOLDER_SENT, MAX_LIST_OFFSET, MAX_NAMED, DatasetId, ImageId, ImageState

router = APIRouter(prefix=f"{wire.API_PREFIX}/images", tags=["images"], route_class=KeyFirst)
forms = APIRouter(prefix=router.prefix, tags=["images"], route_class=UploadForm)
uploads = APIRouter(prefix=wire.UPLOADS_PREFIX, tags=["images"], route_class=Strict)

OneImage = wire.Data[wire.Image]
ImagePage = wire.Page[wire.Image]
KnownImages = wire.Data[list[wire.KnownImage]]


async def place_of(services: Services, caller: Caller, dataset: str, folder_path: str, filename: str) -> Place:
    """Where an upload is to go, with every name checked."""
    dataset_id = await services.datasets.id_of(caller.organization_id, dataset)
    return Place(dataset_id, canonical_folder(folder_path), checked_filename(filename))


async def shown(
    request: Request,
    services: Services,
    caller: Caller,
    image: Image,
    tagging: Tagging | None = None,
    replacement: Replacement | None = None,
) -> OneImage:
    tell_of(request, image.id)
    urls = await present.urls_for(request, services, caller)
    return OneImage(data=present.image(image, urls, tagging, replacement))


@forms.post("/upload", status_code=201)
async def upload_image(
    request: Request,
    services: ServicesDep,
    caller: Member,
    dataset: Annotated[str, Form(max_length=MAX_NAMED, description="Name or UUID.")],
    file: Annotated[UploadFile, File(description="The picture.")],
    directory_path: Annotated[str, Form(max_length=MAX_FOLDER_SENT, description="The folder it goes to.")] = "/",
    filename: Annotated[str | None, Form(max_length=MAX_NAMED, description="Absent: the file's own name.")] = None,
    replace: Annotated[bool, Form(description="An image of this place keeps its id and gets these bytes.")] = False,
) -> OneImage:
    """One picture in one step: when this answers 201, the image can no longer be lost.

    With `replace`, an image of that folder and name keeps its id, labels and corrections, and answers with its old
    bytes until the new ones are ready: see `replacement` in its metadata.
    """
    place = await place_of(services, caller, dataset, directory_path, filename or file.filename or "")
    async with admission_of(request).turn():
        # no name for the bytes: they go with the turn, while the answer is still being made
        image = await services.intake.receive(caller.organization_id, place, await file.read(), replace=replace)
    replacement = await services.images.replacement(image.id) if replace else None
    return await shown(request, services, caller, image, replacement=replacement)


@router.post("/upload-url")
async def create_upload_url(
    request: Request, services: ServicesDep, caller: Member, body: wire.UploadUrlRequest
) -> wire.Data[wire.UploadUrl]:
    """Step 1 of 3: where to PUT the bytes. 409 if the name is taken."""
    place = await place_of(services, caller, body.dataset, body.directory_path, body.filename)
    if not body.replace:
        await services.images.require_free(place)
    token = await services.tickets.create(place, caller.key_id)
    address = f"{present.base_url(request, services.settings.public_url)}{wire.UPLOADS_PREFIX}/{token}"
    return wire.Data[wire.UploadUrl](data=wire.UploadUrl(upload_url=address))


@uploads.put("/{token}", status_code=200, openapi_extra=PICTURE_BODY)
async def put_bytes(request: Request, services: ServicesDep, token: str) -> wire.StoredBytes:
    """Step 2 of 3: the bytes, as the body. The URL is the permission: no key is read here.

    It may be repeated until they are registered, and the last bytes count; then it is 409. The URL ends after an hour,
    and with the key that asked for it.
    """
    owner = Owner(await organization_of_ticket(request, token))
    async with spooled_body(request, owner) as spooled, admission_of(request).turn():
        await services.intake.stage(token, await spooled.read())
    return wire.StoredBytes()


@router.post("/register", status_code=201)
async def register_image(
    request: Request,
    services: ServicesDep,
    caller: Member,
    body: wire.RegisterRequest,
) -> OneImage:
    """Step 3 of 3: makes an image of the bytes that were PUT."""
    place = await place_of(services, caller, body.dataset, body.directory_path, body.filename)
    async with admission_of(request).place(owner_of(caller)), admission_of(request).turn():
        image = await services.intake.register(caller.organization_id, place, replace=body.replace)
    replacement = await services.images.replacement(image.id) if body.replace else None
    return await shown(request, services, caller, image, replacement=replacement)


@router.post("/which-exist", response_model=KnownImages)
@only_reads
async def which_exist(services: ServicesDep, caller: Viewer, body: wire.WhichExistRequest) -> Response:
    """Says which of these places of a dataset have an image, also an archived one, and what it is: up to 1000 places.

    In the order of the question; places without an image are left out.
    """
    dataset = await services.datasets.id_of(caller.organization_id, body.dataset)
    found = await services.images.which_exist([place_if_any(dataset, file) for file in body.files])
    return await answer_of(lambda: KnownImages(data=[present.known_image(row) for row in found]))


def place_if_any(dataset: DatasetId, asked: wire.PlaceInDataset) -> Place | None:
    """The place; None for names that no image can have: nothing is there."""
    try:
        return Place(dataset, canonical_folder(asked.directory_path), checked_filename(asked.filename))
    except ValidationError:
        return None


@router.get("/", response_model=ImagePage)
async def list_images(
    request: Request,
    services: ServicesDep,
    caller: Viewer,
    dataset: Annotated[str, Query(max_length=MAX_NAMED, description="Name or UUID.")],
    directory_path: Annotated[str | None, Query(max_length=MAX_FOLDER_SENT, description="Exactly this folder.")] = None,
    filename: Annotated[str | None, Query(max_length=MAX_NAMED, description="Exactly this name.")] = None,
    state: Annotated[
        ImageState | None, Query(description="`failed` tells what could not be processed, and why.")
    ] = None,
    include_archived: bool = False,
    status: Annotated[
        wire.WorkflowStatus | None, Query(description="Every image is `new`: another one finds nothing.")
    ] = None,
    split: Annotated[
        Literal["train", "val", "test"] | None, Query(description="No image has a split: any one finds nothing.")
    ] = None,
    min_confidence_lt: Annotated[
        float | None,
        Query(
            allow_inf_nan=False, description="No image has annotations whose confidence could be less: finds nothing."
        ),
    ] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    offset: Annotated[int, Query(ge=0, le=MAX_LIST_OFFSET, description="Not stable while images come and go.")] = 0,
    cursor: Cursor = None,
) -> Response:
    """Lists the images of a dataset, newest first. Pages by `cursor` neither skip nor repeat, whatever changes."""
    dataset_id = await services.datasets.id_of(caller.organization_id, dataset)
    if status not in (None, "new") or split is not None or min_confidence_lt is not None:
        nothing = present.pagination(0, None, limit=limit, offset=offset)
        return await answer_of(lambda: ImagePage(data=[], pagination=nothing))
    wanted = ImageFilter(
        canonical_folder(directory_path) if directory_path is not None else None, filename, state, include_archived
    )
    listed = await services.images.list(
        caller.organization_id, dataset_id, wanted, limit=limit, offset=offset, cursor=cursor
    )
    urls = await present.urls_for(request, services, caller)
    pagination = present.pagination(listed.total, listed.next_cursor, limit=limit, offset=offset)
    return await answer_of(
        lambda: ImagePage(data=[present.image(row, urls) for row in listed.rows], pagination=pagination)
    )


@router.get("/{image_id:uuid}/metadata")
async def image_metadata(request: Request, services: ServicesDep, caller: Viewer, image_id: UUID) -> OneImage:
    """Returns everything about one image, including the scores of its tags and the tagger that gave them."""
    image = await services.images.get(caller.organization_id, ImageId(image_id))
    tagging, replacement = await services.images.tagging(image), await services.images.replacement(image.id)
    return await shown(request, services, caller, image, tagging, replacement)


@router.get("/{image_id:uuid}/history")
async def image_history(
    services: ServicesDep,
    caller: Viewer,
    image_id: UUID,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    cursor: Cursor = None,
) -> wire.Page[wire.Write]:
    """Lists who wrote the image, and when, newest first. The history is deleted with the image."""
    image = await services.images.get(caller.organization_id, ImageId(image_id))
    return present.history(await services.history.of(image.id, limit=limit, cursor=cursor), limit=limit)


@router.get("/{image_id:uuid}/thumbnail", responses=pictures.DESCRIBED, response_class=Response)
async def image_thumbnail(request: Request, services: ServicesDep, caller: Viewer, image_id: UUID) -> Response:
    """Returns a small upright picture of it: WebP where `Accept` names it, else JPEG."""
    image = await services.images.get(caller.organization_id, ImageId(image_id))
    return await pictures.thumbnail(request, services, image)


@router.post("/{image_id:uuid}/restore")
async def restore_image(request: Request, services: ServicesDep, caller: Member, image_id: UUID) -> OneImage:
    """Brings an archived image back into every search."""
    image = await services.images.get(caller.organization_id, ImageId(image_id))
    await services.intake.restore(image.id)
    return await shown(request, services, caller, await services.images.get(caller.organization_id, image.id))


@router.get("/{image_id:uuid}", responses=pictures.DESCRIBED, response_class=Response)
async def image_bytes(request: Request, services: ServicesDep, caller: Viewer, image_id: UUID) -> Response:
    """Returns the file, exactly as it was uploaded."""
    image = await services.images.get(caller.organization_id, ImageId(image_id))
    return await pictures.original(request, services, image)


@router.delete("/{image_id:uuid}")
async def delete_image(
    services: ServicesDep, caller: Member, image_id: UUID, permanent: bool = False
) -> wire.Data[wire.DeletedImage]:
    """Archives the image: no search finds it, nothing is lost. With `permanent=true` it is removed for good."""
    image = await services.images.get(caller.organization_id, ImageId(image_id))
    await (services.intake.delete(image.id) if permanent else services.intake.archive(image.id))
    return wire.Data(data=wire.DeletedImage(id=str(image.id), deleted=permanent, archived=not permanent))


async def at_path(services: Services, caller: Caller, dataset: str, path: str) -> Image:
    """The image that `/images/{dataset}/{folder/.../filename}` names."""
    folder, _, filename = path.rpartition("/")
    if not filename:
        raise ValidationError("The path must end in a filename: /images/{dataset}/{folder/filename}.")
    place = await place_of(services, caller, dataset, folder, filename)
    return await services.images.find(caller.organization_id, place)


@router.get("/{dataset}/{path:path}", responses=pictures.DESCRIBED, response_class=Response)
async def image_bytes_by_path(
    request: Request, services: ServicesDep, caller: Viewer, dataset: str, path: str
) -> Response:
    """The file, by dataset, folder and name."""
    return await pictures.original(request, services, await at_path(services, caller, dataset, path))


@router.delete("/{dataset}/{path:path}")
async def delete_image_by_path(
    services: ServicesDep, caller: Member, dataset: str, path: str, permanent: bool = False
) -> wire.Data[wire.DeletedImage]:
    """As `DELETE /images/{image_id}`, by dataset, folder and name."""
    image = await at_path(services, caller, dataset, path)
    return await delete_image(services, caller, image.id, permanent)
