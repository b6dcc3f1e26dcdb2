"""Tag search, word for word as the search page and `What the words mean` have it."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from typing import Any

import pytest
from psycopg.types.json import Jsonb
from uuid_utils.compat import uuid7

from pictograph.db.pool import Database
from pictograph.errors import NotFoundError, ValidationError
from pictograph.search.engine import SearchEngine, TagAnswer
from pictograph.search.found import Hit as TagHit
from pictograph.search.query import TagQuery
from pictograph.services import label_test
from pictograph.store.datasets import Dataset
from pictograph.store.images import archive_image, delete_image, restore_image
from pictograph.store.pages import After
from pictograph.tagging.taxonomy import load_taxonomy
from pictograph.types import ImageId, Tags
from support.engines import engine_of
from support.planting import Garden

TAXONOMY = load_taxonomy()


def engine(garden: Garden) -> SearchEngine:
    return engine_of(garden, label_test(TAXONOMY))


async def ask(garden: Garden, **options: Any) -> TagAnswer:
    return await engine(garden).by_tag(garden.organization, TagQuery(**options))


async def names(garden: Garden, **options: Any) -> list[str]:
    return [row.filename for row in (await ask(garden, **options)).rows]


async def tagged(garden: Garden, dataset: Dataset, filename: str, *objects: str, **others: list[str]) -> ImageId:
    tags: Tags = {"objects": list(objects), "scenes": [], "attributes": []}
    return await garden.plant(dataset, filename, tags=tags | others)  # type: ignore[arg-type]


@pytest.fixture
async def street(garden: Garden) -> Dataset:
    """Five images; the last planted is the newest."""
    street = await garden.dataset("street")
    await tagged(garden, street, "car-outdoor.jpg", "car", scenes=["outdoor"])
    await tagged(garden, street, "truck-outdoor.jpg", "truck", scenes=["outdoor"], attributes=["blurry"])
    await tagged(garden, street, "car-truck-indoor.jpg", "car", "truck", scenes=["indoor"], attributes=["dark"])
    await tagged(garden, street, "dog.jpg", "dog")
    await garden.plant(street, "nothing.jpg")
    return street


async def test_tags_in_one_category_are_ored(garden: Garden, street: Dataset) -> None:
    found = await names(garden, objects=["car", "truck"])
    assert found == ["car-truck-indoor.jpg", "truck-outdoor.jpg", "car-outdoor.jpg"]


async def test_categories_are_anded(garden: Garden, street: Dataset) -> None:
    assert await names(garden, objects=["car"], scenes=["outdoor"]) == ["car-outdoor.jpg"]
    assert await names(garden, objects=["car", "truck"], scenes=["outdoor"], attributes=["blurry"]) == [
        "truck-outdoor.jpg"
    ]


async def test_match_all_ands_the_tags_of_a_category(garden: Garden, street: Dataset) -> None:
    assert await names(garden, objects=["car", "truck"], match="all") == ["car-truck-indoor.jpg"]
    assert await names(garden, objects=["car", "dog"], match="all") == []


async def test_each_category_filters_alone(garden: Garden, street: Dataset) -> None:
    assert await names(garden, scenes=["outdoor"]) == ["truck-outdoor.jpg", "car-outdoor.jpg"]
    assert await names(garden, attributes=["dark"]) == ["car-truck-indoor.jpg"]


async def test_a_tag_counts_only_in_its_own_category(garden: Garden, street: Dataset) -> None:
    assert await names(garden, scenes=["car"]) == []
    assert await names(garden, attributes=["outdoor"]) == []


async def test_an_empty_category_matches_nothing_even_beside_one_that_matches(garden: Garden, street: Dataset) -> None:
    assert await names(garden, objects=[]) == []
    assert await names(garden, objects=["car"], scenes=[]) == []
    assert await names(garden, objects=[], match="all") == []


async def test_no_category_at_all_is_refused_and_the_fix_is_named() -> None:
    with pytest.raises(ValidationError, match="at least one of objects, scenes, attributes") as caught:
        TagQuery()
    assert caught.value.status == 422
    assert caught.value.field_errors


async def test_an_unknown_tag_finds_nothing_and_is_named(garden: Garden, street: Dataset) -> None:
    answer = await ask(garden, objects=["unicorn"])
    assert answer.rows == []
    assert answer.notes.unknown == ["unicorn"]


async def test_a_known_tag_beside_an_unknown_one_still_finds_and_only_the_unknown_is_named(
    garden: Garden, street: Dataset
) -> None:
    answer = await ask(garden, objects=["dog", "Unicorn"], attributes=None)
    assert [row.filename for row in answer.rows] == ["dog.jpg"]
    assert answer.notes.unknown == ["unicorn"]
    assert (await ask(garden, objects=["dog", "unicorn"], match="all")).rows == []


async def test_tags_are_compared_without_regard_to_case_or_blanks_around(garden: Garden, street: Dataset) -> None:
    answer = await ask(garden, objects=[" DoG ", "dog", "DOG"])
    assert [row.filename for row in answer.rows] == ["dog.jpg"]
    assert answer.notes.unknown == []
    assert answer.query.filters == {"objects": ["dog"]}


@pytest.mark.parametrize("label", ['"', "\\", "'; DROP TABLE image; --", "%s", "{}", "%(x)s", "ü", "\x00", "\ud800"])
async def test_a_tag_of_odd_characters_finds_nothing_and_breaks_nothing(garden: Garden, label: str) -> None:
    answer = await ask(garden, objects=[label])
    assert answer.rows == []
    assert answer.notes.unknown == [label.strip().lower()]


async def test_a_dataset_may_be_given_by_name_or_by_id(garden: Garden, street: Dataset) -> None:
    park = await garden.dataset("park")
    await tagged(garden, park, "park dog.jpg", "dog")
    assert await names(garden, objects=["dog"], dataset="street") == ["dog.jpg"]
    assert await names(garden, objects=["dog"], dataset=str(park.id)) == ["park dog.jpg"]


async def test_without_a_dataset_the_whole_organization_is_searched(garden: Garden, street: Dataset) -> None:
    park = await garden.dataset("park")
    await tagged(garden, park, "park dog.jpg", "dog")
    assert await names(garden, objects=["dog"]) == ["park dog.jpg", "dog.jpg"]


async def test_a_folder_includes_all_below_it_and_no_folder_is_no_filter(garden: Garden) -> None:
    street, park = await garden.dataset("street"), await garden.dataset("park")
    for dataset in (street, park):
        for folder in ("/", "/day", "/day/rain", "/daylight"):
            name = f"{dataset.name} {folder.replace('/', '-')}.jpg"
            await garden.plant(dataset, name, folder=folder, tags={"objects": ["dog"], "scenes": [], "attributes": []})
    assert len(await names(garden, objects=["dog"])) == 8
    assert await names(garden, objects=["dog"], folder_path="/day") == [
        "park -day-rain.jpg", "park -day.jpg", "street -day-rain.jpg", "street -day.jpg",
    ]  # fmt: skip
    assert await names(garden, objects=["dog"], dataset="street", folder_path="day/rain/") == ["street -day-rain.jpg"]
    assert len(await names(garden, objects=["dog"], folder_path="/")) == 8
    assert await names(garden, objects=["cat"], folder_path="/day") == []
    for folder in ("/nowhere", "/da", "/day/rain/x"):
        with pytest.raises(NotFoundError, match="no folder"):
            await ask(garden, objects=["dog"], folder_path=folder)
    with pytest.raises(NotFoundError, match="no folder"):
        await ask(garden, objects=["dog"], dataset=str((await garden.dataset("empty")).id), folder_path="/day")
    with pytest.raises(ValidationError):
        await ask(garden, objects=["dog"], folder_path="/..")


async def test_an_unknown_dataset_is_not_found(garden: Garden, street: Dataset) -> None:
    for reference in ("nowhere", str(uuid7()), "", "\x00", "x" * 10_000, "STREET"):
        with pytest.raises(NotFoundError):
            await ask(garden, objects=["dog"], dataset=reference)


async def test_another_organizations_dataset_looks_as_if_it_did_not_exist(garden: Garden, street: Dataset) -> None:
    others = await Garden.open(garden.database, "others")
    secret = await others.dataset("secret")
    await tagged(others, secret, "secret dog.jpg", "dog")
    with pytest.raises(NotFoundError) as hidden:
        await ask(garden, objects=["dog"], dataset="secret")
    with pytest.raises(NotFoundError) as missing:
        await ask(garden, objects=["dog"], dataset="nosuch")
    assert hidden.value.message.replace("secret", "nosuch") == missing.value.message
    with pytest.raises(NotFoundError):
        await ask(garden, objects=["dog"], dataset=str(secret.id))
    assert await names(garden, objects=["dog"]) == ["dog.jpg"]
    assert await names(others, objects=["dog"]) == ["secret dog.jpg"]


async def test_two_organizations_may_use_the_same_dataset_name(garden: Garden, street: Dataset) -> None:
    others = await Garden.open(garden.database, "others")
    theirs = await others.dataset("street")
    await tagged(others, theirs, "their dog.jpg", "dog")
    assert await names(garden, objects=["dog"], dataset="street") == ["dog.jpg"]
    assert await names(others, objects=["dog"], dataset="street") == ["their dog.jpg"]


async def test_an_archived_image_is_left_out_until_it_is_restored(garden: Garden, street: Dataset) -> None:
    image = await tagged(garden, street, "old dog.jpg", "dog")
    async with garden.database.transaction() as connection:
        await archive_image(connection, image)
    assert await names(garden, objects=["dog"]) == ["dog.jpg"]
    async with garden.database.transaction() as connection:
        await restore_image(connection, image)
    assert await names(garden, objects=["dog"]) == ["old dog.jpg", "dog.jpg"]


async def test_rows_carry_what_the_page_promises(garden: Garden, street: Dataset) -> None:
    image = await garden.plant(
        street, "deep.jpg", folder="/a/b", tags={"objects": ["bicycle", "person"], "scenes": [], "attributes": []}
    )
    (row,) = (await ask(garden, objects=["bicycle"])).rows
    assert (row.id, row.filename, row.folder_path, row.dataset_id) == (image, "deep.jpg", "/a/b", street.id)
    assert row.tags == {"objects": ["bicycle", "person"], "scenes": [], "attributes": []}


async def planted_at_once(database: Database, dataset: Dataset, count: int, label: str = "dog") -> list[ImageId]:
    """Images of ONE transaction, which all share one created_at; their ids come shuffled."""
    ids = [ImageId(uuid7()) for _ in range(count)]
    shuffled = random.Random(7).sample(ids, count)
    async with database.transaction() as connection:
        await plant_rows(connection, dataset, [(image, {"objects": [label]}) for image in shuffled])
    return ids


async def plant_rows(connection: Any, dataset: Dataset, rows: list[tuple[ImageId, dict[str, list[str]]]]) -> None:
    await connection.execute("INSERT INTO blob (sha256, size_bytes) VALUES (sha256('x'), 1) ON CONFLICT DO NOTHING")
    await connection.execute(
        "INSERT INTO folder (dataset_id, path) VALUES (%s, '/') ON CONFLICT DO NOTHING", [dataset.id]
    )
    async with connection.cursor() as cursor:
        await cursor.executemany(
            "INSERT INTO image (id, dataset_id, folder_id, filename, sha256, content_type, width, height, file_size,"
            " image_auto_tags) SELECT %s, f.dataset_id, f.id, %s, sha256('x'), 'image/jpeg', 1, 1, 1, %s"
            " FROM folder f WHERE f.dataset_id = %s AND f.path = '/'",
            [
                (image, f"{image}.jpg", Jsonb({"scenes": [], "attributes": []} | tags), dataset.id)
                for image, tags in rows
            ],
        )


async def test_ties_within_one_transaction_are_ordered_by_id(garden: Garden) -> None:
    street = await garden.dataset()
    ids = await planted_at_once(garden.database, street, 20)
    assert [row.id for row in (await ask(garden, objects=["dog"])).rows] == sorted(ids)


async def test_newer_images_come_before_older_ones_with_smaller_ids(garden: Garden) -> None:
    street = await garden.dataset()
    older = await planted_at_once(garden.database, street, 3)
    newer = await planted_at_once(garden.database, street, 3)
    assert [row.id for row in (await ask(garden, objects=["dog"])).rows] == sorted(newer) + sorted(older)


async def test_pages_by_offset_join_to_the_whole(garden: Garden) -> None:
    street = await garden.dataset()
    await planted_at_once(garden.database, street, 5)
    await planted_at_once(garden.database, street, 6)
    whole = [row.id for row in (await ask(garden, objects=["dog"])).rows]
    pages = [(await ask(garden, objects=["dog"], limit=4, offset=offset)).rows for offset in (0, 4, 8, 12)]
    assert [row.id for page in pages for row in page] == whole
    assert [len(page) for page in pages] == [4, 4, 3, 0]


async def test_only_a_page_that_is_not_the_last_has_a_cursor(garden: Garden) -> None:
    street = await garden.dataset()
    await planted_at_once(garden.database, street, 4)
    assert (await ask(garden, objects=["dog"], limit=3)).next_cursor
    assert (await ask(garden, objects=["dog"], limit=4)).next_cursor is None
    assert (await ask(garden, objects=["dog"], limit=5)).next_cursor is None


async def pages(garden: Garden, limit: int) -> AsyncIterator[list[TagHit]]:
    cursor: str | None = None
    while True:
        answer = await ask(garden, objects=["dog"], limit=limit, cursor=cursor)
        yield answer.rows
        if (cursor := answer.next_cursor) is None:
            return


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 20])
async def test_cursor_pages_join_to_the_whole_across_ties(garden: Garden, limit: int) -> None:
    street = await garden.dataset()
    for count in (5, 1, 6):
        await planted_at_once(garden.database, street, count)
    whole = [row.id for row in (await ask(garden, objects=["dog"])).rows]
    assert [row.id async for page in pages(garden, limit) for row in page] == whole


async def test_the_cursor_neither_skips_nor_repeats_while_images_come_and_go(garden: Garden) -> None:
    street = await garden.dataset()
    first = await planted_at_once(garden.database, street, 6)
    second = await planted_at_once(garden.database, street, 6)
    seen: list[ImageId] = []
    gone: set[ImageId] = set()
    async for page in pages(garden, 3):
        seen += [row.id for row in page]
        await planted_at_once(garden.database, street, 2)
        # the very row the cursor points at goes, and one that is still to come
        waiting = [image for image in [*sorted(second), *sorted(first)] if image not in seen and image not in gone]
        for image in [*(row.id for row in page[-1:]), *waiting[-1:]]:
            async with garden.database.transaction() as connection:
                await delete_image(connection, image)
            gone.add(image)
    assert len(seen) == len(set(seen))
    stayed = [image for image in [*sorted(second), *sorted(first)] if image not in gone]
    assert set(stayed) <= set(seen)
    assert set(seen) <= {*first, *second}


async def test_a_cursor_of_another_question_is_refused(garden: Garden) -> None:
    street = await garden.dataset()
    await planted_at_once(garden.database, street, 3)
    cursor = (await ask(garden, objects=["dog"], limit=1)).next_cursor
    assert (await ask(garden, objects=["dog"], limit=2, cursor=cursor)).rows  # how many are asked for may change
    for other in (
        {"objects": ["dog", "cat"]},
        {"objects": ["dog"], "scenes": ["street"]},
        {"objects": ["dog"], "match": "all"},
        {"objects": ["dog"], "folder_path": "/"},
        {"objects": ["dog"], "dataset": "street"},
    ):
        with pytest.raises(ValidationError, match="another question") as caught:
            await ask(garden, cursor=cursor, **other)
        assert caught.value.field_errors[0]["loc"] == ["cursor"]


async def test_an_offset_counts_from_the_cursor(garden: Garden) -> None:
    street = await garden.dataset()
    await planted_at_once(garden.database, street, 6)
    whole = (await ask(garden, objects=["dog"])).rows
    after = After(whole[1].created_at, whole[1].id)
    assert [row.id for row in (await ask(garden, objects=["dog"], after=after, offset=1)).rows] == [
        row.id for row in whole[3:]
    ]
