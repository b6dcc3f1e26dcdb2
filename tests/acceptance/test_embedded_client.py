"""`Client.embedded`: one service for all who ask on this machine, which never outlives the one who started it."""

from __future__ import annotations

import signal
from pathlib import Path

import httpx
import pytest

from acceptance.processes import Place, Running, until
from pictograph import Client
from pictograph.errors import ConfigurationError
from support.pictures import picture_bytes

pytestmark = pytest.mark.acceptance

ASK = """
import sys
from pictograph import Client
client = Client.embedded(sys.argv[1], encoder="noop")
print("address", client.base_url, client.datasets.list(), flush=True)
sys.stdin.readline()
"""
ELSEWHERE = {
    "PICTOGRAPH_DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none",
    "PICTOGRAPH_BLOB_URL": "s3://nowhere",
    "PICTOGRAPH_PUBLIC_URL": "https://example.com",
    "PICTOGRAPH_HOST": "192.0.2.1",
    "HTTP_PROXY": "http://192.0.2.1:9",  # loopback goes through none
    "ALL_PROXY": "socks://192.0.2.1:9",
}
FORK = """
import os, signal, sys
from pictograph import Client
client = Client.embedded(sys.argv[1], encoder="noop")
process = client._service._process
reading, writing = os.pipe()
child = os.fork()
if child == 0:
    client.datasets.list()
    client.close()
    os.write(writing, b"closed")
    signal.pause()
os.read(reading, 10)
print("child closed, service", client.ready().status)
client.close()
print("service ended with", process.returncode)
os.kill(child, signal.SIGKILL)
os.waitpid(child, 0)
"""


def ask(place: Place) -> Running:
    """Another program that wants the service, and holds it until it is told to end."""
    return place.start("-c", ASK, str(place.data), **ELSEWHERE)


def address_in(program: Running) -> str:
    until(lambda: "address" in program.said or program.ended, "it has a service")
    assert "address" in program.said, program.said
    return program.said.split()[1]


def nothing_is_left(place: Place) -> None:
    until(lambda: not list(place.processes()), "every process is gone", 30)


def test_it_starts_joins_and_stops(place: Place) -> None:
    with Client.embedded(place.data, encoder="noop") as owner:
        owner.datasets.create("street")
        image = owner.images.upload("street", picture_bytes(), filename="a.jpg")
        with Client.embedded(place.data) as guest:
            assert guest.base_url == owner.base_url
            assert guest.images.get(image.id).filename == "a.jpg"
        assert owner.datasets.wait_until_processed("street", timeout=60).embedded == 1
        assert not place.home.exists()  # the config file of this machine's own service is not touched
    assert not list(place.processes())

    with pytest.raises(ConfigurationError, match="noop"):  # other vectors
        Client.embedded(place.data, encoder="offline")
    assert not list(place.processes())


def test_two_programs_at_once_share_one_service_which_ends_with_the_one_that_started_it(place: Place) -> None:
    programs = [ask(place), ask(place)]
    assert len({address_in(program) for program in programs}) == 1
    [server] = [pid for pid, _ in place.processes() if is_service(pid)]
    programs.sort(key=lambda program: program.pid != parent_of(server))
    owner, guest = programs

    guest.process.communicate(b"\n")
    assert guest.wait() == 0
    with Client.embedded(place.data) as another:
        assert another.datasets.list() == []
    owner.send(signal.SIGKILL)
    owner.wait()
    until(lambda: not answers(address_in(owner)), "the service takes no more requests")

    ends_by_itself = ask(place)  # as soon as the old service has let go of the folder
    assert address_in(ends_by_itself) != address_in(owner)
    ends_by_itself.process.communicate(b"\n")
    assert ends_by_itself.wait() == 0
    nothing_is_left(place)


def test_a_forked_child_neither_ends_the_service_nor_keeps_it_from_ending(place: Place) -> None:
    program = place.start("-c", FORK, str(place.data))
    assert program.wait() == 0, program.said
    until(lambda: "ended with" in program.said, "it said how the service ended")
    assert "child closed, service ok" in program.said
    assert (
        "service ended with 0" in program.said
    )  # by itself: it would have been killed had the child kept its input open
    nothing_is_left(place)


def answers(address: str) -> bool:
    try:
        return httpx.get(f"{address}/health").is_success
    except httpx.TransportError:
        return False


def is_service(pid: int) -> bool:
    return b"serve" in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")


def parent_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
