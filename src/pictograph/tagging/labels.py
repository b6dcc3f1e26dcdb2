"""Labels by name: the one that is meant, those that are near it, and those that a tagger can judge."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from functools import lru_cache
from typing import Final

from pictograph.errors import NotFoundError, wrong_value
from pictograph.naming import similar_names
from pictograph.tagging.assign import lowest_threshold
from pictograph.tagging.offline import OfflineTagger
from pictograph.tagging.protocol import Tagger
from pictograph.tagging.taxonomy import Label, Taxonomy
from pictograph.types import TagCategory

MOST_NEAR: Final = 5
KIN, RELATED, NAME, WORD, GROUP, RIVAL = 10.0, 8.0, 6.0, 4.0, 2.0, 1.0
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


def find_label(taxonomy: Taxonomy, text: str, category: TagCategory | None = None) -> Label:
    """Finds the label with this name, or with this key: `dog`, `objects/dog`.

    Raises NotFoundError that names similar labels, ValidationError if the name is in several categories.
    """
    wanted = text.strip().lower()
    within = [label for label in taxonomy.labels if category in (None, label.category)]
    found = [label for label in within if wanted in (label.name, label.key)]
    if len(found) == 1:
        return found[0]
    if found:
        raise wrong_value("category", f"{wanted!r} is in several categories: {listed(found)}. Say which category.")
    raise NotFoundError(unknown_label(taxonomy, wanted, category))


def unknown_label(taxonomy: Taxonomy, wanted: str, category: TagCategory | None) -> str:
    """Says that no label has this name, and which ones are near."""
    where = f" in {category}" if category else ""
    near = near_tags(taxonomy, wanted if "/" in wanted else f"{category or ''}/{wanted}", taxonomy.index_of)
    advice = f"Did you mean {', '.join(near)}?" if near else "GET /tags lists them all."
    printable = wanted.encode("utf-8", "backslashreplace").decode()
    return f"There is no label {printable!r}{where} in the taxonomy. {advice}"


def listed(labels: Sequence[Label]) -> str:
    return ", ".join(label.key for label in labels)


def checked_threshold(label: Label, threshold: float) -> float:
    """Returns the threshold, if the stored scores can answer it. Raises ValidationError that names the range."""
    floor = lowest_threshold(label)
    if not floor - 1e-9 <= threshold <= 1:
        raise wrong_value(
            "threshold",
            f"The threshold of {label.key} must be between {floor:g} and 1, not {threshold:g}: "
            f"lower scores are not stored.",
        )
    return threshold


def rivals_of(taxonomy: Taxonomy, label: Label) -> list[str]:
    """Returns the keys of the labels that never stand beside this one, in the order of the taxonomy."""
    rivals = {key for keys in taxonomy.exclusive if label.key in keys for key in keys} - {label.key}
    return sorted(rivals, key=taxonomy.index_of.__getitem__)


def is_judged(label: Label, tagger: Tagger | None) -> bool:
    """Says whether the tagger judges the label: one that reads prompts judges all, the offline one needs classes."""
    return tagger is not None and (label.is_judged_offline or not isinstance(tagger, OfflineTagger))


def judged_keys(taxonomy: Taxonomy, tagger: Tagger | None) -> frozenset[str]:
    """Returns the keys of the labels that a tagger can give; none without a tagger."""
    return frozenset(label.key for label in taxonomy.labels if is_judged(label, tagger))


def near_tags(taxonomy: Taxonomy, key: str, among: Collection[str]) -> list[str]:
    """Returns keys out of `among` that are near a tag (`scenes/nighttime`), the nearest first, MOST_NEAR at most.

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
    """Yields every label with how near it is in the taxonomy."""
    above, related = taxonomy.ancestors(label), ELSEWHERE.get(label.key, ())
    rivals = set(rivals_of(taxonomy, label))
    for other in taxonomy.labels:
        is_kin = other.key in above or (other.category == label.category and label.name in other.parents)
        is_sibling = (other.category, other.group) == (label.category, label.group)
        score = (
            KIN * is_kin + RELATED * (other.key in related) + WORD * len(words_of(label.name) & words_of(other.name))
        )
        yield other.key, score + is_sibling * (RIVAL if other.key in rivals else GROUP)


def by_name(taxonomy: Taxonomy, key: str) -> Iterator[tuple[str, float]]:
    """Yields every label with how similar its name is; the same category counts a little more."""
    category, _, name = key.partition("/")
    alike = similar_names(name, all_names(taxonomy), 2 * MOST_NEAR)
    closeness = {other: NAME - place / len(alike) for place, other in enumerate(alike)}
    for other in taxonomy.labels:
        score = closeness.get(other.name, 0.0) + WORD * len(words_of(name) & words_of(other.name))
        yield other.key, score + (0.5 if score and other.category == category else 0.0)


@lru_cache(maxsize=2)
def all_names(taxonomy: Taxonomy) -> list[str]:
    """Returns each name once."""
    return list(dict.fromkeys(label.name for label in taxonomy.labels))


@lru_cache(maxsize=2000)
def words_of(name: str) -> frozenset[str]:
    """Returns the words of a name."""
    return frozenset(re.findall(r"\w+", name))
