"""Which precision pictures are encoded in, that it gives the same vectors, and what happens when memory runs out."""

from __future__ import annotations

import logging
import shutil
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pictograph.encode.batching import encode_isolating
from pictograph.encode.checksums import SIDECAR
from pictograph.encode.protocol import Encoded, FloatArray
from pictograph.encode.siglip import SiglipEncoder
from pictograph.errors import ConfigurationError
from support.checkpoints import make_checkpoint

torch = pytest.importorskip("torch", reason="needs torch, of the extra siglip")
pytest.importorskip("transformers", reason="needs transformers, of the extra siglip")

from safetensors.torch import load_file, save_file  # noqa: E402

from pictograph.encode import precision  # noqa: E402

SIXTEEN_BITS = 0.9995
"""Least cosine between a picture's vectors in bfloat16 and in float32; random models of this size have 0.9999."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_checkpoint(tmp_path_factory.mktemp("models") / "siglip2-tiny-patch16-50")


@pytest.fixture
def native_bfloat16(monkeypatch: pytest.MonkeyPatch) -> None:
    """A processor that has it: one that has not computes the same, only slower."""
    monkeypatch.setattr(precision, "cpu_has_bfloat16", lambda: True)


def with_patch_bias(folder: Path, target: Path, bias: float) -> Path:
    """The model again, its first layer's output moved by `bias`: float32 does not mind, fewer bits lose the picture."""
    shutil.copytree(folder, target, ignore=shutil.ignore_patterns(SIDECAR))
    weights = load_file(target / "model.safetensors")
    (name,) = [name for name in weights if name.endswith("patch_embedding.bias")]
    weights[name] = weights[name] + bias
    save_file(weights, target / "model.safetensors", {"format": "pt"})
    return target


def prepared(encoder: SiglipEncoder, count: int) -> FloatArray:
    side = encoder.spec.input_px
    patterns = [np.random.default_rng(seed).integers(0, 256, (9, 11, 3), np.uint8) for seed in range(count)]
    found = np.stack([encoder.checkpoint.recipe.apply(pattern) for pattern in patterns])
    assert found.shape == (count, 3, side, side)
    return found


def cosines(one: SiglipEncoder, other: SiglipEncoder, pictures: FloatArray) -> FloatArray:
    both = one.encode_prepared(pictures).vectors * other.encode_prepared(pictures).vectors
    return both.sum(axis=1)  # type: ignore[no-any-return]


@pytest.mark.usefixtures("native_bfloat16")
def test_a_cpu_with_bfloat16_uses_it_and_the_vectors_stay(folder: Path) -> None:
    fast = SiglipEncoder.load(folder, device="cpu")
    exact = SiglipEncoder.load(folder, device="cpu", dtype="float32")
    assert (fast.dtype, exact.dtype) == ("bfloat16", "float32")
    assert fast.spec == exact.spec
    pictures = prepared(exact, 9)
    vectors = fast.encode_prepared(pictures).vectors
    assert vectors.dtype == np.float32
    assert np.abs(np.linalg.norm(vectors, axis=1) - 1).max() < 1e-5
    assert cosines(fast, exact, pictures).min() > SIXTEEN_BITS
    assert (fast.encode_texts(["a dog"]) == exact.encode_texts(["a dog"])).all()


@pytest.mark.parametrize(
    ("capabilities", "expected"),
    [({"avx512_bf16": True}, True), ({"amx_bf16": True}, True), ({"avx512_f": True, "avx512_bf16": False}, False)],
)
def test_bfloat16_is_detected_and_not_assumed(
    monkeypatch: pytest.MonkeyPatch, capabilities: dict[str, bool], expected: bool
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities, raising=False)
    assert precision.cpu_has_bfloat16() is expected
    dtype = precision.picture_dtype(torch.device("cpu"))
    assert dtype == (torch.bfloat16 if expected else torch.float32)


def test_a_torch_that_cannot_tell_stays_with_float32(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)
    assert SiglipEncoder.load(folder, device="cpu").dtype == "float32"


@pytest.mark.usefixtures("native_bfloat16")
@pytest.mark.parametrize("bias", [300.0, 1e38])
def test_a_model_whose_vectors_16_bits_would_change_is_run_in_float32_and_the_log_says_so(
    folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, bias: float
) -> None:
    moved = with_patch_bias(folder, tmp_path / "moved", bias)
    with caplog.at_level(logging.WARNING):
        encoder = SiglipEncoder.load(moved, device="cpu")
    assert encoder.dtype == "float32"
    assert "float32, which is slower" in caplog.text


@pytest.mark.usefixtures("native_bfloat16")
def test_16_bits_that_overflow_are_noticed(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(precision, "picture_dtype", lambda device: torch.float16)
    assert SiglipEncoder.load(folder, device="cpu").dtype == "float16"
    moved = with_patch_bias(folder, tmp_path / "moved", 1e5)
    with caplog.at_level(logging.WARNING):
        assert SiglipEncoder.load(moved, device="cpu").dtype == "float32"
    assert "cosine nan" in caplog.text


def test_an_unknown_dtype_is_refused_by_name(folder: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"'int8'.*bfloat16"):
        SiglipEncoder.load(folder, device="cpu", dtype="int8")


class Full(SiglipEncoder):
    """Raises what torch raises when a GPU has no memory for more than `room_for` pictures."""

    room_for = 3
    passes: list[int]
    left: weakref.ref[Any] | None

    def encode_prepared(self, prepared: FloatArray) -> Encoded:
        self.passes.append(len(prepared))
        assert self.left is None or self.left() is None, "the failed pass still holds its tensors"
        if len(prepared) <= self.room_for:
            return super().encode_prepared(prepared)
        activations = torch.zeros(10)
        self.left = weakref.ref(activations)
        raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")


def test_a_batch_for_which_the_gpu_has_no_memory_is_halved_and_what_it_held_is_let_go(folder: Path) -> None:
    encoder = Full.load(folder, device="cpu", dtype="float32")
    assert isinstance(encoder, Full)
    encoder.passes, encoder.left = [], None
    pictures = prepared(encoder, 8)
    outcomes = encode_isolating(encoder, list(pictures), max_batch=8)
    assert encoder.passes == [8, 4, 2, 2, 4, 2, 2]
    expected = SiglipEncoder.encode_prepared(encoder, pictures).vectors
    for outcome, row in zip(outcomes, expected, strict=True):
        assert isinstance(outcome, Encoded)
        assert np.abs(outcome.vectors[0] - row).max() < 1e-5


def test_a_picture_for_which_there_is_no_memory_at_all_fails_with_torchs_error_and_holds_nothing(folder: Path) -> None:
    encoder = Full.load(folder, device="cpu", dtype="float32")
    assert isinstance(encoder, Full)
    encoder.passes, encoder.left, encoder.room_for = [], None, 0
    (outcome,) = encode_isolating(encoder, list(prepared(encoder, 1)), max_batch=1)
    assert isinstance(outcome, torch.cuda.OutOfMemoryError)
    assert encoder.left is not None
    assert encoder.left() is None
