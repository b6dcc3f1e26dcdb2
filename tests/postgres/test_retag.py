"""Tags of an older version are brought to the running tagger from what is kept, as if every picture were read again."""

from __future__ import annotations

import asyncio
from typing import Any

import numpy as np
import pytest

from pictograph.encode.protocol import Encoded, FloatArray
from pictograph.errors import ConflictError, ValidationError
from pictograph.spaces.registry import Spaces
from pictograph.store.datasets import Dataset
from pictograph.store.images import Images
from pictograph.store.pages import sealed
from pictograph.tagging.assign import Assigner
from pictograph.tagging.library import retag as module
from pictograph.tagging.library.retag import QUESTION, Retag, cursor_of, parse_place
from pictograph.tagging.library.thresholds import Thresholds
from pictograph.tagging.measures import MEASURE_NAMES
from pictograph.tagging.offline import OfflineTagger
from pictograph.tagging.protocol import Tagger
from pictograph.tagging.taxonomy import Taxonomy
from support.planting import Garden, direction
from support.tagging import (
    EDITED,
    RUNNING,
    TAXONOMY,
    edited,
    entry,
    plant_scored,
    require_fresh,
    stored_encodings,
    stored_tags,
)

HERON, RETRIEVER = 131, 207
"""Two of ImageNet's classes: little blue heron, golden retriever."""


def add_heron(content: dict[str, Any]) -> None:
    """A new label for one of the classes that `bird` has, and `bright` from less light on."""
    content["labels"].append(
        {"category": "objects", "name": "heron", "group": "birds", "parents": ["bird"],
         "prompts": ["a heron.", "a wading bird."], "imagenet_classes": [HERON], "conditions": []}
    )  # fmt: skip
    for condition in entry(content, "dark")["conditions"]:
        condition["at"] = 1e6 if condition["side"] == "below" else -1e6


@pytest.fixture
async def street(garden: Garden) -> Dataset:
    return await garden.dataset()


@pytest.fixture(autouse=True)
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BATCH", 4)


def retag_of(garden: Garden, taxonomy: Taxonomy, tagger: Tagger | None = None) -> Retag:
    async def tagger_of(_: object) -> Tagger | None:
        return tagger or OfflineTagger(taxonomy)

    return Retag(garden.database, Spaces(garden.database), taxonomy, tagger_of)


def seen(number: int) -> tuple[FloatArray, FloatArray]:
    """Pixel measures and class probabilities of a picture that never was."""
    random = np.random.default_rng(number)
    measures = random.random(len(MEASURE_NAMES), np.float32) * random.choice([1, 100, 400])
    evidence = 0.2 * random.dirichlet(np.full(1000, 0.005)).astype(np.float32)
    evidence[[HERON, RETRIEVER][number % 2]] += 0.8
    return measures, evidence


async def upload(garden: Garden, street: Dataset, count: int, taxonomy: Taxonomy = TAXONOMY) -> None:
    """Images as a worker with this taxonomy leaves them."""
    tagger, assigner = OfflineTagger(taxonomy), Assigner(taxonomy)
    for number in range(count):
        measures, evidence = seen(number)
        encoded = Encoded(direction(1.0)[None], evidence[None])
        (scores,) = assigner.near(tagger.scores(encoded, measures[None]))
        await plant_scored(
            garden, street, f"{number}.jpg", scores,
            content=f"{number}".encode(), tagger=tagger.version, measures=measures, evidence=evidence,
            taxonomy=taxonomy,
        )  # fmt: skip


async def update(retag: Retag, limit: int = 5) -> int:
    """All steps; how many encodings were updated."""
    place, updated = None, 0
    while True:
        step = await retag.step(limit, place)
        updated, place = updated + step.updated, step.next
        if place is None:
            assert step.remaining == 0
            return updated


async def test_an_update_gives_the_tags_that_uploading_everything_anew_would_give(
    garden: Garden, street: Dataset
) -> None:
    newer = edited(add_heron)
    await upload(garden, street, 23)
    before = await stored_tags(garden)
    retag = retag_of(garden, newer)
    assert await retag.is_due()
    first = await retag.step(5)
    assert (first.updated, first.remaining, first.cannot_update) == (5, 18, 0)
    assert await update(retag) == 18
    assert not await retag.is_due()

    again = await Garden.open(garden.database, "again")
    found = await stored_encodings(garden)
    async with garden.database.connection() as connection:
        await connection.execute("DELETE FROM encoding")
    await upload(again, await again.dataset(), 23, newer)
    fresh = await stored_encodings(again)
    assert found.keys() == fresh.keys()
    for sha256, (tagger, tags, scores) in fresh.items():
        assert found[sha256][:2] == (tagger, tags)
        assert found[sha256][2] == pytest.approx(scores, abs=1e-4)
    assert tagger == EDITED
    herons = [tags for tags in (await stored_tags(garden)).values() if "heron" in tags["objects"]]
    assert len(herons) > 10
    assert all({"bird", "animal"} <= set(tags["objects"]) for tags in herons)
    assert not any("heron" in tags["objects"] for tags in before.values())


async def test_an_update_goes_on_where_it_was_killed(garden: Garden, street: Dataset) -> None:
    newer = edited(add_heron)
    await upload(garden, street, 15)

    class Mortal(OfflineTagger):
        lives = 2

        def scores(self, encoded: Encoded, measures: FloatArray) -> FloatArray:
            self.lives -= 1
            if self.lives < 0:
                raise RuntimeError("power cut")
            return super().scores(encoded, measures)

    with pytest.raises(RuntimeError):
        await update(retag_of(garden, newer, Mortal(newer)), limit=100)
    taggers = [tagger for tagger, _, _ in (await stored_encodings(garden)).values()]
    assert taggers.count(EDITED) == 8
    assert await update(retag_of(garden, newer)) == 7
    await require_fresh(garden, {}, newer)
    assert await update(retag_of(garden, newer)) == 0


async def test_two_updates_and_a_worker_at_the_same_time_do_each_content_once(garden: Garden, street: Dataset) -> None:
    newer = edited(add_heron)
    await upload(garden, street, 30)
    retag = retag_of(garden, newer)
    first, second, _ = await asyncio.gather(
        retag.step(100), retag.step(100), upload(garden, await garden.dataset("later"), 50, newer)
    )
    assert first.updated + second.updated == 30
    assert not await retag.is_due()
    await require_fresh(garden, {}, newer)


async def test_a_threshold_that_changes_during_an_update_holds_for_all_in_the_end(
    garden: Garden, street: Dataset
) -> None:
    newer = edited(add_heron)
    await upload(garden, street, 40)
    thresholds = Thresholds(garden.database, newer)

    async def change() -> None:
        for threshold in (0.2, 1.0, 0.3, 0.9):
            await thresholds.apply(garden.organization, "heron", threshold)
            await thresholds.apply(garden.organization, "dog", threshold)

    step, _ = await asyncio.gather(retag_of(garden, newer).step(100), change())
    assert step.updated == 40
    await require_fresh(garden, {"objects/heron": 0.9, "objects/dog": 0.9}, newer)


async def test_a_label_that_left_the_taxonomy_is_on_no_image_after_the_update(garden: Garden, street: Dataset) -> None:
    def drop_dog(content: dict[str, Any]) -> None:
        content["labels"] = [label for label in content["labels"] if label["name"] != "dog"]

    await upload(garden, street, 6)
    assert any("dog" in tags["objects"] for tags in (await stored_tags(garden)).values())
    await update(retag_of(garden, edited(drop_dog)))
    assert not any("dog" in tags["objects"] for tags in (await stored_tags(garden)).values())
    await require_fresh(garden, {}, edited(drop_dog))


async def test_an_update_follows_the_thresholds_in_force(garden: Garden, street: Dataset) -> None:
    newer = edited(add_heron)
    await upload(garden, street, 12)
    await Thresholds(garden.database, newer).apply(garden.organization, "heron", 1.0)
    await update(retag_of(garden, newer))
    await require_fresh(garden, {"objects/heron": 1.0}, newer)
    assert not any("heron" in tags["objects"] for tags in (await stored_tags(garden)).values())
    await Thresholds(garden.database, newer).apply(garden.organization, "heron", None)
    assert any("heron" in tags["objects"] for tags in (await stored_tags(garden)).values())


async def test_what_was_kept_without_measures_is_counted_and_left_alone(garden: Garden, street: Dataset) -> None:
    await upload(garden, street, 3)
    await plant_scored(garden, street, "old.jpg", {"objects/dog": 0.9}, tagger="taxonomy-0+offline-1")
    short = np.zeros(3, np.float32)
    await plant_scored(garden, street, "short.jpg", {"objects/cat": 0.9}, tagger="taxonomy-0", measures=short)
    step = await retag_of(garden, edited(add_heron)).step(100)
    assert (step.updated, step.remaining, step.cannot_update, step.next) == (3, 0, 2, None)
    encodings = await stored_encodings(garden)
    assert sorted(tagger for tagger, _, _ in encodings.values())[:2] == ["taxonomy-0", "taxonomy-0+offline-1"]
    assert not await retag_of(garden, edited(add_heron)).is_due()


async def test_an_image_that_had_no_tags_yet_becomes_tagged(garden: Garden, street: Dataset) -> None:
    await upload(garden, street, 1)
    async with garden.database.connection() as connection:
        await connection.execute("UPDATE encoding SET tagger = NULL, tags = NULL, tag_scores = NULL")
        await connection.execute("""
            UPDATE image SET state = 'embedded', image_auto_tags = '{"objects": [], "scenes": [], "attributes": []}'""")
    await update(retag_of(garden, TAXONOMY))
    await require_fresh(garden, {})
    (image,) = await stored_tags(garden)
    found = await Images(garden.database).get(garden.organization, image)
    assert found.state == "tagged"
    assert "bird" in found.tags["objects"]
    tagging = await Images(garden.database).tagging(found)
    assert tagging is not None
    assert tagging.tagger == RUNNING


async def test_an_encoder_without_a_tagger_has_nothing_to_update(garden: Garden) -> None:
    async def none(_: object) -> None:
        return None

    retag = Retag(garden.database, Spaces(garden.database), TAXONOMY, none)
    assert await retag.tagger() is None
    assert not await retag.is_due()
    with pytest.raises(ConflictError, match="noop"):
        await retag.step(10)


async def test_an_update_ends_when_the_library_moves_to_another_encoder(garden: Garden, street: Dataset) -> None:
    await upload(garden, street, 1)
    retag, spaces = retag_of(garden, edited(add_heron)), Spaces(garden.database)
    space = await spaces.active()
    assert space is not None

    async def remembered() -> object:
        return space

    spaces.active = remembered  # type: ignore[method-assign, assignment]
    stale = Retag(garden.database, spaces, TAXONOMY, retag._tagger_of)
    async with garden.database.connection() as connection:
        await connection.execute("UPDATE space SET active = false")
        await connection.execute(
            "INSERT INTO space (encoder, revision, dimension, active) VALUES ('other', '1', 1152, true)"
        )
    with pytest.raises(ConflictError, match="moved"):
        await stale.step(10)


async def test_a_cursor_is_read_as_it_was_written_and_any_other_is_refused() -> None:
    place = module.Place(b"\x00\xff", 3, 4)
    assert parse_place(cursor_of(place)) == place
    forged = [
        sealed(values, QUESTION)
        for values in (["zz", 1, 1], ["00", float("inf"), 1], ["00", True, 1], ["00", -1, 1], [])
    ]
    for text in ("", "x", "W10", "WzEsMiwzXQ", "ä", cursor_of(place)[:-3], sealed(["00", 1, 1], "other"), *forged):
        with pytest.raises(ValidationError, match=r"next_cursor|another question"):
            parse_place(text)
