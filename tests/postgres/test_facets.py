"""Counts of tags: those of the scope, archived images left out."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from pictograph.errors import NotFoundError, ValidationError
from pictograph.search.filter import Conditions
from pictograph.search.found import Facets
from pictograph.search.query import tag_filter
from pictograph.store.images import archive_image
from pictograph.types import TAG_CATEGORIES, Tags
from support.engines import engine_of
from support.planting import Garden
from support.tagging import plant_scored, random_scores, stored_tags


async def test_tags_are_counted_by_category_the_most_frequent_first(garden: Garden) -> None:
    random, engine = np.random.default_rng(0), engine_of(garden)
    others = await Garden.open(garden.database, "others")
    theirs = await others.dataset()
    planted = {}
    for name in ("street", "avenue"):
        dataset = await garden.dataset(name)
        for number in range(20):
            folder = ("/", "/a", "/a/b", "/ab")[number % 4]
            image = await plant_scored(garden, dataset, f"{number}.jpg", random_scores(random), folder=folder)
            planted[image] = (name, folder)
        await plant_scored(others, theirs, name, random_scores(random))
    archived = [image for number, image in enumerate(planted) if number % 5 == 0]
    async with garden.database.transaction() as connection:
        for image in archived:
            await archive_image(connection, image)
    tags = {image: tags for image, tags in (await stored_tags(garden)).items() if image in planted.keys() - archived}
    for dataset_name, folder in ((None, None), ("street", None), ("street", "/"), ("avenue", "a/"), (None, "/a/b")):
        scope = [
            image
            for image in tags
            if dataset_name in (None, planted[image][0])
            and (folder in (None, "/") or f"{planted[image][1]}/".startswith(f"/{folder.strip('/')}/"))
        ]
        assert scope
        found = (await engine.count_tags(garden.organization, dataset_name, folder)).facets
        assert found == counted([tags[image] for image in scope])
        (label,) = found.labels["objects"][1][:1]  # and under the filter of a tag that some of them carry
        carriers = [tags[image] for image in scope if label in tags[image]["objects"]]
        assert 0 < len(carriers) < len(scope)
        under = await engine.count_tags(
            garden.organization, dataset_name, folder, Conditions(tag_filter(objects=[label, "unicorn"]))
        )
        assert under.facets == counted(carriers)


def counted(documents: list[Tags]) -> Facets:
    labels = {}
    for category in TAG_CATEGORIES:
        counts = Counter(label for tags in documents for label in tags[category])
        if counts:
            labels[category] = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return Facets(len(documents), labels)


async def test_where_there_is_nothing_nothing_is_counted(garden: Garden) -> None:
    engine = engine_of(garden)
    assert (await engine.count_tags(garden.organization)).facets == Facets(0)
    await garden.receive(await garden.dataset(), "waits.jpg")
    assert (await engine.count_tags(garden.organization, "street")).facets == Facets(1)
    with pytest.raises(NotFoundError, match="no folder"):
        await engine.count_tags(garden.organization, "street", "/no/such/folder")
    assert (
        await engine.count_tags(garden.organization, "street", conditions=Conditions(tag_filter(objects=[])))
    ).facets == Facets(0)


async def test_a_tag_that_is_in_no_taxonomy_is_named(garden: Garden) -> None:
    engine = engine_of(garden, lambda _category, label: label == "dog")
    found = await engine.count_tags(garden.organization, conditions=Conditions(tag_filter(objects=["dog", "dgo"])))
    assert found.notes.unknown == ["dgo"]


async def test_an_unknown_dataset_or_an_impossible_folder_is_an_error(garden: Garden) -> None:
    await Garden.open(garden.database, "others")
    with pytest.raises(NotFoundError, match="nowhere"):
        await engine_of(garden).count_tags(garden.organization, "nowhere")
    with pytest.raises(ValidationError):
        await engine_of(garden).count_tags(garden.organization, None, "/a/../b")
