"""Groups are what comparing every pair gives, whatever the library looks like and however it comes."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pictograph.duplicates import groups, vectors
from pictograph.duplicates.groups import Links, linked
from pictograph.duplicates.hashes import HashIndex
from pictograph.duplicates.measuring import Images
from pictograph.duplicates.rule import Hashes, Measured, Rule, hash_bits
from pictograph.duplicates.vectors import Projection, VectorIndex, reach, squared
from pictograph.search.memory.arrays import FloatArray, Mask, Rows
from pictograph.upload.perceptual_hash import mirrored

RULE = Rule(bits=8, confirming=0.8, sure_bits=4, cosine=0.95, both_bits=14, both_cosine=0.9)
NO_PAIRS = np.zeros((0, 2), np.int64)


@dataclass(frozen=True)
class InMemory:
    has: Mask
    rows: FloatArray

    def take(self, rows: Rows) -> FloatArray:
        assert self.has[rows].all()
        return self.rows[rows]


def library(seed: int, count: int = 300, width: int = 40, told_apart: int = 0) -> Images:
    """Copies of a few pictures, changed more or less: most pairs are near some bound of the rule."""
    random = np.random.default_rng(seed)
    of = random.integers(0, max(1, count // 6), count)
    originals = random.standard_normal((count, width)).astype(np.float32)
    strength = random.choice([0.0, 0.02, 0.04, 0.06], count).astype(np.float32)
    vectors = originals[of] / np.sqrt(width) + strength[:, None] * random.standard_normal((count, width))
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    hashes = random.integers(0, 2**64, count, np.uint64)[of]
    hashes[of == 0] = 0
    for _ in range(6):
        flipped = random.random(count) < 0.6
        hashes = np.where(flipped, hashes ^ (np.uint64(1) << random.integers(0, 64, count, np.uint64)), hashes)
    pairs = np.sort(random.integers(0, count, (told_apart, 2)), axis=1)
    return Images(
        hashes=hashes,
        hashed=random.random(count) < 0.9,
        vectors=InMemory(random.random(count) < 0.9, vectors),
        told_apart=pairs[pairs[:, 0] != pairs[:, 1]],
    )


def brute_force(images: Images, rule: Rule) -> dict[int, int]:
    """Member -> leader, by the words of the definition."""
    count = len(images)
    one, other = np.tril_indices(count, -1)
    measured = images.measured(one, other)
    near = rule.holds(measured) & images.may_pair(one, other)
    pairs: dict[int, list[tuple[int, float, int]]] = {}
    for place in np.flatnonzero(near).tolist():
        bits, cosine = int(measured.bits[place]), float(measured.cosines[place])
        nearness = (bits if bits <= rule.bits else 99, 2.0 if np.isnan(cosine) else -cosine, int(other[place]))
        pairs.setdefault(int(one[place]), []).append(nearness)
    following: dict[int, int] = {}
    for place in range(count):
        before = [pair for pair in pairs.get(place, []) if pair[2] not in following]
        if before:
            following[place] = min(before)[2]
    return following


def as_dict(links: Links) -> dict[int, int]:
    found = dict(zip(links.members.tolist(), links.leaders.tolist(), strict=True))
    assert len(found) == len(links.members)
    return found


@settings(deadline=None, max_examples=12)
@given(st.integers(0, 2**32 - 1), st.sampled_from([7, 64, 512]), st.sampled_from([0, 40]), st.sampled_from([1, 2000]))
def test_groups_are_those_of_comparing_every_pair(seed: int, block: int, told_apart: int, sampled: int) -> None:
    images = library(seed, told_apart=told_apart)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(vectors, "SAMPLED", sampled)  # with and without a projection
        patched.setattr(groups, "BLOCK", block)
        assert as_dict(linked(images, RULE, np.arange(len(images)))) == brute_force(images, RULE)


@settings(deadline=None, max_examples=4)
@given(st.integers(0, 2**32 - 1), st.integers(1, 299))
def test_images_that_come_later_change_nothing_of_what_was_found(seed: int, first: int) -> None:
    images = library(seed)
    before = linked(images, RULE, np.arange(first))
    leaders = np.setdiff1d(np.arange(first), before.members)
    after = linked(images, RULE, np.arange(first, len(images)), leaders)
    assert as_dict(before) | as_dict(after) == as_dict(linked(images, RULE, np.arange(len(images))))


def test_no_member_is_outside_the_threshold_of_its_leader_and_no_two_leaders_are_within() -> None:
    images = library(3, count=600)
    links = linked(images, RULE, np.arange(600))
    assert len(links.members) > 100
    assert RULE.holds(images.measured(links.members, links.leaders)).all()
    leaders = np.setdiff1d(np.arange(600), links.members)
    assert np.isin(links.leaders, leaders).all()
    one, other = np.array([(a, b) for a in leaders for b in leaders if b < a]).T
    assert not RULE.holds(images.measured(one, other)).any()


def test_between_two_sets_only_the_known_ones_lead() -> None:
    images = library(5)
    links = linked(images, RULE, np.arange(150, 300), np.arange(150), may_lead=False)
    one, other = (grid.ravel() for grid in np.meshgrid(np.arange(150, 300), np.arange(150), indexing="ij"))
    near = RULE.holds(images.measured(one, other))
    assert set(links.members.tolist()) == set(one[near].tolist())
    assert len(links.members) == len(set(links.members.tolist())) > 20
    assert (links.leaders < 150).all()


def test_with_helpers_the_same_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pictograph.duplicates.vectors.TILE", 16)
    images = library(7)
    with ThreadPoolExecutor(2) as helpers:
        found = linked(images, RULE, np.arange(300), helpers=helpers)
    assert as_dict(found) == brute_force(images, RULE)


def test_progress_is_told_to_the_end() -> None:
    told: list[int] = []
    linked(library(1, count=1200), RULE, np.arange(1200), told=told.append)
    assert told == [512, 1024, 1200]


@settings(deadline=None, max_examples=12)
@given(st.integers(0, 2**32 - 1), st.integers(0, 16))
def test_hash_index_misses_nothing(seed: int, bits: int) -> None:
    hashes = near_hashes(seed)
    index = HashIndex(bits)
    numbers = np.arange(len(hashes)) + 1000
    index.add(hashes[:50], numbers[:50])
    index.add(hashes[50:], numbers[50:])
    places, found = index.near(hashes)
    distances, _ = hash_bits(hashes[:, None], hashes[None])
    assert set(zip(places.tolist(), (found - 1000).tolist(), strict=True)) == set(
        zip(*(axis.tolist() for axis in np.nonzero(distances <= bits)), strict=True)
    )


def near_hashes(seed: int) -> Hashes:
    random = np.random.default_rng(seed)
    hashes = random.integers(0, 2**64, 4, np.uint64)[random.integers(0, 4, 120)]
    for _ in range(12):
        hashes ^= np.where(random.random(120) < 0.7, np.uint64(1) << random.integers(0, 64, 120, np.uint64), 0)
    hashes[::17] = 0
    return hashes


@settings(deadline=None, max_examples=8)
@given(st.integers(0, 2**32 - 1), st.sampled_from([0.8, 0.9, 0.99]))
def test_projected_vectors_near_enough_are_never_missed(seed: int, cosine: float) -> None:
    images = library(seed)
    rows = images.vectors.rows  # type: ignore[attr-defined]
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(vectors, "SAMPLED", 1)
        projection = Projection.fitted(rows, cosine, 0.99)
    assert projection.width < rows.shape[1]
    projected = projection.of(rows)
    index = VectorIndex(projection.width, cosine)
    index.add(projected, np.arange(len(rows)))
    by_index = index.near(projected)
    found = set(zip(by_index.places.tolist(), by_index.numbers.tolist(), strict=True))
    near = rows @ rows.T >= cosine
    assert found >= set(zip(*(axis.tolist() for axis in np.nonzero(near)), strict=True))
    distances = squared(projected, projected)
    assert (distances[near] <= reach(cosine)).all()
    assert by_index.squared == pytest.approx(distances[by_index.places, by_index.numbers], abs=1e-4)


def test_plain_pictures_are_no_near_duplicates_by_their_hashes() -> None:
    images = Images(np.zeros(3, np.uint64), np.ones(3, bool), InMemory(np.zeros(3, bool), np.zeros((3, 4))), NO_PAIRS)
    assert not len(linked(images, RULE, np.arange(3)).members)


@pytest.mark.parametrize(
    ("bits", "cosine", "expected"),
    [
        (8, 0.85, True),  # the hash, and the vector does not contradict
        (8, 0.7, False),  # it does
        (9, 0.85, False),
        (14, 0.92, True),  # both together
        (15, 0.92, False),
        (14, 0.89, False),
        (99, 0.96, True),  # the vector alone
        (99, 0.94, False),
        (4, np.nan, True),  # the hash alone
        (5, np.nan, False),
        (99, np.nan, False),
    ],
)
def test_the_rule(bits: int, cosine: float, expected: bool) -> None:
    measured = Measured(np.array([bits]), np.zeros(1, bool), np.array([cosine], np.float32))
    assert RULE.holds(measured).tolist() == [expected]


def test_a_mirrored_hash_is_told() -> None:
    hashes = near_hashes(2)[1:9]
    bits, turned = hash_bits(hashes, mirrored(hashes))
    assert bits.tolist() == [0] * 8
    assert turned.all()
    assert not hash_bits(hashes, hashes)[1].any()


def test_thresholds_are_on_the_scale_of_similarities() -> None:
    plain, stretched = Rule.of(0.96, 10), Rule.of(0.96, 10, stretch=2.0)
    assert (plain.cosine, plain.both_cosine) == pytest.approx((0.96, 0.9))
    assert (stretched.cosine, stretched.both_cosine) == pytest.approx((0.98, 0.95))
    assert Rule.of(1.0, 0).both_bits == 0
