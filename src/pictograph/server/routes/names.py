"""`/name-changes`: names that a migration brought to one spelling."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from pictograph import wire
from pictograph.server import present
from pictograph.server.access import KeyFirst, ServicesDep, Viewer
from pictograph.server.inputs import Cursor

router = APIRouter(prefix=f"{wire.API_PREFIX}/name-changes", tags=["datasets"], route_class=KeyFirst)


@router.get("/")
async def list_name_changes(
    services: ServicesDep,
    caller: Viewer,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    cursor: Cursor = None,
) -> wire.Page[wire.NameChange]:
    """Names of datasets, folders, images and keys that are written in one spelling (NFC) now, and what they were."""
    listed = await services.name_changes.list(caller.organization_id, limit=limit, cursor=cursor)
    pagination = present.pagination(listed.total, listed.next_cursor, limit=limit)
    return wire.Page[wire.NameChange](data=[present.name_change(row) for row in listed.rows], pagination=pagination)
