"""Groups without chaining: images in their order, each with the nearest leader before it, or a leader itself. Pure.

A leader is an image that is no near-duplicate of any leader before it; every other image has one that it is a
near-duplicate of, and belongs to the nearest of those. So members of a group are all within the threshold of its
leader, leaders are not of each other, and images that come later change nothing of what was found: they are added.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Final

import numpy as np

from pictograph.duplicates.hashes import HashIndex
from pictograph.duplicates.measuring import Images
from pictograph.duplicates.rule import UNKNOWN_BITS, Measured, Rule, hash_bits
from pictograph.duplicates.vectors import SAMPLED, Near, Projection, VectorIndex, reach
from pictograph.search.memory.arrays import NO_ROWS, FloatArray, Rows

BLOCK: Final = 512
"""Images that are compared together. Many more, and a library in which all are alike would need much memory."""
SEED: Final = 5


@dataclass(frozen=True, slots=True)
class Links:
    """Which images belong to which leader."""

    members: Rows
    """Places, none twice."""
    leaders: Rows
    """The leader of each."""
    measured: Measured
    """Of each with its leader."""


NO_LINKS: Final = Links(NO_ROWS, NO_ROWS, Measured(np.zeros(0, np.int64), np.zeros(0, bool), np.zeros(0, np.float32)))


def linked(
    images: Images,
    rule: Rule,
    fresh: Rows,
    leaders: Rows = NO_ROWS,
    *,
    may_lead: bool = True,
    helpers: Executor | None = None,
    told: Callable[[int], None] = lambda _: None,
) -> Links:
    """The links of the places `fresh`, which rise, to leaders among those that are known and, in turn, themselves.

    may_lead: else only the known ones are leaders, as between two datasets. told: is called with how many are done.
    """
    search = Search(images, rule, helpers)
    for start in range(0, len(leaders), BLOCK):
        search.add(leaders[start : start + BLOCK])
    found = []
    for start in range(0, len(fresh), BLOCK):
        block = fresh[start : start + BLOCK]
        found.append(block_links(search, block, may_lead=may_lead))
        told(start + len(block))
    return joined(found)


def joined(parts: list[Links]) -> Links:
    """All links together."""
    if not parts:
        return NO_LINKS
    return Links(
        np.concatenate([part.members for part in parts]),
        np.concatenate([part.leaders for part in parts]),
        Measured.joined([part.measured for part in parts]),
    )


class Search:
    """Finds near-duplicates among the leaders so far."""

    def __init__(self, images: Images, rule: Rule, helpers: Executor | None) -> None:
        self._images, self.rule = images, rule
        self._hashes = HashIndex(rule.bits)
        self._projection = Projection.fitted(sample_of(images), rule.least_cosine, rule.cosine)
        self._vectors = VectorIndex(self._projection.width, rule.least_cosine, helpers)
        self._leads = np.zeros(len(images), bool)

    def add(self, leaders: Rows) -> None:
        """From now on they are found."""
        self._leads[leaders] = True
        hashed = leaders[self._images.hashed[leaders]]
        self._hashes.add(self._images.hashes[hashed], hashed)
        seen = leaders[self._images.vectors.has[leaders]]
        if len(seen):
            self._vectors.add(self._projection.of(self._images.vectors.take(seen)), seen)

    def pairs(self, block: Rows, *, among: bool) -> tuple[Rows, Rows, Measured]:
        """Near-duplicates, each pair once, sorted by the first: places of the block, and leaders or, if `among`,
        places of the block before them."""
        images = self._images
        hashed, seen = block[images.hashed[block]], block[images.vectors.has[block]]
        parts = [pick(hashed, self._hashes.near(images.hashes[hashed]))]
        if len(seen):
            projected = self._projection.of(images.vectors.take(seen))
            parts.append(self._by_vector(seen, self._vectors.near(projected)))
            if among:
                own = VectorIndex(self._projection.width, self.rule.least_cosine)
                own.add(projected, seen)
                parts.append(self._by_vector(seen, own.near(projected)))
        if among:
            bits, _ = hash_bits(images.hashes[hashed][:, None], images.hashes[hashed])
            one, other = np.nonzero(bits <= self.rule.bits)
            parts.append((hashed[one], hashed[other]))
        return self._near(np.concatenate([one for one, _ in parts]), np.concatenate([other for _, other in parts]))

    def _by_vector(self, seen: Rows, found: Near) -> tuple[Rows, Rows]:
        """Without the pairs whose vectors alone cannot be near enough, and whose hashes do not help."""
        one, other = seen[found.places], found.numbers
        images = self._images
        bits, _ = hash_bits(images.hashes[one], images.hashes[other])
        helped = (bits <= self.rule.both_bits) & images.hashed[one] & images.hashed[other]
        possible = helped | (found.squared <= reach(self.rule.cosine))
        return one[possible], other[possible]

    def _near(self, later: Rows, earlier: Rows) -> tuple[Rows, Rows, Measured]:
        """Those of the pairs that are near-duplicates, each once, sorted; the first is the later image of the two, or
        the second a leader."""
        images = self._images
        keys = np.unique(later * len(images) + earlier)
        later, earlier = keys // len(images), keys % len(images)
        usable = images.may_pair(later, earlier) & (later != earlier) & ((later > earlier) | self._leads[earlier])
        later, earlier = later[usable], earlier[usable]
        measured = images.measured(later, earlier)
        near = self.rule.holds(measured)
        return later[near], earlier[near], measured.take(near)


def pick(block: Rows, found: tuple[Rows, Rows]) -> tuple[Rows, Rows]:
    """The pairs with places of the library, not of the block."""
    return block[found[0]], found[1]


def block_links(search: Search, block: Rows, *, may_lead: bool) -> Links:
    """Links of the next images; those that have no leader are leaders of what follows."""
    later, earlier, measured = search.pairs(block, among=may_lead)
    if may_lead:
        following = followers(later, earlier)
        usable = ~np.isin(earlier, following)
        later, earlier, measured = later[usable], earlier[usable], measured.take(usable)
        search.add(block[~np.isin(block, following)])
        kept = np.isin(later, following)
        later, earlier, measured = later[kept], earlier[kept], measured.take(kept)
    best = nearest_of_each(later, earlier, measured, search.rule.bits)
    return Links(later[best], earlier[best], measured.take(best))


def followers(later: Rows, earlier: Rows) -> Rows:
    """Those of a block that have a leader: one after the other, in their order. later: rises."""
    following: set[int] = set()
    starts = np.flatnonzero(np.diff(later, prepend=-1))
    for start, end in zip(starts.tolist(), [*starts[1:].tolist(), len(later)], strict=False):
        if any(other not in following for other in earlier[start:end].tolist()):
            following.add(int(later[start]))
    return np.array(sorted(following), np.int64)


def nearest_of_each(later: Rows, earlier: Rows, measured: Measured, most_bits: int) -> Rows:
    """For each image the pair with its nearest leader: fewest bits first, then by the cosine, then the older one.

    Hashes that do not match say nothing of how near a pair is.
    """
    cosines = np.nan_to_num(measured.cosines, nan=-2.0)
    bits = np.where(measured.bits > most_bits, UNKNOWN_BITS, measured.bits)
    order = np.lexsort((earlier, -cosines, bits, later))
    return order[np.flatnonzero(np.diff(later[order], prepend=-1))]


def sample_of(images: Images) -> FloatArray:
    """Some vectors, the same for the same images, float32 (N, 1152), N >= 1."""
    rows = np.flatnonzero(images.vectors.has)
    if not len(rows):
        return np.zeros((1, 1), np.float32)
    random = np.random.default_rng(SEED)
    chosen = rows if len(rows) <= SAMPLED else np.sort(random.choice(rows, SAMPLED, replace=False))
    return images.vectors.take(chosen)
