"""`/health`: the process lives. `/ready`: it can answer searches and process uploads. `/metrics`: how it does."""

from __future__ import annotations

from typing import Final

from fastapi import APIRouter, Request
from fastapi.responses import Response
from prometheus_client import CONTENT_TYPE_LATEST

from pictograph import wire
from pictograph.errors import PictographError, Unavailable
from pictograph.server.access import services_of
from pictograph.server.strict import Strict
from pictograph.server.told import Crew
from pictograph.services import Services
from pictograph.shared import Shared
from pictograph.spaces.registry import fingerprint_of
from pictograph.version import __version__

WAIT_S: Final = 5.0
"""Who asks whether we are ready seldom waits longer, and a database that hangs would keep them waiting."""

router = APIRouter(tags=["health"], route_class=Strict)


@router.get("/health")
async def health() -> wire.Health:
    """200 as long as the process answers."""
    return wire.Health(status="ok", version=__version__)


@router.get("/ready")
async def ready(request: Request) -> wire.Health:
    """200 if the database answers, workers run and disks have room; else 503 with what is missing."""
    shared: Shared[wire.Health] = request.app.state.ready
    try:
        health = await shared.of(lambda: look(services_of(request), request.app.state.crew()), WAIT_S)
    except TimeoutError:
        problem = f"The database or the blob store has not answered for {WAIT_S:g} s."
        health = wire.Health(
            status="not_ready", version=__version__, workers=request.app.state.crew().alive, problems=[problem]
        )
    if health.problems:
        raise Unavailable(" ".join(health.problems), details=health.model_dump(), retry_after_s=2)
    return health


async def look(services: Services, crew: Crew) -> wire.Health:
    """How things stand now."""
    problems, queue, active = list(crew.problems), None, None
    storage = await services.rooms.look()
    problems += storage.problems
    try:
        active = await services.spaces.active()
        queue, _ = await services.backlog.depth()
    except PictographError as error:
        problems.append(error.message)
    return wire.Health(
        status="not_ready" if problems else "ok",
        version=__version__,
        encoder=active.encoder if active else None,
        fingerprint=fingerprint_of(active) if active else None,
        queue=queue,
        workers=crew.alive,
        problems=problems,
        warnings=[*crew.warnings, *storage.warnings],
        index=services.index.status().sentence,
        storage=[
            wire.Room(holds=room.holds, free_bytes=room.free_bytes, total_bytes=room.total_bytes)
            for room in storage.rooms
        ],
    )


@router.get("/metrics", response_class=Response)
async def metrics(request: Request) -> Response:
    """How the service does, in Prometheus' text format. Needs no key, and tells nothing of whose images it holds."""
    state = request.app.state
    text = await state.measured.of(lambda: state.metrics.text(services_of(request), state.crew().alive))
    return Response(text, media_type=CONTENT_TYPE_LATEST)
