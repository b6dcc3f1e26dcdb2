"""Connections to one port go to whichever process has fewest; nobody waits for one that does not come."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator

import pytest

from pictograph.server.sharing import ABSENT, Acceptor, Board, board_file


@pytest.fixture
def board() -> Iterator[Board]:
    """Of two processes."""
    with board_file(2) as file:
        board = Board(file.fileno(), 2)
        yield board
        board.close()


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener


class Process:
    """What one of several would be: it counts the connections that it gets."""

    def __init__(self, listener: socket.socket, board: Board, number: int) -> None:
        self.open: list[asyncio.BaseTransport] = []
        self.acceptor = Acceptor(listener.dup(), lambda: Connection(self), board, number)
        self.board, self.number = board, number
        self.has_new = asyncio.Event()

    def count(self) -> None:
        self.board.note(self.number, len(self.open))


class Connection(asyncio.Protocol):
    def __init__(self, process: Process) -> None:
        self.process = process

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.process.open.append(transport)
        self.process.count()
        self.process.has_new.set()


async def connect(listener: socket.socket, processes: list[Process]) -> asyncio.StreamWriter:
    """A connection that one of them has taken."""
    for process in processes:
        process.has_new.clear()
    _, writer = await asyncio.open_connection(*listener.getsockname())
    async with asyncio.timeout(10):
        waiting = [asyncio.create_task(process.has_new.wait()) for process in processes]
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    for task in waiting:
        task.cancel()
    return writer


async def close(processes: list[Process], writers: list[asyncio.StreamWriter]) -> None:
    for process in processes:
        process.acceptor.close()
        for transport in process.open:
            transport.close()
    for writer in writers:
        writer.close()
        await writer.wait_closed()


async def test_each_gets_the_same_share(listener: socket.socket, board: Board) -> None:
    processes = [Process(listener, board, number) for number in range(2)]
    for process in processes:
        process.acceptor.start()
    writers = [await connect(listener, processes) for _ in range(8)]
    assert [len(process.open) for process in processes] == board.counts == [4, 4]
    await close(processes, writers)
    assert board.counts == [ABSENT, ABSENT]


async def test_who_has_more_takes_what_the_other_leaves(listener: socket.socket, board: Board) -> None:
    busy = Process(listener, board, 0)
    busy.acceptor.start()
    board.note(1, 0)  # it says that it is here, and takes nothing
    writers = [await connect(listener, [busy]) for _ in range(3)]
    assert len(busy.open) == 3
    await close([busy], writers)


async def test_nobody_steps_back_for_one_that_is_absent(
    listener: socket.socket, board: Board, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pictograph.server.sharing.STEP_BACK_S", 1e6)
    alone = Process(listener, board, 1)
    alone.acceptor.start()
    writers = [await connect(listener, [alone]) for _ in range(3)]
    await close([alone], writers)
