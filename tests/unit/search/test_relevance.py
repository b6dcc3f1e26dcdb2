"""Scores of random pairs, and the threshold that they give."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

import numpy as np
import pytest

from pictograph.encode.protocol import FloatArray
from pictograph.errors import ValidationError
from pictograph.search.filter import Filter, Place
from pictograph.search.found import Found, Likeness, Plan, Steps
from pictograph.search.query import Example, Query
from pictograph.search.relevance import Cut, Fit, Relevance, Scale, natural_cut, pair_scores, relevance_of, spread
from pictograph.types import DIMENSION, ImageId, SpaceId


def clustered(clusters: int, pictures: int, *, seed: int = 0) -> tuple[FloatArray, np.ndarray]:  # type: ignore[type-arg]
    """Unit vectors in 64 dimensions about as many random middles, and whether each pair is of one cluster."""
    random = np.random.default_rng(seed)
    middles, of = random.normal(size=(clusters, 64)), random.integers(0, clusters, pictures)
    vectors = middles[of] + random.normal(size=(pictures, 64))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    padded = np.zeros((pictures, DIMENSION), np.float32)
    padded[:, :64] = vectors
    return padded, of[:, None] == of


def scale_of(scores: FloatArray) -> Scale:
    return Scale("image", scores, 10, 10, datetime.now(UTC), natural_cut(scores))


def test_scores_of_pairs_are_those_of_every_two_pictures_on_the_scale_of_the_space() -> None:
    vectors, _ = clustered(4, 30)
    by_hand = sorted(
        min(1.0, max(0.0, 1 - 0.5 * (1 - float(vectors[one] @ vectors[other]))))
        for one in range(30)
        for other in range(one)
    )
    assert pair_scores(vectors.astype(np.float16), None, 0.5) == pytest.approx(by_hand, abs=1e-3)


def test_scores_of_words_are_those_of_every_word_with_every_picture() -> None:
    vectors, _ = clustered(4, 30)
    scores = pair_scores(vectors[:20].astype(np.float16), vectors[20:], 1.0)
    assert scores == pytest.approx(np.sort(np.clip(vectors[:20] @ vectors[20:].T, 0, 1).ravel()), abs=1e-3)


def test_a_percentile_is_the_share_of_pairs_that_are_less_similar() -> None:
    vectors, _ = clustered(5, 60)
    scores = pair_scores(vectors.astype(np.float16), None, 1.0)
    scale = scale_of(scores)
    for score in (0.0, 0.1, 0.4, float(scores[1000]), 1.0):
        assert scale.percentile(score) == pytest.approx(100 * np.mean(scores < np.float32(score)))
    assert scale.percentile(scale.at(99)) == pytest.approx(99, abs=0.1)


@pytest.mark.parametrize("clusters", [2, 3, 5, 8, 20])
def test_between_pairs_of_one_cluster_and_of_two_lies_a_gap_and_the_threshold_in_it(clusters: int) -> None:
    vectors, same = clustered(clusters, 400)
    upper = np.triu_indices(400, 1)
    cosines, together = (vectors @ vectors.T)[upper], same[upper]
    cut = natural_cut(np.sort(np.clip(cosines, 0, 1)))
    assert cut is not None
    assert cut.because == "gap"
    assert np.mean(together[cosines >= cut.score]) > 0.95  # precision
    assert np.mean(cosines[together] >= cut.score) > 0.85  # recall


@pytest.mark.parametrize("pictures", [30, 60, 150, 400])
def test_where_pairs_form_one_heap_the_threshold_is_where_they_are_rare(pictures: int) -> None:
    vectors, _ = clustered(pictures * 50, pictures)
    scores = np.sort((vectors @ vectors.T)[np.triu_indices(pictures, 1)])
    cut = natural_cut(scores)
    assert cut is not None
    assert cut.because == "rare"
    assert np.mean(scores >= cut.score) == pytest.approx(0.01, abs=0.003)


def test_equal_pictures_and_few_pictures_give_no_gap() -> None:
    assert natural_cut(np.ones(2000, np.float32)) == Cut(1.0, "rare")
    assert natural_cut(np.linspace(0, 1, 27).astype(np.float32)) is None
    assert natural_cut(np.zeros(0, np.float32)) is None


def test_several_examples_with_words_among_them_take_no_automatic_threshold() -> None:
    words, other = Example(text="red"), Example(image_id=ImageId(UUID(int=1)))
    assert Query((words,), threshold="auto").threshold == "auto"
    assert Query((other, other), threshold="auto").threshold == "auto"
    with pytest.raises(ValidationError) as refused:
        Query((words, other), threshold="auto")
    assert refused.value.field_errors[0]["loc"] == ["threshold"]
    with pytest.raises(ValidationError, match="percentiles needs examples"):
        Query(percentiles=True)


def test_ordinary_words_are_taken_evenly() -> None:
    assert spread(10, 5) == [0, 2, 4, 6, 8]
    assert spread(3, 5) == [0, 1, 2]


def said(missed: list[float], *, fit: Fit | None = None, all_of_them: bool = True, more: bool = False) -> Relevance:
    """Of an answer without rows at the threshold 0.6."""
    ask = Likeness(Filter(Place([])), SpaceId(1), np.zeros(DIMENSION, np.float32), 0.6, 50)
    found = Found([], Plan("exact", ""), 9, 9, True, Steps(), missed=missed, missed_are_all=all_of_them)
    return relevance_of(ask, found, first=True, more=more, fit=fit)


def test_the_best_score_is_named_when_nothing_passes_and_near_misses_are_counted() -> None:
    relevance = said([0.59, 0.56, 0.4])
    assert (relevance.best, relevance.below, relevance.below_is) == (0.59, 2, "exact")
    assert relevance.below_from == pytest.approx(0.55)
    assert relevance.nothing_fits is None


def test_near_misses_that_were_not_all_fetched_are_at_least_so_many() -> None:
    assert said([0.59, 0.58], all_of_them=False).below_is == "at_least"
    assert said([0.59, 0.4], all_of_them=False).below_is == "exact"
    assert said([0.59], more=True).below is None


@pytest.mark.parametrize(
    ("fit", "verdict", "nothing"),
    [
        (Fit(0.7, known=True), "not_here", True),
        (Fit(0.5, known=True), None, False),
        (Fit(0.5, known=False), "unknown_words", True),
        (Fit(0.7, known=None), "not_here", True),
    ],
)
def test_nothing_fits_words_that_are_unknown_or_that_no_picture_comes_near(
    fit: Fit, verdict: str | None, nothing: bool
) -> None:
    relevance = said([0.59], fit=fit)
    assert (relevance.verdict, relevance.nothing_fits) == (verdict, nothing)
    assert said([], fit=Fit(0.5, known=True)).nothing_fits is None
