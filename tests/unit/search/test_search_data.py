"""The corpus that everybody is measured on: it lies as image embeddings do, and its right answers are right."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from benchmarks.search.data import Data, nearest, prepare, recall
from benchmarks.search.measure import Cell, plan
from benchmarks.search.mixture import SOURCES, Mixture, normalized, text_like

SIZE = 4_000


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Data:
    return prepare("clustered", SIZE, tmp_path_factory.mktemp("corpus"))


def pair_cosines(vectors: np.ndarray) -> np.ndarray:
    left, right = np.random.default_rng(0).integers(0, len(vectors), (2, 20_000))
    return np.einsum("ij,ij->i", vectors[left], vectors[right])[left != right]


def test_every_vector_has_length_1_and_the_same_seed_gives_the_same_corpus(data: Data, tmp_path: Path) -> None:
    assert np.linalg.norm(data.vectors, axis=1) == pytest.approx(1, abs=1e-5)
    again = prepare("clustered", SIZE, tmp_path)
    assert np.array_equal(again.vectors, data.vectors)
    assert all(np.array_equal(again.queries[kind], data.queries[kind]) for kind in data.queries)


def test_random_pairs_are_as_far_apart_as_those_the_reference_corpus_has(data: Data) -> None:
    """There: mean 0.16, 5th percentile 0.06, 95th 0.27. Tolerances are the spread between seeds, and a bit."""
    cosines = pair_cosines(data.vectors)
    assert cosines.mean() == pytest.approx(0.16, abs=0.02)
    assert np.percentile(cosines, 5) == pytest.approx(0.06, abs=0.05)
    assert np.percentile(cosines, 95) == pytest.approx(0.27, abs=0.04)


def test_clusters_are_as_tight_as_those_of_the_reference_corpus() -> None:
    """There: from 0.59 to 0.89."""
    random, mixture = np.random.default_rng(0), Mixture()
    means = []
    for cluster in range(0, 1000, 25):
        vectors = mixture.sample(cluster, 60, random)
        means.append((np.sum(vectors @ vectors.T) - 60) / (60 * 59))
    assert min(means) == pytest.approx(0.59, abs=0.05)
    assert max(means) == pytest.approx(0.89, abs=0.03)


def test_text_like_vectors_are_far_from_every_picture_and_still_nearest_to_their_own(data: Data) -> None:
    """There the nearest picture has cosine 0.26 among 100,000."""
    assert np.max(data.queries["text"] @ data.vectors.T, axis=1).mean() == pytest.approx(0.27, abs=0.04)
    pictures = Mixture().sample(3, 50, np.random.default_rng(0))
    words = text_like(pictures, 0, np.random.default_rng(1))
    others = np.asarray(data.vectors[:500])
    assert np.mean(np.sum(words * pictures, axis=1) > np.max(words @ others.T, axis=1)) > 0.9


def test_the_manifold_has_no_clusters() -> None:
    vectors = SOURCES["manifold"]().sample(0, 3000, np.random.default_rng(0))
    nearest_other = np.sort(vectors[:200] @ vectors.T, axis=1)[:, -2]
    assert nearest_other.max() < 0.75, "clustered data has neighbours at 0.8 and more"
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(1, abs=1e-5)


def test_scopes_are_nested_folders_of_contiguous_rows(data: Data) -> None:
    for path, scope in data.scopes.items():
        rows = np.flatnonzero(np.isin(data.bands, scope.bands))
        assert rows.tolist() == list(range(scope.start, scope.start + scope.size))
        assert all(data.folders[band].startswith(path) for band in scope.bands)
    assert sorted(scope.size for scope in data.scopes.values()) == [10, 10, 100, 100, 1000, 1000, SIZE]


def test_content_folders_show_what_in_questions_ask_and_mixed_folders_do_not(data: Data) -> None:
    content = data.vectors[data.scope_of("in", 1000).rows]
    inside = np.max(data.queries["in-1000"] @ content.T, axis=1).mean()
    outside = np.max(data.queries["mixed"] @ content.T, axis=1).mean()
    assert inside > 0.65
    assert outside < 0.45
    assert data.scope_of("mixed", 100).start >= 1000


def test_the_right_answers_are_those_of_a_plain_sort_in_float64() -> None:
    random = np.random.default_rng(0)
    vectors = normalized(random.standard_normal((700, 1152), np.float32))
    queries = normalized(random.standard_normal((5, 1152), np.float32))
    cosines = queries.astype(np.float64) @ vectors.astype(np.float64).T
    assert np.array_equal(nearest(vectors, queries, 20), np.argsort(-cosines, axis=1)[:, :20])
    assert nearest(vectors[:7], queries, 20).shape == (5, 7)


def test_the_right_answers_do_not_depend_on_the_chunks(monkeypatch: pytest.MonkeyPatch, data: Data) -> None:
    whole = nearest(data.vectors, data.queries["mixed"][:10], 50)
    monkeypatch.setattr("benchmarks.search.data.CHUNK", 300)
    assert np.array_equal(nearest(data.vectors, data.queries["mixed"][:10], 50), whole)


def test_truth_numbers_the_rows_of_the_corpus_and_has_the_whole_scope_where_that_is_less(data: Data) -> None:
    questions = data.questions("in", 10, 50)
    truth = data.truth(questions)
    assert truth.shape == (100, 10)
    assert {*truth[0].tolist()} == {*range(10)}
    mixed = data.questions("mixed", 100, 50)
    assert data.truth(mixed).min() >= data.scope_of("mixed", 100).start
    assert data.truth(mixed).shape == (100, 50)


def test_recall_counts_right_rows_in_any_order_and_missing_ones_against_it() -> None:
    truth = np.array([[1, 2, 3, 4], [5, 6, 7, 8]])
    assert recall([[4, 3, 2, 1], [5, 6, 7, 8]], truth) == 1
    assert recall([[1, 2, 9, 9], []], truth) == 0.25


def test_the_plan_asks_no_question_that_has_no_scope() -> None:
    cells = plan([10, 1000], ["mixed", "in", "out", "text"], [50, 500], [1, 8])
    assert len(set(cells)) == len(cells)
    assert {cell.kind for cell in cells if cell.scope is None} == {"mixed", "text"}
    assert Cell("mixed", 1000, 50, 8) in cells
    assert Cell("out", 10, 500, 1) in cells
