"""Codes of one space's vectors, in two steps: one bit a dimension names a shortlist, four bits refine it.

Source: RaBitQ (arXiv:2405.12497) for the coarse codes; the Wiener filter for words is derived in `likely`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

import faiss
import numpy as np
import numpy.typing as npt

from pictograph.search.memory.arrays import Bytes, FloatArray
from pictograph.types import DIMENSION

Kind: TypeAlias = Literal["image", "text"]
"""What a query vector was made of."""

QUERY_BITS: Final = 4
SEED: Final = 7
RANGE: Final = 2.5
"""Standard deviations around the mean that the 16 steps of a fine code cover."""
SIGN_ERROR: Final = math.pi / 2 - 1
"""Squared error of a vector known by its signs alone, as a share of its squared length."""
LEAST_SAMPLED: Final = 100
"""With fewer vectors nothing is known of how they lie: then they are taken to lie anywhere."""


@cache
def rotation() -> FloatArray:
    """A random rotation, float32 (1152, 1152); making it takes a good second, so quantisers keep theirs."""
    matrix = faiss.RandomRotationMatrix(DIMENSION, DIMENSION)
    matrix.init(SEED)
    turned: FloatArray = faiss.vector_to_array(matrix.A).reshape(DIMENSION, DIMENSION)
    return turned


@dataclass(frozen=True, slots=True)
class Query:
    """A query vector as the codes see it; float32 (1, 1152) each."""

    coarse: FloatArray
    fine: FloatArray


class Quantiser:
    """Makes and compares the codes of one space, around the middle of its vectors. Thread-safe.

    turn: float32 (1152, 1152), a rotation. centre: float32 (1152,), rotated. words: float32 (1152, 1152), the part of a
    query of words that vectors make likely. trained: float32 (2 * 1152,), the fine codes' range. All four are what
    `save` keeps.
    """

    def __init__(self, turn: FloatArray, centre: FloatArray, words: FloatArray, trained: FloatArray) -> None:
        self._turn, self._centre, self._words, self._trained = turn, centre, words, trained
        self._rotation, self._likely = linear(turn), linear(words)
        self._template = self.empty_coarse()
        self._fine = empty_fine()
        faiss.copy_array_to_vector(np.ascontiguousarray(trained), self._fine.sq.trained)
        self._fine.is_trained = True

    @classmethod
    def fitted(cls, sample: FloatArray) -> Quantiser:
        """sample: some of the space's vectors, float32 (N, 1152)."""
        if len(sample) < LEAST_SAMPLED:
            return unfitted()
        middle = sample.mean(axis=0)
        centre, around = rotation() @ middle, (sample - middle) @ rotation().T
        fine = empty_fine()
        fine.train(around)
        words = likely(*spread(around)).astype(np.float32)
        return cls(rotation(), centre, words, faiss.vector_to_array(fine.sq.trained))

    def save(self, path: Path) -> None:
        """Writes what `load` needs."""
        with path.open("wb") as file:
            np.savez(file, turn=self._turn, centre=self._centre, words=self._words, trained=self._trained)

    @classmethod
    def load(cls, path: Path) -> Quantiser:
        """The quantiser that `save` wrote."""
        with np.load(path) as kept:
            return cls(kept["turn"], kept["centre"], kept["words"], kept["trained"])

    def codes(self, vectors: FloatArray) -> tuple[Bytes, Bytes]:
        """Coarse, uint8 (N, 152), and fine, uint8 (N, 576), of float32 (N, 1152)."""
        # NumPy's BLAS knows this processor, faiss's often does not: of many vectors, that is a sixth of the time.
        turned = np.ascontiguousarray(vectors, np.float32) @ self._turn.T
        coarse: Bytes = self._template.sa_encode(turned)
        fine: Bytes = self._fine.sa_encode(turned - self._centre)
        return coarse, fine

    def query(self, vector: FloatArray, kind: Kind) -> Query:
        """vector: float32 (1152,).

        Words point mostly where no picture is. For the ranking that part means nothing, but codes misjudge in
        proportion to the query's length, so it is left out. Of a picture it would leave out what tells it from others.
        """
        fine = self._rotation.apply(np.ascontiguousarray(vector.reshape(1, -1), dtype=np.float32))
        if kind == "text":
            return Query(self._centre + self._likely.apply(fine - self._centre), fine)
        return Query(fine, fine)

    def refine(self, query: Query, fine: Bytes, count: int) -> npt.NDArray[np.int64]:
        """Which rows of `fine`, uint8 (N, 576), are nearest: `count` at most, best first."""
        if not len(fine):
            return np.zeros(0, np.int64)
        index = faiss.clone_index(self._fine)
        index.add_sa_codes(fine)
        _, rows = index.search(query.fine, min(count, len(fine)))
        return np.asarray(rows[0], np.int64)

    def empty_coarse(self) -> Any:
        """A faiss index that coarse codes of this quantiser can be added to."""
        index = faiss.IndexRaBitQ(DIMENSION, faiss.METRIC_L2)
        faiss.copy_array_to_vector(self._centre, index.center)
        index.is_trained = True
        index.qb = QUERY_BITS
        return index


def empty_fine() -> Any:
    """An untrained faiss index of fine codes."""
    index = faiss.IndexScalarQuantizer(DIMENSION, faiss.ScalarQuantizer.QT_4bit, faiss.METRIC_INNER_PRODUCT)
    index.sq.rangestat, index.sq.rangestat_arg = faiss.ScalarQuantizer.RS_meanstd, RANGE
    return index


@cache
def unfitted() -> Quantiser:
    """The quantiser for vectors of which nothing is known."""
    return Quantiser.fitted(anywhere())


def anywhere() -> FloatArray:
    """Vectors without any order, float32 (1000, 1152), of length 1."""
    vectors = np.random.default_rng(SEED).standard_normal((1000, DIMENSION), np.float32)
    unit: FloatArray = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return unit


def spread(around: FloatArray) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Variances, rising, float64 (1152,), along the axes that are the columns of float64 (1152, 1152).

    around: vectors about their middle, float32 (N, 1152). Their covariance is estimated as arXiv:0907.4698 has it
    (OAS): some thousand vectors are few for 1152 dimensions.
    """
    count, dimensions = around.shape
    covariance = (around.T @ around).astype(np.float64) / count
    trace, squared = float(np.trace(covariance)), float((covariance**2).sum())
    spherical = squared - trace**2 / dimensions
    share = ((1 - 2 / dimensions) * squared + trace**2) / ((count + 1 - 2 / dimensions) * spherical) if spherical else 1
    covariance *= 1 - min(1.0, share)
    covariance[np.diag_indices(dimensions)] += min(1.0, share) * trace / dimensions
    variances, axes = np.linalg.eigh(covariance)
    return np.maximum(variances, 1e-12), axes


def likely(variances: npt.NDArray[np.float64], axes: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """What turns a query into the one whose products with coarse codes are closest to its own with the vectors.

    Returns float64 (1152, 1152), symmetric. A coarse code is its vector plus an error alike in all directions, so the
    best linear estimate weighs each axis by its share of vector in vector and error (Wiener).
    """
    error = SIGN_ERROR * variances.mean()
    weighed: npt.NDArray[np.float64] = (axes * (variances / (variances + error))) @ axes.T
    return weighed


def linear(matrix: FloatArray) -> Any:
    """faiss's way to multiply rows by a matrix, (M, N): on one thread, which numpy does not promise."""
    transform = faiss.LinearTransform(matrix.shape[1], matrix.shape[0], False)
    faiss.copy_array_to_vector(np.ascontiguousarray(matrix, dtype=np.float32).ravel(), transform.A)
    transform.is_trained = True
    return transform
