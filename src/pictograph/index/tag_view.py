"""Questions to the copy in memory, in the caller's words: datasets, labels, ids. No database here."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID

from pyroaring import BitMap

from pictograph.index.tag_facets import Facets
from pictograph.index.tag_look import place_of
from pictograph.index.tag_memory import Names, TagMemory
from pictograph.index.tag_order import Key
from pictograph.index.tag_query import Page, Question
from pictograph.store.pages import After
from pictograph.types import DatasetId

EPOCH: Final = datetime(2000, 1, 1, tzinfo=UTC)
"""PostgreSQL counts microseconds from here."""


def page_in_memory(memory: TagMemory, question: Question, page: Page) -> tuple[list[UUID], int]:
    """Ids of the page, and how many images are meant in all."""
    found = matching(memory, question)
    ids = memory.bitmaps.page(found, page.limit, page.offset, key_of(page.after))
    return [UUID(bytes=ids[start : start + 16]) for start in range(0, len(ids), 16)], len(found)


def count_in_memory(memory: TagMemory, question: Question) -> int:
    """How many images are meant."""
    return len(matching(memory, question))


def carriers_in_memory(memory: TagMemory, question: Question) -> bytes:
    """Ids of the images that are meant, 16 bytes each, in no order."""
    return memory.bitmaps.ids(matching(memory, question))


def facets_in_memory(memory: TagMemory, question: Question) -> Facets:
    """How many of the images that are meant carry each label."""
    bitmaps, scope = memory.bitmaps, KnownScope.of(memory.names, question.datasets)
    labels = [label for one in scope.organizations for label in memory.names.labels.get(one, ())]
    if question.groups or question.folder_path is not None:
        found = matching(memory, question)
        images, counts = len(found), bitmaps.count_among([tag for _, _, tag in labels], found)
    else:
        images = sum(len(bitmaps.by_dataset.get(number, ())) for number in scope.numbers)
        counts = bitmaps.count_in(None if scope.is_whole else scope.numbers)
    rows = [(category, name, count) for category, name, tag in labels if (count := counts.get(tag))]
    return Facets.of(images, rows if len(scope.organizations) <= 1 else added_up(rows))


def added_up(counts: Sequence[tuple[str, str, int]]) -> list[tuple[str, str, int]]:
    """Each label once, where several organizations may have it."""
    total: Counter[tuple[str, str]] = Counter()
    for category, name, images in counts:
        total[category, name] += images
    return [(*key, images) for key, images in total.items()]


def matching(memory: TagMemory, question: Question) -> BitMap:
    """Positions of the images that are meant. A folder must be known: `look` sees to it."""
    names, scope = memory.names, KnownScope.of(memory.names, question.datasets)
    tags = [
        [
            names.tags[key]
            for label in group.labels
            for organization in scope.organizations
            if (key := (organization, group.category, label)) in names.tags
        ]
        for group in question.groups
    ]
    place = place_of(question)
    if place is not None:  # a folder is of one dataset
        return memory.bitmaps.matching(tags, None, memory.folders[place])
    # a tag is of one organization, so that all of its datasets are no restriction
    return memory.bitmaps.matching(tags, None if tags and scope.is_whole else scope.numbers, None)


@dataclass(frozen=True, slots=True)
class KnownScope:
    """Datasets as the memory knows them."""

    numbers: list[int]
    organizations: list[UUID]
    is_whole: bool
    """All the datasets that these organizations have."""

    @classmethod
    def of(cls, names: Names, datasets: Sequence[DatasetId]) -> KnownScope:
        """Those that are unknown have no images."""
        known = [names.datasets[dataset] for dataset in set(datasets) if dataset in names.datasets]
        organizations = sorted({organization for _, organization in known})
        is_whole = sum(names.sizes[organization] for organization in organizations) == len(known)
        return cls([number for number, _ in known], organizations, is_whole)


def key_of(after: After | None) -> Key | None:
    """Where the row of a cursor is in the order, or would be."""
    if after is None:
        return None
    return Key.of((after.created_at - EPOCH) // timedelta(microseconds=1), after.id.bytes)
