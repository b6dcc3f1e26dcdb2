"""Plans carried out: by codes where that is cheaper, exact where codes fall short, and the answer says which."""

from __future__ import annotations

from typing import Any

import pytest
from pictograph.search.execute import CodeSearch
from support.codes import FakeCodes, rerank, twice

from pictograph.index.writer import remove_from_index
from pictograph.jobs.queue import Backlog
from pictograph.search.engine import SearchEngine, SimilarAnswer
from pictograph.search.filter import TagFilter
from pictograph.search.found import Neighbour
from pictograph.search.planner import Costs
from pictograph.search.query import SimilarQuery, TextQuery
from pictograph.search.words import WordReaders
from pictograph.spaces.registry import Spaces
from pictograph.store.datasets import Dataset
from pictograph.store.images import archive_image
from pictograph.types import ImageId
from support.engines import ReadingEncoder
from support.planting import Garden, direction

CHEAP_CODES = Costs(codes_ms=-1e9, exact_up_to=0)
"""Every scope of more than a few images goes by codes."""


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


def engine(garden: Garden, codes: FakeCodes | None, costs: Costs = CHEAP_CODES) -> SearchEngine:
    return SearchEngine(
        garden.database,
        Backlog(garden.database),
        Spaces(garden.database),
        WordReaders(lambda _source: ReadingEncoder()),
        lambda _category, label: label != "unicorn",
        codes=CodeSearch(codes, rerank, twice) if codes else None,
        costs=costs,
    )


async def ask(garden: Garden, codes: FakeCodes | None, image: ImageId, **options: Any) -> SimilarAnswer:
    options = {"limit": 3, "threshold": 0.0} | options
    return await engine(garden, codes).by_similarity(garden.organization, SimilarQuery(image, **options))


def names(rows: list[Neighbour]) -> list[str]:
    return [row.filename for row in rows]


async def test_without_codes_the_answer_is_exact_and_complete(garden: Garden, images: list[ImageId]) -> None:
    found = (await ask(garden, None, images[0])).found
    assert names(found.rows) == ["0.jpg", "1.jpg", "2.jpg"]
    assert (found.plan.name, found.exact, found.complete) == ("exact", True, True)
    assert (found.scope_size, found.scanned) == (21, 21)
    assert found.steps.total_ms > 0
    assert list(found.steps.ms) == ["reference", "scan"]


async def test_a_large_scope_goes_by_codes_which_is_not_called_exact(garden: Garden, images: list[ImageId]) -> None:
    codes = FakeCodes(garden.database)
    found = (await ask(garden, codes, images[0])).found
    assert names(found.rows) == ["0.jpg", "1.jpg", "2.jpg"]
    assert (found.plan.name, found.exact, found.complete, found.scanned) == ("codes", False, True, 21)
    assert list(found.steps.ms) == ["reference", "candidates", "rerank"]
    assert codes.asked == [(None, 8)]  # twice the rows, and one more, which tells whether others follow


async def test_codes_are_asked_for_the_folders_of_the_scope(garden: Garden, images: list[ImageId]) -> None:
    codes = FakeCodes(garden.database)
    found = (await ask(garden, codes, images[0], folder_path="/odd")).found
    assert (names(found.rows), found.scope_size) == (["1.jpg", "3.jpg", "5.jpg"], 10)
    ((folders, count),) = codes.asked
    assert folders is not None
    assert (len(folders), count) == (1, 8)


async def test_codes_may_miss_an_image_so_their_answer_is_not_called_exact(
    garden: Garden, images: list[ImageId]
) -> None:
    found = (await ask(garden, FakeCodes(garden.database, missing={images[1]}), images[0])).found
    assert names(found.rows) == ["1.jpg", "2.jpg", "3.jpg"]
    assert (found.exact, found.scope_size) == (False, 21)


async def test_exact_is_a_promise(garden: Garden, images: list[ImageId]) -> None:
    codes = FakeCodes(garden.database, missing=set(images))
    found = (await ask(garden, codes, images[0], exact=True)).found
    assert names(found.rows) == ["0.jpg", "1.jpg", "2.jpg"]
    assert (found.plan.name, found.exact, codes.asked) == ("exact", True, [])


@pytest.mark.parametrize(
    ("fault", "reason"),
    [({"broken": True}, "the codes could not tell"), ({"at_most": 3}, "too few of the codes' candidates were left")],
)
async def test_codes_that_fall_short_are_replaced_by_an_exact_scan_that_says_so(
    garden: Garden, images: list[ImageId], fault: dict[str, Any], reason: str
) -> None:
    found = (await ask(garden, FakeCodes(garden.database, **fault), images[0])).found
    assert names(found.rows) == ["0.jpg", "1.jpg", "2.jpg"]
    assert (found.plan.name, found.exact, found.complete) == ("exact", True, True)
    assert found.plan.reason.startswith(f"{reason}, so every vector was compared")


async def test_few_rows_above_a_threshold_are_no_lack_of_candidates(garden: Garden, images: list[ImageId]) -> None:
    found = (await ask(garden, FakeCodes(garden.database), images[0], threshold=0.95)).found
    assert names(found.rows) == ["0.jpg", "1.jpg"]
    assert found.plan.name == "codes"


async def test_codes_that_do_not_cover_the_scope_are_not_asked(garden: Garden, images: list[ImageId]) -> None:
    codes = FakeCodes(garden.database, covered=False)
    assert (await ask(garden, codes, images[0])).found.plan.name == "exact"
    assert codes.asked == []


async def test_a_small_scope_is_scanned_though_codes_hold_it(garden: Garden, images: list[ImageId]) -> None:
    codes = FakeCodes(garden.database)
    answer = await engine(garden, codes, Costs()).by_similarity(garden.organization, SimilarQuery(images[0]))
    assert (answer.found.plan.name, codes.asked) == ("exact", [])


async def test_an_archived_image_is_no_row_though_the_codes_still_hold_it(
    garden: Garden, images: list[ImageId]
) -> None:
    class Stale(FakeCodes):
        async def candidates(self, *arguments: Any, **options: Any) -> Any:
            found = await super().candidates(*arguments, **options)
            async with garden.database.transaction() as connection:
                await archive_image(connection, images[1])
                await remove_from_index(connection, images[1])
            return found

    assert names((await ask(garden, Stale(garden.database), images[0])).rows) == ["1.jpg", "2.jpg", "3.jpg"]


async def test_tags_strike_out_candidates_and_too_few_left_means_an_exact_scan(
    garden: Garden, images: list[ImageId]
) -> None:
    cars = TagFilter({"objects": ["car"]})
    plenty = (await ask(garden, FakeCodes(garden.database), images[0], tags=cars, limit=1)).found
    assert (names(plenty.rows), plenty.plan.name) == (["0.jpg"], "codes")
    assert plenty.exact is False
    lost = {images[1 + number] for number in range(3, 20, 3)}
    short = (await ask(garden, FakeCodes(garden.database, missing=lost), images[0], tags=cars, limit=1)).found
    assert (names(short.rows), short.plan.name, short.exact) == (["0.jpg"], "exact", True)
    assert short.plan.reason.startswith(
        "too few of the codes' candidates carry these tags, so every vector was compared"
    )


async def test_words_are_planned_the_same_way(garden: Garden, images: list[ImageId]) -> None:
    by = engine(garden, FakeCodes(garden.database))
    answer = await by.by_text(garden.organization, TextQuery("along 1.0", limit=3))
    assert (names(answer.rows), answer.found.plan.name) == (["reference.jpg", "0.jpg", "1.jpg"], "codes")
    assert list(answer.found.steps.ms) == ["words", "datasets", "scope", "candidates", "rerank"]


async def test_an_explanation_tries_every_way_and_compares_it_with_the_truth(
    garden: Garden, images: list[ImageId]
) -> None:
    by = engine(garden, FakeCodes(garden.database, missing={images[1]}))
    shown = await by.explain(garden.organization, SimilarQuery(images[0], limit=4, threshold=0.0))
    assert (shown.plan.name, shown.scope_size, shown.folder_path) == ("codes", 21, "/")
    assert list(shown.preparation) == ["reference"]
    exact, codes = shown.tried
    assert (exact.plan, exact.recall, exact.rows, exact.scanned, list(exact.steps)) == ("exact", 1.0, 4, 21, ["scan"])
    assert (codes.plan, codes.recall, codes.scanned, codes.complete) == ("codes", 0.75, 21, True)
    assert list(codes.steps) == ["candidates", "rerank"]
    assert exact.estimated_ms > codes.estimated_ms


async def test_an_explanation_says_which_way_fell_back(garden: Garden, images: list[ImageId]) -> None:
    by = engine(garden, FakeCodes(garden.database, broken=True))
    _, codes = (await by.explain(garden.organization, TextQuery("along 1.0", limit=4))).tried
    assert codes.fell_back is not None
    assert codes.fell_back.startswith("the codes could not tell")
    assert codes.recall == 1.0
