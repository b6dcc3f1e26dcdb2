"""Which tags a tagger can judge, and which of them are near one that it cannot: by kinship, group and name."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterable, Iterator
from functools import lru_cache
from typing import Final

from pictograph.tagging.offline import OfflineTagger
from pictograph.tagging.protocol import Tagger
from pictograph.tagging.taxonomy import Label, Taxonomy

MOST_NEAR: Final = 5
KIN, RELATED, NAME, WORD, GROUP, RIVAL = 10.0, 8.0, 6.0, 4.0, 2.0, 1.0
ALIKE: Final = 0.75
"""How alike two names must be to be each other's typo, 0 to 1."""
MOST_CHARACTERS: Final = 40
"""Of a made-up name that are compared."""
ELSEWHERE: Final = {
    "scenes/nighttime": ("attributes/dark", "attributes/low-light"),
    "scenes/dusk": ("attributes/dark", "attributes/low-light"),
    "scenes/dawn": ("attributes/low-light", "attributes/warm-toned"),
    "scenes/sunset": ("attributes/warm-toned", "attributes/orange-colored"),
    "scenes/sunrise": ("attributes/warm-toned", "attributes/orange-colored"),
    "scenes/golden hour": ("attributes/warm-toned", "attributes/orange-colored"),
    "scenes/sunny": ("attributes/bright", "scenes/daytime"),
    "attributes/low-key": ("attributes/dark", "attributes/low-light"),
    "attributes/high-key": ("attributes/bright",),
}
"""What the picture itself says where nothing of the same group can be judged."""


def is_judged(label: Label, tagger: Tagger | None) -> bool:
    """A tagger that reads prompts judges every label; the offline one needs classes or conditions."""
    return tagger is not None and (label.is_judged_offline or not isinstance(tagger, OfflineTagger))


def judged_keys(taxonomy: Taxonomy, tagger: Tagger | None) -> frozenset[str]:
    """Keys of the labels that a tagger can give; none without a tagger."""
    return frozenset(label.key for label in taxonomy.labels if is_judged(label, tagger))


def near_tags(taxonomy: Taxonomy, key: str, among: Collection[str]) -> list[str]:
    """Keys out of `among` that are near a tag (`scenes/nighttime`), the nearest first, MOST_NEAR at most.

    The tag need not be in the taxonomy: then names that are written like it, or share a word with it, are near; if none
    of these is there, what is near the tag of the same name in another category (`objects/nighttime`).
    """
    index = taxonomy.index_of.get(key)
    if index is not None:
        return nearest(by_kin(taxonomy, taxonomy.labels[index]), key, among)
    namesakes = [label for label in taxonomy.labels if label.name == key.partition("/")[2]]
    by_kinship = (pair for label in namesakes for pair in by_kin(taxonomy, label))
    return nearest(by_name(taxonomy, key), key, among) or nearest(by_kinship, key, among)


def nearest(scores: Iterable[tuple[str, float]], key: str, among: Collection[str]) -> list[str]:
    found = [(score, other) for other, score in scores if score and other in among and other != key]
    return [other for _, other in sorted(found, key=lambda item: (-item[0], item[1]))[:MOST_NEAR]]


def by_kin(taxonomy: Taxonomy, label: Label) -> Iterator[tuple[str, float]]:
    """Every label with how near it is."""
    above, related = taxonomy.ancestors(label), ELSEWHERE.get(label.key, ())
    rivals = {key for keys in taxonomy.exclusive if label.key in keys for key in keys}
    for other in taxonomy.labels:
        is_kin = other.key in above or (other.category == label.category and label.name in other.parents)
        is_sibling = (other.category, other.group) == (label.category, label.group)
        score = (
            KIN * is_kin + RELATED * (other.key in related) + WORD * len(words_of(label.name) & words_of(other.name))
        )
        yield other.key, score + is_sibling * (RIVAL if other.key in rivals else GROUP)


def by_name(taxonomy: Taxonomy, key: str) -> Iterator[tuple[str, float]]:
    """The labels whose name is alike, best in the same category."""
    category, _, name = key.partition("/")
    name = name[:MOST_CHARACTERS]
    alike = set(difflib.get_close_matches(name, all_names(taxonomy), 2 * MOST_NEAR, ALIKE))
    for other in taxonomy.labels:
        score = NAME * (other.name in alike) + WORD * len(words_of(name) & words_of(other.name))
        yield other.key, score + (0.5 if score and other.category == category else 0.0)


@lru_cache(maxsize=2)
def all_names(taxonomy: Taxonomy) -> list[str]:
    """Each name once."""
    return list(dict.fromkeys(label.name for label in taxonomy.labels))


@lru_cache(maxsize=2000)
def words_of(name: str) -> frozenset[str]:
    """The words of a name."""
    return frozenset(re.findall(r"\w+", name))
