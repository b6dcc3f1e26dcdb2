"""What was measured of the steps of a search, kept for every server of this library."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from psycopg.types.json import Jsonb

from pictograph.db.pool import Database
from pictograph.db.rows import fetch_one
from pictograph.version import __version__

FIND: Final = "SELECT costs, machine, version, measured_at FROM search_costs"
SAVE: Final = """
INSERT INTO search_costs (costs, machine, version) VALUES (%s, %s, %s)
ON CONFLICT (only_one) DO UPDATE
SET (costs, machine, version, measured_at) = (excluded.costs, excluded.machine, excluded.version, DEFAULT)"""
FORGET: Final = "DELETE FROM search_costs"


@dataclass(frozen=True, slots=True)
class StoredCosts:
    """One measurement."""

    costs: Mapping[str, float]
    """By the names that the version that measured had for them."""
    machine: str
    version: str
    measured_at: datetime


async def find_costs(database: Database) -> StoredCosts | None:
    """The measurement that holds; None if there is none."""
    async with database.connection() as connection:
        return await fetch_one(connection, StoredCosts, FIND)


async def save_costs(database: Database, costs: Mapping[str, float], machine: str) -> None:
    """Takes the place of an earlier one."""
    async with database.connection() as connection:
        await connection.execute(SAVE, [Jsonb(dict(costs)), machine, __version__])


async def forget_costs(database: Database) -> bool:
    """Whether there was one."""
    async with database.connection() as connection:
        return (await connection.execute(FORGET)).rowcount > 0
