"""The client that the commands share, made from the options before the command's name."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import typer

from pictograph.client import Client


@dataclass(frozen=True, slots=True)
class Connection:
    """What was given before the command's name."""

    api_key: str | None
    base_url: str | None


@contextmanager
def connected(context: typer.Context) -> Iterator[Client]:
    """A client for one command."""
    connection: Connection = context.obj
    with Client(connection.api_key, base_url=connection.base_url) as client:
        yield client
