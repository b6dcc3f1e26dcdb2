"""A model fetched from a hub, carried in one file to a machine without a network, and run there on torch."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import NoReturn

import numpy as np
import pytest

from pictograph.encode import checksums
from pictograph.encode.registry import describe_encoder, load_encoder
from pictograph.models.bundle import bundle
from pictograph.models.choose import detect
from pictograph.models.pull import pull
from pictograph.models.unbundle import unbundle
from support.checkpoints import IMAGE_PX, make_checkpoint
from support.hub import running_hub

pytest.importorskip("torch", reason="needs torch, of the extra siglip")
pytest.importorskip("transformers", reason="needs transformers, of the extra siglip")
pytest.importorskip("huggingface_hub", reason="needs huggingface_hub, of the extra siglip")

TEXTS = ["a dog", "a red truck at night"]


@pytest.mark.parametrize("shard_size", ["1GB", "100KB"])
def test_a_carried_model_gives_the_same_vectors_and_asks_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shard_size: str
) -> None:
    name = "siglip2-tiny-patch16-50"
    published = make_checkpoint(tmp_path / "hub" / name, shard_size=shard_size)
    expected = load_encoder(str(published), threads=2)
    prepared = np.random.default_rng(0).standard_normal((2, 3, IMAGE_PX, IMAGE_PX), np.float32)
    with running_hub(**{name: published}) as hub:
        bundle(pull(name, endpoint=hub.address).folder, tmp_path / "model.tar")

    monkeypatch.setenv("PICTOGRAPH_HOME", str(tmp_path / "elsewhere"))
    refuse_sockets(monkeypatch)
    unbundle(tmp_path / "model.tar")
    refuse_hashing(monkeypatch)
    assert detect().installed == (name,)
    encoder = load_encoder(name, threads=2)
    assert encoder.spec == expected.spec == describe_encoder(name)
    assert (encoder.encode_prepared(prepared).vectors == expected.encode_prepared(prepared).vectors).all()
    assert (encoder.encode_texts(TEXTS) == expected.encode_texts(TEXTS)).all()


def refuse_sockets(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> NoReturn:
        raise AssertionError("a socket was opened")

    for method in ("connect", "connect_ex", "sendto"):
        monkeypatch.setattr(socket.socket, method, refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


def refuse_hashing(monkeypatch: pytest.MonkeyPatch) -> None:
    """From here on, whoever reads weights for their checksum fails."""

    def refuse(*_: object) -> NoReturn:
        raise AssertionError("weights were read for their checksum")

    monkeypatch.setattr(checksums.hashlib, "file_digest", refuse)
