"""What answers say of their scores: from the index and from the table alike, and stale samples are taken anew."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pictograph.encode.protocol import FloatArray
from pictograph.search import relevance
from pictograph.search.engine import SearchEngine
from pictograph.search.query import SimilarQuery, TextQuery
from pictograph.store.datasets import Dataset
from pictograph.types import DIMENSION, ImageId
from support.engines import ReadingEncoder, engine_of
from support.index import TestIndex
from support.planting import Garden, direction

CLUSTERS, EACH = 4, 12


def of_cluster(cluster: int, seed: int) -> FloatArray:
    """About 0.64 to another of its cluster, about 0 to all others."""
    vector = np.random.default_rng(seed).normal(size=DIMENSION).astype(np.float32)
    vector /= np.linalg.norm(vector)
    vector = vector * 0.6
    vector[cluster] += 0.8
    return (vector / np.linalg.norm(vector)).astype(np.float32)


@pytest.fixture
async def street(garden: Garden) -> Dataset:
    return await garden.dataset()


@pytest.fixture
async def images(garden: Garden, street: Dataset) -> list[ImageId]:
    """Four clusters of twelve, one after the other."""
    return [
        await garden.plant(street, f"{cluster}-{number}.jpg", of_cluster(cluster, cluster * EACH + number))
        for cluster in range(CLUSTERS)
        for number in range(EACH)
    ]


@pytest.fixture
async def kept(database_url: str, tmp_path: Path, images: list[ImageId]) -> AsyncIterator[TestIndex]:
    index = TestIndex(database_url, tmp_path / "index")
    await index.up_to_date()
    yield index
    await index.close()


@pytest.fixture(params=["table", "index"])
def engine(garden: Garden, kept: TestIndex, request: pytest.FixtureRequest) -> SearchEngine:
    return engine_of(garden, index=kept.memory if request.param == "index" else None)


async def test_percentiles_are_those_of_all_pairs_where_all_pictures_are_sampled(
    garden: Garden, engine: SearchEngine, images: list[ImageId]
) -> None:
    answer = await engine.by_similarity(garden.organization, SimilarQuery(images[0], percentiles=True))
    vectors = np.stack([of_cluster(number // EACH, number) for number in range(len(images))])
    vectors = vectors.astype(np.float16).astype(np.float32)
    pairs = (vectors @ vectors.T)[np.triu_indices(len(images), 1)]
    scale = answer.relevance.scale
    assert scale is not None
    assert (scale.pictures, scale.of, len(scale.scores)) == (48, 48, 48 * 47 // 2)
    assert len(answer.rows) > 5
    for row in answer.rows:
        assert scale.percentile(row.similarity) == pytest.approx(100 * np.mean(pairs < row.similarity), abs=0.5)


async def test_auto_finds_the_cluster_and_nothing_else(
    garden: Garden, engine: SearchEngine, images: list[ImageId]
) -> None:
    for cluster in range(CLUSTERS):
        answer = await engine.by_similarity(garden.organization, SimilarQuery(images[cluster * EACH], "auto"))
        assert len(answer.rows) == EACH - 1
        assert {row.filename[0] for row in answer.rows} == {str(cluster)}
        assert answer.relevance.cut is not None
        assert answer.relevance.cut.because == "gap"
        assert answer.threshold == answer.relevance.cut.score


async def test_pages_of_auto_are_its_whole_answer(garden: Garden, engine: SearchEngine, images: list[ImageId]) -> None:
    found: list[ImageId] = []
    cursor = None
    while True:
        query = SimilarQuery(images[0], "auto", limit=4, cursor=cursor)
        answer = await engine.by_similarity(garden.organization, query)
        found += [row.id for row in answer.rows]
        cursor = answer.next_cursor
        assert (answer.relevance.below is None) == (cursor is not None)
        if cursor is None:
            break
    assert sorted(found) == sorted(images[1:EACH])


async def test_near_misses_and_the_best_score_are_told_by_index_and_table(
    garden: Garden, engine: SearchEngine, images: list[ImageId]
) -> None:
    everything = await engine.by_similarity(garden.organization, SimilarQuery(images[0], 0.0))
    scores = [row.similarity for row in everything.rows]
    threshold = scores[2] + 1e-6
    answer = await engine.by_similarity(garden.organization, SimilarQuery(images[0], threshold))
    assert len(answer.rows) == 2
    assert answer.relevance.best == scores[0]
    assert answer.relevance.below == sum(threshold - 0.05 <= score < threshold for score in scores)
    none = await engine.by_similarity(garden.organization, SimilarQuery(images[0], 0.99))
    assert none.rows == []
    assert none.relevance.best == scores[0]


async def test_a_sample_is_kept_and_taken_anew_when_its_scope_has_changed_or_it_is_old(
    garden: Garden, street: Dataset, images: list[ImageId], monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = engine_of(garden)

    async def scale() -> relevance.Scale:
        query = SimilarQuery(images[0], percentiles=True)
        found = (await engine.by_similarity(garden.organization, query)).relevance.scale
        assert found is not None
        return found

    first = await scale()
    await garden.plant(street, "one.jpg", of_cluster(0, 100))
    assert await scale() is first
    for number in range(2):
        await garden.plant(street, f"more{number}.jpg", of_cluster(1, 101 + number))
    second = await scale()
    assert (second is first, second.of) == (False, 51)
    assert await scale() is second
    monkeypatch.setattr(relevance, "FRESH_FOR", timedelta(0))
    assert await scale() is not second


async def test_a_few_pictures_give_no_scale_and_auto_is_the_default(garden: Garden, street: Dataset) -> None:
    first = await garden.plant(street, "0.jpg", of_cluster(0, 0))
    for number in range(1, 6):
        await garden.plant(street, f"{number}.jpg", of_cluster(0, number))
    engine = engine_of(garden)
    answer = await engine.by_similarity(garden.organization, SimilarQuery(first, "auto", percentiles=True))
    assert answer.relevance.scale is None
    assert answer.relevance.cut == relevance.Cut(0.6, "too_few_pictures")


async def test_nobody_who_does_not_ask_pays_for_a_sample(
    garden: Garden, images: list[ImageId], monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = engine_of(garden)

    async def sample(*_: Any) -> None:
        pytest.fail("a sample was taken")

    monkeypatch.setattr(engine.pipeline, "sample", sample)
    answer = await engine.by_similarity(garden.organization, SimilarQuery(images[0], 0.5))
    assert answer.relevance.scale is None
    assert answer.relevance.best is not None


class SightedEncoder(ReadingEncoder):
    """Reads `along 0.8` as that direction, and knows by sight what has a cosine of 0.5 and more with direction 1."""

    known_from = 0.5

    def reach(self, texts: FloatArray) -> FloatArray:
        return texts[:, 0]

    def encode_texts(self, texts: Sequence[str]) -> FloatArray:
        return super().encode_texts([text if text[-1].isdigit() else f"{text} 0.1" for text in texts])


@pytest.mark.parametrize(
    ("words", "best", "verdict"),
    [("along 0.9", 1.0, None), ("along 0.9", 0.1, "not_here"), ("along 0.2", 1.0, "unknown_words")],
)
async def test_words_that_nothing_fits_are_told(
    garden: Garden, street: Dataset, words: str, best: float, verdict: str | None
) -> None:
    await garden.plant(street, "best.jpg", direction(best))
    engine = engine_of(garden, encoder=SightedEncoder())
    answer = await engine.by_text(garden.organization, TextQuery(words))
    assert len(answer.rows) == 1
    assert (answer.relevance.verdict, answer.relevance.nothing_fits) == (verdict, verdict is not None)
    cut = await engine.by_text(garden.organization, TextQuery(words, threshold="auto"))
    assert len(cut.rows) == (0 if verdict else 1)


async def test_one_word_that_is_known_makes_a_text_known(garden: Garden, street: Dataset) -> None:
    await garden.plant(street, "best.jpg", direction(0.9))
    engine = engine_of(garden, encoder=SightedEncoder())
    for words, known in (("red 0.9 thing", True), ("red blue thing", False)):
        fit = (await engine.by_text(garden.organization, TextQuery(words))).relevance.fit
        assert fit is not None
        assert fit.known is known


async def test_scores_of_words_are_placed_among_ordinary_words(garden: Garden, street: Dataset) -> None:
    for number in range(10):
        await garden.plant(street, f"{number}.jpg", direction(number / 10))
    engine = engine_of(garden, encoder=ReadingEncoder(), ordinary_words=["along 0.0", "along 1.0"])
    answer = await engine.by_text(garden.organization, TextQuery("along 1.0", percentiles=True))
    scale = answer.relevance.scale
    assert scale is not None
    assert len(scale.scores) == 20
    assert scale.percentile(answer.rows[0].similarity) > 50
