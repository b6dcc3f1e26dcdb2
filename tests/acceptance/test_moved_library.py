"""A library whose files were moved: refused at the new place until it is told so, for servers and for workers."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from acceptance.processes import Place
from support.pictures import picture_bytes

pytestmark = pytest.mark.acceptance


def test_another_store_is_refused_in_one_line_and_adopted_once_the_files_are_there(
    place: Place, tmp_path: Path, database_url: str
) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    shared = ("--database-url", database_url, "--workers", "0")
    service = place.serve_until_ready(*shared, "--blob-url", str(old))
    with place.client() as client:
        client.datasets.create("street")
        image = client.images.upload("street", picture_bytes(1), filename="a.jpg")
    service.stop()

    refused = [
        place.serve(*shared, "--blob-url", str(new)),
        place.pictograph("worker", "--database-url", database_url, "--blob-url", str(new), "--encoder", "noop"),
        place.serve(*shared, "--blob-url", str(new), "--adopt-blob-store"),
    ]
    for process in refused:
        assert process.wait() == 2, process.said
        assert "Traceback" not in process.said
    assert f"files are in {old}, but {new} is not marked" in refused[0].said
    assert f"files are in {old}, but {new} is not marked" in refused[1].said
    assert f"1 of the 1 files of this library are not in {new}, 'a.jpg'" in refused[2].said

    shutil.copytree(old, new, dirs_exist_ok=True)
    shutil.rmtree(old)
    (new / "pictograph-blob-store.json").unlink()  # as a copy by another program may leave it
    service = place.serve_until_ready(*shared, "--blob-url", str(new), "--adopt-blob-store")
    assert "Looked for 1 of 1 files" in service.said
    with place.client() as client:
        assert client.images.download(image.id) == picture_bytes(1)
    service.stop()
    place.serve_until_ready(*shared, "--blob-url", str(new)).stop()
