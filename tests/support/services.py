"""A real HTTP server in a thread, on a real database, for tests that speak through the SDK."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar
from uuid import uuid4

import uvicorn

from pictograph.client import Client
from pictograph.server.admission import Admission
from pictograph.server.app import create_app
from pictograph.server.listening import bind, uvicorn_config
from pictograph.services import Services
from pictograph.settings import Settings
from pictograph.types import OrganizationId, Role

Result = TypeVar("Result")


@dataclass
class Service:
    """A service that runs in this process, and a way to its objects."""

    address: str
    database_url: str
    services: Services
    admission: Admission
    loop: asyncio.AbstractEventLoop
    clients: list[Client] = field(default_factory=list)

    def run(self, coroutine: Coroutine[Any, Any, Result], timeout_s: float = 30) -> Result:
        """The coroutine's result; it runs on the server's own event loop."""
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(timeout_s)

    def organization(self) -> OrganizationId:
        """A new one, so that a test sees nothing of any other test."""
        return self.run(self.services.keys.ensure_organization(f"organization {uuid4().hex}"))

    def key(self, organization: OrganizationId, role: Role = "admin") -> str:
        return self.run(self.services.keys.create(organization, f"{role} key", role))[1]

    def client(self, organization: OrganizationId | None = None, role: Role = "admin") -> Client:
        """A client with a key of its own, which fails at once instead of trying again; closed with the service."""
        client = client_of(self.address, self.key(organization or self.organization(), role))
        self.clients.append(client)
        return client


@contextmanager
def running_service(
    database_url: str, data_dir: Path, *, loop: Literal["auto", "asyncio"] = "auto", **options: object
) -> Iterator[Service]:
    """A service without workers unless `workers` says so; its worker processes are real ones.

    loop: `asyncio` for the one that `support.loops` can watch.
    """
    settings = Settings.load({"data_dir": data_dir, "workers": 0, "encoder": "noop", "index_bytes": 0, **options}, {})
    opened: list[tuple[Services, asyncio.AbstractEventLoop]] = []
    app = create_app(
        settings, database_url, on_ready=lambda services: opened.append((services, asyncio.get_running_loop()))
    )
    listener = bind("127.0.0.1", 0)
    config = uvicorn_config(app, settings)
    config.loop = loop
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        while not server.started and thread.is_alive():
            thread.join(0.01)
        if not server.started:
            raise RuntimeError("the server did not start; see the log above")
        services, loop = opened[0]
        address = f"http://127.0.0.1:{listener.getsockname()[1]}"
        service = Service(address, database_url, services, app.state.admission, loop)
        yield service
        for client in service.clients:
            client.close()
    finally:
        server.should_exit = True
        thread.join()
        listener.close()


@contextmanager
def running_server(database_url: str, data_dir: Path, **options: object) -> Iterator[str]:
    """The address of a service; its worker process, if one is asked for, is a real one."""
    with running_service(database_url, data_dir, **options) as service:
        yield service.address


def client_of(address: str, key: str) -> Client:
    """A client that fails at once instead of trying again."""
    return Client(key, base_url=address, max_retries=0)
