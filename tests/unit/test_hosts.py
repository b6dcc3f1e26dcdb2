"""Which names in `Host` are answered, and which may stand in addresses."""

from __future__ import annotations

import socket
from typing import Any

import pytest

from pictograph.server.hosts import HostNames
from pictograph.settings import Settings

FOREIGN = [
    "evil.example",
    "evil.example:9",
    "127.0.0.1.evil.example",
    "localhost.evil.example",
    "evil.example:80@x",
    "",
]
MALFORMED = ["a b", "x/y", "[::1", "host:99999999", "127.0.0.1:x", "user@127.0.0.1", "127.0.0.1\x00", "..", "é.example"]


def names(host: str = "127.0.0.1", **options: Any) -> HostNames:
    return HostNames.of(Settings.load({"host": host, **options}, {}))


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "127.0.0.1:8765", "localhost:1", "LOCALHOST", "x.localhost", "[::1]:8765", "127.1.2.3"]
)
def test_loopback_names_are_answered_everywhere(host: str) -> None:
    for bound in ("127.0.0.1", "::1", "localhost", "0.0.0.0"):
        assert names(bound).answers_to(host)
        assert names(bound).stands_for_us(host, None)


@pytest.mark.parametrize("host", [*FOREIGN, *MALFORMED])
def test_foreign_and_malformed_names_are_answered_nowhere(host: str) -> None:
    for bound in ("127.0.0.1", "0.0.0.0", "192.168.7.7"):
        assert not names(bound).answers_to(host)
        assert not names(bound).stands_for_us(host, "192.168.7.7")


def test_on_loopback_other_addresses_and_this_machines_name_are_foreign_too() -> None:
    for host in ("192.168.7.7", "10.0.0.1:8765", "server", socket.gethostname()):
        assert not names().answers_to(host) or host == "localhost"


def test_beyond_loopback_addresses_are_answered_and_stand_in_urls_where_the_connection_arrived_there() -> None:
    wide = names("0.0.0.0")
    for host in ("192.168.7.7:8765", "[2001:db8::1]:8765", "server:80", f"{socket.gethostname()}:8765"):
        assert wide.answers_to(host)
    assert wide.stands_for_us("192.168.7.7:8765", "192.168.7.7")
    assert not wide.stands_for_us("192.168.7.8:8765", "192.168.7.7")
    assert not wide.stands_for_us("server:80", "192.168.7.7")
    assert wide.stands_for_us(socket.gethostname(), "192.168.7.7")
    assert names("192.168.7.7").stands_for_us("192.168.7.7", None)


def test_named_hosts_are_ours() -> None:
    named = names(public_url="https://images.example.org:8443/x", allowed_hosts="a.example, b.example:81")
    for host in ("images.example.org", "Images.Example.org:8443", "a.example:5", "b.example:81"):
        assert named.answers_to(host)
        assert named.stands_for_us(host, None)
    assert not named.answers_to("b.example:82")
    assert not named.answers_to("example.org")
