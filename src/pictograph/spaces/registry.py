"""Embedding spaces: which model made a vector. Vectors of two spaces are never compared."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from pictograph.db.pool import Connection, Database
from pictograph.db.rows import fetch_all, fetch_column, fetch_one
from pictograph.encode.protocol import EncoderSpec
from pictograph.errors import SpaceMismatch, ValidationError, wrong_value
from pictograph.types import SpaceId

COLUMNS: Final = "id, encoder, revision, dimension, source, active, building, pace, stretch"
ADD: Final = """
INSERT INTO space (encoder, revision, dimension, source)
VALUES (%(encoder)s, %(revision)s, %(dimension)s, %(source)s)
ON CONFLICT (encoder, revision, dimension) DO UPDATE SET source = excluded.source
WHERE space.source <> excluded.source"""
FIND: Final = f"""
SELECT {COLUMNS} FROM space
WHERE encoder = %(encoder)s AND revision = %(revision)s AND dimension = %(dimension)s"""
BY_ID: Final = f"SELECT {COLUMNS} FROM space WHERE id = %s"
ACTIVE: Final = f"SELECT {COLUMNS} FROM space WHERE active"
BUILDING: Final = f"SELECT {COLUMNS} FROM space WHERE building"
LIVE: Final = f"SELECT {COLUMNS} FROM space WHERE active OR building ORDER BY building"
PREVIOUS: Final = f"""
SELECT {COLUMNS} FROM space WHERE NOT active AND activated_at IS NOT NULL ORDER BY activated_at DESC LIMIT 1"""
ACTIVATE_FIRST: Final = """
UPDATE space SET active = true, activated_at = now() WHERE id = %s AND NOT EXISTS (SELECT FROM space WHERE active)"""
LOCK: Final = "LOCK TABLE space IN SHARE ROW EXCLUSIVE MODE"
SHARE_LIVE: Final = "SELECT id FROM space WHERE active OR building ORDER BY id FOR SHARE"
RULES: Final = "SELECT id, active, thresholds FROM space WHERE id = %s FOR SHARE"


@dataclass(frozen=True, slots=True)
class Space:
    """One model at one revision."""

    id: SpaceId
    encoder: str
    revision: str
    dimension: int
    source: str
    """What `--encoder` must say to get this model: a name, or the path of a folder."""
    active: bool
    """True for the one space that searches ask."""
    building: bool
    """True for the one that is filled beside it, to become the active one."""
    pace: float
    """Share of the time, above 0 up to 1, that a worker may spend on filling it."""
    stretch: float
    """similarity = 1 - stretch * (1 - cosine): brings "visually related" to 0.6, and keeps every order."""

    @property
    def is_live(self) -> bool:
        """Whether workers fill it."""
        return self.active or self.building


@dataclass(frozen=True, slots=True)
class SpaceRules:
    """What must not change while results are written: see `lock_rules`."""

    id: SpaceId
    active: bool
    thresholds: dict[str, float]
    """`{"objects/dog": 0.31}`: those that differ from the taxonomy's own."""


class Spaces:
    """Registers spaces and knows the active one."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def active(self) -> Space | None:
        """Returns the space that searches ask; None before the first start."""
        return await self._one(ACTIVE)

    async def building(self) -> Space | None:
        """Returns the space that a reindex fills; None if none runs."""
        return await self._one(BUILDING)

    async def previous(self) -> Space | None:
        """Returns the space that was active before this one and is still there: the way back."""
        return await self._one(PREVIOUS)

    async def get(self, space: SpaceId) -> Space | None:
        """Returns the space with this id."""
        return await self._one(BY_ID, [space])

    async def live(self) -> list[Space]:
        """Returns the active space, then the one that is building, if any."""
        async with self._database.connection() as connection:
            return await fetch_all(connection, Space, LIVE)

    async def open(self, spec: EncoderSpec, source: str) -> Space:
        """Opens the space of this encoder as the active one; the first one ever opened becomes it.

        source: what loads this encoder again. Raises SpaceMismatch if the data was embedded by another encoder: their
        vectors cannot be mixed.
        """

        async def step(connection: Connection) -> Space | None:
            await connection.execute(LOCK)
            active = await fetch_one(connection, Space, ACTIVE)
            if active is None:
                space = await register(connection, spec, source)
                await connection.execute(ACTIVATE_FIRST, [space.id])
                active = await fetch_one(connection, Space, ACTIVE)
            return active

        active = await self._database.write(step)
        if active is None or not names(active, spec):
            raise other_encoder(active, spec, source)
        return active

    async def join(self, spec: EncoderSpec, source: str) -> Space:
        """Finds the space that a worker with this encoder fills: the active one, or the one that is building.

        Raises SpaceMismatch if it is neither.
        """
        live = await self.live()
        for space in live:
            if names(space, spec):
                return space
        raise other_encoder(live[0] if live else None, spec, source)

    async def _one(self, statement: str, values: Sequence[Any] = ()) -> Space | None:
        async with self._database.connection() as connection:
            return await fetch_one(connection, Space, statement, values)


async def register(connection: Connection, spec: EncoderSpec, source: str) -> Space:
    """Registers the encoder's space, if that is new, and returns it."""
    values = {"encoder": spec.name, "revision": spec.revision, "dimension": spec.dimension, "source": source}
    await connection.execute(ADD, values)
    space = await fetch_one(connection, Space, FIND, values)
    if space is None:
        raise SpaceMismatch(f"The space of {spec.name} vanished while it was opened.")
    return space


async def share_rules(connection: Connection) -> None:
    """No space is switched and no threshold changed until the transaction ends; results may still be written."""
    await fetch_column(connection, SHARE_LIVE)


async def lock_rules(connection: Connection, space: SpaceId) -> SpaceRules:
    """The space's rules, which stay as they are until the transaction ends: a switch or a new threshold waits for it.

    Raises SpaceMismatch if the space was dropped.
    """
    rules = await fetch_one(connection, SpaceRules, RULES, [space])
    if rules is None:
        raise SpaceMismatch("The embeddings of this encoder were dropped while it worked. Start it again.")
    return rules


def fingerprint_of(space: Space) -> str:
    """What names the encoder in files of vectors: `offline@8c1f`. Equal for comparable vectors, and for those alone."""
    return f"{space.encoder}@{space.revision}"


def names(space: Space, spec: EncoderSpec) -> bool:
    """Returns whether this encoder made the space's vectors."""
    return (space.encoder, space.revision, space.dimension) == (spec.name, spec.revision, spec.dimension)


def other_encoder(active: Space | None, spec: EncoderSpec, source: str) -> SpaceMismatch:
    was = f"{active.encoder} (revision {active.revision})" if active else "another encoder"
    return SpaceMismatch(
        f"The images here were embedded by {was}, but this is {spec.name} (revision {spec.revision}), and vectors of "
        "two models cannot be compared. Start without --encoder, which takes the one the data has; then "
        f"`pictograph reindex --encoder {source}` moves the data to {spec.name} while searches go on."
    )


def other_fingerprint(given: str, space: Space | None) -> ValidationError:
    wanted = f"{fingerprint_of(space)!r}" if space else "not known yet: no service has run on it"
    return wrong_value(
        "encoder",
        f"These vectors are of the encoder {given[:200]!r}, but this library's encoder is {wanted}. Vectors of two "
        "encoders cannot be compared: make them again with that one, or move the library (`pictograph reindex`).",
    )
