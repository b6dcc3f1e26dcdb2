"""The write path on one screen: what happens to an upload, and what a worker does with it later.

Intake      bytes -> checked -> blob kept -> [image row + job: ONE transaction]
Processor   claim -> blob -> decode, in a process of its own -> encode -> judge
            -> [tags + encoding + search rows + job done: ONE transaction]
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import random
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import partial
from typing import Final

import numpy as np

from pictograph.db.pool import Connection, Database
from pictograph.encode.batching import encode_isolating, joined
from pictograph.encode.protocol import Encoded, Encoder, FloatArray
from pictograph.errors import (
    BadImage,
    BlobMissing,
    DatabaseAway,
    DatabaseStopping,
    NotFoundError,
    StorageFull,
    Unavailable,
    WorkerLost,
)
from pictograph.index.writer import (
    Encoding,
    fail_images,
    finish_images,
    known_encodings,
    lock_waiting,
    remove_from_index,
    save_encodings,
)
from pictograph.jobs.budget import ByteBudget
from pictograph.jobs.queue import (
    SUSPECT_ATTEMPTS,
    Claim,
    Job,
    enqueue,
    enqueue_all,
    enqueue_replacements,
    put_back,
    retry_later,
    set_aside,
)
from pictograph.jobs.retry import MAX_ATTEMPTS, delay_before_retry
from pictograph.spaces.registry import SpaceRules, lock_rules, share_rules
from pictograph.store.blobs import BlobStore
from pictograph.store.images import (
    Image,
    Images,
    PictureSize,
    Place,
    Upload,
    archive_image,
    delete_image,
    fetch_image,
    forgive_failed_images,
    forgotten_blobs,
    insert_image,
    picture_sizes,
    restore_image,
)
from pictograph.store.leftovers import (
    Unused,
    forget_blobs,
    forget_encodings,
    forget_tag_changes,
    last_leftover,
    let_old_holds_go,
    take_leftovers,
    unused_of,
)
from pictograph.store.replacements import lock_image_at, replace_bytes, take_waiting_bytes
from pictograph.store.thumbnails import delete_thumbnails, keep_thumbnails, missing_thumbnails
from pictograph.store.tickets import Filled, Tickets, use_ticket
from pictograph.tagging.assign import Assigner
from pictograph.tagging.measures import measure_picture
from pictograph.tagging.protocol import Tagger
from pictograph.tagging.taxonomy import Taxonomy
from pictograph.types import DatasetId, ImageId, OrganizationId, Sha256, SpaceId
from pictograph.upload.bounded.estimate import estimated_bytes
from pictograph.upload.bounded.pool import PictureReaders
from pictograph.upload.bounded.wanted import Wanted
from pictograph.upload.facts import read_facts
from pictograph.upload.limits import PictureLimits
from pictograph.upload.picture import PictureFacts

logger = logging.getLogger(__name__)

SWEEP_GRACE: Final = timedelta(hours=1)
"""How long an upload may take between the first byte that is kept and its image; then it must have died."""
SWEPT_AT_ONCE: Final = 500
"""Files that are deleted under one transaction, which locks their rows."""
OUTAGE_PAUSE: Final = timedelta(seconds=10)
"""Before an image is tried again that the blob store could not serve."""
DELETED_AT_ONCE: Final = 16
"""Files that are deleted at the same time: a store far away takes long for each."""
FORGOTTEN_AFTER_SWEEPS: Final = 2
"""Sweeps after which no note of a deleted image is left (migration 0012)."""
QUICK_SHARE: Final = 0.1
"""Of the seconds that one picture may take: what a picture may take in a batch, where others wait for it."""
WORKING_SIDE_PX: Final = 384
"""Pictures are decoded no smaller than this on their short side: pixel measures need about that much."""


class Intake:
    """The half of the write path that the uploader waits for. When it returns, the image can no longer be lost."""

    def __init__(
        self, database: Database, blobs: BlobStore, images: Images, tickets: Tickets, limits: PictureLimits
    ) -> None:
        self._database = database
        self._blobs = blobs
        self._images = images
        self._tickets = tickets
        self._limits = limits
        self._changes_to_forget = FORGOTTEN_AFTER_SWEEPS

    async def receive(self, organization: OrganizationId, place: Place, data: bytes, *, replace: bool = False) -> Image:
        """One file, in one step. Raises ConflictError, BadImage, UnsupportedFormat, TooLarge.

        replace: an image that has the place keeps its id, and gets these bytes.
        """
        sha256, facts = await asyncio.to_thread(self._check, data)
        upload = Upload(place, sha256, len(data), facts)
        if not replace:
            await self._images.require_free(place)
        async with self._images.holding(sha256, len(data)):
            await self._blobs.put(sha256, data)
            return await self._accept(organization, upload, replace=replace)

    async def stage(self, token: str, data: bytes) -> None:
        """The bytes behind an upload URL; `register` makes them an image."""
        sha256, _ = await asyncio.to_thread(self._check, data)
        async with self._images.holding(sha256, len(data)):
            await self._blobs.put(sha256, data)
            await self._tickets.fill(token, sha256)

    async def register(self, organization: OrganizationId, place: Place, *, replace: bool = False) -> Image:
        """Makes an image of the bytes that were staged for this place. replace: as in `receive`."""
        if not replace:
            await self._images.require_free(place)
        ticket = await self._tickets.filled(place)
        facts = await asyncio.to_thread(read_facts, await self._blobs.get(ticket.sha256), self._limits)
        async with self._images.holding(ticket.sha256, ticket.size_bytes):
            return await self._accept(
                organization, Upload(place, ticket.sha256, ticket.size_bytes, facts), ticket=ticket, replace=replace
            )

    async def archive(self, image: ImageId) -> None:
        """Takes the image out of every search; everything is kept."""

        async def step(connection: Connection) -> None:
            if await archive_image(connection, image):
                await remove_from_index(connection, image)

        await self._database.write(step)

    async def restore(self, image: ImageId) -> None:
        """Brings an archived image back; its encoding is known, so this takes no forward pass."""

        async def step(connection: Connection) -> None:
            if await restore_image(connection, image):
                await take_waiting_bytes(connection, image)
                await enqueue(connection, image)

        await self._database.write(step)

    async def retry_failed(self, dataset: DatasetId) -> int:
        """Queues the dataset's failed images once more; how many."""

        async def step(connection: Connection) -> int:
            await share_rules(connection)
            images = await forgive_failed_images(connection, dataset)
            await enqueue_all(connection, images)
            return len(images)

        return await self._database.write(step)

    async def delete(self, image: ImageId) -> None:
        """Removes the image for good; its bytes go with the next sweep if nothing else has them."""
        await self._database.write(lambda connection: delete_image(connection, image))

    async def sweep(self, grace: timedelta = SWEEP_GRACE) -> int:
        """Removes what deletions for good have left: bytes, thumbnails, vectors, tags and scores that no image has.

        grace: how long an upload may take between its first byte kept and its image. How many files went.
        """
        await self._tickets.sweep()
        async with self._database.connection() as connection:
            await let_old_holds_go(connection, grace)
            last = await last_leftover(connection)
        files = 0
        while (swept := await self._database.write(lambda connection: self._sweep_some(connection, last))) is not None:
            self._changes_to_forget = FORGOTTEN_AFTER_SWEEPS
            files += swept
        if self._changes_to_forget:
            await self._database.write(forget_tag_changes)
            self._changes_to_forget -= 1
        return files

    async def _sweep_some(self, connection: Connection, last: int) -> int | None:
        """How many files went; None if nothing is left that was noted up to `last`."""
        taken = await take_leftovers(connection, last, SWEPT_AT_ONCE)
        if not taken:
            return None
        unused = await unused_of(connection, taken)
        await forget_encodings(connection, [one.sha256 for one in unused])
        turn = asyncio.Semaphore(DELETED_AT_ONCE)

        async def delete_files(one: Unused) -> None:
            async with turn:
                await (delete_thumbnails(self._blobs, one.sha256) if one.is_held else self._blobs.delete(one.sha256))

        try:  # none goes on once the rows are free again, where an upload may just be writing these bytes
            async with asyncio.TaskGroup() as group:
                for one in unused:
                    group.create_task(delete_files(one))
        except BaseExceptionGroup as failed:
            raise failed.exceptions[0] from failed
        gone = [one.sha256 for one in unused if not one.is_held]
        await forget_blobs(connection, gone)
        return len(gone)

    def _check(self, data: bytes) -> tuple[Sha256, PictureFacts]:
        return Sha256(hashlib.sha256(data).digest()), read_facts(data, self._limits)

    async def _accept(
        self, organization: OrganizationId, upload: Upload, *, ticket: Filled | None = None, replace: bool = False
    ) -> Image:
        async def step(connection: Connection) -> Image:
            image = await replaced_or_new(connection, upload) if replace else await new_image(connection, upload)
            if ticket is not None:
                await use_ticket(connection, ticket, upload.place)
            return await fetch_image(connection, organization, image)

        try:
            return await self._database.write(step)
        except (DatabaseAway, DatabaseStopping) as lost:  # perhaps only the answer to COMMIT was lost
            try:
                return await self._images.get(organization, upload.id)
            except NotFoundError:
                raise lost from lost.__cause__


async def new_image(connection: Connection, upload: Upload) -> ImageId:
    """A new image that waits to be processed. Raises ConflictError if the place is taken."""
    image = await insert_image(connection, upload)
    await enqueue(connection, image)
    return image


async def replaced_or_new(connection: Connection, upload: Upload) -> ImageId:
    """The image that has the place, with these bytes or on its way to them; a new one if the place is free."""
    taken = await lock_image_at(connection, upload.place)
    if taken is None:
        return await new_image(connection, upload)
    outcome = await replace_bytes(connection, taken, upload)
    if outcome == "waiting":
        await enqueue_replacements(connection, taken.id)
    elif outcome == "taken" or (outcome == "archived" and await restore_image(connection, taken.id)):
        await enqueue(connection, taken.id)
    return taken.id


@dataclass(frozen=True, slots=True)
class Ready:
    """A picture that only waits for the forward pass."""

    prepared: FloatArray
    measures: FloatArray
    """float32 (M,): see tagging/measures.py."""
    thumbnails: Mapping[int, bytes] = field(default_factory=dict)
    """Those that were not kept yet, by their longer side."""


@dataclass(frozen=True, slots=True)
class Model:
    """What processing needs beside the database: made once, in services.py."""

    encoder: Encoder
    tagger: Tagger | None
    taxonomy: Taxonomy
    space: SpaceId


class Outage(Exception):
    """The blob store is away or full: no image is at fault, so none fails for it, however long it lasts."""


class DecoderEnded(Exception):
    """Somebody ended the decoding process: perhaps the kernel, for want of memory, so the attempt counts."""


class TooHeavyForBatch(Exception):
    """The picture takes long or much memory: it gets a turn of its own, so that no other waits for it."""


class Processor:
    """The half of the write path that the worker does."""

    def __init__(
        self,
        database: Database,
        blobs: BlobStore,
        model: Model,
        readers: PictureReaders,
        *,
        threads: int,
        memory_bytes: int,
    ) -> None:
        """memory_bytes: of all files and pictures in flight together; one that needs more than half goes by itself."""
        self._database = database
        self._blobs = blobs
        self._model = model
        self._readers = readers
        self._memory = ByteBudget(memory_bytes)
        self._rules = TagRules(model.taxonomy)
        self._decoders = ThreadPoolExecutor(threads, "decode")
        self._forward = ThreadPoolExecutor(1, "forward")

    def close(self) -> None:
        """Ends the threads and the decoding processes."""
        self._readers.close()
        self._decoders.shutdown()
        self._forward.shutdown()

    async def process(self, claim: Claim) -> None:
        """Makes every image of the claim findable, or records why not. A bad picture fails only itself."""
        async with self._database.connection() as connection:
            known = await known_encodings(connection, self._model.space, [job.sha256 for job in claim.jobs])
            new = [job for job in claim.jobs if job.sha256 not in known]
            sizes = await picture_sizes(connection, [job.image_id for job in new])
        outcomes = dict(zip((job.sha256 for job in new), await self._encode(new, sizes), strict=True))
        encodings = [outcome for outcome in outcomes.values() if isinstance(outcome, Encoding)]
        failures = [(job, error) for job in new if isinstance(error := outcomes[job.sha256], BaseException)]
        done = [*known, *(encoding.sha256 for encoding in encodings)]

        async def step(connection: Connection) -> None:
            space = await lock_rules(connection, self._model.space)
            locked = await lock_waiting(connection, space.id, [job.sha256 for job in claim.jobs])
            assigner = self._rules.assigner(space.thresholds)
            await save_encodings(connection, space.id, [tagged(encoding, assigner) for encoding in encodings])
            await finish_images(connection, space, claim.id, done, locked=locked)
            for job, error in failures:
                await self._retry_or_fail(connection, space, claim, job, error, locked=locked)

        await self._database.write(step)
        await self._drop_orphans([encoding.sha256 for encoding in encodings])

    async def _encode(self, jobs: Sequence[Job], sizes: Mapping[ImageId, PictureSize]) -> list[Encoding | Exception]:
        """One outcome per job, in order."""
        if not jobs:
            return []
        prepared = await asyncio.gather(*(self._prepare(job, sizes.get(job.image_id)) for job in jobs))
        ready = [(job.sha256, item) for job, item in zip(jobs, prepared, strict=True) if isinstance(item, Ready)]
        loop = asyncio.get_running_loop()
        encoded = iter(await loop.run_in_executor(self._forward, self._encode_and_judge, ready))
        return [next(encoded) if isinstance(item, Ready) else item for item in prepared]

    async def _prepare(self, job: Job, size: PictureSize | None) -> Ready | Exception:
        try:
            if job.attempts > MAX_ATTEMPTS:
                raise WorkerLost(f"The worker ended {MAX_ATTEMPTS} times while it processed this image.")
            alone = job.attempts > SUSPECT_ATTEMPTS
            ready = await (self._decoded_alone(job.sha256) if alone else self._decoded_in_batch(job.sha256, size))
            await self._keep_thumbnails(job.sha256, ready.thumbnails)
            return ready
        except BlobMissing as error:
            return await self._why_missing(error)
        except (Unavailable, StorageFull) as error:
            return Outage(str(error))
        except Exception as error:  # noqa: BLE001 - the per-job edge: whatever it is, it fails this picture alone
            return error

    async def _why_missing(self, error: BlobMissing) -> Exception:
        try:
            await self._blobs.require_itself()
        except Unavailable as lost:
            return Outage(str(lost))
        return error

    async def _decoded_in_batch(self, sha256: Sha256, size: PictureSize | None) -> Ready:
        """Within what such a picture mostly takes, and quickly. Raises TooHeavyForBatch if that is not enough."""
        budget = self._readers.budget
        most = budget.memory_bytes
        usual = min(most, estimated_bytes(size.content_type, size.size_bytes, size.pixels)) if size else most
        if usual > self._memory.total_bytes // 2:
            raise TooHeavyForBatch(f"it may take {usual:,} bytes of memory")
        try:
            return await self._read(sha256, usual, budget.seconds * QUICK_SHARE)
        except BadImage as error:  # short of memory, decoders call a picture broken
            raise TooHeavyForBatch(error.message) from error

    async def _decoded_alone(self, sha256: Sha256) -> Ready:
        """Within all that one picture may take."""
        return await self._read(sha256, self._readers.budget.memory_bytes, self._readers.budget.seconds)

    async def _read(self, sha256: Sha256, memory_bytes: int, seconds: float) -> Ready:
        """Holds at most half of the memory in flight, so that the other half is always there for ordinary pictures."""
        wanted = Wanted(
            max(WORKING_SIDE_PX, self._model.encoder.spec.input_px),
            tuple(await missing_thumbnails(self._blobs, sha256)),
        )
        async with self._memory.hold(min(memory_bytes, self._memory.total_bytes // 2)):
            data = await self._blobs.get(sha256)
            decode = partial(self._decode, data, wanted, memory_bytes, seconds)
            return await asyncio.get_running_loop().run_in_executor(self._decoders, decode)

    def _decode(self, data: bytes, wanted: Wanted, memory_bytes: int, seconds: float) -> Ready:
        try:
            made = self._readers.read(data, wanted, memory_bytes=memory_bytes, seconds=seconds)
        except Unavailable as error:
            raise DecoderEnded(
                f"{error.message} If the machine ran out of memory, lower the setting decode_memory_bytes."
            ) from error
        if made.picture is None:
            raise ValueError("pixels were wanted")
        return Ready(self._model.encoder.prepare(made.picture), measure_picture(made.picture), made.thumbnails)

    async def _keep_thumbnails(self, sha256: Sha256, thumbnails: Mapping[int, bytes]) -> None:
        try:
            await keep_thumbnails(self._blobs, sha256, thumbnails)
        except (Unavailable, StorageFull) as error:
            logger.warning("A thumbnail could not be kept; the server makes it at the first request for it: %s", error)

    async def _drop_orphans(self, sha256s: Sequence[Sha256]) -> None:
        """Thumbnails of pictures that were deleted for good while they were processed."""
        async with self._database.connection() as connection:
            gone = await forgotten_blobs(connection, sha256s)
        for sha256 in gone:
            await delete_thumbnails(self._blobs, sha256)

    def _encode_and_judge(self, ready: Sequence[tuple[Sha256, Ready]]) -> list[Encoding | Exception]:
        results = encode_isolating(self._model.encoder, [item.prepared for _, item in ready], max(1, len(ready)))
        seen = [(*item, result) for item, result in zip(ready, results, strict=True) if isinstance(result, Encoded)]
        described = iter(describe(seen, self._model.tagger, self._rules.standard))
        return [result if isinstance(result, Exception) else next(described) for result in results]

    async def _retry_or_fail(
        self,
        connection: Connection,
        space: SpaceRules,
        claim: Claim,
        job: Job,
        error: BaseException,
        *,
        locked: Sequence[ImageId],
    ) -> None:
        if isinstance(error, Outage):
            await put_back(connection, claim, job, OUTAGE_PAUSE)
            logger.warning("Image %s waits for the blob store: %s", job.image_id, error)
            return
        if isinstance(error, TooHeavyForBatch):
            await set_aside(connection, claim, job)
            logger.info("Image %s is decoded by itself, after others: %s", job.image_id, error)
            return
        delay = delay_before_retry(error, job.attempts, random.random())
        if delay is None:
            await fail_images(connection, space, claim.id, job.sha256, reason_of(error), locked=locked)
            logger.info("Image %s failed: %s", job.image_id, reason_of(error))
        else:
            await retry_later(connection, claim, job, delay)
            logger.warning("Image %s waits %.0f s for another attempt: %s", job.image_id, delay.total_seconds(), error)


class TagRules:
    """The taxonomy's assigner, and the one for the thresholds that people chose; made again when they change."""

    def __init__(self, taxonomy: Taxonomy) -> None:
        self._taxonomy = taxonomy
        self.standard = Assigner(taxonomy)
        self._chosen: tuple[dict[str, float], Assigner] = ({}, self.standard)

    def assigner(self, thresholds: dict[str, float]) -> Assigner:
        """The one for these thresholds, `{"objects/dog": 0.31}`."""
        if thresholds != self._chosen[0]:
            self._chosen = (thresholds, Assigner(self._taxonomy, thresholds))
        return self._chosen[1]


def describe(
    seen: Sequence[tuple[Sha256, Ready, Encoded]], tagger: Tagger | None, assigner: Assigner
) -> list[Encoding]:
    """Encodings of what the network has seen (batches of one), with scores if the encoder brings a tagger."""
    if tagger is None or not seen:
        return [Encoding(sha256, encoded.vectors[0]) for sha256, _, encoded in seen]
    measures = np.stack([item.measures for _, item, _ in seen])
    batch = joined([encoded for _, _, encoded in seen])
    near = assigner.near(tagger.scores(batch, measures))
    return [
        Encoding(
            sha256,
            encoded.vectors[0],
            tagger=tagger.version,
            tag_scores=scores,
            measures=item.measures,
            evidence=encoded.evidence[0],
        )
        for (sha256, item, encoded), scores in zip(seen, near, strict=True)
    ]


def tagged(encoding: Encoding, assigner: Assigner) -> Encoding:
    """The encoding with the tags that its scores deserve; unchanged if it has none."""
    if encoding.tag_scores is None:
        return encoding
    return replace(encoding, tags=assigner.tags(encoding.tag_scores))


def reason_of(error: BaseException) -> str:
    """What a person reads at the failed image."""
    return str(error) or type(error).__name__
