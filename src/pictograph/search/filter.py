"""The one filter of every question: which images are meant. A leaf: it knows no way of answering."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from pictograph.types import DatasetId, ImageState, TagCategory, TagMatch


@dataclass(frozen=True, slots=True)
class Filter:
    """Which images a question is about. What is None or empty does not restrict, but for an empty list of labels.

    Compiled to two things: a WHERE clause (search/where.py) and a mask of rows (search/memory/view.py).
    """

    datasets: Sequence[DatasetId]
    """Always named: an organization's question lists all of its datasets."""
    folder_path: str | None = None
    """This folder of each dataset."""
    recursive: bool = True
    """With everything below it."""
    tags: Mapping[TagCategory, Sequence[str]] = field(default_factory=dict)
    """OR inside a category (AND with `match="all"`), AND across categories; an empty list matches nothing."""
    match: TagMatch = "any"
    without_tags: Mapping[TagCategory, Sequence[str]] = field(default_factory=dict)
    """None of these."""
    states: Sequence[ImageState] | None = None
    archived: bool | None = False
    """None: archived or not."""
    created_from: datetime | None = None
    """Uploaded then or later."""
    created_before: datetime | None = None

    @property
    def matches_nothing(self) -> bool:
        """Whether no image can be meant: no dataset, or a category with no labels."""
        return not self.datasets or any(not labels for labels in self.tags.values())
