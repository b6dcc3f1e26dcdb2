"""The write path on one screen: what happens to an upload, and what a worker does with it later.

Intake      bytes -> checked -> blob kept -> [image row + job: ONE transaction]
Processor   claim -> blob -> decode, in a process of its own -> encode -> judge
            -> [tags + encoding + search rows + job done: ONE transaction]

The parts of these steps are in `ingest/`: pictures, judging, failures, sweep.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

from pictograph.db.pool import Connection, Database
from pictograph.encode.batching import encode_isolating
from pictograph.encode.protocol import Encoded
from pictograph.errors import (
    DatabaseAway,
    DatabaseStopping,
    NotFoundError,
)
from pictograph.ingest.failures import retry_or_fail
from pictograph.ingest.judging import Model, TagRules, describe, tagged
from pictograph.ingest.looking import Looking
from pictograph.ingest.pictures import Pictures, Ready
from pictograph.ingest.sweep import SWEEP_GRACE, Sweeper
from pictograph.jobs.queue import (
    Claim,
    Job,
    enqueue,
    enqueue_all,
    enqueue_replacements,
)
from pictograph.spaces.encodings import (
    Encoding,
    finish_images,
    known_encodings,
    lock_waiting,
    remove_from_index,
    save_encodings,
)
from pictograph.spaces.registry import lock_rules, share_rules
from pictograph.store.blobs import BlobStore
from pictograph.store.facts import share_facts, write_facts
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
from pictograph.store.replacements import lock_image_at, replace_bytes, take_waiting_bytes
from pictograph.store.thumbnails import delete_thumbnails
from pictograph.store.tickets import Filled, Tickets, use_ticket
from pictograph.types import DatasetId, ImageId, OrganizationId, Sha256
from pictograph.upload.bounded.pool import PictureReaders
from pictograph.upload.facts import read_facts
from pictograph.upload.limits import PictureLimits
from pictograph.upload.picture import PictureFacts


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
        self._sweeper = Sweeper(database, blobs, tickets)

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
        """Removes what deletions for good have left; how many files went. grace: as in `Sweeper.sweep`."""
        return await self._sweeper.sweep(grace)

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
        """threads, memory_bytes: for decoding, as `Pictures` has them."""
        self._database = database
        self._blobs = blobs
        self._model = model
        self._pictures = Pictures(blobs, model.encoder, readers, threads=threads, memory_bytes=memory_bytes)
        self.looking = Looking(database, self._pictures)
        """Fills in what is not known of images from before."""
        self._rules = TagRules(model.taxonomy)
        self._forward = ThreadPoolExecutor(1, "forward")

    def close(self) -> None:
        """Ends the threads and the decoding processes."""
        self._pictures.close()
        self._forward.shutdown()

    async def process(self, claim: Claim) -> None:
        """Makes every image of the claim findable, or records why not. A bad picture fails only itself."""
        async with self._database.connection() as connection:
            known = await known_encodings(connection, self._model.space, [job.sha256 for job in claim.jobs])
            new = [job for job in claim.jobs if job.sha256 not in known]
            sizes = await picture_sizes(connection, {job.image_id: job.sha256 for job in new})
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
            await write_facts(connection, [one.facts for one in encodings if one.facts], locked)
            await share_facts(connection, list(known), locked)
            for job, error in failures:
                await retry_or_fail(connection, space, claim, job, error, locked=locked)

        await self._database.write(step)
        await self._drop_orphans([encoding.sha256 for encoding in encodings])

    async def _encode(self, jobs: Sequence[Job], sizes: Mapping[ImageId, PictureSize]) -> list[Encoding | Exception]:
        """One outcome per job, in order."""
        if not jobs:
            return []
        prepared = await asyncio.gather(*(self._pictures.prepare(job, sizes.get(job.image_id)) for job in jobs))
        ready = [(job.sha256, item) for job, item in zip(jobs, prepared, strict=True) if isinstance(item, Ready)]
        loop = asyncio.get_running_loop()
        encoded = iter(await loop.run_in_executor(self._forward, self._encode_and_judge, ready))
        return [next(encoded) if isinstance(item, Ready) else item for item in prepared]

    def _encode_and_judge(self, ready: Sequence[tuple[Sha256, Ready]]) -> list[Encoding | Exception]:
        results = encode_isolating(self._model.encoder, [item.prepared for _, item in ready], max(1, len(ready)))
        seen = [(*item, result) for item, result in zip(ready, results, strict=True) if isinstance(result, Encoded)]
        described = iter(describe(seen, self._model.tagger, self._rules.standard))
        return [result if isinstance(result, Exception) else next(described) for result in results]

    async def _drop_orphans(self, sha256s: Sequence[Sha256]) -> None:
        """Deletes the thumbnails of pictures that were deleted for good while they were processed."""
        async with self._database.connection() as connection:
            gone = await forgotten_blobs(connection, sha256s)
        for sha256 in gone:
            await delete_thumbnails(self._blobs, sha256)
