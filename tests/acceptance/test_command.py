"""The `pictograph` command against a real service: what it prints, what it takes up again, its exit codes."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from acceptance.processes import Place
from support.pictures import picture_bytes

pytestmark = pytest.mark.acceptance


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """One for all tests of this file."""
    place = Place(tmp_path_factory.mktemp("service"))
    place.serve_until_ready()
    yield place
    place.clean()


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = tmp_path / "pictures" / "deep"
    folder.mkdir(parents=True)
    for number in range(4):
        (folder / f"{number}.jpg").write_bytes(picture_bytes(number))
    return folder.parent


def execute(place: Place, *arguments: str | Path, code: int) -> subprocess.CompletedProcess[str]:
    """One command in an environment that says nothing but where the config file is."""
    environment = {
        "HOME": str(place.folder),
        "PICTOGRAPH_HOME": str(place.home),
        "PICTOGRAPH_MAX_RETRIES": "0",
        "PYTHONPATH": ":".join(sys.path),
    }
    command = [sys.executable, "-m", "pictograph", *map(str, arguments)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done


def run(place: Place, *arguments: str | Path) -> str:
    """What it printed for a person."""
    return execute(place, *arguments, code=0).stdout


def rows(place: Place, *arguments: str | Path, code: int = 0) -> Any:
    """What it printed for a script; `code` 1 is a partial failure, which has an answer too."""
    return json.loads(execute(place, *arguments, "--json", code=code).stdout)


def error(place: Place, *arguments: str | Path, code: int) -> Any:
    """Why it failed, for a script."""
    return json.loads(execute(place, *arguments, "--json", code=code).stderr)["error"]


def test_upload_goes_on_where_it_stopped_and_search_finds(service: Place, pictures: Path) -> None:
    first = rows(service, "upload", pictures, "-d", "cli")
    assert (first["attempted"], first["uploaded"], first["skipped"], first["failures"]) == (4, 4, 0, [])
    assert first["progress"]["embedded"] == 4

    (pictures / "new.png").write_bytes(picture_bytes(9, format="PNG"))
    (pictures / "broken.jpg").write_bytes(b"no picture")
    second = rows(service, "upload", pictures, "-d", "cli", code=1)
    assert (second["uploaded"], second["skipped"]) == (1, 4)
    assert [Path(failure["path"]).name for failure in second["failures"]] == ["broken.jpg"]

    images = rows(service, "images", "list", "cli")["data"]
    assert len(images) == 5
    [reference] = [image["id"] for image in images if image["filename"] == "0.jpg"]
    similar = rows(service, "search", "similar", reference, "-t", "0", "-f", "/")["results"]
    assert {row["filename"] for row in similar} <= {"1.jpg", "2.jpg", "3.jpg", "new.png"}
    assert rows(service, "search", "tags", "-o", "car", "-d", "cli")["results"] == []
    assert reference in run(service, "images", "list", "cli")

    out = pictures / "copy.bin"
    run(service, "images", "download", reference, "-o", out)
    assert out.read_bytes() == picture_bytes(0)


def test_datasets_keys_and_status(service: Place) -> None:
    [made] = rows(service, "datasets", "create", "short-lived")
    assert made["name"] == "short-lived"
    assert error(service, "datasets", "create", "short-lived", code=5)["code"] == "conflict"
    assert "short-lived" in run(service, "datasets", "list")
    run(service, "datasets", "delete", "short-lived", "--yes")
    assert error(service, "datasets", "get", "short-lived", code=4)["exit_code"] == 4

    viewer = rows(service, "keys", "create", "reader", "--role", "viewer")
    limited = ("--api-key", viewer["api_key"])
    assert error(service, *limited, "datasets", "create", "forbidden", code=3)["retryable"] is False
    run(service, "keys", "revoke", viewer["key_id"])
    assert error(service, *limited, "datasets", "list", code=2)["exit_code"] == 2

    status = rows(service, "status")
    assert (status["encoder"], status["base_url"]) == ("noop", service.config["base_url"])


def test_mistakes_have_their_exit_codes(service: Place, tmp_path: Path) -> None:
    unknown = "0198c0de-0000-7000-8000-000000000000"
    assert "500" in error(service, "search", "similar", unknown, "-n", "501", code=6)["message"]
    assert "not a directory" in error(service, "upload", tmp_path / "missing", "-d", "x", code=6)["message"]
    assert error(service, "search", "similar", unknown, code=4)["code"] == "not_found"
    assert "pictograph serve" in error(Place(tmp_path), "status", code=2)["message"]
    assert (
        error(service, "--api-key", "k", "--base-url", "http://127.0.0.1:1", "status", code=9)["code"]
        == "connection_failed"
    )
