"""Work in threads that end with the process, finished or not."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator, Sequence
from queue import Empty, SimpleQueue
from typing import Final, TypeVar

Item = TypeVar("Item")
Outcome = TypeVar("Outcome")
LONGEST_FAREWELL_S: Final = 0.5
LONGEST_DEAF_S: Final = 0.25
"""A Ctrl-C that comes just before Python begins to wait does not end the wait; it is noticed after this long."""


def side_by_side(
    work: Callable[[Item], Outcome], items: Sequence[Item], workers: int, stopped: threading.Event
) -> Generator[tuple[Item, Outcome | Exception]]:
    """The outcome for each item as it comes; what the work raises is an outcome too.

    Close the generator, or leave it by an exception, and `stopped` is set: no further item is begun. What is under way
    gets half a second to end; then it is left to itself, in threads that keep no process alive.
    """
    waiting: SimpleQueue[Item] = SimpleQueue()
    for item in items:
        waiting.put(item)
    done: SimpleQueue[tuple[Item, Outcome | Exception]] = SimpleQueue()

    def take_turns() -> None:
        while not stopped.is_set():
            try:
                item = waiting.get_nowait()
            except Empty:
                return
            try:
                done.put((item, work(item)))
            except Exception as error:  # noqa: BLE001 - whoever asked for the work decides what it means
                done.put((item, error))

    names = range(min(max(1, workers), len(items)))
    threads = [threading.Thread(target=take_turns, name=f"upload-{number}", daemon=True) for number in names]
    try:
        for thread in threads:
            thread.start()
        for _ in items:
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
