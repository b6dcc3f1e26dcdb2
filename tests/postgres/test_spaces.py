"""Embedding spaces: vectors of two models are never compared."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from pictograph.db.pool import Database
from pictograph.encode.noop import SPEC
from pictograph.errors import EmbeddingPending, SpaceMismatch
from pictograph.search import examples
from pictograph.search.filter import Filter, Place
from pictograph.search.found import Likeness, Steps
from pictograph.search.query import SimilarQuery
from pictograph.spaces.registry import Spaces
from support.engines import ReadingEncoder, engine_of
from support.planting import Garden, direction

OTHER = replace(SPEC, name="siglip2", revision="so400m")


async def test_before_the_first_start_there_is_no_space(database: Database) -> None:
    assert await Spaces(database).active() is None


async def test_the_first_space_becomes_the_active_one_and_stays_it(database: Database) -> None:
    first = await Spaces(database).open(SPEC, "noop")
    assert first.active
    assert await Spaces(database).open(SPEC, "noop") == first
    assert await Spaces(database).active() == first


@pytest.mark.parametrize("other", [OTHER, replace(SPEC, revision="2"), replace(SPEC, dimension=768)])
async def test_another_encoder_is_refused_and_both_are_named(database: Database, other: object) -> None:
    first = await Spaces(database).open(SPEC, "noop")
    with pytest.raises(SpaceMismatch) as caught:
        await Spaces(database).open(other, "other")  # type: ignore[arg-type]
    assert "noop (revision 1)" in caught.value.message
    assert f"{other.name} (revision {other.revision})" in caught.value.message  # type: ignore[attr-defined]
    assert "pictograph reindex --encoder other" in caught.value.message
    assert (caught.value.status, caught.value.code, caught.value.retryable) == (409, "space_mismatch", False)
    assert await Spaces(database).active() == first


async def test_a_refused_encoder_does_not_get_in_by_asking_twice(database: Database) -> None:
    await Spaces(database).open(SPEC, "noop")
    for _ in range(2):
        with pytest.raises(SpaceMismatch):
            await Spaces(database).open(OTHER, "other")


async def test_processes_that_start_together_agree_on_one_space(database: Database) -> None:
    opened = await asyncio.gather(*(Spaces(database).open(SPEC, "noop") for _ in range(8)))
    assert len({space.id for space in opened}) == 1


async def test_of_two_encoders_that_start_together_exactly_one_wins(database: Database) -> None:
    outcomes = await asyncio.gather(
        *(Spaces(database).open(spec, "some") for spec in [SPEC, OTHER] * 4), return_exceptions=True
    )
    refused = [outcome for outcome in outcomes if isinstance(outcome, SpaceMismatch)]
    assert len(refused) == 4
    assert len({outcome.id for outcome in outcomes if not isinstance(outcome, BaseException)}) == 1


async def test_vectors_of_an_inactive_space_are_in_no_answer(garden: Garden, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(examples, "PENDING_WAIT_S", 0.1)
    street = await garden.dataset()
    reference = await garden.plant(street, "reference.jpg", direction(1.0))
    await garden.plant(street, "twin.jpg", direction(1.0))
    async with garden.database.connection() as connection:
        await connection.execute("UPDATE space SET active = false")
        await connection.execute(
            "INSERT INTO space (encoder, revision, dimension, active) VALUES ('noop', 'another', 1152, true)"
        )
    asked = engine_of(garden, encoder=ReadingEncoder())
    with pytest.raises(EmbeddingPending):
        await asked.by_similarity(garden.organization, SimilarQuery(reference))
    space = await Spaces(garden.database).active()
    assert space is not None
    ask = Likeness(Filter(Place([street.id])), space.id, direction(1.0), 0.0, 10)
    found = await asked.pipeline.nearest(ask, Steps())
    assert (found.rows, found.scope_size) == ([], 0)
