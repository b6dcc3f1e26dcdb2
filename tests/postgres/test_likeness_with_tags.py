"""Likeness or words, and tags at once: always what brute force over all images says."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from pictograph.index.candidates import over_fetch
from pictograph.index.nearest import Scope, as_stored, nearest_exact
from pictograph.index.ranked import nearest_by_codes
from pictograph.index.tags import TagIndex
from pictograph.search.execute import Ask, CodeSearch, Executor, Steps
from uuid_utils.compat import uuid7

from pictograph.db.pool import Connection
from pictograph.index import tagged
from pictograph.search.filter import TagFilter, nearest_tagged
from pictograph.search.planner import Costs
from pictograph.search.query import SimilarQuery, TextQuery, tag_filter
from pictograph.store.datasets import Dataset
from pictograph.types import DIMENSION, Tags
from support.engines import ReadingEncoder, engine_of
from support.planting import Garden, direction

if TYPE_CHECKING:
    from pictograph.index.codes import Codes

OBJECTS, SCENES = ["car", "truck", "dog", "unicycle"], ["outdoor", "indoor"]
FOLDERS = ["/", "/a", "/a/b", "/z"]


def carries(tags: Tags, wanted: TagFilter) -> bool:
    """The rule in words of its own: AND across categories; inside one OR, or AND with "all"; empty matches nothing."""
    for category, labels in wanted.labels.items():
        if not labels:
            return False
        hits = set(labels) & set(tags[category])
        if wanted.match == "all" and hits != set(labels):
            return False
        if not hits:
            return False
    return True


async def crowd(garden: Garden, dataset: Dataset, count: int, seed: int) -> None:
    """Images with random vectors and tags, in random folders; `unicycle` is rare."""
    rng, numbers = random.Random(seed), np.random.default_rng(seed)
    for number in range(count):
        vector = direction(0.3) + numbers.standard_normal(DIMENSION).astype(np.float32) * 0.02
        tags: Tags = {
            "objects": rng.sample(OBJECTS[:3], rng.randint(0, 2)) + (["unicycle"] if number % 19 == 0 else []),
            "scenes": rng.sample(SCENES, rng.randint(0, 1)),
            "attributes": [],
        }
        chosen = (vector / np.linalg.norm(vector)).astype(np.float32)
        await garden.plant(dataset, f"{number}.jpg", chosen, folder=rng.choice(FOLDERS), tags=tags)


async def compare(connection: Connection, scope: Scope, size: int, wanted: TagFilter, limit: int) -> int:
    vector = as_stored(direction(1.0))
    everything = await nearest_exact(connection, scope, vector, threshold=0.0, limit=1000)
    truth = [row for row in everything if carries(row.tags, wanted)][:limit]
    found = await nearest_tagged(connection, scope, size, vector, wanted, threshold=0.0, limit=limit)
    assert [(row.id, row.similarity) for row in found.rows] == [(row.id, row.similarity) for row in truth]
    assert found.rows == [row for row in found.rows if wanted.accepts(row.tags)]
    return len(truth)


WANTED = [
    tag_filter(objects=["car"]),
    tag_filter(objects=["unicycle"]),
    tag_filter(objects=["car", "truck"]),
    tag_filter(objects=["car", "truck"], match="all"),
    tag_filter(objects=["car", "unicycle"], scenes=["outdoor"]),
    tag_filter(objects=["car"], scenes=[]),
    tag_filter(objects=[]),
    tag_filter(objects=["nothing has this"]),
    tag_filter(objects=["car", "nothing has this"]),
    tag_filter(objects=["car", "nothing has this"], match="all"),
    tag_filter(scenes=["indoor", "outdoor"]),
    tag_filter(attributes=["dark"]),
]


@pytest.mark.parametrize("few", [0, 5, 1000])
async def test_both_orders_give_what_brute_force_gives(
    garden: Garden, monkeypatch: pytest.MonkeyPatch, few: int
) -> None:
    """few: how many carriers are few enough to be found first; 0 never, 1000 always."""
    monkeypatch.setattr(tagged, "FEW", few)
    monkeypatch.setattr(tagged, "FEW_SHARE", 10**9)
    street = await garden.dataset()
    await crowd(garden, street, 60, few)
    found = 0
    async with garden.database.connection() as connection:
        for wanted in WANTED:
            for folder in FOLDERS:
                for limit in (1, 7, 100):
                    scope = Scope(garden.space, [street.id], folder, left_out=None)
                    found += await compare(connection, scope, 60, wanted, limit)
    assert found > 250


async def test_how_many_vectors_were_compared_is_told(garden: Garden, monkeypatch: pytest.MonkeyPatch) -> None:
    street = await garden.dataset()
    await crowd(garden, street, 40, 1)
    scope = Scope(garden.space, [street.id])
    async with garden.database.connection() as connection:
        rare = await nearest_tagged(
            connection, scope, 40, as_stored(direction(1.0)), tag_filter(objects=["unicycle"]), threshold=0, limit=50
        )
        monkeypatch.setattr(tagged, "FEW", 0)
        common = await nearest_tagged(
            connection, scope, 40, as_stored(direction(1.0)), tag_filter(objects=["car"]), threshold=0, limit=50
        )
    assert (rare.compared, len(rare.rows)) == (3, 3)
    assert common.compared == 40


async def ask(garden: Garden, image: Any, **tags: Any) -> list[str]:
    query = SimilarQuery(image, tags=tag_filter(**tags))
    return [row.filename for row in (await engine_of(garden).by_similarity(garden.organization, query)).rows]


async def test_likeness_and_tags_together(garden: Garden) -> None:
    street = await garden.dataset()
    reference = await garden.plant(street, "reference.jpg", tags={"objects": ["car"]})  # type: ignore[arg-type]
    await garden.plant(street, "car.jpg", direction(0.8), tags={"objects": ["car"], "scenes": ["outdoor"]})  # type: ignore[arg-type]
    await garden.plant(street, "dog.jpg", direction(0.9), tags={"objects": ["dog"], "scenes": ["outdoor"]})  # type: ignore[arg-type]
    await garden.plant(street, "far car.jpg", direction(0.3), tags={"objects": ["car"]})  # type: ignore[arg-type]
    assert await ask(garden, reference) == ["dog.jpg", "car.jpg"]
    assert await ask(garden, reference, objects=["car"]) == ["car.jpg"]
    assert await ask(garden, reference, objects=["CAR ", "dog"]) == ["dog.jpg", "car.jpg"]
    assert await ask(garden, reference, objects=["car", "dog"], match="all") == []
    assert await ask(garden, reference, objects=["car"], scenes=["outdoor"]) == ["car.jpg"]
    assert await ask(garden, reference, scenes=[]) == []


async def test_words_and_tags_together_across_datasets(garden: Garden) -> None:
    for name in ("street", "shop"):
        dataset = await garden.dataset(name)
        await garden.plant(dataset, f"{name} car.jpg", direction(0.8), tags={"objects": ["car"]})  # type: ignore[arg-type]
        await garden.plant(dataset, f"{name} dog.jpg", direction(0.9), tags={"objects": ["dog"]})  # type: ignore[arg-type]
    engine = engine_of(garden, lambda _category, label: label != "unicorn", ReadingEncoder())
    query = TextQuery("along 1.0", tags=tag_filter(objects=["car", "unicorn"]))
    answer = await engine.by_text(garden.organization, query)
    assert [row.filename for row in answer.rows] == ["street car.jpg", "shop car.jpg"]
    assert answer.notes.unknown == ["unicorn"]
    assert (answer.found.scope_size, answer.found.scanned, answer.found.exact) == (4, 2, True)


@pytest.mark.parametrize(
    "label", ['"', "\\", "'; DROP TABLE image; --", "%s", "{}", "%(x)s", "\x00", "\ud800", "x{carries}"]
)
async def test_a_tag_of_odd_characters_finds_nothing_and_breaks_nothing(
    garden: Garden, monkeypatch: pytest.MonkeyPatch, label: str
) -> None:
    reference = await garden.plant(await garden.dataset(), "reference.jpg")
    for few in (1000, -1):
        monkeypatch.setattr(tagged, "FEW", few)
        monkeypatch.setattr(tagged, "FEW_SHARE", 10**9)
        assert await ask(garden, reference, objects=[label]) == []


async def test_an_image_without_row_in_the_index_is_not_compared(garden: Garden) -> None:
    street = await garden.dataset()
    reference = await garden.plant(street, "reference.jpg")
    await garden.receive(street, f"{uuid7()}.jpg")
    assert await ask(garden, reference, objects=["car"]) == []


def executor(garden: Garden, codes: Codes | None, carriers: TagIndex | None, costs: Costs) -> Executor:
    search = CodeSearch(codes, nearest_by_codes, over_fetch) if codes else None
    return Executor(garden.database, search, costs, carriers)


@pytest.mark.parametrize("way", ["scan", "carriers", "codes", "codes and counts"])
async def test_every_way_with_tags_gives_what_brute_force_gives(garden: Garden, way: str) -> None:
    pytest.importorskip("faiss")
    from pictograph.index.codes import Codes  # noqa: PLC0415

    street = await garden.dataset()
    await crowd(garden, street, 300, 5)
    codes = Codes(garden.database)
    await codes.refresh()
    tags = TagIndex(garden.database)
    await tags.load()
    by = executor(
        garden,
        codes if "codes" in way else None,
        tags if way in {"carriers", "codes and counts"} else None,
        Costs(codes_ms=-1e9, exact_up_to=0),  # codes are the cheapest wherever they are open
    )
    scope, vector, plans = Scope(garden.space, [street.id]), as_stored(direction(1.0)), []
    async with garden.database.connection() as connection:
        everything = await nearest_exact(connection, scope, vector, threshold=0.0, limit=1000)
    for wanted in WANTED:
        for threshold in (0.0, everything[100].similarity):
            found = await by.find(Ask(scope, vector, threshold, 3, tags=wanted), Steps())
            truth = [row for row in everything if carries(row.tags, wanted) and row.similarity >= threshold][:3]
            assert [row.id for row in found.rows] == [row.id for row in truth]
            assert (found.scope_size, found.complete) == (300, True)
            plans.append((found.plan.name, found.scanned))
    await codes.close()
    if way == "scan":
        assert {name for name, _ in plans} == {"exact"}
    elif way == "carriers":
        assert all(name == "exact" and scanned < 300 for name, scanned in plans)
    else:
        assert ("codes", 300) in plans
