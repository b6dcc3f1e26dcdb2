"""Pages of a search by likeness or words: together they are the whole answer, and no row comes twice."""

from __future__ import annotations

from typing import Any

import pytest

from pictograph.errors import ValidationError
from pictograph.jobs.queue import Backlog
from pictograph.pipeline import Intake
from pictograph.search.engine import SearchEngine, SimilarAnswer, TextAnswer
from pictograph.search.filter import Conditions
from pictograph.search.query import SimilarQuery, TextQuery, tag_filter
from pictograph.search.words import WordReaders
from pictograph.spaces.registry import Spaces
from pictograph.store.blobs import BlobStore
from pictograph.store.datasets import Dataset
from pictograph.store.images import Images, delete_image
from pictograph.store.tickets import Tickets
from pictograph.types import ImageId
from pictograph.upload.limits import PictureLimits
from support.engines import ReadingEncoder
from support.planting import Garden, direction

Answer = SimilarAnswer | TextAnswer
CAR = {"objects": ["car"], "scenes": [], "attributes": []}


def engine(garden: Garden) -> SearchEngine:
    return SearchEngine(
        garden.database,
        Backlog(garden.database),
        Spaces(garden.database),
        WordReaders(lambda _source: ReadingEncoder()),
        lambda _category, _label: True,
    )


@pytest.fixture
async def street(garden: Garden) -> Dataset:
    return await garden.dataset()


@pytest.fixture
async def images(garden: Garden, street: Dataset) -> list[ImageId]:
    """The reference, then 15 images: five of each likeness, so that most rows of a page are ties; two of three cars."""
    planted = [await garden.plant(street, "reference.jpg")]
    for number in range(15):
        planted.append(
            await garden.plant(
                street,
                f"{number}.jpg",
                direction(0.9 - number // 5 / 10, axis=1 + number),
                folder="/odd" if number % 2 else "/",
                tags=CAR if number % 3 else {"objects": ["dog"], "scenes": [], "attributes": []},  # type: ignore[arg-type]
            )
        )
    return planted


async def answers(asked: SearchEngine, garden: Garden, make: Any) -> list[Answer]:
    """Every page. make: the query with this cursor."""
    found: list[Answer] = []
    cursor: str | None = None
    while True:
        query = make(cursor)
        search = asked.by_similarity if isinstance(query, SimilarQuery) else asked.by_text
        found.append(await search(garden.organization, query))  # type: ignore[operator]
        cursor = found[-1].next_cursor
        if cursor is None:
            return found


QUESTIONS: list[dict[str, Any]] = [
    {},
    {"conditions": Conditions(tag_filter(objects=["car"]))},
    {"folder_path": "/odd"},
    {"conditions": Conditions(tag_filter(objects=["car"])), "folder_path": "/odd"},
    {"threshold": 0.75},
    {"exact": True},
]


@pytest.mark.parametrize("limit", [1, 2, 4, 7, 100])
@pytest.mark.parametrize("asked", QUESTIONS)
async def test_pages_of_likeness_join_to_the_whole_across_ties(
    garden: Garden, images: list[ImageId], asked: dict[str, Any], limit: int
) -> None:
    query = {"threshold": 0.0, "folder_path": "/"} | asked
    pages = await answers(
        engine(garden), garden, lambda cursor: SimilarQuery(images[0], limit=limit, cursor=cursor, **query)
    )
    whole = await engine(garden).by_similarity(garden.organization, SimilarQuery(images[0], limit=500, **query))
    assert [row for page in pages for row in page.rows] == whole.rows
    assert (whole.total, whole.next_cursor) == (len(whole.rows), None)
    assert all(len(page.rows) == limit for page in pages[:-1])
    assert all(page.rows for page in pages)


@pytest.mark.parametrize("dataset", [None, "street"])
async def test_pages_of_words_join_to_the_whole(garden: Garden, images: list[ImageId], dataset: str | None) -> None:
    pages = await answers(
        engine(garden), garden, lambda cursor: TextQuery("along 1", dataset=dataset, limit=6, cursor=cursor)
    )
    assert {row.id for page in pages for row in page.rows} == set(images)
    assert [len(page.rows) for page in pages] == [6, 6, 4]
    assert [page.total for page in pages] == [None, None, None]


async def test_no_row_comes_twice_while_images_come_and_go(
    garden: Garden, street: Dataset, images: list[ImageId]
) -> None:
    intake = Intake(
        garden.database, BlobStore.open("memory://"), Images(garden.database), Tickets(garden.database), PictureLimits()
    )
    seen: list[ImageId] = []
    cursor: str | None = None
    number = 0
    while True:
        query = SimilarQuery(images[0], 0.0, 2, "/", cursor=cursor)
        answer = await engine(garden).by_similarity(garden.organization, query)
        seen += [row.id for row in answer.rows]
        # the very row that the cursor points at goes, another is archived, two come: one before, one behind
        async with garden.database.transaction() as connection:
            await delete_image(connection, answer.rows[-1].id)
        await intake.archive(answer.rows[0].id)
        for cosine in (0.95, 0.5):
            number += 1
            await garden.plant(street, f"new {number}.jpg", direction(cosine, axis=100 + number))
        if (cursor := answer.next_cursor) is None or number > 40:
            break
    assert len(seen) == len(set(seen))
    assert set(images[1:]) <= set(seen)


async def test_a_cursor_of_another_question_is_refused(garden: Garden, street: Dataset, images: list[ImageId]) -> None:
    asked = engine(garden)
    first = await asked.by_similarity(garden.organization, SimilarQuery(images[0], 0.0, 2, "/"))
    cursor = first.next_cursor
    assert cursor
    assert (await asked.by_similarity(garden.organization, SimilarQuery(images[0], 0.0, 3, "/", cursor=cursor))).rows
    conditions = Conditions(tag_filter(objects=["car"]))
    for other in (
        SimilarQuery(images[1], 0.0, 2, "/", cursor=cursor),
        SimilarQuery(images[0], 0.1, 2, "/", cursor=cursor),
        SimilarQuery(images[0], 0.0, 2, "/odd", cursor=cursor),
        SimilarQuery(images[0], 0.0, 2, "/", exact=True, cursor=cursor),
        SimilarQuery(images[0], 0.0, 2, "/", conditions=conditions, cursor=cursor),
    ):
        with pytest.raises(ValidationError, match="another question"):
            await asked.by_similarity(garden.organization, other)
    words = await asked.by_text(garden.organization, TextQuery("along 1", limit=2))
    for text in (
        TextQuery("along 0.9", limit=2, cursor=words.next_cursor),
        TextQuery("along 1", limit=2, cursor=cursor),
        TextQuery("along 1", dataset="street", limit=2, cursor=words.next_cursor),
    ):
        with pytest.raises(ValidationError, match="another question"):
            await asked.by_text(garden.organization, text)
    with pytest.raises(ValidationError, match="cursor is not valid"):
        await asked.by_text(garden.organization, TextQuery("along 1", limit=2, cursor="nonsense"))
