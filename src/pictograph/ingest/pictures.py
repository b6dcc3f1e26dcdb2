"""Makes pictures ready for the network: bytes from the blob store -> decoded in a process of its own -> prepared."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from pictograph.encode.protocol import Encoder, FloatArray
from pictograph.errors import BadImage, BlobMissing, NoBytes, StorageFull, Unavailable, WorkerLost
from pictograph.ingest.facts import facts_of
from pictograph.jobs.budget import ByteBudget
from pictograph.jobs.queue import SUSPECT_ATTEMPTS, Job
from pictograph.jobs.retry import MAX_ATTEMPTS
from pictograph.store.blobs import BlobStore
from pictograph.store.facts import Facts
from pictograph.store.images import PictureSize
from pictograph.store.thumbnails import keep_thumbnails, missing_thumbnails
from pictograph.tagging.measures import measure_picture
from pictograph.types import Sha256
from pictograph.upload.bounded.estimate import estimated_bytes
from pictograph.upload.bounded.pool import PictureReaders
from pictograph.upload.bounded.wanted import Made, Wanted

logger = logging.getLogger(__name__)

QUICK_SHARE: Final = 0.1
"""Of the seconds that one picture may take: what a picture may take in a batch, where others wait for it."""
WORKING_SIDE_PX: Final = 384
"""Pictures are decoded no smaller than this on their short side: pixel measures need about that much."""


@dataclass(frozen=True, slots=True)
class Ready:
    """A picture that only waits for the forward pass."""

    prepared: FloatArray
    measures: FloatArray
    """float32 (M,): see tagging/measures.py."""
    facts: Facts
    thumbnails: Mapping[int, bytes] = field(default_factory=dict)
    """Those that were not kept yet, by their longer side."""


class Outage(Exception):
    """The blob store is away or full: no image is at fault, so none fails for it, however long it lasts."""


class DecoderEnded(Exception):
    """Somebody ended the decoding process: perhaps the kernel, for want of memory, so the attempt counts."""


class TooHeavyForBatch(Exception):
    """The picture takes long or much memory: it gets a turn of its own, so that no other waits for it."""


class Pictures:
    """Fetches and decodes the pictures of jobs, in bounded memory and time."""

    def __init__(
        self, blobs: BlobStore, encoder: Encoder, readers: PictureReaders, *, threads: int, memory_bytes: int
    ) -> None:
        """memory_bytes: of all files and pictures in flight together; one that needs more than half goes by itself."""
        self._blobs = blobs
        self._encoder = encoder
        self._readers = readers
        self._memory = ByteBudget(memory_bytes)
        self._decoders = ThreadPoolExecutor(threads, "decode")

    def close(self) -> None:
        """Ends the threads and the decoding processes."""
        self._readers.close()
        self._decoders.shutdown()

    async def prepare(self, job: Job, size: PictureSize | None) -> Ready | Exception:
        """Makes a job's picture ready for the network, or says why that cannot be. size: as its row has it."""
        try:
            if job.attempts > MAX_ATTEMPTS:
                raise WorkerLost(f"The worker ended {MAX_ATTEMPTS} times while it processed this image.")
            if size is not None and not size.has_bytes:
                raise NoBytes(
                    "Its picture is not here: it was imported as a vector. Import a vector of "
                    f"{self._encoder.spec.name} for it, or upload the picture, each with `replace`."
                )
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

    async def facts(self, sha256: Sha256) -> Facts:
        """What a picture tells of itself, without its vector; within all that one picture may take.

        Raises BadImage, BlobMissing, Unavailable, DecoderEnded.
        """
        async with self._memory.hold(self._memory.total_bytes // 2):
            data = await self._blobs.get(sha256)
            return await asyncio.get_running_loop().run_in_executor(self._decoders, self._look, sha256, data)

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
            max(WORKING_SIDE_PX, self._encoder.spec.input_px),
            tuple(await missing_thumbnails(self._blobs, sha256)),
        )
        async with self._memory.hold(min(memory_bytes, self._memory.total_bytes // 2)):
            data = await self._blobs.get(sha256)
            decode = partial(self._decode, sha256, data, wanted, memory_bytes, seconds)
            return await asyncio.get_running_loop().run_in_executor(self._decoders, decode)

    def _look(self, sha256: Sha256, data: bytes) -> Facts:
        picture = self._made(data, Wanted(WORKING_SIDE_PX), self._readers.budget.memory_bytes, None).picture
        if picture is None:
            raise ValueError("pixels were wanted")
        return facts_of(sha256, picture, measure_picture(picture))

    def _made(self, data: bytes, wanted: Wanted, memory_bytes: int, seconds: float | None) -> Made:
        try:
            return self._readers.read(data, wanted, memory_bytes=memory_bytes, seconds=seconds)
        except Unavailable as error:
            raise DecoderEnded(
                f"{error.message} If the machine ran out of memory, lower the setting decode_memory_bytes."
            ) from error

    def _decode(self, sha256: Sha256, data: bytes, wanted: Wanted, memory_bytes: int, seconds: float) -> Ready:
        made = self._made(data, wanted, memory_bytes, seconds)
        if made.picture is None:
            raise ValueError("pixels were wanted")
        measures = measure_picture(made.picture)
        facts = facts_of(sha256, made.picture, measures)
        return Ready(self._encoder.prepare(made.picture), measures, facts, made.thumbnails)

    async def _keep_thumbnails(self, sha256: Sha256, thumbnails: Mapping[int, bytes]) -> None:
        try:
            await keep_thumbnails(self._blobs, sha256, thumbnails)
        except (Unavailable, StorageFull) as error:
            logger.warning("A thumbnail could not be kept; the server makes it at the first request for it: %s", error)
