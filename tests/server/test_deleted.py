"""Deleted for good through HTTP: at once no answer has the image, and soon nothing is left of it anywhere."""

from __future__ import annotations

from uuid import uuid4

import pytest

from pictograph import Client, NotFoundError
from pictograph.ingest.sweep import FORGOTTEN_AFTER_SWEEPS
from pictograph.wire import Dataset
from support.pictures import picture_bytes
from support.services import Service
from support.traces import traces

TOLD_FOR_A_DAY = ["answered_request.image_id"]
"""So that a retry of the upload is told that the image is gone, and does not bring it back."""


def test_an_image_that_was_uploaded_shown_searched_and_deleted_leaves_nothing(
    service: Service, client: Client, street: Dataset
) -> None:
    name = f"secret {uuid4().hex}"
    image = client.images.upload("street", picture_bytes(7001), filename=f"{name}.jpg")
    twin = client.images.upload("street", picture_bytes(7002), filename="other.jpg")
    client.datasets.wait_until_processed("street", timeout=60)
    assert client.images.thumbnail(image.id)
    assert client.search.by_similarity(image.id, threshold=0)
    wanted = (image.id, image.sha256, name)
    assert len(traces(service.database_url, *wanted)) > 3

    client.images.delete(image.id, permanent=True)

    assert [row.id for row in client.images.list("street", include_archived=True)] == [twin.id]
    assert image.id not in [row.image_id for row in client.search.by_similarity(twin.id, threshold=0)]
    for call in (client.images.get, client.images.download, client.images.thumbnail, client.search.by_similarity):
        with pytest.raises(NotFoundError):
            call(image.id)  # type: ignore[operator]
    for _ in range(FORGOTTEN_AFTER_SWEEPS + 1):
        service.run(service.services.intake.sweep())
    assert set(traces(service.database_url, *wanted)) <= set(TOLD_FOR_A_DAY)
    root = service.services.blobs.root
    assert root is not None
    assert [path for path in root.rglob("*") if image.sha256 in path.name] == []
