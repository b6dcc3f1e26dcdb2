"""Collections that questions name: who is in them, kept in memory as long as nobody adds or takes out an image."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import replace
from typing import Final
from uuid import UUID

from pictograph.db.pool import Database
from pictograph.search.filter import Conditions
from pictograph.search.members import Members
from pictograph.store.collections import find_version, ids_of_members
from pictograph.types import OrganizationId

MOST_BYTES: Final = 64_000_000
"""Of ids that are kept: four million images; the collection unused for longest goes first, the last one never."""


class KnownCollections:
    """Finds the collections that conditions name, and reads each version of one once."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._kept: OrderedDict[UUID, Members] = OrderedDict()

    async def found(self, organization: OrganizationId, asked: Conditions) -> Conditions:
        """The conditions with the images of their collection. Raises NotFoundError if there is no such collection."""
        if asked.collection is None:
            return asked
        async with self._database.connection() as connection:
            collection, version = await find_version(connection, organization, asked.collection)
            members = self._kept.get(collection)
            if members is None or members.version != version:
                members = Members(collection, version, await ids_of_members(connection, collection))
        self._keep(members)
        return replace(asked, members=members)

    def _keep(self, members: Members) -> None:
        self._kept[members.collection] = members
        self._kept.move_to_end(members.collection)
        while len(self._kept) > 1 and sum(kept.ids.nbytes for kept in self._kept.values()) > MOST_BYTES:
            self._kept.popitem(last=False)
