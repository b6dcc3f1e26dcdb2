"""How the blocking client waits: with threads that end with the process, finished or not. `tasks.py` is its twin."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator, Iterable, Sequence
from queue import Empty, SimpleQueue
from typing import Final, ParamSpec, TypeVar

from pictograph.client.patience import Patience

Given = ParamSpec("Given")
Item = TypeVar("Item")
Outcome = TypeVar("Outcome")
LONGEST_FAREWELL_S: Final = 0.5
LONGEST_DEAF_S: Final = 0.25
"""A Ctrl-C that comes just before Python begins to wait does not end the wait; it is noticed after this long."""


def run_blocking(function: Callable[Given, Outcome], *given: Given.args, **named: Given.kwargs) -> Outcome:
    """What the function gives."""
    return function(*given, **named)


def pause(seconds: float, patience: Patience | None = None) -> bool:
    """Waits; True if it was stopped meanwhile."""
    if patience is None:
        time.sleep(seconds)
        return False
    return patience.stopped.wait(seconds)


def side_by_side(
    work: Callable[[Item], Outcome], items: Iterable[Item], workers: int, stopped: threading.Event
) -> Generator[tuple[Item, Outcome | Exception]]:
    """The outcome for each item as it comes; what the work raises is an outcome too.

    Items are taken as they are needed, one ahead for each worker. Close the generator, or leave it by an exception, and
    `stopped` is set: no further item is begun. What is under way gets half a second to end; then it is left to itself,
    in threads that keep no process alive.
    """
    waiting: SimpleQueue[Item] = SimpleQueue()
    done: SimpleQueue[tuple[Item, Outcome | Exception]] = SimpleQueue()
    threads: list[threading.Thread] = []
    workers, under_way = max(1, workers), 0

    def take_turns() -> None:
        while not stopped.is_set():
            try:
                item = waiting.get(timeout=LONGEST_DEAF_S)
            except Empty:
                continue
            try:
                done.put((item, work(item)))
            except Exception as error:  # noqa: BLE001 - whoever asked for the work decides what it means
                done.put((item, error))

    try:
        for item in items:
            if under_way == 2 * workers:
                yield next_of(done)
                under_way -= 1
            waiting.put(item)
            under_way += 1
            if len(threads) < workers:
                threads.append(threading.Thread(target=take_turns, name=f"upload-{len(threads)}", daemon=True))
                threads[-1].start()
        for _ in range(under_way):
            yield next_of(done)
    finally:
        stopped.set()
        say_farewell(threads)


def next_of(done: SimpleQueue[Outcome]) -> Outcome:
    """The next outcome, however long it takes; interrupted at once by Ctrl-C, or within LONGEST_DEAF_S."""
    while True:
        try:
            return done.get(timeout=LONGEST_DEAF_S)
        except Empty:
            continue


def say_farewell(threads: Sequence[threading.Thread]) -> None:
    deadline = time.monotonic() + LONGEST_FAREWELL_S
    for thread in threads:
        if thread.is_alive():
            thread.join(max(0.0, deadline - time.monotonic()))
