"""In notebooks, answers are grids of thumbnails: complete in themselves, bounded, and safe whatever names say."""

from __future__ import annotations

import asyncio
import copy
import gc
import pickle
import re
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from html.parser import HTMLParser
from typing import Any

import httpx
import pytest

from pictograph import AsyncClient, Client, wire
from pictograph.client import grid
from pictograph.client.origin import ORIGINS
from support.pictures import picture_bytes

JPEG = picture_bytes(1)
NOW = datetime(2026, 1, 2, tzinfo=UTC)
HOSTILE = "\"'><img src=x onerror=alert(1)><script>alert(2)</script>\u202egpj.exe"
ADDRESSES = {"image_url": "http://elsewhere/x", "thumbnail_url": "http://elsewhere/y"}
TAGS = {"objects": ["car", "dog", "tree", "house", "cat"], "scenes": [HOSTILE], "attributes": []}


def uuid(number: int) -> str:
    return f"0198c0de-0000-7000-8000-{number:012d}"


def row(number: int, filename: str = "a.jpg") -> dict[str, Any]:
    place = {"image_id": uuid(number), "dataset_id": uuid(0), "filename": filename, "folder_path": "/night"}
    return {**place, **ADDRESSES, "tags": TAGS, "similarity": 0.834}


def image(number: int) -> dict[str, Any]:
    facts = {"width": 1, "height": 1, "sha256": "0" * 64, "file_size": 1, "content_type": "image/jpeg"}
    place = {"id": uuid(number), "dataset_id": uuid(0), "filename": HOSTILE, "folder_path": "/"}
    return {**place, **facts, **ADDRESSES, "state": "failed", "image_auto_tags": TAGS, "created_at": NOW.isoformat()}


class Server:
    """Answers as the service does; counts which thumbnails were asked for."""

    def __init__(self, rows: int = 3, thumbnail: Callable[[str], httpx.Response] | None = None) -> None:
        self.rows, self.asked = rows, list[str]()
        self.thumbnail = thumbnail or (lambda _: httpx.Response(200, content=JPEG))

    def __call__(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path
        if path.endswith("/thumbnail"):
            self.asked.append(path)
            return self.thumbnail(path)
        page = {"limit": 50, "total": 1234, "has_more": True}
        if path.endswith("/datasets/"):
            return httpx.Response(200, json={"data": [dataset("street")], "pagination": page})
        if path.endswith("/kept"):
            return httpx.Response(200, json={"data": collection()})
        if "/datasets/" in path:
            return httpx.Response(200, json={"data": dataset(HOSTILE)})
        if path.endswith(("/images/", "/images")):
            found = [image(number) for number in range(min(self.rows, int(request.url.params["limit"])))]
            return httpx.Response(200, json={"data": found, "pagination": page})
        if path.endswith("/metadata"):
            return httpx.Response(200, json={"data": image(1)})
        found = [row(number, HOSTILE) for number in range(self.rows)]
        answer = {"results": found, "count": self.rows, "filters": {}, "pagination": page}
        return httpx.Response(200, json=answer)


def dataset(name: str) -> dict[str, Any]:
    return {"id": uuid(0), "organization_id": uuid(9), "name": name, "image_count": 1234, "created_at": NOW.isoformat()}


def collection() -> dict[str, Any]:
    return {
        "id": uuid(8),
        "name": HOSTILE,
        "image_count": 3,
        "created_at": NOW.isoformat(),
        "updated_at": NOW.isoformat(),
    }


def client_of(server: Server) -> Client:
    http = httpx.Client(transport=httpx.MockTransport(server))
    return Client("pk_live_secret", base_url="http://x", http_client=http, max_retries=0)


class Parts(HTMLParser):
    """The elements of a piece of HTML."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.words = ""
        self.open: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag != "img":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words += data

    @property
    def pictures(self) -> list[str]:
        return [str(attributes["src"]) for tag, attributes in self.elements if tag == "img"]


def drawn(thing: Any) -> Parts:
    html = thing._repr_html_()
    assert html is not None
    parts = Parts(html)
    assert parts.open == []
    return parts


@pytest.fixture
def shown() -> Iterator[list[Any]]:
    client = client_of(Server())
    yield [
        client.search.by_tag(objects=["car"]),
        client.search.by_tag(objects=["car"])[0],
        client.images.list("street"),
        client.images.get(uuid(1)),
        client.datasets.get("street"),
        client.datasets.list(),
        client.collections.get("kept"),
    ]
    client.close()


@pytest.mark.parametrize("number", range(7))
def test_what_is_shown_asks_nobody_and_obeys_no_name(shown: list[Any], number: int) -> None:
    parts = drawn(shown[number])
    assert parts.pictures
    assert all(source.startswith("data:image/jpeg;base64,") for source in parts.pictures)
    assert {tag for tag, _ in parts.elements} <= {"div", "span", "img", "b", "bdi"}
    names = {name for _, attributes in parts.elements for name in attributes}
    assert names <= {"style", "title", "alt", "src"}
    styles = " ".join(str(attributes.get("style")) for _, attributes in parts.elements)
    assert not re.search(r"url\(|import|(?<!-)color:|#[0-9a-f]{3}|white(?!-)|black", styles)  # the page's own colours
    assert "\u202e" not in str(parts.elements) + parts.words


def test_names_scores_and_tags_are_there_to_read() -> None:
    parts = drawn(client_of(Server()).search.by_tag(objects=["car"]))
    titles = [attributes["title"] for _, attributes in parts.elements if "title" in attributes]
    assert titles == ["/night/" + HOSTILE.replace("\u202e", "\\u202e")] * 3
    assert "TaggedResults: 3 of 1234 rows" in parts.words
    assert "car, dog, tree, house, ..." in parts.words
    similar = wire.SimilarImage.model_validate(row(1))
    assert grid.cell_of(similar).facts == "0.83"
    assert "failed" in drawn(client_of(Server()).images.get(uuid(1))).words


def test_pictures_are_few_and_their_bytes_bounded_and_it_says_so() -> None:
    large = JPEG + bytes(150_000)
    server = Server(500, lambda _: httpx.Response(200, content=large))
    html = client_of(server).search.by_tag(objects=["car"])._repr_html_()
    assert html is not None
    assert len(server.asked) == grid.MOST_CELLS
    assert len(html) < grid.MOST_BYTES * 4 / 3 + 100_000
    words = Parts(html).words
    assert "The first 24 of 500 are shown. 11 without a thumbnail: left out" in words


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (httpx.Response(200, content=b"<svg onload=alert(1)>"), "not a picture"),
        (httpx.Response(200, content=b"GIF89a" + bytes(50)), "not a picture"),
        (httpx.Response(200, content=JPEG + bytes(300_000)), "too large"),
        (httpx.Response(409, json={"error": {"code": "no_bytes", "message": "x"}}), "no bytes"),
        (httpx.Response(404, json={"error": {"code": "not_found", "message": "x"}}), "not found"),
    ],
)
def test_what_has_no_thumbnail_says_why(answer: httpx.Response, reason: str) -> None:
    parts = drawn(client_of(Server(3, lambda _: answer)).search.by_tag(objects=["car"]))
    assert parts.pictures == []
    assert f"3 without a thumbnail: {reason}" in parts.words


def test_thumbnails_are_fetched_several_at_once() -> None:
    together = threading.Barrier(4, timeout=20)

    def thumbnail(path: str) -> httpx.Response:
        together.wait()
        return httpx.Response(200, content=JPEG)

    assert len(drawn(client_of(Server(8, thumbnail)).search.by_tag(objects=["car"])).pictures) == 8


def test_a_service_that_hangs_costs_a_bounded_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grid, "LONGEST_S", 0.2)
    gate = threading.Event()

    def thumbnail(path: str) -> httpx.Response:
        gate.wait(20)
        return httpx.Response(200, content=JPEG)

    rows = client_of(Server(3, thumbnail)).search.by_tag(objects=["car"])
    started = time.monotonic()
    assert "3 without a thumbnail: not here in time" in drawn(rows).words
    assert time.monotonic() - started < 15
    gate.set()


def test_a_closed_client_and_one_for_asyncio_show_placeholders_and_say_so() -> None:
    with client_of(Server()) as client:
        rows = client.search.by_tag(objects=["car"])
    assert "3 without a thumbnail: This client is closed." in drawn(rows).words

    async def ask() -> Any:
        http = httpx.AsyncClient(transport=httpx.MockTransport(Server()))
        async with http, AsyncClient("k", base_url="http://x", http_client=http) as client:
            return await client.search.by_tag(objects=["car"]), await client.datasets.get("street")

    for thing in asyncio.run(ask()):
        assert "An AsyncClient found" in drawn(thing).words


def test_rows_stay_values_without_a_client_in_them() -> None:
    rows = client_of(Server()).search.by_tag(objects=["car"])
    assert rows[0] == wire.TaggedImage.model_validate(row(0, HOSTILE))
    kept = pickle.dumps((rows, rows[0]))
    assert b"pk_live_secret" not in kept
    for copied in (pickle.loads(kept)[0], copy.deepcopy(rows)):
        assert copied == rows
        assert "did not come from a client" in drawn(copied).words


def test_origins_are_forgotten_with_their_rows() -> None:
    client = client_of(Server())
    gc.collect()
    before = len(ORIGINS)
    rows = client.search.by_tag(objects=["car"])
    assert len(ORIGINS) == before + 4
    del rows
    gc.collect()
    assert len(ORIGINS) == before


def test_an_empty_dataset_and_rows_without_pictures_show_what_there_is() -> None:
    assert "no images" in drawn(client_of(Server(0)).datasets.list()).words
    assert client_of(Server(0)).search.by_tag(objects=["car"])._repr_html_() is None
