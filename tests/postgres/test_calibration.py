"""The calibration of a space are made once, whoever comes first, and judge the same for everybody."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from pictograph.db.pool import Database
from pictograph.db.rows import fetch_value
from pictograph.encode.noop import SPEC, NoopEncoder
from pictograph.encode.protocol import Encoded, EncoderSpec, FloatArray, PairEncoder
from pictograph.errors import ConfigurationError, SpaceMismatch
from pictograph.spaces.registry import Space, Spaces
from pictograph.tagging.background import background_files
from pictograph.tagging.calibration import Calibration, stretch_of
from pictograph.tagging.library.calibration import save_calibration
from pictograph.tagging.library.taggers import make_calibration, stored_tagger, tagger_of
from pictograph.tagging.measures import MEASURE_NAMES
from pictograph.tagging.prompts import PromptTagger
from pictograph.tagging.protocol import Tagger
from pictograph.tagging.taxonomy import Taxonomy, load_taxonomy
from pictograph.types import DIMENSION
from pictograph.upload.decode import decode_picture
from pictograph.upload.limits import PictureLimits
from pictograph.upload.picture import Picture

TAXONOMY = load_taxonomy()
NEXT_TAXONOMY = replace(TAXONOMY, version="2")
HELD_LOCKS = """
SELECT count(*) FROM pg_locks JOIN pg_database ON pg_database.oid = pg_locks.database
WHERE locktype = 'advisory' AND datname = current_database()"""
PAIR_SPEC = replace(SPEC, name="siglip2-planted", has_text=True)


class PlantedPairs(NoopEncoder):
    """Words and pictures as random directions; counts what it was asked. `seed`: another one is another machine."""

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed
        self.pictures = self.texts = self.forgotten = 0
        self.logit_scale, self.logit_bias = 112.67, -16.55

    @property
    def spec(self) -> EncoderSpec:
        return PAIR_SPEC

    def encode_prepared(self, prepared: FloatArray) -> Encoded:
        self.pictures += len(prepared)
        return super().encode_prepared(prepared + self.seed)

    def encode_texts(self, texts: Sequence[str]) -> FloatArray:
        self.texts += len(texts)
        words = np.array([[len(text), *text.encode()[:15].ljust(15)] for text in texts], np.float32)
        return super().encode_prepared(words + self.seed).vectors

    def forget_words(self) -> None:
        self.forgotten += 1


async def open_space(database: Database) -> Space:
    return await Spaces(database).open(PAIR_SPEC, "planted")


async def reopened(database: Database) -> Space:
    space = await Spaces(database).active()
    assert space is not None
    return space


def decoded(data: bytes) -> Picture:
    return decode_picture(data, at_least_px=None, limits=PictureLimits())


def judged(tagger: Tagger | None) -> FloatArray:
    assert tagger is not None
    encoded = NoopEncoder().encode_prepared(np.arange(48, dtype=np.float32).reshape(3, 16))
    return tagger.scores(encoded, np.zeros((3, len(MEASURE_NAMES)), np.float32))


async def test_two_workers_that_start_together_make_them_once(database: Database) -> None:
    space = await open_space(database)
    workers = [PlantedPairs(seed) for seed in range(3)]
    assert isinstance(workers[0], PairEncoder)
    taggers = await asyncio.gather(*(tagger_of(database, space.id, worker, TAXONOMY) for worker in workers))
    assert sorted(worker.texts > 0 for worker in workers) == [False, False, True]
    assert sorted(worker.pictures for worker in workers) == [0, 0, 60]
    assert sum(worker.forgotten for worker in workers) == 1
    assert len({tagger.version for tagger in taggers if tagger}) == 1
    for tagger in taggers:
        assert isinstance(tagger, PromptTagger)
        np.testing.assert_array_equal(judged(tagger), judged(taggers[0]))


async def test_the_server_builds_the_same_tagger_from_what_is_stored(database: Database) -> None:
    space = await open_space(database)
    assert await stored_tagger(database, space, TAXONOMY) is None
    made = await tagger_of(database, space.id, PlantedPairs(), TAXONOMY)
    stored = await stored_tagger(database, space, TAXONOMY)
    assert made is not None
    assert stored is not None
    assert stored.version == made.version
    np.testing.assert_array_equal(judged(stored), judged(made))


async def test_the_space_gets_its_stretch_and_the_models_logits(database: Database) -> None:
    space = await open_space(database)
    assert space.stretch == 1
    encoder = PlantedPairs()
    await tagger_of(database, space.id, encoder, TAXONOMY)
    expected = stretch_of((await make_calibration(encoder, TAXONOMY)).background)
    assert 0.3 < expected < 0.5  # directions drawn at random are all but orthogonal
    assert (await reopened(database)).stretch == pytest.approx(expected, abs=1e-3)
    async with database.connection() as connection:
        assert await fetch_value(connection, "SELECT logit_scale FROM space") == pytest.approx(112.67)
        assert await fetch_value(connection, "SELECT logit_bias FROM space") == pytest.approx(-16.55)


async def test_another_taxonomy_reads_its_prompts_anew_against_the_same_background(database: Database) -> None:
    space = await open_space(database)
    first = await tagger_of(database, space.id, PlantedPairs(0), TAXONOMY)
    stretch = (await reopened(database)).stretch
    assert await stored_tagger(database, space, NEXT_TAXONOMY) is None
    second_worker = PlantedPairs(1)
    second = await tagger_of(database, space.id, second_worker, NEXT_TAXONOMY)
    assert second_worker.pictures == 0
    assert second_worker.texts > 1000
    assert first is not None
    assert second is not None
    assert second.version.startswith("taxonomy-2+prompts-")
    assert (await reopened(database)).stretch == stretch
    again = await stored_tagger(database, space, TAXONOMY)
    assert again is not None
    assert again.version == first.version


async def test_a_taxonomy_with_other_labels_under_the_same_version_is_read_anew(database: Database) -> None:
    space = await open_space(database)
    await tagger_of(database, space.id, PlantedPairs(), TAXONOMY)
    edited: Taxonomy = replace(TAXONOMY, labels=TAXONOMY.labels[:-1])
    worker = PlantedPairs()
    tagger = await tagger_of(database, space.id, worker, edited)
    assert worker.texts > 0
    assert judged(tagger).shape == (3, len(edited.labels))


async def test_a_worker_that_dies_while_it_makes_them_leaves_the_way_free(database: Database) -> None:
    space = await open_space(database)

    class Dying(PlantedPairs):
        def encode_texts(self, texts: Sequence[str]) -> FloatArray:
            raise RuntimeError("out of memory")

    dying = Dying()
    with pytest.raises(RuntimeError, match="out of memory"):
        await tagger_of(database, space.id, dying, TAXONOMY)
    assert dying.forgotten == 1
    assert await stored_tagger(database, space, TAXONOMY) is None
    assert (await reopened(database)).stretch == 1
    assert await tagger_of(database, space.id, PlantedPairs(), TAXONOMY) is not None


class Overflowing(PlantedPairs):
    """Its network overflows on the first background pictures."""

    def __init__(self, spoiled: int) -> None:
        super().__init__()
        files = background_files()[:spoiled]
        self.fingerprints = {self.prepare(decoded(path.read_bytes())).tobytes() for path in files}

    def encode_prepared(self, prepared: FloatArray) -> Encoded:
        encoded = super().encode_prepared(prepared)
        for row, picture in enumerate(prepared):
            if picture.tobytes() in self.fingerprints:
                encoded.vectors[row] = np.nan
        return encoded


async def test_a_picture_that_overflows_is_left_out_of_the_background() -> None:
    made = await make_calibration(Overflowing(5), TAXONOMY)
    assert made.background.shape == (55, DIMENSION)
    assert np.isfinite(made.background).all()


async def test_a_model_that_overflows_on_nearly_everything_is_refused_with_a_reason() -> None:
    with pytest.raises(ConfigurationError, match="only 2 of 60 background pictures"):
        await make_calibration(Overflowing(58), TAXONOMY)


async def test_one_that_is_stopped_while_it_makes_them_stops_soon(database: Database) -> None:
    space = await open_space(database)
    loop, reading = asyncio.get_running_loop(), asyncio.Event()

    class Announcing(PlantedPairs):
        def encode_texts(self, texts: Sequence[str]) -> FloatArray:
            loop.call_soon_threadsafe(reading.set)
            return super().encode_texts(texts)

    worker = Announcing()
    task = asyncio.create_task(tagger_of(database, space.id, worker, TAXONOMY))
    await reading.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert worker.texts < 200
    async with database.connection() as connection:
        assert await fetch_value(connection, HELD_LOCKS) == 0


async def test_calibration_of_a_space_that_was_dropped_meanwhile_are_refused(database: Database) -> None:
    space = await open_space(database)
    made: Calibration = await make_calibration(PlantedPairs(), TAXONOMY)
    async with database.connection() as connection:
        await connection.execute("DELETE FROM space")
        with pytest.raises(SpaceMismatch, match="dropped"):
            await save_calibration(connection, space.id, TAXONOMY, made)


async def test_an_encoder_without_words_needs_no_calibration(database: Database) -> None:
    space = await Spaces(database).open(SPEC, "noop")
    assert await tagger_of(database, space.id, NoopEncoder(), TAXONOMY) is None
    assert await stored_tagger(database, space, TAXONOMY) is None
