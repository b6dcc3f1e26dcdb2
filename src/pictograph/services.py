"""Settings -> the server's objects, opened in order and closed in reverse; worker.py does so for a worker."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from pictograph.bulk.door import VectorDoor
from pictograph.bulk.export import Export
from pictograph.bulk.zipped import Zips
from pictograph.db.embedded import EmbeddedPostgres
from pictograph.db.migrate import migrate
from pictograph.db.pool import Database
from pictograph.duplicates.service import NearDuplicates
from pictograph.encode.protocol import EncoderSpec
from pictograph.encode.registry import describe_encoder, is_for_tests, load_encoder, source_of
from pictograph.errors import ConfigurationError, wrong_value
from pictograph.jobs.queue import Backlog
from pictograph.models.choose import detect
from pictograph.network import without_credentials
from pictograph.pipeline import Intake
from pictograph.search.asked_tags import JudgedTags
from pictograph.search.engine import SearchEngine
from pictograph.search.memory.index import MemoryIndex
from pictograph.search.pictures import PictureVectors
from pictograph.search.words import WordReaders
from pictograph.settings import AUTO, Settings
from pictograph.spaces.registry import Space, Spaces
from pictograph.spaces.reindex import Reindex
from pictograph.store.blobs import BlobStore
from pictograph.store.collections import Collections
from pictograph.store.counts import ImageCounts
from pictograph.store.datasets import Datasets
from pictograph.store.history import History
from pictograph.store.idempotency import AnsweredRequests
from pictograph.store.images import Images
from pictograph.store.key_memory import KeyVersions, ReadVersions
from pictograph.store.keys import Keys
from pictograph.store.library import Report, require_own_blobs
from pictograph.store.name_changes import NameChanges
from pictograph.store.room import Rooms
from pictograph.store.saved_queries import SavedQueries
from pictograph.store.signing import Signing
from pictograph.store.thumbnails import Thumbnails
from pictograph.store.tickets import Tickets
from pictograph.tagging.calibration import Calibration
from pictograph.tagging.library.calibration import find_calibration
from pictograph.tagging.library.retag import Retag
from pictograph.tagging.library.taggers import stored_tagger
from pictograph.tagging.library.thresholds import Thresholds
from pictograph.tagging.protocol import Tagger
from pictograph.tagging.taxonomy import Taxonomy, load_taxonomy
from pictograph.types import TAG_CATEGORIES, TagCategory
from pictograph.upload.bounded.allowed import budget_of, limits_of
from pictograph.upload.bounded.pool import PictureReaders
from pictograph.wire import PICTURES_PREFIX


@dataclass(frozen=True, slots=True)
class Services:
    """What the routes need."""

    settings: Settings
    database: Database
    blobs: BlobStore
    keys: Keys
    signing: Signing
    requests: AnsweredRequests
    history: History
    datasets: Datasets
    images: Images
    collections: Collections
    saved_queries: SavedQueries
    thumbnails: Thumbnails
    tickets: Tickets
    intake: Intake
    backlog: Backlog
    search: SearchEngine
    pictures: PictureVectors
    spaces: Spaces
    reindex: Reindex
    taxonomy: Taxonomy
    thresholds: Thresholds
    retag: Retag
    image_counts: ImageCounts
    name_changes: NameChanges
    rooms: Rooms
    vectors: VectorDoor
    export: Export
    zips: Zips
    index: MemoryIndex
    duplicates: NearDuplicates


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
async def open_services(
    settings: Settings,
    conninfo: str,
    *,
    key_versions: Callable[[Database], KeyVersions] = ReadVersions,
    picture_turn: Path | None = None,
    picture_door: Path | None = None,
) -> AsyncIterator[Services]:
    """The server's objects. Raises SpaceMismatch if the data was embedded by another encoder.

    key_versions, picture_turn: what several serving processes share (`KeyMemory`, `PictureReaders`). picture_door:
    where pictures are encoded that are sent as questions (`PictureVectors`).
    """
    async with AsyncExitStack() as closing:
        database, recognizing = await open_databases(settings, conninfo, closing)
        await open_space(settings, database)
        spaces, backlog, taxonomy = Spaces(database), Backlog(database), load_taxonomy()
        blobs = await open_blobs(settings, database)
        readers = PictureReaders(limits_of(settings), budget_of(settings), processes=1, shared_turn=picture_turn)
        thumbnails = Thumbnails(blobs, readers)
        closing.callback(thumbnails.close)
        images, tickets = Images(database), Tickets(database)
        local_folder = None if settings.database_url else settings.data_folder

        async def tagger(space: Space) -> Tagger | None:
            return await stored_tagger(database, space, taxonomy)

        async def calibration(space: Space) -> Calibration | None:
            async with database.connection() as connection:
                return await find_calibration(connection, space.id, taxonomy)

        judged = JudgedTags(spaces, tagger, taxonomy)
        index = MemoryIndex(settings.index_folder)
        if settings.index_bytes:
            await index.open()
        closing.push_async_callback(index.close)
        versions = key_versions(recognizing)
        keys = Keys(database, recognizing, versions)
        pictures = PictureVectors(picture_door, blobs)
        search = SearchEngine(
            database, backlog, spaces, open_words(closing), label_test(taxonomy), index=index, judged=judged,
            pictures=pictures,
            calibration_of=calibration, ordinary_words=things_and_places(taxonomy),
        )  # fmt: skip
        closing.callback(search.close)
        closing.push_async_callback(search.scales.close)
        yield Services(
            settings=settings,
            database=database,
            blobs=blobs,
            keys=keys,
            signing=Signing(database, keys, versions, PICTURES_PREFIX),
            requests=AnsweredRequests(database),
            history=History(database),
            datasets=Datasets(database),
            images=images,
            collections=Collections(database),
            saved_queries=SavedQueries(database),
            thumbnails=thumbnails,
            tickets=tickets,
            intake=Intake(database, blobs, images, tickets, limits_of(settings)),
            backlog=backlog,
            search=search,
            pictures=pictures,
            rooms=Rooms(database, blobs, local_folder, warn_below_bytes=settings.min_free_bytes),
            spaces=spaces,
            reindex=Reindex(database),
            taxonomy=taxonomy,
            thresholds=Thresholds(database, taxonomy),
            retag=Retag(database, spaces, taxonomy, tagger),
            image_counts=ImageCounts(database),
            name_changes=NameChanges(database),
            vectors=VectorDoor(database, spaces, label_test(taxonomy)),
            export=Export(database, spaces),
            zips=Zips(blobs),
            index=index,
            duplicates=NearDuplicates(database, spaces, settings.data_folder),
        )


async def open_databases(settings: Settings, conninfo: str, closing: AsyncExitStack) -> tuple[Database, Database]:
    """Opens the pool of all requests, and a connection of its own for recognizing keys, which then never waits."""
    databases = []
    for connections in (settings.max_connections, 1):
        database = Database(conninfo, max_connections=connections)
        await database.open()
        closing.push_async_callback(database.close)
        databases.append(database)
    return databases[0], databases[1]


def open_words(closing: AsyncExitStack) -> WordReaders:
    """What turns words into vectors; it loads an encoder with the first question of words."""
    words = WordReaders(lambda source: load_encoder(source, 1, words_only=True))
    closing.callback(words.close)
    return words


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


def label_test(taxonomy: Taxonomy) -> Callable[[TagCategory, str], bool]:
    """Whether the taxonomy has a label; asked for every tag of every search, so nothing is read or searched then."""
    labels = {category: frozenset(taxonomy.names(category)) for category in TAG_CATEGORIES}
    return lambda category, label: label in labels[category]


def things_and_places(taxonomy: Taxonomy) -> list[str]:
    """Names of labels: ordinary words."""
    return [name for category in ("objects", "scenes") for name in taxonomy.names(category)]
