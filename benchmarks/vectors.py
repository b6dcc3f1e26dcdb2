"""Vectors that are spread like those of image encoders, and questions to ask of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from pictograph.types import DIMENSION

Vectors: TypeAlias = npt.NDArray[np.float32]
QUERIES = 200
CLUSTERS = 1000


@dataclass
class Questions:
    """Unit vectors, all of them float32 (N, 1152)."""

    base: Vectors
    image: Vectors
    """Held out, from where the base is from."""
    text: Vectors
    """Out of distribution: a cone of their own with a weak signal, harsher than real words may be."""


def unit(vectors: Vectors) -> Vectors:
    vectors /= np.linalg.norm(vectors, axis=-1, keepdims=True)
    return vectors


def clustered(count: int, seed: int = 1) -> Questions:
    """1000 clusters in three levels around a common direction, 50 dimensions each and noise; 2 % near-duplicates."""
    chance = np.random.default_rng(seed)

    def normal(*shape: int) -> Vectors:
        return chance.standard_normal(shape, dtype=np.float32)

    top, middle, leaf, common = (unit(normal(n, DIMENSION)) for n in (20, 150, CLUSTERS, 1))
    parent, grandparent = chance.integers(0, 150, CLUSTERS), chance.integers(0, 20, 150)
    centres = unit(0.4 * common + 0.45 * top[grandparent[parent]] + 0.45 * middle[parent] + 0.55 * leaf)
    weights = 1 / np.sqrt(np.arange(1, CLUSTERS + 1))
    cluster = chance.choice(CLUSTERS, count + QUERIES, p=weights / weights.sum())
    spectrum = unit((1 / np.sqrt(np.arange(1, 51))).astype(np.float32))
    vectors = np.empty((count + QUERIES, DIMENSION), np.float32)
    for number in range(CLUSTERS):
        rows = np.flatnonzero(cluster == number)
        basis = normal(50, DIMENSION) / np.float32(DIMENSION**0.5)
        inside = np.float32(chance.uniform(0.45, 0.75)) * ((normal(len(rows), 50) * spectrum) @ basis)
        noise = normal(len(rows), DIMENSION) * np.float32(0.15 / DIMENSION**0.5)
        vectors[rows] = unit(centres[number] + inside + noise)
    twins = chance.choice(count, count // 50, replace=False)
    noise = normal(len(twins), DIMENSION) * np.float32(0.05 / DIMENSION**0.5)
    vectors[twins] = unit(vectors[chance.integers(0, count, len(twins))] + noise)
    signal = centres[chance.integers(0, CLUSTERS, QUERIES)] - centres.mean(0)
    return Questions(vectors[:count], vectors[count:], words(chance, signal))


def manifold(count: int, seed: int = 2) -> Questions:
    """No clusters: 64 dimensions through a random network."""
    chance = np.random.default_rng(seed)
    shapes = ((64, 512), (512, 512), (512, DIMENSION))
    weights = [chance.standard_normal(shape, dtype=np.float32) / np.float32(shape[0] ** 0.5) for shape in shapes]
    bias = 0.25 * chance.standard_normal(DIMENSION, dtype=np.float32)

    def drawn(rows: int) -> Vectors:
        inner = np.tanh(chance.standard_normal((rows, 64), dtype=np.float32) @ weights[0])
        return unit(np.tanh(1.5 * (inner @ weights[1])) @ weights[2] + bias)

    base = np.concatenate([drawn(min(20_000, count - at)) for at in range(0, count, 20_000)])
    return Questions(base, drawn(QUERIES), words(chance, drawn(QUERIES)))


def words(chance: np.random.Generator, signal: Vectors) -> Vectors:
    cone = unit(chance.standard_normal((1, DIMENSION), dtype=np.float32))
    noise = unit(chance.standard_normal((QUERIES, DIMENSION), dtype=np.float32))
    return unit(0.8 * cone + 0.3 * signal + 0.55 * noise)
