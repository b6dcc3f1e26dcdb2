"""`/reindex`: move the library to another encoder while it is searched. Needs role installation."""

from __future__ import annotations

from fastapi import APIRouter, Request

from pictograph import wire
from pictograph.server import present
from pictograph.server.access import Admin, KeyFirst, Operator, ServicesDep
from pictograph.server.idempotency import in_steps
from pictograph.services import Services, require_real_encoder, start_reindex
from pictograph.store.keys import Caller

router = APIRouter(prefix=f"{wire.API_PREFIX}/reindex", tags=["reindex"], route_class=KeyFirst)


@router.get("/")
async def status(request: Request, services: ServicesDep, caller: Admin) -> wire.Data[wire.Reindex]:
    """Shows how far the reindex is; without one, which encoder the library has."""
    return await shown(request, services, caller)


@router.post("/", status_code=202)
@in_steps
async def start(
    request: Request, services: ServicesDep, caller: Operator, body: wire.ReindexStart
) -> wire.Data[wire.Reindex]:
    """Starts a reindex, changes its pace, or tries again what failed. 409 if the library moves to another encoder."""
    require_real_encoder(body.encoder)
    await start_reindex(services.reindex, body.encoder, body.pace)
    return await shown(request, services, caller)


@router.post("/accept-failures")
@in_steps
async def accept_failures(request: Request, services: ServicesDep, caller: Operator) -> wire.Data[wire.Reindex]:
    """Finishes it although searches will no longer find some images."""
    await services.reindex.accept_failures()
    return await shown(request, services, caller)


@router.delete("/")
@in_steps
async def cancel(request: Request, services: ServicesDep, caller: Operator) -> wire.Data[wire.Reindex]:
    """Cancels it; the library stays as it is, and what was encoded is kept for a later start."""
    await services.reindex.cancel()
    return await shown(request, services, caller)


@router.delete("/previous")
@in_steps
async def forget_previous(services: ServicesDep, _: Operator) -> wire.Data[wire.ForgottenSpaces]:
    """Deletes what encoders that are not in use have made of the library. There is no way back to them."""
    return wire.Data(data=wire.ForgottenSpaces(spaces=await services.reindex.forget_previous()))


async def shown(request: Request, services: Services, caller: Caller) -> wire.Data[wire.Reindex]:
    progress = await services.reindex.progress(caller.organization_id)
    workers = request.app.state.crew().alive_for(progress.building.id) if progress.building else 0
    return wire.Data(data=present.reindex(progress, workers))
