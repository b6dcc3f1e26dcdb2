"""The listening socket, and the server that reads requests from it."""

from __future__ import annotations

import contextlib
import errno
import gc
import signal
import socket
from collections.abc import Callable, Generator
from functools import partial
from typing import Final

import uvicorn

from pictograph.errors import ConfigurationError
from pictograph.server.connections import MOST_UNREAD_BYTES, Connections
from pictograph.server.protocol import GuardedProtocol
from pictograph.settings import Settings

MOST_DISCARDED_BYTES: Final = 128_000_000
"""Of a refused body, which is thrown away as it comes in so that the connection stays usable."""


class Server(uvicorn.Server):
    """Ends at SIGINT and SIGTERM, and then lets us stop the database: uvicorn's own raises the signal once more."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Takes the signals while it serves."""
        before = {number: signal.signal(number, self.handle_exit) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def keep_what_is_loaded() -> None:
    """Spares the garbage collector what lives as long as the process: going through it stops requests for 60 ms."""
    gc.collect()
    gc.freeze()


def bind(host: str, port: int) -> socket.socket:
    """Opens the listening socket before anything slow, so that a port conflict fails immediately."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(1024)
    except OSError as error:
        listener.close()
        raise ConfigurationError(
            f"Cannot listen on {host}:{port}: {error.strerror or error}. {way_to_listen(error)}"
        ) from error
    return listener


def way_to_listen(error: OSError) -> str:
    """What to change: the host, if it is none of this machine's, else the port."""
    if isinstance(error, socket.gaierror) or error.errno in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
        return "Choose a --host that this machine has: 127.0.0.1 for itself alone, 0.0.0.0 for every network it is on."
    return "Choose another --port (0 takes a free one)."


def address_of(host: str, listener: socket.socket) -> str:
    """What a client on this machine types."""
    shown = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"http://{f'[{shown}]' if ':' in shown else shown}:{listener.getsockname()[1]}"


def uvicorn_config(
    app: object, settings: Settings, *, counted: Callable[[int], object] | None = None
) -> uvicorn.Config:
    """How requests are read: by `GuardedProtocol`. counted: is told how many connections are open."""
    most_unread_bytes = MOST_UNREAD_BYTES // settings.http_workers
    guard = Connections(settings.max_client_connections, most_unread_bytes=most_unread_bytes, counted=counted)
    most_discarded = max(MOST_DISCARDED_BYTES, 2 * settings.max_bytes)
    return uvicorn.Config(
        app,  # type: ignore[arg-type]
        http=partial(GuardedProtocol, guard=guard, most_discarded=most_discarded),  # type: ignore[arg-type]
        ws="none",
        log_config=None,
        access_log=False,  # ours has the request's id
        proxy_headers=False,  # anybody can send them: behind a proxy, public_url says what clients use
        server_header=False,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=15,
    )
