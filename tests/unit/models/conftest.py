from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import pytest

from pictograph.models import download
from pictograph.models.pull import Pulled, pull
from support.checkpoints import plain_checkpoint
from support.hub import NAME, FakeHub, running_hub


@pytest.fixture(scope="session")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository as on the hub, with files that are none of our business."""
    folder = plain_checkpoint(tmp_path_factory.mktemp("hub") / NAME)
    for name in ("README.md", "modeling_siglip.py", "pytorch_model.bin", ".gitattributes", "model.onnx"):
        (folder / name).write_text("not for us")
    return folder


@pytest.fixture
def hub(published: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    """A hub with one repository, which HF_ENDPOINT names."""
    library = pytest.importorskip("huggingface_hub", reason="needs huggingface_hub, of the extra siglip")
    constants = pytest.importorskip("huggingface_hub.constants")
    monkeypatch.setattr(download, "FIRST_PAUSE_S", 0.001)
    for name in ("HF_TOKEN", "HF_TOKEN_PATH", "HF_HUB_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", "/nowhere")
    with running_hub(**{NAME: published}) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.address)
        yield hub
    getattr(library, "close_session", lambda: None)()


@pytest.fixture
def pulled(hub: FakeHub) -> Pulled:
    """The model, fetched."""
    return pull(NAME)


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Any socket is a failure."""

    def refuse(*_: object, **__: object) -> NoReturn:
        raise AssertionError("a socket was opened")

    for name in ("connect", "connect_ex", "sendto"):
        monkeypatch.setattr(socket.socket, name, refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
