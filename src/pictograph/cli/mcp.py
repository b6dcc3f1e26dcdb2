"""`pictograph mcp`: the service for agents."""

from __future__ import annotations

import asyncio
import importlib.util
from typing import Annotated

import typer

from pictograph.cli.connection import Connection
from pictograph.cli.output import errors
from pictograph.client.config import resolve_config
from pictograph.errors import ConfigurationError
from pictograph.network import is_loopback
from pictograph_search import install_command

NEEDED = ("mcp", "numpy", "PIL")


def mcp(
    context: typer.Context,
    allow_write: Annotated[
        bool, typer.Option("--allow-write", help="Also offer the tool that uploads pictures; else agents only read.")
    ] = False,
    http: Annotated[
        bool, typer.Option("--http", help="Serve streamable HTTP at /mcp; each caller sends an API key of the service.")
    ] = False,
    host: Annotated[str, typer.Option("--host", help="With --http: the address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="With --http: 0 takes a free one.")] = 8766,
    allowed_host: Annotated[
        list[str] | None,
        typer.Option("--allowed-host", help="With --http: a name besides this machine's by which agents ask."),
    ] = None,
) -> None:
    """Give agents tools to search and see images (Model Context Protocol), over standard input or HTTP."""
    require_packages()
    from pictograph.agents.door import Hosts, serve_http, serve_stdio  # noqa: PLC0415 - only with the extra

    connection: Connection = context.obj
    if not http:
        config = resolve_config(connection.api_key, connection.base_url, None, None)
        asyncio.run(serve_stdio(config, allow_write=allow_write))
        return
    config = resolve_config(connection.api_key or "callers send theirs", connection.base_url, None, None)
    if not is_loopback(host):
        errors.print("Keys go over the network in the clear: put a proxy with TLS before this.", style="dim")
    hosts = Hosts.of(host, allowed_host or ())
    asyncio.run(serve_http(config, hosts, port, allow_write=allow_write, begun=tell))


def tell(address: str) -> None:
    errors.print(f"Agents ask {address}, each with an API key. Ctrl-C ends this.", markup=False, highlight=False)


def require_packages() -> None:
    """Raises ConfigurationError that says what to install."""
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        raise ConfigurationError(f"`pictograph mcp` needs {', '.join(missing)}. Install it: {install_command('mcp')}")
