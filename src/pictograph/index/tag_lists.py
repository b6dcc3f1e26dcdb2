"""Images by tag from the ordered lists in `image_tag`: the shortest list is walked, newest first.

Which list is the shortest is read from the counters, never guessed. A single tag, and tags of one category combined by
OR, cost the same however frequent they are and wherever in time their images lie. AND walks the shortest list until the
page is full: at worst all of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from pictograph.db.pool import Connection
from pictograph.db.rows import fetch_all, fetch_tuple
from pictograph.index.tag_query import Group, Page, TagHit
from pictograph.types import DatasetId

SCOPE: Final = """
SELECT array_agg(asked.number), array_agg(DISTINCT asked.organization_id),
       (SELECT count(*) FROM tag_scope o WHERE o.organization_id = ANY(array_agg(asked.organization_id)))
FROM tag_scope asked WHERE dataset_id = ANY(%s)"""
# counters without their deltas: near enough to choose by
KNOWN: Final = """
SELECT tag.category, tag.name, tag.id,
       coalesce((SELECT sum(images) FROM tag_count
                 WHERE dataset = ANY(%(counted)s) AND tag_id = tag.id), 0)::bigint AS images
FROM unnest(%(categories)s::text[], %(names)s::text[]) AS asked (category, name)
JOIN tag USING (category, name)
WHERE tag.organization_id = ANY(%(organizations)s)"""
# A scalar subquery stays one look-up per row of the list; as EXISTS or a join the planner may turn it around.
CARRIES: Final = " AND (SELECT {condition} FROM image i WHERE i.id = t.image_id)"
CONTAINS: Final = "i.image_auto_tags @> %({name})s::jsonb"
# created_at falls and id rises, which one row comparison says with the two sides crossed over
AFTER: Final = """
AND t.created_at <= %(after_time)s AND (t.created_at, %(after_id)s::uuid) < (%(after_time)s::timestamptz, t.image_id)"""
ONE_LIST: Final = """
SELECT t.created_at, t.image_id FROM image_tag t WHERE t.tag_id = %(tag)s {conditions}
ORDER BY t.created_at DESC, t.image_id LIMIT %(limit)s OFFSET %(offset)s"""
# each list's first rows, together: the page is among them
SEVERAL_LISTS: Final = """
SELECT DISTINCT head.created_at, head.image_id
FROM {lists}, LATERAL (
    SELECT t.created_at, t.image_id FROM image_tag t WHERE t.tag_id = list.tag {conditions}
    ORDER BY t.created_at DESC, t.image_id LIMIT %(limit)s + %(offset)s
) AS head
ORDER BY head.created_at DESC, head.image_id LIMIT %(limit)s OFFSET %(offset)s"""
ROWS: Final = """
WITH page AS MATERIALIZED ({page})
SELECT i.id, i.filename, f.path AS folder_path, i.dataset_id, i.image_auto_tags AS tags, i.created_at
FROM page JOIN image i ON i.id = page.image_id JOIN folder f ON f.id = i.folder_id
ORDER BY i.created_at DESC, i.id"""


@dataclass(frozen=True, slots=True)
class TagScope:
    """Datasets by their numbers."""

    numbers: list[int]
    organizations: list[UUID]
    is_whole: bool
    """All datasets of one organization: its own lists and counters serve."""

    @property
    def counted(self) -> list[int]:
        """Where the counters of this scope are."""
        return [0] if self.is_whole else self.numbers


@dataclass(frozen=True, slots=True)
class KnownTag:
    """A label that some image carries, or did once."""

    category: str
    name: str
    id: int
    images: int


async def scope_of(connection: Connection, datasets: Sequence[DatasetId]) -> TagScope:
    """What the datasets are to the index; those that are unknown are left out."""
    numbers, organizations, of_organizations = await fetch_tuple(connection, SCOPE, [list(datasets)]) or ([], [], 0)
    is_whole = len(organizations or []) == 1 and len(numbers) == of_organizations > 1
    return TagScope(numbers or [], organizations or [], is_whole)


async def find_in_lists(
    connection: Connection, datasets: Sequence[DatasetId], groups: Sequence[Group], page: Page
) -> list[TagHit]:
    """The page of images that satisfy every group, newest first, then by id."""
    scope = await scope_of(connection, datasets)
    shortest = shortest_group(groups, await known_tags(connection, scope, groups))
    if shortest is None:
        return []
    group, tags = shortest
    values: dict[str, object] = {"limit": page.limit, "offset": page.offset}
    conditions = ""
    if page.after:
        conditions += AFTER
        values |= {"after_time": page.after.created_at, "after_id": page.after.id}
    for number, other in enumerate(other for other in groups if other is not group):
        names = {f"group_{number}_{place}": document for place, document in enumerate(other.documents)}
        conditions += CARRIES.format(condition=" OR ".join(CONTAINS.format(name=name) for name in names))
        values |= names
    statement, scoped = walk(scope, tags, conditions)
    return await fetch_all(connection, TagHit, ROWS.format(page=statement), values | scoped)


def walk(scope: TagScope, tags: list[int], conditions: str) -> tuple[str, dict[str, object]]:
    """The statement that walks these tags' lists, and its values."""
    if len(scope.numbers) == 1 or scope.is_whole:
        of_dataset = "" if scope.is_whole else "AND t.dataset = %(dataset)s "
        values: dict[str, object] = {} if scope.is_whole else {"dataset": scope.numbers[0]}
        if len(tags) == 1:
            return ONE_LIST.format(conditions=of_dataset + conditions), values | {"tag": tags[0]}
        lists = "unnest(%(tags)s::integer[]) AS list (tag)"
        return SEVERAL_LISTS.format(lists=lists, conditions=of_dataset + conditions), values | {"tags": tags}
    lists = "unnest(%(tags)s::integer[]) AS list (tag), unnest(%(datasets)s::integer[]) AS of (dataset)"
    statement = SEVERAL_LISTS.format(lists=lists, conditions="AND t.dataset = of.dataset " + conditions)
    return statement, {"tags": tags, "datasets": scope.numbers}


async def known_tags(connection: Connection, scope: TagScope, groups: Sequence[Group]) -> list[KnownTag]:
    """Those labels that have a number, with how many images of the scope carry each."""
    labels = [(group.category, label) for group in groups for label in group.labels]
    values = {
        "counted": scope.counted,
        "categories": [category for category, _ in labels],
        "names": [name for _, name in labels],
        "organizations": scope.organizations,
    }
    return await fetch_all(connection, KnownTag, KNOWN, values)


def shortest_group(groups: Sequence[Group], known: Sequence[KnownTag]) -> tuple[Group, list[int]] | None:
    """The group with the fewest images and its tags' numbers; None if no image satisfies some group."""
    found = [
        (group, [tag for tag in known if tag.category == group.category and tag.name in group.labels])
        for group in groups
    ]
    if not all(tags for _, tags in found):
        return None
    group, tags = min(found, key=lambda item: sum(tag.images for tag in item[1]))
    return group, sorted({tag.id for tag in tags})
