"""What a score is worth where it was found: how many random pairs reach it, from which score on things belong together.

A cosine has no meaning of its own. In a library of unlike things 0.6 is rare; in a dataset of one kind of picture
nearly every pair reaches it. So a score is shown beside its place among random pairs of the same scope and the same
kind: picture to picture, or ordinary words to picture. And words that something fits are told from those that nothing
does: every text has a nearest picture, also one that the encoder understands nothing of.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from pictograph.encode.protocol import FloatArray
from pictograph.search.found import SAME, Found, Kind, Likeness
from pictograph.search.ground import Ground
from pictograph.search.pipeline import Pipeline
from pictograph.search.words import Reach, WordReaders
from pictograph.spaces.registry import Space
from pictograph.tagging.calibration import Calibration
from pictograph.tagging.prompts import FitJudge
from pictograph.types import DEFAULT_TEXT_THRESHOLD, DEFAULT_THRESHOLD, DIMENSION, SpaceId

Scores: TypeAlias = npt.NDArray[np.float32]
CalibrationOf: TypeAlias = Callable[[Space], Awaitable[Calibration | None]]
"""Reads what is stored of a space; None as long as no worker has made it, or if its encoder needs none."""
Verdict: TypeAlias = Literal["unknown_words", "not_here"]
"""Why nothing fits words: the encoder does not know them; or it does, and no picture of the scope shows them."""
CutReason: TypeAlias = Literal["words", "gap", "rare", "too_few_pictures"]
"""Where an automatic threshold comes from: see `Cut`."""

PICTURES: Final = 500
"""Vectors of a sample: 124,750 pairs. How far percentiles are off: docs/search.md."""
LEAST_PICTURES: Final = 8
"""Fewer say nothing of what is ordinary."""
ORDINARY_WORDS: Final = 100
WORDS_AT_ONCE: Final = 10
"""Ordinary words between which a question's own words have their turn."""
KEPT_SCALES: Final = 32
"""Half a megabyte each."""
FRESH_FOR: Final = timedelta(minutes=10)
GROWTH: Final = 0.05
"""A scope that has grown or shrunk by more than this share since its sample is sampled again at once."""
JUST_BELOW: Final[dict[Kind, float]] = {"image": 0.05, "text": 0.02}
"""How far below a threshold a score is just below it; cosines of words have a narrower scale."""

SHOWN: Final = 0.8
"""Of the highest cosine that a picture of one thing can have with some words (`Reach`): from here on one shows it.
With 66 labels and 196 photographs: precision .83, recall .86. Source: `python -m benchmarks relevance`."""
CALIBRATION_S: Final = 60.0
"""How long after a look that found no calibration the next one is."""

RARE: Final = 0.99
"""Where pairs form one heap: the score that one random pair in a hundred reaches."""
BINS: Final = 80
SMOOTHING: Final = np.array([1, 4, 6, 4, 1]) / 16
GAP_DEPTH: Final = 0.7
"""Between two heaps lies a gap if the pairs there are at most so many of those at the lower heap's top."""
ENOUGH_PAIRS: Final = 1000
"""Of fewer, what looks like a gap is chance."""
LEAST_HEAP: Final = 100
"""Pairs that are a heap, not chance; and at least one in a hundred."""
MOST_HEAP: Final = 0.6
"""Share of the pairs that the upper heap has at most: above it, nearly all pictures are of one kind."""


@dataclass(frozen=True, slots=True)
class Cut:
    """A threshold that the scope gives."""

    score: float
    because: CutReason
    """`words`: these words' own. `gap`: pairs fall into two heaps, and it lies between. `rare`: one random pair in a
    hundred reaches it. `too_few_pictures`: there is nothing to go by, so it is the default."""


@dataclass(frozen=True, slots=True)
class Scale:
    """The scores of random pairs of one scope."""

    kind: Kind
    scores: Scores
    """float32 (pairs,), rising, on the scale of `Neighbour.similarity`."""
    pictures: int
    """Pictures whose vectors were compared."""
    of: int
    """Pictures that the scope had."""
    sampled_at: datetime
    cut: Cut | None
    """None where there are too few pairs to say."""

    def percentile(self, score: float) -> float:
        """Of 100 random pairs, how many score lower; 0 to 100."""
        return 100.0 * float(np.searchsorted(self.scores, np.float32(score))) / max(1, len(self.scores))

    def at(self, percentile: float) -> float:
        """The score that so many of 100 random pairs do not reach."""
        return float(np.quantile(self.scores, percentile / 100))


def natural_cut(scores: Scores) -> Cut | None:
    """Where the scores of random pairs say that likeness begins. scores: float32 (pairs,), rising.

    Two heaps, pairs of one group and pairs of two, are told apart at the lowest place between them. In one heap there
    is no such place, and the cut is where a pair is rare.
    """
    if len(scores) < LEAST_PICTURES * (LEAST_PICTURES - 1) // 2:
        return None
    gap = deepest_gap(scores)
    return Cut(gap, "gap") if gap is not None else Cut(float(np.quantile(scores, RARE)), "rare")


def deepest_gap(scores: Scores) -> float | None:
    """The score between two heaps, by a smoothed histogram; None if there is but one."""
    low, high = float(scores[len(scores) // 1000]), float(scores[-1])
    if len(scores) < ENOUGH_PAIRS or high - low < SAME:
        return None
    counts, edges = np.histogram(scores, BINS, (low, high))
    heights = np.convolve(counts, SMOOTHING, "same")
    left, right = np.maximum.accumulate(heights), np.maximum.accumulate(heights[::-1])[::-1]
    depth = heights / np.maximum(np.minimum(left, right), SAME)
    above = 1 - np.searchsorted(scores, edges[:-1]) / len(scores)
    least = max(1 - RARE, LEAST_HEAP / len(scores))
    depth[(above < least) | (above > MOST_HEAP)] = 1
    lowest = int(np.argmin(depth))
    return float((edges[lowest] + edges[lowest + 1]) / 2) if depth[lowest] <= GAP_DEPTH else None


@dataclass(frozen=True, slots=True)
class Fit:
    """What the encoder says of some words before any picture is looked at."""

    score: float
    """The similarity from which a picture shows what they say."""
    known: bool | None
    """Whether the encoder has a sight of what they name; None if it does not tell."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A question by examples, ready to be answered, and what is known of it besides."""

    ask: Likeness
    stretch: float
    """Of similarities to a single example: similarity = 1 - stretch * (1 - cosine)."""
    ground: Ground | None = None
    """If it was read together with the vector."""
    space: Space | None = None
    """Of a single example of words."""
    fit: Fit | None = None
    """Of the same."""
    cut: Cut | None = None
    """Where an automatic threshold came from."""
    is_mixed: bool = False
    """Whether some of several examples are words: their scores have no scale."""


@dataclass(frozen=True, slots=True)
class Relevance:
    """What an answer says of its scores."""

    kind: Kind
    best: float | None
    """The best score of all, a row's or not; None on later pages, and where there was nothing to compare."""
    below: int | None
    """Images just below the threshold; None if rows above it follow on another page."""
    below_from: float
    """Down to which score."""
    below_is: Literal["exact", "at_least"]
    fit: Fit | None
    """Of words; None between pictures, and where the encoder says nothing."""
    verdict: Verdict | None
    """Why nothing fits the words; None if something does, or if that is not known."""
    cut: Cut | None
    """Where the threshold comes from; None if it was given."""
    scale: Scale | None
    """Random pairs of the scope; None if nobody asked, or if there are too few pictures."""

    @property
    def nothing_fits(self) -> bool | None:
        """Whether no image shows what the words say; None if that is not known."""
        return None if self.fit is None or (self.best is None and self.verdict is None) else self.verdict is not None


def relevance_of(
    ask: Likeness,
    found: Found,
    *,
    first: bool,
    more: bool,
    fit: Fit | None = None,
    cut: Cut | None = None,
    scale: Scale | None = None,
) -> Relevance:
    """What an answer says of its scores. first, more: whether it is the first page, and whether another follows."""
    best = found.rows[0].score if found.rows else max(found.missed, default=None)
    floor = max(0.0, ask.threshold - JUST_BELOW[ask.kind])
    below = sum(score >= floor for score in found.missed)
    cut_short = below == len(found.missed) and not found.missed_are_all
    verdict: Verdict | None = None
    if fit is not None and fit.known is False:
        verdict = "unknown_words"
    elif fit is not None and first and best is not None and best < fit.score:
        verdict = "not_here"
    return Relevance(
        ask.kind, best if first else None, None if more else below, floor, "at_least" if cut_short else "exact",
        fit, verdict, cut, scale,
    )  # fmt: skip


class Scales:
    """Scales of scopes, made when they are first asked for, kept for ten minutes: numbers alone, no vectors.

    A sample is taken anew when its scope has changed by a twentieth, or when it is ten minutes old; an answer says when
    it was taken, and of how many pictures.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        words: WordReaders,
        calibration_of: CalibrationOf,
        labels: Sequence[str],
    ) -> None:
        """labels: ordinary words, some of which are read for the scale where nothing is stored."""
        self._pipeline = pipeline
        self._words = words
        self._calibration_of = calibration_of
        self._labels = [labels[place] for place in spread(len(labels), ORDINARY_WORDS)]
        self._scales: OrderedDict[Hashable, asyncio.Task[Scale | None]] = OrderedDict()
        self._ordinary: tuple[SpaceId, FloatArray] | None = None
        self._judge: tuple[SpaceId, FitJudge | None, float] | None = None

    async def close(self) -> None:
        """Ends what is being made."""
        for task in self._scales.values():
            task.cancel()
        await asyncio.gather(*self._scales.values(), return_exceptions=True)

    async def scale(self, asked: Asked, scope_size: int | None = None) -> Scale | None:
        """Of random pairs of the question's place and kind; None if there are too few pictures.

        scope_size: how many pictures the place has now, if that is known. Raises what reading words raises.
        """
        ask, place = asked.ask, asked.ask.wanted.place
        key = (ask.space, asked.stretch, ask.kind, frozenset(place.datasets), place.folder_path, place.recursive)
        task = self._scales.get(key)
        if task is None or (task.done() and is_stale(task, scope_size)):
            task = self._scales[key] = asyncio.create_task(self._make(asked))
        self._scales.move_to_end(key)
        while len(self._scales) > KEPT_SCALES:
            self._scales.popitem(last=False)
        return await asyncio.shield(task)

    async def _make(self, asked: Asked) -> Scale | None:
        ask = asked.ask
        sample = await self._pipeline.sample(ask.wanted.place, ask.space, PICTURES)
        words = await self._ordinary_words(asked.space) if asked.space is not None else None
        if len(sample.vectors) < LEAST_PICTURES or (words is not None and not len(words)):
            return None

        def made() -> Scale:
            scores = pair_scores(sample.vectors, words, asked.stretch)
            cut = natural_cut(scores)
            return Scale(ask.kind, scores, len(sample.vectors), sample.of, datetime.now(UTC), cut)

        return await self._pipeline.in_thread(made)

    async def _ordinary_words(self, space: Space) -> FloatArray:
        """float32 (N, 1152): labels as the space's calibration has them, or else as the encoder reads them."""
        if self._ordinary is None or self._ordinary[0] != space.id:
            calibration = await self._calibration_of(space)
            if calibration is not None:
                vectors = calibration.label_vectors[spread(len(calibration.label_vectors), ORDINARY_WORDS)]
            else:
                reader = self._words.of(space)
                parts = [
                    await reader.vectors_of(self._labels[start : start + WORDS_AT_ONCE])
                    for start in range(0, len(self._labels), WORDS_AT_ONCE)
                ]
                vectors = np.concatenate([np.zeros((0, DIMENSION), np.float32), *parts])
            self._ordinary = space.id, vectors
        return self._ordinary[1]

    async def fit(self, space: Space, text: str, vector: FloatArray) -> Fit | None:
        """From which score on pictures show what the words say; None if the encoder cannot tell.

        vector: the words', float32 (1152,).
        """
        reader = self._words.of(space)
        reach = await reader.reach_of(text)
        if reach is not None:
            return fit_of(reach)
        judge = await self._judge_of(space)
        return None if judge is None else Fit(max(0.0, judge.least_cosine(vector)), None)

    async def _judge_of(self, space: Space) -> FitJudge | None:
        now = asyncio.get_running_loop().time()
        if self._judge is None or self._judge[0] != space.id or (self._judge[1] is None and now > self._judge[2]):
            calibration = await self._calibration_of(space)
            judge = FitJudge(calibration) if calibration is not None else None
            self._judge = space.id, judge, now + CALIBRATION_S
        return self._judge[1]

    async def cut(self, asked: Asked) -> Cut:
        """The threshold `auto`."""
        if asked.fit is not None:
            return Cut(asked.fit.score, "words")
        scale = await self.scale(asked)
        if scale is not None and scale.cut is not None:
            return scale.cut
        return Cut(DEFAULT_THRESHOLD if asked.ask.kind == "image" else DEFAULT_TEXT_THRESHOLD, "too_few_pictures")


def fit_of(reach: Reach) -> Fit:
    """From which score on a picture shows words with this reach; unknown ones, nothing shows."""
    score = SHOWN * reach.cosine
    return Fit(score if reach.is_known else max(score, reach.known_from), reach.is_known)


def is_stale(task: asyncio.Task[Scale | None], scope_size: int | None) -> bool:
    """Whether the scale is to be made anew; one that could not be made is, and so is one of too few pictures."""
    if task.cancelled() or task.exception() is not None or (scale := task.result()) is None:
        return True
    changed = scope_size is not None and abs(scope_size - scale.of) > GROWTH * scale.of
    return changed or datetime.now(UTC) - scale.sampled_at > FRESH_FOR


def pair_scores(pictures: npt.NDArray[np.float16], words: FloatArray | None, stretch: float) -> Scores:
    """float32 (pairs,), rising: every picture with every word, or, without words, with every other picture.

    pictures: float16 (N, 1152). words: float32 (M, 1152).
    """
    unit = unit_rows(pictures.astype(np.float32))
    cosines = unit @ unit_rows(words).T if words is not None else (unit @ unit.T)[np.triu_indices(len(unit), 1)]
    return np.sort(np.clip(1 - np.float32(stretch) * (1 - cosines.ravel()), 0, 1))


def unit_rows(vectors: FloatArray) -> FloatArray:
    """Every row at length 1."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit: FloatArray = vectors / np.maximum(lengths, np.float32(1e-12))
    return unit


def spread(many: int, count: int) -> list[int]:
    """At most `count` places, evenly from `many`."""
    return [place * many // count for place in range(count)] if many > count else list(range(many))
