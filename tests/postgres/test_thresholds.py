"""Thresholds are changed from stored scores: as if everything had been tagged anew, and nothing slips between."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import numpy as np
import pytest

from pictograph.db.rows import fetch_value
from pictograph.errors import NotFoundError, ValidationError
from pictograph.store.datasets import Dataset
from pictograph.store.images import archive_image
from pictograph.tagging.assign import Assigner
from pictograph.tagging.library import thresholds as module
from pictograph.tagging.library.changes import keys
from pictograph.tagging.library.thresholds import Thresholds
from support.planting import Garden
from support.tagging import (
    TAXONOMY,
    edited,
    finish,
    plant_scored,
    random_scores,
    receive_scored,
    require_fresh,
    stored_encodings,
    stored_tags,
)


@pytest.fixture
async def street(garden: Garden) -> Dataset:
    return await garden.dataset()


@pytest.fixture
def thresholds(garden: Garden, monkeypatch: pytest.MonkeyPatch) -> Thresholds:
    monkeypatch.setattr(module, "CHUNK", 7)  # so that a small library has several
    return Thresholds(garden.database, TAXONOMY)


async def chosen(garden: Garden) -> dict[str, float]:
    return await Thresholds(garden.database, TAXONOMY).chosen()


CHANGES = [
    ("objects/dog", 0.2), ("objects/dog", 0.9), ("objects/animal", 0.1), ("objects/animal", 1.0),
    ("scenes/indoor", 0.15), ("scenes/kitchen", 0.3), ("scenes/outdoor", 0.8),
    ("attributes/dark", 0.2), ("attributes/bright", 0.2),
]  # fmt: skip


@pytest.mark.parametrize("seed", range(4))
async def test_applying_gives_what_tagging_everything_anew_would_give(
    garden: Garden, street: Dataset, thresholds: Thresholds, seed: int
) -> None:
    random = np.random.default_rng(seed)
    for number in range(40):
        await plant_scored(garden, street, f"{number}.jpg", random_scores(random))
    expected: dict[str, float] = {}
    for index in random.permutation(len(CHANGES)):
        key, threshold = CHANGES[index]
        before = await stored_tags(garden)
        applied = await thresholds.apply(garden.organization, key, threshold)
        expected[key] = threshold
        assert await chosen(garden) == expected
        await require_fresh(garden, expected)
        after = await stored_tags(garden)
        assert applied.images == sum(before[image] != after[image] for image in before)
        again = await thresholds.apply(garden.organization, key, threshold)
        assert (again.before, again.images) == (threshold, 0)
        assert await stored_tags(garden) == after
    for key, _ in CHANGES:
        await thresholds.apply(garden.organization, key, None)
    assert await chosen(garden) == {}
    await require_fresh(garden, {})


@pytest.mark.parametrize(("key", "threshold"), CHANGES)
async def test_a_preview_counts_what_applying_changes_in_the_images_one_sees(
    garden: Garden, street: Dataset, thresholds: Thresholds, key: str, threshold: float
) -> None:
    random = np.random.default_rng(len(key))
    others = await Garden.open(garden.database, "others")
    theirs, avenue = await others.dataset(), await garden.dataset("avenue")
    for number in range(30):
        content = f"{number % 20}".encode()  # every third content is there twice
        scores = random_scores(np.random.default_rng(number % 20))
        image = await plant_scored(garden, street, f"{number}.jpg", scores, content=content)
        await plant_scored(others, theirs, f"{number}.jpg", scores, content=content)
        if number % 7 == 0:
            async with garden.database.transaction() as connection:
                await archive_image(connection, image)
    await plant_scored(garden, avenue, "x.jpg", random_scores(random))
    assigner, label = Assigner(TAXONOMY, {key: threshold}), TAXONOMY.labels[TAXONOMY.index_of[key]]
    for dataset, ids in (("street", [street.id]), (None, [street.id, avenue.id])):
        async with garden.database.connection() as connection:
            rows = await (
                await connection.execute(
                    "SELECT i.filename, i.image_auto_tags, e.tag_scores FROM image i JOIN encoding e USING (sha256) "
                    "WHERE i.archived_at IS NULL AND i.dataset_id = ANY(%s)",
                    [ids],
                )
            ).fetchall()
        gains, losses, names = Counter[str](), Counter[str](), {True: set[str](), False: set[str]()}
        images = 0
        for filename, old, scores in rows:
            new = assigner.tags(scores)
            images += old != new
            gains.update(keys(new) - keys(old))
            losses.update(keys(old) - keys(new))
            if key in keys(new) ^ keys(old):
                names[key in keys(new)].add(filename)
        found = await thresholds.preview(garden.organization, label.name, threshold, dataset=dataset)
        changes = found.changes
        assert (changes.gained, changes.lost, changes.images) == (gains[key], losses[key], images)
        assert {row[0]: row[1:] for row in changes.others()} == {
            other: (gains[other], losses[other]) for other in gains.keys() | losses.keys() if other != key
        }
        for gained, examples in ((True, found.gained), (False, found.lost)):
            assert {image.filename for image, _ in examples} <= names[gained]
            assert bool(examples) == bool(names[gained])
            distances = [abs(score - threshold) for _, score in examples]
            assert distances == sorted(distances)
    total = await thresholds.preview(garden.organization, label.name, threshold)
    await require_fresh(garden, {})  # a preview changes nothing
    await thresholds.apply(garden.organization, label.name, threshold)
    done = await thresholds.preview(garden.organization, label.name, threshold)
    assert (total.before, done.before, done.changes.images) == (label.threshold, threshold, 0)
    await require_fresh(garden, {key: threshold})


async def test_two_organizations_share_thresholds_and_count_their_own_images(
    garden: Garden, street: Dataset, thresholds: Thresholds
) -> None:
    others = await Garden.open(garden.database, "others")
    theirs = await others.dataset()
    for number in range(3):
        await plant_scored(others, theirs, f"{number}.jpg", {"objects/dog": 0.3}, content=b"%d" % number)
    await plant_scored(garden, street, "a.jpg", {"objects/dog": 0.3}, content=b"1")
    found = await thresholds.preview(garden.organization, "dog", 0.25)
    assert (found.changes.gained, [image.filename for image, _ in found.gained]) == (1, ["a.jpg"])
    assert found.changes.others() == [("objects/animal", 1, 0)]
    assert (await thresholds.apply(garden.organization, "dog", 0.25)).images == 1
    assert all(tags["objects"] == ["dog", "animal"] for tags in (await stored_tags(garden)).values())


async def test_a_worker_that_is_writing_is_waited_for_and_what_it_wrote_changes_too(
    garden: Garden, street: Dataset, thresholds: Thresholds
) -> None:
    image, encoding = await receive_scored(garden, street, "a.jpg", {"objects/dog": 0.3})
    async with garden.database.transaction() as connection:
        await finish(connection, garden, encoding)
        applying = asyncio.create_task(thresholds.apply(garden.organization, "dog", 0.25))
        await asyncio.sleep(0.2)
        assert not applying.done()
    assert (await applying).images == 1
    assert (await stored_tags(garden))[image]["objects"] == ["dog", "animal"]


async def test_a_worker_that_comes_while_tags_change_waits_and_follows_the_new_threshold(
    garden: Garden, street: Dataset, thresholds: Thresholds
) -> None:
    held = await plant_scored(garden, street, "held.jpg", {"objects/dog": 0.3})
    image, encoding = await receive_scored(garden, street, "new.jpg", {"objects/dog": 0.3})

    async def work() -> None:
        async with garden.database.transaction() as connection:
            await finish(connection, garden, encoding)

    async with garden.database.transaction() as connection:
        await connection.execute("SELECT FROM image WHERE id = %s FOR UPDATE", [held])  # stops `apply` half way
        applying = asyncio.create_task(thresholds.apply(garden.organization, "dog", 0.25))
        await asyncio.sleep(0.2)
        working = asyncio.create_task(work())
        await asyncio.sleep(0.2)
        assert not applying.done()
        assert not working.done()
    await asyncio.gather(applying, working)
    assert (await stored_tags(garden))[image]["objects"] == ["dog", "animal"]
    await require_fresh(garden, {"objects/dog": 0.25})


async def test_no_image_slips_between_while_workers_write_and_thresholds_change(
    garden: Garden, street: Dataset, thresholds: Thresholds
) -> None:
    random = np.random.default_rng(9)
    waiting = [await receive_scored(garden, street, f"{n}.jpg", random_scores(random)) for n in range(60)]

    async def work(encoding: Any, pause_s: float) -> None:
        await asyncio.sleep(pause_s)
        async with garden.database.transaction() as connection:
            await finish(connection, garden, encoding)

    async def change() -> None:
        for threshold in (0.2, 0.8, 0.3):
            await asyncio.sleep(0.05)
            await thresholds.apply(garden.organization, "dog", threshold)
            await thresholds.apply(garden.organization, "indoor", 1 - threshold)

    await asyncio.gather(change(), *(work(item, float(random.random()) / 3) for _, item in waiting))
    assert await chosen(garden) == {"objects/dog": 0.3, "scenes/indoor": 0.7}
    await require_fresh(garden, await chosen(garden))
    assert len(await stored_encodings(garden)) == 60


async def test_known_bytes_uploaded_later_get_the_tags_of_the_new_threshold(
    garden: Garden, street: Dataset, thresholds: Thresholds
) -> None:
    await plant_scored(garden, street, "a.jpg", {"objects/dog": 0.3}, content=b"same")
    await thresholds.apply(garden.organization, "dog", 0.25)
    image = await plant_scored(garden, street, "b.jpg", {"objects/dog": 0.3}, content=b"same")
    assert (await stored_tags(garden))[image]["objects"] == ["dog", "animal"]


async def test_a_failure_in_the_middle_leaves_threshold_and_tags_as_they_were(
    garden: Garden, street: Dataset, thresholds: Thresholds, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(20):
        await plant_scored(garden, street, f"{number}.jpg", {"objects/dog": 0.3})
    write, calls = module.write_tags, []

    async def break_off(*arguments: Any) -> int:
        calls.append(arguments)
        if len(calls) == 2:
            raise RuntimeError("power cut")
        return await write(*arguments)

    monkeypatch.setattr(module, "write_tags", break_off)
    with pytest.raises(RuntimeError):
        await thresholds.apply(garden.organization, "dog", 0.25)
    assert await chosen(garden) == {}
    await require_fresh(garden, {})


async def test_an_image_that_failed_or_waits_is_given_no_tags(
    garden: Garden, street: Dataset, thresholds: Thresholds
) -> None:
    image = await plant_scored(garden, street, "a.jpg", {"objects/dog": 0.3}, content=b"same")
    waiting = await garden.receive(street, "b.jpg", content=b"same")
    async with garden.database.connection() as connection:
        await connection.execute("UPDATE image SET state = 'failed', reason = 'x' WHERE id = %s", [image])
    assert (await thresholds.preview(garden.organization, "dog", 0.25)).changes.images == 0
    assert (await thresholds.apply(garden.organization, "dog", 0.25)).images == 0
    tags = await stored_tags(garden)
    assert tags[image]["objects"] == tags[waiting]["objects"] == []


@pytest.mark.parametrize("threshold", [0.0, 0.09, 1.01, -1.0, float("nan"), float("inf")])
async def test_a_threshold_that_kept_scores_cannot_answer_is_refused_and_the_floor_named(
    garden: Garden, thresholds: Thresholds, threshold: float
) -> None:
    for call in (thresholds.preview, thresholds.apply):
        with pytest.raises(ValidationError, match=r"objects/dog must be between 0\.1 and 1") as caught:
            await call(garden.organization, "dog", threshold)
        assert caught.value.field_errors[0]["loc"] == ["threshold"]
    await thresholds.apply(garden.organization, "dog", 0.1)


async def test_an_unknown_label_is_answered_with_similar_ones(garden: Garden, thresholds: Thresholds) -> None:
    with pytest.raises(NotFoundError, match="objects/dog"):
        await thresholds.preview(garden.organization, "dogg", 0.3)
    with pytest.raises(NotFoundError, match="Did you mean objects/dog"):
        await thresholds.apply(garden.organization, "dog", 0.3, category="scenes")
    with pytest.raises(NotFoundError, match="GET /tags"):
        await thresholds.apply(garden.organization, "\ud800\x00qqqq", 0.3)
    assert (await thresholds.preview(garden.organization, " Objects/DOG ", 0.3)).label.key == "objects/dog"


async def test_a_name_in_several_categories_needs_the_category(garden: Garden, street: Dataset) -> None:
    def add_dog_scene(content: dict[str, Any]) -> None:
        content["labels"].append(
            {"category": "scenes", "name": "dog", "group": "x", "parents": [], "prompts": ["a.", "b."],
             "imagenet_classes": [], "conditions": []}
        )  # fmt: skip

    thresholds = Thresholds(garden.database, edited(add_dog_scene))
    with pytest.raises(ValidationError, match="objects/dog, scenes/dog") as caught:
        await thresholds.preview(garden.organization, "dog", 0.3)
    assert caught.value.field_errors[0]["loc"] == ["category"]
    found = await thresholds.preview(garden.organization, "dog", 0.3, category="scenes")
    assert found.label.category == "scenes"
    await thresholds.apply(garden.organization, "dog", 0.3, category="scenes")
    assert await thresholds.chosen() == {"scenes/dog": 0.3}


async def test_another_space_keeps_its_thresholds_and_tags(
    garden: Garden, street: Dataset, thresholds: Thresholds
) -> None:
    await plant_scored(garden, street, "a.jpg", {"objects/dog": 0.3})
    async with garden.database.connection() as connection:
        other = await fetch_value(
            connection,
            "INSERT INTO space (encoder, revision, dimension, building) VALUES ('other', '1', 1152, true) RETURNING id",
        )
        await connection.execute(
            "INSERT INTO encoding (space_id, sha256, vector, tagger, tags, tag_scores) "
            "SELECT %s, sha256, vector, tagger, tags, tag_scores FROM encoding",
            [other],
        )
    await thresholds.apply(garden.organization, "dog", 0.25)
    async with garden.database.connection() as connection:
        kept = await fetch_value(connection, "SELECT tags FROM encoding WHERE space_id = %s", [other])
        assert await fetch_value(connection, "SELECT thresholds FROM space WHERE id = %s", [other]) == {}
    assert kept["objects"] == []
