"""Plans carried out: few images one by one, many by the quantized index, and the answer says which and why."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from pictograph.search import ground, planner
from pictograph.search.engine import SearchEngine, SimilarAnswer
from pictograph.search.filter import Conditions
from pictograph.search.found import Neighbour
from pictograph.search.query import SimilarQuery, TextQuery, tag_filter
from pictograph.store.datasets import Dataset
from pictograph.types import ImageId
from support.engines import ReadingEncoder, engine_of
from support.index import TestIndex
from support.planting import Garden, direction


@pytest.fixture
async def street(garden: Garden) -> Dataset:
    return await garden.dataset()


@pytest.fixture
async def images(garden: Garden, street: Dataset) -> list[ImageId]:
    """The reference, then 20 images, each a little less like it; every third is a car, in folder /odd every other."""
    planted = [await garden.plant(street, "reference.jpg")]
    for number in range(20):
        planted.append(
            await garden.plant(
                street,
                f"{number}.jpg",
                direction(0.99 - number * 0.03),
                folder="/odd" if number % 2 else "/",
                tags={"objects": ["car"] if number % 3 == 0 else ["dog"], "scenes": [], "attributes": []},
            )
        )
    return planted


@pytest.fixture
async def kept(database_url: str, tmp_path: Path, images: list[ImageId]) -> AsyncIterator[TestIndex]:
    """An index of all that was planted."""
    index = TestIndex(database_url, tmp_path / "index")
    await index.up_to_date()
    yield index
    await index.close()


@pytest.fixture
def by_index(garden: Garden, kept: TestIndex, monkeypatch: pytest.MonkeyPatch) -> SearchEngine:
    """Goes by the quantized index however few images there are."""
    monkeypatch.setattr(planner, "EXACT_UP_TO", 0)
    return engine_of(garden, lambda _category, label: label != "unicorn", ReadingEncoder(), kept.memory)


async def ask(engine: SearchEngine, garden: Garden, image: ImageId, **options: Any) -> SimilarAnswer:
    options = {"limit": 3, "threshold": 0.0} | options
    return await engine.by_similarity(garden.organization, SimilarQuery(image, **options))


def names(rows: list[Neighbour]) -> list[str]:
    return [row.filename for row in rows]


async def test_without_an_index_the_answer_is_exact_and_complete(garden: Garden, images: list[ImageId]) -> None:
    found = (await ask(engine_of(garden), garden, images[0])).found
    assert names(found.rows) == ["0.jpg", "1.jpg", "2.jpg"]
    assert (found.plan.name, found.exact, found.complete) == ("exact", True, True)
    assert found.plan.reason == "there is no index yet, so the database compared every vector"
    assert (found.scope_size, found.scanned) == (21, 21)
    assert found.steps.total_ms > 0
    assert list(found.steps.ms) == ["reference", "scan", "rows"]


async def test_many_images_go_by_the_quantized_index_which_is_not_called_exact(
    garden: Garden, images: list[ImageId], by_index: SearchEngine
) -> None:
    found = (await ask(by_index, garden, images[0])).found
    assert names(found.rows) == ["0.jpg", "1.jpg", "2.jpg"]
    assert (found.plan.name, found.exact, found.complete, found.scanned) == ("quantized", False, True, 21)
    assert list(found.steps.ms) == ["reference", "candidates", "rows"]
    odd = (await ask(by_index, garden, images[0], folder_path="/odd")).found
    assert (names(odd.rows), odd.scope_size, odd.plan.name) == (["1.jpg", "3.jpg", "5.jpg"], 10, "quantized")
    words = await by_index.by_text(garden.organization, TextQuery("along 1.0", limit=3))
    assert (names(words.rows), words.found.plan.name) == (["reference.jpg", "0.jpg", "1.jpg"], "quantized")
    assert list(words.found.steps.ms) == ["words", "datasets", "resolve", "candidates", "rows"]


async def test_exact_is_a_promise(garden: Garden, images: list[ImageId], by_index: SearchEngine) -> None:
    found = (await ask(by_index, garden, images[0], exact=True)).found
    assert names(found.rows) == ["0.jpg", "1.jpg", "2.jpg"]
    assert (found.plan.name, found.exact, found.plan.reason) == ("exact", True, "an exact answer was wanted")


async def test_few_images_are_compared_one_by_one(garden: Garden, images: list[ImageId], kept: TestIndex) -> None:
    found = (await ask(engine_of(garden, index=kept.memory), garden, images[0])).found
    assert (found.plan.name, found.plan.reason) == ("exact", "the filter means only 21 images")


async def test_only_the_first_page_goes_by_the_quantized_index(
    garden: Garden, images: list[ImageId], by_index: SearchEngine
) -> None:
    plans, rows, cursor = [], [], None
    while True:
        page = await ask(by_index, garden, images[0], limit=6, cursor=cursor)
        plans.append((page.found.plan.name, page.found.plan.reason))
        rows += names(page.rows)
        if (cursor := page.next_cursor) is None:
            break
    assert [name for name, _ in plans] == ["quantized", "exact", "exact", "exact"]
    assert plans[1][1] == "pages after the first are compared exactly"
    assert rows == [f"{number}.jpg" for number in range(20)]


async def test_what_changed_since_is_compared_beside_the_quantized_index(
    garden: Garden, street: Dataset, images: list[ImageId], by_index: SearchEngine
) -> None:
    """The index has not seen any of it."""
    await garden.plant(street, "new.jpg", direction(0.995))
    async with garden.database.connection() as connection:
        await connection.execute("DELETE FROM image WHERE id = %s", [images[1]])
        await connection.execute(
            "UPDATE image_embedding SET vector = (SELECT vector FROM image_embedding WHERE image_id = %s)"
            " WHERE image_id = %s",
            [images[20], images[2]],
        )
    found = (await ask(by_index, garden, images[0])).found
    assert (names(found.rows), found.plan.name) == (["new.jpg", "2.jpg", "3.jpg"], "quantized")
    assert (found.scope_size, found.scanned) == (21, 21)


async def test_too_many_changes_leave_it_to_the_table(
    garden: Garden, street: Dataset, images: list[ImageId], by_index: SearchEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ground, "MOST_FRESH", 2)
    for number in range(3):
        await garden.plant(street, f"new {number}.jpg", direction(0.9))
    found = (await ask(by_index, garden, images[0])).found
    assert (found.exact, found.scope_size) == (True, 24)
    assert (
        found.plan.reason
        == "more than 2 images changed since the index was read, so the database compared every vector"
    )


async def test_an_index_of_another_era_is_not_asked(
    garden: Garden, images: list[ImageId], by_index: SearchEngine
) -> None:
    async with garden.database.connection() as connection:
        await connection.execute("VACUUM FULL image_embedding")
    found = (await ask(by_index, garden, images[0])).found
    assert (names(found.rows), found.exact) == (["0.jpg", "1.jpg", "2.jpg"], True)
    assert found.plan.reason.startswith("the index is of an earlier run of the database")


async def test_a_log_that_was_pruned_too_far_leaves_it_to_the_table(
    garden: Garden, images: list[ImageId], by_index: SearchEngine
) -> None:
    async with garden.database.connection() as connection:
        await connection.execute("UPDATE image_change_horizon SET pruned = pg_snapshot_xmax(pg_current_snapshot())")
    found = (await ask(by_index, garden, images[0])).found
    assert found.exact
    assert found.plan.reason == "the index lags too far behind, so the database compared every vector"


async def test_few_rows_above_a_threshold(garden: Garden, images: list[ImageId], by_index: SearchEngine) -> None:
    found = (await ask(by_index, garden, images[0], threshold=0.95)).found
    assert (names(found.rows), found.plan.name) == (["0.jpg", "1.jpg"], "quantized")


async def test_tags_strike_out_rows_before_anything_is_compared(
    garden: Garden, images: list[ImageId], by_index: SearchEngine
) -> None:
    found = (await ask(by_index, garden, images[0], conditions=Conditions(tag_filter(objects=["car"])))).found
    assert (names(found.rows), found.scope_size, found.scanned) == (["0.jpg", "3.jpg", "6.jpg"], 21, 7)


async def test_an_explanation_tries_every_way_and_compares_it_with_the_truth(
    garden: Garden, images: list[ImageId], by_index: SearchEngine
) -> None:
    shown = await by_index.explain(garden.organization, SimilarQuery(images[0], limit=4, threshold=0.0))
    assert (shown.plan.name, shown.scope_size, shown.folder_path) == ("quantized", 21, "/")
    assert list(shown.preparation) == ["reference"]
    exact, quantized = shown.tried
    assert (exact.plan, exact.recall, exact.rows, exact.scanned) == ("exact", 1.0, 4, 21)
    assert (quantized.plan, quantized.recall, quantized.scanned, quantized.complete) == ("quantized", 1.0, 21, True)
    assert list(quantized.steps) == ["resolve", "candidates", "rows"]
    assert quantized.fell_back is None


async def test_an_explanation_without_an_index_has_one_way(garden: Garden, images: list[ImageId]) -> None:
    shown = await engine_of(garden).explain(garden.organization, SimilarQuery(images[0], limit=4, threshold=0.0))
    assert [way.plan for way in shown.tried] == ["exact"]
