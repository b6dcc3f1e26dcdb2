"""The whole path on a SigLIP checkpoint in the real format: HTTP, a real worker, the SDK, pictures and words."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import psycopg
import pytest

from pictograph.models.bundle import bundle
from pictograph.models.unbundle import unbundle
from pictograph.models.verify import record
from pictograph.tagging.taxonomy import load_taxonomy
from pictograph.types import TAG_CATEGORIES
from support.checkpoints import make_checkpoint
from support.pictures import picture_bytes
from support.services import running_service

pytest.importorskip("torch", reason="needs torch, of the extra siglip")
pytest.importorskip("transformers", reason="needs transformers, of the extra siglip")

pytestmark = pytest.mark.long


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
        assert {image.state for image in images.values()} == {"tagged"}
        hits = client.search.by_similarity(images["0.jpg"].id, threshold=0)
        assert len(hits) == 6
        assert hits[0].filename == "again.png"
        assert hits[0].similarity > 0.95
        assert client.ready().encoder == model.name

        found = client.search.by_text("a red truck at night", dataset_name="street")
        assert {row.image_id for row in found} == {image.id for image in images.values()}
        assert [row.similarity for row in found] == sorted((row.similarity for row in found), reverse=True)
        assert client.search.by_text("A RED truck at night") == found


def test_pictures_are_tagged_with_words_of_the_taxonomy_by_calibration_that_outlive_the_worker(
    database_url: str, tmp_path: Path
) -> None:
    model, taxonomy = make_checkpoint(tmp_path / "siglip2-tiny-patch16-50"), load_taxonomy()
    for start in range(2):
        with running_service(database_url, tmp_path / "data", workers=2, encoder=str(model)) as service:
            client = service.client()
            client.datasets.create("street")
            image = client.images.upload("street", picture_bytes(start, size=(300, 200)), filename="wide.jpg")
            client.datasets.wait_until_processed("street")
            found = client.images.get(image.id)
            assert found.state == "tagged"
            for category in TAG_CATEGORIES:
                assert set(found.image_auto_tags[category]) <= set(taxonomy.names(category))
            assert "landscape-orientation" in found.image_auto_tags["attributes"]  # judged by pixels
            by_tag = client.search.by_tag(attributes=["landscape-orientation"], dataset_name="street")
            assert [row.image_id for row in by_tag] == [image.id]
    with psycopg.connect(database_url) as connection:
        taggers = connection.execute("SELECT DISTINCT tagger FROM encoding").fetchall()
        kept = connection.execute("SELECT count(*), count(DISTINCT label) FROM label_vector").fetchone()
        stretch = connection.execute("SELECT stretch FROM space").fetchone()
    assert len(taggers) == 1
    assert taggers[0][0].startswith(f"taxonomy-{taxonomy.version}+prompts-1-")
    assert kept == (len(taxonomy.labels), len(taxonomy.labels))
    assert stretch != (1.0,)


CUT_OFF = """
import socket
connect = socket.socket.connect
def only_here(self, address, *rest):
    if self.family != socket.AF_UNIX and address[0] not in ("127.0.0.1", "::1", "localhost"):
        raise AssertionError(f"the network was asked for {address}")
    return connect(self, address, *rest)
socket.socket.connect = only_here
lookup = socket.getaddrinfo
def only_us(host, *rest, **more):
    if host not in (None, "", "127.0.0.1", "::1", "localhost"):
        raise AssertionError(f"the network was asked for {host}")
    return lookup(host, *rest, **more)
socket.getaddrinfo = only_us
"""


@pytest.fixture
def network_cut_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """For this process and the workers it starts: only this machine itself can be reached."""
    for name in ("connect", "getaddrinfo"):
        owner = socket.socket if name == "connect" else socket
        monkeypatch.setattr(owner, name, getattr(owner, name))  # put back at the end
    exec(CUT_OFF, {})
    folder = tmp_path / "startup"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(CUT_OFF)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")]))


def test_a_library_moves_to_a_model_that_came_in_a_bundle_and_back_with_the_network_cut_off(
    database_url: str, tmp_path: Path, network_cut_off: None
) -> None:
    name = "siglip2-tiny-patch16-50"
    folder = make_checkpoint(tmp_path / "another machine" / name)
    record(folder)
    bundle(folder, tmp_path / "carried.tar")
    unbundle(tmp_path / "carried.tar")
    with pytest.raises(AssertionError, match="the network was asked"):
        httpx.get("http://huggingface.co")
    with running_service(database_url, tmp_path / "data", workers=1, encoder="offline") as service:
        client = service.client(role="installation")
        client.datasets.create("street")
        for seed in range(5):
            client.images.upload("street", picture_bytes(seed), filename=f"{seed}.jpg")
        client.datasets.wait_until_processed("street")
        reference = next(iter(client.images.list("street"))).id
        before = client.search.by_similarity(reference, threshold=0)

        client.reindex.start(name)
        until(lambda: client.reindex.status().active.encoder == name)
        images = client.images.list("street")
        assert {image.state for image in images} == {"tagged"}
        assert len(client.search.by_similarity(reference, threshold=0)) == 4
        assert len(client.search.by_text("a red truck at night", dataset_name="street")) == 5

        client.reindex.start("offline")
        until(lambda: client.reindex.status().active.encoder == "offline")
        assert client.search.by_similarity(reference, threshold=0) == before


def until(happened: Callable[[], bool], timeout_s: float = 90) -> None:
    deadline = time.monotonic() + timeout_s
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.2)
