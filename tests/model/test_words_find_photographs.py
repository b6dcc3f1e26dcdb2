"""The offline encoder through the whole service: photographs go in, words find them."""

from __future__ import annotations

from pathlib import Path

from support.databases import fresh_database
from support.services import running_service

PHOTOS = Path(__file__).parents[2] / "examples" / "photos"


def test_words_find_photographs_through_http(postgres: str, template: str, tmp_path: Path) -> None:
    options = {"encoder": "offline", "workers": 1}
    with fresh_database(postgres, template) as url, running_service(url, tmp_path / "data", **options) as service:
        client = service.client()
        client.images.upload_from_directory("photos", PHOTOS)
        assert client.datasets.wait_until_processed("photos", timeout=90).tagged == len(list(PHOTOS.rglob("*.jpg")))
        for words, prefix, at_least in (("a mountain", "mountains", 2), ("an insect on a flower", "", 1)):
            best = client.search.by_text(words, dataset_name="photos", limit=3)
            assert len(best) == 3
            assert sum(row.filename.startswith(prefix) for row in best) >= at_least
        similarities = [row.similarity for row in client.search.by_text("a castle", limit=60)]
        assert similarities == sorted(similarities, reverse=True)
        assert len(similarities) == 60
