"""Every way to answer gives what looking at every row gives: the table alone, an index, and an index that lags."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import numpy as np
import pytest

from pictograph.encode.protocol import FloatArray
from pictograph.errors import NotFoundError, ValidationError
from pictograph.pipeline import Intake
from pictograph.search import planner
from pictograph.search.collections import KnownCollections
from pictograph.search.filter import Conditions, Filter, Place, TagFilter
from pictograph.search.found import Facets, Likeness, Steps, Undecided, Window, recall
from pictograph.search.query import SimilarQuery, TagQuery, TextQuery, tag_filter
from pictograph.store.blobs import BlobStore
from pictograph.store.collections import Collections
from pictograph.store.images import Images
from pictograph.store.pages import After, Beyond
from pictograph.store.tickets import Tickets
from pictograph.types import ImageId, ImageState, Tags
from pictograph.upload.limits import PictureLimits
from support.engines import engine_of
from support.planting import Garden, direction
from support.world import FOLDERS, NEW_YEAR, Row, World, value_of

WANTED = [
    TagFilter(),
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


async def test_likeness_is_what_brute_force_gives(world: World) -> None:
    query = direction(1.0)
    seen = 0
    for datasets in (world.datasets[:1], world.datasets):
        for folder in FOLDERS:
            for wanted in WANTED:
                place = Place([one.id for one in datasets], folder)
                inside = [row for row in world.rows if row.dataset in place.datasets and row.lies_in(folder)]
                scope = [row for row in inside if row.vector is not None]
                true = {row.id: cosine(row.vector, query) for row in scope if carries(row.tags, wanted)}
                for limit, threshold in ((1, 0.0), (7, 0.0), (200, 0.0), (200, 0.3)):
                    ask = Likeness(Filter(place, Conditions(wanted)), world.garden.space, query, threshold, limit)
                    found = await world.engine.pipeline.nearest(ask, Steps())
                    expected = sorted(similarity for similarity in true.values() if similarity >= threshold)[::-1][
                        :limit
                    ]
                    assert [row.similarity for row in found.rows] == pytest.approx(expected, abs=1e-6)
                    assert all(true[row.id] == pytest.approx(row.similarity, abs=1e-6) for row in found.rows)
                    assert (found.scope_size, found.scanned) == (len(scope), len(true))
                    assert (found.exact, found.complete) == (True, True)
                    seen += len(found.rows)
    assert seen > 1000


def cosine(vector: FloatArray | None, query: FloatArray) -> float:
    assert vector is not None
    return max(0.0, float(vector @ query / np.linalg.norm(vector)))


@pytest.mark.parametrize("limit", [3, 20])
async def test_pages_of_likeness_join_to_the_whole_whatever_answers_each(
    world: World, limit: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every other page is answered by the table alone."""
    place = Place([one.id for one in world.datasets])
    ask = Likeness(Filter(place), world.garden.space, world.rows[0].vector, 0.0, 500)  # type: ignore[arg-type]
    whole = await world.engine.pipeline.nearest(ask, Steps())
    index, pages, beyond = world.engine.pipeline.index, list[Any](), None
    while True:
        world.engine.pipeline.index = index if len(pages) % 2 else None
        page = await world.engine.pipeline.nearest(
            Likeness(Filter(place), world.garden.space, ask.vector, 0.0, limit, beyond=beyond), Steps()
        )
        pages.append(page.rows)
        if len(page.rows) < limit:
            break
        beyond = Beyond(page.rows[-1].distance, page.rows[-1].id)
    assert [row for page in pages for row in page] == whole.rows
    assert len(whole.rows) == sum(row.vector is not None for row in world.rows)


async def test_the_quantized_index_is_said_to_be_one_and_finds_the_nearest(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(planner, "EXACT_UP_TO", 0)
    place, space = Place([one.id for one in world.datasets]), world.garden.space
    for wanted in WANTED[:4]:
        for row in world.rows[::15]:
            if row.vector is None:
                continue
            ask = Likeness(Filter(place, Conditions(wanted)), space, row.vector, 0.0, 10)
            found = await world.engine.pipeline.nearest(ask, Steps())
            truth = await world.engine.pipeline.nearest(
                Likeness(Filter(place, Conditions(wanted)), space, row.vector, 0.0, 10, exact=True), Steps()
            )
            assert found.plan.name == ("exact" if world.way == "table" else "quantized")
            assert found.exact == (world.way == "table")
            assert (truth.exact, truth.plan.reason) == (True, "an exact answer was wanted")
            assert recall(found.rows, truth.rows) >= 0.99


async def test_tags_are_what_brute_force_gives_in_order_and_in_number(world: World) -> None:
    for datasets in (world.datasets[:1], world.datasets):
        for folder in FOLDERS:
            for wanted in WANTED:
                place = Place([one.id for one in datasets], folder)
                meant = [
                    row
                    for row in world.rows
                    if row.dataset in place.datasets and row.lies_in(folder) and carries(row.tags, wanted)
                ]
                meant.sort(key=lambda row: row.id)
                meant.sort(key=lambda row: row.created_at, reverse=True)
                after: After | None = None
                found: list[ImageId] = []
                while True:
                    page = await world.engine.pipeline.newest(Filter(place, Conditions(wanted)), Window(40, 0, after))
                    assert page.total == len(meant)
                    assert all(carries(row.tags, wanted) for row in page.rows)
                    found += [row.id for row in page.rows]
                    if len(page.rows) < 40:
                        break
                    after = After(page.rows[-1].created_at, page.rows[-1].id)
                assert found == [row.id for row in meant]
                if meant:
                    page = await world.engine.pipeline.newest(Filter(place, Conditions(wanted)), Window(5, 2))
                    assert [row.id for row in page.rows] == [row.id for row in meant][2:7]
                counted = Counter((kind, tag) for row in meant for kind, tags in row.tags.items() for tag in set(tags))
                expected = Facets.of(len(meant), [(*key, count) for key, count in counted.items()])
                assert await world.engine.pipeline.facets(Filter(place, Conditions(wanted))) == expected


async def test_a_row_that_changes_while_the_question_is_answered_is_asked_for_once_more(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The best row is archived between the first statement and the last: the answer is that of a later moment."""
    pipeline, garden = world.engine.pipeline, world.garden
    ask = Likeness(Filter(Place([world.datasets[0].id])), garden.space, direction(1.0), 0.0, 3)
    best = (await pipeline.nearest(ask, Steps())).rows[0].id
    intake = Intake(
        garden.database, BlobStore.open("memory://"), Images(garden.database), Tickets(garden.database), PictureLimits()
    )
    rows, archived = pipeline._rows, False

    async def rows_late(*arguments: Any) -> Any:
        nonlocal archived
        if not archived:
            archived = True
            await intake.archive(best)
        return await rows(*arguments)

    monkeypatch.setattr(pipeline, "_rows", rows_late)
    found = await pipeline.nearest(ask, Steps())
    monkeypatch.undo()
    assert best not in [row.id for row in found.rows]
    assert [row.id for row in found.rows] == [row.id for row in (await pipeline.nearest(ask, Steps())).rows]


async def test_likeness_and_tags_through_the_engine(world: World) -> None:
    """References, words, notes and cursors on top of the pipeline."""
    garden, asked = world.garden, world.engine
    reference = next(row for row in world.rows if row.vector is not None and row.dataset == world.datasets[0].id)
    answer = await asked.by_similarity(
        garden.organization,
        SimilarQuery(reference.id, 0.0, 500, "/", conditions=Conditions(tag_filter(objects=["CAR ", "dog"]))),
    )
    wanted = tag_filter(objects=["car", "dog"])
    expected = {
        row.id for row in world.rows
        if row.dataset == world.datasets[0].id and row.vector is not None and carries(row.tags, wanted)
    }  # fmt: skip
    assert {row.id for row in answer.rows} == expected - {reference.id}
    words = await asked.by_text(garden.organization, TextQuery("along 1.0", limit=500))
    assert {row.id for row in words.rows} == {row.id for row in world.rows if row.vector is not None}
    tags = await asked.by_tag(garden.organization, TagQuery(objects=["unicycle"], limit=2))
    assert (len(tags.rows), tags.total) == (2, sum("unicycle" in row.tags["objects"] for row in world.rows))


@pytest.mark.parametrize(
    "label", ['"', "\\", "'; DROP TABLE image; --", "%s", "{}", "%(x)s", "\x00", "\ud800", "{row}"]
)
async def test_a_tag_of_odd_characters_finds_nothing_and_breaks_nothing(garden: Garden, label: str) -> None:
    reference = await garden.plant(await garden.dataset(), "reference.jpg")
    query = SimilarQuery(reference, conditions=Conditions(tag_filter(objects=[label])))
    assert (await engine_of(garden).by_similarity(garden.organization, query)).rows == []


async def test_an_image_of_another_organization_is_never_seen(world: World) -> None:
    other = await Garden.open(world.garden.database, "other")
    place = Place([UUID(int=5)])  # type: ignore[list-item]
    assert (await world.engine.pipeline.newest(Filter(place), Window(10))).rows == []
    assert (await world.engine.by_text(other.organization, TextQuery("along 1.0"))).rows == []


async def test_images_uploaded_between_two_moments_are_found_by_every_kind_of_search(world: World) -> None:
    moments = sorted(row.created_at for row in world.rows)
    start, end = moments[len(moments) // 3], moments[2 * len(moments) // 3]
    place = Place([one.id for one in world.datasets])
    for conditions in (Conditions(uploaded_from=start, uploaded_before=end), Conditions(uploaded_from=end),
                       Conditions(uploaded_before=start), Conditions(WANTED[1], start)):  # fmt: skip
        meant = [
            row for row in world.rows
            if carries(row.tags, conditions.tags)
            and (conditions.uploaded_from is None or row.created_at >= conditions.uploaded_from)
            and (conditions.uploaded_before is None or row.created_at < conditions.uploaded_before)
        ]  # fmt: skip
        assert meant
        wanted = Filter(place, conditions)
        ask = Likeness(wanted, world.garden.space, direction(1.0), 0.0, 500)
        found = await world.engine.pipeline.nearest(ask, Steps())
        assert {row.id for row in found.rows} == {row.id for row in meant if row.vector is not None}
        page = await world.engine.pipeline.newest(wanted, Window(500))
        assert ({row.id for row in page.rows}, page.total) == ({row.id for row in meant}, len(meant))
        assert (await world.engine.pipeline.facets(wanted)).images == len(meant)


def matches(pattern: str, name: str) -> bool:
    """The rule in words of its own: from left to right, a star takes as little or as much as it likes."""
    if not pattern:
        return not name
    if pattern[0] == "*":
        return matches(pattern[1:], name) or (bool(name) and matches(pattern, name[1:]))
    if pattern[0] == "?":
        return bool(name) and matches(pattern[1:], name[1:])
    if pattern[0] == "\\":
        pattern = pattern[1:]
    alike = bool(name) and (pattern[0] == name[0] or (pattern[0].isascii() and pattern[0].lower() == name[0].lower()))
    return alike and matches(pattern[1:], name[1:])


def meets(row: Row, asked: Conditions) -> bool | None:
    """Whether it meets all of them; None where what is not known decides."""
    told: list[bool | None] = [carries(row.tags, asked.tags)]
    for fact, least, most in asked.bounds():
        value = value_of(row, fact)
        low, high = getattr(asked, least), getattr(asked, most)
        inside = None if value is None else (low is None or value >= low) and (
            high is None or (value < high if isinstance(high, datetime) else value <= high)
        )  # fmt: skip
        told.append(inside)
    unwanted = {label for labels in asked.without.labels.values() for label in labels}
    if unwanted:
        carried = unwanted & {label for labels in row.tags.values() for label in labels}
        told.append(False if carried else True if row.facts["state"] == "tagged" else None)
    if asked.filename is not None:
        told.append(matches(asked.filename, row.facts["filename"]))
    if asked.camera is not None:
        told.append(None if row.facts["camera"] is None else matches(asked.camera, row.facts["camera"]))
    if asked.states is not None:
        told.append(row.facts["state"] in asked.states)
    if asked.content_types is not None:
        told.append(row.facts["content_type"] in asked.content_types)
    return False if False in told else None if None in told else True


ASKED = [
    Conditions(min_width=480, max_width=640),
    Conditions(max_width=480, min_height=640),
    Conditions(min_file_size=2),
    Conditions(min_aspect=1919 / 1080),
    Conditions(min_aspect=1.0, max_aspect=1.0),
    Conditions(min_sharpness=0.1, max_sharpness=0.5),
    Conditions(max_sharpness=0.1, min_brightness=0.3),
    Conditions(max_contrast=0.2),
    Conditions(max_brightness=0, formats=["jpg", "HEIC"]),
    Conditions(taken_from=NEW_YEAR, taken_before=NEW_YEAR + timedelta(days=1)),
    Conditions(taken_before=NEW_YEAR),
    Conditions(taken_from=NEW_YEAR, min_width=500, camera="*canon*"),
    Conditions(formats=["png"]),
    Conditions(formats=[]),
    Conditions(states=[ImageState.EMBEDDED]),
    Conditions(states=[ImageState.RECEIVED, ImageState.TAGGED], formats=["jpeg"]),
    Conditions(without=tag_filter(objects=["car", "dog"])),
    Conditions(without=tag_filter(objects=[], scenes=["indoor"])),
    Conditions(tag_filter(objects=["car"]), without=tag_filter(scenes=["outdoor"]), min_sharpness=0),
    Conditions(camera="canon"),
    Conditions(camera="_"),
    Conditions(camera="\x00"),
    *(
        Conditions(filename=pattern)
        for pattern in ("img_*.jpg", "IMG?9.*", "*.png", "100%*", "*%_a*", "?.jpg", "\\*.jpg", "*\\\\*", "ü*", "*[2]*",
                        "*1*2*.*", "**", "nothing", "\ud800*", "a\\\\b.jpg", "*.JPE?G", "*{row}*", "%(x)s")
    ),
]  # fmt: skip


async def test_facts_names_and_tags_that_are_not_wanted_are_what_brute_force_gives(world: World) -> None:
    place, pipeline, space = Place([one.id for one in world.datasets]), world.engine.pipeline, world.garden.space
    seen = undecided = 0
    for asked in ASKED:
        told = {row.id: meets(row, asked) for row in world.rows}
        meant = {image for image, is_met in told.items() if is_met}
        with_vector = {row.id for row in world.rows if row.vector is not None}
        wanted = Filter(place, asked)
        found = await pipeline.nearest(Likeness(wanted, space, direction(1.0), 0.0, 500), Steps())
        assert {row.id for row in found.rows} == meant & with_vector, asked
        assert (found.scope_size, found.scanned) == (len(with_vector), len(meant & with_vector)) or not meant
        page = await pipeline.newest(wanted, Window(500))
        assert ({row.id for row in page.rows}, page.total) == (meant, len(meant)), asked
        assert (await pipeline.facets(wanted)).images == len(meant)
        unknown = {image for image, is_met in told.items() if is_met is None}
        assert asked.may_be_undecided or not unknown
        waiting = {row.id for row in world.rows if not row.facts["facts_version"]}
        for of, images in ((None, unknown), (space, unknown & with_vector)):
            assert await pipeline.undecided(wanted, of) == Undecided(len(images), len(images & waiting)), asked
        seen, undecided = seen + len(meant), undecided + len(unknown)
    assert seen > 500
    assert undecided > 500


async def test_the_images_of_a_collection_are_what_every_kind_of_search_finds(world: World) -> None:
    garden, pipeline = world.garden, world.engine.pipeline
    collections, known = Collections(garden.database), KnownCollections(garden.database)
    await collections.create(garden.organization, "chosen")
    members = {row.id for row in world.rows[::3]}
    await collections.add(garden.organization, "chosen", list(members))

    async def check() -> None:
        for tags in (TagFilter(), tag_filter(objects=["car"])):
            asked = await known.found(garden.organization, Conditions(tags, collection="chosen"))
            meant = {row.id for row in world.rows if row.id in members and carries(row.tags, tags)}
            assert meant
            wanted = Filter(Place([one.id for one in world.datasets]), asked)
            found = await pipeline.nearest(Likeness(wanted, garden.space, direction(1.0), 0.0, 500), Steps())
            assert {row.id for row in found.rows} == {
                row.id for row in world.rows if row.id in meant and row.vector is not None
            }
            page = await pipeline.newest(wanted, Window(500))
            assert ({row.id for row in page.rows}, page.total) == (meant, len(meant))
            assert (await pipeline.facets(wanted)).images == len(meant)

    await check()
    first = await known.found(garden.organization, Conditions(collection="chosen"))
    assert (await known.found(garden.organization, Conditions(collection="chosen"))).members is first.members
    members.add(world.rows[1].id)
    members.remove(world.rows[0].id)
    await collections.add(garden.organization, "chosen", [world.rows[1].id])
    await collections.remove(garden.organization, "chosen", [world.rows[0].id])
    await check()
    with pytest.raises(NotFoundError, match="no collection 'other'"):
        await known.found(garden.organization, Conditions(collection="other"))


def test_bounds_and_names_that_make_no_sense_are_refused() -> None:
    for wrong, message in (
        ({"min_width": 2, "max_width": 1}, "must not be above max_width"),
        ({"min_aspect": float("nan")}, "must be between"),
        ({"filename": ""}, "must not be empty"),
        ({"camera": "a\\"}, "write two"),
        ({"filename": "*a" * 11}, "at most 10 stars"),
        ({"formats": ["jpog"]}, "Did you mean 'jpeg'"),
        ({"states": ["tag"]}, "must be among received"),
        ({"taken_from": NEW_YEAR, "taken_before": NEW_YEAR}, "must be before taken_before"),
    ):
        with pytest.raises(ValidationError, match=message):
            Conditions(**wrong)  # type: ignore[arg-type]


def test_a_span_without_time_is_refused() -> None:
    with pytest.raises(ValidationError, match="must be before uploaded_before"):
        Conditions(uploaded_from=datetime(2026, 2, 1, tzinfo=UTC), uploaded_before=datetime(2026, 1, 1, tzinfo=UTC))
