"""One byte for each probability: what comes back is what a tagger saw."""

from __future__ import annotations

import numpy as np
import pytest

from pictograph.encode.evidence import as_kept, packed, unpacked


def test_probabilities_come_back_within_a_thirtieth() -> None:
    evidence = np.geomspace(2e-7, 1.0, 5000).astype(np.float32)
    kept = packed(evidence)
    assert len(kept) == 5000
    assert np.abs(unpacked(kept) / evidence - 1).max() < 0.033


def test_certainty_and_impossibility_are_exact() -> None:
    assert unpacked(packed(np.array([1.0, 0.0, 1e-9], np.float32))).tolist() == [1.0, 0.0, 0.0]


def test_what_was_kept_once_stays_as_it_is() -> None:
    evidence = np.random.default_rng(0).dirichlet(np.full(1000, 0.1), 8).astype(np.float32)
    once = as_kept(evidence)
    assert once.shape == evidence.shape
    assert once.dtype == np.float32
    assert (as_kept(once) == once).all()
    assert np.abs(once.sum(axis=1) - 1).max() < 0.02


@pytest.mark.parametrize("shape", [(0, 1000), (3, 0)])
def test_nothing_is_kept_of_nothing(shape: tuple[int, int]) -> None:
    assert as_kept(np.empty(shape, np.float32)).shape == shape
