"""The search page through real HTTP: arguments, defaults, bounds, errors, rows, and its two examples word for word."""

from __future__ import annotations

import copy
import inspect
import pickle
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from pictograph import AsyncClient, Client, NotFoundError, ValidationError
from pictograph.client.filters import Filters
from pictograph.localconfig import LocalConfig, write_config
from pictograph.types import OrganizationId
from pictograph.wire import Dataset
from support.databases import fresh_database
from support.pictures import picture_bytes
from support.planting import Garden, direction
from support.raw import Raw
from support.services import Service, running_service

# The page's two tables, row by row: argument, default ("required" has none).
BY_SIMILARITY = {"image_id": inspect.Parameter.empty, "threshold": 0.6, "limit": 50, "folder_path": None}
BY_TAG = {"objects": None, "scenes": None, "attributes": None, "dataset_name": None, "limit": 50}
PAGE = (Path(__file__).parent / "search_page_examples.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("client_class", [Client, AsyncClient])
@pytest.mark.parametrize(("method", "table"), [("by_similarity", BY_SIMILARITY), ("by_tag", BY_TAG)])
def test_every_argument_of_the_page_is_there_with_its_default(
    service: Service, client_class: Any, method: str, table: dict[str, Any]
) -> None:
    search = client_class("k", base_url=service.address).search
    parameters = inspect.signature(getattr(search, method)).parameters
    assert {name: parameters[name].default for name in table} == table


@pytest.fixture(scope="module")
def service(postgres: str, template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service without a worker, which would take up what is planted here."""
    folder = tmp_path_factory.mktemp("quiet")
    with fresh_database(postgres, template) as url, running_service(url, folder) as service:
        yield service


@pytest.fixture
def garden(service: Service, organization: OrganizationId) -> Garden:
    """Plants images with chosen vectors and tags into the running service."""
    active = service.run(service.services.spaces.active())
    assert active is not None
    return Garden(service.services.database, organization, active.id)


@pytest.fixture
def planted(service: Service, garden: Garden) -> dict[str, str]:
    """Filename to id, in dataset `my-dataset`."""

    async def plant() -> dict[str, str]:
        dataset = await garden.dataset("my-dataset")
        car, outdoor, blurry = {"objects": ["car"]}, {"scenes": ["outdoor"]}, {"attributes": ["blurry"]}
        return {
            "reference.jpg": str(await garden.plant(dataset, "reference.jpg", folder="/a")),
            "near.jpg": str(await garden.plant(dataset, "near.jpg", direction(0.9), folder="/a", tags=car)),  # type: ignore[arg-type]
            "below.jpg": str(
                await garden.plant(dataset, "below.jpg", direction(0.8), folder="/a/b", tags=car | outdoor)  # type: ignore[arg-type]
            ),
            "far.jpg": str(await garden.plant(dataset, "far.jpg", direction(0.3), folder="/a", tags=outdoor)),  # type: ignore[arg-type]
            "elsewhere.jpg": str(
                await garden.plant(
                    dataset, "elsewhere.jpg", direction(0.95), folder="/z", tags=car | outdoor | blurry  # type: ignore[arg-type]
                )
            ),
        }  # fmt: skip

    return service.run(plant())


def names(rows: Sequence[Any]) -> list[str]:
    return [row.filename for row in rows]


def test_likeness_search_inherits_the_folder_with_all_below_it(client: Client, planted: dict[str, str]) -> None:
    rows = client.search.by_similarity(planted["reference.jpg"])
    assert names(rows) == ["near.jpg", "below.jpg"]
    assert [row.similarity for row in rows] == pytest.approx([0.9, 0.8], abs=1e-3)
    assert names(client.search.by_similarity(planted["reference.jpg"], folder_path="/")) == [
        "elsewhere.jpg", "near.jpg", "below.jpg",
    ]  # fmt: skip
    assert names(client.search.by_similarity(planted["reference.jpg"], folder_path="z/")) == ["elsewhere.jpg"]
    assert names(client.search.by_similarity(planted["reference.jpg"], threshold=0.0)) == [
        "near.jpg", "below.jpg", "far.jpg",
    ]  # fmt: skip
    assert names(client.search.by_similarity(planted["reference.jpg"], threshold=0.85)) == ["near.jpg"]
    assert names(client.search.by_similarity(planted["reference.jpg"], limit=1)) == ["near.jpg"]


def test_tag_search_ors_inside_and_ands_across(client: Client, planted: dict[str, str]) -> None:
    by_tag = client.search.by_tag
    assert names(by_tag(objects=["car", "truck"])) == ["elsewhere.jpg", "below.jpg", "near.jpg"]
    assert names(by_tag(objects=["car"], scenes=["outdoor"])) == ["elsewhere.jpg", "below.jpg"]
    assert names(by_tag(objects=["CAR"], attributes=["Blurry"])) == ["elsewhere.jpg"]
    assert names(by_tag(objects=["car"], dataset_name="my-dataset", limit=1, offset=1)) == ["below.jpg"]
    assert names(by_tag(objects=["car", "truck"], match="all")) == []
    assert by_tag(objects=[]) == []
    assert by_tag(objects=["car"], scenes=[]) == []
    assert by_tag(objects=["", " "]) == []
    assert names(client.search.iterate_by_tag(objects=["car"], page_size=1)) == [
        "elsewhere.jpg", "below.jpg", "near.jpg",
    ]  # fmt: skip


def test_a_tag_answer_names_unknown_tags_and_the_next_page(client: Client, planted: dict[str, str]) -> None:
    page = client.search.by_tag_page(objects=["car", "Unicorn"], limit=2)
    assert (page.count, page.unknown_tags, page.filters.objects) == (2, ["unicorn"], ["car", "unicorn"])
    assert (page.pagination.limit, page.pagination.has_more) == (2, True)
    with pytest.raises(ValidationError, match="another question"):
        client.search.by_tag_page(objects=["car"], limit=2, cursor=page.pagination.next_cursor)
    rest = client.search.by_tag_page(objects=["car", "Unicorn"], limit=3, cursor=page.pagination.next_cursor)
    assert names(rest.results) == ["near.jpg"]
    assert (rest.pagination.has_more, rest.pagination.next_cursor) == (False, None)


def test_no_tag_at_all_is_a_422(client: Client, raw: Raw) -> None:
    with pytest.raises(ValidationError) as caught:
        client.search.by_tag()
    assert caught.value.status_code == 422
    assert raw.api("GET", "/search/by-tags").status_code == 422


def test_a_lone_text_instead_of_a_list_is_refused_before_it_is_taken_for_letters(client: Client) -> None:
    with pytest.raises(ValidationError, match=r"\['car'\]"):
        client.search.by_tag(objects="car")


@pytest.mark.parametrize("labels", [b"car", [None], ["car", None], [5]])
def test_what_is_no_tag_is_refused_and_finds_not_nothing(client: Client, labels: Any) -> None:
    for ask in (client.search.by_tag, client.search.tags):
        with pytest.raises(ValidationError) as caught:
            ask(objects=labels)
        assert caught.value.field_errors[0]["loc"] == ["objects"]


@pytest.mark.parametrize("limit", [0, -1, 501, 10**20])
def test_a_limit_out_of_bounds_is_refused_and_the_cap_named(
    client: Client, planted: dict[str, str], limit: int
) -> None:
    for search in (
        lambda: client.search.by_similarity(planted["reference.jpg"], limit=limit),
        lambda: client.search.by_tag(objects=["car"], limit=limit),
    ):
        with pytest.raises(ValidationError) as caught:
            search()
        assert caught.value.status_code == 422
        assert caught.value.field_errors[0]["loc"][-1] == "limit"
        if limit > 500:
            assert "500" in caught.value.message


@pytest.mark.parametrize("limit", [1, 500])
def test_the_bounds_of_the_limit_are_allowed(client: Client, planted: dict[str, str], limit: int) -> None:
    assert client.search.by_similarity(planted["reference.jpg"], limit=limit)
    assert client.search.by_tag(objects=["car"], limit=limit)


@pytest.mark.parametrize("threshold", [-0.1, 1.1, float("nan"), float("inf"), -1e-9, 1.0000001])
def test_a_threshold_out_of_bounds_is_refused(client: Client, planted: dict[str, str], threshold: float) -> None:
    with pytest.raises(ValidationError) as caught:
        client.search.by_similarity(planted["reference.jpg"], threshold=threshold)
    assert caught.value.status_code == 422
    assert caught.value.field_errors[0]["loc"][-1] == "threshold"


@pytest.mark.parametrize("threshold", [0, 1, 0.0, 1.0, 5e-324])
def test_the_bounds_of_the_threshold_are_allowed(client: Client, planted: dict[str, str], threshold: float) -> None:
    client.search.by_similarity(planted["reference.jpg"], threshold=threshold)


@pytest.mark.parametrize(
    "image_id", ["", "car.jpg", "12345", "x" * 3000, "\x00", "🚗", "../../x", "0b8e8ef5-8d0c-4c4e-9a53-6d2f7f1a2c11"]
)
def test_what_is_no_image_is_not_found(client: Client, image_id: str) -> None:
    with pytest.raises(NotFoundError) as caught:
        client.search.by_similarity(image_id)
    assert (caught.value.status_code, caught.value.code) == (404, "not_found")


def test_an_unknown_dataset_is_not_found(client: Client) -> None:
    with pytest.raises(NotFoundError, match="nowhere"):
        client.search.by_tag(objects=["car"], dataset_name="nowhere")


@pytest.mark.parametrize("folder", ["/..", "/a\x00", "/" + "x" * 256])
def test_a_folder_that_cannot_be_is_refused(client: Client, planted: dict[str, str], folder: str) -> None:
    with pytest.raises(ValidationError):
        client.search.by_similarity(planted["reference.jpg"], folder_path=folder)


@pytest.mark.parametrize("offset", [-1, 1_000_001, 10**30])
def test_an_offset_out_of_bounds_is_refused(client: Client, offset: int) -> None:
    with pytest.raises(ValidationError):
        client.search.by_tag(objects=["car"], offset=offset)


@pytest.mark.parametrize(
    "cursor",
    ["", "x", "e30", "W10", "WzEsMl0", "🚗", "\x00", "A" * 5000, "W1siYSJd" * 100, "W1tbW1tbW1tb" * 3000],
)  # fmt: skip
def test_a_cursor_that_is_not_ours_is_refused(client: Client, cursor: str) -> None:
    with pytest.raises(ValidationError):
        client.search.by_tag_page(objects=["car"], cursor=cursor)


def test_a_match_that_is_neither_is_refused(client: Client) -> None:
    with pytest.raises(ValidationError):
        client.search.by_tag(objects=["car"], match="some")  # type: ignore[arg-type]


@pytest.mark.parametrize("label", ["x" * 70_000, "\ud800"])
def test_what_does_not_fit_into_a_request_is_refused_before_it_is_sent(client: Client, label: str) -> None:
    for call in (
        lambda: client.search.by_tag(objects=[label]),
        lambda: client.datasets.get(label),
        lambda: client.images.list(label),
        lambda: client.datasets.rename("x", label),
    ):
        with pytest.raises((ValidationError, NotFoundError)) as caught:
            call()
        assert len(str(caught.value)) < 100_000


def test_two_hundred_tags_may_be_asked_for_at_once(client: Client, planted: dict[str, str]) -> None:
    many = [f"tag {n}" for n in range(199)]
    assert len(client.search.by_tag(objects=[*many, "car"])) == 3
    with pytest.raises(ValidationError, match="200"):
        client.search.by_tag(objects=[*many, "car", "truck"])


# What an answer says of itself


def test_rows_are_a_plain_list_that_also_says_how_it_was_found(client: Client, planted: dict[str, str]) -> None:
    rows = client.search.by_similarity(planted["reference.jpg"])
    assert isinstance(rows, list)
    assert rows == list(rows)
    assert [*rows] == rows[:] == sorted(rows, key=lambda row: -row.similarity)
    assert (rows.plan, rows.exact, rows.complete) == ("exact", True, True)
    assert (rows.scope_size, rows.scanned, rows.unknown_tags) == (4, 4, [])
    assert rows.took_ms > 0
    assert rows.plan_reason
    again = pickle.loads(pickle.dumps(rows))
    assert (again, again.plan, again.scope_size) == (rows, rows.plan, rows.scope_size)
    assert copy.copy(rows).scope_size == 4
    whole = client.search.by_similarity(planted["reference.jpg"], folder_path="/")
    assert whole.scope_size == 5


def test_a_folder_that_never_held_an_image_is_not_found_and_one_that_did_is(
    client: Client, planted: dict[str, str]
) -> None:
    for folder in ("/nowhere", "/a/nowhere"):
        for ask in (
            lambda folder=folder: client.search.by_similarity(planted["reference.jpg"], folder_path=folder),
            lambda folder=folder: client.search.by_tag(objects=["car"], folder_path=folder),
            lambda folder=folder: client.search.tags(folder_path=folder),
            lambda folder=folder: client.search.explain(image_id=planted["reference.jpg"], folder_path=folder),
        ):
            with pytest.raises(NotFoundError, match="no folder") as caught:
                ask()
            assert folder in caught.value.message
    for image in client.images.list(client.datasets.list()[0].name, folder_path="/z"):
        client.images.delete(image.id)
    assert client.search.by_similarity(planted["reference.jpg"], folder_path="/z") == []
    assert client.search.by_tag(objects=["car"], folder_path="/z") == []
    assert client.images.list(client.datasets.list()[0].name, folder_path="/nowhere") == []


def test_tags_that_nothing_here_can_judge_are_named_unless_an_image_carries_them(
    client: Client, planted: dict[str, str]
) -> None:
    page = client.search.by_tag_page(objects=["car", "truck", "unicorn"])
    assert (page.unknown_tags, page.unjudged_tags) == (["unicorn"], ["truck"])
    assert client.search.by_tag(objects=["truck"]).unjudged_tags == ["truck"]
    assert client.search.by_similarity(planted["reference.jpg"], objects=["truck"]).unjudged_tags == ["truck"]
    assert client.search.tags(objects=["car"]).unjudged_tags == []
    assert client.search.tags(objects=["truck"]).unjudged_tags == ["truck"]
    assert client.search.explain(image_id=planted["reference.jpg"], objects=["truck"]).unjudged_tags == ["truck"]


async def test_the_async_client_says_the_same(service: Service, client: Client, planted: dict[str, str]) -> None:
    async with AsyncClient(client._transport.config.api_key, base_url=service.address) as other:
        rows = await other.search.by_similarity(planted["reference.jpg"], objects=["car"], exact=True)
        shown = await other.search.explain(image_id=planted["reference.jpg"])
        tagged = await other.search.by_tag(objects=["car"], folder_path="/a")
        counts = await other.search.tags(objects=["car"], attributes=["blurry"])
    assert rows == client.search.by_similarity(planted["reference.jpg"], objects=["car"])
    assert (rows.plan, rows.scope_size) == ("exact", 4)
    assert shown.scope_size == 4
    assert names(tagged) == ["below.jpg", "near.jpg"]
    assert tagged.total == 2
    assert counts == client.search.tags(objects=["car"], attributes=["blurry"])
    assert counts.images == 1


def test_likeness_and_tags_go_together(client: Client, planted: dict[str, str]) -> None:
    def ask(**tags: Any) -> list[str]:
        return names(client.search.by_similarity(planted["reference.jpg"], folder_path="/", **tags))

    assert ask() == ["elsewhere.jpg", "near.jpg", "below.jpg"]
    assert ask(scenes=["outdoor"]) == ["elsewhere.jpg", "below.jpg"]
    assert ask(objects=["car"], attributes=["blurry"]) == ["elsewhere.jpg"]
    assert ask(objects=["car", "truck"], match="all") == []
    assert ask(objects=[]) == []
    rows = client.search.by_similarity(planted["reference.jpg"], objects=["car", "Unicorn"], exact=True)
    assert (names(rows), rows.unknown_tags) == (["near.jpg", "below.jpg"], ["unicorn"])
    assert (rows.plan_reason, rows.scanned, rows.scope_size) == ("an exact answer was wanted", 2, 4)


def test_a_tag_search_keeps_to_a_folder_with_all_below_it(client: Client, planted: dict[str, str]) -> None:
    page = client.search.by_tag_page(objects=["car"], folder_path="a/")
    assert (names(page.results), page.filters.folder_path) == (["below.jpg", "near.jpg"], "/a")
    assert names(client.search.by_tag(objects=["car"], folder_path="/a", limit=1)) == ["below.jpg"]
    assert names(client.search.iterate_by_tag(objects=["car"], folder_path="/a", page_size=1)) == [
        "below.jpg", "near.jpg",
    ]  # fmt: skip
    assert client.search.by_tag_page(objects=["car"]).filters.folder_path is None


def test_searches_keep_to_images_uploaded_between_two_moments(client: Client, planted: dict[str, str]) -> None:
    middle = client.images.get(planted["near.jpg"]).created_at
    late = client.search.by_tag(objects=["car"], uploaded_from=middle)
    early = client.search.by_tag(objects=["car"], uploaded_before=middle.isoformat())
    assert late.total + early.total == client.search.by_tag(objects=["car"]).total  # type: ignore[operator]
    assert planted["near.jpg"] in [row.image_id for row in late]
    assert client.search.by_similarity(planted["reference.jpg"], uploaded_before="2001-01-01") == []
    assert client.search.tags(uploaded_from=middle, uploaded_before="2100-01-01T00:00:00+01:00").images > 0
    for wrong in ("yesterday", "0", "1700000000", "2026-13-01"):
        with pytest.raises(ValidationError, match="uploaded_from"):
            client.search.by_tag(objects=["car"], uploaded_from=wrong)
    with pytest.raises(ValidationError, match="between them lies no time"):
        client.search.by_tag(objects=["car"], uploaded_from="2026-01-02", uploaded_before="2026-01-01")


def test_every_search_takes_facts_names_and_unwanted_tags_and_says_what_it_could_not_judge(
    client: Client, planted: dict[str, str], service: Service
) -> None:
    """Planted images are 640 x 480 JPEGs of one byte at which nobody has looked."""

    async def look() -> None:
        async with service.services.database.connection() as connection:
            await connection.execute(
                "UPDATE image SET sharpness = 0.5, taken_at = '2024-05-17', camera = 'Canon EOS 5D', facts_version = 1"
                " WHERE id = ANY(%s)",
                [[planted["near.jpg"], planted["below.jpg"]]],
            )

    service.run(look())
    facts: Filters = {
        "min_width": 640, "max_height": 480, "max_file_size": 1, "min_aspect": 1.3, "min_sharpness": 0.5,
        "taken_from": "2024-05-17", "taken_before": "2024-05-18", "camera": "canon*", "formats": ["jpg"],
        "states": ["tagged"], "filename": "NE?R*", "not_scenes": ["outdoor"],
    }  # fmt: skip
    like = client.search.by_similarity(planted["reference.jpg"], folder_path="/", **facts)
    assert names(like) == ["near.jpg"]
    assert names(client.search.by_tag(objects=["car"], **facts)) == ["near.jpg"]
    assert names(client.search.iterate_by_tag(objects=["car"], page_size=1, **facts)) == ["near.jpg"]
    assert client.search.tags(**facts).images == 1
    sharp = client.search.by_tag(objects=["car"], min_sharpness=0.1)
    assert (names(sharp), sharp.undecided, sharp.undecided_waiting) == (["below.jpg", "near.jpg"], 1, 1)
    assert client.search.tags(max_sharpness=0.1).undecided == 3
    likely = client.search.by_similarity(planted["reference.jpg"], folder_path="/", camera="*", exact=True)
    assert (names(likely), likely.undecided) == (["near.jpg", "below.jpg"], 3)
    assert client.search.by_tag(objects=["car"], formats=[]) == []
    for wrong, message in (
        ({"min_width": 3, "max_width": 2}, "min_width"), ({"formats": ["jpge"]}, "Did you mean 'jpeg'"),
        ({"states": ["taged"]}, "Did you mean 'tagged'"), ({"filename": ""}, "filename"),
        ({"taken_from": "soon"}, "taken_from"), ({"min_aspect": "wide"}, "min_aspect"),
    ):  # fmt: skip
        with pytest.raises(ValidationError, match=message):
            client.search.by_tag(objects=["car"], **wrong)  # type: ignore[arg-type]


def test_a_likeness_search_looks_from_one_dataset_into_another_and_at_a_folder_alone(
    client: Client, planted: dict[str, str], service: Service, garden: Garden
) -> None:
    """What of `train` is in `test`?"""

    async def plant() -> None:
        test = await garden.dataset("test")
        for name, cosine, folder in (("leak.jpg", 0.99, "/x"), ("below.jpg", 0.93, "/x/y"), ("other.jpg", 0.1, "/")):
            await garden.plant(test, name, direction(cosine), folder=folder, tags={"objects": ["car"]})  # type: ignore[arg-type]

    service.run(plant())
    search, reference = client.search, planted["reference.jpg"]
    leaks = search.by_similarity(reference, dataset_names=["test"])
    assert (names(leaks), leaks.answer.folder_path) == (["leak.jpg", "below.jpg"], "/")
    assert names(search.by_similarity(reference, dataset_names=["test"], folder_path="/x", recursive=False)) == [
        "leak.jpg"
    ]
    both = search.by_similarity(reference, dataset_names=["test", "my-dataset"], limit=3)
    assert names(both) == ["leak.jpg", "elsewhere.jpg", "below.jpg"]
    assert both.next_cursor is not None
    rest = search.by_similarity(reference, dataset_names=["test", "my-dataset"], limit=3, cursor=both.next_cursor)
    assert names(rest) == ["near.jpg", "below.jpg"]
    assert names(search.by_similarity(reference, recursive=False)) == ["near.jpg"]
    assert names(search.iterate_by_similarity(reference, dataset_names=["test"], page_size=1)) == names(leaks)
    assert names(search.by_tag(objects=["car"], dataset_names=["test"], folder_path="/x", recursive=False)) == [
        "leak.jpg"
    ]
    assert search.tags(dataset_names=["test"]).images == 3
    assert search.tags(dataset_names=["test", "my-dataset"]).images == 8
    with pytest.raises(NotFoundError):
        search.by_similarity(reference, dataset_names=["nowhere"])
    with pytest.raises(ValidationError, match="either dataset_name or dataset_names"):
        search.by_tag(objects=["car"], dataset_name="test", dataset_names=["test"])


def test_a_tag_search_says_how_many_images_there_are_in_all(client: Client, planted: dict[str, str]) -> None:
    rows = client.search.by_tag(objects=["car", "Unicorn"], limit=2)
    assert names(rows) == ["elsewhere.jpg", "below.jpg"]
    assert (rows.total, rows.has_more, rows.unknown_tags) == (3, True, ["unicorn"])
    page = client.search.by_tag_page(objects=["car", "Unicorn"], limit=2, cursor=rows.next_cursor)
    assert (names(page.results), page.pagination.total) == (["near.jpg"], 3)
    assert client.search.by_tag(objects=["car"], offset=9).total == 3
    assert client.search.by_tag(objects=["car"], folder_path="/a", limit=1).total == 2
    assert client.search.by_tag(objects=[]).total == 0
    again = pickle.loads(pickle.dumps(rows))
    assert (again, again.total, again.next_cursor) == (rows, 3, rows.next_cursor)


def test_an_explanation_shows_the_plan_and_its_recall(client: Client, planted: dict[str, str]) -> None:
    shown = client.search.explain(image_id=planted["reference.jpg"], folder_path="/", objects=["car"])
    assert (shown.plan, shown.scope_size, shown.folder_path) == ("exact", 5, "/")
    assert list(shown.preparation) == ["reference"]
    exact = shown.tried[0]
    assert (exact.plan, exact.rows, exact.recall, exact.complete, exact.fell_back) == ("exact", 3, 1.0, True, None)
    assert exact.took_ms >= sum(exact.steps.values()) > 0


@pytest.mark.parametrize("wrong", [{}, {"image_id": str(uuid4()), "text": "a dog"}])
def test_an_explanation_is_of_one_question(client: Client, wrong: dict[str, str]) -> None:
    with pytest.raises(ValidationError, match="exactly one of image_id and text"):
        client.search.explain(**wrong)  # type: ignore[arg-type]


def test_an_explanation_fails_as_the_search_does(client: Client, planted: dict[str, str]) -> None:
    with pytest.raises(NotFoundError):
        client.search.explain(image_id=str(uuid4()))
    with pytest.raises(ValidationError, match="no text side"):
        client.search.explain(text="a dog")
    with pytest.raises(ValidationError, match="dataset_name goes with text"):
        client.search.explain(image_id=planted["reference.jpg"], dataset_name="my-dataset")


# Rows, as the published clients read them (protocol.md 1.1, 1.2, 10)

COMMON = {
    "id": str, "image_id": str, "filename": str, "virtual_folder_path": str, "virtual_directory_path": str,
    "status": str, "annotation_count": int, "image_auto_tags": dict, "tags": dict, "dataset_id": str, "project_id": str,
}  # fmt: skip


def test_rows_carry_the_names_that_published_clients_read(raw: Raw, planted: dict[str, str]) -> None:
    answer = raw.api("GET", f"/search/similar?image_id={planted['reference.jpg']}&threshold=0.6&limit=50").json()
    assert {"results", "count", "threshold", "query_image_id"} <= answer.keys()
    assert (answer["count"], answer["threshold"], answer["query_image_id"]) == (2, 0.6, planted["reference.jpg"])
    tagged = raw.api("GET", "/search/by-tags?limit=50&offset=0&objects=car").json()
    assert {"results", "count", "filters", "pagination"} <= tagged.keys()
    assert {"limit": 50, "offset": 0}.items() <= tagged["pagination"].items()
    for row in [*answer["results"], *tagged["results"]]:
        for key, kind in COMMON.items():
            assert isinstance(row[key], kind), key
        assert row["id"] == row["image_id"]
        assert row["project_id"] == row["dataset_id"]
        assert row["virtual_folder_path"] == row["virtual_directory_path"] == row["folder_path"]
        assert row["image_auto_tags"] == row["tags"]
        assert row["status"] in ("new", "annotate", "review", "complete")
        assert row["image_auto_tags"].keys() == {"objects", "scenes", "attributes"}
    assert all(0 <= row["similarity"] <= 1 for row in answer["results"])


def test_both_names_of_the_folder_parameter_are_read(raw: Raw, planted: dict[str, str]) -> None:
    for name in ("folder_path", "directory_path"):
        query = {"image_id": planted["reference.jpg"], name: "/z"}
        assert raw.api("GET", "/search/similar", params=query).json()["count"] == 1
        assert (
            raw.api("GET", "/images/", params={"dataset": "my-dataset", name: "/z"}).json()["pagination"]["total"] == 1
        )


def test_a_published_clients_query_is_understood_as_it_is_sent(raw: Raw, planted: dict[str, str]) -> None:
    query = "limit=100&offset=0&objects=car&objects=red+truck&scenes=outdoor&attributes=a%26b&dataset_name=my-dataset"
    answer = raw.api("GET", f"/search/by-tags?{query}").json()
    assert answer["filters"]["objects"] == ["car", "red truck"]
    assert answer["filters"]["attributes"] == ["a&b"]
    assert answer["unknown_tags"] == ["red truck", "a&b"]


def test_image_and_dataset_rows_carry_what_published_clients_need(raw: Raw, client: Client, street: Dataset) -> None:
    client.images.upload("street", picture_bytes(1), filename="a.jpg")
    (image,) = raw.api("GET", "/images/?dataset=street&limit=2&offset=0&filename=a.jpg").json()["data"]
    needed = {
        "id", "filename", "created_at", "image_url", "status", "annotation_count", "file_size", "width", "height",
        "content_type", "dataset_id", "directory_path", "is_archived", "thumbnail_url", "tags",
    }  # fmt: skip
    assert needed <= image.keys()
    assert image["tags"] == []  # their models want a list of words here, never the object of automatic tags
    row = raw.api("GET", "/datasets/street").json()["data"]
    required = {"id", "name", "created_at", "organization_id", "description", "annotation_types", "classes"}
    counters = {"image_count", "completed_image_count", "archived_image_count", "total_size"}
    assert required | counters | {"is_public", "is_archived", "storage_class"} <= row.keys()
    assert all(isinstance(row[name], int) for name in counters)
    listed = raw.api("GET", "/datasets/?limit=100&offset=0").json()
    assert listed.keys() == {"data", "pagination"}
    assert isinstance(listed["pagination"]["has_more"], bool)


# The page's examples


def examples() -> list[str]:
    """The python blocks of the page, as they stand there."""
    return [block.split("```")[0] for block in PAGE.split("```python\n")[1:]]


def test_the_examples_of_the_page_run_unchanged_on_this_machine(
    service: Service, organization: OrganizationId, planted: dict[str, str], home: Path
) -> None:
    write_config(LocalConfig(service.address, service.key(organization), "elsewhere"))
    set_up, by_similarity, by_tag = examples()
    script = set_up + by_similarity.replace("img-uuid-1", planted["reference.jpg"]) + by_tag
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=60)
    assert ran.stderr == ""
    assert ran.stdout.splitlines() == [
        f"{planted['near.jpg']} near.jpg 0.900",
        f"{planted['below.jpg']} below.jpg 0.800",
        f"{planted['elsewhere.jpg']} ['car']",
    ]


def test_scores_say_what_they_are_worth(service: Service, garden: Garden, client: Client) -> None:
    async def plant() -> str:
        dataset = await garden.dataset("worth")
        for number in range(12):
            await garden.plant(dataset, f"{number}.jpg", direction(0.55 + number / 40, axis=1 + number))
        return str(await garden.plant(dataset, "reference.jpg"))

    image = service.run(plant())
    rows = client.search.by_similarity(image, threshold=0.75, percentiles=True)
    assert rows.relevance is not None
    assert rows.relevance.scale is not None
    assert rows.relevance.best == rows[0].similarity
    assert rows.relevance.just_below == 2
    assert [row.percentile for row in rows] == sorted((row.percentile for row in rows), reverse=True)  # type: ignore[type-var]
    assert rows.relevance.scale.pictures == 13
    plain = client.search.by_similarity(image, threshold=0.75)
    assert (plain[0].percentile, plain.relevance.scale) == (None, None)  # type: ignore[union-attr]
    auto = client.search.query(examples=[image], dataset_names=["worth"], threshold="auto", percentiles=True)
    assert auto.relevance is not None
    assert auto.relevance.auto == "rare"
    assert auto.answer.threshold == auto.relevance.scale.auto_threshold  # type: ignore[union-attr]
    assert all(row.score >= auto.answer.threshold for row in auto)
