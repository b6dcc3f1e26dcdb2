"""A query as an export asks it: page after page of images, the newest first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

from pictograph.bulk.export import Answered, Ask
from pictograph.db.pool import Database
from pictograph.search.engine import SearchEngine
from pictograph.search.filter import Conditions, Filter, Place
from pictograph.search.found import Window
from pictograph.store.datasets import datasets_of, resolve_dataset
from pictograph.store.folders import require_folder
from pictograph.store.names import canonical_folder
from pictograph.store.pages import After, cursor_after, page_of, question_key, read_after
from pictograph.types import OrganizationId


async def meant(
    database: Database,
    organization: OrganizationId,
    datasets: Sequence[str] | None,
    conditions: Conditions,
    *,
    folder_path: str | None,
    recursive: bool = True,
) -> Filter:
    """The place and the conditions. datasets: names or ids; None is all. Raises NotFoundError."""
    async with database.connection() as connection:
        if datasets is None:
            found = await datasets_of(connection, organization)
        else:
            found = [await resolve_dataset(connection, organization, name) for name in dict.fromkeys(datasets)]
        folder = canonical_folder(folder_path or "/")
        await require_folder(connection, found, folder)
    return Filter(Place(list(dict.fromkeys(found)), folder, recursive), conditions)


def newest_first(search: SearchEngine, organization: OrganizationId, wanted: Filter, *, everywhere: bool) -> Ask:
    """Asks for everything that a filter means. everywhere: a dataset that is made meanwhile changes nothing."""
    place = wanted.place
    datasets = None if everywhere else place.datasets
    question = question_key(
        "export", organization, datasets, place.folder_path, place.recursive, asdict(wanted.conditions)
    )

    async def ask(cursor: str | None, limit: int) -> Answered:
        after = read_after(cursor, question) if cursor is not None else None
        found = await search.pipeline.newest(wanted, Window(limit + 1, 0, after))
        rows, last = page_of(found.rows, limit)
        more = cursor_after(After(last.created_at, last.id), question) if last else None
        return Answered(rows, more, found.total, "exact")

    return ask
