"""Brings the tags of the whole library to the tagger that runs now, from what is kept: no picture is read again."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from pgvector import HalfVector

from pictograph.db.pool import Connection, Database
from pictograph.db.rows import fetch_all, fetch_tuple, fetch_value
from pictograph.encode.evidence import unpacked
from pictograph.encode.protocol import Encoded
from pictograph.errors import ConflictError
from pictograph.spaces.registry import Space, Spaces
from pictograph.store.locks import keep_datasets
from pictograph.store.pages import not_ours, question_key, sealed, unsealed
from pictograph.tagging.assign import Assigner
from pictograph.tagging.library.tables import Retagged, active_rules, library_moved, lock_active_rules, write_scores
from pictograph.tagging.measures import MEASURE_NAMES
from pictograph.tagging.protocol import Tagger
from pictograph.tagging.taxonomy import Taxonomy
from pictograph.types import Sha256, SpaceId

BATCH: Final = 500
"""Encodings in one transaction: under a second, so that workers hardly wait and an interruption costs little."""
QUESTION: Final = question_key("tags update")
ENOUGH: Final = "cardinality(measures) = %(measures)s"
OUTDATED: Final = "FROM encoding WHERE space_id = %(space)s AND tagger IS DISTINCT FROM %(tagger)s"
COUNT: Final = f"""
SELECT count(*) FILTER (WHERE {ENOUGH}), count(*) FILTER (WHERE ({ENOUGH}) IS NOT TRUE) {OUTDATED}"""
ANY: Final = f"SELECT EXISTS (SELECT {OUTDATED} AND {ENOUGH})"
NEXT: Final = f"""
SELECT sha256, vector, measures, evidence {OUTDATED} AND {ENOUGH} AND sha256 > %(after)s
ORDER BY sha256 LIMIT %(limit)s"""


@dataclass(frozen=True, slots=True)
class Kept:
    """What the tables hold of some bytes, enough to judge every label again."""

    sha256: Sha256
    vector: HalfVector
    """float16 (1152,)."""
    measures: list[float]
    """As `tagging.measures.measure_picture` gives them."""
    evidence: bytes | None
    """As `encode.evidence.packed` gives it; None if the encoder's tagger reads none."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where an update goes on, and what was left there; counting costs a look at everything, so it is done once."""

    after: bytes
    """SHA-256 of the last encoding that was looked at."""
    remaining: int
    cannot_update: int


@dataclass(frozen=True, slots=True)
class Step:
    """What one step of an update did."""

    tagger: str
    updated: int
    remaining: int
    """Encodings that another version tagged, and that can be tagged again."""
    cannot_update: int
    """Encodings that another version tagged, or none, and of which too little was kept."""
    next: Place | None
    """None if the step came to the end."""


class Retag:
    """The update of tags to the running tagger: in batches, each all or nothing, so it goes on after any crash."""

    def __init__(
        self,
        database: Database,
        spaces: Spaces,
        taxonomy: Taxonomy,
        tagger_of: Callable[[Space], Awaitable[Tagger | None]],
    ) -> None:
        """tagger_of: the tagger that reads what a space keeps; None if its encoder brings none."""
        self._database = database
        self._spaces = spaces
        self._taxonomy = taxonomy
        self._tagger_of = tagger_of

    async def tagger(self) -> Tagger | None:
        """Returns the one that runs now; None if the active space's encoder brings none."""
        space = await self._spaces.active()
        return await self._tagger_of(space) if space else None

    async def is_due(self) -> bool:
        """Returns whether the library has tags of another version that `step` would bring up to date."""
        space = await self._spaces.active()
        tagger = await self._tagger_of(space) if space else None
        if space is None or tagger is None:
            return False
        async with self._database.connection() as connection:
            return bool(await fetch_value(connection, ANY, asked(space.id, tagger)))

    async def step(self, limit: int, place: Place | None = None) -> Step:
        """Tags up to `limit` encodings again, beginning behind `place`, or at the beginning.

        Raises ConflictError if the library's encoder brings no tagger, or was changed meanwhile.
        """
        space, tagger = await self._running()
        values = asked(space.id, tagger)
        start = place or Place(b"", *await self._count(values))
        after, updated = start.after, 0
        while updated < limit:
            last, count = await self._batch(values | {"after": after, "limit": min(BATCH, limit - updated)}, tagger)
            if last is None:
                return Step(tagger.version, updated, *await self._count(values), next=None)
            after, updated = last, updated + count
        left = Place(after, max(0, start.remaining - updated), start.cannot_update)
        return Step(tagger.version, updated, left.remaining, left.cannot_update, left)

    async def _running(self) -> tuple[Space, Tagger]:
        space = await self._spaces.active()
        tagger = await self._tagger_of(space) if space else None
        if space is None or tagger is None:
            name = space.encoder if space else "no encoder yet"
            raise ConflictError(
                f"There is no tagger for {name}, so there are no tags to update: either this encoder brings none, or "
                "no worker has run with it yet."
            )
        return space, tagger

    async def _count(self, values: dict[str, Any]) -> tuple[int, int]:
        async with self._database.connection() as connection:
            counts = await fetch_tuple(connection, COUNT, values) or (0, 0)
        return counts[0], counts[1]

    async def _batch(self, values: dict[str, Any], tagger: Tagger) -> tuple[bytes | None, int]:
        """Returns the last encoding that was looked at, None if there was none, and how many were tagged again.

        Workers are kept from writing only while the results are written, not while they are worked out.
        """
        async with self._database.connection() as connection:
            rules = await active_rules(connection)
            kept = await fetch_all(connection, Kept, NEXT, values)
        if rules.id != values["space"]:
            raise library_moved()
        if not kept:
            return None, 0
        items = await asyncio.to_thread(rescored, kept, tagger, Assigner(self._taxonomy, rules.thresholds))

        async def step(connection: Connection) -> tuple[bytes | None, int]:
            if await lock_active_rules(connection) != rules:  # a threshold changed meanwhile: once more
                return values["after"], 0
            await keep_datasets(connection)
            return kept[-1].sha256, await write_scores(connection, rules.id, tagger.version, items)

        return await self._database.write(step, keep_plans=False)


def rescored(kept: Sequence[Kept], tagger: Tagger, assigner: Assigner) -> list[Retagged]:
    """Computes new scores and tags, in order, the same that a fresh upload of the same bytes would get."""
    if not kept:
        return []
    measures = np.array([item.measures for item in kept], dtype=np.float32)
    found = assigner.tagged(tagger.scores(rebuilt(kept), measures))
    return [Retagged(item.sha256, new.tags, new.scores) for item, new in zip(kept, found, strict=True)]


def rebuilt(kept: Sequence[Kept]) -> Encoded:
    """Returns the batch as it left the encoder, as far as it is kept."""
    vectors = np.stack([item.vector.to_numpy() for item in kept]).astype(np.float32)
    return Encoded(vectors, np.stack([unpacked(item.evidence or b"") for item in kept]))


def asked(space: SpaceId, tagger: Tagger) -> dict[str, Any]:
    return {"space": space, "tagger": tagger.version, "measures": len(MEASURE_NAMES)}


def cursor_of(place: Place) -> str:
    """Returns an opaque cursor: the place behind the last encoding."""
    return sealed([place.after.hex(), place.remaining, place.cannot_update], QUESTION)


def parse_place(cursor: str) -> Place:
    """Returns the place a cursor names. Raises ValidationError if the cursor is not valid."""
    values = unsealed(cursor, QUESTION)
    if [type(value) for value in values] != [str, int, int] or min(values[1:]) < 0:
        raise not_ours()
    try:
        return Place(bytes.fromhex(values[0]), values[1], values[2])
    except ValueError as error:
        raise not_ours() from error
