"""Queries by name: kept as they were asked, and asked again."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from pictograph import Client, ConflictError, Example, ForbiddenError, NotFoundError, ValidationError
from pictograph.types import OrganizationId
from pictograph.wire import Dataset
from support.pictures import picture_bytes
from support.raw import Raw
from support.services import Service


@pytest.fixture
def images(client: Client, street: Dataset) -> list[str]:
    """Ids of five images: the first two are alike."""
    rows = [
        client.images.upload("street", picture_bytes(seed, size=(64 + seed, 48)), filename=f"{number}.png")
        for number, seed in enumerate((0, 0, 1, 2, 3))
    ]
    client.datasets.wait_until_processed("street")
    return [row.id for row in rows]


def test_a_query_is_saved_and_finds_what_there_is_when_it_runs(client: Client, images: list[str]) -> None:
    saved = client.queries.save("widest", dataset_names=["street"], order_by="width", limit=2)
    assert (saved.name, saved.query["order_by"], saved.query["filter"]["dataset_names"]) == (
        "widest",
        "width",
        ["street"],
    )
    asked = client.search.query(dataset_names=["street"], order_by="width", limit=2)
    found = client.queries.run("widest")
    assert [row.image_id for row in found] == [row.image_id for row in asked] == [images[4], images[3]]
    rest = client.queries.run(saved.id, limit=3, cursor=found.next_cursor)
    assert [row.image_id for row in rest] == [images[2], images[0], images[1]]
    assert [row.image_id for row in client.queries.iterate_run("widest", page_size=2)] == [*images[:1:-1], *images[:2]]
    client.images.delete(images[4])
    assert [row.image_id for row in client.queries.run("widest", limit=1)] == [images[3]]


def test_examples_are_saved_with_their_signs_and_weights(client: Client, images: list[str]) -> None:
    examples = [Example(image_id=images[0], weight=2.0), Example(image_id=images[2], negative=True)]
    client.queries.save("like", examples=examples, top=10)
    asked = client.search.query(examples=examples, top=10)
    found = client.queries.run("like")
    assert [(row.image_id, row.score) for row in found] == [(row.image_id, row.score) for row in asked]
    assert found[0].image_id == images[1]


def test_saving_again_replaces_and_deleting_forgets(client: Client) -> None:
    first = client.queries.save("q", order_by="width")
    second = client.queries.save("q", order_by="height")
    assert first.id == second.id
    assert client.queries.get("q").query["order_by"] == "height"
    other = client.queries.save("caf\u00e9")
    with pytest.raises(ConflictError, match="is the id of a saved query"):
        client.queries.save(other.id)
    assert client.queries.get("cafe\u0301").id == other.id
    page = client.queries.list(limit=1)
    assert ([row.name for row in page], page.total) == (["caf\u00e9"], 2)
    assert [row.name for row in client.queries.iterate()] == ["caf\u00e9", "q"]
    assert client.queries.delete("q").id == first.id
    for call in (client.queries.get, client.queries.delete, client.queries.run):
        with pytest.raises(NotFoundError, match="no saved query 'q'"):
            call("q")


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"order_by": "widht"}, "width"),
        ({"limit": 0}, "limit"),
        ({"odd": 1}, "odd"),
        ({"cursor": "abc"}, "no cursor"),
        ({"threshold": 0.5}, "threshold"),
        ({"filter": {"objcts": ["car"]}}, "objects"),
    ],
)
def test_what_cannot_be_asked_cannot_be_saved(raw: Raw, body: dict[str, Any], said: str) -> None:
    answer = raw.api("PUT", "/queries/q", json=body)
    assert answer.status_code == 422
    assert said in answer.json()["error"]["message"]
    assert raw.api("GET", "/queries/q").status_code == 404


def test_what_was_saved_by_another_version_is_refused_by_name(
    service: Service, client: Client, raw: Raw, organization: OrganizationId
) -> None:
    client.queries.save("old")
    with psycopg.connect(service.database_url) as connection:
        old = '{"order_by": "width", "gone": 1}'
        connection.execute("UPDATE saved_query SET question = %s WHERE organization_id = %s", [old, organization])
    with pytest.raises(ConflictError, match=r"'old' cannot be asked any more \(gone: .*Save it anew"):
        client.queries.run("old")


def test_a_viewer_runs_queries_and_saves_none_and_nobody_sees_those_of_others(
    service: Service, organization: OrganizationId, client: Client
) -> None:
    client.queries.save("q")
    viewer = service.client(organization, "viewer")
    assert viewer.queries.run("q") == []
    with pytest.raises(ForbiddenError):
        viewer.queries.save("x")
    with pytest.raises(ForbiddenError):
        viewer.queries.delete("q")
    stranger = service.client()
    assert stranger.queries.list() == []
    with pytest.raises(NotFoundError):
        stranger.queries.run("q")
    with pytest.raises(ValidationError):
        client.queries.run("q", limit=501)
