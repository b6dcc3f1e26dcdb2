"""Questions to the copy in memory, in the caller's words: datasets, labels, rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID

from pyroaring import BitMap

from pictograph.db.pool import Connection
from pictograph.db.rows import fetch_all
from pictograph.index.tag_facets import Facets, sorted_facets
from pictograph.index.tag_memory import TagMemory
from pictograph.index.tag_order import Key
from pictograph.index.tag_query import After, Group, Page, TagHit
from pictograph.types import DatasetId

EPOCH: Final = datetime(2000, 1, 1, tzinfo=UTC)
"""PostgreSQL counts microseconds from here."""
ROWS: Final = """
SELECT i.id, i.filename, f.path AS folder_path, i.dataset_id, i.image_auto_tags AS tags, i.created_at
FROM image i JOIN folder f ON f.id = i.folder_id
WHERE i.id = ANY(%s) AND i.archived_at IS NULL ORDER BY i.created_at DESC, i.id"""


async def find_in_memory(
    connection: Connection, memory: TagMemory, datasets: Sequence[DatasetId], groups: Sequence[Group], page: Page
) -> list[TagHit] | None:
    """The page of images that satisfy every group; None if one of them changed before its row was read."""
    found = matching(memory, datasets, None, groups)
    ids = memory.bitmaps.page(found, page.limit, page.offset, key_of(page.after))
    if not ids:
        return []
    hits = await fetch_all(connection, TagHit, ROWS, [[UUID(bytes=image) for image in ids]])
    scope = frozenset(datasets)
    is_so = len(hits) == len(ids) and all(hit.dataset_id in scope and carries(hit, groups) for hit in hits)
    return hits if is_so else None


def count_in_memory(memory: TagMemory, datasets: Sequence[DatasetId], groups: Sequence[Group]) -> int:
    """How many images satisfy every group."""
    return len(matching(memory, datasets, None, groups))


def facets_in_memory(
    memory: TagMemory, datasets: Sequence[DatasetId], folders: Sequence[int] | None, groups: Sequence[Group]
) -> Facets:
    """How many of the images that satisfy every group carry each label."""
    found = matching(memory, datasets, folders, groups)
    organizations = organizations_of(memory, datasets)
    tags = (tag for tag, (organization, _, _) in memory.names.labels.items() if organization in organizations)
    counts: Counter[tuple[str, str]] = Counter()
    for tag, images in memory.bitmaps.counts(tags, found).items():
        _, category, label = memory.names.labels[tag]
        counts[category, label] += images
    return sorted_facets((*name, images) for name, images in counts.items())


def matching(
    memory: TagMemory, datasets: Sequence[DatasetId], folders: Iterable[int] | None, groups: Sequence[Group]
) -> BitMap:
    """Positions of the images that satisfy every group."""
    names, organizations = memory.names, organizations_of(memory, datasets)
    tags = [
        [
            names.tags[key]
            for label in group.labels
            for organization in organizations
            if (key := (organization, group.category, label)) in names.tags
        ]
        for group in groups
    ]
    # a tag is of one organization, so that all of its datasets are no restriction
    known = [dataset for dataset in set(datasets) if dataset in names.datasets]
    is_whole = bool(groups) and sum(len(names.organizations[one]) for one in organizations) == len(known)
    numbers = None if is_whole else [names.datasets[dataset] for dataset in known]
    return memory.bitmaps.matching(tags, numbers, folders)


def organizations_of(memory: TagMemory, datasets: Collection[DatasetId]) -> set[UUID]:
    """Whose datasets they are."""
    scope = set(datasets)
    return {organization for organization, own in memory.names.organizations.items() if not own.isdisjoint(scope)}


def carries(hit: TagHit, groups: Sequence[Group]) -> bool:
    """Whether the row still satisfies every group."""
    return all(not set(group.labels).isdisjoint(hit.tags.get(group.category, ())) for group in groups)


def key_of(after: After | None) -> Key | None:
    """Where the row of a cursor is in the order, or would be."""
    if after is None:
        return None
    return Key.of((after.created_at - EPOCH) // timedelta(microseconds=1), after.id.bytes)
