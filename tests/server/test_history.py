"""Every write of an image or a dataset keeps the key's id and the time."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from pictograph import Client, ForbiddenError, NotFoundError, ValidationError
from pictograph.localconfig import LocalConfig, write_config
from pictograph.types import OrganizationId
from pictograph.wire import Dataset, Write
from support.commands import Command, runner
from support.pictures import picture_bytes
from support.raw import Raw
from support.services import Service, client_of, running_service


@pytest.fixture
def other(service: Service, client: Client) -> Client:
    """Another key of the same organization, called `other`."""
    made = client_of(service.address, client.keys.create("other", role="admin").api_key)
    service.clients.append(made)
    return made


@pytest.fixture
def command(
    service: Service, client: Client, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Command:
    write_config(LocalConfig(service.address, client._transport.config.api_key, "elsewhere"))
    return runner(monkeypatch, capsys)


def told(rows: list[Write]) -> list[tuple[str, str | None]]:
    """Oldest first: what, and by which key."""
    return [(row.action, row.key_name) for row in reversed(rows)]


def sql(service: Service, statement: str, *values: Any) -> list[tuple[Any, ...]]:
    async def query() -> list[tuple[Any, ...]]:
        async with service.services.database.connection() as connection:
            cursor = await connection.execute(statement.encode(), values)
            return await cursor.fetchall() if cursor.description else []

    return service.run(query())


def test_each_write_of_an_image_is_told_with_its_key_and_time(
    service: Service, client: Client, other: Client, street: Dataset
) -> None:
    image = client.images.upload("street", picture_bytes(1), filename="a.jpg")
    other.images.delete(image.id)
    client.images.restore(image.id)
    rows = client.images.history(image.id)
    assert told(rows) == [("uploaded", "admin key"), ("archived", "other"), ("restored", "admin key")]
    by_name = {key.name: key.id for key in client.keys.list()}
    assert [row.key_id for row in rows] == [by_name[row.key_name or ""] for row in rows]
    assert all(timedelta(0) <= datetime.now(UTC) - row.at < timedelta(minutes=2) for row in rows)
    assert rows == other.images.history(image.id)


def test_what_changes_nothing_and_what_the_worker_does_is_not_told(client: Client, street: Dataset) -> None:
    image = client.images.upload("street", picture_bytes(1), filename="a.jpg")
    client.datasets.wait_until_processed("street", timeout=60)
    client.images.restore(image.id)
    for _ in range(2):
        client.images.delete(image.id)
    assert [action for action, _ in told(client.images.history(image.id))] == ["uploaded", "archived"]


def test_new_bytes_another_place_and_another_try_are_told_whoever_writes_them(
    service: Service, client: Client, street: Dataset
) -> None:
    image = client.images.upload("street", picture_bytes(1), filename="a.jpg")
    twin = client.images.upload("street", picture_bytes(2), filename="b.jpg")
    client.datasets.wait_until_processed("street", timeout=60)
    sql(service, "UPDATE image SET sha256 = %s WHERE id = %s", bytes.fromhex(twin.sha256), image.id)
    sql(service, "UPDATE image SET filename = 'c.jpg' WHERE id = %s", image.id)
    sql(service, "UPDATE image SET state = 'failed' WHERE id = %s", image.id)
    assert client.datasets.retry_failed("street") == 1
    assert told(client.images.history(image.id)) == [
        ("uploaded", "admin key"), ("replaced", None), ("moved", None), ("retried", "admin key"),
    ]  # fmt: skip


def test_the_three_steps_are_told_as_an_upload_by_whoever_registers(
    raw_as: Callable[[Any], Raw], client: Client, street: Dataset
) -> None:
    member = raw_as("member")
    body = {"dataset": "street", "filename": "a.jpg"}
    url = member.api("POST", "/images/upload-url", json=body).json()["data"]["upload_url"]
    member("PUT", url, content=picture_bytes(1))
    image = member.api("POST", "/images/register", json=body).json()["data"]["id"]
    assert told(client.images.history(image)) == [("uploaded", "member key")]


def test_a_dataset_has_a_history_too(client: Client, other: Client, street: Dataset) -> None:
    other.datasets.rename("street", "road")
    client.datasets.describe("road", "with cars")
    client.datasets.describe("road", "with cars")
    rows = client.datasets.history(street.id)
    assert told(rows) == [("created", "admin key"), ("renamed", "other"), ("described", "admin key")]


def test_a_history_goes_with_what_it_tells_of(service: Service, client: Client, street: Dataset) -> None:
    image = client.images.upload("street", picture_bytes(1), filename="a.jpg").id
    kept = client.images.upload("street", picture_bytes(2), filename="b.jpg").id
    client.images.delete(image, permanent=True)
    with pytest.raises(NotFoundError):
        client.images.history(image)
    left = "SELECT count(*) FROM write_history WHERE about = ANY(%s)"
    assert sql(service, left, [image]) == [(0,)]
    assert sql(service, left, [kept, street.id]) == [(2,)]
    client.datasets.delete("street")
    assert sql(service, left, [kept, street.id]) == [(0,)]


def test_a_long_history_comes_in_pages_that_join(client: Client, street: Dataset) -> None:
    image = client.images.upload("street", picture_bytes(1), filename="a.jpg").id
    for _ in range(3):
        client.images.delete(image)
        client.images.restore(image)
    whole = client.images.history(image)
    pages, cursor = list[Write](), None
    while True:
        page = client.images.history(image, limit=2, cursor=cursor)
        assert page.total == 7
        pages += page
        cursor = page.next_cursor
        if cursor is None:
            break
    assert pages == whole
    other = client.images.upload("street", picture_bytes(2), filename="b.jpg").id
    for about, wrong in ((other, client.images.history(image, limit=2).next_cursor), (image, "x")):
        with pytest.raises(ValidationError, match="cursor"):
            client.images.history(about, cursor=wrong)


def test_a_history_is_its_organizations_alone(
    service: Service, organization: OrganizationId, client: Client, street: Dataset
) -> None:
    image = client.images.upload("street", picture_bytes(1), filename="a.jpg").id
    assert len(service.client(organization, "viewer").images.history(image)) == 1
    for call in (service.client().images.history, service.client().datasets.history):
        with pytest.raises(NotFoundError):
            call(image)
    with pytest.raises(NotFoundError):
        client.images.history(str(uuid4()))


def test_the_command_shows_it(command: Command, client: Client, street: Dataset) -> None:
    image = client.images.upload("street", picture_bytes(1), filename="a.jpg").id
    client.images.delete(image)
    code, out, _ = command("history", image)
    assert code == 0
    assert out.index("archived") < out.index("uploaded")
    assert "admin key" in out
    code, out, _ = command("history", image, "--json")
    assert [row["action"] for row in json.loads(out)["data"]] == ["archived", "uploaded"]
    assert command("history", str(uuid4()))[0] == 4


def test_what_is_done_to_the_whole_installation_is_told_to_who_may_do_it(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with running_service(database_url, tmp_path / "data") as service:
        organization = service.organization()
        operator = service.client(organization, "installation")
        operator.tags.apply("objects/dog", threshold=0.4)
        operator.tags.apply("objects/dog", threshold=0.4)
        operator.tags.reset("objects/dog")
        operator.reindex.start("offline")
        operator.reindex.accept_failures()
        operator.reindex.cancel()
        assert operator.reindex.forget_previous() == 1
        rows = operator.history()
        assert [(row.action, row.detail) for row in reversed(rows)] == [
            ("encoder changed", "noop"),
            ("threshold changed", "objects/dog: default -> 0.4"),
            ("threshold changed", "objects/dog: 0.4 -> default"),
            ("reindex started", "offline"),
            ("failures accepted", "offline"),
            ("reindex cancelled", "offline"),
            ("encoder forgotten", "offline"),
        ]
        assert {row.key_name for row in rows[:-1]} == {"installation key"}
        assert rows[-1].key_name is None  # by the start of the service
        with pytest.raises(ForbiddenError, match="installation"):
            service.client(organization, "owner").history()
        write_config(LocalConfig(service.address, operator._transport.config.api_key, "elsewhere"))
        code, out, _ = runner(monkeypatch, capsys)("history", "--limit", "2")
        assert (code, "encoder forgotten (offline)" in out, "2 of 7" in out) == (0, True, True)
