"""Is the automatic threshold better than 0.6, and are words that nothing fits told from others?

python -m benchmarks relevance FOLDER [FOLDER ...] [--encoder NAME]

Each FOLDER holds labelled photographs of one domain, as `python -m benchmarks quality` takes them. One JSON line for
the pairs of each domain and of all together, one for words in each, and one for what a sample costs and how far its
percentiles are off. The code that serves decides: search/relevance.py.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from benchmarks.common import report
from benchmarks.quality.metrics import BoolArray, ratio, share
from benchmarks.quality.related import WORDNET_FILE
from benchmarks.quality.run import Run
from pictograph.encode.protocol import Encoder, FloatArray
from pictograph.errors import PictographError
from pictograph.search.relevance import PICTURES, Fit, fit_of, natural_cut, pair_scores
from pictograph.search.words import plain, reach_of
from pictograph.types import DEFAULT_THRESHOLD, DIMENSION

OTHER_NONSENSE: Final = (
    "asdfgh", "qwerty", "zxcvbnm", "lkjhgfdsa", "xxxxxx", "12345", "!!!", "???", "#$%", "blarg", "florp", "wibble",
    "犬", "猫", "собака",
)  # fmt: skip
SAMPLES: Final = 50


def main(arguments: Sequence[str]) -> int:
    """The exit status: 2 if a folder or the encoder cannot be used."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks relevance")
    parser.add_argument("folders", type=Path, nargs="+", metavar="FOLDER", help="labelled photographs of one domain")
    parser.add_argument("--encoder", default="offline")
    options = parser.parse_args(arguments)
    try:
        runs = [
            Run.start(folder, options.encoder, related_by="auto", wordnet=WORDNET_FILE) for folder in options.folders
        ]
    except PictographError as error:
        print(error, file=sys.stderr)
        return 2
    for folder, run in zip(options.folders, runs, strict=True):
        report(
            "pairs",
            domain=folder.name,
            related_by=run.related_by,
            **of_pairs(run.seen.vectors, run.relation.related, run.stretch),
        )
    vectors = np.concatenate([run.seen.vectors for run in runs])
    if len(runs) > 1:
        report("pairs", domain="all together", **of_pairs(vectors, beside(runs), runs[0].stretch))
    for folder, run in zip(options.folders, runs, strict=True):
        report("words", domain=folder.name, **of_words(run))
    report("sample", **of_samples(vectors))
    return 0


def of_pairs(vectors: FloatArray, related: BoolArray, stretch: float) -> dict[str, Any]:
    """Precision and recall of pairs at or above 0.6, and at or above the automatic threshold."""
    upper = np.triu_indices(len(vectors), 1)
    scores, wanted = 1 - stretch * (1 - (vectors @ vectors.T)[upper]), related[upper]
    cut = natural_cut(np.sort(np.clip(scores, 0, 1)))
    facts: dict[str, Any] = {"photos": len(vectors), "related": share(wanted)}
    if cut is None:
        return {**facts, "skipped_because": "there are too few photographs"}
    facts |= {"auto": round(cut.score, 3), "because": cut.because}
    for name, threshold in (("at_0.6", DEFAULT_THRESHOLD), ("at_auto", cut.score)):
        found = scores >= threshold
        right = int((found & wanted).sum())
        facts[name] = {
            "precision": ratio(right, int(found.sum())),
            "recall": ratio(right, int(wanted.sum())),
            "unrelated_passed": share(found[~wanted]),
        }
    return facts


def beside(runs: Sequence[Run]) -> BoolArray:
    """Which pairs are related where photographs of two domains never are: (N, N)."""
    starts = np.cumsum([0, *(len(run.seen.vectors) for run in runs)])
    whole = np.zeros((starts[-1], starts[-1]), bool)
    for run, start, stop in zip(runs, starts, starts[1:], strict=False):
        whole[start:stop, start:stop] = run.relation.related
    return whole


def of_words(run: Run) -> dict[str, Any]:
    """Names of labels that some photograph shows, that none does, that the encoder has no class for; and nonsense."""
    encoder, truths = run.encoder, [entry.true for entry in run.classes]
    if not encoder.spec.has_text:
        return {"skipped_because": f"the encoder {encoder.spec.name} reads no words"}
    objects = [label for label in run.taxonomy.labels if label.category == "objects"]
    seen = {key for true in truths for key in true}
    groups = {
        "shown": [label.name for label in objects if label.key in seen],
        "not_shown": [label.name for label in objects if label.key not in seen and label.imagenet_classes],
        "no_class": [label.name for label in objects if label.key not in seen and not label.imagenet_classes],
        "nonsense": nonsense(),
    }
    facts: dict[str, Any] = {}
    for name, words in groups.items():
        vectors, fits = read(encoder, words)
        if fits is None:
            return {"skipped_because": "the encoder does not say what it knows, and has no calibration here"}
        best = (vectors @ run.seen.vectors.T).max(axis=1) if words else np.zeros(0)
        fitting = [fit.known is not False and top >= fit.score for fit, top in zip(fits, best, strict=True)]
        facts[name] = {"words": len(words), "known": share([fit.known for fit in fits]), "fits": share(fitting)}
    return facts | {"auto": of_cuts(run, groups["shown"], truths)}


def of_cuts(run: Run, names: Sequence[str], truths: Sequence[frozenset[str]]) -> dict[str, Any]:
    """Precision and recall of the photographs that each shown label's name finds, mean over the labels."""
    vectors, fits = read(run.encoder, names)
    precisions, recalls = [], []
    for name, vector, fit in zip(names, vectors, fits or (), strict=True):
        wanted = np.array([f"objects/{name}" in true for true in truths])
        found = run.seen.vectors @ vector >= fit.score
        if found.any():
            precisions.append(float(wanted[found].mean()))
        recalls.append(float(found[wanted].mean()))
    return {"precision": share(precisions), "recall": share(recalls), "labels_that_find": len(precisions)}


def read(encoder: Encoder, words: Sequence[str]) -> tuple[FloatArray, list[Fit] | None]:
    """Vectors of words, and what is said of them; None for an encoder that says nothing."""
    if not words:
        return np.zeros((0, DIMENSION), np.float32), []
    vectors = encoder.encode_texts([plain(word) for word in words])
    reaches = [reach_of(encoder, plain(word), vector) for word, vector in zip(words, vectors, strict=True)]
    fits = [fit_of(reach) for reach in reaches if reach is not None]
    return vectors, fits if len(fits) == len(words) else None


def nonsense() -> list[str]:
    """135 words that mean nothing: letters, syllables, keys in a row, signs, and three in other scripts."""
    drawn = random.Random(1)
    letters = ["".join(drawn.choices("abcdefghijklmnopqrstuvwxyz", k=drawn.randint(4, 10))) for _ in range(60)]
    syllables = [
        "".join(drawn.choice("bcdfghklmnprstvz") + drawn.choice("aeiou") for _ in range(drawn.randint(2, 4)))
        for _ in range(60)
    ]
    return [*OTHER_NONSENSE, *letters, *syllables]


def of_samples(vectors: FloatArray) -> dict[str, Any]:
    """What a scale of 500 pictures takes, and how far its percentiles are off those of all pairs."""
    drawn = np.random.default_rng(0)
    whole = pair_scores(vectors.astype(np.float16), None, 1.0)
    count = min(PICTURES, len(vectors) // 2)
    levels, errors, seconds = (50, 90, 99), [], []
    for _ in range(SAMPLES):
        chosen = vectors[drawn.choice(len(vectors), count, replace=False)].astype(np.float16)
        started = time.perf_counter()
        scores = pair_scores(chosen, None, 1.0)
        natural_cut(scores)
        seconds.append(time.perf_counter() - started)
        errors.append([100 * np.searchsorted(scores, np.quantile(whole, p / 100)) / len(scores) - p for p in levels])
    off = np.sqrt(np.mean(np.square(errors), axis=0))
    full = np.repeat(vectors, -(-PICTURES // len(vectors)), axis=0)[:PICTURES].astype(np.float16)
    started = time.perf_counter()
    natural_cut(pair_scores(full, None, 1.0))
    return {
        "of": len(vectors),
        "pictures": count,
        "points_off": {str(level): round(float(error), 2) for level, error in zip(levels, off, strict=True)},
        "ms": round(1000 * float(np.median(seconds)), 1),
        f"ms_of_{PICTURES}": round(1000 * (time.perf_counter() - started), 1),
    }


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
