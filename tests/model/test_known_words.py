"""Words that mean nothing are told from those that the offline encoder knows by sight."""

from __future__ import annotations

import pytest
from benchmarks.relevance import nonsense, read

from pictograph.encode.offline import OfflineEncoder
from pictograph.tagging.taxonomy import load_taxonomy


@pytest.fixture(scope="module")
def encoder() -> OfflineEncoder:
    return OfflineEncoder.load(threads=2)


def known(encoder: OfflineEncoder, words: list[str]) -> list[bool | None]:
    _, fits = read(encoder, words)
    assert fits is not None
    return [fit.known for fit in fits]


def test_nonsense_is_unknown_and_labels_with_classes_are_known(encoder: OfflineEncoder) -> None:
    labels = [one.name for one in load_taxonomy().labels if one.category == "objects" and one.imagenet_classes]
    told = known(encoder, labels)
    assert sum(map(bool, told)) >= 0.98 * len(labels)
    assert sum(map(bool, known(encoder, nonsense()))) <= 0.05 * len(nonsense())


def test_a_text_about_a_thing_is_known_and_one_about_none_is_not(encoder: OfflineEncoder) -> None:
    texts = {"a dog on grass": True, "a red car at night": True, "tax return": False, "interest rate": False}
    assert known(encoder, list(texts)) == list(texts.values())
