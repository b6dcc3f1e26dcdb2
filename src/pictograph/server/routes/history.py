"""`/history`: who did what to the whole installation. An image and a dataset have routes of their own."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from pictograph import wire
from pictograph.server import present
from pictograph.server.access import KeyFirst, Operator, ServicesDep
from pictograph.server.inputs import Cursor
from pictograph.store.history import INSTALLATION

router = APIRouter(prefix=f"{wire.API_PREFIX}/history", tags=["history"], route_class=KeyFirst)


@router.get("/")
async def installation_history(
    services: ServicesDep,
    _: Operator,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    cursor: Cursor = None,
) -> wire.Page[wire.Write]:
    """Lists who changed thresholds and the encoder, which all organizations share, and when, newest first."""
    return present.history(await services.history.of(INSTALLATION, limit=limit, cursor=cursor), limit=limit)
