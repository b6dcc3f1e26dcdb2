"""A query as an export asks it: page after page, whatever its examples, its filter and its order are."""

from __future__ import annotations

from dataclasses import replace

from pictograph.bulk.export import Answered, Ask
from pictograph.db.pool import Database
from pictograph.search.collections import KnownCollections
from pictograph.search.engine import SearchEngine
from pictograph.search.filter import Filter, Place
from pictograph.search.query import Query
from pictograph.store.datasets import datasets_of, resolve_dataset
from pictograph.store.folders import require_folder
from pictograph.types import OrganizationId


async def meant(
    database: Database, collections: KnownCollections, organization: OrganizationId, query: Query
) -> Filter:
    """The query's place and conditions. collections: finds the one that it names. Raises NotFoundError."""
    scope, conditions = query.scope, await collections.found(organization, query.conditions)
    async with database.connection() as connection:
        if scope.datasets is None:
            datasets = await datasets_of(connection, organization)
        else:
            datasets = [await resolve_dataset(connection, organization, name) for name in scope.datasets]
        await require_folder(connection, datasets, scope.folder_path)
    place = Place(list(dict.fromkeys(datasets)), scope.folder_path or "/", scope.recursive)
    return Filter(place, conditions)


def pages_of(search: SearchEngine, organization: OrganizationId, query: Query) -> Ask:
    """Asks for the query's pages."""

    async def ask(cursor: str | None, limit: int) -> Answered:
        answer = await search.query(organization, replace(query, cursor=cursor, limit=limit))
        return Answered(
            rows=answer.rows,
            next_cursor=answer.next_cursor,
            total=answer.total,
            total_is=None if answer.total is None else "exact" if answer.total_is_exact else "estimate",
            cut_off=answer.cut_off,
        )

    return ask
