"""One of several processes that answer HTTP on one port; `serving.py` starts it and tells it what it cannot know."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import uvicorn

from pictograph.server.app import Part, create_app
from pictograph.server.beats import Life, tell
from pictograph.server.connections import raise_file_limit
from pictograph.server.listening import Server, keep_what_is_loaded, uvicorn_config
from pictograph.server.serving import First
from pictograph.server.sharing import Acceptor, Board
from pictograph.server.told import READY, Told, lines_of
from pictograph.settings import Settings

PICTURE_TURN: Final = "picture.lock"
"""Held by the one process of all that has a picture decoded."""


@dataclass(frozen=True, slots=True)
class Given:
    """Descriptors that a serving process inherits."""

    listener: int
    board: int
    signs: int


def serve_part(settings: Settings, given: Given) -> None:
    """Answers requests until it is asked to stop (SIGTERM), or the process that started it ends."""
    lines = lines_of(sys.stdin.fileno())
    line = next(lines, None)
    if line is None:
        return
    raise_file_limit()
    starter = os.getppid()
    first = First.of(json.loads(line))
    settings, told = settings.share(first.number), Told(first.crew, given.signs)
    part = Part(lambda: told.crew, told.key_versions, Path(first.folder) / PICTURE_TURN, Path(first.picture_door))
    board = Board(given.board, settings.http_workers)

    def be_open(_: object) -> None:
        told.listen(lines, then=lambda: setattr(server, "should_exit", True))
        keep_what_is_loaded()

    app = create_app(settings, first.conninfo, on_ready=be_open, part=part)
    config = uvicorn_config(app, settings, counted=lambda count: board.note(first.number, count))
    with socket.socket(fileno=given.listener) as listener:
        server = ServerOfPart(config, lambda protocol: Acceptor(listener, protocol, board, first.number), given.signs)
        server.run(sockets=[])
    if os.getppid() != starter:  # it was killed, and cannot remove what we shared
        shutil.rmtree(first.folder, ignore_errors=True)


class ServerOfPart(Server):
    """Takes its share of the connections, in uvicorn's stead, and shows that it lives."""

    def __init__(
        self, config: uvicorn.Config, acceptor: Callable[[Callable[[], asyncio.Protocol]], Acceptor], signs: int
    ) -> None:
        """acceptor: makes one, of what makes the protocol of a connection."""
        super().__init__(config)
        self._acceptor_of = acceptor
        self._acceptor: Acceptor | None = None
        self._signs = signs

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        """As uvicorn's."""
        os.set_blocking(self._signs, False)
        async with Life().shown(self._signs):
            await super().serve(sockets)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """As uvicorn's, which listens on no socket itself."""
        await super().startup(sockets)
        self._acceptor = self._acceptor_of(self._protocol)
        self._acceptor.start()
        tell(self._signs, READY)

    def _protocol(self) -> asyncio.Protocol:
        make: Callable[..., asyncio.Protocol] = self.config.http_protocol_class
        return make(config=self.config, server_state=self.server_state, app_state=self.lifespan.state)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """As uvicorn's: what is being answered is finished."""
        if self._acceptor is not None:
            self._acceptor.close()
        await super().shutdown(sockets)
