"""Connections belong to one process and one event loop; a client may be carried to others all the same."""

from __future__ import annotations

import asyncio
import copy
import os
import pickle
import subprocess
import sys
import threading

import httpx
import pytest

from pictograph import AsyncClient, Client, ConfigurationError
from pictograph.client import connections
from pictograph.client.connections import AsyncConnections, Connections
from pictograph.client.local_service import STARTED, LocalService, disown_all

URL = "http://127.0.0.1:1"


def fork(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if this process were a child now."""
    monkeypatch.setattr(connections.Forks, "count", connections.Forks.count + 1)


def test_a_child_has_connections_of_its_own_and_leaves_its_parents_open(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = Connections(URL, None)
    of_parent = kept.current()
    assert kept.current() is of_parent
    with monkeypatch.context() as child:
        fork(child)
        of_child = kept.current()
        assert of_child is not of_parent
        kept.close()
        assert (of_child.is_closed, of_parent.is_closed) == (True, False)
    of_parent.close()


def test_a_real_fork_is_noticed() -> None:
    before, (reading, writing) = connections.process_identity(), os.pipe()
    script = (
        "import os, sys\nfrom pictograph.client import connections as c\n"
        "before = c.process_identity()\nchild = os.fork()\n"
        "if child == 0:\n    os._exit(0 if c.Forks.count == 1 and c.process_identity() != before else 1)\n"
        "sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))"
    )
    os.close(reading)
    os.close(writing)
    assert subprocess.run([sys.executable, "-c", script], check=False, timeout=60).returncode == 0
    assert connections.process_identity() == before


def test_threads_that_come_first_at_the_same_time_share_one_client(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = Connections(URL, None)
    of_parent = kept.current()
    with monkeypatch.context() as child:
        fork(child)
        found: list[httpx.Client] = []
        threads = [threading.Thread(target=lambda: found.append(kept.current())) for _ in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(found) == 16
        assert len({id(client) for client in found}) == 1
        kept.close()
    of_parent.close()


def test_a_client_of_your_own_is_not_used_by_a_child(monkeypatch: pytest.MonkeyPatch) -> None:
    with httpx.Client(transport=httpx.MockTransport(lambda request: httpx.Response(500))) as http:
        kept = Connections(URL, http)
        assert kept.current() is http
        fork(monkeypatch)
        with pytest.raises(ConfigurationError, match=r"another process.*leave http_client out"):
            kept.current()


def test_each_event_loop_has_its_own_and_closes_them_when_it_ends() -> None:
    kept = AsyncConnections(URL, None)

    async def use() -> httpx.AsyncClient:
        http = await kept.current()
        assert await kept.current() is http
        return http

    first, second = asyncio.run(use()), asyncio.run(use())
    assert first is not second
    assert (first.is_closed, second.is_closed) == (True, True)


def test_a_child_of_a_loop_has_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = AsyncConnections(URL, None)

    async def use() -> None:
        of_parent = await kept.current()
        with monkeypatch.context() as child:
            fork(child)
            of_child = await kept.current()
            assert of_child is not of_parent
            await kept.close()
        assert (of_child.is_closed, of_parent.is_closed) == (True, False)

    asyncio.run(use())


def test_an_async_client_of_your_own_stays_in_its_loop() -> None:
    http = httpx.AsyncClient(transport=httpx.MockTransport(lambda request: httpx.Response(200, json={})))
    kept = AsyncConnections(URL, http)
    asyncio.run(kept.current())  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="another event loop"):
        asyncio.run(kept.current())  # type: ignore[arg-type]


def test_a_closed_client_says_that_it_is_closed() -> None:
    client = Client("k", base_url=URL)
    client.close()
    client.close()
    with pytest.raises(ConfigurationError, match="closed"):
        client.datasets.list()

    async def use() -> None:
        client = AsyncClient("k", base_url=URL)
        await client.close()
        with pytest.raises(ConfigurationError, match="closed"):
            await client.datasets.list()

    asyncio.run(use())


@pytest.mark.parametrize("copied", [lambda it: pickle.loads(pickle.dumps(it)), copy.deepcopy])
@pytest.mark.parametrize("kind", [Client, AsyncClient])
def test_a_client_can_be_sent_to_another_process(kind: type[Client] | type[AsyncClient], copied: object) -> None:
    client = kind("pk_live_secret", base_url=URL, timeout=7, max_retries=1)
    twin = copied(client)  # type: ignore[operator]
    assert type(twin) is kind
    assert twin._transport.config == client._transport.config
    assert twin._transport is twin.search._transport is not client._transport
    if isinstance(client, Client):
        client.close()
        twin.close()


def test_a_method_can_be_sent_too() -> None:
    with Client("k", base_url=URL) as client:
        by_text = pickle.loads(pickle.dumps(client.search.by_text))
        by_text.__self__._transport.close()


def test_a_client_with_connections_of_your_own_cannot_and_says_so() -> None:
    with httpx.Client() as http, pytest.raises(ConfigurationError, match="another process: make one there"):
        pickle.dumps(Client("k", base_url=URL, http_client=http))


def test_a_client_shows_its_address_and_never_its_key() -> None:
    with Client("pk_live_secret", base_url=URL) as client:
        shown = [repr(client), repr(client._transport.config), repr(LocalService(URL, "pk_live_secret"))]
    assert repr(client) == f"Client(base_url='{URL}')"
    assert "secret" not in "".join(shown)


def test_a_child_neither_ends_the_embedded_service_nor_keeps_it_alive() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", "input()"], stdin=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as process:
        service = LocalService(URL, "k", process)
        STARTED.add(service)
        twin = pickle.loads(pickle.dumps(service))
        twin.stop()
        assert process.poll() is None
        disown_all()
        service.stop()
        assert process.stdin is not None
        assert process.stdin.closed
        assert service not in STARTED
        process.kill()
