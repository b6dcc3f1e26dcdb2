"""The whole path on a SigLIP checkpoint in the real format: HTTP, a real worker, the SDK, pictures and words."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.checkpoints import make_checkpoint
from support.pictures import picture_bytes
from support.services import running_service

pytest.importorskip("torch", reason='needs torch: pip install "pictograph[siglip]"')
pytest.importorskip("transformers", reason='needs transformers: pip install "pictograph[siglip]"')


def test_uploaded_pictures_are_embedded_by_the_model_and_found_by_likeness_and_by_words(
    database_url: str, tmp_path: Path
) -> None:
    model = make_checkpoint(tmp_path / "siglip2-tiny-patch16-50")
    with running_service(database_url, tmp_path / "data", workers=1, encoder=str(model)) as service:
        client = service.client()
        client.datasets.create("street")
        for seed in range(6):
            client.images.upload("street", picture_bytes(seed), filename=f"{seed}.jpg")
        client.images.upload("street", picture_bytes(0, format="PNG"), filename="again.png")
        client.datasets.wait_until_processed("street")
        images = {image.filename: image for image in client.images.list("street")}
        assert {image.state for image in images.values()} == {"embedded"}
        hits = client.search.by_similarity(images["0.jpg"].id, threshold=0)
        assert len(hits) == 6
        assert hits[0].filename == "again.png"
        assert hits[0].similarity > 0.95
        assert client.ready().encoder == model.name

        found = client.search.by_text("a red truck at night", dataset_name="street")
        assert {row.image_id for row in found} == {image.id for image in images.values()}
        assert [row.similarity for row in found] == sorted((row.similarity for row in found), reverse=True)
        assert client.search.by_text("A RED truck at night") == found
