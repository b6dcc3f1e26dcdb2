"""What does a query cost beside the plain search by likeness, and what does the quantized index find of some examples?

python -m benchmarks queries [IMAGES]    default: 100000, which takes 2 GB of disk and a minute or two

The corpus of `python -m benchmarks search`, in an embedded database with its index, asked through the engine in this
process, a few questions of each kind in turns. `recall` is the share of the true 50 nearest, by the same question with
`exact=True`; it is none where nothing is estimated. `cpu_ms` is processor time of the engine's process, without the
database's: other work disturbs it less.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from typing import Final, TypeAlias

import numpy as np

from benchmarks.common import median, percentiles_ms, report
from benchmarks.search.__main__ import DEFAULT_CACHE
from benchmarks.search.data import prepare
from benchmarks.search.service import Inside
from pictograph.search.engine import SearchEngine
from pictograph.search.query import Example, Query, SimilarQuery
from pictograph.types import ImageId, OrganizationId

LIMIT: Final = 50
ROUNDS: Final = 40
CHECKED: Final = 20
"""Questions of each kind whose recall is measured."""
Drawn: TypeAlias = Sequence[ImageId]
"""Images that a question starts from, five at most."""


def like(images: Drawn, count: int, unlike: int = 0) -> tuple[Example, ...]:
    """Some of them positive, the next ones negative."""
    positives = (Example(image) for image in images[:count])
    return (*positives, *(Example(image, negative=True) for image in images[count : count + unlike]))


KINDS: Final[dict[str, Callable[[Drawn], Query]]] = {
    "one example": lambda images: Query(like(images, 1), limit=LIMIT),
    "3 like": lambda images: Query(like(images, 3), limit=LIMIT),
    "3 like, 2 unlike": lambda images: Query(like(images, 3, 2), limit=LIMIT),
    "1 like, 1 unlike": lambda images: Query(like(images, 1, 1), limit=LIMIT),
    "best 200, newest first": lambda images: Query(like(images, 1), order_by="created_at", top=200, limit=LIMIT),
    "best 10,000, newest first": lambda images: Query(like(images, 1), order_by="created_at", top=10_000, limit=LIMIT),
    "count above a threshold": lambda images: Query(like(images, 1), threshold=0.5, count_only=True),
    "newest": lambda _images: Query(limit=LIMIT),
    "largest": lambda _images: Query(order_by="file_size", limit=LIMIT),
}
ESTIMATED: Final = ("one example", "3 like", "3 like, 2 unlike", "1 like, 1 unlike")


class Asker:
    """Asks the engine of a library, from outside its loop."""

    def __init__(self, engine: SearchEngine, organization: OrganizationId, loop: asyncio.AbstractEventLoop) -> None:
        self._engine, self._organization, self._loop = engine, organization, loop

    def plain(self, image: ImageId) -> None:
        """The search by likeness."""
        query = SimilarQuery(image, 0.0, LIMIT, "/")
        asyncio.run_coroutine_threadsafe(self._engine.by_similarity(self._organization, query), self._loop).result()

    def rows(self, query: Query) -> list[ImageId]:
        """The images that a query finds."""
        asking = self._engine.query(self._organization, query)
        return [row.id for row in asyncio.run_coroutine_threadsafe(asking, self._loop).result().rows]


def measure(asker: Asker, images: Sequence[ImageId], size: int) -> None:
    """Prints a line for each kind."""
    random = np.random.default_rng(3)
    seconds: dict[str, list[float]] = {name: [] for name in ("by_similarity", *KINDS)}
    cpu_ms: dict[str, list[float]] = {name: [] for name in seconds}
    for _ in range(ROUNDS):
        drawn = [images[int(place)] for place in random.choice(len(images), 5, replace=False)]
        asks: dict[str, Callable[[], object]] = {"by_similarity": partial(asker.plain, drawn[0])}
        asks |= {name: partial(asker.rows, kind(drawn)) for name, kind in KINDS.items()}
        for name, ask in asks.items():
            started, cpu = time.perf_counter(), time.process_time()
            ask()
            seconds[name].append(time.perf_counter() - started)
            cpu_ms[name].append((time.process_time() - cpu) * 1000)
    recalls = {name: recall(asker, images, KINDS[name]) for name in ESTIMATED}
    for name, took in seconds.items():
        times = {**percentiles_ms(took[5:]), "cpu_ms": median(cpu_ms[name][5:])}
        report("queries", images=size, kind=name, limit=LIMIT, recall=recalls.get(name), **times)


def recall(asker: Asker, images: Sequence[ImageId], kind: Callable[[Drawn], Query]) -> float:
    """Share of the true rows, mean over CHECKED questions."""
    random, shares = np.random.default_rng(5), []
    for _ in range(CHECKED):
        query = kind([images[int(place)] for place in random.choice(len(images), 5, replace=False)])
        exact = Query(query.examples, limit=LIMIT, exact=True)
        truth, found = asker.rows(exact), asker.rows(query)
        shares.append(len(set(truth) & set(found)) / len(truth))
    return round(float(np.mean(shares)), 4)


def main(arguments: Sequence[str]) -> int:
    """The exit status."""
    size = int(arguments[0]) if arguments else 100_000
    data = prepare("clustered", size, DEFAULT_CACHE)
    inside = Inside()
    with ExitStack() as exits:
        exits.callback(inside.close)
        inside.build(data)
        engine, organization, loop, references = inside.parts()
        images = [image for name, image in references.items() if name.startswith("mixed")]
        measure(Asker(engine, organization, loop), images, size)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
