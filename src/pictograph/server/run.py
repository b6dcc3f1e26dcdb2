"""`pictograph serve` and `pictograph worker`: processes, signals, and the first start."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Final, TypeVar

from threadpoolctl import ThreadpoolController

from pictograph.db.pool import Database
from pictograph.errors import ConfigurationError
from pictograph.localconfig import DEFAULT_PROFILE, LocalConfig, config_path, read_config, write_config
from pictograph.models.choose import Choice
from pictograph.search.memory.process import keep_index
from pictograph.server.app import create_app
from pictograph.server.beats import Life
from pictograph.server.connections import raise_file_limit
from pictograph.server.encoder_choice import Fetch, settle_encoder
from pictograph.server.ending import stopping, when_parent_ends
from pictograph.server.listening import Server, address_of, bind, keep_what_is_loaded, uvicorn_config
from pictograph.server.serving import serve_with_several
from pictograph.services import open_blobs, open_space, running_database
from pictograph.settings import AUTO, Settings
from pictograph.store.keys import Keys
from pictograph.store.library import Report
from pictograph.worker import open_worker

logger = logging.getLogger(__name__)

Opened = TypeVar("Opened")
MACHINE_KEY_NAME: Final = "this machine"


@dataclass(frozen=True, slots=True)
class Start:
    """What a person wants to know when requests are about to be taken."""

    address: str
    config: LocalConfig
    encoder: str
    """Of the active space."""
    choice: Choice | None
    """Why it is that one; None where it was named, or the data has it."""


def serve(
    settings: Settings,
    *,
    announce: Callable[[Start], None],
    fetch: Fetch,
    adopt: Report | None = None,
    exit_with_parent: bool = False,
) -> None:
    """Runs the service until it is asked to stop (SIGINT, SIGTERM).

    announce is called when requests are about to be taken; fetch: fetches a model that is to run and is not here;
    adopt: takes another blob store than before, once every file is there, and is told of the progress;
    exit_with_parent: also stop when standard input closes. Raises ConfigurationError if it cannot start.
    """
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # also during the start: in order
    raise_file_limit()
    listener = bind(settings.host, settings.port)
    address = address_of(settings.host, listener)
    with listener, running_database(settings) as conninfo:
        settings, start = asyncio.run(first_start(settings, conninfo, address, fetch, adopt))
        serve_on = serve_alone if settings.http_workers == 1 else serve_with_others
        serve_on(settings, conninfo, listener, lambda: announce(start), exit_with_parent=exit_with_parent)


def serve_alone(
    settings: Settings, conninfo: str, listener: socket.socket, announce: Callable[[], None], *, exit_with_parent: bool
) -> None:
    """Answers all requests in this process."""

    def be_ready(_: object) -> None:
        keep_what_is_loaded()
        announce()

    server = Server(uvicorn_config(create_app(settings, conninfo, on_ready=be_ready), settings))
    if exit_with_parent:
        when_parent_ends(lambda: setattr(server, "should_exit", True))
    server.run(sockets=[listener])


def serve_with_others(
    settings: Settings, conninfo: str, listener: socket.socket, announce: Callable[[], None], *, exit_with_parent: bool
) -> None:
    """Has all requests answered by processes of their own."""

    async def serve() -> None:
        async with stopping(exit_with_parent=exit_with_parent) as stop:
            await serve_with_several(settings, conninfo, listener, stop, announce)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # the end has begun, and the database's takes a moment

    asyncio.run(serve())


async def first_start(
    settings: Settings, conninfo: str, address: str, fetch: Fetch, adopt: Report | None = None
) -> tuple[Settings, Start]:
    """Settles the encoder, makes the organization and, where this machine has no working key, one for all acts.

    The config file names one service, the one whose data folder it carries. A service with another data folder leaves
    it alone as long as that folder exists, and answers with a key of its own once, at its first start.
    """
    known = read_config()
    ours = names_this_service(known, settings)
    database = Database(conninfo, max_connections=1)
    await database.open()
    try:
        await open_blobs(settings, database, adopt=adopt)  # another store is said before anything is fetched
        settings, choice = await settle_encoder(settings, database, fetch)
        space = await open_space(settings, database)  # a wrong encoder is said before anything runs
        keys = Keys(database)
        organization = await keys.ensure_organization()
        if ours and known.api_key and await still_serves(keys, known.api_key):
            key: str | None = known.api_key
        elif ours or not (await keys.list(organization, limit=1)).rows:
            _, key = await keys.create(organization, MACHINE_KEY_NAME, "installation")
        else:
            key = None
    finally:
        await database.close()
    config = LocalConfig(base_url=settings.public_url or address, api_key=key, data_dir=str(settings.data_folder))
    if ours:
        keep_config(config)
    else:
        other = f"in {known.data_dir}" if known.data_dir else f"at {known.base_url}"
        logger.warning("%s belongs to the service %s, so it was left as it is", config_path(), other)
    return settings, Start(address, config, space.encoder, choice)


async def still_serves(keys: Keys, secret: str) -> bool:
    """Whether this machine can go on with the key it has: it works, and the installation has one that may do all."""
    caller = await keys.identify(secret)
    if caller is None or caller.has_expired:
        return False
    return caller.role == "installation" or await keys.has_installation_key()


def keep_config(config: LocalConfig) -> None:
    try:
        profile = write_config(config)
    except OSError as error:
        raise ConfigurationError(
            f"{config_path()} cannot be written: {error.strerror}. Set PICTOGRAPH_HOME to a folder that can."
        ) from error
    if profile != DEFAULT_PROFILE:
        how = f"`pictograph --profile {profile}` names this service" if profile else "no profile names this service"
        logger.warning(
            "The default profile in %s holds another key and stays; to the published command line, %s",
            config_path(),
            how,
        )


def names_this_service(known: LocalConfig, settings: Settings) -> bool:
    """True if the config file is ours to write: it names no service, our data folder, or one that is gone."""
    if known.data_dir is None:
        return not known.names_a_service
    return known.data_dir == str(settings.data_folder) or not os.path.isdir(known.data_dir)


def work(
    settings: Settings, *, adopt: Report | None = None, exit_with_parent: bool = False, beat_to: int | None = None
) -> None:
    """Runs one worker until it is asked to stop; batches at hand are finished first.

    adopt: as for `serve`. beat_to: the file descriptor where it writes signs of life for the process that watches.
    """
    if not settings.database_url:
        raise ConfigurationError(
            "A worker needs the database of its service: pass --database-url. "
            "A service with an embedded database runs its own workers (pictograph serve --workers N)."
        )
    if adopt is not None:
        asyncio.run(adopt_blobs(settings, settings.database_url, adopt))
    asyncio.run(run_worker(settings, settings.database_url, exit_with_parent=exit_with_parent, beat_to=beat_to))


async def adopt_blobs(settings: Settings, conninfo: str, adopt: Report) -> None:
    """Makes the blob store of the settings the library's own. Raises ConfigurationError if a file is missing there."""
    database = Database(conninfo, max_connections=1)
    await database.open()
    try:
        await open_blobs(settings, database, adopt=adopt)
    finally:
        await database.close()


async def run_worker(settings: Settings, conninfo: str, *, exit_with_parent: bool, beat_to: int | None = None) -> None:
    """Until it is asked to stop. With `--encoder auto`, it follows the library to the next encoder."""
    life = Life()
    async with stopping(exit_with_parent=exit_with_parent) as stop, life.shown(beat_to):
        await run_worker_once(settings, conninfo, stop, life)
        while settings.encoder == AUTO and not stop.is_set():
            await run_worker_once(settings, conninfo, stop, life)


async def run_worker_once(settings: Settings, conninfo: str, stop: asyncio.Event, life: Life) -> None:
    async with AsyncExitStack() as opened:
        worker = await unless_stopped(stop, opened.enter_async_context(open_worker(settings, conninfo)))
        if worker:
            logger.info("Ready, with encoder %s and %d threads", worker.space.encoder, settings.threads)
            life.worker = worker
            try:
                await worker.run(stop)
            finally:
                life.worker = None


async def unless_stopped(stop: asyncio.Event, opening: Coroutine[Any, Any, Opened]) -> Opened | None:
    """What `opening` gives; None, without waiting for it, once we are asked to stop: its database may be gone too."""
    task, stopped = asyncio.create_task(opening), asyncio.create_task(stop.wait())
    await asyncio.wait((task, stopped), return_when=asyncio.FIRST_COMPLETED)
    stopped.cancel()
    if task.done():
        return await task
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    return None


def build_index(settings: Settings, *, exit_with_parent: bool = False) -> None:
    """Builds and renews the index until it is asked to stop; at whatever it is then, the next one goes on."""
    if not settings.database_url:
        raise ConfigurationError(
            "The index is built from the database of its service: pass --database-url. "
            "A service with an embedded database builds its own."
        )
    end_at_sigterm()  # nothing is lost by stopping anywhere
    if exit_with_parent:
        when_parent_ends(lambda: os.kill(os.getpid(), signal.SIGTERM))
    with contextlib.suppress(KeyboardInterrupt):
        keep_index(settings.database_url, settings.index_folder, settings.index_bytes, threading.Event())


def find_duplicates(settings: Settings, *, exit_with_parent: bool = False) -> None:
    """Carries out the findings of near-duplicates that are wanted, then ends; what it leaves, the next one begins."""
    if not settings.database_url:
        raise ConfigurationError("Near-duplicates are found in the database of a service: pass --database-url.")
    conninfo, folder = settings.database_url, settings.data_folder
    finding = import_module("pictograph.duplicates.finding")  # faiss: only where it is needed
    end_at_sigterm()  # nothing is lost by stopping anywhere
    if exit_with_parent:
        when_parent_ends(lambda: os.kill(os.getpid(), signal.SIGTERM))
    os.nice(5)  # requests and workers go first
    folder.mkdir(parents=True, exist_ok=True)

    async def work_off() -> None:
        database = Database(conninfo, max_connections=2)
        await database.open()
        try:
            await finding.DuplicateFinder(database, folder).work_off()
        finally:
            await database.close()

    with contextlib.suppress(KeyboardInterrupt), ThreadpoolController().limit(limits=1):  # the finder has threads
        asyncio.run(work_off())


def end_at_sigterm() -> None:
    """Ends this process at the first SIGTERM; a second one, as when a parent signals and ends at once, is ignored."""

    def end(*_: object) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        sys.exit(0)

    signal.signal(signal.SIGTERM, end)
