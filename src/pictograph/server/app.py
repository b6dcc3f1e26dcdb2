"""Puts the HTTP service together."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from fastapi import FastAPI
from fastapi.routing import APIRoute

from pictograph.db.pool import Database
from pictograph.search.sampling import RecallSampler
from pictograph.server.admission import Admission
from pictograph.server.background import beside, every, watch_lag
from pictograph.server.described import describe, operation_id
from pictograph.server.duplicating import DuplicatesProcess
from pictograph.server.failures import install_error_handlers
from pictograph.server.hosts import HostNames, KnownHosts
from pictograph.server.indexing import IndexProcess
from pictograph.server.metrics import CountRequests, Metrics
from pictograph.server.middleware import BodyLimit, HeadAsGet, RequestMarks
from pictograph.server.picture_process import PictureProcess
from pictograph.server.reference import add_reference
from pictograph.server.refusals import Refusals, RefuseUnknownKeys
from pictograph.server.routes import (
    collections,
    datasets,
    duplicates,
    exports,
    health,
    history,
    images,
    keys,
    names,
    pictures,
    reindex,
    saved_queries,
    search,
    tags,
    vectors,
)
from pictograph.server.told import Crew
from pictograph.server.workers import WorkerProcesses
from pictograph.services import Services, open_services
from pictograph.settings import Settings
from pictograph.shared import Shared
from pictograph.store.idempotency import ALIVE_EVERY_S
from pictograph.store.key_memory import KeyVersions
from pictograph.version import __version__
from pictograph.wire import ErrorAnswer, Health

logger = logging.getLogger(__name__)

SWEEP_EVERY_S: Final = 150.0
"""What is deleted for good is gone after three of these at most: within ten minutes."""
REINDEX_EVERY_S: Final = 1.0
ROOM_EVERY_S: Final = 60.0
ADD_UP_EVERY_S: Final = 30.0
ROUTERS: Final = (
    search.router,
    search.queries,
    exports.router,
    tags.router,
    datasets.router,
    images.router,
    keys.router,
    keys.signed,
    names.router,
    reindex.router,
    history.router,
    health.router,
    collections.router,
    saved_queries.router,
    images.forms,
    images.uploads,
    pictures.router,
    vectors.router,
    vectors.exports,
    duplicates.router,
    duplicates.decisions,
)
DESCRIPTION: Final = (
    "Image search for vision datasets: by likeness, by tag. Every error has the shape of `ErrorAnswer`."
)


def all_routes() -> list[APIRoute]:
    """Every route of the service, whatever router it is in."""
    return [route for router in ROUTERS for route in router.routes if isinstance(route, APIRoute)]


@dataclass(frozen=True, slots=True)
class Part:
    """What makes an application one of several that serve together (serving.py): others run workers, and sweep."""

    crew: Callable[[], Crew]
    """How the workers do."""
    key_versions: Callable[[Database], KeyVersions]
    picture_turn: Path
    picture_door: Path


def create_app(
    settings: Settings,
    conninfo: str,
    *,
    on_ready: Callable[[Services], None] | None = None,
    part: Part | None = None,
) -> FastAPI:
    """The application. on_ready is called once, when everything is open and requests are about to be taken."""
    metrics = Metrics()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with AsyncExitStack() as opened:
            services, app.state.crew = await opened.enter_async_context(
                whole_service(settings, conninfo) if part is None else part_of_service(settings, conninfo, part)
            )
            await opened.enter_async_context(beside_requests(services, metrics))
            await opened.enter_async_context(watched_searches(services, metrics))
            await asyncio.to_thread(prepare_routes, app)
            app.state.services = services
            app.state.admission = Admission(settings.max_uploads, settings.max_waiting_uploads)
            if on_ready:
                on_ready(services)
            yield

    app = FastAPI(
        title="Pictograph",
        version=__version__,
        description=DESCRIPTION,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        generate_unique_id_function=operation_id,
        redirect_slashes=False,  # the published clients do not follow redirects
        responses={"4XX": {"model": ErrorAnswer}, "5XX": {"model": ErrorAnswer}},
    )
    for router in ROUTERS:
        app.include_router(router)
    add_reference(app)
    install_error_handlers(app, all_routes())
    describe(app, all_routes())
    app.state.metrics = metrics
    app.state.refusals = Refusals(settings.http_workers)
    app.state.ready, app.state.measured = Shared[Health](), Shared[bytes]()
    add_middleware(app, settings, metrics)
    return app


def add_middleware(app: FastAPI, settings: Settings, metrics: Metrics) -> None:
    """What every request passes, from the inside out."""
    app.add_middleware(BodyLimit, max_bytes=settings.max_bytes)
    app.add_middleware(RefuseUnknownKeys)
    app.add_middleware(CountRequests, metrics=metrics)
    app.add_middleware(HeadAsGet)
    app.add_middleware(KnownHosts, names=HostNames.of(settings))
    app.add_middleware(RequestMarks, access_log=settings.access_log)


@asynccontextmanager
async def whole_service(settings: Settings, conninfo: str) -> AsyncIterator[tuple[Services, Callable[[], Crew]]]:
    """The objects of a process that is the whole service but for its workers, which it runs; and how those do."""
    async with (
        PictureProcess(settings).running() as picture_door,
        open_services(settings, conninfo, picture_door=picture_door) as services,
        WorkerProcesses(settings, conninfo, services.spaces).running() as workers,
        IndexProcess(settings, conninfo, services.image_counts).running(),
        DuplicatesProcess(settings, conninfo, services.duplicates).running(),
        housekeeping(services),
    ):
        yield services, lambda: workers.crew


@asynccontextmanager
async def part_of_service(
    settings: Settings, conninfo: str, part: Part
) -> AsyncIterator[tuple[Services, Callable[[], Crew]]]:
    """The objects of a process that answers beside others; and how the workers do."""
    opening = open_services(
        settings,
        conninfo,
        key_versions=part.key_versions,
        picture_turn=part.picture_turn,
        picture_door=part.picture_door,
    )
    async with opening as services:
        yield services, part.crew


@asynccontextmanager
async def housekeeping(services: Services) -> AsyncIterator[None]:
    """While the block runs, does what a library needs beside requests; one process of a service does."""

    async def sweep() -> None:
        if files := await services.intake.sweep():
            logger.info("Deleted %d unused files", files)
        if answers := await services.requests.sweep():
            logger.info("Deleted %d answers that were kept for a day", answers)
        await services.duplicates.forget_old()

    async def advance_reindex() -> None:
        if new := await services.reindex.advance():
            logger.info("Searches now use the vectors of the encoder %s", new.encoder)

    async def warn_of_old_tags() -> None:
        if await services.retag.is_due():
            logger.warning(
                "Another version of the taxonomy or tagger gave some tags. To update them: pictograph tags update"
            )

    async with (
        every(SWEEP_EVERY_S, sweep),
        every(REINDEX_EVERY_S, advance_reindex),
        beside(warn_of_old_tags),
        every(ROOM_EVERY_S, services.rooms.warn),
        every(ADD_UP_EVERY_S, services.image_counts.add_up),
    ):
        yield


@asynccontextmanager
async def beside_requests(services: Services, metrics: Metrics) -> AsyncIterator[None]:
    """While the block runs, does what each process that answers requests needs beside them."""

    async def watch_loop() -> None:
        await watch_lag(metrics.saw_lag)

    async with (
        every(ALIVE_EVERY_S, services.requests.keep_alive),
        beside(watch_loop),
    ):
        yield


@asynccontextmanager
async def watched_searches(services: Services, metrics: Metrics) -> AsyncIterator[None]:
    """While the block runs, measures searches, and the recall of some."""
    sampler = RecallSampler(services.search.pipeline, services.settings.check_one_in, metrics.saw_recall)
    services.search.watch(metrics.saw_search)
    services.search.watch(sampler.consider)
    try:
        yield
    finally:
        await sampler.close()


def prepare_routes(app: FastAPI) -> None:
    """Does what FastAPI puts off until the first request, which would wait for it, and all others with it."""
    app.openapi()
    nowhere = {"type": "http", "path": "/nowhere", "method": "GET", "headers": [], "root_path": "", "path_params": {}}
    for route in app.router.routes:
        route.matches(nowhere)
