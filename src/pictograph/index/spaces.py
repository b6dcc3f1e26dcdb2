"""Embedding spaces: which model made a vector. Vectors of two spaces are never compared."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from pictograph.db.pool import Database
from pictograph.db.rows import fetch_one
from pictograph.encode.protocol import EncoderSpec
from pictograph.errors import SpaceMismatch
from pictograph.types import SpaceId

ADD: Final = """
INSERT INTO space (encoder, revision, dimension) VALUES (%(encoder)s, %(revision)s, %(dimension)s)
ON CONFLICT (encoder, revision, dimension) DO NOTHING"""
FIND: Final = """
SELECT id, encoder, revision, dimension, active FROM space
WHERE encoder = %(encoder)s AND revision = %(revision)s AND dimension = %(dimension)s"""
ACTIVE: Final = "SELECT id, encoder, revision, dimension, active FROM space WHERE active"
ACTIVATE_FIRST: Final = "UPDATE space SET active = true WHERE id = %s AND NOT EXISTS (SELECT FROM space WHERE active)"
LOCK: Final = "LOCK TABLE space IN SHARE ROW EXCLUSIVE MODE"


@dataclass(frozen=True, slots=True)
class Space:
    """One model at one revision."""

    id: SpaceId
    encoder: str
    revision: str
    dimension: int
    active: bool
    """True for the one space that searches ask."""


class Spaces:
    """Registers spaces and knows the active one."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def active(self) -> Space | None:
        """The space that searches ask; None before the first start."""
        async with self._database.connection() as connection:
            return await fetch_one(connection, Space, ACTIVE)

    async def open(self, spec: EncoderSpec) -> Space:
        """The space of this encoder; the first one ever opened becomes the active one.

        Raises SpaceMismatch if the data was embedded by another encoder: their vectors cannot be mixed.
        """
        values: dict[str, object] = {"encoder": spec.name, "revision": spec.revision, "dimension": spec.dimension}
        async with self._database.transaction() as connection:
            await connection.execute(LOCK)
            await connection.execute(ADD, values)
            space = await fetch_one(connection, Space, FIND, values)
            if space is None:
                raise SpaceMismatch(f"The space of {spec.name} vanished while it was opened.")
            await connection.execute(ACTIVATE_FIRST, [space.id])
            active = await fetch_one(connection, Space, ACTIVE)
        if active is None or active.id != space.id:
            raise other_encoder(active, spec)
        return active


def other_encoder(active: Space | None, spec: EncoderSpec) -> SpaceMismatch:
    was = f"{active.encoder} (revision {active.revision})" if active else "another encoder"
    return SpaceMismatch(
        f"The images here were embedded by {was}, but this service runs {spec.name} (revision {spec.revision}). "
        "Vectors of two models cannot be compared. Start with the encoder the data has, or use another --data-dir."
    )
