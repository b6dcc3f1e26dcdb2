"""What a search finds: the words that every way to answer shares."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from operator import itemgetter
from typing import Final, Generic, Literal, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt

from pictograph.encode.protocol import FloatArray
from pictograph.search.filter import Filter
from pictograph.search.orders import ORDERS, Order
from pictograph.store.pages import After, At, Beyond
from pictograph.types import DatasetId, ImageId, SpaceId, Tags

PlanName: TypeAlias = Literal["exact", "quantized"]
"""`exact`: every vector that the filter means is compared. `quantized`: every code of one is, and the best of them
again by their vectors."""
Kind: TypeAlias = Literal["image", "text"]
"""What a query vector was made of."""


MOST_DISTANT: Final = 2.0
"""The cosine distance of opposite vectors: a threshold there cuts nothing."""


@dataclass(frozen=True, slots=True)
class Likeness:
    """A question for the nearest images, its vector and its place known."""

    wanted: Filter
    space: SpaceId
    vector: FloatArray
    """float32 (1152,)."""
    threshold: float
    """The least score of a row; of a similarity, 0 cuts nothing."""
    limit: int
    stretch: float = 1.0
    """score = best - stretch * distance; 1 between words and pictures, whose cosines have no common scale."""
    kind: Kind = "image"
    exact: bool = False
    """Only an exact answer will do."""
    left_out: Sequence[ImageId] = ()
    """Images that are never rows: the examples."""
    beyond: Beyond | None = None
    """The last row of the page before: only rows behind it."""
    best: float = 1.0
    """The score of what has distance 0."""
    positives: Sequence[Positive] = ()
    """Several examples, to the nearest of which a row's similarity is; none: the score is the similarity."""

    @property
    def is_similarity(self) -> bool:
        """Whether the score is a similarity, 0 to 1, and no sum of several."""
        return not self.positives

    @property
    def farthest(self) -> float:
        """The distance at the threshold; infinity where nothing is cut."""
        cuts_nothing = self.is_similarity and self.threshold <= 0
        return math.inf if cuts_nothing else (self.best - self.threshold) / self.stretch

    def scores(self, distances: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Of rows at these cosine distances, float64 (N,)."""
        scores = self.best - self.stretch * distances
        return np.clip(scores, 0, 1) if self.is_similarity else scores


@dataclass(frozen=True, slots=True)
class Positive:
    """One of several examples that rows should be like."""

    vector: FloatArray
    """float32 (1152,), unit length."""
    stretch: float
    """similarity = 1 - stretch * distance."""


@dataclass(slots=True)  # not frozen: making a frozen one takes eight times as long, and a page has 500
class Hit:
    """One found image."""

    id: ImageId
    filename: str
    folder_path: str
    dataset_id: DatasetId
    tags: Tags
    created_at: datetime


@dataclass(slots=True)
class Neighbour(Hit):
    """One image found by likeness or words."""

    similarity: float
    """Cosine of the two unit vectors on the space's scale (`Likeness.stretch`), clamped to [0, 1]; to the nearest
    positive example, where there are several."""
    distance: float
    """Cosine distance to the question's vector: what orders the rows, also where similarity is clamped."""
    score: float
    """The similarity; of several examples what their formula gives (examples.py)."""


@dataclass(frozen=True, slots=True)
class Window:
    """Which rows of a list by time: `limit` of them, `offset` behind `after`, or behind the start."""

    limit: int
    offset: int = 0
    after: After | None = None

    @property
    def reach(self) -> int:
        """Rows from `after`, or the start, to the end of the window."""
        return self.offset + self.limit


@dataclass(frozen=True, slots=True)
class Listing:
    """Which rows of a list by a fact."""

    order_by: str
    """A name of `ORDERS`."""
    descending: bool
    limit: int
    after: At | None = None
    """The last row of the page before: only rows behind it."""

    @property
    def order(self) -> Order:
        """The fact."""
        return ORDERS[self.order_by]


@dataclass(frozen=True, slots=True)
class Slice:
    """A page of a list by a fact."""

    rows: Sequence[Hit]
    values: Sequence[float | None]
    """The fact of each row; None where it is not known."""
    total: int
    """Of the whole list, wherever the page lies."""
    unknown: int
    """Of the total, those of which the fact is not known: they come last."""


@dataclass(frozen=True, slots=True)
class Undecided:
    """Images of a place that a filter cannot judge: what is not known of them decides. None of them is found."""

    images: int = 0
    waiting: int = 0
    """Of those, the ones at whose picture nobody has looked yet; of the others it cannot be known."""

    def __add__(self, other: Undecided) -> Undecided:
        return Undecided(self.images + other.images, self.waiting + other.waiting)


UNDECIDED_NONE: Final = Undecided()
Row = TypeVar("Row", bound=Hit)


@dataclass(frozen=True, slots=True)
class Page(Generic[Row]):
    """The rows of a page, and how many there are in all."""

    rows: list[Row]
    total: int
    """Of the whole question, wherever the page lies."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How a question is answered."""

    name: PlanName
    reason: str
    """For people, one sentence."""


class Steps:
    """How long each step took: name to milliseconds, in order."""

    def __init__(self) -> None:
        self.ms: dict[str, float] = {}
        self._started = time.perf_counter()

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Times what is inside; a step that happens twice adds up."""
        started = time.perf_counter()
        try:
            yield
        finally:
            self.ms[name] = self.ms.get(name, 0.0) + (time.perf_counter() - started) * 1000

    @property
    def total_ms(self) -> float:
        """Since these steps began."""
        return (time.perf_counter() - self._started) * 1000


@dataclass(frozen=True, slots=True)
class Found:
    """Rows by falling similarity, and what they are worth."""

    rows: list[Neighbour]
    plan: Plan
    scope_size: int
    """Findable images in the place, the reference too if it lies there."""
    scanned: int
    """Images whose vector or code was compared; the others were ruled out by the filter."""
    complete: bool
    """Whether every image of the place was considered."""
    steps: Steps
    left_out: int = 0
    """Of those that were compared, the examples themselves."""
    missed: Sequence[float] = ()
    """Scores of the best images below the threshold, falling: those that were fetched and are no rows."""
    missed_are_all: bool = True
    """Whether there are no others."""

    @property
    def exact(self) -> bool:
        """Whether no other image can belong among the rows."""
        return self.plan.name == "exact"


@dataclass(frozen=True, slots=True)
class Facets:
    """How often each label is carried by some images."""

    images: int = 0
    """Images that were counted, with tags or without; archived ones never are."""
    labels: dict[str, list[tuple[str, int]]] = field(default_factory=dict)
    """(label, images that carry it) for each category that has any, the most frequent first, then by name."""

    @classmethod
    def of(cls, images: int, counts: Iterable[tuple[str, str, int]]) -> Facets:
        """counts: (category, label, images), each pair once, none of them 0."""
        labels: dict[str, list[tuple[str, int]]] = {}
        for category, label, count in sorted(counts):
            labels.setdefault(category, []).append((label, count))
        for rows in labels.values():
            rows.sort(key=itemgetter(1), reverse=True)  # stable: equals stay in the order of their names
        return cls(images, labels)


def recall(rows: Sequence[Neighbour], truth: Sequence[Neighbour]) -> float:
    """Share of the true rows found; a row as similar as the last true one counts, for any of those is right."""
    if not truth:
        return 1.0
    true_ids, least = {row.id for row in truth}, truth[-1].similarity
    right = sum(row.id in true_ids or row.similarity >= least - SAME for row in rows)
    return min(1.0, right / len(truth))


SAME = 1e-6
"""Similarities closer than this are equal: they came from the same vectors."""
