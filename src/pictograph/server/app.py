"""Puts the HTTP service together."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final

from fastapi import FastAPI

from pictograph.errors import PictographError
from pictograph.pipeline import Intake
from pictograph.server.admission import Admission
from pictograph.server.failures import install_error_handlers
from pictograph.server.middleware import BodyLimit, RequestMarks
from pictograph.server.routes import datasets, health, images, keys, search
from pictograph.server.workers import WorkerProcesses
from pictograph.services import Services, open_services
from pictograph.settings import Settings
from pictograph.version import __version__
from pictograph.wire import ErrorAnswer

logger = logging.getLogger(__name__)

SWEEP_EVERY_S: Final = 600.0
DESCRIPTION: Final = (
    "Image search for vision datasets: by likeness, by tag. Every error has the shape of `ErrorAnswer`."
)


def create_app(settings: Settings, conninfo: str, *, on_ready: Callable[[Services], None] | None = None) -> FastAPI:
    """The application. on_ready is called once, when everything is open and requests are about to be taken."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with (
            open_services(settings, conninfo) as services,
            WorkerProcesses(settings, conninfo).running() as workers,
            sweeping(services.intake),
        ):
            app.state.services = services
            app.state.workers = workers
            app.state.admission = Admission(settings.max_uploads, settings.max_waiting_uploads)
            if on_ready:
                on_ready(services)
            yield

    app = FastAPI(
        title="Pictograph",
        version=__version__,
        description=DESCRIPTION,
        lifespan=lifespan,
        redirect_slashes=False,  # the published clients do not follow redirects
        responses={"4XX": {"model": ErrorAnswer}, "5XX": {"model": ErrorAnswer}},
    )
    for module in (search, datasets, images, keys, health):
        app.include_router(module.router)
    app.include_router(images.forms)
    app.include_router(images.uploads)
    install_error_handlers(app)
    app.add_middleware(BodyLimit, max_bytes=settings.max_bytes)
    app.add_middleware(RequestMarks)
    return app


@asynccontextmanager
async def sweeping(intake: Intake) -> AsyncIterator[None]:
    """Every ten minutes, files that nothing refers to are removed."""

    async def sweep_for_ever() -> None:
        while True:
            await asyncio.sleep(SWEEP_EVERY_S)
            try:
                removed = await intake.sweep()
            except PictographError as error:
                logger.warning("Sweeping unused files failed and will be tried again: %s", error)
            else:
                logger.info("Swept %d unused files", removed)

    sweeper = asyncio.create_task(sweep_for_ever())
    try:
        yield
    finally:
        sweeper.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await sweeper
