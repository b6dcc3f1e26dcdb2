"""Reindex over HTTP with real worker processes: noop -> offline -> noop, while uploads and searches go on."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from pictograph import Client, ConflictError, ForbiddenError, ValidationError
from pictograph.jobs.queue import Queue
from pictograph.services import start_reindex
from pictograph.spaces.encodings import fail_images
from pictograph.spaces.registry import lock_rules
from pictograph.types import Role
from pictograph.wire import Reindex
from support.pictures import picture_bytes
from support.services import Service, running_service


def wait_for_switch(client: Client, encoder: str, timeout_s: float = 90) -> Reindex:
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        status = client.reindex.status()
        if status.state == "idle" and status.active.encoder == encoder:
            return status
        time.sleep(0.2)
    raise AssertionError(f"still {client.reindex.status()}")


def test_the_library_moves_to_another_encoder_and_back_while_it_is_used(database_url: str, tmp_path: Path) -> None:
    with running_service(database_url, tmp_path / "data", workers=1) as service:
        client = service.client(role="installation")
        client.datasets.create("street")
        for seed in range(8):
            client.images.upload("street", picture_bytes(seed), filename=f"{seed}.jpg")
        client.datasets.wait_until_processed("street")
        reference = next(iter(client.images.list("street"))).id
        assert {image.state for image in client.images.list("street")} == {"embedded"}

        started = client.reindex.start("offline", pace=0.9)
        assert (started.state, started.active.encoder) == ("running", "noop")
        assert started.building is not None
        assert started.building.encoder == "offline"
        client.images.upload("street", picture_bytes(100), filename="meanwhile.jpg")
        assert len(client.search.by_similarity(reference, threshold=0)) >= 7

        moved = wait_for_switch(client, "offline")
        assert moved.previous is not None
        assert moved.previous.source == "noop"
        client.datasets.wait_until_processed("street")
        assert {image.state for image in client.images.list("street")} == {"tagged"}
        assert len(client.search.by_similarity(reference, threshold=0)) == 8
        assert client.ready().encoder == "offline"
        assert client.search.by_text("a red truck", dataset_name="street")
        client.images.upload("street", picture_bytes(101), filename="after.jpg")

        with pytest.raises(ValidationError, match="for tests"):
            client.reindex.start("noop")
        service.run(start_reindex(service.services.reindex, "noop", 1.0))
        wait_for_switch(client, "noop")
        assert len(client.search.by_similarity(reference, threshold=0)) == 9
        with pytest.raises(ValidationError, match="no text side"):
            client.search.by_text("a red truck")
        assert client.reindex.forget_previous() == 1


def test_a_wrong_start_is_refused_and_says_why(service: Service) -> None:
    organization = service.organization()
    client = service.client(organization, "installation")
    with pytest.raises(ValidationError, match="There is no encoder 'siglip9'") as refused:
        client.reindex.start("siglip9")
    assert refused.value.field_errors[0]["loc"] == ["encoder"]
    with pytest.raises(ValidationError, match="pace"):
        client.reindex.start("offline", pace=1.5)
    for name in ("noop", " NoOp "):
        with pytest.raises(ValidationError, match="for tests") as refused:
            client.reindex.start(name)
        assert refused.value.status_code == 422
        assert refused.value.field_errors[0]["loc"] == ["encoder"]
    with pytest.raises(ConflictError, match="No reindex"):
        client.reindex.cancel()
    with pytest.raises(ForbiddenError):
        service.client(organization, "member").reindex.status()


@pytest.mark.parametrize("role", ["admin", "owner"])
def test_no_role_of_an_organization_reaches_what_all_of_them_share(service: Service, role: Role) -> None:
    client = service.client(role=role)
    before = client.reindex.status()
    for act in (
        lambda: client.reindex.start("offline"),
        client.reindex.accept_failures,
        client.reindex.cancel,
        client.reindex.forget_previous,
        lambda: client.tags.apply("dog", threshold=0.9),
        lambda: client.tags.reset("dog"),
        client.tags.update,
    ):
        with pytest.raises(ForbiddenError, match="role installation"):
            act()
    assert client.reindex.status() == before


def test_failed_images_are_processed_once_more_when_asked(database_url: str, tmp_path: Path) -> None:
    """Their bytes were out of reach when the worker wanted them; they are back now."""
    with running_service(database_url, tmp_path / "data", workers=0) as service:
        client = service.client()
        client.datasets.create("street")
        image = client.images.upload("street", picture_bytes(1), filename="a.jpg")
        untouched = client.images.upload("street", picture_bytes(2), filename="b.jpg")
        service.run(give_up(service, image.id))
        assert client.images.get(image.id).state == "failed"
        assert client.datasets.retry_failed("street") == 1
        assert client.datasets.retry_failed("street") == 0
        retried = client.images.get(image.id)
        assert (retried.state, retried.reason) == ("received", None)
        assert service.run(service.services.backlog.depth()) == (2, 0)
        assert client.images.get(untouched.id).state == "received"
        with pytest.raises(ForbiddenError):
            service.client(service.organization(), "viewer").datasets.retry_failed("street")


async def give_up(service: Service, image: str) -> None:
    space = await service.services.spaces.active()
    assert space is not None
    claim = await Queue(service.services.database, space.id).claim(10)
    job = next(job for job in claim.jobs if str(job.image_id) == image)
    async with service.services.database.transaction() as connection:
        await fail_images(connection, await lock_rules(connection, space.id), claim.id, job.sha256, "out of reach")
    await Queue(service.services.database, space.id).release(claim)
