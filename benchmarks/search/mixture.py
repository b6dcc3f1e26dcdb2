"""Vectors that lie as image embeddings do: made from a seed, a cluster at a time, so that any amount fits in memory.

Clustered: 1000 clusters (weights ~ 1/sqrt(rank)) in a hierarchy of three levels under a common mean direction; inside a
cluster a random 50-dimensional subspace with a decaying spectrum, 15 % of the spread the same in every direction, and
2 % near-duplicates. Manifold: a random network of two layers bends 64 coordinates into 1152, without any cluster: what
is fast because of clusters is not fast here. Text-like: another cone, with a weak trace of one picture's direction, as
words have against pictures.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import numpy.typing as npt

from pictograph.types import DIMENSION

Vectors = npt.NDArray[np.float32]
Clusters = npt.NDArray[np.int64]

CLUSTERS = 1000
FAMILIES = (10, 100, CLUSTERS)
"""How many directions each level of the hierarchy has."""
SHARES = (0.20, 0.12, 0.17, 0.51)
"""Of a centre's squared length: the common mean, then each level."""
SUBSPACE = 50
ISOTROPIC = 0.15
SPREADS = (0.12, 0.65)
"""Least and greatest squared distance of a cluster's points from its centre, before they are brought to length 1."""
DUPLICATES = 0.02
DUPLICATE_NOISE = 0.15
TEXT_TRACE = 0.32
"""Share of a text-like vector that is a picture's direction; the rest is its own cone, and noise."""
TEXT_CONE = 0.75
LATENT, HIDDEN = 64, 512


class Source(Protocol):
    """Where vectors come from."""

    clusters: int
    """How many there are to choose from; 1 if the data has none."""

    def weights(self) -> npt.NDArray[np.float64]:
        """How often each cluster occurs; the sum is 1."""

    def sample(self, cluster: int, count: int, random: np.random.Generator) -> Vectors:
        """float32 (count, 1152), of length 1, of one cluster."""


def normalized(vectors: Vectors) -> Vectors:
    unit: Vectors = vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)
    return unit


def directions(seed: tuple[int, ...], count: int) -> Vectors:
    """Random unit vectors, float32 (count, 1152): the same for the same seed."""
    return normalized(np.random.default_rng(seed).standard_normal((count, DIMENSION), np.float32))


@dataclass
class Mixture:
    """The clustered source."""

    seed: int = 0
    clusters: int = CLUSTERS
    _centres: Vectors = field(init=False)

    def __post_init__(self) -> None:
        centres = np.sqrt(SHARES[0]) * directions((self.seed, 0), 1)
        for level, (share, count) in enumerate(zip(SHARES[1:], FAMILIES, strict=True), start=1):
            family = np.arange(self.clusters) * count // self.clusters
            centres = centres + np.sqrt(share) * directions((self.seed, level), count)[family]
        self._centres = normalized(centres)

    def weights(self) -> npt.NDArray[np.float64]:
        weights = 1 / np.sqrt(np.arange(1, self.clusters + 1))
        np.random.default_rng((self.seed, 4)).shuffle(weights)
        shares: npt.NDArray[np.float64] = weights / weights.sum()
        return shares

    def sample(self, cluster: int, count: int, random: np.random.Generator) -> Vectors:
        own = np.random.default_rng((self.seed, 5, cluster))
        spread = own.uniform(*SPREADS)
        basis = own.standard_normal((SUBSPACE, DIMENSION), np.float32) / np.sqrt(DIMENSION)
        spectrum = 1 / np.sqrt(np.arange(1, SUBSPACE + 1, dtype=np.float32))
        spectrum *= np.sqrt(spread * (1 - ISOTROPIC) / np.sum(spectrum**2))
        inside = (random.standard_normal((count, SUBSPACE), np.float32) * spectrum) @ basis
        around = random.standard_normal((count, DIMENSION), np.float32) * np.sqrt(spread * ISOTROPIC / DIMENSION)
        return with_duplicates(normalized(self._centres[cluster] + inside + around), random)


def with_duplicates(vectors: Vectors, random: np.random.Generator) -> Vectors:
    """Some rows become nearly another one."""
    copies = np.flatnonzero(random.random(len(vectors)) < DUPLICATES)
    noise = random.standard_normal((len(copies), DIMENSION), np.float32) * (DUPLICATE_NOISE / np.sqrt(DIMENSION))
    originals = vectors[random.integers(0, len(vectors), len(copies))]
    vectors[copies] = normalized(originals + noise.astype(np.float32))
    return vectors


@dataclass
class Manifold:
    """The source without clusters."""

    seed: int = 0
    clusters: int = 1
    _layers: list[Vectors] = field(init=False)

    def __post_init__(self) -> None:
        random = np.random.default_rng((self.seed, 6))
        shapes = [(LATENT, HIDDEN), (HIDDEN, HIDDEN), (HIDDEN, DIMENSION)]
        self._layers = [random.standard_normal(shape, np.float32) / np.sqrt(np.float32(shape[0])) for shape in shapes]

    def weights(self) -> npt.NDArray[np.float64]:
        return np.ones(1)

    def sample(self, cluster: int, count: int, random: np.random.Generator) -> Vectors:
        del cluster
        vectors = random.standard_normal((count, LATENT), np.float32)
        for layer in self._layers[:-1]:
            vectors = np.tanh(1.5 * (vectors @ layer))
        mean = 0.4 * np.sqrt(np.float32(DIMENSION)) * directions((self.seed, 7), 1)
        return normalized(vectors @ self._layers[-1] + 0.6 * mean)


def text_like(pictures: Vectors, seed: int, random: np.random.Generator) -> Vectors:
    """For each picture's vector one as words for it may have: float32 (N, 1152), of length 1."""
    cone = directions((seed, 8), 1)
    noise = normalized(random.standard_normal(pictures.shape, np.float32))
    rest = np.sqrt(1 - TEXT_TRACE**2 - TEXT_CONE**2)
    return normalized(TEXT_TRACE * pictures + TEXT_CONE * cone + rest * noise)


SOURCES: dict[str, type[Mixture] | type[Manifold]] = {"clustered": Mixture, "manifold": Manifold}
