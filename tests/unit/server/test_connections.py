"""How many connections there may be, and which of them go first."""

from __future__ import annotations

import asyncio
import resource
from dataclasses import dataclass, field

import pytest

from pictograph.server import connections
from pictograph.server.connections import Connections, open_files_limit, raise_file_limit


@dataclass(eq=False)
class Fake:
    since: float = 0.0
    worth: int | None = 0
    unread_bytes: int = 0
    unread_since: float = 0.0
    dropped: bool = False
    looks: list[float] = field(default_factory=list)

    def look(self, now: float) -> None:
        self.looks.append(now)

    def drop(self) -> None:
        self.dropped = True


async def test_who_never_asked_goes_first_and_of_those_who_came_first(caplog: pytest.LogCaptureFixture) -> None:
    guard = Connections(3)
    asked, young, old = Fake(0.0, worth=2), Fake(2.0), Fake(1.0)
    assert all(guard.admit(one) for one in (asked, young, old))
    assert guard.admit(Fake(3.0))
    assert (old.dropped, young.dropped, asked.dropped) == (True, False, False)
    assert guard.admit(Fake(4.0))
    assert (young.dropped, asked.dropped) == (True, False)
    assert len(guard) == 3
    assert len([record for record in caplog.records if "max_client_connections" in record.getMessage()]) == 1


async def test_a_new_one_is_refused_only_if_all_are_busy() -> None:
    guard = Connections(2)
    busy = [Fake(worth=None), Fake(worth=None)]
    assert all(guard.admit(one) for one in busy)
    assert not guard.admit(Fake())
    assert not any(one.dropped for one in busy)
    guard.leave(busy[0])
    assert guard.admit(Fake())


async def test_who_only_waits_to_be_refused_goes_before_who_holds_a_key() -> None:
    guard = Connections(2)
    holder, stranger = Fake(0.0, worth=2), Fake(1.0, worth=1)
    assert all(guard.admit(one) for one in (holder, stranger, Fake(2.0)))
    assert (holder.dropped, stranger.dropped) == (False, True)


async def test_the_limit_of_open_files_counts_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "open_files_limit", lambda: 1024)
    assert Connections(5000).most == 1024 - connections.RESERVED_FILES
    assert Connections(100).most == 100


async def test_the_longest_unread_answers_are_dropped_until_the_others_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "LOOK_EVERY_S", 0.0)
    guard = Connections(10, most_unread_bytes=100)
    unread = [Fake(worth=None, unread_bytes=50, unread_since=float(n)) for n in range(4)]
    for one in unread:
        guard.admit(one)
    await asyncio.sleep(0.05)
    for one in unread:
        guard.leave(one)
    assert [one.dropped for one in unread] == [True, True, False, False]


def test_the_limit_of_open_files_is_raised_as_far_as_is_allowed() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(soft, 512), hard))
        allowed = connections.MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, connections.MOST_FILES)
        assert raise_file_limit() == allowed == open_files_limit()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
