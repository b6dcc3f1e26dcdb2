"""How the asyncio client waits: with tasks. `threads.py` is its twin, function by function."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from typing import ParamSpec, TypeVar, cast

from pictograph.client.patience import Patience

Given = ParamSpec("Given")
Item = TypeVar("Item")
Outcome = TypeVar("Outcome")


async def run_blocking(function: Callable[Given, Outcome], *given: Given.args, **named: Given.kwargs) -> Outcome:
    """What the function gives, which may read disks: the event loop goes on meanwhile."""
    return await asyncio.to_thread(function, *given, **named)


async def pause(seconds: float, patience: Patience | None = None) -> bool:
    """Waits; True if it was stopped meanwhile."""
    await asyncio.sleep(seconds)
    return patience is not None and patience.stopped.is_set()


async def side_by_side(
    work: Callable[[Item], Awaitable[Outcome]], items: Iterable[Item], workers: int, stopped: threading.Event
) -> AsyncGenerator[tuple[Item, Outcome | Exception]]:
    """The outcome for each item as it comes; what the work raises is an outcome too.

    Items are taken as they are needed, one ahead, in a thread, since making one may read disks. Close the generator, or
    leave it by an exception, and `stopped` is set: no further item is begun, and what is under way is cancelled.
    """
    waiting, end = iter(items), object()
    done: asyncio.Queue[tuple[Item, Outcome | Exception]] = asyncio.Queue()
    tasks: set[asyncio.Task[None]] = set()
    under_way = 0

    async def finish(item: Item) -> None:
        try:
            done.put_nowait((item, await work(item)))
        except Exception as error:  # noqa: BLE001 - whoever asked for the work decides what it means
            done.put_nowait((item, error))

    try:
        while (item := await asyncio.to_thread(next, waiting, end)) is not end:
            if under_way == max(1, workers):
                yield await done.get()
                under_way -= 1
            tasks.add(task := asyncio.create_task(finish(cast(Item, item))))
            task.add_done_callback(tasks.discard)
            under_way += 1
        for _ in range(under_way):
            yield await done.get()
    finally:
        stopped.set()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
