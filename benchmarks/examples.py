"""How should several examples become one score? Formulas compared on a folder of labelled photographs.

python -m benchmarks examples FOLDER

Pictures of one kind are drawn as examples, and all others are put in order: the mean average precision says how early
those of the kind come. In `two_kinds` the examples are of two kinds, and both are wanted; in `unlike` some examples are
negative, of those that are most easily taken for the wanted kind.

mean        mean of the similarities to the positive examples: the cosine to one vector
best-of     similarity to the nearest positive example
blend       half of each
lead L      the mean, plus L times its lead over the mean of the negative examples: one vector (search/examples.py)
nearer L    the same with the nearest negative example instead of their mean
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from benchmarks.common import report
from benchmarks.quality.classes import PhotoClass
from benchmarks.quality.metrics import average_precision
from benchmarks.quality.related import WORDNET_FILE
from benchmarks.quality.run import Run
from pictograph.encode.protocol import FloatArray
from pictograph.errors import PictographError

Scores: TypeAlias = npt.NDArray[np.float64]
Formula: TypeAlias = Callable[[Scores, Scores], Scores]
"""Similarities to the positive and to the negative examples, float64 (examples, N) each -> scores (N,)."""
LEAST_KIND = 8
"""Pictures of a kind that is drawn from."""
DRAWS = 20
LEADS = (0.25, 0.5, 1.0, 2.0, 4.0)


@dataclass(frozen=True)
class Kind:
    """Pictures that belong together."""

    name: str
    rows: npt.NDArray[np.intp]


@dataclass(frozen=True)
class Drawn:
    """Examples, and what they should lead to."""

    positives: npt.NDArray[np.intp]
    negatives: npt.NDArray[np.intp]
    wanted: npt.NDArray[np.intp]


def kinds_of(names: Sequence[str], classes: Sequence[PhotoClass]) -> list[Kind]:
    """Classes with several pictures; where each class has one, the labels that hold several classes."""
    labels: dict[str, list[int]] = {}
    single = len(set(names)) == len(names)
    for row, (name, entry) in enumerate(zip(names, classes, strict=True)):
        for label in sorted(entry.true) if single else [name]:
            labels.setdefault(label, []).append(row)
    most = len(names) // 4  # what a quarter of all pictures is, is no kind
    return [Kind(name, np.array(rows)) for name, rows in sorted(labels.items()) if LEAST_KIND <= len(rows) <= most]


def mean(positive: Scores, _negative: Scores) -> Scores:
    """The mean of the positive ones."""
    scores: Scores = positive.mean(axis=0)
    return scores


def best_of(positive: Scores, _negative: Scores) -> Scores:
    """The nearest positive one."""
    scores: Scores = positive.max(axis=0)
    return scores


def blend(positive: Scores, _negative: Scores) -> Scores:
    """Half of each."""
    scores: Scores = (positive.mean(axis=0) + positive.max(axis=0)) / 2
    return scores


def led(base: Formula, lead: float, *, nearest: bool = False) -> Formula:
    """A formula with its lead over the negative examples."""

    def score(positive: Scores, negative: Scores) -> Scores:
        liked = base(positive, negative)
        unlike: Scores = negative.max(axis=0) if nearest else negative.mean(axis=0)
        return liked + lead * (liked - unlike)

    return score


WITHOUT: Mapping[str, Formula] = {"mean": mean, "blend": blend, "best-of": best_of}
WITH: Mapping[str, Formula] = {
    "mean": mean,
    **{f"lead {lead:g}": led(mean, lead) for lead in LEADS},
    **{f"nearer {lead:g}": led(mean, lead, nearest=True) for lead in LEADS},
    **{f"best-of, lead {lead:g}": led(best_of, lead) for lead in (0.5, 1.0)},
}


def of_one_kind(kinds: Sequence[Kind], count: int, random: np.random.Generator) -> Iterator[Drawn]:
    """`count` examples of each kind."""
    for kind in kinds:
        for _ in range(DRAWS):
            yield Drawn(random.choice(kind.rows, count, replace=False), kind.rows[:0], kind.rows)


def of_two_kinds(kinds: Sequence[Kind], random: np.random.Generator) -> Iterator[Drawn]:
    """Two examples of each of two kinds that share no picture."""
    pairs = [(a, b) for a in kinds for b in kinds if a.name < b.name and not set(a.rows) & set(b.rows)]
    for one, other in pairs:
        positives = [random.choice(kind.rows, 2, replace=False) for kind in (one, other)]
        yield Drawn(np.concatenate(positives), one.rows[:0], np.concatenate([one.rows, other.rows]))


def with_unlike(kinds: Sequence[Kind], cosines: Scores, random: np.random.Generator) -> Iterator[Drawn]:
    """Three examples of each kind, and two pictures that are none of it, of those most like the three."""
    for kind in kinds:
        others = np.setdiff1d(np.arange(len(cosines)), kind.rows)
        for _ in range(DRAWS):
            positives = random.choice(kind.rows, 3, replace=False)
            near = others[np.argsort(-cosines[positives].mean(axis=0)[others])[:10]]
            yield Drawn(positives, random.choice(near, 2, replace=False), kind.rows)


def precision(cosines: Scores, drawn: Sequence[Drawn], formula: Formula) -> float:
    """Mean average precision, of all pictures but the examples."""
    found = []
    for one in drawn:
        scores = formula(cosines[one.positives], cosines[one.negatives])
        rest = np.setdiff1d(np.arange(len(cosines)), np.concatenate([one.positives, one.negatives]))
        found.append(average_precision(scores[rest].astype(np.float32), np.isin(rest, one.wanted)))
    return round(float(np.mean(found)), 4)


def compare(vectors: FloatArray, kinds: Sequence[Kind], stretch: float) -> Iterator[tuple[str, dict[str, float]]]:
    """Each task with the precision of every formula."""
    cosines = 1 - stretch * (1 - vectors.astype(np.float64) @ vectors.T.astype(np.float64))
    for count in (2, 3, 5):
        drawn = list(of_one_kind(kinds, count, np.random.default_rng(1)))
        yield f"{count}_of_one_kind", {name: precision(cosines, drawn, formula) for name, formula in WITHOUT.items()}
    drawn = list(of_two_kinds(kinds, np.random.default_rng(1)))
    if drawn:
        yield "two_kinds", {name: precision(cosines, drawn, formula) for name, formula in WITHOUT.items()}
    drawn = list(with_unlike(kinds, cosines, np.random.default_rng(1)))
    yield "unlike", {name: precision(cosines, drawn, formula) for name, formula in WITH.items()}


def main(arguments: Sequence[str]) -> int:
    """The exit status: 2 if the folder or the encoder cannot be used."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks examples", description=__doc__)
    parser.add_argument("folder", type=Path, help="class_name/*.jpg, or files named n01531178_goldfinch.JPEG")
    parser.add_argument("--encoder", default="offline")
    options = parser.parse_args(arguments)
    try:
        run = Run.start(options.folder, options.encoder, related_by="auto", wordnet=WORDNET_FILE)
    except PictographError as error:
        print(error, file=sys.stderr)
        return 2
    kinds = kinds_of(run.seen.class_names, run.classes)
    for task, found in compare(run.seen.vectors, kinds, run.stretch):
        report(f"examples_{task}", **run.facts(), kinds=len(kinds), precision=found)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
