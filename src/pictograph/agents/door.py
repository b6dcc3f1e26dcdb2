"""The tools over standard input, for an agent that starts them, and over HTTP, for agents with keys of their own."""

from __future__ import annotations

import socket
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Final
from urllib.parse import urlsplit

import uvicorn
from mcp.server import MCPServer
from mcp.server.mcpserver import Context
from mcp.server.transport_security import TransportSecuritySettings
from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from pictograph.agents.server import make_server
from pictograph.agents.tools import Session
from pictograph.client import AsyncClient
from pictograph.client.config import ClientConfig
from pictograph.errors import AuthError, ConfigurationError, PictographError
from pictograph.network import address_of, is_loopback
from pictograph.upload.bounded.pool import PictureReaders
from pictograph.upload.bounded.wanted import DecodeBudget
from pictograph.upload.limits import PictureLimits

PATH: Final = "/mcp"
MOST_SESSIONS: Final = 100
"""Keys whose client and handles are kept; the one unused for longest goes first."""
CHECKED_FOR_S: Final = 30.0
"""How long a key is let in without asking the service; what it then asks is checked there anyway."""
KEY_HEADER: Final = "x-api-key"


def picture_readers() -> PictureReaders:
    """One process decodes what is shown in full, in the limits that a service has by default."""
    return PictureReaders(PictureLimits(), DecodeBudget(), processes=1)


async def serve_stdio(config: ClientConfig, *, allow_write: bool) -> None:
    """Answers on standard output until standard input closes."""
    with picture_readers() as readers:
        async with AsyncClient(config.api_key, base_url=config.base_url) as client:
            session = Session(client, readers)

            async def the_one(_: Context) -> Session:
                return session

            await make_server(the_one, allow_write=allow_write, local_files=True).run_stdio_async()


async def serve_http(
    config: ClientConfig, hosts: Hosts, port: int, *, allow_write: bool, begun: Callable[[str], object]
) -> None:
    """Answers until the process is told to end. Each caller sends an API key of the service; none is lent.

    port: 0 takes a free one. begun: told the address once it is listened on. Raises ConfigurationError if it is taken.
    """
    with picture_readers() as readers, listening(hosts.bound, port) as listener:
        sessions = Sessions(config, readers)
        shown = f"[{hosts.bound}]" if ":" in hosts.bound else hosts.bound
        begun(f"http://{shown}:{listener.getsockname()[1]}{PATH}")
        try:
            app = http_app(sessions, hosts, allow_write=allow_write)
            await uvicorn.Server(uvicorn.Config(app, log_level="warning")).serve(sockets=[listener])
        finally:
            await sessions.close()


def listening(host: str, port: int) -> socket.socket:
    """A socket that listens there. Raises ConfigurationError."""
    try:
        return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        raise ConfigurationError(
            f"{host} port {port} cannot be listened on: {error}. Choose another --port."
        ) from error


def http_app(sessions: Sessions, hosts: Hosts, *, allow_write: bool) -> ASGIApp:
    """The application: streamable HTTP at `/mcp`, without sessions of its own, so that every request shows its key."""
    server: MCPServer = make_server(sessions.of, allow_write=allow_write, local_files=False)
    # `Guard` checks the hosts: the SDK's own check takes no rule for addresses, and is off beyond loopback.
    unchecked = TransportSecuritySettings(enable_dns_rebinding_protection=False)
    app = server.streamable_http_app(
        streamable_http_path=PATH, stateless_http=True, json_response=True, transport_security=unchecked
    )
    return Guard(app, sessions, hosts)


@dataclass(frozen=True, slots=True)
class Hosts:
    """By which names the tools are asked over HTTP: those of DNS that are not listed may be of a page that rebinds."""

    bound: str
    """What is listened on."""
    named: frozenset[str] = field(default_factory=frozenset)
    """Names besides, lower case."""

    @classmethod
    def of(cls, bound: str, allowed: Iterable[str]) -> Hosts:
        """The names of this machine, and those that are allowed besides."""
        machine = socket.gethostname().lower()
        own = set() if is_loopback(bound) else {machine, machine.split(".")[0]}
        return cls(bound, frozenset({*own, *(name.lower() for name in allowed), bound.lower()} - {"", "0.0.0.0", "::"}))

    def answers_to(self, host: str) -> bool:
        """Whether a request with this `Host`, or from a page of this one, is answered."""
        name = (urlsplit(f"//{host}").hostname or "").rstrip(".")
        if is_loopback(name) or name in self.named:
            return True
        return not is_loopback(self.bound) and address_of(name) is not None


class Sessions:
    """A session for each API key, with handles of its own."""

    def __init__(self, config: ClientConfig, readers: PictureReaders) -> None:
        """config: the service and how it is asked; its key is not used."""
        self._config = config
        self._readers = readers
        self._kept: OrderedDict[str, Session] = OrderedDict()
        self._checked: dict[str, float] = {}

    async def of(self, context: Context) -> Session:
        """The session of whoever sent this request."""
        return await self.with_key(key_in(Headers(dict(context.headers or {}))))

    async def with_key(self, key: str) -> Session:
        """The session of this key. Raises AuthError if the service does not know it."""
        session = self._kept.get(key) or self._new(key)
        if time.monotonic() - self._checked.get(key, -CHECKED_FOR_S) >= CHECKED_FOR_S:
            try:
                await session.client.datasets.list(limit=1)
            except AuthError:
                await self._forget(key, session)
                raise
            self._checked[key] = time.monotonic()
        self._kept[key] = session
        self._kept.move_to_end(key)
        while len(self._kept) > MOST_SESSIONS:
            oldest, forgotten = next(iter(self._kept.items()))
            await self._forget(oldest, forgotten)
        return session

    async def close(self) -> None:
        """Closes every client."""
        for key, session in list(self._kept.items()):
            await self._forget(key, session)

    def _new(self, key: str) -> Session:
        config = replace(self._config, api_key=key)
        return Session(AsyncClient(config.api_key, base_url=config.base_url), self._readers)

    async def _forget(self, key: str, session: Session) -> None:
        self._kept.pop(key, None)
        self._checked.pop(key, None)
        await session.client.close()


class Guard:
    """Refuses other sites' names (421) and callers without a working key (401), before the protocol is spoken."""

    def __init__(self, app: ASGIApp, sessions: Sessions, hosts: Hosts) -> None:
        self._app = app
        self._sessions = sessions
        self._hosts = hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and (refused := await self._refusal(Headers(scope=scope))) is not None:
            await refused(scope, receive, send)
            return
        await self._app(scope, receive, send)

    async def _refusal(self, headers: Headers) -> JSONResponse | None:
        for name in (headers.get("host", ""), *([urlsplit(headers["origin"]).netloc] if "origin" in headers else [])):
            if not self._hosts.answers_to(name):
                return refusal(421, "wrong_host", f"This does not answer to {name!r}: start it with --allowed-host.")
        try:
            await self._sessions.with_key(key_in(headers))
        except AuthError as error:
            return refusal(401, error.code, error.message)
        except PictographError as error:
            return refusal(503, error.code, error.message)
        return None


def key_in(headers: Headers) -> str:
    """The API key of `Authorization: Bearer ...` or `X-API-Key`. Raises AuthError."""
    scheme, _, token = headers.get("authorization", "").partition(" ")
    key = token.strip() if scheme.lower() == "bearer" else headers.get(KEY_HEADER, "").strip()
    if not key or not key.isascii() or not key.isprintable():
        raise AuthError("Send an API key of the service: Authorization: Bearer pk_live_..., or X-API-Key.")
    return key


def refusal(status: int, code: str, message: str) -> JSONResponse:
    headers = {"WWW-Authenticate": "Bearer"} if status == 401 else {}
    return JSONResponse({"error": {"code": code, "message": message}}, status, headers)
