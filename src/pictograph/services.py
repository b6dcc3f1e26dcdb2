"""Settings -> all objects, opened in order and closed in reverse. The only place where parts are put together."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import timedelta

from threadpoolctl import ThreadpoolController

from pictograph.db.embedded import EmbeddedPostgres
from pictograph.db.migrate import migrate
from pictograph.db.pool import Database
from pictograph.encode.registry import describe_encoder, load_encoder
from pictograph.index.spaces import Space, Spaces
from pictograph.jobs.queue import Queue
from pictograph.jobs.worker import Worker
from pictograph.pipeline import Intake, Model, Processor
from pictograph.search.engine import SearchEngine
from pictograph.search.words import WordReader
from pictograph.settings import Settings
from pictograph.store.blobs import BlobStore
from pictograph.store.datasets import Datasets
from pictograph.store.images import Images
from pictograph.store.keys import Keys
from pictograph.store.thumbnails import Thumbnails
from pictograph.store.tickets import Tickets
from pictograph.tag.registry import tagger_for
from pictograph.tag.taxonomy import Taxonomy, load_taxonomy
from pictograph.types import TAG_CATEGORIES, TagCategory
from pictograph.upload.limits import PictureLimits

WORKER_LANES = 2


@dataclass(frozen=True, slots=True)
class Services:
    """What the routes need."""

    settings: Settings
    database: Database
    blobs: BlobStore
    keys: Keys
    datasets: Datasets
    images: Images
    thumbnails: Thumbnails
    tickets: Tickets
    intake: Intake
    queue: Queue
    search: SearchEngine
    space: Space


@contextmanager
def running_database(settings: Settings) -> Iterator[str]:
    """A connection string to a migrated database: the one in the settings, or an embedded one that ends with us."""
    if settings.database_url:
        migrate(settings.database_url)
        yield settings.database_url
        return
    server = EmbeddedPostgres.start(settings.data_folder)
    try:
        migrate(server.conninfo)
        yield server.conninfo
    finally:
        server.stop()


@asynccontextmanager
async def open_services(settings: Settings, conninfo: str) -> AsyncIterator[Services]:
    """The server's objects. Raises SpaceMismatch if the data was embedded by another encoder."""
    database = Database(conninfo, max_connections=settings.max_connections)
    await database.open()
    try:
        spec = describe_encoder(settings.encoder)
        space = await Spaces(database).open(spec)
        words = WordReader(spec, space.id, lambda: load_encoder(settings.encoder, 1, words_only=True))
        blobs = BlobStore.open(settings.blob_location)
        images, tickets = Images(database), Tickets(database)
        queue = Queue(database, timedelta(seconds=settings.lease_s))
        yield Services(
            settings=settings,
            database=database,
            blobs=blobs,
            keys=Keys(database),
            datasets=Datasets(database),
            images=images,
            thumbnails=Thumbnails(blobs, limits_of(settings)),
            tickets=tickets,
            intake=Intake(database, blobs, images, tickets, limits_of(settings)),
            queue=queue,
            search=SearchEngine(database, queue, words, label_test(load_taxonomy())),
            space=space,
        )
        words.close()
    finally:
        await database.close()


@asynccontextmanager
async def open_worker(settings: Settings, conninfo: str) -> AsyncIterator[Worker]:
    """A worker with its own connections, its own copy of the encoder and its own threads."""
    database = Database(conninfo, max_connections=WORKER_LANES + 2)
    loading = asyncio.create_task(asyncio.to_thread(load_encoder, settings.encoder, settings.threads))
    await database.open()
    try:
        encoder = await loading
        keep_blas_quiet()
        space = await Spaces(database).open(encoder.spec)
        model = Model(encoder, tagger_for(encoder.spec), space.id)
        blobs = BlobStore.open(settings.blob_location)
        processor = Processor(database, blobs, model, limits_of(settings), threads=settings.threads)
        queue = Queue(database, timedelta(seconds=settings.lease_s))
        try:
            yield Worker(database, queue, processor.process, batch=settings.worker_batch, lanes=WORKER_LANES)
        finally:
            processor.close()
    finally:
        await database.close()


def keep_blas_quiet() -> None:
    """One thread for NumPy's small matrix products.

    OpenBLAS threads spin after each, on the cores that the encoder needs: a tenth of the processor time of an ingest.
    """
    ThreadpoolController().select(internal_api="openblas").limit(limits=1)


def label_test(taxonomy: Taxonomy) -> Callable[[TagCategory, str], bool]:
    """Whether the taxonomy has a label; asked for every tag of every search, so nothing is read or searched then."""
    labels = {category: frozenset(taxonomy.names(category)) for category in TAG_CATEGORIES}
    return lambda category, label: label in labels[category]


def limits_of(settings: Settings) -> PictureLimits:
    """What one file may cost."""
    return PictureLimits(max_bytes=settings.max_bytes, max_pixels=settings.max_pixels)
