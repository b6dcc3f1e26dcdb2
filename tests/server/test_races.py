"""Many clients at once, a real worker behind them: no failure without a type, and at the end everything agrees."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from pictograph import Client, ConflictError, NotFoundError, PictographError
from pictograph.types import OrganizationId
from pictograph.wire import Dataset
from support.pictures import picture_bytes
from support.services import Service


def outcomes(calls: list[Callable[[], Any]], threads: int = 16) -> list[Any]:
    """What each call gave or raised."""

    def attempt(call: Callable[[], Any]) -> Any:
        try:
            return call()
        except PictographError as error:
            return error

    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(attempt, calls))


def rows(service: Service, statement: str, *values: Any) -> list[tuple[Any, ...]]:
    async def query() -> list[tuple[Any, ...]]:
        async with service.services.database.connection() as connection:
            return await (await connection.execute(statement.encode(), values)).fetchall()

    return service.run(query())


def assert_everything_agrees(service: Service, dataset: str) -> None:
    """Rows, jobs, search rows, encodings and files tell the same story."""
    disagreeing = """
        SELECT i.filename, i.state, i.archived_at IS NOT NULL, e.image_id IS NOT NULL
        FROM image i LEFT JOIN image_embedding e ON e.image_id = i.id WHERE i.dataset_id = %s
        AND (i.state = 'embedded' AND i.archived_at IS NULL) <> (e.image_id IS NOT NULL)"""
    assert rows(service, disagreeing, dataset) == []
    left = "SELECT i.filename FROM job j JOIN image i ON i.id = j.image_id WHERE i.dataset_id = %s"
    assert rows(service, left, dataset) == []
    for (sha256,) in rows(service, "SELECT DISTINCT sha256 FROM image WHERE dataset_id = %s", dataset):
        assert service.run(service.services.blobs.get(sha256))
        assert rows(service, "SELECT 1 FROM encoding WHERE sha256 = %s", sha256)


def test_of_many_uploads_to_one_place_one_wins(client: Client, street: Dataset) -> None:
    found = outcomes(
        [lambda n=n: client.images.upload("street", picture_bytes(n), filename="a.jpg") for n in range(24)]  # type: ignore[misc]
    )
    kinds = Counter(type(outcome).__name__ for outcome in found)
    assert kinds == {"Image": 1, "ConflictError": 23}
    (image,) = client.images.list("street")
    winner = next(outcome for outcome in found if not isinstance(outcome, ConflictError))
    assert (image.id, image.sha256) == (winner.id, winner.sha256)


def test_the_same_picture_uploaded_many_times_at_once_is_stored_and_encoded_once(
    service: Service, client: Client, street: Dataset
) -> None:
    data = picture_bytes(4321)
    found = outcomes(
        [
            lambda n=n: client.images.upload("street", data, filename=f"{n}.jpg", folder_path=f"/{n % 3}")
            for n in range(40)
        ]  # type: ignore[misc]
    )
    assert not [outcome for outcome in found if isinstance(outcome, PictographError)]
    client.datasets.wait_until_processed("street", timeout=60)
    rows_found = client.search.by_similarity(found[0].id, folder_path="/", limit=500)
    assert len(rows_found) == 39
    assert {row.similarity for row in rows_found} == {1.0}
    assert len(rows(service, "SELECT 1 FROM encoding WHERE sha256 = %s", bytes.fromhex(found[0].sha256))) == 1
    assert_everything_agrees(service, street.id)


@pytest.mark.parametrize("seed", range(3))
def test_after_a_storm_of_uploads_archives_restores_and_deletes_everything_agrees(
    service: Service, client: Client, street: Dataset, seed: int
) -> None:
    rng = random.Random(seed)
    images = [
        client.images.upload("street", picture_bytes(rng.randrange(6)), filename=f"{n}.jpg", folder_path=f"/{n % 4}")
        for n in range(24)
    ]

    def operation(number: int) -> Callable[[], Any]:
        image = rng.choice(images).id
        return rng.choice(
            [
                lambda: client.images.delete(image),
                lambda: client.images.delete(image),
                lambda: client.images.restore(image),
                lambda: client.images.restore(image),
                lambda: client.images.delete(image, permanent=True),
                lambda: client.search.by_similarity(image, folder_path="/"),
                lambda: client.images.upload("street", picture_bytes(number % 6), filename=f"new {number}.jpg"),
            ]
        )

    found = outcomes([operation(number) for number in range(120)])
    strange = {type(outcome) for outcome in found if isinstance(outcome, PictographError)} - {NotFoundError}
    assert strange == set()
    client.datasets.wait_until_processed("street", timeout=60)
    assert client.datasets.progress("street").failed == 0
    assert_everything_agrees(service, street.id)


def test_datasets_deleted_under_uploads_give_typed_errors_only(client: Client) -> None:
    for attempt in range(3):
        name = f"doomed {attempt}"
        client.datasets.create(name)
        calls: list[Callable[[], Any]] = [
            lambda n=n, name=name: client.images.upload(name, picture_bytes(n % 5), filename=f"{n}.jpg")  # type: ignore[misc]
            for n in range(30)
        ]
        calls.insert(15, lambda name=name: client.datasets.delete(name))  # type: ignore[misc]
        kinds = {type(outcome).__name__ for outcome in outcomes(calls, 8)}
        assert kinds <= {"Image", "NotFoundError", "DeletedDataset"}
        with pytest.raises(NotFoundError):
            client.datasets.get(name)


def test_while_many_upload_searches_are_answered(
    service: Service, organization: OrganizationId, client: Client, street: Dataset
) -> None:
    reference = client.images.upload("street", picture_bytes(1), filename="reference.jpg")
    client.datasets.wait_until_processed("street", timeout=60)
    calls: list[Callable[[], Any]] = []
    for n in range(40):
        calls.append(lambda n=n: client.images.upload("street", picture_bytes(100 + n), filename=f"{n}.jpg"))  # type: ignore[misc]
        calls.append(lambda: client.search.by_similarity(reference.id))
        calls.append(lambda: client.search.by_tag(objects=["car"]))
    assert not [outcome for outcome in outcomes(calls, 32) if isinstance(outcome, PictographError)]
    counts = client.datasets.wait_until_processed("street", timeout=60)
    assert (counts.total, counts.embedded, counts.failed) == (41, 41, 0)
    assert_everything_agrees(service, street.id)
