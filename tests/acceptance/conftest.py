"""Places to run real processes in; whatever a test leaves running is killed."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from acceptance.processes import AS_NOBODY, Place

if sys.platform != "linux":  # processes are found through /proc
    collect_ignore_glob = ["test_*.py"]


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    """Ours: as root, if that is who runs the tests."""
    place = Place(tmp_path)
    yield place
    place.clean()


@pytest.fixture
def place_of_nobody() -> Iterator[Place]:
    """An ordinary user's, who owns the folder and nothing above it."""
    if os.geteuid() != 0 or not shutil.which("setpriv"):
        pytest.skip("only root with setpriv (util-linux) can start a service as another user")
    folder = Path(tempfile.mkdtemp(prefix="pictograph-nobody-"))
    shutil.chown(folder, "nobody", "nogroup")
    place = Place(folder, prefix=AS_NOBODY)
    yield place
    place.clean()
    shutil.rmtree(folder)


@pytest.fixture(params=["as we are", "as an ordinary user"])
def anyones_place(request: pytest.FixtureRequest) -> Place:
    """One after the other."""
    name = "place" if request.param == "as we are" else "place_of_nobody"
    found: Place = request.getfixturevalue(name)
    return found
