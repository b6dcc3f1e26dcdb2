"""What an answer says of the tags that were asked for: those that no image can carry, and what is near them."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from pictograph.search.found import UNDECIDED_NONE, Undecided
from pictograph.spaces.registry import Space, Spaces
from pictograph.tagging.labels import judged_keys, near_tags
from pictograph.tagging.protocol import Tagger
from pictograph.tagging.taxonomy import Taxonomy
from pictograph.types import SpaceId, TagCategory, Tags

LOOK_AGAIN_S: Final = 2.0
"""How long after a reindex answers may still speak of the tagger before."""
MOST_HINTS: Final = 5
"""Tags of one question for which near ones are looked up."""

Asked = Mapping[TagCategory, Sequence[str]]


@dataclass(frozen=True, slots=True)
class TagNotes:
    """What to know of the tags of a question."""

    unknown: list[str] = field(default_factory=list)
    """In no taxonomy: no image can carry them."""
    unjudged: list[str] = field(default_factory=list)
    """In the taxonomy, but the running encoder cannot judge them, and no image found carries them."""
    nearest: dict[str, list[str]] = field(default_factory=dict)
    """For some of both: keys of tags that are near and that are judged, `attributes/dark`."""
    undecided: Undecided = UNDECIDED_NONE
    """What the filter could not judge."""


class JudgedTags:
    """Which tags the running encoder can judge. A reindex changes that; it is seen within LOOK_AGAIN_S."""

    def __init__(
        self, spaces: Spaces, tagger_of: Callable[[Space], Awaitable[Tagger | None]], taxonomy: Taxonomy
    ) -> None:
        """tagger_of: the tagger that reads what a space keeps; None if its encoder brings none."""
        self._spaces = spaces
        self._tagger_of = tagger_of
        self._taxonomy = taxonomy
        self._space: SpaceId | None = None
        self._keys: frozenset[str] = frozenset()
        self._near: dict[str, list[str]] = {}
        self._look_again_at = 0.0

    async def keys(self) -> frozenset[str]:
        """Keys of the labels that it can give."""
        if time.monotonic() >= self._look_again_at:
            await self._look()
            self._look_again_at = time.monotonic() + LOOK_AGAIN_S
        return self._keys

    async def _look(self) -> None:
        space = await self._spaces.active()
        if space is not None and (space.id != self._space or not self._keys):
            self._keys = judged_keys(self._taxonomy, await self._tagger_of(space))
            self._space = space.id
            self._near = {}

    def near(self, key: str) -> list[str]:
        """Keys of judged labels that are near this one; it need not be in the taxonomy."""
        if key not in self._taxonomy.index_of:
            return near_tags(self._taxonomy, key, self._keys)
        if key not in self._near:
            self._near[key] = near_tags(self._taxonomy, key, self._keys)
        return self._near[key]


async def notes_on(
    asked: Asked,
    is_label: Callable[[TagCategory, str], bool],
    judged: JudgedTags | None,
    found: Iterable[Tags] = (),
) -> TagNotes:
    """What to say of the tags asked for. found: the tags of images that were found: what they carry can be carried.

    judged: None says nothing of what can be judged.
    """
    notes = TagNotes()
    keys = await judged.keys() if judged is not None and any(asked.values()) else frozenset()
    carried: set[str] | None = None
    for category, labels in asked.items():
        for label in labels:
            if not is_label(category, label):
                notes.unknown.append(label)
            elif judged is None or f"{category}/{label}" in keys:
                continue
            else:
                carried = keys_of(found) if carried is None else carried
                if f"{category}/{label}" in carried:
                    continue
                notes.unjudged.append(label)
            if judged is not None and len(notes.nearest) < MOST_HINTS and (near := judged.near(f"{category}/{label}")):
                notes.nearest[label] = near
    return notes


def keys_of(found: Iterable[Tags]) -> set[str]:
    return {f"{category}/{label}" for tags in found for category, labels in tags.items() for label in labels}
