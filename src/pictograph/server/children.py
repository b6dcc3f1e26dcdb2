"""Child processes of the service: each watched by its signs of life, started again when it ends, and ended with us."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Final

from pictograph.server.beats import Heard, kill_when_silent, reader_of

logger = logging.getLogger(__name__)

FIRST_PAUSE_S: Final = 0.5
LONGEST_PAUSE_S: Final = 30.0
HEALTHY_AFTER_S: Final = 30.0
GRACE_S: Final = 20.0
"""How long a process may finish what it has at hand."""

Child = asyncio.subprocess.Process


async def keep_alive(name: str, run_once: Callable[[], Awaitable[int]]) -> None:
    """Runs a process again whenever it ends, until it is cancelled. name: what the log calls it."""
    pause_s = FIRST_PAUSE_S
    while True:
        started = asyncio.get_running_loop().time()
        try:
            code: int | str = await run_once()
        except OSError as error:  # no memory or no process number left, for now
            code = f"it could not be started: {error}"
        lived_s = asyncio.get_running_loop().time() - started
        pause_s = FIRST_PAUSE_S if lived_s > HEALTHY_AFTER_S else min(pause_s * 2, LONGEST_PAUSE_S)
        logger.warning("%s ended (%s) after %.0f s; the next starts in %.1f s", name, code, lived_s, pause_s)
        await asyncio.sleep(pause_s)


@asynccontextmanager
async def running_child(
    command: Sequence[str], environment: Mapping[str, str], *, files: Sequence[int] = (), heard: Heard | None = None
) -> AsyncIterator[Child]:
    """A process that ends with the block, in order; it is killed if it gives no sign of life.

    files: descriptors that it inherits; it writes its signs to one more (`--beat-to`). heard: is told of them.
    Its standard input is a pipe from us, and its end is what tells it that we have ended.
    """
    signs, shown = os.pipe()
    beats, transport = await reader_of(signs)
    try:
        process = await asyncio.create_subprocess_exec(
            *command,
            "--beat-to",
            str(shown),
            pass_fds=(shown, *files),
            stdin=asyncio.subprocess.PIPE,
            env=dict(environment),
            start_new_session=True,  # Ctrl-C in the terminal is ours to handle, in order
        )
    except BaseException:
        transport.close()
        raise
    finally:
        os.close(shown)
    watching = asyncio.create_task(kill_when_silent(process, beats, heard=heard))
    try:
        yield process
    except asyncio.CancelledError:
        await end(process)
        raise
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
        transport.close()
        if process.stdin:  # of one that ended by itself it is still open
            process.stdin.close()


async def end(process: Child) -> None:
    """Asks the process to finish what it has; past the grace it is killed, and loses nothing but time.

    The signal ends one that is still loading at once; it has begun nothing yet.
    """
    if process.stdin:
        process.stdin.close()
    with contextlib.suppress(ProcessLookupError):
        process.terminate()
    try:
        async with asyncio.timeout(GRACE_S):
            await process.wait()
    except TimeoutError:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
