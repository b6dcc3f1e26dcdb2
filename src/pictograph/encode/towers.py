"""The two networks of a SigLIP model, on torch: each is loaded alone, from local safetensors files.

Only `encode/siglip.py` imports this, and only once a model is loaded: torch and transformers take seconds to import.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final, NamedTuple

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from transformers import SiglipTextModel, SiglipVisionModel
from transformers.utils import logging as transformers_logging

from pictograph.encode.checkpoint import Checkpoint
from pictograph.encode.protocol import FloatArray
from pictograph.encode.tokens import TokenArray
from pictograph.errors import ConfigurationError

LOGIT_SCALE: Final = "logit_scale"
LOGIT_BIAS: Final = "logit_bias"


class Logits(NamedTuple):
    """From a cosine to the logit the model was trained on: `scale * cosine + bias`, then a sigmoid."""

    scale: float
    """e to the power of what the checkpoint stores: about 110."""
    bias: float
    """About -16."""


class Tower:
    """One network: arrays in, unit vectors out. One thread at a time."""

    def __init__(self, model_class: Any, checkpoint: Checkpoint, device: torch.device, dtype: torch.dtype) -> None:
        """model_class: SiglipVisionModel or SiglipTextModel, which read their own half of the weights.

        Raises ConfigurationError if the weights are damaged, incomplete, or not of this model.
        """
        with _library_errors(checkpoint), _quiet_loading():
            model, loading = model_class.from_pretrained(
                checkpoint.folder, dtype=dtype, local_files_only=True, use_safetensors=True, output_loading_info=True
            )
            if loading["missing_keys"]:
                raise ConfigurationError(
                    f"The weights in {checkpoint.folder} lack {sorted(loading['missing_keys'])[0]!r} "
                    f"and {len(loading['missing_keys']) - 1} more. Copy the whole model again."
                )
            self._model = model.eval().to(device)
        self._device = device
        self.dtype = dtype

    def unit_vectors(self, **inputs: torch.Tensor) -> FloatArray:
        """float32 (N, D), every row of length 1. inputs: what the network takes, on this tower's device."""
        with torch.inference_mode():
            pooled = self._model(**inputs).pooler_output
            unit: FloatArray = torch.nn.functional.normalize(pooled.float(), dim=-1).cpu().numpy()
        return unit

    def on_device(self, values: FloatArray | TokenArray) -> torch.Tensor:
        """Returns a copy on the device; from page-locked memory if that is a GPU, which is faster and does not wait.

        Nobody has to keep the page-locked tensor until the copy is done: torch's allocator marks its block as in use by
        the stream, and gives it to nobody before the stream is past the copy (aten/src/ATen/native/cuda/Copy.cu).
        """
        tensor = torch.from_numpy(np.ascontiguousarray(values))
        if self._device.type != "cuda":
            return tensor.to(self._device)
        return tensor.pin_memory().to(self._device, non_blocking=True)


class PictureTower(Tower):
    """Prepared pictures to unit vectors."""

    def __init__(self, checkpoint: Checkpoint, device: torch.device, dtype: torch.dtype) -> None:
        super().__init__(SiglipVisionModel, checkpoint, device, dtype)

    def vectors(self, prepared: FloatArray) -> FloatArray:
        """prepared: float32 (N, 3, S, S). Gives float32 (N, D), unit rows; not finite where 16 bits overflow."""
        return self.unit_vectors(pixel_values=self.on_device(prepared))


class WordTower(Tower):
    """Tokens to unit vectors. Always float32: texts are few, and an overflow here would have no picture to blame."""

    def __init__(self, checkpoint: Checkpoint, device: torch.device) -> None:
        super().__init__(SiglipTextModel, checkpoint, device, torch.float32)

    def vectors(self, tokens: TokenArray) -> FloatArray:
        """tokens: int64 (N, L), padded. Gives float32 (N, D), unit rows.

        There is no attention mask: the network was trained to read the padding too (arXiv:2303.15343, big_vision).
        """
        return self.unit_vectors(input_ids=self.on_device(tokens))


def chosen_device(name: str | None) -> torch.device:
    """Returns the device of that name (`cpu`, `cuda`, `cuda:1`, ...); None takes a GPU if there is one.

    Raises ConfigurationError if torch knows no such device, or this machine has none.
    """
    if name is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ConfigurationError(f"There is no device {name!r}. Use cpu, cuda or cuda:0.") from error
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise ConfigurationError(f"torch {torch.__version__} sees no GPU {name!r} here. Use cpu, or a torch with CUDA.")
    return device


def use_threads(threads: int) -> None:
    """How many threads a forward pass on the CPU takes; it holds for this whole process."""
    torch.set_num_threads(threads)


def give_memory_back(device: torch.device) -> None:
    """After a network was dropped: torch keeps a GPU's memory for itself otherwise."""
    if device.type == "cuda":
        torch.cuda.empty_cache()


def read_logits(checkpoint: Checkpoint) -> Logits:
    """Two numbers from the weights. Raises ConfigurationError if they are not there."""
    with _library_errors(checkpoint):
        found = {name: value for path in checkpoint.weights for name, value in _scalars(str(path))}
    if missing := {LOGIT_SCALE, LOGIT_BIAS} - found.keys():
        raise ConfigurationError(f"The weights in {checkpoint.folder} lack {' and '.join(sorted(missing))}.")
    return Logits(scale=float(np.exp(found[LOGIT_SCALE])), bias=found[LOGIT_BIAS])


def _scalars(path: str) -> Iterator[tuple[str, float]]:
    with safe_open(path, framework="pt") as weights:
        for name in {LOGIT_SCALE, LOGIT_BIAS} & set(weights.keys()):
            yield name, float(weights.get_tensor(name).float().item())


@contextmanager
def _library_errors(checkpoint: Checkpoint) -> Iterator[None]:
    try:
        yield
    except (OSError, RuntimeError, ValueError, LookupError, SafetensorError) as error:
        raise ConfigurationError(f"The model in {checkpoint.folder} cannot be loaded: {error}") from error


@contextmanager
def _quiet_loading() -> Iterator[None]:
    """Half of the file is the other tower's: transformers would print each of its weights as unexpected."""
    verbosity = transformers_logging.get_verbosity()
    shows_progress = transformers_logging.is_progress_bar_enabled()
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    try:
        yield
    finally:
        transformers_logging.set_verbosity(verbosity)
        if shows_progress:
            transformers_logging.enable_progress_bar()
