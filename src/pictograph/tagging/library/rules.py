"""The rules of the active space, for those who change tags that are there already."""

from __future__ import annotations

from typing import Final

from pictograph.db.pool import Connection
from pictograph.db.rows import fetch_all, fetch_one
from pictograph.errors import ConflictError
from pictograph.spaces.registry import SpaceRules

RULES: Final = "SELECT id, active, thresholds FROM space WHERE active"
# The space that is being filled, too: its workers lock images while they write.
LOCK_RULES: Final = """
SELECT id, active, thresholds FROM space WHERE active OR building ORDER BY id FOR NO KEY UPDATE"""


async def active_rules(connection: Connection) -> SpaceRules:
    """The rules as they are now. Raises ConflictError before the first start."""
    rules = await fetch_one(connection, SpaceRules, RULES)
    if rules is None:
        raise ConflictError("There is no library here yet.")
    return rules


async def lock_active_rules(connection: Connection) -> SpaceRules:
    """The rules, once no worker writes results any more; who wants to waits until the transaction ends.

    A worker that finishes an image of known bytes copies the tags of their encoding: were it not kept away, it could
    copy the old ones while they change. Raises ConflictError if the library is just moving to another encoder.
    """
    for rules in await fetch_all(connection, SpaceRules, LOCK_RULES):
        if rules.active:
            return rules
    raise library_moved()


def library_moved() -> ConflictError:
    return ConflictError("The library has just moved to another encoder. Try again.")
