"""The one filter of every question: which images are meant. A leaf: it knows no way of answering.

It is compiled to two things, and to nothing else: a WHERE clause (where.py) and a mask of rows (memory/masks.py). A new
filter is a field of `Conditions`, a line in each of those, and a parameter of the routes, the SDK and the command.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from pictograph.errors import wrong_value
from pictograph.types import DatasetId, TagCategory, TagMatch, Tags


@dataclass(frozen=True, slots=True)
class TagFilter:
    """Tags an image must carry: OR inside a category (AND with `match="all"`), AND across categories."""

    labels: Mapping[TagCategory, Sequence[str]] = field(default_factory=dict)
    """The categories that filter; one with no labels matches nothing."""
    match: TagMatch = "any"

    @property
    def matches_nothing(self) -> bool:
        """Whether no image can carry them: a category is given, and has no labels."""
        return any(not labels for labels in self.labels.values())

    def accepts(self, tags: Tags) -> bool:
        """Whether an image with these tags is meant."""
        wants = all if self.match == "all" else any
        return all(
            bool(labels) and wants(label in tags[category] for label in labels)
            for category, labels in self.labels.items()
        )


@dataclass(frozen=True, slots=True)
class Place:
    """Where images lie: the scope of a question."""

    datasets: Sequence[DatasetId]
    """Always named: an organization's question lists all of its datasets."""
    folder_path: str = "/"
    """This folder of each dataset."""
    recursive: bool = True
    """With everything below it."""


@dataclass(frozen=True, slots=True)
class Conditions:
    """What images must be, wherever they lie. What is not given does not restrict."""

    tags: TagFilter = field(default_factory=TagFilter)
    uploaded_from: datetime | None = None
    """Then or later."""
    uploaded_before: datetime | None = None

    def __post_init__(self) -> None:
        if self.uploaded_from and self.uploaded_before and self.uploaded_from >= self.uploaded_before:
            raise wrong_value(
                "uploaded_from",
                f"uploaded_from ({self.uploaded_from.isoformat()}) must be before uploaded_before "
                f"({self.uploaded_before.isoformat()}): between them lies no time.",
            )

    @property
    def are_none(self) -> bool:
        """Whether they hold for every image."""
        return self == NO_CONDITIONS


NO_CONDITIONS: Final = Conditions()


@dataclass(frozen=True, slots=True)
class Filter:
    """Which images of a place are meant. Archived images never are."""

    place: Place
    conditions: Conditions = NO_CONDITIONS

    @property
    def matches_nothing(self) -> bool:
        """Whether no image can be meant."""
        return not self.place.datasets or self.conditions.tags.matches_nothing
