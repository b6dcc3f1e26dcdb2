"""Collections: sets of images by name, across datasets; who is in them leaves with the image."""

from __future__ import annotations

from pathlib import Path
from uuid import uuid4

import pytest

from pictograph import Client, ConflictError, ForbiddenError, NotFoundError, ValidationError
from pictograph.types import OrganizationId
from pictograph.wire import Dataset
from pictograph.wire import Image as ImageRow
from support.pictures import picture_bytes
from support.raw import Raw
from support.services import Service


@pytest.fixture
def images(client: Client, street: Dataset) -> list[ImageRow]:
    client.datasets.create("park")
    places = [("street", "a.jpg"), ("street", "b.jpg"), ("park", "c.jpg")]
    return [
        client.images.upload(dataset, picture_bytes(number), filename=name)
        for number, (dataset, name) in enumerate(places)
    ]


def names(client: Client, collection: str) -> list[str]:
    return [image.filename for image in client.collections.images(collection)]


def test_images_of_several_datasets_are_added_listed_and_taken_out(client: Client, images: list[ImageRow]) -> None:
    made = client.collections.create("dogs")
    assert (made.name, made.image_count) == ("dogs", 0)
    change = client.collections.add("dogs", images)
    assert (change.changed, change.unchanged) == (3, 0)
    again = client.collections.add(made.id, [images[0].id, images[0].id])
    assert (again.changed, again.unchanged) == (0, 1)
    assert sorted(names(client, "dogs")) == ["a.jpg", "b.jpg", "c.jpg"]
    assert client.collections.get("dogs").image_count == 3
    gone = client.collections.remove("dogs", [images[1].id, str(uuid4())])
    assert (gone.changed, gone.unchanged) == (1, 1)
    assert sorted(names(client, "dogs")) == ["a.jpg", "c.jpg"]
    assert client.collections.delete("dogs").image_count == 2
    assert client.collections.list() == []
    assert client.images.get(images[0].id).id == images[0].id


def test_its_images_come_in_pages_the_last_added_first(
    client: Client, images: list[ImageRow], monkeypatch: pytest.MonkeyPatch
) -> None:
    client.collections.create("dogs")
    for image in images:
        client.collections.add("dogs", image)
    first = client.collections.images("dogs", limit=2)
    assert [image.filename for image in first] == ["c.jpg", "b.jpg"]
    assert (first.total, first.has_more) == (3, True)
    client.collections.remove("dogs", images[1])
    rest = client.collections.images("dogs", limit=2, cursor=first.next_cursor)
    assert [image.filename for image in rest] == ["a.jpg"]
    assert [image.filename for image in client.collections.iterate_images("dogs")] == ["c.jpg", "a.jpg"]
    client.collections.create("other")
    with pytest.raises(ValidationError, match="another question"):
        client.collections.images("other", cursor=first.next_cursor)


def test_an_archived_image_is_left_out_until_it_is_restored_and_a_deleted_one_is_gone(
    client: Client, images: list[ImageRow]
) -> None:
    client.collections.create("dogs")
    client.collections.add("dogs", images)
    client.images.delete(images[0].id)
    assert sorted(names(client, "dogs")) == ["b.jpg", "c.jpg"]
    assert client.collections.get("dogs").image_count == client.collections.list()[0].image_count == 2
    client.images.restore(images[0].id)
    client.images.delete(images[1].id, permanent=True)
    assert sorted(names(client, "dogs")) == ["a.jpg", "c.jpg"]
    client.datasets.delete("park")
    assert names(client, "dogs") == ["a.jpg"]


def test_an_image_that_does_not_exist_is_named_and_nothing_is_added(
    service: Service, client: Client, images: list[ImageRow]
) -> None:
    foreign_client = service.client()
    foreign_client.datasets.create("x")
    foreign = foreign_client.images.upload("x", picture_bytes(1), filename="x.jpg")
    client.collections.create("dogs")
    for unknown in (str(uuid4()), foreign.id):
        with pytest.raises(NotFoundError, match=f"There is no image {unknown}; nothing was added"):
            client.collections.add("dogs", [images[0].id, unknown])
    assert names(client, "dogs") == []
    with pytest.raises(ValidationError, match="image_id must be a UUID"):
        client.collections.add("dogs", "a.jpg")
    for call in (client.collections.get, client.collections.delete, client.collections.images):
        with pytest.raises(NotFoundError, match="no collection 'cats'"):
            call("cats")
    with pytest.raises(NotFoundError):
        foreign_client.collections.get("dogs")


def test_names_are_unique_and_change(client: Client) -> None:
    made = client.collections.create("caf\u00e9")
    with pytest.raises(ConflictError, match="already a collection named"):
        client.collections.create("cafe\u0301")
    with pytest.raises(ConflictError, match="is the id of a collection"):
        client.collections.create(made.id)
    client.collections.create("dogs")
    with pytest.raises(ConflictError):
        client.collections.rename("dogs", "caf\u00e9")
    assert client.collections.rename("dogs", "cats").name == "cats"
    assert [row.name for row in client.collections.list(limit=1)] == ["cats"]
    assert [row.name for row in client.collections.iterate()] == ["cats", "caf\u00e9"]


def test_a_viewer_reads_collections_and_changes_none(
    service: Service, organization: OrganizationId, client: Client
) -> None:
    client.collections.create("dogs")
    viewer = service.client(organization, "viewer")
    assert viewer.collections.get("dogs").image_count == 0
    for call in (
        lambda: viewer.collections.create("x"),
        lambda: viewer.collections.add("dogs", str(uuid4())),
        lambda: viewer.collections.remove("dogs", str(uuid4())),
        lambda: viewer.collections.rename("dogs", "y"),
        lambda: viewer.collections.delete("dogs"),
    ):
        with pytest.raises(ForbiddenError):
            call()


def test_more_images_than_one_request_takes_go_in_several(raw: Raw, client: Client) -> None:
    client.collections.create("dogs")
    change = client.collections.remove("dogs", [str(uuid4()) for _ in range(1001)])
    assert (change.changed, change.unchanged) == (0, 1001)
    body = {"image_ids": [str(uuid4()) for _ in range(1001)]}
    assert raw.api("POST", "/collections/dogs/images", json=body).status_code == 422


def test_a_collection_is_a_filter_of_every_search_and_of_exports(
    client: Client, images: list[ImageRow], tmp_path: Path
) -> None:
    client.datasets.wait_until_processed("street")
    client.datasets.wait_until_processed("park")
    client.collections.create("dogs")
    client.collections.add("dogs", images[1:])
    search = client.search
    assert {row.image_id for row in search.query(collection="dogs")} == {image.id for image in images[1:]}
    assert search.query(collection="dogs", dataset_names=["park"], count_only=True).total == 1
    likely = search.query(examples=[images[0].id], collection="dogs", threshold=-1)
    assert {row.image_id for row in likely} == {image.id for image in images[1:]}
    near = search.by_similarity(images[0].id, threshold=0, collection="dogs")
    assert [row.image_id for row in near] == [images[1].id]
    assert search.tags(collection="dogs").images == 2
    report = search.export(tmp_path / "dogs.jsonl", collection="dogs")
    assert report.rows == len((tmp_path / "dogs.jsonl").read_text().splitlines()) == 2
    first = search.query(collection="dogs", limit=1)
    client.collections.add("dogs", images[0])
    rest = search.query(collection="dogs", limit=5, cursor=first.next_cursor)
    assert [row.image_id for row in (*first, *rest)] == [image.id for image in reversed(images)]
    client.images.delete(images[2].id)
    assert search.query(collection="dogs", count_only=True).total == 2
    client.queries.save("found", collection="dogs", order_by="created_at")
    assert [row.image_id for row in client.queries.run("found")] == [images[1].id, images[0].id]
    with pytest.raises(NotFoundError, match="no collection 'cats'"):
        search.query(collection="cats")
