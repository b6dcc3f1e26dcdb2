"""Queries through real HTTP: by the SDK, by plain JSON and by the command."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from pictograph import Client, Example, NotFoundError, ValidationError
from pictograph.localconfig import LocalConfig, write_config
from pictograph.types import OrganizationId
from pictograph.wire import QueryAnswer
from support.commands import runner
from support.databases import fresh_database
from support.planting import Garden, direction
from support.raw import Raw
from support.services import Service, running_service


@pytest.fixture(scope="module")
def service(postgres: str, template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service without a worker, which would take up what is planted here."""
    folder = tmp_path_factory.mktemp("quiet")
    with fresh_database(postgres, template) as url, running_service(url, folder) as service:
        yield service


@pytest.fixture
def planted(service: Service, organization: OrganizationId) -> dict[str, str]:
    """Filename to id: `train` and `test` have three each, along three directions."""
    active = service.run(service.services.spaces.active())
    assert active is not None
    garden = Garden(service.services.database, organization, active.id)

    async def plant() -> dict[str, str]:
        images = {}
        for name in ("train", "test"):
            dataset = await garden.dataset(name)
            for axis in (1, 2, 3):
                filename = f"{name}{axis}.jpg"
                vector = direction(0.6 if name == "train" else 0.5, axis)
                images[filename] = str(await garden.plant(dataset, filename, vector, tags={"objects": ["car"]}))  # type: ignore[arg-type]
        return images

    return service.run(plant())


def test_like_these_in_one_dataset_finds_what_leaked_into_another(client: Client, planted: dict[str, str]) -> None:
    rows = client.search.query(examples=[planted["train1.jpg"]], dataset_names=["test"], limit=2)
    assert [row.filename for row in rows] == ["test1.jpg", *sorted(["test2.jpg", "test3.jpg"], key=planted.get)[:1]]  # type: ignore[arg-type]
    assert rows[0].score == rows[0].similarity == pytest.approx(0.3 + 0.8 * 0.866, abs=2e-3)
    assert (rows.total, rows.total_is, rows.has_more) == (3, "exact", True)
    assert isinstance(rows.answer, QueryAnswer)
    assert (rows.answer.formula, rows.answer.order_by, rows.answer.folder_path) == ("similarity", "relevance", "/")


def test_like_these_but_not_like_that(client: Client, planted: dict[str, str]) -> None:
    likes = [planted["train1.jpg"], planted["train2.jpg"]]
    rows = client.search.query(examples=[*likes, Example(image_id=planted["train3.jpg"], negative=True)])
    assert {row.filename for row in rows[:2]} == {"test1.jpg", "test2.jpg"}
    assert rows[-1].filename == "test3.jpg"
    assert len(rows) == 3
    assert rows[0].score != rows[0].similarity
    found = {row.filename: row for row in client.search.query(examples=likes)}
    assert found["test3.jpg"].score > rows[-1].score  # type: ignore[operator]


def test_facts_order_and_pages_go_on(client: Client, planted: dict[str, str]) -> None:
    rows = client.search.query(order_by="created_at", descending=False, limit=4)
    assert [row.filename for row in rows] == [f"train{n}.jpg" for n in (1, 2, 3)] + ["test1.jpg"]
    assert rows[0].score is None
    assert rows[0].order_value.endswith("Z")  # type: ignore[union-attr]
    assert rows[0].order_value < rows[1].order_value  # type: ignore[operator]
    rest = client.search.query(order_by="created_at", descending=False, cursor=rows.next_cursor)
    assert [row.filename for row in rest] == ["test2.jpg", "test3.jpg"]
    every = list(client.search.iterate_query(order_by="width", page_size=2))
    assert {row.order_value for row in every} == {640}
    assert sorted(row.image_id for row in every) == [row.image_id for row in every] == sorted(planted.values())
    best = client.search.query(examples=[planted["train1.jpg"]], top=2, order_by="created_at")
    assert len(best) == best.total == 2
    assert best[0].order_value > best[1].order_value  # type: ignore[operator]


def test_counts_have_no_rows(client: Client, planted: dict[str, str]) -> None:
    rows = client.search.query(dataset_names=["train"], count_only=True)
    assert (list(rows), rows.total, rows.total_is, rows.next_cursor) == ([], 3, "exact", None)
    likely = client.search.query(examples=[planted["train1.jpg"]], threshold=0.9, count_only=True)
    assert (list(likely), likely.total) == ([], 1)


def test_json_says_what_is_wrong_and_what_was_meant(raw: Raw, planted: dict[str, str]) -> None:
    image = planted["train1.jpg"]
    for body, said in (
        ({"exampels": []}, "Did you mean 'examples'"),
        ({"filter": {"dataset_name": "train"}}, "Did you mean 'dataset_names'"),
        ({"examples": [{"image": image}]}, "Did you mean 'image_id'"),
        ({"examples": [{"image_id": image, "text": "x"}]}, "exactly one of"),
        ({"examples": [{"image_id": image}], "order_by": "width"}, "threshold"),
        ({"order_by": "widht"}, "order_by must be one of"),
        ({"examples": [{"image_id": image, "weight": 0}]}, "weight"),
        ({"filter": {"objects": "car"}}, "valid list"),
        ({"limit": 501}, "500"),
    ):
        answer = raw.api("POST", "/search/query", json=body)
        assert (answer.status_code, said in answer.json()["error"]["message"]) == (422, True), answer.text
    found = raw.api("POST", "/search/query", json={"filter": {"folder_path": "/", "objects": ["Car"]}, "limit": 1})
    assert (found.status_code, found.json()["pagination"]["total"]) == (200, 6)


def test_what_is_not_there_is_said(client: Client, planted: dict[str, str]) -> None:
    with pytest.raises(NotFoundError, match="no image"):
        client.search.query(examples=["0198c0de-0000-7000-8000-000000000000"])
    with pytest.raises(NotFoundError, match="nowhere"):
        client.search.query(dataset_names=["nowhere"])
    with pytest.raises(ValidationError, match="other@1"):
        client.search.query(examples=[Example(vector=[1.0] * 1152, encoder="other@1")])


def test_the_command_asks_the_same(
    service: Service,
    organization: OrganizationId,
    client: Client,
    planted: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    home: Path,
) -> None:
    write_config(LocalConfig(service.address, service.key(organization), "elsewhere"))
    command = runner(monkeypatch, capsys)

    def run(*arguments: str) -> str:
        code, out, err = command("search", "query", *arguments)
        assert code == 0, err
        return out

    like, unlike = planted["train1.jpg"], planted["train3.jpg"]
    shown = json.loads(run("--like", like, "--unlike", unlike, "-d", "test", "--json"))
    rows = client.search.query(examples=[like, Example(image_id=unlike, negative=True)], dataset_names=["test"])
    assert [row["image_id"] for row in shown["results"]] == [row.image_id for row in rows]
    assert run("--dataset", "train", "--dataset", "test", "--count").strip() == "6"
    table = run("--order-by", "created_at", "--ascending", "--limit", "1")
    assert "created_at" in table
    assert "train1.jpg" in table
