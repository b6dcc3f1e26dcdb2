"""The one process that encodes pictures sent as questions: what it gives, what it refuses, and how it comes back."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np
import pytest

from pictograph.encode.noop import SPEC, NoopEncoder
from pictograph.encode.protocol import Encoded, Encoder, FloatArray
from pictograph.errors import (
    ApiError,
    BadImage,
    ConfigurationError,
    RateLimitError,
    SpaceMismatch,
    TooLarge,
    Unavailable,
    UnsupportedFormat,
    ValidationError,
)
from pictograph.ingest.pictures import WORKING_SIDE_PX
from pictograph.search.pictures import PictureVectors, Source
from pictograph.server import picture_encoder
from pictograph.server.picture_encoder import PictureEncoder, answer_pictures
from pictograph.server.picture_process import PictureProcess, door, environment_of
from pictograph.settings import Settings
from pictograph.spaces.registry import Space
from pictograph.types import SpaceId
from pictograph.upload.box import Box
from pictograph.upload.decode import decode_picture
from pictograph.upload.limits import PictureLimits
from support.pictures import picture_bytes

SETTINGS = Settings.load({"data_dir": Path("/nowhere"), "max_bytes": 200_000, "max_pixels": 1_000_000}, {})
NOOP = Space(SpaceId(1), SPEC.name, SPEC.revision, SPEC.dimension, "noop", True, False, 1.0, 1.0)


def source_of(data: bytes) -> Source:
    async def source() -> bytes:
        return data

    return source


def expected(data: bytes) -> FloatArray:
    """What a worker makes of an upload."""
    encoder = NoopEncoder()
    picture = decode_picture(data, at_least_px=max(WORKING_SIDE_PX, SPEC.input_px), limits=PictureLimits())
    return encoder.encode_prepared(encoder.prepare(picture)[None]).vectors[0]


@asynccontextmanager
async def answering(encoder: PictureEncoder) -> AsyncIterator[PictureVectors]:
    """Asks an encoder that answers on this loop."""
    stop = asyncio.Event()
    with door() as (path, listener):
        task = asyncio.create_task(answer_pictures(encoder, listener, stop))
        try:
            yield PictureVectors(path)
        finally:
            stop.set()
            await task


async def test_vectors_are_those_of_uploads_refusals_too_and_a_killed_process_is_replaced() -> None:
    data = picture_bytes(1, size=(1200, 800))
    process = PictureProcess(SETTINGS)
    async with process.running() as path:
        assert process.process_id is None, "nobody has asked yet"
        first, second = PictureVectors(path), PictureVectors(path)
        asked = (one.vector_of(NOOP, source_of(data)) for one in (first, second))
        for vector in await asyncio.gather(*asked):
            assert np.array_equal(vector, expected(data))
        ids = {process.process_id}
        for bad, error in (
            (b"<svg xmlns='http://www.w3.org/2000/svg'/>", UnsupportedFormat),
            (data[: len(data) // 2], BadImage),
            (b"", ApiError),
            (picture_bytes(1, size=(2000, 1000)), TooLarge),
        ):
            with pytest.raises(error):
                await first.vector_of(NOOP, source_of(bad))
        with pytest.raises(ValidationError, match="1200 x 800"):
            await first.vector_of(NOOP, source_of(data), Box(1190, 0, 20, 10))
        assert ids == {process.process_id}, "one process for all"
        assert process.process_id is not None
        os.kill(process.process_id, signal.SIGKILL)
        assert np.array_equal(await second.vector_of(NOOP, source_of(data)), expected(data))
        assert ids != {process.process_id}


async def test_a_question_is_asked_once_more_where_the_process_ends_under_it() -> None:
    data, process = picture_bytes(2), PictureProcess(SETTINGS)
    reads = 0

    async def source() -> bytes:
        nonlocal reads
        reads += 1
        if reads == 1:
            assert process.process_id is not None
            os.kill(process.process_id, signal.SIGKILL)
        return data

    async with process.running() as path:
        assert np.array_equal(await PictureVectors(path).vector_of(NOOP, source), expected(data))
    assert reads == 2


async def test_vectors_of_another_model_are_never_given() -> None:
    async with answering(PictureEncoder(SETTINGS)) as vectors:
        other = Space(SpaceId(1), SPEC.name, "2", SPEC.dimension, "noop", True, False, 1.0, 1.0)
        with pytest.raises(SpaceMismatch, match="noop@2"):
            await vectors.vector_of(other, source_of(picture_bytes(1)))
        assert np.array_equal(await vectors.vector_of(NOOP, source_of(picture_bytes(1))), expected(picture_bytes(1)))


async def test_another_space_gets_its_own_encoder_and_one_that_cannot_be_opened_says_so() -> None:
    opened: list[str] = []

    def load(source: str, _: int | None) -> Encoder:
        opened.append(source)
        if source == "gone":
            raise ConfigurationError("its files are missing")
        return NoopEncoder()

    gone = Space(SpaceId(2), "gone", "1", SPEC.dimension, "gone", True, False, 1.0, 1.0)
    async with answering(PictureEncoder(SETTINGS, load)) as vectors:
        for space in (NOOP, NOOP):
            await vectors.vector_of(space, source_of(picture_bytes(1)))
        with pytest.raises(Unavailable, match="files are missing"):
            await vectors.vector_of(gone, source_of(picture_bytes(1)))
        await vectors.vector_of(NOOP, source_of(picture_bytes(1)))
    assert opened == ["noop", "gone", "noop"]


class Slow(NoopEncoder):
    """Encodes when it is told to."""

    def __init__(self) -> None:
        self.go = threading.Event()

    def encode_prepared(self, prepared: FloatArray) -> Encoded:
        assert self.go.wait(30)
        return super().encode_prepared(prepared)


async def test_only_those_with_a_turn_are_read_and_beyond_the_line_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(picture_encoder, "MOST_WAITING", 1)
    slow, read, data = Slow(), [], picture_bytes(1)

    async def source() -> bytes:
        read.append(1)
        return data

    async with answering(PictureEncoder(SETTINGS, lambda *_: slow)) as vectors:
        asked = [asyncio.create_task(vectors.vector_of(NOOP, source)) for _ in range(3)]
        while len(read) < picture_encoder.AT_WORK:  # noqa: ASYNC110 - what is waited for happens on other threads
            await asyncio.sleep(0.01)
        with pytest.raises(RateLimitError) as refusal:
            await vectors.vector_of(NOOP, source)
        assert refusal.value.retry_after_s
        assert len(read) == picture_encoder.AT_WORK
        slow.go.set()
        assert len(await asyncio.gather(*asked)) == len(read) == 3


async def test_it_ends_when_nobody_has_asked_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(picture_encoder, "IDLE_S", 0.0)
    monkeypatch.setattr(picture_encoder, "LOOK_EVERY_S", 0.01)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("")
        listener.listen()
        async with asyncio.timeout(10):
            await answer_pictures(PictureEncoder(SETTINGS), listener, asyncio.Event())


def test_sockets_of_services_that_were_killed_are_removed_and_others_stay() -> None:
    with door() as (living, _):
        parent = living.parent.parent
        deserted = parent / f"{living.parent.name}-deserted" / "pictures"
        deserted.parent.mkdir()
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(deserted))
        assert deserted.exists()
        with door():
            assert not deserted.parent.exists()
            assert living.exists()
    assert not living.parent.exists()


async def test_without_a_process_a_question_says_so() -> None:
    with pytest.raises(Unavailable):
        await PictureVectors(None).vector_of(NOOP, source_of(b""))
    with pytest.raises(Unavailable, match="ended"):
        await PictureVectors(Path("/nowhere/pictures")).vector_of(NOOP, source_of(b""))


def test_it_knows_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hunter2")
    monkeypatch.setenv("PICTOGRAPH_API_KEY", "hunter2")
    monkeypatch.setenv("PICTOGRAPH_DATABASE_URL", "postgresql://hunter2")
    settings = Settings.load({"database_url": "postgresql://hunter2", "blob_url": "s3://hunter2"}, {})
    told = environment_of(settings)
    assert "hunter2" not in " ".join(told.values())
    assert told["PICTOGRAPH_MAX_BYTES"] == str(settings.max_bytes)
