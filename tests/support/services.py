"""A real HTTP server in a thread, on a real database, for tests that speak through the SDK."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import uvicorn

from pictograph.client import Client
from pictograph.server.app import create_app
from pictograph.server.run import bind, uvicorn_config
from pictograph.settings import Settings


@contextmanager
def running_server(database_url: str, data_dir: Path, **options: object) -> Iterator[str]:
    """The address of a service; its worker process, if one is asked for, is a real one."""
    settings = Settings.load({"data_dir": data_dir, "workers": 0, "encoder": "noop", **options}, {})
    app = create_app(settings, database_url)
    listener = bind("127.0.0.1", 0)
    server = uvicorn.Server(uvicorn_config(app, settings))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        while not server.started and thread.is_alive():
            thread.join(0.01)
        if not server.started:
            raise RuntimeError("the server did not start; see the log above")
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()
        listener.close()


def client_of(address: str, key: str) -> Client:
    """A client that fails at once instead of trying again."""
    return Client(key, base_url=address, max_retries=0)
