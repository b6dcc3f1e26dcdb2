"""Pictures that are not stored -> vectors for searches: asked of the one process of this machine that encodes them.

    client -> process   {"encoder", "fingerprint"}                          may I?
    process -> client   {"go": true}, when it is this question's turn
    client -> process   {"bytes": n, "box": {...} or null}, then n bytes
    process -> client   {"bytes": 4608}, then a float32 vector

Or at any point, from the process, {"error", "message", "details", "retry_after_s"}. Each message is a line of JSON.
"""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final, TypeAlias

import numpy as np

from pictograph.encode.protocol import FloatArray
from pictograph.errors import ApiError, RateLimitError, Unavailable, error_class_for
from pictograph.spaces.registry import Space, fingerprint_of
from pictograph.store.blobs import BlobStore
from pictograph.types import Sha256
from pictograph.upload.box import Box

LONGEST_WAIT_S: Final = 20.0
"""For a turn, which includes the start of the process and the model; well below a client's timeout."""
LONGEST_WORK_S: Final = 120.0
"""For one picture once it is its turn: the settings bound decoding far below; beyond this, the process hangs."""
TRIES: Final = 2
"""The process may be killed, or end because nobody has asked for long, just as somebody asks."""
MOST_LINE_BYTES: Final = 64 * 1024
READ_AT_ONCE: Final = 1 << 20

Source: TypeAlias = Callable[[], Awaitable[bytes]]
"""Gives the file's bytes when it is their turn to be in memory."""


class PictureVectors:
    """Has pictures decoded and encoded as uploads are, and keeps nothing of them."""

    def __init__(self, door: Path | None, blobs: BlobStore | None = None) -> None:
        """door: the Unix socket where the process is asked; None where no service has one. blobs: of stored ones."""
        self._door = door
        self._blobs = blobs

    async def vector_of_stored(self, space: Space, sha256: Sha256, box: Box) -> FloatArray:
        """As `vector_of`, of a part of a stored picture. Raises BlobMissing if its bytes are not there."""
        blobs = self._blobs
        if blobs is None:
            raise Unavailable("No blob store belongs to this service.")
        return await self.vector_of(space, lambda: blobs.get(sha256), box)

    async def vector_of(self, space: Space, source: Source, box: Box | None = None) -> FloatArray:
        """float32 (1152,), unit length: what an upload of these bytes, or of this part of them, would get.

        Raises BadImage, UnsupportedFormat, TooLarge as an upload does; ValidationError for a box that lies outside;
        RateLimitError if too many wait, Unavailable if the process cannot be reached, SpaceMismatch if the encoder's
        files are no longer those of the space.
        """
        for tries_left in reversed(range(TRIES)):
            try:
                return await self._asked(space, source, box)
            except (ConnectionError, FileNotFoundError) as error:
                if not tries_left:
                    raise Unavailable(
                        "The process that encodes pictures ended while it was asked. Ask again in a moment.",
                        retry_after_s=2,
                    ) from error
        raise AssertionError("unreachable")

    async def _asked(self, space: Space, source: Source, box: Box | None) -> FloatArray:
        if self._door is None:
            raise Unavailable("No process that encodes pictures belongs to this service.")
        with socket.socket(socket.AF_UNIX) as connection:
            connection.setblocking(False)
            await asyncio.get_running_loop().sock_connect(connection, str(self._door))
            line = Line(connection)
            await self._turn(line, {"encoder": space.source, "fingerprint": fingerprint_of(space)})
            data = await source()
            try:
                async with asyncio.timeout(LONGEST_WORK_S):
                    await line.tell({"bytes": len(data), "box": asdict(box) if box else None}, data)
                    answer = answered(await line.hear())
                    return np.frombuffer(await line.bytes(answer["bytes"]), np.float32)
            except TimeoutError as error:
                raise Unavailable("The process that encodes pictures does not answer.", retry_after_s=5) from error

    async def _turn(self, line: Line, question: dict[str, Any]) -> None:
        try:
            async with asyncio.timeout(LONGEST_WAIT_S):
                await line.tell(question)
                answered(await line.hear())
        except TimeoutError as error:
            raise too_many_pictures() from error


class Line:
    """One end of a connection: lines of JSON, and bytes that they announce. For one task at a time."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._loop = asyncio.get_running_loop()
        self._early = b""
        """What came behind the last line."""

    async def tell(self, message: dict[str, Any], data: bytes = b"") -> None:
        """Sends a line, and what it announces."""
        await self._loop.sock_sendall(self._connection, json.dumps(message).encode() + b"\n")
        if data:
            await self._loop.sock_sendall(self._connection, data)

    async def hear(self) -> dict[str, Any]:
        """The next line. Raises ConnectionError if the other end has closed."""
        while b"\n" not in self._early:
            part = await self._loop.sock_recv(self._connection, MOST_LINE_BYTES)
            if not part or len(self._early) > MOST_LINE_BYTES:
                raise ConnectionResetError("the other end has closed")
            self._early += part
        line, _, self._early = self._early.partition(b"\n")
        message: dict[str, Any] = json.loads(line)
        return message

    async def bytes(self, count: int) -> bytearray:
        """So many. Raises ConnectionError if the other end closes before."""
        data = bytearray(count)
        at = min(count, len(self._early))
        data[:at], self._early = self._early[:at], self._early[at:]
        with memoryview(data) as room:
            while at < count:
                read = await self._loop.sock_recv_into(self._connection, room[at : at + READ_AT_ONCE])
                if not read:
                    raise ConnectionResetError("the other end has closed")
                at += read
        return data


def answered(message: dict[str, Any]) -> dict[str, Any]:
    """The message, unless it tells of an error, which is raised."""
    code = message.get("error")
    if code is None:
        return message
    error_class = error_class_for(message["status"], code)
    raise error_class(message["message"], details=message["details"], retry_after_s=message["retry_after_s"])


def told_error(error: ApiError) -> dict[str, Any]:
    """An error as it travels."""
    return {
        "error": error.code,
        "status": error.status_code,
        "message": error.message,
        "details": error.details,
        "retry_after_s": error.retry_after_s,
    }


def too_many_pictures() -> RateLimitError:
    return RateLimitError(
        "Other pictures that were sent as questions are encoded first. Ask again in a moment.", retry_after_s=2
    )
