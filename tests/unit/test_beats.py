"""A process that gives no sign of life is killed; one that is merely read late is not."""

from __future__ import annotations

import asyncio
import os
import signal
import sys

import pytest

from pictograph.server import beats
from pictograph.server.beats import Life, kill_when_silent, reader_of

BEATING = """
import asyncio, sys
from pictograph.server import beats
beats.BEAT_EVERY_S = 0.02
async def main():
    async with beats.Life().shown(int(sys.argv[1])):
        await asyncio.sleep(60)
asyncio.run(main())
"""


async def start(program: str) -> tuple[asyncio.subprocess.Process, asyncio.StreamReader, asyncio.ReadTransport]:
    signs, shown = os.pipe()
    reader, transport = await reader_of(signs)
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", program, str(shown), pass_fds=(shown,))
    os.close(shown)
    return process, reader, transport


async def test_a_stopped_process_is_noticed_and_killed_and_a_beating_one_is_not() -> None:
    process, reader, transport = await start(BEATING)
    watching = asyncio.create_task(kill_when_silent(process, reader, silent_for_s=5.0))
    await asyncio.sleep(0.5)
    assert process.returncode is None
    process.send_signal(signal.SIGSTOP)
    async with asyncio.timeout(60):
        assert await process.wait() == -signal.SIGKILL
        await watching
    transport.close()


async def test_a_process_that_never_begins_is_killed_too() -> None:
    process, reader, transport = await start("import time; time.sleep(60)")
    async with asyncio.timeout(60):
        await kill_when_silent(process, reader, first_within_s=0.1)
        assert await process.wait() == -signal.SIGKILL
    transport.close()


async def test_one_that_ends_by_itself_is_left_alone() -> None:
    process, reader, transport = await start("pass")
    async with asyncio.timeout(60):
        await kill_when_silent(process, reader)
        assert await process.wait() == 0
    transport.close()


async def test_signs_that_waited_while_we_were_stopped_are_read_before_anybody_is_killed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    late = asyncio.StreamReader()
    waits = iter([TimeoutError(), b"..", b""])

    async def within(seconds: float, reader: asyncio.StreamReader) -> bytes:
        outcome = next(waits)
        if isinstance(outcome, TimeoutError):
            raise outcome
        return outcome

    monkeypatch.setattr(beats, "within", within)
    process, _, transport = await start("import time; time.sleep(60)")
    await kill_when_silent(process, late)
    assert process.returncode is None
    process.kill()
    await process.wait()
    transport.close()


async def test_a_worker_that_is_stuck_shows_no_life(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(beats, "BEAT_EVERY_S", 0.01)

    class Stuck:
        is_stuck = True

    signs, shown = os.pipe()
    os.set_blocking(signs, False)
    life = Life()
    async with life.shown(shown):
        await asyncio.sleep(0)
        assert os.read(signs, 100) == b"."
        life.worker = Stuck()
        await asyncio.sleep(0.05)
        with pytest.raises(BlockingIOError):
            os.read(signs, 100)
        life.worker = None
        async with asyncio.timeout(20):
            while True:
                try:
                    assert os.read(signs, 100)
                    break
                except BlockingIOError:
                    await asyncio.sleep(0.01)
    os.close(signs)
    os.close(shown)


async def test_a_reader_that_is_gone_or_full_does_not_stop_the_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(beats, "BEAT_EVERY_S", 0.0)
    signs, shown = os.pipe()
    async with Life().shown(shown):
        for _ in range(70_000):
            await asyncio.sleep(0)
        os.close(signs)
        await asyncio.sleep(0.05)
    os.close(shown)
