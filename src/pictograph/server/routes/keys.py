"""`/api-keys`: make, list, revoke; and whose key this is. `/signed-urls`: end them."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Response

from pictograph import wire
from pictograph.server import present
from pictograph.server.access import Admin, KeyFirst, Operator, ServicesDep, require_role
from pictograph.server.answers import answer_of
from pictograph.server.inputs import Cursor
from pictograph.types import MAX_NAMED

router = APIRouter(prefix=wire.KEYS_PREFIX, tags=["api keys"], route_class=KeyFirst)
signed = APIRouter(prefix=f"{wire.API_PREFIX}/signed-urls", tags=["api keys"], route_class=KeyFirst)


@router.get("/", response_model=wire.ApiKeys)
async def list_keys(
    services: ServicesDep,
    caller: Admin,
    limit: Annotated[int, Query(ge=1, le=1000)] = 1000,
    cursor: Cursor = None,
    organization_id: Annotated[
        str | None, Query(max_length=MAX_NAMED, description="Your own; published clients send it.")
    ] = None,
) -> Response:
    """Lists the keys of your organization, oldest first, including revoked ones, without their secrets."""
    await services.keys.require_own(caller.organization_id, organization_id)
    listed = await services.keys.list(caller.organization_id, limit=limit, cursor=cursor)
    pagination = present.pagination(listed.total, listed.next_cursor, limit=limit)
    return await answer_of(
        lambda: wire.ApiKeys(api_keys=[present.api_key(row) for row in listed.rows], pagination=pagination)
    )


@router.post("/", status_code=201)
async def create_key(services: ServicesDep, caller: Admin, body: wire.ApiKeyCreate) -> wire.CreatedApiKey:
    """Makes a key. Its secret is in this answer and nowhere else."""
    require_role(caller, body.role)
    await services.keys.require_own(caller.organization_id, body.organization_id)
    key, secret = await services.keys.create(
        caller.organization_id, body.name, body.role, expires_at=body.expires_at, by=caller.key_id
    )
    return wire.CreatedApiKey(
        key_id=str(key.id),
        api_key=secret,
        key_prefix=key.key_prefix,
        name=key.name,
        **present.role(key.role),
        expires_at=key.expires_at,
        created_at=key.created_at,
    )


@signed.post("/end")
async def end_signed_urls(services: ServicesDep, _: Operator) -> dict[str, bool]:
    """Ends every URL of a picture that was given out: a new secret signs those of later answers."""
    await services.signing.rotate()
    return {"ended": True}


@router.delete("/{key_id}")
async def revoke_key(services: ServicesDep, caller: Admin, key_id: UUID) -> wire.RevokedKey:
    """Revokes the key: it stops working at once. 403 for a key above your own, 409 for the key of this request."""
    await services.keys.revoke(caller, key_id)
    return wire.RevokedKey(revoked=str(key_id))
