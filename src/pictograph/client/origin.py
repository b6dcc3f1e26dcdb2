"""Which client an answer came from, so that it can fetch its thumbnails when a notebook shows it.

It is kept beside the answer, not in it: rows stay values that compare, copy and pickle without a client and its key.
"""

from __future__ import annotations

from typing import Any, Protocol, TypeVar
from weakref import ref

from pictograph.wire.base import Pictured

Thing = TypeVar("Thing")


class Origin(Protocol):
    """What sends a call: the transport of either client; that of the asyncio one gives a coroutine."""

    def send(self, call: Any, *, patience: Any = None) -> Any:
        """The answer."""


class Origins:
    """The origin of each answer that is still held by somebody, found by identity."""

    def __init__(self) -> None:
        self._kept: dict[int, tuple[ref[Any], Origin]] = {}

    def note(self, thing: object, origin: Origin) -> None:
        """Keeps the origin of an answer until that is gone."""
        key = id(thing)

        def forget(gone: ref[Any]) -> None:
            kept = self._kept.get(key)
            if kept is not None and kept[0] is gone:  # else another thing has its place in memory by now
                self._kept.pop(key, None)

        self._kept[key] = ref(thing, forget), origin

    def of(self, thing: object) -> Origin | None:
        """Where an answer came from; None for what somebody made or copied."""
        kept = self._kept.get(id(thing))
        return kept[1] if kept is not None and kept[0]() is thing else None

    def __len__(self) -> int:
        return len(self._kept)


ORIGINS = Origins()


def remembered(answer: Thing, origin: Origin) -> Thing:
    """The answer, whose origin is known from now on: that of a list, and of each row in it that has a picture."""
    things: list[Any] = [answer, *answer] if isinstance(answer, list) else [answer]
    for thing in things:
        if isinstance(thing, Pictured):
            ORIGINS.note(thing, origin)
    return answer
