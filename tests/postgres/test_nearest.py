"""Likeness search, word for word as the search page and `What the words mean` have it."""

from __future__ import annotations

import pytest

from pictograph.errors import NotFoundError
from pictograph.search.found import Neighbour
from pictograph.search.query import SimilarQuery
from pictograph.types import ImageId
from support.engines import engine_of
from support.planting import Garden, direction


async def names(garden: Garden, image: ImageId, **options: object) -> list[str]:
    return [row.filename for row in await rows(garden, image, **options)]


async def rows(garden: Garden, image: ImageId, **options: object) -> list[Neighbour]:
    answer = await engine_of(garden).by_similarity(garden.organization, SimilarQuery(image, **options))  # type: ignore[arg-type]
    return answer.rows


async def test_rows_come_by_falling_similarity_without_the_reference(garden: Garden) -> None:
    street = await garden.dataset()
    reference = await garden.plant(street, "reference.jpg")
    for cosine in (0.7, 0.9, 0.8):
        await garden.plant(street, f"{cosine}.jpg", direction(cosine))
    found = await rows(garden, reference)
    assert [row.filename for row in found] == ["0.9.jpg", "0.8.jpg", "0.7.jpg"]
    assert [row.similarity for row in found] == pytest.approx([0.9, 0.8, 0.7], abs=1e-3)


async def test_equal_similarities_are_ordered_by_image_id(garden: Garden) -> None:
    street = await garden.dataset()
    reference = await garden.plant(street, "reference.jpg")
    planted = [await garden.plant(street, f"{n}.jpg", direction(0.8)) for n in range(5)]
    assert [row.id for row in await rows(garden, reference)] == sorted(planted)


async def test_a_row_exactly_at_the_threshold_is_returned(garden: Garden) -> None:
    street = await garden.dataset()
    reference = await garden.plant(street, "reference.jpg")
    await garden.plant(street, "twin.jpg", direction(1.0))
    assert [row.similarity for row in await rows(garden, reference, threshold=1.0)] == [1.0]


async def test_the_default_threshold_is_0_6(garden: Garden) -> None:
    street = await garden.dataset()
    reference = await garden.plant(street, "reference.jpg")
    await garden.plant(street, "near.jpg", direction(0.61))
    await garden.plant(street, "far.jpg", direction(0.59))
    assert await names(garden, reference) == ["near.jpg"]


async def test_opposite_pictures_have_similarity_0_and_are_found_at_threshold_0(garden: Garden) -> None:
    street = await garden.dataset()
    reference = await garden.plant(street, "reference.jpg")
    await garden.plant(street, "opposite.jpg", -direction(1.0))
    assert [row.similarity for row in await rows(garden, reference, threshold=0.0)] == [0.0]


async def test_the_scope_is_the_references_folder_with_everything_below(garden: Garden) -> None:
    street = await garden.dataset()
    reference = await garden.plant(street, "reference.jpg", folder="/day")
    for folder in ("/day", "/day/rain", "/night", "/", "/daylight"):
        await garden.plant(street, f"in {folder.strip('/') or 'root'}.jpg".replace("/", "-"), folder=folder)
    assert sorted(await names(garden, reference)) == ["in day-rain.jpg", "in day.jpg"]
    assert sorted(await names(garden, reference, folder_path="/day/rain")) == ["in day-rain.jpg"]
    assert sorted(await names(garden, reference, folder_path="night/")) == ["in night.jpg"]
    assert len(await names(garden, reference, folder_path="/")) == 5
    with pytest.raises(NotFoundError, match="no folder"):
        await names(garden, reference, folder_path="/nowhere")


async def test_another_dataset_is_out_of_scope(garden: Garden) -> None:
    street, shop = await garden.dataset("street"), await garden.dataset("shop")
    reference = await garden.plant(street, "reference.jpg")
    await garden.plant(shop, "twin.jpg")
    assert await names(garden, reference, folder_path="/") == []


async def test_limit_cuts_after_the_best(garden: Garden) -> None:
    street = await garden.dataset()
    reference = await garden.plant(street, "reference.jpg")
    for n in range(10):
        await garden.plant(street, f"{n}.jpg", direction(0.95 - n / 50))
    assert await names(garden, reference, limit=3) == ["0.jpg", "1.jpg", "2.jpg"]


async def test_a_stretched_space_keeps_every_order_and_identity_also_where_similarity_ends(garden: Garden) -> None:
    street = await garden.dataset()
    reference = await garden.plant(street, "reference.jpg", direction(1.0))
    for cosine in (1.0, 0.95, 0.9, 0.5, 0.3, -0.5):
        await garden.plant(street, f"{cosine}.jpg", direction(cosine))
    async with garden.database.connection() as connection:
        await connection.execute("UPDATE space SET stretch = 4 WHERE active")
    engine = engine_of(garden)
    answer = await engine.by_similarity(garden.organization, SimilarQuery(reference, threshold=0.0))
    found = {row.filename: row.similarity for row in answer.rows}
    assert list(found) == ["1.0.jpg", "0.95.jpg", "0.9.jpg", "0.5.jpg", "0.3.jpg", "-0.5.jpg"]
    assert found["1.0.jpg"] == pytest.approx(1.0, abs=1e-3)
    assert found["0.95.jpg"] == pytest.approx(0.8, abs=5e-3)
    assert found["0.5.jpg"] == 0.0
    answer = await engine.by_similarity(garden.organization, SimilarQuery(reference, threshold=0.6, limit=10))
    assert [row.filename for row in answer.rows] == ["1.0.jpg", "0.95.jpg", "0.9.jpg"]
