"""`/pictures`: thumbnails and files by addresses that need no key, which every row of an image carries."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response

from pictograph import wire
from pictograph.server import pictures
from pictograph.server.access import ServicesDep
from pictograph.server.strict import Strict
from pictograph.services import Services
from pictograph.store.images import Image
from pictograph.store.signing import SignedAddress
from pictograph.types import ImageId

router = APIRouter(prefix=wire.PICTURES_PREFIX, tags=["images"], route_class=Strict)

Expires = Annotated[int, Query(ge=0, le=2**53, description="When the URL ends, in seconds since 1970.")]
KeyId = Annotated[UUID, Query(description="Id of the API key that asked for the URL, which ends with it.")]
Signature = Annotated[str, Query(max_length=100, description="Of all the rest.")]


async def signed_for(services: Services, address: SignedAddress) -> Image:
    """The image, for who asked for the address. Raises BadSignature, UrlExpired, NotFoundError."""
    holder = await services.signing.require_valid(address)
    return await services.images.get(holder.organization_id, address.image)


@router.get("/{image_id:uuid}/thumbnail", responses=pictures.DESCRIBED, response_class=Response)
async def signed_thumbnail(
    request: Request, services: ServicesDep, image_id: UUID, expires: Expires, key: KeyId, signature: Signature
) -> Response:
    """Returns a picture of at most 320 px a side, upright: WebP where `Accept` names it, else JPEG. It needs no key.

    The URL is the `thumbnail_url` of a row; it works for 12 to 24 hours.
    """
    address = SignedAddress(ImageId(image_id), "thumbnail", expires, key, signature)
    return await pictures.thumbnail(request, services, await signed_for(services, address), pictures.SIGNED)


@router.get("/{image_id:uuid}/original", responses=pictures.DESCRIBED, response_class=Response)
async def signed_original(
    request: Request, services: ServicesDep, image_id: UUID, expires: Expires, key: KeyId, signature: Signature
) -> Response:
    """Returns the file, exactly as it was uploaded. It needs no key.

    The URL is the `image_url` of a row; it works for 12 to 24 hours.
    """
    address = SignedAddress(ImageId(image_id), "original", expires, key, signature)
    return await pictures.original(request, services, await signed_for(services, address), pictures.SIGNED)
