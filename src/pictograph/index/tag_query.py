"""What is asked for by tags, and what is found: the words that the ways to answer share."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, TypeAlias

from pictograph.store.names import storable
from pictograph.store.pages import After
from pictograph.types import DatasetId, ImageId, TagCategory, TagMatch, Tags


@dataclass(frozen=True, slots=True)
class TagHit:
    """One found image."""

    id: ImageId
    filename: str
    folder_path: str
    dataset_id: DatasetId
    tags: Tags
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Group:
    """Labels of one category, of which an image must carry at least one."""

    category: TagCategory
    labels: tuple[str, ...]

    @property
    def documents(self) -> list[str]:
        """`{"objects": ["car"]}` for each label: an image must contain one of them."""
        return [json.dumps({self.category: [label]}) for label in self.labels]

    def accepts(self, hit: TagHit) -> bool:
        """Whether the row carries one of them."""
        return not set(self.labels).isdisjoint(hit.tags.get(self.category, ()))


@dataclass(frozen=True, slots=True)
class Question:
    """Which images are meant: those of these datasets that satisfy every group."""

    datasets: Sequence[DatasetId]
    groups: Sequence[Group]
    folder_path: str | None = None
    """Only this folder of each dataset, with everything below it; None is all of it."""

    @property
    def below(self) -> str:
        """What the path of every folder below begins with."""
        return (self.folder_path or "").rstrip("/") + "/"

    def accepts(self, hit: TagHit) -> bool:
        """Whether the row is one of them; the datasets are not looked at."""
        is_there = self.folder_path in (None, hit.folder_path) or hit.folder_path.startswith(self.below)
        return is_there and all(group.accepts(hit) for group in self.groups)


@dataclass(frozen=True, slots=True)
class Page:
    """Which of the rows: `limit` of them, `offset` behind `after` (or behind the start)."""

    limit: int
    offset: int = 0
    after: After | None = None


Way: TypeAlias = Literal["none", "memory", "lists", "containment"]


@dataclass(frozen=True, slots=True)
class TagPage:
    """The rows of a page, and how many there are in all."""

    hits: list[TagHit]
    total: int | None
    """Of the whole question, wherever the page lies; None while nobody can tell without reading them all."""
    way: Way = "none"
    """What answered: `none`, no image can be meant."""


def groups_of(filters: Mapping[TagCategory, Sequence[str]], match: TagMatch) -> list[Group] | None:
    """An image must satisfy every group; None if no image can: a category without labels matches nothing.

    `match="all"` makes a group of each label. Labels that the database cannot hold are carried by no image.
    """
    groups: list[Group] = []
    for category, labels in filters.items():
        possible = tuple(dict.fromkeys(label for label in labels if storable(label)))
        if not possible or (match == "all" and not all(map(storable, labels))):
            return None
        groups += [Group(category, (label,)) for label in possible] if match == "all" else [Group(category, possible)]
    return groups
