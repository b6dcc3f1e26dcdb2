"""The process that makes vectors of pictures that are not stored: one for all that answer requests on this machine.

It holds the encoder of one space, loaded by the first question; a process of its own decodes, within the limits of
`upload/bounded/`. It has no key, no database and no blob store, and ends when nobody has asked for a while.
`search/pictures.py` says how it is asked.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Final

import numpy as np

from pictograph.encode.process import give_large_blocks_back, keep_blas_quiet
from pictograph.encode.protocol import Encoder, FloatArray
from pictograph.encode.registry import load_encoder
from pictograph.errors import ApiError, BadImage, ConfigurationError, SpaceMismatch, Unavailable
from pictograph.ingest.pictures import WORKING_SIDE_PX
from pictograph.search.pictures import Line, told_error, too_many_pictures
from pictograph.server.beats import Life
from pictograph.server.ending import stopping
from pictograph.settings import Settings
from pictograph.upload.bounded.allowed import budget_of, limits_of
from pictograph.upload.bounded.pool import PictureReaders
from pictograph.upload.bounded.victim import be_first_to_go
from pictograph.upload.bounded.wanted import Wanted
from pictograph.upload.box import Box

logger = logging.getLogger(__name__)

AT_WORK: Final = 2
"""Pictures whose bytes are in this process: one is decoded while another is encoded."""
MOST_WAITING: Final = 32
"""Questions that wait for a turn; none of their bytes are read. One more is refused at once."""
STALLED_S: Final = 30.0
"""Who has a turn sends the file within this: it comes from the same machine, perhaps first from a blob store."""
IDLE_S: Final = 600.0
"""After so long without a question, the process ends and its memory is free; the next question starts it again."""
LOOK_EVERY_S: Final = 1.0


class PictureEncoder:
    """Answers questions on connections; lives on one event loop."""

    def __init__(self, settings: Settings, load: Callable[[str, int | None], Encoder] = load_encoder) -> None:
        self._settings = settings
        self._load = load
        self._readers = PictureReaders(limits_of(settings), budget_of(settings), processes=1)
        self._decoding = ThreadPoolExecutor(AT_WORK, "decode")
        self._encoding = ThreadPoolExecutor(1, "encode")
        self._turns = asyncio.Semaphore(AT_WORK)
        self._inside = 0
        self._encoder: tuple[str, Encoder] | None = None
        self._opening = asyncio.Lock()
        self.idle_since: float | None = time.monotonic()
        """None while somebody asks."""

    def close(self) -> None:
        """Ends the threads and the process that decodes."""
        self._readers.close()
        for threads in (self._decoding, self._encoding):
            threads.shutdown(wait=False, cancel_futures=True)

    async def answer(self, connection: socket.socket) -> None:
        """One question, whatever becomes of it; closes the connection."""
        self._inside += 1
        self.idle_since = None
        try:
            with connection, contextlib.suppress(ConnectionError, TimeoutError):  # then nobody waits for an answer
                await self._answer(Line(connection))
        finally:
            self._inside -= 1
            if not self._inside:
                self.idle_since = time.monotonic()

    async def _answer(self, line: Line) -> None:
        try:
            vector = await self._vector(line)
        except ApiError as error:
            await line.tell(told_error(error))
        except (ConnectionError, TimeoutError):  # who asked has gone, or hangs
            raise
        except Exception:
            logger.exception("A picture could not be encoded")
            await line.tell(told_error(Unavailable("The picture could not be encoded; the log says why.")))
        else:
            data = vector.astype(np.float32).tobytes()
            await line.tell({"bytes": len(data)}, data)

    async def _vector(self, line: Line) -> FloatArray:
        async with asyncio.timeout(STALLED_S):
            question = await line.hear()
        async with self._turn():
            encoder = await self._encoder_of(question["encoder"], question["fingerprint"])
            async with asyncio.timeout(STALLED_S):
                await line.tell({"go": True})
                asked = await line.hear()
                data = bytes(await line.bytes(asked["bytes"]))
            box = Box(**asked["box"]) if asked["box"] else None
            loop = asyncio.get_running_loop()
            prepared = await loop.run_in_executor(self._decoding, self._prepared, encoder, data, box)
            return await loop.run_in_executor(self._encoding, encoded, encoder, prepared)

    @asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        """Raises RateLimitError if too many wait."""
        if self._inside > AT_WORK + MOST_WAITING:
            raise too_many_pictures()
        async with self._turns:
            yield

    def _prepared(self, encoder: Encoder, data: bytes, box: Box | None) -> FloatArray:
        """In a thread: decoded as the worker does it, so that the vector is that of an upload."""
        wanted = Wanted(max(WORKING_SIDE_PX, encoder.spec.input_px), box=box)
        made = self._readers.read(data, wanted)
        if made.picture is None:
            raise BadImage("No pixels came of this picture.")
        return encoder.prepare(made.picture)

    async def _encoder_of(self, source: str, fingerprint: str) -> Encoder:
        """The encoder of a space; that of another is let go first. Raises SpaceMismatch, Unavailable."""
        async with self._opening:
            if self._encoder is None or self._encoder[0] != fingerprint:
                self._encoder = None
                loop = asyncio.get_running_loop()
                self._encoder = (
                    fingerprint,
                    await loop.run_in_executor(self._encoding, self._opened, source, fingerprint),
                )
            return self._encoder[1]

    def _opened(self, source: str, fingerprint: str) -> Encoder:
        try:
            encoder = self._load(source, self._settings.threads)
        except ConfigurationError as error:
            raise Unavailable(f"The encoder of this library cannot be opened here: {error.message}") from error
        found = f"{encoder.spec.name}@{encoder.spec.revision}"
        if found != fingerprint:
            raise SpaceMismatch(
                f"The images here were embedded by {fingerprint}, but {source} is now {found}, and vectors of two "
                "models cannot be compared. Put the first one's files back, or move the library (pictograph reindex)."
            )
        keep_blas_quiet()
        give_large_blocks_back()
        logger.info("Encodes pictures that are sent as questions, with %s", fingerprint)
        return encoder


def encoded(encoder: Encoder, prepared: FloatArray) -> FloatArray:
    vector: FloatArray = encoder.encode_prepared(prepared[None]).vectors[0]
    return vector


def encode_pictures(settings: Settings, listener: int, beat_to: int | None) -> None:
    """Answers on a listening socket, a descriptor that this process has inherited, until it is asked to stop.

    It ends by itself when standard input closes, and when nobody has asked for IDLE_S.
    """
    be_first_to_go()

    async def run() -> None:
        async with stopping(exit_with_parent=True) as stop, Life().shown(beat_to):
            with socket.socket(fileno=listener) as door:
                await answer_pictures(PictureEncoder(settings), door, stop)

    asyncio.run(run())


async def answer_pictures(encoder: PictureEncoder, listener: socket.socket, stop: asyncio.Event) -> None:
    """Until `stop` is set, or nobody has asked for IDLE_S. Questions at hand are answered first."""
    listener.setblocking(False)
    loop, answering = asyncio.get_running_loop(), set[asyncio.Task[None]]()

    async def accept() -> None:
        while True:
            connection, _ = await loop.sock_accept(listener)
            connection.setblocking(False)
            task = asyncio.create_task(encoder.answer(connection))
            answering.add(task)
            task.add_done_callback(answering.discard)

    accepting = asyncio.create_task(accept())
    try:
        while not accepting.done() and not is_idle(encoder):
            if await is_set_within(stop, LOOK_EVERY_S):
                break
    finally:
        accepting.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await accepting
        await asyncio.gather(*answering, return_exceptions=True)
        encoder.close()


def is_idle(encoder: PictureEncoder) -> bool:
    return encoder.idle_since is not None and time.monotonic() - encoder.idle_since > IDLE_S


async def is_set_within(stop: asyncio.Event, seconds: float) -> bool:
    try:
        async with asyncio.timeout(seconds):
            return await stop.wait()
    except TimeoutError:
        return False
