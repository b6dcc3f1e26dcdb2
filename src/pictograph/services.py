"""Settings -> all objects, opened in order and closed in reverse. The only place where parts are put together."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import logging
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import timedelta

from threadpoolctl import ThreadpoolController

from pictograph.db.embedded import EmbeddedPostgres
from pictograph.db.migrate import migrate
from pictograph.db.pool import Database
from pictograph.encode.protocol import EncoderSpec
from pictograph.encode.registry import describe_encoder, is_for_tests, load_encoder, source_of
from pictograph.errors import ConfigurationError, PictographError, wrong_value
from pictograph.index.candidates import over_fetch
from pictograph.index.code_service import CodesWhenLarge
from pictograph.index.ranked import nearest_by_codes
from pictograph.index.scopes import ScopeCounts
from pictograph.jobs.queue import Backlog, Queue
from pictograph.jobs.worker import Worker
from pictograph.models.choose import detect
from pictograph.network import without_credentials
from pictograph.pipeline import Intake, Model, Processor
from pictograph.search.asked_tags import JudgedTags
from pictograph.search.engine import SearchEngine
from pictograph.search.execute import CodeSearch
from pictograph.search.words import WordReaders
from pictograph.settings import AUTO, Settings
from pictograph.spaces.registry import Space, Spaces
from pictograph.spaces.reindex import Reindex
from pictograph.store.blobs import BlobStore
from pictograph.store.counts import ImageCounts
from pictograph.store.datasets import Datasets
from pictograph.store.history import History
from pictograph.store.idempotency import AnsweredRequests
from pictograph.store.images import Images
from pictograph.store.keys import Keys
from pictograph.store.library import Report, require_own_blobs
from pictograph.store.name_changes import NameChanges
from pictograph.store.room import Rooms
from pictograph.store.thumbnails import Thumbnails
from pictograph.store.tickets import Tickets
from pictograph.tagging.library.retag import Retag
from pictograph.tagging.library.taggers import stored_tagger, tagger_of
from pictograph.tagging.library.thresholds import Thresholds
from pictograph.tagging.taxonomy import Taxonomy, load_taxonomy
from pictograph.types import TAG_CATEGORIES, TagCategory
from pictograph.upload.bounded.pool import PictureReaders
from pictograph.upload.bounded.wanted import DecodeBudget
from pictograph.upload.limits import PictureLimits

logger = logging.getLogger(__name__)

WORKER_LANES = 2
M_MMAP_THRESHOLD = -3
"""glibc's malloc.h"""
LARGE_BLOCK_BYTES = 16 * 1024 * 1024
WATCH_S = 2.0
"""How often a worker looks whether its space is still filled, and at what pace."""


@dataclass(frozen=True, slots=True)
class Services:
    """What the routes need."""

    settings: Settings
    database: Database
    blobs: BlobStore
    keys: Keys
    requests: AnsweredRequests
    history: History
    datasets: Datasets
    images: Images
    thumbnails: Thumbnails
    tickets: Tickets
    intake: Intake
    backlog: Backlog
    search: SearchEngine
    spaces: Spaces
    reindex: Reindex
    taxonomy: Taxonomy
    thresholds: Thresholds
    retag: Retag
    scope_counts: ScopeCounts
    image_counts: ImageCounts
    name_changes: NameChanges
    codes: CodesWhenLarge
    rooms: Rooms


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
    async with AsyncExitStack() as closing:
        database = Database(conninfo, max_connections=settings.max_connections)
        await database.open()
        closing.push_async_callback(database.close)
        recognizing = Database(conninfo, max_connections=1)
        await recognizing.open()
        closing.push_async_callback(recognizing.close)
        await open_space(settings, database)
        spaces, backlog, taxonomy = Spaces(database), Backlog(database), load_taxonomy()
        codes = CodesWhenLarge(database, max_bytes=settings.code_bytes)
        closing.push_async_callback(codes.close)
        words = WordReaders(lambda source: load_encoder(source, 1, words_only=True))
        closing.callback(words.close)
        blobs = await open_blobs(settings, database)
        thumbnails = Thumbnails(blobs, PictureReaders(limits_of(settings), budget_of(settings), processes=1))
        closing.callback(thumbnails.close)
        images, tickets = Images(database), Tickets(database)
        judged = JudgedTags(spaces, lambda space: stored_tagger(database, space, taxonomy), taxonomy)
        search = SearchEngine(
            database, backlog, spaces, words, label_test(taxonomy), codes=code_search(codes), judged=judged
        )
        yield Services(
            settings=settings,
            database=database,
            blobs=blobs,
            keys=Keys(database, recognizing),
            requests=AnsweredRequests(database),
            history=History(database),
            datasets=Datasets(database),
            images=images,
            thumbnails=thumbnails,
            tickets=tickets,
            intake=Intake(database, blobs, images, tickets, limits_of(settings)),
            backlog=backlog,
            search=search,
            codes=codes,
            rooms=Rooms(
                database,
                blobs,
                None if settings.database_url else settings.data_folder,
                warn_below_bytes=settings.min_free_bytes,
            ),
            spaces=spaces,
            reindex=Reindex(database),
            taxonomy=taxonomy,
            thresholds=Thresholds(database, taxonomy),
            retag=Retag(database, spaces, taxonomy, lambda space: stored_tagger(database, space, taxonomy)),
            scope_counts=ScopeCounts(database),
            image_counts=ImageCounts(database),
            name_changes=NameChanges(database),
        )


def code_search(codes: CodesWhenLarge) -> CodeSearch:
    """How codes answer: candidates from memory, then their rows from the database."""
    return CodeSearch(codes, nearest_by_codes, over_fetch)


async def open_blobs(settings: Settings, database: Database, *, adopt: Report | None = None) -> BlobStore:
    """The library's own blob store (store/library.py). Raises ConfigurationError if the settings name another one."""
    blobs = BlobStore.open(settings.blob_location)
    place = str(settings.blob_location)
    shown = without_credentials(place) if "://" in place else place
    await require_own_blobs(database, blobs, shown, adopt=adopt)
    return blobs


async def open_space(settings: Settings, database: Database) -> Space:
    """The active space: that of the encoder in the settings, or, for `auto`, whatever the data has.

    Raises SpaceMismatch if the data was embedded by another encoder than the one in the settings.
    """
    spaces = Spaces(database)
    active = await spaces.active()
    if settings.encoder == AUTO and active is not None:
        return active
    source, spec = await asyncio.to_thread(named_encoder, settings.encoder)
    return await spaces.open(spec, source)


def named_encoder(name: str) -> tuple[str, EncoderSpec]:
    """What names the encoder for good, and who it is. name: `auto` for the best that is here."""
    chosen = detect().choice().name if name == AUTO else name
    return source_of(chosen), describe_encoder(chosen)


@asynccontextmanager
async def open_worker(settings: Settings, conninfo: str) -> AsyncIterator[SpaceWorker]:
    """A worker with its own connections, its own copy of the encoder and its own threads.

    Raises SpaceMismatch if the data is neither embedded by its encoder nor on its way to it.
    """
    database = Database(conninfo, max_connections=WORKER_LANES + 2)
    opening = asyncio.create_task(database.open())
    if settings.encoder == AUTO:  # else the model, which takes longest, is loaded meanwhile
        await opening
    try:
        spaces = Spaces(database)
        chosen = await encoder_of_library(spaces) if settings.encoder == AUTO else settings.encoder
        loading = asyncio.create_task(asyncio.to_thread(load_encoder, chosen, settings.threads))
        await opening
        blobs = await open_blobs(settings, database)
        encoder = await loading
        keep_blas_quiet()
        give_large_blocks_back()
        space = await spaces.join(encoder.spec, chosen)
        taxonomy = load_taxonomy()
        tagger = await tagger_of(database, space.id, encoder, taxonomy)
        model = Model(encoder, tagger, taxonomy, space.id)
        readers = PictureReaders(limits_of(settings), budget_of(settings), processes=settings.threads)
        processor = Processor(
            database, blobs, model, readers, threads=settings.threads, memory_bytes=settings.picture_bytes
        )
        queue = Queue(database, space.id, timedelta(seconds=settings.lease_s))
        try:
            worker = Worker(database, queue, processor.process, batch=settings.worker_batch, lanes=WORKER_LANES)
            yield SpaceWorker(worker, spaces, space)
        finally:
            processor.close()
    finally:
        await database.close()


async def start_reindex(reindex: Reindex, encoder: str, pace: float) -> Space:
    """Begins to move the library to the encoder of that name. Raises ValidationError if there is none here."""
    try:
        source, spec = await asyncio.to_thread(named_encoder, encoder)
    except ConfigurationError as error:
        raise wrong_value("encoder", error.message) from error
    return await reindex.start(spec, source, pace)


def require_real_encoder(name: str) -> None:
    """Raises ValidationError for an encoder that only tests and benchmarks use: searches with it find nothing alike."""
    if is_for_tests(name):
        message = f"The encoder {name!r} is for tests: searches with it would find nothing alike. Name another."
        raise wrong_value("encoder", message)


async def encoder_of_library(spaces: Spaces) -> str:
    """What the data was embedded by. Raises ConfigurationError if no service has been started on it yet."""
    active = await spaces.active()
    if active is None:
        raise ConfigurationError("This database has no library yet. Start the service first (pictograph serve).")
    return active.source


class SpaceWorker:
    """A worker that ends when its space is no longer filled: after a reindex, or when one is cancelled."""

    def __init__(self, worker: Worker, spaces: Spaces, space: Space) -> None:
        self.space = space
        self._worker = worker
        self._spaces = spaces

    @property
    def is_stuck(self) -> bool:
        """As `Worker.is_stuck`."""
        return self._worker.is_stuck

    async def warm_up(self) -> None:
        """One batch; for benchmarks."""
        await self._worker.work_once()

    async def run(self, stop: asyncio.Event) -> None:
        """Works until `stop` is set or the space is retired; the batches at hand are finished first."""
        ended = asyncio.Event()
        watchers = [asyncio.create_task(self._watch(ended)), asyncio.create_task(self._relay(stop, ended))]
        try:
            await self._worker.run(ended)
        finally:
            for watcher in watchers:
                watcher.cancel()
            await asyncio.gather(*watchers, return_exceptions=True)

    async def _watch(self, ended: asyncio.Event) -> None:
        while not ended.is_set():
            with contextlib.suppress(PictographError):  # the database is away: the worker itself says so
                now = await self._spaces.get(self.space.id)
                if now is None or not now.is_live:
                    logger.info("%s is no longer in use: this worker ends", self.space.encoder)
                    ended.set()
                else:
                    self._worker.pace = 1.0 if now.active else now.pace
            await asyncio.sleep(WATCH_S)

    async def _relay(self, stop: asyncio.Event, ended: asyncio.Event) -> None:
        await stop.wait()
        ended.set()


def keep_blas_quiet() -> None:
    """One thread for NumPy's small matrix products.

    OpenBLAS threads spin after each, on the cores that the encoder needs: a tenth of the processor time of an ingest.
    """
    ThreadpoolController().select(internal_api="openblas").limit(limits=1)


def give_large_blocks_back() -> None:
    """Memory of large files goes back to the system when it is freed.

    By default glibc learns from the first large block that is freed to keep up to 32 MB of each later one, in every
    thread. No effect where the C library is another.
    """
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).mallopt(M_MMAP_THRESHOLD, LARGE_BLOCK_BYTES)


def label_test(taxonomy: Taxonomy) -> Callable[[TagCategory, str], bool]:
    """Whether the taxonomy has a label; asked for every tag of every search, so nothing is read or searched then."""
    labels = {category: frozenset(taxonomy.names(category)) for category in TAG_CATEGORIES}
    return lambda category, label: label in labels[category]


def limits_of(settings: Settings) -> PictureLimits:
    """What one file may cost."""
    return PictureLimits(max_bytes=settings.max_bytes, max_pixels=settings.max_pixels)


def budget_of(settings: Settings) -> DecodeBudget:
    """What decoding one picture may take."""
    return DecodeBudget(memory_bytes=settings.decode_memory_bytes, seconds=settings.decode_seconds)
