"""The tools for agents, asked by a real client of the protocol: over standard input, and over HTTP with a key."""

from __future__ import annotations

import asyncio
import base64
import os
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from io import BytesIO
from pathlib import Path
from threading import Thread
from typing import Any

import httpx
import httpx2
import psycopg
import pytest
import uvicorn
from mcp import Client as Agent
from mcp import StdioServerParameters
from mcp.client.streamable_http import streamable_http_client
from PIL import Image
from psycopg.types.json import Jsonb

from pictograph import Client
from pictograph.agents.door import Hosts, Sessions, http_app, picture_readers
from pictograph.agents.pictures import MAX_BYTES
from pictograph.client.config import resolve_config
from pictograph.types import OrganizationId
from pictograph.wire import Dataset
from pictograph.wire import Image as ImageRow
from support.pictures import picture_bytes
from support.services import Service

TAGS = "UPDATE image SET image_auto_tags = %s, state = 'tagged' WHERE id = ANY(%s::uuid[])"


@pytest.fixture
def images(service: Service, client: Client, street: Dataset) -> list[ImageRow]:
    """Thirty images: the first three alike and tagged, one folder down the last two."""
    seeds = [0, 0, 0, *range(1, 28)]
    made = [
        client.images.upload(
            "street",
            picture_bytes(seed, size=(320, 200)),
            filename=f"{number:02}.jpg",
            folder_path="/night" if number > 27 else "/",
        )
        for number, seed in enumerate(seeds)
    ]
    client.datasets.wait_until_processed("street")
    with psycopg.connect(service.database_url) as connection:
        tags = {"objects": ["car"], "scenes": ["outdoor"], "attributes": []}
        connection.execute(TAGS, [Jsonb(tags), [image.id for image in made[:3]]])
    return made


def by_stdio(service: Service, key: str, home: Path, *options: str) -> StdioServerParameters:
    given = {"PICTOGRAPH_API_KEY": key, "PICTOGRAPH_BASE_URL": service.address, "PICTOGRAPH_HOME": str(home)}
    return StdioServerParameters(command=sys.executable, args=["-m", "pictograph", "mcp", *options], env=given)


async def said(agent: Agent, tool: str, **arguments: Any) -> str:
    """What a tool says; no picture, no error."""
    result = await agent.call_tool(tool, arguments)
    assert not result.is_error, result.content
    assert result.structured_content is None
    (text,) = result.content
    return str(text.text)  # type: ignore[union-attr]


async def seen(agent: Agent, tool: str, **arguments: Any) -> tuple[Image.Image, str]:
    """The picture that a tool shows, and what it says beside it."""
    result = await agent.call_tool(tool, arguments)
    assert not result.is_error, result.content
    assert result.structured_content is None
    picture, text = result.content
    assert (picture.type, picture.mime_type) == ("image", "image/webp")  # type: ignore[union-attr]
    data = base64.b64decode(picture.data)  # type: ignore[union-attr]
    assert len(data) <= MAX_BYTES
    return Image.open(BytesIO(data)), str(text.text)  # type: ignore[union-attr]


async def refused(agent: Agent, tool: str, **arguments: Any) -> str:
    result = await agent.call_tool(tool, arguments)
    assert result.is_error
    (text,) = result.content
    return str(text.text)  # type: ignore[union-attr]


@pytest.mark.timeout(180)
async def test_each_tool_answers_an_agent_over_standard_input(
    service: Service, organization: OrganizationId, images: list[ImageRow], tmp_path: Path
) -> None:
    server = by_stdio(service, service.key(organization, "member"), tmp_path, "--allow-write")
    async with Agent(server, read_timeout_seconds=60) as agent:
        tools = [tool.name for tool in (await agent.list_tools()).tools]
        assert tools == ["datasets", "facets", "search", "contact_sheet", "get_image", "near_duplicates", "upload"]
        assert await said(agent, "datasets") == "1 datasets. This is everything.\nstreet 30 images"
        facets = await said(agent, "facets", dataset="street")
        assert "objects: car 3" in facets
        assert "scenes: outdoor 3" in facets
        assert "objects: none" in await said(agent, "facets", prefix="z")
        await searches(agent, images)
        await looks(agent, images)
        await compares(agent, images)
        await writes(agent, tmp_path)


async def compares(agent: Agent, images: list[ImageRow]) -> None:
    found = await said(agent, "near_duplicates", dataset="street")
    head, *lines = found.splitlines()
    assert head == "1 groups; 2 images beside those to keep. This is everything."
    assert lines[0].startswith("1 keep #")
    assert lines[0].endswith("/00.jpg 320x200 (older)")
    assert [line.partition(" by ")[2] for line in lines[1:3]] == ["bytes", "bytes"]
    assert "There are: street" in await refused(agent, "near_duplicates", dataset="stret")
    assert "No near-duplicates: this is everything." in await said(
        agent, "near_duplicates", dataset="street", folder="/night"
    )


async def searches(agent: Agent, images: list[ImageRow]) -> None:
    assert await said(agent, "search", datasets=["street"], count_only=True) == "30 images (exact)."
    tagged = (await said(agent, "search", tags=["car", "outdoor"])).splitlines()
    assert tagged[0] == "3 shown. This is everything."
    assert [line.split()[2] for line in tagged[1:]] == ["/02.jpg", "/01.jpg", "/00.jpg"]
    assert tagged[1].endswith("car,outdoor")
    handle = tagged[3].split()[1]
    alike = (await said(agent, "search", like=[handle], min_score=0.9, fields=["path", "score"])).splitlines()
    assert sorted(line.split(maxsplit=2)[2] for line in alike[1:]) == ["/01.jpg 1.00", "/02.jpg 1.00"]
    wide = await said(agent, "search", order_by="width", datasets=["street"], limit=1)
    assert " 320 " in f"{wide.splitlines()[1]} "
    assert "/28.jpg" in await said(agent, "search", folder="/night", limit=2)
    first = (await said(agent, "search", fields=["id"], max_tokens=150)).splitlines()
    assert "of 30 images (exact). next: cursor=" in first[0]
    assert len(first) - 1 < 30
    rows, cursor = [*first[1:]], first[0].rpartition("cursor=")[2]
    while cursor:
        page = (await said(agent, "search", fields=["id"], max_tokens=150, cursor=cursor)).splitlines()
        rows += page[1:]
        cursor = page[0].rpartition("cursor=")[2] if "cursor=" in page[0] else ""
    assert [line.split()[2] for line in rows] == [image.id for image in reversed(images)]
    assert "Nearest: objects/car" in await refused(agent, "search", tags=["carr"])
    assert "There are: street" in await refused(agent, "search", datasets=["strete"])
    assert "no handles" in await refused(agent, "search", like=["#7"])
    assert "uploaded_from" in await refused(agent, "search", filters={"uploadet_from": "2026"})
    assert "30 shown" in await said(agent, "search", filters={"uploaded_from": "2026-01-01"})
    assert "No image fits" in await said(agent, "search", filters={"uploaded_before": "2026-01-01"})


async def looks(agent: Agent, images: list[ImageRow]) -> None:
    sheet, text = await seen(agent, "contact_sheet", datasets=["street"])
    assert sheet.size == (960, 640)
    lines = text.splitlines()
    assert lines[0].startswith("24 shown of 30 images (exact). next: cursor=")
    assert len(lines) == 25
    rest, text = await seen(
        agent, "contact_sheet", datasets=["street"], cells=12, cursor=lines[0].rpartition("cursor=")[2]
    )
    assert rest.size == (672, 336)
    assert text.splitlines()[0] == "6 shown. These are the last: that is everything."
    whole, about = await seen(agent, "get_image", image=lines[1].split()[1], max_px=100)
    assert whole.size == (100, 62)
    assert "[street] /night/29.jpg 320x200 image/jpeg" in about
    link = about.rpartition("Open: ")[2]
    async with httpx.AsyncClient() as http:
        assert (await http.get(link)).content == picture_bytes(27, size=(320, 200))
    part, about = await seen(
        agent, "get_image", image=images[0].id, box={"x": 0, "y": 0, "width": 160, "height": 100, "unit": "px"}
    )
    assert part.size == (160, 100)
    assert "Part of it is shown." in about
    assert "box must have x, y" in await refused(agent, "get_image", image=images[0].id, box={"x": 1})


async def writes(agent: Agent, folder: Path) -> None:
    (folder / "new.jpg").write_bytes(picture_bytes(99))
    added = await said(agent, "upload", dataset="street", path=str(folder / "new.jpg"), folder="/new")
    assert "/new/new.jpg is in 'street'" in added
    data = base64.b64encode(picture_bytes(98)).decode()
    assert "/b.jpg" in await said(agent, "upload", dataset="street", data=data, filename="b.jpg")
    assert "conflict" in await refused(agent, "upload", dataset="street", data=data, filename="b.jpg")
    assert "Give `path`" in await refused(agent, "upload", dataset="street")
    assert "base64" in await refused(agent, "upload", dataset="street", data="!", filename="c.jpg")


@contextmanager
def served(service: Service, host: str = "127.0.0.1", allowed: tuple[str, ...] = ()) -> Iterator[str]:
    """The tools over HTTP, in a thread; its address on loopback."""
    with picture_readers() as readers, socket.create_server(("127.0.0.1", 0)) as listener:
        sessions = Sessions(resolve_config("unused", service.address, None, None), readers)
        app = http_app(sessions, Hosts.of(host, allowed), allow_write=False)
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning"))
        thread = Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            while not server.started:
                thread.join(0.01)
            yield f"http://127.0.0.1:{listener.getsockname()[1]}/mcp"
        finally:
            server.should_exit = True
            thread.join()


@asynccontextmanager
async def asking(url: str, **headers: str) -> AsyncIterator[Agent]:
    async with (
        httpx2.AsyncClient(headers=headers, timeout=30) as http,
        Agent(streamable_http_client(url, http_client=http), read_timeout_seconds=30) as agent,
    ):
        yield agent


async def test_over_http_each_key_sees_its_own(
    service: Service, organization: OrganizationId, images: list[ImageRow]
) -> None:
    with await asyncio.to_thread(lambda: served(service)) as url:
        async with asking(url, Authorization=f"Bearer {service.key(organization, 'viewer')}") as agent:
            assert "street 30 images" in await said(agent, "datasets")
            _, text = await seen(agent, "contact_sheet", cells=12)
            handle = text.splitlines()[1].split()[1]
            await seen(agent, "get_image", image=handle)
            assert [tool.name for tool in (await agent.list_tools()).tools][-1] == "near_duplicates"
        stranger = service.key(service.organization(), "viewer")
        async with asking(url, **{"X-API-Key": stranger}) as agent:
            assert "no dataset" in await said(agent, "datasets")
            assert "no handles" in await refused(agent, "get_image", image=handle)
            assert "not_found" in await refused(agent, "get_image", image=images[0].id)


BODY = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
TAKES = {"Accept": "application/json, text/event-stream"}


def test_over_http_nobody_asks_without_a_working_key(service: Service, organization: OrganizationId) -> None:
    key = service.client(organization).keys.create("agent", role="viewer")
    with served(service) as url:
        for headers in ({}, {"X-API-Key": "pk_live_wrong"}, {"Authorization": "Basic abc"}):
            answer = httpx.post(url, json=BODY, headers=TAKES | headers)
            assert (answer.status_code, answer.json()["error"]["code"]) == (401, "unauthorized")
            assert answer.headers["WWW-Authenticate"] == "Bearer"
        assert httpx.post(url, json=BODY, headers=TAKES | {"X-API-Key": key.api_key}).status_code == 200


@pytest.mark.long
def test_the_command_serves_http_and_says_where(service: Service, organization: OrganizationId, tmp_path: Path) -> None:
    given = {**os.environ, "PICTOGRAPH_HOME": str(tmp_path), "PICTOGRAPH_BASE_URL": service.address}
    command = [sys.executable, "-m", "pictograph", "mcp", "--http", "--port", "0"]
    with subprocess.Popen(command, env=given, stderr=subprocess.PIPE, text=True) as running:
        try:
            assert running.stderr is not None
            address = running.stderr.readline().split()[2].rstrip(",")
            key = {"X-API-Key": service.key(organization, "viewer")}
            assert httpx.post(address, json=BODY, headers=TAKES).status_code == 401
            tools = httpx.post(address, json=BODY, headers=TAKES | key).json()["result"]["tools"]
            assert "contact_sheet" in [tool["name"] for tool in tools]
            taken = address.rpartition(":")[2].removesuffix("/mcp")
            again = subprocess.run([*command[:-1], taken], env=given, capture_output=True, text=True, check=False)
            assert again.returncode != 0
            assert "cannot be listened on" in again.stderr
        finally:
            running.terminate()


@pytest.mark.parametrize("bound", ["127.0.0.1", "0.0.0.0"])
def test_other_sites_names_are_refused_also_beyond_loopback(
    service: Service, organization: OrganizationId, bound: str
) -> None:
    key = {"X-API-Key": service.key(organization, "viewer")}
    with served(service, bound, ("agents.example.org",)) as url:
        for host, status in (
            ("evil.example", 421),
            ("127.0.0.1", 200),
            ("localhost:1", 200),
            ("[::1]:1", 200),
            ("agents.example.org", 200),
            ("192.0.2.1:8766", 421 if bound == "127.0.0.1" else 200),
        ):
            answer = httpx.post(url, json=BODY, headers=TAKES | key | {"Host": host})
            assert answer.status_code == status, host
        foreign = httpx.post(url, json=BODY, headers=TAKES | key | {"Origin": "https://evil.example"})
        assert foreign.status_code == 421
